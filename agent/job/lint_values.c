/* SPDX-License-Identifier: Apache-2.0 */
/* Values that are of the right kind and still cannot work: patterns, labels, shells, inputs, commands. */
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"
#include "agent/job/actions.h"
#include "agent/job/lint_rules.h"
#include "agent/mlstep.h"
#include "agent/model/cron.h"
#include "agent/model/expr.h"

#define SHORTEST_MINUTES 5
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Events */

/** What is wrong with a filter's pattern, or NULL; static. Refs cannot hold what git forbids in their names. */
static const char *pattern_fault(const char *pattern, bool ref)
{
	if (strcmp(pattern, "!") == 0)
		return "nothing stands behind the '!'";
	const char *p = pattern + (*pattern == '!');
	if (!ref && (g_str_has_prefix(p, "./") || g_str_has_prefix(p, "../") || g_str_has_prefix(p, "/")))
		return "paths begin at the repository's folder, without './' or '/'";
	if (*p == ' ' || (*p && p[strlen(p) - 1] == ' '))
		return "it has a space at its end";
	if (ref && (*p == '/' || g_str_has_suffix(p, "/") || strstr(p, "//")))
		return "a name of a branch or tag neither begins nor ends with '/', nor has two of them";
	for (; *p; p++) {
		if (*p == '\\') {
			if (!p[1])
				return "nothing stands behind the '\\'";
			if (ref && !strchr("[?*+\\!", p[1]))
				return "'\\' can only stand before one of [ ? * + \\ !";
			p++;
		} else if (*p == '[') {
			const char *close = strchr(p + 1, ']');
			if (!close)
				return "a '[' is not closed";
			if (close == p + 1)
				return "the set [] is empty";
			for (const char *q = p + 1; q + 2 < close; q++)
				if (q[1] == '-' && q[0] > q[2])
					return "a range of the set runs backwards";
			p = close;
		} else if ((*p == '?' || *p == '+') && (p == pattern || strchr("*?+", p[-1]) || (p[-1] == '!' && p - 1 == pattern))) {
			return "'?' and '+' say how often the character before them stands, and none does";
		} else if (ref && (strchr(" ~^:", *p) || g_ascii_iscntrl(*p))) {
			return "a name of a branch or tag cannot hold this character";
		}
	}
	return NULL;
}

static void check_patterns(Lint *lint, const YamlNode *filters)
{
	static const struct {
		const char *key;
		bool ref;
	} rows[] = {{"branches", true}, {"branches-ignore", true}, {"tags", true}, {"tags-ignore", true},
	        {"paths", false}, {"paths-ignore", false}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		const YamlNode *patterns = yaml_get(filters, rows[i].key);
		bool only_against = lint_count(patterns) > 0;
		for (size_t j = 0; j < lint_count(patterns); j++) {
			const YamlNode *one = lint_item(patterns, j);
			const char *fault = pattern_fault(one->text, rows[i].ref);
			only_against = only_against && *one->text == '!';
			if (fault)
				lint_warn(lint, one, "glob", "the pattern '%s' cannot be right: %s", one->text, fault);
			else if (*one->text == '!' && g_str_has_suffix(rows[i].key, "-ignore"))
				lint_warn(lint, one, "glob", "'%s' takes out already; write the pattern without '!'", rows[i].key);
			else if (rows[i].ref && g_str_has_prefix(one->text, "refs/"))
				lint_warn(lint, one, "glob", "patterns are for names without '%s'",
				        g_str_has_prefix(one->text, "refs/tags/") ? "refs/tags/" : "refs/heads/");
		}
		if (only_against && !g_str_has_suffix(rows[i].key, "-ignore"))
			lint_warn(lint, lint_item(patterns, 0), "glob",
			        "with '!' alone nothing is ever chosen; begin with a pattern for all: '**'");
	}
}

