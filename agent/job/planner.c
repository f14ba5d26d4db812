/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs of a run. A job without needs is resolved at once; one with needs when they have ended. Resolving evaluates what
 * must be known before a machine is chosen: `if`, matrix, name, runs-on, environment, concurrency, timeouts.
 */
#include "agent/job/planner.h"

#include <math.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/calls.h"
#include "agent/model/expr.h"
#include "agent/model/matrix.h"

#define NAME_CHARACTERS_MAX 100
#define CONCURRENCY_CHARACTERS_MAX 400
#define TIMEOUT_MINUTES 360
#define CANCEL_MINUTES 5
#define TIMEOUT_MINUTES_MAX (35 * 24 * 60)

/** One job under resolution. */
typedef struct Resolver {
	const char *group;
	const json_t *definition;
	json_t *contexts; /* github, needs, vars, inputs; with strategy and matrix once they are known */
	ExprStatus status;
} Resolver;

static ExprScope scope_of(const Resolver *resolver)
{
	return (ExprScope){.contexts = resolver->contexts, .status = EXPR_STATUS_NONE};
}

/** A key of the definition with its expressions evaluated; null when it is absent. NULL with error. */
static json_t *evaluate(const Resolver *resolver, const char *key, GError **error)
{
	const json_t *value = json_object_get(resolver->definition, key);
	if (!value)
		return json_null();
	ExprScope scope = scope_of(resolver);
	json_t *result = expr_template_tree(value, &scope, error);
	if (!result)
		g_prefix_error(error, "'%s': ", key);
	return result;
}

static ExprStatus status_of_needs(const json_t *needs)
{
	ExprStatus status = EXPR_STATUS_SUCCESS;
	const char *key = NULL;
	json_t *need = NULL;
	json_object_foreach((json_t *)needs, key, need) {
		const char *result = json_get_string(need, "result", "");
		if (strcmp(result, "failure") == 0)
			return EXPR_STATUS_FAILURE;
		if (strcmp(result, "cancelled") == 0)
			status = EXPR_STATUS_CANCELLED;
		else if (strcmp(result, "success") != 0 && status == EXPR_STATUS_SUCCESS)
			status = EXPR_STATUS_SKIPPED;
	}
	return status;
}

/* Name and key */

static char *cut_name(const char *name)
{
	if (g_utf8_strlen(name, -1) <= NAME_CHARACTERS_MAX)
		return g_strdup(name);
	g_autofree char *start = g_utf8_substring(name, 0, NAME_CHARACTERS_MAX - 3);
	return g_strconcat(start, "...", NULL);
}

static char *with_label(const char *name, const char *label)
{
	return *label ? g_strdup_printf("%s (%s)", name, label) : g_strdup(name);
}

/** A job's id in its own file: what stands behind its callers in the group. */
const char *planner_local_id(const char *group)
{
	for (const char *at = strstr(group, PLANNER_CALL_MARK); at; at = strstr(group, PLANNER_CALL_MARK))
		group = at + strlen(PLANNER_CALL_MARK);
	return group;
}

/** "caller / called"; takes own. */
static char *below_caller(const json_t *definition, char *own)
{
	const char *caller = json_get_string(json_object_get(definition, "call"), "name", NULL);
	if (!caller)
		return own;
	char *name = g_strconcat(caller, PLANNER_CALL_MARK, own, NULL);
	g_free(own);
	return name;
}

/** A name that holds expressions stands as it is; any other gets the matrix's values behind it. */
static char *name_of(const Resolver *resolver, const char *label, GError **error)
{
	const char *given = json_get_string(resolver->definition, "name", "");
	if (!expr_is_template(given)) {
		g_autofree char *whole = with_label(*given ? given : planner_local_id(resolver->group), label);
		return below_caller(resolver->definition, cut_name(whole));
	}
	ExprScope scope = scope_of(resolver);
	g_autofree char *name = expr_template_string(given, &scope, error);
	if (!name) {
		g_prefix_error(error, "'name': ");
		return NULL;
	}
	g_autofree char *whole = *name ? NULL : with_label(planner_local_id(resolver->group), label);
	return below_caller(resolver->definition, cut_name(whole ? whole : name));
}

