/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One folder for each repository and ref: _actions/owner/repo/ref in the job's work folder, where GitHub's runner has
 * it. What is run lies there and belongs to the job's user; what is read for us (action.yml) comes from the commit, or
 * by tree.c's rules from the workspace, and is never a link.
 */
#include "agent/job/action_use.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/action_source.h"
#include "agent/job/actions.h"
#include "agent/job/build.h"

#define REPOS_MAX 100

/* A repository at a ref. */
typedef struct Brought {
	ActionSource *source;
	char *work; /* its folder below work/ */
} Brought;

struct ActionUses {
	GHashTable *brought; /* "owner/repo@ref" → Brought */
	GHashTable *known;   /* "owner/repo/folder@ref" → ActionUse, borrowed */
	GPtrArray *all;      /* ActionUse: they stay as long as the job, since posts remember them */
};

static void brought_free(gpointer data)
{
	Brought *brought = data;
	action_source_free(brought->source);
	g_free(brought->work);
	g_free(brought);
}

static void use_free(gpointer data)
{
	ActionUse *use = data;
	g_free(use->uses);
	g_free(use->repo);
	g_free(use->ref);
	g_free(use->folder);
	g_free(use->inside);
	g_free(use->work);
	g_free(use->made);
	action_file_free(use->file);
	g_free(use);
}

void action_uses_free(ActionUses *uses)
{
	if (!uses)
		return;
	g_hash_table_unref(uses->known);
	g_hash_table_unref(uses->brought);
	g_ptr_array_unref(uses->all);
	g_free(uses);
}

static ActionUses *uses_of(Job *job)
{
	if (job->uses)
		return job->uses;
	job->uses = g_new0(ActionUses, 1);
	job->uses->brought = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, brought_free);
	job->uses->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	job->uses->all = g_ptr_array_new_with_free_func(use_free);
	return job->uses;
}

/* Bringing a repository */

static Brought *bring(Job *job, const ActionName *name, GError **error)
{
	ActionUses *uses = uses_of(job);
	g_autofree char *lower = g_ascii_strdown(name->repo, -1);
	g_autofree char *key = g_strconcat(lower, "@", name->ref, NULL);
	Brought *known = g_hash_table_lookup(uses->brought, key);
	if (known)
		return known;
	if (g_hash_table_size(uses->brought) >= REPOS_MAX) {
		fail(error, ASSAY_ERROR_USER, "the job uses more than %d other repositories", REPOS_MAX);
		return NULL;
	}
	g_autoptr(ActionSource) source = action_source_open(job->task, name->repo, name->ref, error);
	if (!source)
		return NULL;
	/* A ref's slashes would let one lie within the other; '~' is in no ref. */
	g_autofree char *flat = g_strdelimit(g_strdup(name->ref), "/", '~');
	g_autofree char *work = g_strconcat("_actions/", name->repo, "/", flat, NULL);
	autofd int folder = tree_make_folder(job->work_fd, work, job->owner, error);
	if (folder < 0 || !tree_empty(folder, NULL, error) || !action_source_write(source, folder, job->owner, error))
		return NULL;
	joblog_sayf(job->log, "", "Download action repository '%s@%s' (SHA:%s)", name->repo, name->ref,
	        action_source_sha(source));
	if (action_source_notice(source))
		job_annotate(job, "notice", action_source_notice(source));
	Brought *brought = g_new0(Brought, 1);
	brought->source = g_steal_pointer(&source);
	brought->work = g_steal_pointer(&work);
	g_hash_table_insert(uses->brought, g_steal_pointer(&key), brought);
	return brought;
}

/* Reading action.yml */

/* A file of the commit, or, where there is no source, of a folder below work/. NULL without an error: not there. */
static GBytes *read_file(Job *job, const ActionSource *source, const char *path, GError **error)
{
	g_autoptr(GError) why = NULL;
	GBytes *bytes = source ? action_source_read(source, path, ACTION_FILE_BYTES_MAX, &why)
	                       : tree_read_file(job->work_fd, path, ACTION_FILE_BYTES_MAX, &why);
	if (!bytes && !g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT))
		g_propagate_error(error, g_steal_pointer(&why));
	return bytes;
}