void lint_events(Lint *lint)
{
	for (size_t i = 0; lint->on->kind == YAML_MAPPING && i + 1 < lint->on->items_len; i += 2) {
		const char *event = lint->on->items[i]->text;
		const YamlNode *filters = lint->on->items[i + 1];
		check_patterns(lint, filters);
		const YamlNode *inputs = yaml_get(filters, "inputs");
		for (size_t j = 0; inputs && inputs->kind == YAML_MAPPING && j + 1 < inputs->items_len; j += 2) {
			const YamlNode *input = inputs->items[j + 1];
			if (lint_is_true(yaml_get(input, "required")) && yaml_get(input, "default") && strcmp(event, "workflow_call") == 0)
				lint_warn(lint, yaml_get(input, "default"), "superfluous",
				        "input '%s' is required, so its default is never used", inputs->items[j]->text);
		}
		for (size_t j = 0; strcmp(event, "schedule") == 0 && j < lint_count(filters); j++) {
			const YamlNode *cron = yaml_get(lint_item(filters, j), "cron");
			Cron read;
			if (cron && cron->text && cron_parse(cron->text, &read, NULL) && cron_shortest_minutes(&read) < SHORTEST_MINUTES)
				lint_warn(lint, cron, "schedule",
				        "this is due every %d minutes; GitHub starts a schedule every %d minutes at most",
				        cron_shortest_minutes(&read), SHORTEST_MINUTES);
		}
	}
	if (lint_has_event(lint, "schedule") && lint_count(lint_event(lint, "schedule")) == 0)
		lint_warn(lint, lint->on, "schedule", "'schedule' without a list of 'cron' never starts anything");
}

/* Jobs */

/** The system that a label of GitHub's own runners names: 'l', 'w', 'm', or 0. */
static char system_of(const char *label)
{
	if (g_str_has_prefix(label, "ubuntu") || g_ascii_strcasecmp(label, "linux") == 0)
		return 'l';
	if (g_str_has_prefix(label, "windows"))
		return 'w';
	return g_str_has_prefix(label, "macos") ? 'm' : '\0';
}

static bool label_is_known(const char *label)
{
	static const char *const labels[] = {"ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm", "ubuntu-22.04",
	        "ubuntu-22.04-arm", "ubuntu-26.04", "ubuntu-26.04-arm", "ubuntu-slim", "windows-latest", "windows-2025",
	        "windows-2025-vs2026", "windows-2022", "windows-11-arm", "macos-latest", "macos-latest-large",
	        "macos-latest-xlarge", "macos-26", "macos-26-large", "macos-26-xlarge", "macos-26-intel", "macos-15",
	        "macos-15-large", "macos-15-xlarge", "macos-15-intel", "macos-14", "macos-14-large", "macos-14-xlarge", NULL};
	/* Only what looks like one of GitHub's own can be misspelt; other labels are the admin's. */
	bool looks = g_str_has_prefix(label, "ubuntu-") || g_str_has_prefix(label, "windows-") || g_str_has_prefix(label, "macos-");
	if (!looks || g_strv_contains(labels, label))
		return true;
	/* Larger runners have names of their owner's choice: "ubuntu-24.04-16core". */
	for (size_t i = 0; labels[i]; i++)
		if (g_str_has_prefix(label, labels[i]) && label[strlen(labels[i])] == '-')
			return true;
	return false;
}

static const YamlNode *labels_of(const YamlNode *job)
{
	const YamlNode *runs_on = yaml_get(job, "runs-on");
	return runs_on && runs_on->kind == YAML_MAPPING ? yaml_get(runs_on, "labels") : runs_on;
}

/** `${{ matrix.x }}` alone: the vector of that name, or NULL. */
static const YamlNode *vector_of(const YamlNode *job, const char *text)
{
	const char *p = text;
	const char *expression = NULL;
	size_t len = 0;
	const char *matrix = "matrix.";
	if (!expr_is_single(text) || !expr_next(&p, text + strlen(text), &expression, &len) || len <= strlen(matrix) ||
	        strncmp(expression, matrix, strlen(matrix)) != 0)
		return NULL;
	g_autofree char *name = g_strndup(expression + strlen(matrix), len - strlen(matrix));
	return yaml_get(yaml_get(yaml_get(job, "strategy"), "matrix"), name);
}

