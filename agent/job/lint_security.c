/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stranger could do with a workflow: rules about events, permissions, secrets, actions and images. They look at
 * one step, one job or the file as a whole; nothing is fetched, so what only a registry knows is not said.
 */
#include <string.h>

#include "agent/job/actions.h"
#include "agent/job/lint_rules.h"
#include "agent/model/expr.h"

#define SHA1_HEX 40
#define SHA256_HEX 64

/* Names that a stranger chooses: by opening an issue or a pull request, by a branch's name, by a commit's text. '*' is
 * one name. After the list of GitHub's security lab. */
static const char *const untrusted[] = {
        "github.head_ref", "github.event.issue.title", "github.event.issue.body", "github.event.pull_request.title",
        "github.event.pull_request.body", "github.event.pull_request.head.ref", "github.event.pull_request.head.label",
        "github.event.pull_request.head.repo.default_branch", "github.event.comment.body", "github.event.review.body",
        "github.event.review_comment.body", "github.event.discussion.title", "github.event.discussion.body",
        "github.event.pages.*.page_name", "github.event.commits.*.message", "github.event.commits.*.author.email",
        "github.event.commits.*.author.name", "github.event.head_commit.message",
        "github.event.head_commit.author.email", "github.event.head_commit.author.name",
        "github.event.workflow_run.head_branch", "github.event.workflow_run.display_title",
        "github.event.workflow_run.head_commit.message", "github.event.workflow_run.head_commit.author.name",
        "github.event.workflow_run.head_commit.author.email", "github.event.workflow_run.pull_requests.*.head.ref"};

/** Does one of the paths begin with these names, a `*` of either side being any name? `github.event` holds them all. */
bool lint_is_untrusted(const ExprReference *reference)
{
	for (size_t i = 0; i < G_N_ELEMENTS(untrusted); i++) {
		g_auto(GStrv) path = g_strsplit(untrusted[i], ".", -1);
		bool fits = true;
		size_t at = 0;
		for (; path[at] && reference->parts[at] && fits; at++)
			fits = strcmp(path[at], "*") == 0 || strcmp(reference->parts[at], "*") == 0 ||
			       g_ascii_strcasecmp(path[at], reference->parts[at]) == 0;
		/* What is asked for below a text is nothing. */
		if (fits && !reference->parts[at])
			return true;
	}
	return false;
}

/* The whole file */

static void check_permissions(Lint *lint, const YamlNode *permissions, const char *where, bool shared)
{
	if (permissions->text && strcmp(permissions->text, "write-all") == 0)
		lint_warn(lint, permissions, "excessive-permissions",
		        "the token may write everything %s; name what is written", where);
	else if (permissions->text && strcmp(permissions->text, "read-all") == 0)
		lint_warn(lint, permissions, "excessive-permissions", "the token may read everything %s; name what is read",
		        where);
	for (size_t i = 0; shared && permissions->kind == YAML_MAPPING && i + 1 < permissions->items_len; i += 2)
		if (strcmp(permissions->items[i + 1]->text, "write") == 0)
			lint_warn(lint, permissions->items[i], "excessive-permissions",
			        "'%s: write' is given to every job; give it to the job that writes", permissions->items[i]->text);
}

static bool every_job_has(const Lint *lint, const char *key)
{
	bool all = lint->jobs->items_len > 0;
	for (size_t i = 0; i + 1 < lint->jobs->items_len; i += 2)
		all = all && yaml_get(lint->jobs->items[i + 1], key);
	return all;
}

static const YamlNode *event_node(const Lint *lint, const char *event)
{
	for (size_t i = 0; lint->on->kind == YAML_MAPPING && i + 1 < lint->on->items_len; i += 2)
		if (strcmp(lint->on->items[i]->text, event) == 0)
			return lint->on->items[i];
	for (size_t i = 0; lint->on->kind == YAML_SEQUENCE && i < lint->on->items_len; i++)
		if (g_strcmp0(lint->on->items[i]->text, event) == 0)
			return lint->on->items[i];
	return lint->on;
}

