/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Built-in replacements of the actions that everybody uses: one row each. They do what the originals do as far as this
 * machine can; an input that asks for more is an error that says so.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/actions.h"
#include "agent/job/artifacts.h"
#include "agent/job/cache.h"
#include "agent/job/checkout.h"
#include "agent/job/setup.h"

static bool is_true(const json_t *with, const char *name)
{
	return g_ascii_strcasecmp(json_get_string(with, name, "false"), "true") == 0;
}

/* An input that is there and not empty. */
static const char *given(const json_t *with, const char *name)
{
	const char *text = json_get_string(with, name, "");
	return text[0] ? text : NULL;
}

/* A path of an input as one below the workspace. */
static char *below_workspace(const Job *job, const char *path)
{
	size_t len = strlen(job->workspace_inside);
	if (strncmp(path, job->workspace_inside, len) == 0 && (path[len] == '/' || !path[len]))
		path += len;
	while (path[0] == '/')
		path++;
	return g_strdup(path);
}

static const ActionInput checkout_inputs[] = {
        {"repository", NULL, false},
        {"ref", NULL, false},
        {"path", NULL, false},
        {"fetch-depth", "1", false},
        {"fetch-tags", "false", false},
        {"clean", "true", false},
        {"submodules", "false", false},
        {"lfs", "false", false},
        {"sparse-checkout", NULL, false},
        {"sparse-checkout-cone-mode", "true", false},
        {"filter", NULL, true}, /* the mirror has everything: there is nothing to spare */
        {"token", NULL, false},
        {"ssh-key", NULL, false},
        {"ssh-known-hosts", NULL, false},
        {"ssh-strict", "true", false},
        {"ssh-user", NULL, false},
        {"persist-credentials", "true", false},
        {"show-progress", NULL, true},
        {"set-safe-directory", NULL, true}, /* the folder is the job's user's own */
        {"github-server-url", NULL, true},
        {"allow-unsafe-pr-checkout", NULL, true},
        {NULL, NULL, false},
};

static bool run_checkout(Job *job, const json_t *with, GError **error)
{
	const char *repository = given(with, "repository");
	if (repository && g_ascii_strcasecmp(repository, task_repo_name(job->task)) == 0)
		repository = NULL;
	if (repository && !strchr(repository, '/'))
		return fail(error, ASSAY_ERROR_USER, "actions/checkout: repository '%s' is no OWNER/NAME", repository);
	gint64 depth = 0;
	if (!g_ascii_string_to_signed(json_get_string(with, "fetch-depth", "1"), 10, 0, G_MAXINT32, &depth, NULL))
		return fail(error, ASSAY_ERROR_USER, "actions/checkout: 'fetch-depth' is not a number from 0");
	const char *modules = json_get_string(with, "submodules", "false");
	bool recursive = g_ascii_strcasecmp(modules, "recursive") == 0;
	g_autofree char *path = given(with, "path") ? below_workspace(job, given(with, "path")) : NULL;
	const char *own = json_get_string(json_object_get(job->contexts, "github"), "token", "");
	const char *token = given(with, "token");
	const CheckoutSpec spec = {.repository = repository,
	        .ref = given(with, "ref"),
	        .path = path && path[0] ? path : NULL,
	        .depth = (int)depth,
	        .clean = is_true(with, "clean"),
	        .tags = is_true(with, "fetch-tags"),
	        .submodules = recursive ? G_MAXINT : is_true(with, "submodules"),
	        .lfs = is_true(with, "lfs"),
	        .sparse = given(with, "sparse-checkout"),
	        .cone = is_true(with, "sparse-checkout-cone-mode"),
	        .persist = is_true(with, "persist-credentials"),
	        .with = {.token = token ? token : own[0] ? own : NULL,
	                .ssh_key = given(with, "ssh-key"),
	                .ssh_user = given(with, "ssh-user"),
	                .known_hosts = given(with, "ssh-known-hosts"),
	                .any_host = !is_true(with, "ssh-strict")}};
	return checkout_run(job, &spec, error);
}

static const ActionInput upload_inputs[] = {
        {"name", "artifact", false},
        {"path", NULL, false},
        {"if-no-files-found", "warn", false},
        {"include-hidden-files", "false", false},
        {"retention-days", NULL, false},
        {"compression-level", NULL, true},
        {"overwrite", "false", false},
        {"archive", "true", true}, /* the tree is kept, not an archive of it */
        {NULL, NULL, false},
};

