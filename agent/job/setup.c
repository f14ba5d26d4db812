/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A script in the job's place looks for programs, so that an image's are found as the machine's are; the newest that
 * fits is taken. Python stays the one that is there, with a user base of its own in the tool folder in front of PATH:
 * pip installs into that, what the machine has stays visible, and so do programs of the machine that use it
 * (docs/decisions/0141).
 */
#include "agent/job/setup.h"

#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/cache.h"
#include "agent/job/contexts.h"
#include "agent/job/files.h"
#include "agent/job/setup_wish.h"
#include "agent/job/steps.h"
#include "agent/model/version.h"

#define FOUND "assay-found"
#define WISH_BYTES_MAX (1024 * 1024)
#define FOLDERS "/usr/local/bin /usr/bin /opt/*/bin /opt/*/*/bin /opt/hostedtoolcache/*/*/*/bin"

static const char *given(const json_t *with, const char *name)
{
	const char *text = json_get_string(with, name, "");
	return text[0] ? text : NULL;
}

static bool is_false(const json_t *with, const char *name)
{
	return g_ascii_strcasecmp(json_get_string(with, name, "true"), "false") == 0;
}

/* A program that is there. */
typedef struct Found {
	char *version;
	char *path;
} Found;

static void found_free(gpointer data)
{
	Found *found = data;
	g_free(found->version);
	g_free(found->path);
	g_free(found);
}

static bool run_script(Job *job, const char *name, const char *script, GError **error)
{
	StepResult result = {.message = NULL};
	step_result_clear(&result);
	steps_script(job, name, script, "sh", NULL, &result);
	bool good = result.state == RUN_SUCCESS;
	if (!good)
		fail(error, ASSAY_ERROR_SYSTEM, "%s: %s", name, result.message);
	step_result_clear(&result);
	return good;
}

/* Runs a script that writes "version path" lines; the newest first, the first of each path's target only. */
static GPtrArray *look(Job *job, const char *what, const char *body, GError **error)
{
	g_autofree char *script = g_strdup_printf("{ echo '" FOUND "<<END_OF_FOUND'\nseen=\n%s\necho END_OF_FOUND; } >>\"$GITHUB_OUTPUT\"\n",
	        body);
	g_autofree char *name = g_strdup_printf("looking for %s", what);
	if (!run_script(job, name, script, error))
		return NULL;
	GPtrArray *all = g_ptr_array_new_with_free_func(found_free);
	g_auto(GStrv) lines = g_strsplit(json_get_string(job->step_outputs, FOUND, ""), "\n", -1);
	json_object_del(job->step_outputs, FOUND);
	for (char **line = lines; *line; line++) {
		const char *blank = strchr(*line, ' ');
		if (!blank || blank == *line || blank[1] != '/')
			continue;
		Found *found = g_new0(Found, 1);
		found->version = g_strndup(*line, (gsize)(blank - *line));
		found->path = g_strdup(blank + 1);
		g_ptr_array_add(all, found);
	}
	return all;
}

/* The newest that fits; an empty range takes the first, which is the one that PATH has. */
static const Found *choose(const GPtrArray *all, const char *range, bool prereleases)
{
	const Found *best = NULL;
	for (guint i = 0; i < all->len; i++) {
		const Found *one = all->pdata[i];
		if (version_fits(one->version, range, prereleases) &&
		        (!best || (range[0] && version_compare(one->version, best->version) > 0)))
			best = one;
	}
	return best;
}

static char *list(const GPtrArray *all)
{
	g_autoptr(GString) text = g_string_new(NULL);
	for (guint i = 0; i < all->len; i++)
		g_string_append_printf(text, "%s%s", i ? ", " : "", ((const Found *)all->pdata[i])->version);
	return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : g_strdup("none");
}