static void check_unsafe_commands(Lint *lint, const YamlNode *env)
{
	const YamlNode *allowed = yaml_get(env, "ACTIONS_ALLOW_UNSECURE_COMMANDS");
	if (lint_is_true(allowed))
		lint_warn(lint, allowed, "insecure-commands",
		        "with this, anything that a step prints can set variables of later steps; write to the file "
		        "$GITHUB_ENV instead");
}

void lint_workflow_security(Lint *lint)
{
	static const char *const dangerous[] = {"pull_request_target", "workflow_run"};
	for (size_t i = 0; i < G_N_ELEMENTS(dangerous); i++)
		if (lint_has_event(lint, dangerous[i]))
			lint_warn(lint, event_node(lint, dangerous[i]), "dangerous-triggers",
			        "'%s' runs with the repository's secrets on what a stranger sent; use 'pull_request' where "
			        "no secret is needed, and never run the stranger's code here",
			        dangerous[i]);
	const YamlNode *permissions = yaml_get(lint->root, "permissions");
	if (permissions)
		check_permissions(lint, permissions, "in every job", lint->jobs->items_len > 2);
	else if (!every_job_has(lint, "permissions"))
		lint_warn(lint, lint->root, "excessive-permissions",
		        "without 'permissions' the token has the repository's default, which may be to write; say what is "
		        "needed: 'permissions: {contents: read}'");
	if (lint_has_event(lint, "pull_request") && !yaml_get(lint->root, "concurrency") && !every_job_has(lint, "concurrency"))
		lint_warn(lint, event_node(lint, "pull_request"), "concurrency-limits",
		        "each push to a pull request starts a run beside the older ones; add 'concurrency' with a group and "
		        "'cancel-in-progress: true'");
	check_unsafe_commands(lint, yaml_get(lint->root, "env"));
}

/* Jobs */

static void check_image(Lint *lint, const YamlNode *at, const char *image)
{
	if (!image || !*image || expr_is_template(image) || strstr(image, "@sha256:"))
		return;
	const char *slash = strrchr(image, '/');
	const char *tag = strrchr(slash ? slash : image, ':');
	if (!tag || strcmp(tag, ":latest") == 0)
		lint_warn(lint, at, "unpinned-images",
		        "'%s' can be another image tomorrow; write a version, or better a digest: %.*s@sha256:…", image,
		        tag ? (int)(tag - image) : (int)strlen(image), image);
}

static void check_container(Lint *lint, const YamlNode *container)
{
	if (!container || container->kind == YAML_NULL)
		return;
	const YamlNode *image = container->text ? container : yaml_get(container, "image");
	if (image && image->kind == YAML_STRING)
		check_image(lint, image, image->text);
	const YamlNode *password = yaml_get(yaml_get(container, "credentials"), "password");
	if (password && password->text && !expr_is_template(password->text))
		lint_warn(lint, password, "hardcoded-container-credentials",
		        "whoever can read this file can read this password; store it as a secret: ${{ secrets.NAME }}");
	check_unsafe_commands(lint, yaml_get(container, "env"));
}

static bool has_label(const YamlNode *runs_on, const char *label)
{
	const YamlNode *labels = runs_on && runs_on->kind == YAML_MAPPING ? yaml_get(runs_on, "labels") : runs_on;
	for (size_t i = 0; i < lint_count(labels); i++)
		if (g_strcmp0(lint_item(labels, i)->text, label) == 0)
			return true;
	return false;
}

static const YamlNode *find_action(const YamlNode *steps, const char *name, size_t from)
{
	for (size_t i = from; steps && i < steps->items_len; i++) {
		g_autofree char *action = lint_action(steps->items[i]);
		if (g_strcmp0(action, name) == 0)
			return steps->items[i];
	}
	return NULL;
}

/** Is everything of the workspace among the paths of an upload? */
static bool uploads_workspace(const YamlNode *step)
{
	const char *path = lint_text(yaml_get(step, "with"), "path");
	g_auto(GStrv) lines = g_strsplit(path ? path : "", "\n", -1);
	static const char *const whole[] = {".", "./", "*", "./*", "**", "./**", "**/*", ".git", "./.git",
	        "${{ github.workspace }}", "${{github.workspace}}", NULL};
	for (char **line = lines; *line; line++)
		if (g_strv_contains(whole, g_strstrip(*line)))
			return true;
	return false;
}