/** A job's name before it is resolved, or when it is skipped. */
static char *plain_name(const char *group, const json_t *definition)
{
	const char *given = json_get_string(definition, "name", "");
	return below_caller(definition, cut_name(*given && !expr_is_template(given) ? given : planner_local_id(group)));
}

/* Keys of a resolved job */

static bool add_text(json_t *out, const json_t *value, GError **error)
{
	g_autofree char *text = expr_to_string(value);
	if (json_is_object(value) || json_is_array(value) || !*text)
		return fail(error, ASSAY_ERROR_USER, "'runs-on': a label is a string that is not empty");
	json_array_append_new(out, json_string(text));
	return true;
}

static bool add_labels(json_t *out, const json_t *value, GError **error)
{
	size_t i = 0;
	json_t *item = NULL;
	if (!json_is_array(value))
		return add_text(out, value, error);
	json_array_foreach((json_t *)value, i, item)
		if (!add_text(out, item, error))
			return false;
	return true;
}

static json_t *runs_on_of(const Resolver *resolver, GError **error)
{
	g_autoptr(json_t) value = evaluate(resolver, "runs-on", error);
	g_autoptr(json_t) labels = json_array();
	if (!value)
		return NULL;
	if (json_is_object(value)) {
		const json_t *listed = json_object_get(value, "labels");
		const json_t *group = json_object_get(value, "group");
		if ((listed && !add_labels(labels, listed, error)) || (group && !add_labels(labels, group, error)))
			return NULL;
	} else if (!add_labels(labels, value, error)) {
		return NULL;
	}
	if (json_array_size(labels) == 0) {
		fail(error, ASSAY_ERROR_USER, "'runs-on' names no label");
		return NULL;
	}
	return g_steal_pointer(&labels);
}

/** The address is evaluated after the steps: it may name their outputs. */
static json_t *environment_of(const Resolver *resolver, GError **error)
{
	const json_t *written = json_object_get(resolver->definition, "environment");
	const json_t *url = json_object_get(written, "url");
	const json_t *template = json_is_object(written) ? json_object_get(written, "name") : written;
	if (!template)
		return json_null();
	ExprScope scope = scope_of(resolver);
	g_autoptr(json_t) value = expr_template_tree(template, &scope, error);
	if (!value) {
		g_prefix_error(error, "'environment': ");
		return NULL;
	}
	if (json_is_object(value)) {
		url = json_object_get(value, "url");
		json_t *name = json_incref(json_object_get(value, "name"));
		json_decref(value);
		value = name ? name : json_null();
	}
	g_autofree char *name = expr_to_string(value);
	if (!*name)
		return json_null();
	g_autofree char *address = url && !json_is_null(url) ? expr_to_string(url) : NULL;
	return json_pack("{s:s,s:s?}", "name", name, "url", address);
}

/* A whole number stays one; a fraction of a minute is kept as GitHub keeps it. */
static bool minutes_of(const Resolver *resolver, const char *key, double fallback, json_t **out, GError **error)
{
	g_autoptr(json_t) value = evaluate(resolver, key, error);
	if (!value)
		return false;
	double minutes = json_is_null(value) ? fallback : expr_to_number(value);
	if (!(minutes > 0))
		return fail(error, ASSAY_ERROR_USER, "'%s' is not a number above 0", key);
	minutes = MIN(minutes, TIMEOUT_MINUTES_MAX);
	*out = minutes == floor(minutes) ? json_integer((json_int_t)minutes) : json_real(minutes);
	return true;
}

static bool truth_of(const json_t *value, const char *key, bool fallback, bool *out, GError **error)
{
	g_autofree char *text = expr_to_string(value);
	bool absent = !value || json_is_null(value);
	*out = absent ? fallback : strcmp(text, "true") == 0;
	return absent || *out || strcmp(text, "false") == 0 ||
	       fail(error, ASSAY_ERROR_USER, "'%s' is true or false, not '%s'", key, text);
}