static bool run_upload(Job *job, const json_t *with, GError **error)
{
	ArtifactSpec spec = {.name = json_get_string(with, "name", "artifact"),
	        .patterns = json_get_string(with, "path", ""),
	        .hidden = is_true(with, "include-hidden-files"),
	        .overwrite = is_true(with, "overwrite")};
	if (!spec.patterns[0])
		return fail(error, ASSAY_ERROR_USER, "actions/upload-artifact: input 'path' is required");
	if (given(with, "retention-days") &&
	        !g_ascii_string_to_signed(given(with, "retention-days"), 10, 0, 36500, &spec.days, NULL))
		return fail(error, ASSAY_ERROR_USER, "actions/upload-artifact: 'retention-days' is not a number of days");
	const char *otherwise = json_get_string(with, "if-no-files-found", "warn");
	if (strcmp(otherwise, "warn") != 0 && strcmp(otherwise, "error") != 0 && strcmp(otherwise, "ignore") != 0)
		return fail(error, ASSAY_ERROR_USER, "actions/upload-artifact: 'if-no-files-found' is not warn, error or ignore");
	ArtifactPut put = {0};
	if (!artifacts_put(job, &spec, &put, error))
		return false;
	if (put.files > 0) {
		const json_t *github = json_object_get(job->contexts, "github");
		g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, put.id);
		g_autofree char *url = g_strdup_printf("%s/%s/actions/runs/%s/artifacts/%s", json_get_string(job->spec, "server_url", ""),
		        json_get_string(github, "repository", ""), json_get_string(github, "run_id", ""), id);
		json_set_string(job->step_outputs, "artifact-digest", put.digest);
		json_set_string(job->step_outputs, "artifact-id", id);
		json_set_string(job->step_outputs, "artifact-url", url);
		return true;
	}
	g_autofree char *message = g_strdup_printf("No files were found with the provided path: %s. No artifacts will be "
	                                           "uploaded.",
	        spec.patterns);
	if (strcmp(otherwise, "error") == 0)
		return fail(error, ASSAY_ERROR_ABSENT, "%s", message);
	if (strcmp(otherwise, "warn") == 0)
		job_annotate(job, "warning", message);
	else
		joblog_say(job->log, "", message);
	return true;
}

static const ActionInput download_inputs[] = {
        {"name", NULL, false},
        {"path", NULL, false},
        {"pattern", NULL, false},
        {"merge-multiple", "false", false},
        {"artifact-ids", NULL, false},
        {"repository", NULL, false},
        {"run-id", NULL, false},
        {"github-token", NULL, true},
        {"skip-decompress", NULL, true},
        {"digest-mismatch", NULL, true}, /* the store checks every byte */
        {NULL, NULL, false},
};

static bool run_download(Job *job, const json_t *with, GError **error)
{
	const char *repository = given(with, "repository");
	const char *run = given(with, "run-id");
	ArtifactWish wish = {.name = given(with, "name"), .pattern = given(with, "pattern"), .ids = given(with, "artifact-ids"),
	        .merge = is_true(with, "merge-multiple")};
	if (repository && g_ascii_strcasecmp(repository, task_repo_name(job->task)) != 0)
		return fail(error, ASSAY_ERROR_USER, "actions/download-artifact: artifacts of %s are not to be had here, only those "
		            "of %s", repository, task_repo_name(job->task));
	if (wish.name && wish.ids)
		return fail(error, ASSAY_ERROR_USER, "actions/download-artifact: give 'name' or 'artifact-ids', not both");
	if (run && !g_ascii_string_to_signed(run, 10, 1, G_MAXINT64, &wish.run, NULL))
		return fail(error, ASSAY_ERROR_USER, "actions/download-artifact: 'run-id' is not a run's number");
	g_autofree char *path = below_workspace(job, json_get_string(with, "path", ""));
	wish.path = path[0] ? path : ".";
	if (!artifacts_get(job, &wish, error))
		return false;
	g_autofree char *inside = g_build_filename(job->workspace_inside, path, NULL);
	json_set_string(job->step_outputs, "download-path", inside);
	return true;
}

static const ActionInput cache_inputs[] = {
        {"path", NULL, false},
        {"key", NULL, false},
        {"restore-keys", NULL, false},
        {"upload-chunk-size", NULL, true},
        {"enablecrossosarchive", NULL, true},
        {"fail-on-cache-miss", NULL, false},
        {"lookup-only", NULL, false},
        {"save-always", NULL, true},
        {NULL, NULL, false},
};

static bool run_cache_restore(Job *job, const json_t *with, GError **error)
{
	return cache_restore(job, with, NULL, error);
}

static bool run_cache(Job *job, const json_t *with, GError **error)
{
	bool hit = false;
	if (!cache_restore(job, with, &hit, error))
		return false;
	if (!hit && !is_true(with, "lookup-only")) /* saved when all has gone well */
		cache_save_later(job, with);
	return true;
}

const Action actions[] = {
        {"actions/cache", "folders kept between runs by key", cache_inputs, run_cache},
        {"actions/cache/restore", "the first half of actions/cache", cache_inputs, run_cache_restore},
        {"actions/cache/save", "the second half of actions/cache", cache_inputs, cache_save},
        {"actions/checkout", "the repository at the run's commit, from the agent's mirror", checkout_inputs, run_checkout},
        {"actions/download-artifact", "an artifact of the same run", download_inputs, run_download},
        {"actions/setup-node", "a Node.js that this machine has", setup_node_inputs, setup_node},
        {"actions/setup-python", "a Python that this machine has", setup_python_inputs, setup_python},
        {"actions/upload-artifact", "files of the workspace, kept with the run", upload_inputs, run_upload},
        {NULL, NULL, NULL, NULL},
};