static void check_artifacts(Lint *lint, const YamlNode *steps)
{
	const YamlNode *checkout = find_action(steps, "actions/checkout", 0);
	const YamlNode *kept = yaml_get(yaml_get(checkout, "with"), "persist-credentials");
	if (!checkout || (kept && !lint_is_true(kept)))
		return;
	for (size_t i = 0; i < steps->items_len; i++) {
		g_autofree char *action = lint_action(steps->items[i]);
		if (g_strcmp0(action, "actions/upload-artifact") == 0 && uploads_workspace(steps->items[i]))
			lint_warn(lint, steps->items[i], "artipacked",
			        "the workspace is uploaded with .git, where the checkout keeps its credentials; give the "
			        "checkout 'persist-credentials: false', or upload less");
	}
}

void lint_job_security(Lint *lint, const YamlNode *id, const YamlNode *job)
{
	const YamlNode *permissions = yaml_get(job, "permissions");
	if (permissions)
		check_permissions(lint, permissions, "in this job", false);
	check_container(lint, yaml_get(job, "container"));
	const YamlNode *services = yaml_get(job, "services");
	for (size_t i = 0; services && services->kind == YAML_MAPPING && i + 1 < services->items_len; i += 2)
		check_container(lint, services->items[i + 1]);
	check_unsafe_commands(lint, yaml_get(job, "env"));
	check_artifacts(lint, yaml_get(job, "steps"));
	const YamlNode *secrets = yaml_get(job, "secrets");
	if (secrets && secrets->text && strcmp(secrets->text, "inherit") == 0)
		lint_warn(lint, secrets, "secrets-inherit",
		        "the called workflow gets every secret of this one; name those that it needs");
	bool strangers = lint_has_event(lint, "pull_request") || lint->dangerous;
	if (strangers && has_label(yaml_get(job, "runs-on"), "self-hosted"))
		lint_warn(lint, yaml_get(job, "runs-on"), "self-hosted-runner",
		        "job '%s' runs code of pull requests on the project's own machines; keep what it can reach small, "
		        "and let strangers' first runs be approved",
		        id->text);
	const YamlNode *uses = yaml_get(job, "uses");
	const char *at = uses && uses->text ? strrchr(uses->text, '@') : NULL;
	if (at && strspn(at + 1, "0123456789abcdefABCDEF") != strlen(at + 1))
		lint_warn(lint, uses, "unpinned-uses", "'%s' can be another workflow tomorrow; write a commit behind the '@'",
		        uses->text);
}

/* Steps */

static bool is_commit(const char *ref)
{
	size_t len = strlen(ref);
	return (len == SHA1_HEX || len == SHA256_HEX) && strspn(ref, "0123456789abcdefABCDEF") == len;
}

/** Is this one of ours, whose code is the agent's whatever version is written? */
static bool is_built_in(const char *action)
{
	for (size_t i = 0; actions[i].name; i++)
		if (strcmp(actions[i].name, action) == 0)
			return true;
	return g_str_has_prefix(action, "assay/");
}

static void check_uses(Lint *lint, const YamlNode *uses)
{
	if (g_str_has_prefix(uses->text, "docker://")) {
		check_image(lint, uses, uses->text + strlen("docker://"));
		return;
	}
	g_autofree char *action = g_strndup(uses->text, strcspn(uses->text, "@"));
	g_auto(GStrv) parts = g_strsplit(action, "/", -1);
	bool local = strcmp(parts[0], ".") == 0 || strcmp(parts[0], "$") == 0;
	for (size_t i = local ? 1 : 0; parts[i]; i++) {
		bool last = local && !parts[i + 1] && !*parts[i];
		if (!last && (!*parts[i] || strcmp(parts[i], ".") == 0 || (strcmp(parts[i], "..") == 0 && !local)))
			lint_warn(lint, uses, "obfuscation", "the path of '%s' hides which action it is; write it plainly",
			        uses->text);
	}
	const char *ref = strchr(uses->text, '@');
	if (!local && ref && !is_built_in(action) && !is_commit(ref + 1))
		lint_warn(lint, uses, "unpinned-uses",
		        "'%s' can be another program tomorrow; write the commit behind the '@', and the version as a comment",
		        uses->text);
}