/** {"group","cancel_in_progress","queue"} of a `concurrency` whose expressions are evaluated; null when there is none. */
static json_t *concurrency_of(const json_t *value, GError **error)
{
	const json_t *written = json_is_object(value) ? json_object_get(value, "group") : value;
	bool cancel = false;
	if (!value || json_is_null(value))
		return json_null();
	if (!truth_of(json_object_get(value, "cancel-in-progress"), "cancel-in-progress", false, &cancel, error))
		return NULL;
	g_autofree char *group = expr_to_string(written);
	if (!*group || g_utf8_strlen(group, -1) > CONCURRENCY_CHARACTERS_MAX) {
		fail(error, ASSAY_ERROR_USER, "'concurrency': the group's name is empty or longer than %d characters",
		        CONCURRENCY_CHARACTERS_MAX);
		return NULL;
	}
	g_autofree char *queue = expr_to_string(json_object_get(value, "queue"));
	bool all = strcmp(queue, "max") == 0;
	if (*queue && !all && strcmp(queue, "single") != 0) {
		fail(error, ASSAY_ERROR_USER, "'queue' is 'single' or 'max', not '%s'", queue);
		return NULL;
	}
	if (all && cancel) {
		fail(error, ASSAY_ERROR_USER, "'queue: max' keeps all that wait; it goes not with 'cancel-in-progress: true'");
		return NULL;
	}
	return json_pack("{s:s,s:b,s:s*}", "group", group, "cancel_in_progress", cancel, "queue", all ? "max" : NULL);
}

/* Strategy */

typedef struct Strategy {
	json_t *combinations; /* of matrix_unfold(), or NULL without a matrix */
	bool fail_fast;
	json_int_t max_parallel; /* 0: as many as there are */
} Strategy;

static bool read_strategy(const Resolver *resolver, Strategy *out, GError **error)
{
	g_autoptr(json_t) strategy = evaluate(resolver, "strategy", error);
	if (!strategy)
		return false;
	if (!json_is_null(strategy) && !json_is_object(strategy))
		return fail(error, ASSAY_ERROR_USER, "'strategy' is not a mapping");
	const json_t *limit = json_object_get(strategy, "max-parallel");
	const json_t *matrix = json_object_get(strategy, "matrix");
	double parallel = limit && !json_is_null(limit) ? expr_to_number(limit) : 0;
	if (!(parallel >= 0 && parallel < 1e9) || (limit && !json_is_null(limit) && parallel < 1))
		return fail(error, ASSAY_ERROR_USER, "'max-parallel' is not a number above 0");
	out->max_parallel = (json_int_t)parallel;
	if (!truth_of(json_object_get(strategy, "fail-fast"), "fail-fast", true, &out->fail_fast, error))
		return false;
	if (!matrix || json_is_null(matrix))
		return true;
	out->combinations = matrix_unfold(matrix, error);
	if (!out->combinations)
		g_prefix_error(error, "'strategy': ");
	return out->combinations != NULL;
}

static json_t *strategy_context(const Strategy *strategy, size_t index, size_t total)
{
	json_int_t parallel = strategy->max_parallel > 0 ? strategy->max_parallel : (json_int_t)total;
	return json_pack("{s:b,s:I,s:I,s:I}", "fail-fast", strategy->fail_fast, "job-index", (json_int_t)index, "job-total",
	        (json_int_t)total, "max-parallel", parallel);
}

/* One job */

static json_t *skipped(const Resolver *resolver)
{
	g_autofree char *name = plain_name(resolver->group, resolver->definition);
	Strategy strategy = {.fail_fast = true};
	return json_pack("{s:s,s:s,s:s,s:b,s:{},s:o,s:[],s:n,s:i,s:b,s:n}", "key", resolver->group, "group",
	        resolver->group, "name", name, "run", 0, "matrix", "strategy", strategy_context(&strategy, 0, 1),
	        "runs_on", "environment", "timeout_minutes", TIMEOUT_MINUTES, "continue_on_error", 0, "concurrency");
}

/** Two combinations may read the same; keys never do. */
static char *unique_key(const char *group, const char *label, const json_t *before)
{
	g_autofree char *wanted = with_label(group, label);
	char *key = g_strdup(wanted);
	for (int number = 2;; number++) {
		size_t i = 0;
		json_t *job = NULL;
		bool taken = false;
		json_array_foreach((json_t *)before, i, job)
			taken = taken || strcmp(json_get_string(job, "key", ""), key) == 0;
		if (!taken)
			return key;
		g_free(key);
		key = g_strdup_printf("%s #%d", wanted, number);
	}
}

