/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a Dockerfile's instructions come to: commands and files with the key of each layer, and the config of the last stage.
 * What a RUN will print changes none of it, so all is known before the first runs; a key is the digest of the key below,
 * of the instruction with its variables, of the files that it copies, and of the conditions of the job.
 *
 * Stages are planned when something needs them: what the last one does not name is not built.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/build_private.h"

#define PATH_BYTES_MAX 4000
#define SHOWN_BYTES 200
#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#if defined(__x86_64__)
#define ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define ARCHITECTURE "arm64"
#else
#define ARCHITECTURE "unknown"
#endif
#define PLATFORM "linux/" ARCHITECTURE

typedef struct Stage {
	char *name;      /* NULL: it has none */
	guint first;     /* its FROM's place among the instructions */
	guint end;
	bool planned;
	char *key;       /* of what it has become */
	json_t *config;
	json_t *args;    /* object: name → value, or null */
	bool own_command; /* its CMD is not its base's */
} Stage;

typedef struct Plan {
	Build *build;
	GArray *stages;  /* Stage */
	json_t *globals; /* of ARG before the first FROM */
	Stage *stage;    /* whose instructions are read; NULL before the first */
	const DockerInstruction *now;
} Plan;

/* ---- variables ---- */

/* What BuildKit sets by itself. */
static const char *automatic(const char *name)
{
	static const char *const known[][2] = {{"TARGETPLATFORM", PLATFORM}, {"TARGETOS", "linux"}, {"TARGETARCH", ARCHITECTURE},
	        {"TARGETVARIANT", ""}, {"BUILDPLATFORM", PLATFORM}, {"BUILDOS", "linux"}, {"BUILDARCH", ARCHITECTURE}, {"BUILDVARIANT", ""}};
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (strcmp(known[i][0], name) == 0)
			return known[i][1];
	return NULL;
}

static const char *env_get(const json_t *config, const char *name)
{
	size_t len = strlen(name), i;
	json_t *line;
	json_array_foreach(json_object_get(config, "Env"), i, line) {
		const char *text = json_string_value(line);
		if (text && strncmp(text, name, len) == 0 && text[len] == '=')
			return text + len + 1;
	}
	return NULL;
}

static void env_set(json_t *config, const char *name, const char *value)
{
	json_t *env = json_object_get(config, "Env");
	g_autofree char *line = g_strconcat(name, "=", value, NULL);
	size_t len = strlen(name), i;
	json_t *one;
	if (!json_is_array(env))
		json_object_set_new(config, "Env", env = json_array());
	json_array_foreach(env, i, one)
		if (json_is_string(one) && strncmp(json_string_value(one), name, len) == 0 && json_string_value(one)[len] == '=') {
			json_array_set_new(env, i, json_string(line));
			return;
		}
	json_array_append_new(env, json_string(line));
}

static const char *look_up(void *data, const char *name)
{
	const Plan *plan = data;
	if (!plan->stage || plan->now->verb == DOCKER_FROM) {
		const char *value = json_string_value(json_object_get(plan->globals, name));
		return value ? value : automatic(name);
	}
	const char *value = env_get(plan->stage->config, name);
	return value ? value : json_string_value(json_object_get(plan->stage->args, name));
}

static char *expand(Plan *plan, const char *word, GError **error)
{
	return dockerfile_expand(word, plan->build->file->escape, look_up, plan, error);
}

/* `ARG NAME`, `ARG NAME=default`, several in a line. */
static bool read_arg(Plan *plan, json_t *into, GError **error)
{
	g_auto(GStrv) words = dockerfile_words(plan->now->rest, plan->build->file->escape);
	for (char **word = words; *word; word++) {
		const char *equals = strchr(*word, '=');
		g_autofree char *name = equals ? g_strndup(*word, (gsize)(equals - *word)) : g_strdup(*word);
		g_autofree char *value = equals ? expand(plan, equals + 1, error) : NULL;
		if (equals && !value)
			return false;
		const char *given = equals ? value : plan->stage ? json_string_value(json_object_get(plan->globals, name)) : NULL;
		if (!given)
			given = automatic(name);
		json_object_set_new(into, name, given ? json_string(given) : json_null());
	}
	return true;
}