/* The wish: from the input, or from the file that the other input names; "" when there is none. */
static char *read_wish(Job *job, const json_t *with, const char *input, const char *file_input,
        char *(*read)(const char *, const char *, GError **), GError **error)
{
	const char *file = given(with, file_input);
	if (given(with, input) && file)
		job_annotate(job, "warning", "Both a version and a file with one are given; the version is used");
	if (given(with, input) || !file)
		return g_strstrip(g_strdup(json_get_string(with, input, "")));
	size_t len = strlen(job->workspace_inside);
	bool absolute = strncmp(file, job->workspace_inside, len) == 0 && file[len] == '/';
	const char *path = absolute ? file + len + 1 : file;
	g_autoptr(GError) why = NULL;
	autofd int workspace = job_open_workspace(job, error);
	g_autoptr(GBytes) bytes = workspace < 0 ? NULL : tree_read_file(workspace, path, WISH_BYTES_MAX, &why);
	if (!bytes) {
		fail(error, ASSAY_ERROR_USER, "%s '%s': %s", file_input, file, why ? why->message : "there is no workspace");
		return NULL;
	}
	gsize size = 0;
	const char *raw = g_bytes_get_data(bytes, &size);
	g_autofree char *text = g_strndup(raw ? raw : "", size);
	g_autofree char *name = g_path_get_basename(path);
	return read(name, text, error);
}

static bool check_architecture(const json_t *with, const char *action, GError **error)
{
	const char *want = given(with, "architecture");
	if (!want || g_ascii_strcasecmp(want, contexts_arch()) == 0)
		return true;
	return fail(error, ASSAY_ERROR_USER, "%s: this machine is %s, not '%s'; remove 'architecture'", action, contexts_arch(), want);
}

static void export_variable(Job *job, const char *name, const char *value)
{
	json_set_string(job->env, name, value);
}

/* Caches of package managers, by the same cache as actions/cache */

typedef struct CacheKind {
	const char *manager;
	const char *path;
	const char *patterns; /* lines; those of the first line that fits count */
} CacheKind;

static char *hash_of(Job *job, const char *patterns, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(patterns, "\n", -1);
	g_autoptr(GPtrArray) wanted = g_ptr_array_new();
	for (char **line = lines; *line; line++)
		if (g_strstrip(*line)[0])
			g_ptr_array_add(wanted, *line);
	autofd int workspace = job_open_workspace(job, error);
	return workspace < 0 ? NULL : files_hash(workspace, (const char *const *)wanted->pdata, wanted->len, error);
}

/* The first that is there of the default files, or what the workflow names. */
static char *dependencies(Job *job, const json_t *with, const CacheKind *kind, GError **error)
{
	const char *own = given(with, "cache-dependency-path");
	g_auto(GStrv) defaults = g_strsplit(kind->patterns, "\n", -1);
	g_autofree char *hash = own ? hash_of(job, own, error) : NULL;
	if (own && !hash)
		return NULL;
	for (char **one = defaults; !own && *one && (!hash || !hash[0]); one++) {
		g_free(hash);
		if (!(hash = hash_of(job, *one, error)))
			return NULL;
	}
	if (hash && hash[0])
		return g_steal_pointer(&hash);
	fail(error, ASSAY_ERROR_USER, "cache: no file in the workspace fits %s; is a checkout missing before?", own ? own : kind->patterns);
	return NULL;
}

static bool use_cache(Job *job, const json_t *with, const char *action, const CacheKind *kinds, const char *version, GError **error)
{
	const char *manager = given(with, "cache");
	json_set_string(job->step_outputs, "cache-hit", "false");
	if (!manager)
		return true;
	const CacheKind *kind = kinds;
	while (kind->manager && strcmp(kind->manager, manager) != 0)
		kind++;
	if (!kind->manager) {
		g_autofree char *message = g_strdup_printf("%s: 'cache: %s' has no effect here; use actions/cache with the folders "
		                                           "that it keeps", action, manager);
		job_annotate(job, "notice", message);
		return true;
	}
	g_autofree char *hash = dependencies(job, with, kind, error);
	if (!hash)
		return false;
	const char *short_name = strrchr(action, '/') + 1;
	g_autoptr(json_t) wish = json_object();
	g_autofree char *stem = g_strdup_printf("%s-Linux-%s-%s-%s", short_name, contexts_arch(), version, manager);
	g_autofree char *key = g_strdup_printf("%s-%s", stem, hash);
	bool hit = false;
	json_set_string(wish, "path", kind->path);
	json_set_string(wish, "key", key);
	json_set_string(wish, "restore-keys", stem);
	if (!cache_restore(job, wish, &hit, error))
		return false;
	json_set_string(job->step_outputs, "cache-hit", hit ? "true" : "false");
	if (!hit) {
		cache_save_later(job, wish);
		JobPost *post = job->posts->pdata[job->posts->len - 1];
		g_free(post->name);
		post->name = g_strconcat("Run ", action, NULL);
	}
	return true;
}