static void check_label(Lint *lint, const YamlNode *label, char *machine)
{
	if (!label->text || expr_is_template(label->text))
		return;
	if (!label_is_known(label->text))
		lint_warn(lint, label, "runner-label", "there is no runner '%s' (any more)", label->text);
	char its = system_of(label->text);
	if (its && *machine && its != *machine)
		lint_warn(lint, label, "runner-label",
		        "no machine is '%s' and at the same time what the labels before say; one job runs on one machine",
		        label->text);
	*machine = its ? its : *machine;
}

static void check_labels(Lint *lint, const YamlNode *job)
{
	const YamlNode *labels = labels_of(job);
	char machine = '\0';
	for (size_t i = 0; i < lint_count(labels); i++) {
		const YamlNode *label = lint_item(labels, i);
		const YamlNode *vector = label->text ? vector_of(job, label->text) : NULL;
		for (size_t j = 0; vector && vector->kind == YAML_SEQUENCE && j < vector->items_len; j++) {
			char its = machine;
			check_label(lint, vector->items[j], &its);
		}
		check_label(lint, label, &machine);
	}
}

/** Every key of an item is there, with a value that is written out and equal. */
static bool holds(const YamlNode *value, const YamlNode *wanted)
{
	if (value->kind == YAML_STRING && expr_is_template(value->text))
		return true;
	if (wanted->kind == YAML_STRING && expr_is_template(wanted->text))
		return true;
	if (wanted->text)
		return value->text && strcmp(value->text, wanted->text) == 0;
	if (value->kind != wanted->kind)
		return false;
	bool all = true;
	if (wanted->kind == YAML_MAPPING) {
		for (size_t i = 0; i + 1 < wanted->items_len; i += 2) {
			const YamlNode *inner = yaml_get(value, wanted->items[i]->text);
			all = all && inner && holds(inner, wanted->items[i + 1]);
		}
		return all;
	}
	all = value->items_len == wanted->items_len;
	for (size_t i = 0; all && i < wanted->items_len; i++)
		all = holds(value->items[i], wanted->items[i]);
	return all;
}

static void check_matrix(Lint *lint, const YamlNode *matrix)
{
	const YamlNode *exclude = yaml_get(matrix, "exclude");
	for (size_t i = 0; exclude && exclude->kind == YAML_SEQUENCE && i < exclude->items_len; i++) {
		const YamlNode *item = exclude->items[i];
		for (size_t j = 0; item->kind == YAML_MAPPING && j + 1 < item->items_len; j += 2) {
			const YamlNode *vector = yaml_get(matrix, item->items[j]->text);
			bool any = !vector || vector->kind != YAML_SEQUENCE;
			for (size_t k = 0; !any && k < vector->items_len; k++)
				any = holds(vector->items[k], item->items[j + 1]);
			if (!any)
				lint_warn(lint, item->items[j + 1], "matrix", "'%s' never has this value, so nothing is excluded",
				        item->items[j]->text);
		}
	}
	for (size_t i = 0; matrix && matrix->kind == YAML_MAPPING && i + 1 < matrix->items_len; i += 2) {
		const YamlNode *vector = matrix->items[i + 1];
		bool combined = !g_strv_contains(LIST("include", "exclude"), matrix->items[i]->text);
		for (size_t j = 0; combined && vector->kind == YAML_SEQUENCE && j < vector->items_len; j++)
			for (size_t k = 0; k < j && k < 64; k++)
				if (vector->items[j]->text && vector->items[k]->text &&
				        strcmp(vector->items[j]->text, vector->items[k]->text) == 0)
					lint_warn(lint, vector->items[j], "matrix", "'%s' stands in '%s' twice", vector->items[j]->text,
					        matrix->items[i]->text);
	}
}