static bool resolve_one(Resolver *resolver, const char *label, json_t *out, GError **error)
{
	bool go_on = false;
	g_autoptr(json_t) minutes = NULL;
	g_autoptr(json_t) cancel_minutes = NULL;
	g_autofree char *name = name_of(resolver, label, error);
	g_autoptr(json_t) runs_on = name ? runs_on_of(resolver, error) : NULL;
	g_autoptr(json_t) environment = runs_on ? environment_of(resolver, error) : NULL;
	if (!environment || !minutes_of(resolver, "timeout-minutes", TIMEOUT_MINUTES, &minutes, error))
		return false;
	bool limited = json_object_get(resolver->definition, "cancel-timeout-minutes");
	if (limited && !minutes_of(resolver, "cancel-timeout-minutes", CANCEL_MINUTES, &cancel_minutes, error))
		return false;
	g_autoptr(json_t) tolerant = evaluate(resolver, "continue-on-error", error);
	if (!tolerant || !truth_of(tolerant, "continue-on-error", false, &go_on, error))
		return false;
	g_autoptr(json_t) written = evaluate(resolver, "concurrency", error);
	g_autoptr(json_t) concurrency = written ? concurrency_of(written, error) : NULL;
	if (!concurrency)
		return false;
	g_autofree char *key = unique_key(resolver->group, label, out);
	json_t *matrix = json_object_get(resolver->contexts, "matrix");
	g_autoptr(json_t) none = json_object();
	json_array_append_new(out,
	        json_pack("{s:s,s:s,s:s,s:b,s:O,s:O,s:O,s:O,s:O,s:O*,s:b,s:O}", "key", key, "group", resolver->group, "name",
	                name, "run", 1, "matrix", json_is_object(matrix) ? matrix : none, "strategy",
	                json_object_get(resolver->contexts, "strategy"), "runs_on", runs_on, "environment", environment,
	                "timeout_minutes", minutes, "cancel_timeout_minutes", cancel_minutes, "continue_on_error", go_on,
	                "concurrency", concurrency));
	return true;
}

/* What a call gives its callee is evaluated where it is known: here. Secrets are not known here. */
static bool resolve_call(Resolver *resolver, const char *label, json_t *out, GError **error)
{
	const json_t *called = json_object_get(resolver->definition, "called");
	g_autofree char *name = name_of(resolver, label, error);
	g_autoptr(json_t) given = name ? evaluate(resolver, "with", error) : NULL;
	g_autoptr(json_t) written = given ? evaluate(resolver, "concurrency", error) : NULL;
	g_autoptr(json_t) concurrency = written ? concurrency_of(written, error) : NULL;
	if (!concurrency)
		return false;
	if (!called)
		return fail(error, ASSAY_ERROR_USER, "'uses': the called workflow was not read");
	g_autoptr(json_t) around = json_pack("{s:O,s:O}", "github", json_object_get(resolver->contexts, "github"), "vars",
	        json_object_get(resolver->contexts, "vars"));
	g_autoptr(json_t) inputs = calls_inputs(called, given, around, error);
	if (!inputs)
		return false;
	json_object_set(around, "inputs", inputs);
	ExprScope scope = {.contexts = around};
	const json_t *theirs = json_object_get(called, "concurrency");
	g_autoptr(json_t) second = theirs ? expr_template_tree(theirs, &scope, error) : json_null();
	g_autoptr(json_t) inner = second ? concurrency_of(second, error) : NULL;
	if (!inner)
		return false;
	g_autofree char *key = unique_key(resolver->group, label, out);
	json_t *matrix = json_object_get(resolver->contexts, "matrix");
	g_autoptr(json_t) none = json_object();
	json_array_append_new(out,
	        json_pack("{s:s,s:s,s:s,s:b,s:O,s:O,s:[],s:n,s:i,s:b,s:O,s:{s:O,s:O}}", "key", key, "group",
	                resolver->group, "name", name, "run", 1, "matrix", json_is_object(matrix) ? matrix : none, "strategy",
	                json_object_get(resolver->contexts, "strategy"), "runs_on", "environment", "timeout_minutes",
	                TIMEOUT_MINUTES, "continue_on_error", 0, "concurrency", concurrency, "call", "inputs", inputs,
	                "concurrency", inner));
	return true;
}