/* Python */

const ActionInput setup_python_inputs[] = {
        {"python-version", NULL, false},
        {"python-version-file", NULL, false},
        {"cache", NULL, false},
        {"architecture", NULL, false},
        {"check-latest", NULL, true},
        {"token", NULL, true},
        {"cache-dependency-path", NULL, false},
        {"update-environment", "true", false},
        {"allow-prereleases", "false", false},
        {"freethreaded", "false", false},
        {"pip-version", NULL, false},
        {"pip-install", NULL, false},
        {NULL, NULL, false},
};

static GPtrArray *look_for_python(Job *job, GError **error)
{
	return look(job, "python",
	        "for d in " FOLDERS "; do for p in $d/python3 $d/python3.[0-9] $d/python3.[0-9][0-9]; do\n"
	        "[ -x \"$p\" ] || continue\n"
	        "r=$(readlink -f \"$p\") || r=$p\n"
	        "case \" $seen \" in *\" $r \"*) continue;; esac\n"
	        "seen=\"$seen $r\"\n"
	        "v=$(\"$p\" -I -S -c 'import sys; v = sys.version_info; print(\"%d.%d.%d\" % v[:3] + (\"\" if v[3] == \"final\" else "
	        "\"-%s.%d\" % v[3:5]))' 2>/dev/null) && echo \"$v $p\"\n"
	        "done; done",
	        error);
}

/* bin/ with python and pip by all their names, in front of everything else. */
static bool make_base(Job *job, const Found *found, const char *base, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(found->version, ".", 3);
	g_autofree char *script = g_strdup_printf(
	        "set -e\nb='%s'\np='%s'\nmkdir -p \"$b/bin\"\n"
	        "for n in python python3 python%s.%s; do ln -sfn \"$p\" \"$b/bin/$n\"; done\n"
	        "if PYTHONUSERBASE=$b \"$p\" -c 'import pip' 2>/dev/null || PYTHONUSERBASE=$b \"$p\" -m ensurepip --user >/dev/null 2>&1; then\n"
	        "for n in pip pip3 pip%s.%s; do [ -e \"$b/bin/$n\" ] || { printf '#!/bin/sh\\nexec \"%%s/bin/python\" -m pip \"$@\"\\n' \"$b\" "
	        ">\"$b/bin/$n\"; chmod 755 \"$b/bin/$n\"; }; done\n"
	        "else echo \"This python has no pip; install python3-pip where it comes from.\"; fi\n",
	        base, found->path, parts[0], parts[1], parts[0], parts[1]);
	return run_script(job, "setting python up", script, error);
}