/* NULL without an error: there is no action in that folder. */
static ActionFile *read_action(Job *job, const ActionSource *source, const char *folder, const char *label, GError **error)
{
	static const char *const names[] = {"action.yml", "action.yaml", "Dockerfile", "dockerfile"};
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autoptr(GError) why = NULL;
		g_autofree char *path = folder[0] ? g_strconcat(folder, "/", names[i], NULL) : g_strdup(names[i]);
		g_autofree char *shown = g_strcmp0(label, "") == 0 ? g_strdup(names[i]) : g_strconcat(label, "/", names[i], NULL);
		g_autoptr(GBytes) bytes = read_file(job, source, path, &why);
		if (why) {
			fail(error, (AssayError)why->code, "%s cannot be read: %s", shown, why->message);
			return NULL;
		}
		if (!bytes)
			continue;
		if (i >= 2)
			return action_file_dockerfile(shown, names[i]);
		gsize len = 0;
		const char *text = g_bytes_get_data(bytes, &len);
		return action_file_read(text ? text : "", len, shown, error);
	}
	return NULL;
}

static ActionUse *use_new(Job *job, const char *uses, const char *folder, const char *work, ActionFile *file)
{
	ActionUse *use = g_new0(ActionUse, 1);
	use->uses = g_strdup(uses);
	use->folder = g_strdup(folder);
	use->work = folder[0] ? g_build_filename(work, folder, NULL) : g_strdup(work);
	use->inside = g_build_filename(job->place->work_inside, use->work, NULL);
	use->file = file;
	g_ptr_array_add(uses_of(job)->all, use);
	return use;
}

static ActionUse *find_remote(Job *job, const char *uses, const ActionName *name, GError **error)
{
	g_autofree char *key = g_strdup_printf("%s/%s@%s", name->repo, name->folder, name->ref);
	ActionUse *known = g_hash_table_lookup(uses_of(job)->known, key);
	if (known)
		return known;
	Brought *brought = bring(job, name, error);
	if (!brought)
		return NULL;
	g_autofree char *label = g_strdup_printf("%s@%s%s%s", name->repo, name->ref, name->folder[0] ? "/" : "", name->folder);
	g_autoptr(GError) why = NULL;
	ActionFile *file = read_action(job, brought->source, name->folder, label, &why);
	if (!file) {
		if (why)
			g_propagate_error(error, g_steal_pointer(&why));
		else
			fail(error, ASSAY_ERROR_ABSENT, "%s: no action.yml, action.yaml or Dockerfile there", label);
		return NULL;
	}
	ActionUse *use = use_new(job, uses, name->folder, brought->work, file);
	g_hash_table_insert(job->uses->known, g_steal_pointer(&key), use);
	use->repo = g_strdup(name->repo);
	use->ref = g_strdup(name->ref);
	return use;
}

/* `./path` in the workspace; always read anew, since steps may change it. NULL without an error: not there. */
static ActionUse *find_in_workspace(Job *job, const char *uses, GError **error)
{
	g_autofree char *base = g_strconcat("/", job->workspace, NULL);
	g_autofree char *whole = g_canonicalize_filename(uses + 2, base);
	const char *work = whole + 1;
	size_t len = strlen(job->workspace);
	bool within = strncmp(work, job->workspace, len) == 0 && (work[len] == '/' || !work[len]);
	const char *label = !within ? work : work[len] ? work + len + 1 : "";
	ActionFile *file = read_action(job, NULL, work, label, error);
	return file ? use_new(job, uses, "", work, file) : NULL;
}

/* `./path` of a composite action of another repository, which GitHub's runner has no meaning for. */
static ActionUse *find_beside(Job *job, const char *uses, const ActionUse *within, GError **error)
{
	const char *const bases[] = {"", within->folder};
	for (size_t i = 0; i < G_N_ELEMENTS(bases); i++) {
		g_autofree char *base = g_strconcat("/", bases[i], NULL);
		g_autofree char *folder = g_canonicalize_filename(uses + 2, base);
		ActionName name = {.repo = within->repo, .ref = within->ref, .folder = folder + 1};
		g_autoptr(GError) why = NULL;
		ActionUse *use = find_remote(job, uses, &name, &why);
		if (use)
			return use;
		if (!g_error_matches(why, ASSAY_ERROR, ASSAY_ERROR_ABSENT)) {
			g_propagate_error(error, g_steal_pointer(&why));
			return NULL;
		}
	}
	return NULL;
}