static bool resolve_all(Resolver *resolver, json_t *out, GError **error)
{
	bool call = json_object_get(resolver->definition, "uses") != NULL;
	Strategy strategy = {0};
	if (!read_strategy(resolver, &strategy, error))
		return false;
	g_autoptr(json_t) combinations = strategy.combinations;
	size_t total = combinations ? json_array_size(combinations) : 1;
	for (size_t i = 0; i < total; i++) {
		const json_t *one = json_array_get(combinations, i);
		json_object_set_new(resolver->contexts, "strategy", strategy_context(&strategy, i, total));
		if (one)
			json_object_set(resolver->contexts, "matrix", json_object_get(one, "values"));
		else
			json_object_set_new(resolver->contexts, "matrix", json_null());
		const char *label = json_get_string(one, "label", "");
		if (!(call ? resolve_call(resolver, label, out, error) : resolve_one(resolver, label, out, error)))
			return false;
	}
	return true;
}

static bool resolve(Resolver *resolver, json_t *out, GError **error)
{
	ExprScope scope = {.contexts = resolver->contexts, .status = resolver->status};
	bool run = false;
	if (!expr_condition(json_get_string(resolver->definition, "if", NULL), &scope, &run, error)) {
		g_prefix_error(error, "'if': ");
		return false;
	}
	if (run && !resolve_all(resolver, out, error))
		return false;
	if (json_array_size(out) == 0)
		json_array_append_new(out, skipped(resolver));
	return true;
}

/* The word of docs/formats.md for how all that a job needs, and what that needs, went. */
static ExprStatus parse_status(const char *word, const json_t *needs)
{
	if (!word)
		return status_of_needs(needs);
	if (strcmp(word, "failure") == 0)
		return EXPR_STATUS_FAILURE;
	if (strcmp(word, "cancelled") == 0)
		return EXPR_STATUS_CANCELLED;
	return strcmp(word, "skipped") == 0 ? EXPR_STATUS_SKIPPED : EXPR_STATUS_SUCCESS;
}

json_t *planner_resolve(const char *group, const json_t *definition, const json_t *contexts, const char *status,
        GError **error)
{
	static const char *const names[] = {"github", "needs", "vars", "inputs"};
	g_autoptr(json_t) own = json_object();
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		json_t *context = json_object_get(contexts, names[i]);
		json_object_set_new(own, names[i], context ? json_incref(context) : json_object());
	}
	Resolver resolver = {.group = group,
	        .definition = definition,
	        .contexts = own,
	        .status = parse_status(status, json_object_get(own, "needs"))};
	g_autoptr(json_t) out = json_array();
	if (!resolve(&resolver, out, error)) {
		g_prefix_error(error, "job '%s': ", group);
		return NULL;
	}
	return g_steal_pointer(&out);
}

/* The jobs of calls */

/** Contexts that the expressions of a mapping of secrets name: they travel with it. */
static json_t *contexts_of_secrets(const json_t *given, const json_t *contexts)
{
	static const char *const names[] = {"inputs", "needs", "matrix", "strategy"};
	json_t *out = json_object();
	char *text = json_is_object(given) ? json_dumps(given, JSON_COMPACT) : NULL;
	g_autofree char *lower = text ? g_ascii_strdown(text, -1) : g_strdup("");
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		json_t *context = json_object_get(contexts, names[i]);
		if (context && strstr(lower, names[i]))
			json_object_set(out, names[i], context);
	}
	free(text);
	return out;
}

/** What a called job is told of its call: the key `call` of its definition. */
static json_t *call_of(const json_t *caller, const json_t *definition, const json_t *contexts)
{
	const json_t *called = json_object_get(definition, "called");
	const json_t *above = json_object_get(json_object_get(definition, "call"), "secrets");
	json_t *given = json_object_get(definition, "secrets");
	g_autoptr(json_t) own = json_copy((json_t *)(uintptr_t)contexts);
	json_object_set(own, "matrix", json_object_get(caller, "matrix"));
	json_object_set(own, "strategy", json_object_get(caller, "strategy"));
	json_t *chain = above ? json_copy((json_t *)(uintptr_t)above) : json_array();
	g_autoptr(json_t) nothing = json_object();
	json_array_append_new(chain, json_pack("{s:O,s:o}", "given", given && !json_is_null(given) ? given : nothing,
	                                     "contexts", contexts_of_secrets(given, own)));
	json_t *call = json_pack("{s:O,s:O,s:o}", "name", json_object_get(caller, "name"), "inputs",
	        json_object_get(json_object_get(caller, "call"), "inputs"), "secrets", chain);
	static const char *const keys[] = {"path", "repository", "ref", "sha"};
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
		if (json_object_get(called, keys[i]))
			json_object_set(call, keys[i], json_object_get(called, keys[i]));
	return call;
}