void lint_job_values(Lint *lint, const YamlNode *id, const YamlNode *job)
{
	(void)id;
	check_labels(lint, job);
	check_matrix(lint, yaml_get(yaml_get(job, "strategy"), "matrix"));
	const YamlNode *needs = yaml_get(job, "needs");
	for (size_t i = 0; i < lint_count(needs); i++)
		for (size_t j = 0; j < i && j < 64; j++)
			if (g_ascii_strcasecmp(lint_item(needs, i)->text, lint_item(needs, j)->text) == 0)
				lint_warn(lint, lint_item(needs, i), "superfluous", "'needs' names '%s' twice",
				        lint_item(needs, i)->text);
}

/* Steps */

/** The system of all of a job's machines, or 0. */
static char job_system(const YamlNode *job)
{
	const YamlNode *labels = labels_of(job);
	for (size_t i = 0; i < lint_count(labels); i++) {
		const YamlNode *label = lint_item(labels, i);
		if (label->text && !expr_is_template(label->text) && system_of(label->text))
			return system_of(label->text);
	}
	return '\0';
}

static void check_shell(Lint *lint, const YamlNode *shell, char machine)
{
	if (!shell || !shell->text || !*shell->text || expr_is_template(shell->text) || strstr(shell->text, "{0}"))
		return;
	g_autofree char *name = g_ascii_strdown(shell->text, -1);
	bool windows_only = strcmp(name, "cmd") == 0 || strcmp(name, "powershell") == 0;
	if (!windows_only && !g_strv_contains(LIST("bash", "sh", "python", "pwsh"), (const char *)name))
		lint_warn(lint, shell, "shell-name",
		        "'%s' is no shell that is known; write bash, sh, python, pwsh, or a command with {0} for the script",
		        name);
	else if (windows_only && (machine == 'l' || machine == 'm'))
		lint_warn(lint, shell, "shell-name", "'%s' is on Windows alone, and this job is not", name);
	else if (machine == 'w' && strcmp(name, "sh") == 0)
		lint_warn(lint, shell, "shell-name", "there is no 'sh' on Windows; write bash");
}

static void check_commands(Lint *lint, const YamlNode *run)
{
	static const struct {
		const char *command;
		const char *instead;
	} rows[] = {{"::set-output", "echo \"name=value\" >> \"$GITHUB_OUTPUT\""},
	        {"::save-state", "echo \"name=value\" >> \"$GITHUB_STATE\""},
	        {"::set-env", "echo \"name=value\" >> \"$GITHUB_ENV\""}, {"::add-path", "echo \"folder\" >> \"$GITHUB_PATH\""}};
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
		size_t len = strlen(rows[i].command);
		for (const char *p = run->text; (p = strstr(p, rows[i].command)); p += len) {
			/* Within a line of text it is no command. */
			bool begins = p == run->text || !g_ascii_isalnum(p[-1]);
			if (!begins || (p[len] != ' ' && p[len] != ':'))
				continue;
			lint_warn_text(lint, run, rows[i].command, "deprecated-commands", "'%s' is not obeyed any more; write %s",
			        rows[i].command + 2, rows[i].instead);
			break;
		}
	}
}

static const YamlNode *find_key(const YamlNode *mapping, const char *name)
{
	for (size_t i = 0; mapping && mapping->kind == YAML_MAPPING && i + 1 < mapping->items_len; i += 2)
		if (g_ascii_strcasecmp(mapping->items[i]->text, name) == 0)
			return mapping->items[i];
	return NULL;
}