static void export_python(Job *job, const char *base)
{
	static const char *const names[] = {"pythonLocation", "Python_ROOT_DIR", "Python2_ROOT_DIR", "Python3_ROOT_DIR",
	        "PYTHONUSERBASE"};
	g_autofree char *config = g_strconcat(base, "/lib/pkgconfig", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
		export_variable(job, names[i], base);
	export_variable(job, "PKG_CONFIG_PATH", config);
	export_variable(job, "PIP_BREAK_SYSTEM_PACKAGES", "1"); /* the base is the job's own: nothing of the system's breaks */
	g_ptr_array_add(job->paths, g_strconcat(base, "/bin", NULL));
}

static bool setup_one_python(Job *job, const json_t *with, const GPtrArray *all, const char *wish, GError **error)
{
	bool prereleases = g_ascii_strcasecmp(json_get_string(with, "allow-prereleases", "false"), "true") == 0 ||
	                   g_str_has_suffix(wish, "-dev");
	g_autofree char *range = setup_range_python(wish, error);
	if (!range) {
		g_prefix_error(error, "actions/setup-python: ");
		return false;
	}
	const Found *found = choose(all, range, prereleases);
	if (!found) {
		g_autofree char *there = list(all);
		/* what YAML makes of 3.10, 3.20 … without quotes */
		g_auto(GStrv) parts = g_strsplit(wish, ".", -1);
		bool cut = g_strv_length(parts) == 2 && strlen(parts[1]) == 1 && strcmp(parts[0], "3") == 0 && parts[1][0] < '4';
		return fail(error, ASSAY_ERROR_USER, "actions/setup-python: there is no python %s here (there is %s); install it, use a job "
		                                     "container that has it, or ask for what is there%s%s%s%s",
		        wish, there, cut ? ". Was 3." : "", cut ? parts[1] : "", cut ? "0 meant? It needs quotes: without them YAML "
		        "reads the number " : "", cut ? wish : "");
	}
	g_autofree char *base = g_strdup_printf("%s/_tool/Python/%s/%s", job->place->work_inside, found->version,
	        strcmp(contexts_arch(), "X64") == 0 ? "x64" : "arm64");
	g_autofree char *program = g_strconcat(base, "/bin/python", NULL);
	if (!make_base(job, found, base, error))
		return false;
	if (!is_false(with, "update-environment"))
		export_python(job, base);
	json_set_string(job->step_outputs, "python-version", found->version);
	json_set_string(job->step_outputs, "python-path", program);
	joblog_sayf(job->log, "", "Python %s: %s", found->version, found->path);
	return true;
}

bool setup_python(Job *job, const json_t *with, GError **error)
{
	static const CacheKind kinds[] = {{"pip", "~/.cache/pip", "**/requirements.txt\n**/pyproject.toml"}, {NULL, NULL, NULL}};
	static const char *const refused[] = {"pip-version", "pip-install"};
	for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
		if (given(with, refused[i]))
			return fail(error, ASSAY_ERROR_USER, "actions/setup-python: '%s' cannot be done here; run pip in a step", refused[i]);
	if (g_ascii_strcasecmp(json_get_string(with, "freethreaded", "false"), "true") == 0)
		return fail(error, ASSAY_ERROR_USER, "actions/setup-python: 'freethreaded' cannot be had here; use a job container that has it");
	g_autofree char *wishes = read_wish(job, with, "python-version", "python-version-file", setup_wish_python, error);
	if (!wishes || !check_architecture(with, "actions/setup-python", error))
		return false;
	if (!wishes[0])
		job_annotate(job, "warning", "The 'python-version' input is not set. The version of Python currently in 'PATH' will be used.");
	g_autoptr(GPtrArray) all = look_for_python(job, error);
	if (!all)
		return false;
	g_auto(GStrv) lines = g_strsplit(wishes, "\n", -1);
	for (char **line = lines; *line || line == lines; line++) { /* the last one stays in front */
		if (!setup_one_python(job, with, all, *line ? g_strstrip(*line) : "", error))
			return false;
		if (!*line)
			break;
	}
	return use_cache(job, with, "actions/setup-python", kinds, json_get_string(job->step_outputs, "python-version", ""), error);
}

/* Node */

const ActionInput setup_node_inputs[] = {
        {"always-auth", "false", false},
        {"node-version", NULL, false},
        {"node-version-file", NULL, false},
        {"architecture", NULL, false},
        {"check-latest", NULL, true},
        {"registry-url", NULL, false},
        {"scope", NULL, false},
        {"token", NULL, true},
        {"cache", NULL, false},
        {"package-manager-cache", NULL, true},
        {"cache-dependency-path", NULL, false},
        {"mirror", NULL, true},
        {"mirror-token", NULL, true},
        {NULL, NULL, false},
};

/* bin/ with node and what comes with it; what `npm install --global` installs goes there too. */
static bool make_node_base(Job *job, const Found *found, GError **error)
{
	g_autofree char *base = g_strdup_printf("%s/_tool/node/%s/%s", job->place->work_inside, found->version + (found->version[0] == 'v'),
	        strcmp(contexts_arch(), "X64") == 0 ? "x64" : "arm64");
	g_autofree char *folder = g_path_get_dirname(found->path);
	g_autofree char *script = g_strdup_printf("set -e\nb='%s'\nmkdir -p \"$b/bin\"\nln -sfn '%s' \"$b/bin/node\"\n"
	                                          "for n in npm npx corepack; do [ ! -x \"%s/$n\" ] || ln -sfn \"%s/$n\" \"$b/bin/$n\"; done\n",
	        base, found->path, folder, folder);
	if (!run_script(job, "setting node up", script, error))
		return false;
	export_variable(job, "NPM_CONFIG_PREFIX", base);
	g_ptr_array_add(job->paths, g_strconcat(base, "/bin", NULL));
	return true;
}

/* .npmrc in the temporary folder, as the action writes it; the token is taken from the environment when npm runs. */
static bool set_registry(Job *job, const json_t *with, GError **error)
{
	const char *url = given(with, "registry-url");
	if (!url)
		return true;
	g_autofree char *slashed = g_str_has_suffix(url, "/") ? g_strdup(url) : g_strconcat(url, "/", NULL);
	const char *bare = strstr(slashed, "//");
	const char *scope = json_get_string(with, "scope", "");
	if (!bare || strpbrk(url, "\r\n") || strpbrk(scope, "\r\n"))
		return fail(error, ASSAY_ERROR_USER, "actions/setup-node: 'registry-url' or 'scope' is no address or scope");
	g_autofree char *prefix = scope[0] ? g_strdup_printf("%s%s:", scope[0] == '@' ? "" : "@", scope) : g_strdup("");
	g_autofree char *text = g_strdup_printf("%s:_authToken=${NODE_AUTH_TOKEN}\n%sregistry=%s\nalways-auth=%s\n", bare, prefix,
	        slashed, json_get_string(with, "always-auth", "false"));
	autofd int folder = tree_make_folder(job->work_fd, "_temp", job->owner, error);
	if (folder < 0 || !tree_write_file(folder, ".npmrc", text, strlen(text), 0600, job->owner, error))
		return false;
	g_autofree char *path = g_strconcat(job->place->work_inside, "/_temp/.npmrc", NULL);
	export_variable(job, "NPM_CONFIG_USERCONFIG", path);
	if (!json_object_get(job->env, "NODE_AUTH_TOKEN"))
		export_variable(job, "NODE_AUTH_TOKEN", "XXXXX-XXXXX-XXXXX-XXXXX");
	return true;
}

bool setup_node(Job *job, const json_t *with, GError **error)
{
	static const CacheKind kinds[] = {{"npm", "~/.npm", "**/package-lock.json\n**/npm-shrinkwrap.json\n**/yarn.lock"},
	        {NULL, NULL, NULL}};
	g_autofree char *wish = read_wish(job, with, "node-version", "node-version-file", setup_wish_node, error);
	if (!wish || !check_architecture(with, "actions/setup-node", error))
		return false;
	g_autofree char *range = setup_range_node(wish, error);
	if (!range) {
		g_prefix_error(error, "actions/setup-node: ");
		return false;
	}
	g_autoptr(GPtrArray) all = look(job, "node",
	        "for d in " FOLDERS "; do for p in $d/node $d/nodejs; do\n"
	        "[ -x \"$p\" ] || continue\n"
	        "r=$(readlink -f \"$p\") || r=$p\n"
	        "case \" $seen \" in *\" $r \"*) continue;; esac\n"
	        "seen=\"$seen $r\"\n"
	        "v=$(\"$p\" --version 2>/dev/null) && echo \"$v $p\"\n"
	        "done; done", error);
	if (!all)
		return false;
	const Found *found = choose(all, range, false);
	if (!found) {
		g_autofree char *there = list(all);
		return fail(error, ASSAY_ERROR_USER, "actions/setup-node: there is no node %s here (there is %s); install it, use a job "
		                                     "container that has it, or ask for what is there", wish, there);
	}
	if (!make_node_base(job, found, error))
		return false;
	json_set_string(job->step_outputs, "node-version", found->version);
	joblog_sayf(job->log, "", "Node %s: %s", found->version, found->path);
	return set_registry(job, with, error) && use_cache(job, with, "actions/setup-node", kinds, found->version, error);
}