/** One job as the plan tells it; its own calls follow it. */
static bool add_object(json_t *out, const char *group, const json_t *needs, json_t *definition, const char *caller,
        const json_t *contexts, GError **error)
{
	if (json_array_size(needs) > 0) {
		g_autofree char *name = plain_name(group, definition);
		json_array_append_new(out, json_pack("{s:s,s:s,s:s,s:O,s:O,s:s*}", "key", group, "group", group, "name", name,
		                                   "needs", needs, "definition", definition, "caller", caller));
		return true;
	}
	g_autoptr(json_t) resolved = planner_resolve(group, definition, contexts, NULL, error);
	g_autoptr(json_t) slim = json_copy(definition);
	planner_slim(slim);
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach(resolved, i, one) {
		json_array_append_new(out, json_pack("{s:O,s:s,s:O,s:O,s:O,s:O,s:s*}", "key", json_object_get(one, "key"),
		                                   "group", group, "name", json_object_get(one, "name"), "needs", needs,
		                                   "definition", slim, "resolved", one, "caller", caller));
		if (!planner_expand(one, definition, contexts, out, error))
			return false;
	}
	return resolved != NULL;
}

void planner_slim(json_t *definition)
{
	json_object_del(definition, "strategy"); /* each has its own part of it in what it resolved to */
	json_t *called = json_object_get(definition, "called");
	if (!called)
		return;
	called = json_copy(called);
	json_object_del(called, "jobs");
	json_object_set_new(definition, "called", called);
}

static bool expand_job(const json_t *caller, const json_t *definition, const json_t *job, json_t *call,
        const json_t *contexts, json_t *out, GError **error)
{
	const char *key = json_get_string(caller, "key", "");
	const char *refusal = json_get_string(job, "refusal", NULL);
	if (refusal)
		return fail(error, ASSAY_ERROR_USER, "%s", refusal);
	g_autoptr(json_t) own = json_copy(json_object_get(job, "definition"));
	json_object_set(own, "call", call);
	if (!json_object_get(own, "permissions") && json_object_get(definition, "permissions"))
		json_object_set(own, "permissions", json_object_get(definition, "permissions"));
	g_autofree char *group = g_strconcat(key, PLANNER_CALL_MARK, json_get_string(job, "id", ""), NULL);
	g_autoptr(json_t) needs = json_array();
	size_t i = 0;
	json_t *need = NULL;
	json_array_foreach(json_object_get(job, "needs"), i, need) {
		g_autofree char *whole = g_strconcat(key, PLANNER_CALL_MARK, json_string_value(need), NULL);
		json_array_append_new(needs, json_string(whole));
	}
	return add_object(out, group, needs, own, key, contexts, error);
}

bool planner_expand(const json_t *resolved, const json_t *definition, const json_t *contexts, json_t *out, GError **error)
{
	const json_t *jobs = json_object_get(json_object_get(definition, "called"), "jobs");
	if (!json_object_get(resolved, "call"))
		return true;
	if (json_array_size(jobs) == 0) /* a call without jobs would end as if all were well */
		return fail(error, ASSAY_ERROR_SYSTEM, "job '%s': the called workflow is not in its definition",
		        json_get_string(resolved, "key", ""));
	g_autoptr(json_t) call = call_of(resolved, definition, contexts);
	g_autoptr(json_t) theirs = json_pack("{s:O*,s:O*,s:O}", "github", json_object_get(contexts, "github"), "vars",
	        json_object_get(contexts, "vars"), "inputs", json_object_get(call, "inputs"));
	size_t i = 0;
	json_t *job = NULL;
	json_array_foreach((json_t *)(uintptr_t)jobs, i, job) {
		if (json_array_size(out) >= CALLS_JOBS_MAX)
			return fail(error, ASSAY_ERROR_USER, "a run may have at most %d jobs", CALLS_JOBS_MAX);
		if (!expand_job(resolved, definition, job, call, theirs, out, error))
			return false;
	}
	return true;
}