static ActionUse *find_local(Job *job, const char *uses, const ActionUse *within, GError **error)
{
	g_autoptr(GError) why = NULL;
	ActionUse *use = find_in_workspace(job, uses, &why);
	if (!use && !why && within && within->repo)
		use = find_beside(job, uses, within, &why);
	if (use)
		return use;
	if (why)
		g_propagate_error(error, g_steal_pointer(&why));
	else
		fail(error, ASSAY_ERROR_USER, "%s: the workspace has no action.yml, action.yaml or Dockerfile there; is a checkout "
		                              "missing before?", uses);
	return NULL;
}

ActionUse *action_use_find(Job *job, const char *uses, const ActionUse *within, GError **error)
{
	if (g_str_has_prefix(uses, "./"))
		return find_local(job, uses, within, error);
	ActionName name = {.repo = NULL};
	if (!action_name_parse(uses, &name, error))
		return NULL;
	ActionUse *use = find_remote(job, uses, &name, error);
	action_name_clear(&name);
	return use;
}

/* Before the first step */

static bool prepare_use(Job *job, const char *uses, const ActionUse *within, bool *out_pre, GError **error)
{
	if (actions_is_built_in(job, uses))
		return true;
	if (g_str_has_prefix(uses, "docker://"))
		return true;
	ActionUse *use = NULL;
	if (!g_str_has_prefix(uses, "./"))
		use = action_use_find(job, uses, within, error);
	else if (within && within->repo) { /* the workspace, where it is looked for first, is still empty */
		g_autoptr(GError) why = NULL;
		use = find_beside(job, uses, within, &why);
		if (why) {
			g_propagate_error(error, g_steal_pointer(&why));
			return false;
		}
	}
	if (!use)
		return g_str_has_prefix(uses, "./");
	if (!action_use_prepare_inner(job, use, error))
		return false;
	*out_pre = *out_pre || use->has_pre;
	return true;
}

bool action_use_make_image(Job *job, ActionUse *use, GError **error)
{
	const BuildSource source = {.uses = use->uses, .work = use->work, .inside = use->inside, .image = use->file->image};
	if (use->made && build_is_kept(job, use->made))
		return true;
	g_clear_pointer(&use->made, g_free);
	return build_image(job, &source, &use->made, error);
}

bool action_use_prepare_inner(Job *job, ActionUse *use, GError **error)
{
	if (use->busy)
		return fail(error, ASSAY_ERROR_USER, "%s uses itself, or actions that use it", use->uses);
	if (use->ready)
		return true;
	use->has_pre = use->repo && use->file->pre;
	if (use->file->using == ACTION_USING_DOCKER && !action_file_names_image(use->file) && !action_use_make_image(job, use, error))
		return false;
	use->busy = true;
	bool good = true;
	size_t i;
	json_t *step;
	json_array_foreach(use->file->steps, i, step) {
		const char *uses = json_get_string(step, "uses", NULL);
		if (good && uses && !prepare_use(job, uses, use, &use->has_pre, error)) {
			g_prefix_error(error, "%s:%d: ", use->file->path, g_array_index(use->file->lines, int, i));
			good = false;
		}
	}
	use->busy = false;
	use->ready = good;
	return good;
}

/* "path:line: step 'name': " of a step of the job's own. */
static char *place_of(const Job *job, const json_t *step, size_t i)
{
	const char *path = json_get_string(job->definition, "workflow-path", NULL);
	json_int_t line = json_integer_value(json_array_get(json_object_get(job->definition, "step-lines"), i));
	const char *name = json_get_string(step, "name", NULL);
	g_autofree char *called = name ? g_strdup(name) : g_strconcat("Run ", json_get_string(step, "uses", ""), NULL);
	if (path && line > 0)
		return g_strdup_printf("%s:%d: step '%s': ", path, (int)line, called);
	return g_strdup_printf("step %zu, '%s': ", i + 1, called);
}

bool action_use_prepare(Job *job, GError **error)
{
	size_t i;
	json_t *step;
	json_array_foreach(json_object_get(job->definition, "steps"), i, step) {
		const char *uses = json_get_string(step, "uses", NULL);
		bool pre = false;
		if (!uses || (task_flush(job->task, error) && prepare_use(job, uses, NULL, &pre, error)))
			continue;
		g_autofree char *place = place_of(job, step, i);
		g_prefix_error(error, "%s", place);
		return false;
	}
	return true;
}