static bool read_env(Plan *plan, GError **error)
{
	g_auto(GStrv) pairs = dockerfile_pairs(plan->now->rest, plan->build->file->escape, error);
	if (!pairs)
		return false;
	g_autoptr(json_t) fresh = json_deep_copy(plan->stage->config);
	for (char **pair = pairs; *pair; pair++) { /* all of a line see what was before it */
		const char *equals = strchr(*pair, '=');
		g_autofree char *raw = g_strndup(*pair, (gsize)(equals - *pair));
		g_autofree char *name = expand(plan, raw, error);
		g_autofree char *value = name ? expand(plan, equals + 1, error) : NULL;
		if (!value)
			return false;
		if (!name[0] || strchr(name, '='))
			return fail(error, ASSAY_ERROR_USER, "'%.60s' is no name of a variable", name);
		env_set(fresh, name, value);
	}
	json_decref(plan->stage->config);
	plan->stage->config = g_steal_pointer(&fresh);
	return true;
}

/* ---- keys and layers ---- */

static void hash_text(Hash *hash, const char *text)
{
	hash_update(hash, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void hash_texts(Hash *hash, char *const *texts)
{
	g_autofree char *count = g_strdup_printf("%u", texts ? g_strv_length((char **)(uintptr_t)texts) : 0);
	hash_text(hash, count);
	for (; texts && *texts; texts++)
		hash_text(hash, *texts);
}

static char *digest_of(Hash *hash)
{
	uint8_t digest[HASH_BYTES];
	char hex[HASH_HEX_BYTES];
	hash_final(hash, digest);
	hex_write(digest, sizeof digest, hex);
	return g_strdup(hex);
}

/* The stage's next layer: from, key and what is shown are set. */
static void add_op(Plan *plan, BuildOp *op, const char *files)
{
	g_autoptr(Hash) hash = hash_new();
	const char *const texts[] = {"layer", dockerfile_verb_name(plan->now->verb), plan->stage->key, plan->build->conditions, op->user, op->folder, files, op->take_from, op->dest,
	        op->dest_is_folder ? "/" : "", op->mode, op->owner};
	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		hash_text(hash, texts[i]);
	hash_texts(hash, op->argv);
	hash_texts(hash, op->env);
	hash_texts(hash, op->take);
	op->line = plan->now->line;
	op->from = plan->stage->key;
	op->key = digest_of(hash);
	plan->stage->key = g_strdup(op->key);
	g_autofree char *text = g_strconcat(dockerfile_verb_name(plan->now->verb), " ", plan->now->rest, NULL);
	g_strdelimit(text, "\r\n\t", ' ');
	g_autofree char *cut = strlen(text) > SHOWN_BYTES ? g_strndup(text, SHOWN_BYTES) : NULL;
	g_autofree char *valid = cut ? g_utf8_make_valid(cut, -1) : NULL;
	op->shown = valid ? g_strconcat(valid, "…", NULL) : g_steal_pointer(&text);
	g_ptr_array_add(plan->build->ops, op);
}

static char **texts_of(const json_t *list)
{
	GPtrArray *out = g_ptr_array_new();
	size_t i;
	json_t *one;
	json_array_foreach((json_t *)(uintptr_t)list, i, one)
		g_ptr_array_add(out, g_strdup(json_is_string(one) ? json_string_value(one) : ""));
	g_ptr_array_add(out, NULL);
	return (char **)g_ptr_array_free(out, FALSE);
}

/* SHELL and a line for it: JSON, the caller's. */
static json_t *shell_with(const Stage *stage, const char *line)
{
	const json_t *shell = json_object_get(stage->config, "Shell");
	json_t *argv = json_array_size(shell) > 0 ? json_deep_copy(shell) : json_pack("[s,s]", "/bin/sh", "-c");
	json_array_append_new(argv, json_string(line));
	return argv;
}

static json_t *list_of(char *const *words)
{
	json_t *list = json_array();
	for (; *words; words++)
		json_array_append_new(list, json_string(*words));
	return list;
}

/* ---- RUN ---- */

/* Variables of the image, and arguments that none of them hides. */
static char **run_environment(const Stage *stage)
{
	GPtrArray *lines = g_ptr_array_new();
	size_t i;
	json_t *one;
	const char *name;
	json_array_foreach(json_object_get(stage->config, "Env"), i, one)
		if (json_is_string(one))
			g_ptr_array_add(lines, g_strdup(json_string_value(one)));
	json_object_foreach(stage->args, name, one)
		if (json_is_string(one) && !env_get(stage->config, name))
			g_ptr_array_add(lines, g_strconcat(name, "=", json_string_value(one), NULL));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}

/* A file of the build's own: N.file/NAME below a new folder. */
static bool stage_text(Plan *plan, int stage_fd, int number, const DockerHeredoc *heredoc, const char *text, mode_t mode, GError **error)
{
	g_autofree char *name = g_strdup_printf("%d.file", number);
	TreeOwner owner = plan->build->job->owner;
	autofd int folder = tree_make_folder(stage_fd, name, owner, error);
	return folder >= 0 && tree_write_file(folder, heredoc->name, text, strlen(text), mode, owner, error);
}

static bool plan_run(Plan *plan, GError **error)
{
	const DockerInstruction *now = plan->now;
	g_autoptr(json_t) argv = now->json ? list_of(now->json) : NULL;
	g_autofree char *stage = NULL;
	g_autoptr(GString) text = g_string_new(now->rest);
	const DockerHeredoc *only = now->heredocs->len == 1 && g_str_has_prefix(now->rest, "<<") && !strpbrk(now->rest, " \t")
	                                    ? now->heredocs->pdata[0] : NULL;
	if (now->json && !now->json[0])
		return fail(error, ASSAY_ERROR_USER, "it has no command");
	if (only && g_str_has_prefix(only->text, "#!")) {
		autofd int stage_fd = -1;
		stage = build_make_folder(plan->build, &stage_fd, error);
		if (!stage || !stage_text(plan, stage_fd, 0, only, only->text, 0755, error))
			return false;
		g_autofree char *script = g_strconcat(BUILD_FROM "/0.file/", only->name, NULL);
		argv = json_pack("[s]", script);
	} else if (only) {
		argv = shell_with(plan->stage, only->text);
	} else if (!argv) {
		for (guint i = 0; i < now->heredocs->len; i++) {
			const DockerHeredoc *heredoc = now->heredocs->pdata[i];
			g_string_append_printf(text, "\n%s%s", heredoc->text, heredoc->name);
		}
		argv = shell_with(plan->stage, text->str);
	}
	BuildOp *op = g_new0(BuildOp, 1);
	op->argv = texts_of(argv);
	op->env = run_environment(plan->stage);
	op->user = g_strdup(json_get_string(plan->stage->config, "User", ""));
	op->folder = g_strdup(json_get_string(plan->stage->config, "WorkingDir", "/"));
	op->stage = g_steal_pointer(&stage);
	add_op(plan, op, only ? only->text : NULL);
	return true;
}

/* ---- COPY and ADD ---- */

static bool plan_stage(Plan *plan, guint index, GError **error);
static bool begin_image(Plan *plan, const char *reference, char **out_key, json_t **out_config, GError **error);

/* A stage before this one, by its name or number; G_MAXUINT: none. */
static guint find_stage(const Plan *plan, const char *name, bool numbers)
{
	guint now = plan->stages->len;
	for (guint i = 0; i < plan->stages->len; i++)
		if (&g_array_index(plan->stages, Stage, i) == plan->stage)
			now = i;
	for (guint i = now; i > 0; i--) {
		const char *other = g_array_index(plan->stages, Stage, i - 1).name;
		if (other && g_ascii_strcasecmp(other, name) == 0)
			return i - 1;
	}
	guint64 number = 0;
	if (numbers && g_ascii_string_to_unsigned(name, 10, 0, G_MAXUINT - 1, &number, NULL) && number < now)
		return (guint)number;
	return G_MAXUINT;
}

static bool find_source(Plan *plan, const char *from, char **out_key, GError **error)
{
	guint index = find_stage(plan, from, true);
	g_autoptr(json_t) config = NULL;
	if (index == G_MAXUINT)
		return begin_image(plan, from, out_key, &config, error);
	if (!plan_stage(plan, index, error))
		return false;
	*out_key = g_strdup(g_array_index(plan->stages, Stage, index).key);
	return true;
}

/* A path in the image from its folder on; the caller's. */
static char *absolute(const char *folder, const char *path)
{
	return g_canonicalize_filename(path, folder[0] == '/' ? folder : "/");
}

static bool check_add(const char *source, GError **error)
{
	static const char *const urls[] = {"http://", "https://", "ftp://", "git://", "ssh://", "git@"};
	for (size_t i = 0; i < G_N_ELEMENTS(urls); i++)
		if (g_ascii_strncasecmp(source, urls[i], strlen(urls[i])) == 0)
			return fail(error, ASSAY_ERROR_USER, "'%.100s': only files of the action's folder are added here; fetch it by a RUN", source);
	return true;
}

static bool read_mode(const char *text, char **out, GError **error)
{
	if (text && (strspn(text, "01234567") != strlen(text) || strlen(text) < 3 || strlen(text) > 4))
		return fail(error, ASSAY_ERROR_USER, "--chmod=%.40s is no octal number such as 755", text);
	*out = g_strdup(text ? text : "-");
	return true;
}

/* ADD unpacks what is a tar; anything else stays as it is. */
static bool unpack_added(Plan *plan, int stage_fd, int first, int end, GError **error)
{
	static const struct {
		const char *bytes;
		size_t len, at;
		const char *name;
	} kinds[] = {{"\x1f\x8b", 2, 0, NULL}, {"\x28\xb5\x2f\xfd", 4, 0, NULL}, {"ustar", 5, 257, NULL}, {"BZh", 3, 0, "bzip2"},
	        {"\xfd" "7zXZ", 5, 0, "xz"}};
	for (int i = first; i < end; i++) {
		g_autofree char *name = g_strdup_printf("%d.file", i);
		g_autofree char *unpacked = g_strdup_printf("%d.folder", i);
		autofd int folder = openat(stage_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", folder);
		g_autoptr(GDir) entries = folder < 0 ? NULL : g_dir_open(path, 0, NULL);
		const char *file = entries ? g_dir_read_name(entries) : NULL;
		autofd int fd = file ? openat(folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC) : -1;
		char head[262] = "";
		ssize_t len = fd < 0 ? 0 : pread(fd, head, sizeof head, 0);
		size_t kind = 0;
		while (kind < G_N_ELEMENTS(kinds) && (len < (ssize_t)(kinds[kind].at + kinds[kind].len) ||
		                                             memcmp(head + kinds[kind].at, kinds[kind].bytes, kinds[kind].len) != 0))
			kind++;
		if (kind == G_N_ELEMENTS(kinds))
			continue;
		if (kinds[kind].name)
			return fail(error, ASSAY_ERROR_USER, "'%s' is packed by %s, which is not unpacked here; pack it by gzip or zstd, or use COPY", file,
			        kinds[kind].name);
		autofd int into = tree_make_folder(stage_fd, unpacked, plan->build->job->owner, error);
		g_autoptr(GError) why = NULL;
		if (into < 0)
			return false;
		const Job *job = plan->build->job;
		if (plan->build->maker->unpack(fd, into, job->owner.uid, job->owner.gid, job_is_stopped, plan->build->job, &why)) {
			if (!tree_remove(stage_fd, name, error))
				return false;
		} else if (why->code != ASSAY_ERROR_REMOTE) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		} else if (!tree_remove(stage_fd, unpacked, error)) { /* packed, and no tar */
			return false;
		}
	}
	return true;
}

typedef struct Copying {
	BuildOp *op;
	GPtrArray *words; /* char *: sources with their variables, the target last; NULL for a here-document's */
	int stage_fd;
	int count;
	bool wild;
} Copying;

/* The words of the line; those of here-documents become NULL. */
static bool read_sources(Plan *plan, Copying *copying, GError **error)
{
	const DockerInstruction *now = plan->now;
	g_auto(GStrv) fields = now->json ? g_strdupv(now->json) : dockerfile_fields(now->rest);
	guint heredocs = 0;
	for (char **field = fields; *field; field++) {
		if (heredocs < now->heredocs->len && strstr(*field, "<<")) {
			heredocs++;
			g_ptr_array_add(copying->words, NULL);
			continue;
		}
		char *word = expand(plan, *field, error);
		if (!word)
			return false;
		g_ptr_array_add(copying->words, word);
	}
	if (copying->words->len < 2 || !copying->words->pdata[copying->words->len - 1])
		return fail(error, ASSAY_ERROR_USER, "it needs what to copy, and where to");
	return true;
}

static bool take_from_stage(Plan *plan, Copying *copying, const char *from, GError **error)
{
	g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i + 1 < copying->words->len; i++) {
		const char *word = copying->words->pdata[i];
		char *path = word ? absolute("/", word) : NULL;
		if (!path)
			return fail(error, ASSAY_ERROR_USER, "a here-document is of no stage");
		g_ptr_array_add(paths, path);
		const char *slash = strrchr(path, '/');
		if (strpbrk(path, "[\\") || strcspn(path, "*?") < (size_t)(slash - path))
			return fail(error, ASSAY_ERROR_USER, "'%.200s': of a stage or image, only the last part may have wildcards, * and ?", path);
		copying->wild = copying->wild || strpbrk(path, "*?");
	}
	copying->count = (int)paths->len;
	g_ptr_array_add(paths, NULL);
	copying->op->take = (char **)g_ptr_array_free(g_steal_pointer(&paths), FALSE);
	return find_source(plan, from, &copying->op->take_from, error);
}

static bool take_from_folder(Plan *plan, Copying *copying, Hash *hash, GError **error)
{
	guint heredocs = 0;
	for (guint i = 0; i + 1 < copying->words->len; i++) {
		const char *word = copying->words->pdata[i];
		int first = copying->count;
		if (!word) {
			const DockerHeredoc *heredoc = plan->now->heredocs->pdata[heredocs++];
			g_autofree char *text = heredoc->expands ? dockerfile_expand_text(heredoc->text, plan->build->file->escape, look_up, plan, error)
			                                         : g_strdup(heredoc->text);
			if (!text || !stage_text(plan, copying->stage_fd, copying->count++, heredoc, text, 0644, error))
				return false;
			hash_text(hash, heredoc->name);
			hash_text(hash, text);
			continue;
		}
		bool add = plan->now->verb == DOCKER_ADD;
		if (add && !check_add(word, error))
			return false;
		if (!build_context_take(&plan->build->context, word, copying->stage_fd, &copying->count, hash, error))
			return false;
		if (add && !unpack_added(plan, copying->stage_fd, first, copying->count, error))
			return false;
		copying->wild = copying->wild || copying->count - first > 1;
	}
	return true;
}

static bool read_copy(Plan *plan, Copying *copying, GError **error)
{
	BuildOp *op = copying->op;
	const char *from = dockerfile_flag(plan->now, "from");
	g_autoptr(Hash) hash = hash_new();
	op->stage = build_make_folder(plan->build, &copying->stage_fd, error);
	if (!op->stage || !read_sources(plan, copying, error))
		return false;
	const char *chmod_flag = dockerfile_flag(plan->now, "chmod");
	g_autofree char *mode = chmod_flag ? expand(plan, chmod_flag, error) : NULL;
	if ((chmod_flag && !mode) || !read_mode(mode, &op->mode, error))
		return false;
	const char *chown_flag = dockerfile_flag(plan->now, "chown");
	op->owner = chown_flag ? expand(plan, chown_flag, error) : g_strdup("-");
	if (!op->owner)
		return false;
	if (chown_flag && (!op->owner[0] || op->owner[0] == '-' || strlen(op->owner) > 200))
		return fail(error, ASSAY_ERROR_USER, "--chown=%.40s names nobody", op->owner);
	if (from ? !take_from_stage(plan, copying, from, error) : !take_from_folder(plan, copying, hash, error))
		return false;
	const char *dest = copying->words->pdata[copying->words->len - 1];
	op->dest = absolute(json_get_string(plan->stage->config, "WorkingDir", "/"), dest);
	op->dest_is_folder = copying->wild || g_str_has_suffix(dest, "/") || g_str_has_suffix(dest, "/.") || strcmp(dest, ".") == 0;
	op->user = g_strdup("0");
	op->folder = g_strdup("/");
	if (strlen(op->dest) > PATH_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "where it copies to has more than %d bytes", PATH_BYTES_MAX);
	if (copying->count > 1 && !op->dest_is_folder)
		return fail(error, ASSAY_ERROR_USER, "several files go to a folder; write '%.200s/'", dest);
	g_autofree char *files = digest_of(hash);
	add_op(plan, op, from ? NULL : files);
	return true;
}

static bool plan_copy(Plan *plan, GError **error)
{
	Copying copying = {.op = g_new0(BuildOp, 1), .words = g_ptr_array_new_with_free_func(g_free), .stage_fd = -1};
	bool good = read_copy(plan, &copying, error);
	if (!good) {
		g_free(copying.op->stage);
		g_free(copying.op->mode);
		g_free(copying.op->owner);
		g_free(copying.op->take_from);
		g_strfreev(copying.op->take);
		g_free(copying.op->dest);
		g_free(copying.op->user);
		g_free(copying.op->folder);
		g_free(copying.op);
	}
	g_ptr_array_unref(copying.words);
	autofd_close(&copying.stage_fd);
	return good;
}

/* ---- the other instructions ---- */

static bool plan_command(Plan *plan, const char *key)
{
	const DockerInstruction *now = plan->now;
	json_object_set_new(plan->stage->config, key, now->json ? list_of(now->json) : shell_with(plan->stage, now->rest));
	if (now->verb == DOCKER_CMD)
		plan->stage->own_command = true;
	else if (!plan->stage->own_command)
		json_object_del(plan->stage->config, "Cmd"); /* its base's was for its base's entrypoint */
	return true;
}

static bool plan_text(Plan *plan, const char *key, bool path, GError **error)
{
	g_autofree char *text = expand(plan, plan->now->rest, error);
	if (!text)
		return false;
	g_autofree char *whole = path ? absolute(json_get_string(plan->stage->config, "WorkingDir", "/"), text) : g_strdup(text);
	if (strlen(whole) > PATH_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "it has more than %d bytes", PATH_BYTES_MAX);
	json_set_string(plan->stage->config, key, whole);
	return true;
}

static bool plan_instruction(Plan *plan, GError **error)
{
	switch (plan->now->verb) {
	case DOCKER_ADD:
	case DOCKER_COPY:
		return plan_copy(plan, error);
	case DOCKER_ARG:
		return read_arg(plan, plan->stage->args, error);
	case DOCKER_CMD:
		return plan_command(plan, "Cmd");
	case DOCKER_ENTRYPOINT:
		return plan_command(plan, "Entrypoint");
	case DOCKER_ENV:
		return read_env(plan, error);
	case DOCKER_RUN:
		return plan_run(plan, error);
	case DOCKER_SHELL:
		json_object_set_new(plan->stage->config, "Shell", list_of(plan->now->json));
		return true;
	case DOCKER_USER:
		return plan_text(plan, "User", false, error);
	case DOCKER_WORKDIR:
		return plan_text(plan, "WorkingDir", true, error);
	case DOCKER_EXPOSE:
	case DOCKER_HEALTHCHECK:
	case DOCKER_LABEL:
	case DOCKER_MAINTAINER:
	case DOCKER_ONBUILD:
	case DOCKER_STOPSIGNAL:
	case DOCKER_VOLUME:
	case DOCKER_FROM:
		break; /* an action's one program is served by none of them */
	}
	return true;
}

/* ---- stages ---- */

static bool begin_image(Plan *plan, const char *reference, char **out_key, json_t **out_config, GError **error)
{
	Build *build = plan->build;
	g_autofree char *scratch = g_build_filename(build->folder, "begin", NULL);
	PlaceImage image = build_place_image(build);
	image.reference = reference;
	image.scratch = scratch;
	image.one_user = build->one_user;
	if (!build->maker->begin(&image, build->job->owner.uid, build->job->owner.gid, out_key, out_config, error))
		return false;
	if (json_array_size(json_object_get(*out_config, "OnBuild")) == 0)
		return true;
	return fail(error, ASSAY_ERROR_USER, "the image %s has ONBUILD instructions, which are not carried out here", reference);
}

static bool check_platform(Plan *plan, GError **error)
{
	const char *flag = dockerfile_flag(plan->now, "platform");
	g_autofree char *platform = flag ? expand(plan, flag, error) : g_strdup(PLATFORM);
	if (!platform)
		return false;
	return strcmp(platform, PLATFORM) == 0 ||
	       fail(error, ASSAY_ERROR_USER, "--platform=%.60s is not this machine's, " PLATFORM, platform);
}

static bool begin_stage(Plan *plan, GError **error)
{
	Stage *stage = plan->stage;
	g_auto(GStrv) words = dockerfile_fields(plan->now->rest);
	g_autofree char *reference = expand(plan, words[0], error);
	if (!reference || !check_platform(plan, error))
		return false;
	if (!reference[0])
		return fail(error, ASSAY_ERROR_USER, "'%s' names no image", words[0]);
	guint index = find_stage(plan, reference, false);
	if (index == G_MAXUINT) {
		if (!begin_image(plan, reference, &stage->key, &stage->config, error))
			return false;
		json_object_del(stage->config, "OnBuild");
		if (!env_get(stage->config, "PATH"))
			env_set(stage->config, "PATH", STANDARD_PATH); /* `ENV PATH=/mine:$PATH` counts on it */
		return true;
	}
	if (!plan_stage(plan, index, error))
		return false;
	const Stage *other = &g_array_index(plan->stages, Stage, index);
	stage->key = g_strdup(other->key);
	stage->config = json_deep_copy(other->config);
	return true;
}

/* What an instruction cannot be is told with its line. */
static bool placed(const Plan *plan, const DockerInstruction *now, bool good, GError **error)
{
	if (!good)
		g_prefix_error(error, "%s:%d: %s: ", plan->build->name, now->line, dockerfile_verb_name(now->verb));
	return good;
}

/* Those that are named are before it, so this goes no deeper than there are stages. */
static bool plan_stage(Plan *plan, guint index, GError **error)
{
	Stage *stage = &g_array_index(plan->stages, Stage, index);
	Stage *outer = plan->stage;
	const DockerInstruction *outer_now = plan->now;
	bool good = true;
	if (stage->planned)
		return true;
	plan->stage = stage;
	stage->args = json_object();
	for (guint i = stage->first; good && i < stage->end; i++) {
		const DockerInstruction *now = plan->now = plan->build->file->instructions->pdata[i];
		good = placed(plan, now, i == stage->first ? begin_stage(plan, error) : plan_instruction(plan, error), error);
	}
	if (good && strlen(json_get_string(stage->config, "WorkingDir", "/")) == 0)
		json_set_string(stage->config, "WorkingDir", "/");
	stage->planned = good;
	plan->stage = outer;
	plan->now = outer_now;
	return good;
}

static bool find_stages(Plan *plan, GError **error)
{
	const GPtrArray *all = plan->build->file->instructions;
	for (guint i = 0; i < all->len; i++) {
		plan->now = all->pdata[i];
		if (plan->now->verb == DOCKER_ARG && plan->stages->len == 0 && !placed(plan, plan->now, read_arg(plan, plan->globals, error), error))
			return false;
		if (plan->now->verb != DOCKER_FROM)
			continue;
		g_auto(GStrv) words = dockerfile_fields(plan->now->rest);
		guint count = g_strv_length(words);
		if (count != 1 && !(count == 3 && g_ascii_strcasecmp(words[1], "as") == 0))
			return placed(plan, plan->now, fail(error, ASSAY_ERROR_USER, "write FROM IMAGE, or FROM IMAGE AS NAME"), error);
		if (plan->stages->len > 0)
			g_array_index(plan->stages, Stage, plan->stages->len - 1).end = i;
		const Stage stage = {.name = count == 3 ? g_strdup(words[2]) : NULL, .first = i, .end = all->len};
		g_array_append_val(plan->stages, stage);
	}
	return true;
}

static void stage_clear(gpointer data)
{
	Stage *stage = data;
	g_free(stage->name);
	g_free(stage->key);
	json_decref(stage->config);
	json_decref(stage->args);
}

/* The image with its config: the last layers, as they are run. */
static void end_plan(Build *build, const Stage *stage)
{
	g_autoptr(Hash) hash = hash_new();
	build->config = json_incref(stage->config);
	build->last = g_strdup(stage->key);
	g_autofree char *config = json_dumps(stage->config, JSON_COMPACT | JSON_SORT_KEYS);
	hash_text(hash, "config");
	hash_text(hash, stage->key);
	hash_text(hash, build->conditions);
	hash_text(hash, config);
	build->key = digest_of(hash);
}

/* ---- users ---- */

static bool is_root(const char *user)
{
	static const char *const names[] = {"", "0", "root", NULL};
	g_auto(GStrv) parts = g_strsplit(user ? user : "", ":", 2);
	return !parts[0] || (g_strv_contains((const char *const *)names, parts[0]) &&
	                            (!parts[1] || g_strv_contains((const char *const *)names, parts[1])));
}

/* By the file alone: most that have others say so plainly. */
static bool says_others(const Dockerfile *file)
{
	for (guint i = 0; i < file->instructions->len; i++) {
		const DockerInstruction *one = file->instructions->pdata[i];
		if (one->verb == DOCKER_USER && !is_root(one->rest))
			return true;
	}
	return false;
}

static bool has_others(const Build *build)
{
	for (guint i = 0; i < build->ops->len; i++)
		if (!is_root(((const BuildOp *)build->ops->pdata[i])->user))
			return true;
	return !is_root(json_get_string(build->config, "User", ""));
}

static bool plan_all(Build *build, GError **error)
{
	Plan plan = {.build = build, .stages = g_array_new(FALSE, TRUE, sizeof(Stage)), .globals = json_object()};
	g_array_set_clear_func(plan.stages, stage_clear);
	bool good = find_stages(&plan, error) && plan_stage(&plan, plan.stages->len - 1, error);
	if (good)
		end_plan(build, &g_array_index(plan.stages, Stage, plan.stages->len - 1));
	g_array_unref(plan.stages);
	json_decref(plan.globals);
	return good;
}

bool build_plan(Build *build, GError **error)
{
	build->one_user = says_others(build->file);
	if (!plan_all(build, error))
		return false;
	if (build->one_user || !has_others(build))
		return true;
	/* A base's own user, or one that a variable names. */
	build->one_user = true;
	g_ptr_array_set_size(build->ops, 0);
	g_clear_pointer(&build->last, g_free);
	g_clear_pointer(&build->key, g_free);
	g_clear_pointer(&build->config, json_decref);
	return plan_all(build, error);
}