json_t *planner_call_outputs(const json_t *called, const json_t *contexts, GError **error)
{
	g_autoptr(json_t) out = json_object();
	ExprScope scope = {.contexts = contexts};
	const char *name = NULL;
	json_t *output = NULL;
	json_object_foreach(json_object_get(called, "outputs"), name, output) {
		const json_t *value = json_object_get(output, "value");
		g_autofree char *text =
		        json_is_string(value) ? expr_template_string(json_string_value(value), &scope, error) : expr_to_string(value);
		if (!text) {
			g_prefix_error(error, "output '%s' of the called workflow: ", name);
			return NULL;
		}
		json_object_set_new(out, name, json_string(text));
	}
	return g_steal_pointer(&out);
}

/* The run */

static json_t *needs_array(const WorkflowJob *job)
{
	json_t *needs = json_array();
	for (char **need = job->needs; *need; need++)
		json_array_append_new(needs, json_string(*need));
	return needs;
}

static void mark_needed(const Workflow *workflow, const WorkflowJob *job, GHashTable *wanted)
{
	if (!g_hash_table_add(wanted, job->id))
		return;
	for (char **need = job->needs; *need; need++)
		mark_needed(workflow, workflow_find(workflow, *need), wanted);
}

static bool add_job(json_t *out, const WorkflowJob *job, const json_t *contexts, GError **error)
{
	if (job->refusal)
		return fail(error, ASSAY_ERROR_USER, "%s", job->refusal);
	g_autoptr(json_t) needs = needs_array(job);
	return add_object(out, job->id, needs, job->definition, NULL, contexts, error);
}

static json_t *contexts_with_inputs(const Workflow *workflow, const json_t *contexts, GError **error)
{
	json_t *out = contexts ? json_copy((json_t *)contexts) : json_object();
	const json_t *github = json_object_get(contexts, "github");
	if (strcmp(json_get_string(github, "event_name", ""), "workflow_dispatch") != 0)
		return out;
	json_t *inputs = planner_inputs(workflow, json_object_get(contexts, "inputs"), error);
	if (inputs) {
		json_object_set_new(out, "inputs", inputs);
		return out;
	}
	json_decref(out);
	return NULL;
}

json_t *planner_jobs(const Workflow *workflow, const json_t *contexts, const char *only, GError **error)
{
	g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
	const WorkflowJob *chosen = only ? workflow_find(workflow, only) : NULL;
	if (only && !chosen) {
		fail(error, ASSAY_ERROR_USER, "workflow '%s' has no job '%s'", workflow->path, only);
		return NULL;
	}
	if (chosen)
		mark_needed(workflow, chosen, wanted);
	g_autoptr(json_t) filled = contexts_with_inputs(workflow, contexts, error);
	if (!filled)
		return NULL;
	g_autoptr(json_t) out = json_array();
	for (guint i = 0; i < workflow->jobs->len; i++) {
		const WorkflowJob *job = g_ptr_array_index(workflow->jobs, i);
		if ((!chosen || g_hash_table_contains(wanted, job->id)) && !add_job(out, job, filled, error))
			return NULL;
	}
	return g_steal_pointer(&out);
}

char *planner_run_name(const Workflow *workflow, const json_t *contexts, GError **error)
{
	if (!workflow->run_name)
		return g_strdup("");
	ExprScope scope = {.contexts = contexts};
	char *name = expr_template_string(workflow->run_name, &scope, error);
	if (!name)
		g_prefix_error(error, "'run-name': ");
	return name;
}

json_t *planner_concurrency(const Workflow *workflow, const json_t *contexts, GError **error)
{
	if (!workflow->concurrency)
		return json_null();
	ExprScope scope = {.contexts = contexts};
	g_autoptr(json_t) value = expr_template_tree(workflow->concurrency, &scope, error);
	if (!value)
		g_prefix_error(error, "'concurrency': ");
	return value ? concurrency_of(value, error) : NULL;
}