/** A checkout of what the stranger sent, where the workflow has the repository's rights. */
static void check_checkout(Lint *lint, const YamlNode *step)
{
	static const char *const heads[] = {"github.event.pull_request.head", "github.head_ref",
	        "github.event.workflow_run.head", "github.event.number", "github.event.issue.number", "refs/pull/"};
	const YamlNode *with = yaml_get(step, "with");
	static const char *const keys[] = {"ref", "repository"};
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		const YamlNode *value = yaml_get(with, keys[i]);
		for (size_t j = 0; value && value->text && j < G_N_ELEMENTS(heads); j++)
			if (strstr(value->text, heads[j])) {
				lint_warn(lint, value, "untrusted-checkout",
				        "this fetches a stranger's code where the repository's secrets are; whatever runs of it "
				        "(a build, a test, an installer) has them");
				return;
			}
	}
}

static void check_cache(Lint *lint, const YamlNode *step, const char *action)
{
	const YamlNode *with = yaml_get(step, "with");
	const char *cache = lint_text(with, "cache");
	bool reads = g_str_has_prefix(action, "actions/cache") && !g_str_has_suffix(action, "/save");
	bool sets_up = strstr(action, "/setup-") && cache && *cache && strcmp(cache, "false") != 0;
	if (reads || sets_up)
		lint_warn(lint, yaml_get(step, "uses"), "cache-poisoning",
		        "a release takes what an earlier run put into the cache, perhaps one that a pull request had changed; "
		        "build releases without a cache");
}

/** Lines of a script that write something not written out here to GITHUB_ENV or GITHUB_PATH. */
static void check_environment_files(Lint *lint, const YamlNode *run)
{
	static const char *const files[] = {"GITHUB_ENV", "GITHUB_PATH"};
	if (!strstr(run->text, files[0]) && !strstr(run->text, files[1]))
		return;
	g_auto(GStrv) lines = g_strsplit(run->text, "\n", -1);
	for (char **line = lines; *line; line++)
		for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
			const char *file = strstr(*line, files[i]);
			if (!file || !strchr(*line, '>'))
				continue;
			g_autofree char *before = g_strndup(*line, (size_t)(file - *line));
			size_t end = strlen(before);
			while (end > 0 && strchr("${\"'> ", before[end - 1]))
				before[--end] = '\0';
			bool stranger = false;
			const char *p = before;
			const char *expression = NULL;
			size_t len = 0;
			while (expr_next(&p, before + end, &expression, &len)) {
				ExprFacts facts;
				expr_facts(expression, len, &facts);
				for (guint j = 0; j < facts.references->len; j++)
					stranger = stranger || lint_is_untrusted(g_ptr_array_index(facts.references, j));
				expr_facts_clear(&facts);
			}
			bool computed = strpbrk(before, "$`") || !strstr(before, "echo");
			if (stranger || (lint->dangerous && computed))
				lint_warn_text(lint, run, files[i], "github-env",
				        "what is written here is set for all later steps, and a stranger may choose it: LD_PRELOAD "
				        "is enough to run a program; hand the value on by an output");
		}
}

void lint_step_security(Lint *lint, const YamlNode *job, const YamlNode *step)
{
	const YamlNode *uses = yaml_get(step, "uses");
	const YamlNode *run = yaml_get(step, "run");
	(void)job;
	check_unsafe_commands(lint, yaml_get(step, "env"));
	if (uses && uses->text) {
		g_autofree char *action = lint_action(step);
		check_uses(lint, uses);
		if (lint->dangerous && strcmp(action, "actions/checkout") == 0)
			check_checkout(lint, step);
		if (lint->releases)
			check_cache(lint, step, action);
	}
	if (run && run->text)
		check_environment_files(lint, run);
}