static void check_ml_inputs(Lint *lint, const YamlNode *uses, const YamlNode *with, const MlStep *step)
{
	for (size_t i = 0; with && with->kind == YAML_MAPPING && i + 1 < with->items_len; i += 2) {
		bool known = false;
		for (const MlInput *input = step->inputs; input->name && !known; input++)
			known = g_ascii_strcasecmp(input->name, with->items[i]->text) == 0;
		if (!known)
			lint_warn(lint, with->items[i], "action-inputs", "assay/%s has no input '%s'", step->name,
			        with->items[i]->text);
	}
	for (const MlInput *input = step->inputs; input->name; input++)
		if (input->required && !find_key(with, input->name))
			lint_warn(lint, uses, "action-inputs", "assay/%s needs the input '%s': %s", step->name, input->name,
			        input->summary);
}

static void check_built_in_inputs(Lint *lint, const YamlNode *with, const Action *action)
{
	for (size_t i = 0; with && with->kind == YAML_MAPPING && i + 1 < with->items_len; i += 2) {
		bool known = false;
		for (const ActionInput *input = action->inputs; input->name && !known; input++)
			known = g_ascii_strcasecmp(input->name, with->items[i]->text) == 0;
		if (!known)
			lint_warn(lint, with->items[i], "action-inputs", "%s has no input '%s' here", action->name,
			        with->items[i]->text);
	}
}

/** An action of the repository itself: what its action.yml says of inputs. */
static void check_local_inputs(Lint *lint, const YamlNode *uses, const YamlNode *with)
{
	g_autoptr(YamlDocument) action = NULL;
	static const char *const names[] = {"action.yml", "action.yaml"};
	if (!lint->folder || strstr(uses->text, ".."))
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names) && !action; i++) {
		g_autofree char *path = g_build_filename(lint->folder, uses->text, names[i], NULL);
		g_autoptr(GBytes) bytes = fd_read_file(path, YAML_BYTES_MAX, NULL);
		gsize len = 0;
		const char *text = bytes ? g_bytes_get_data(bytes, &len) : NULL;
		action = text ? yaml_parse(text, len, path, NULL) : NULL;
	}
	if (!action || !action->root || action->root->kind != YAML_MAPPING)
		return;
	const YamlNode *inputs = yaml_get(action->root, "inputs");
	for (size_t i = 0; with && with->kind == YAML_MAPPING && i + 1 < with->items_len; i += 2)
		if (!find_key(inputs, with->items[i]->text))
			lint_warn(lint, with->items[i], "action-inputs", "%s has no input '%s'", uses->text, with->items[i]->text);
	for (size_t i = 0; inputs && inputs->kind == YAML_MAPPING && i + 1 < inputs->items_len; i += 2)
		if (lint_is_true(yaml_get(inputs->items[i + 1], "required")) && !yaml_get(inputs->items[i + 1], "default") &&
		        !find_key(with, inputs->items[i]->text))
			lint_warn(lint, uses, "action-inputs", "%s needs the input '%s'", uses->text, inputs->items[i]->text);
}

static void check_inputs(Lint *lint, const YamlNode *step, const YamlNode *uses)
{
	const YamlNode *with = yaml_get(step, "with");
	g_autofree char *name = lint_action(step);
	for (size_t i = 0; actions[i].name; i++)
		if (strcmp(actions[i].name, name) == 0)
			check_built_in_inputs(lint, with, &actions[i]);
	const MlStep *ml = g_str_has_prefix(name, "assay/") ? ml_step_find(name + strlen("assay/")) : NULL;
	if (ml)
		check_ml_inputs(lint, uses, with, ml);
	if (g_str_has_prefix(name, "./"))
		check_local_inputs(lint, uses, with);
}

void lint_step_values(Lint *lint, const YamlNode *job, const YamlNode *step)
{
	char machine = job_system(job);
	check_shell(lint, yaml_get(step, "shell"), machine);
	const YamlNode *run = yaml_get(step, "run");
	const YamlNode *uses = yaml_get(step, "uses");
	if (run && run->text)
		check_commands(lint, run);
	if (uses && uses->text)
		check_inputs(lint, step, uses);
}
