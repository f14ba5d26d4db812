/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Suspicions about expressions. One walk over the tree says what kind a value has, as far as that can be known without
 * running, and another which names the value shows. Rules that need the workflow around are in agent/job/lint_*.c.
 */
#include "agent/model/expr_lint.h"

#include <string.h>

#include "agent/model/expr_tree.h"
#include "agent/model/expr_value.h"

typedef struct Walk {
	const ExprTree *tree;
	ExprFacts *facts;
} Walk;

static const ExprNode *node_at(const Walk *walk, int32_t number)
{
	return &walk->tree->nodes[number];
}

static bool node_is(const ExprNode *node, const char *text)
{
	return strlen(text) == node->len && g_ascii_strncasecmp(node->text, text, node->len) == 0;
}

static void found(Walk *walk, const char *rule, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void found(Walk *walk, const char *rule, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	ExprFinding *finding = g_new(ExprFinding, 1);
	*finding = (ExprFinding){.rule = rule, .message = g_strdup_vprintf(format, args)};
	va_end(args);
	g_ptr_array_add(walk->facts->findings, finding);
}

/* Chains of names */

static bool is_chain(const Walk *walk, int32_t number)
{
	while (node_at(walk, number)->kind == EXPR_INDEX)
		number = node_at(walk, number)->first;
	return node_at(walk, number)->kind == EXPR_CONTEXT;
}

/** The parts of a chain, the context first; what is too long is cut at its end. */
static size_t read_chain(const Walk *walk, int32_t number, ExprReference *out)
{
	const ExprNode *node = node_at(walk, number);
	if (node->kind == EXPR_CONTEXT) {
		out->parts[0] = g_ascii_strdown(node->text, (gssize)node->len);
		return 1;
	}
	size_t count = read_chain(walk, node->first, out);
	const ExprNode *index = node_at(walk, node->last);
	if (count >= EXPR_PARTS_MAX)
		return count;
	if (index->kind == EXPR_STRING)
		out->parts[count] = g_strndup(index->text, index->len);
	else
		out->parts[count] = g_strdup("*");
	if (count == 1 && index->kind != EXPR_STRING && index->kind != EXPR_WILDCARD)
		out->computed = true;
	return count + 1;
}

static void reference_free(void *data)
{
	ExprReference *reference = data;
	for (size_t i = 0; reference->parts[i]; i++)
		g_free(reference->parts[i]);
	g_free(reference);
}

static void finding_free(void *data)
{
	g_free(((ExprFinding *)data)->message);
	g_free(data);
}

/* Kinds */

typedef struct Known {
	const char *path; /* parts with dots; '*' is any one name */
	ExprGuess guess;
} Known;

/* Contexts whose kinds are the same in every workflow. */
static const Known known[] = {
        {"github", EXPR_GUESS_OBJECT}, {"github.event", EXPR_GUESS_OBJECT}, {"github.ref_protected", EXPR_GUESS_BOOLEAN},
        {"github.event.*", EXPR_GUESS_ANY}, {"github.*", EXPR_GUESS_STRING}, {"env", EXPR_GUESS_OBJECT},
        {"env.*", EXPR_GUESS_STRING}, {"vars", EXPR_GUESS_OBJECT}, {"vars.*", EXPR_GUESS_STRING},
        {"secrets", EXPR_GUESS_OBJECT}, {"secrets.*", EXPR_GUESS_STRING}, {"needs", EXPR_GUESS_OBJECT},
        {"needs.*", EXPR_GUESS_OBJECT}, {"needs.*.result", EXPR_GUESS_STRING}, {"needs.*.outputs", EXPR_GUESS_OBJECT},
        {"needs.*.outputs.*", EXPR_GUESS_STRING}, {"steps", EXPR_GUESS_OBJECT}, {"steps.*", EXPR_GUESS_OBJECT},
        {"steps.*.outputs", EXPR_GUESS_OBJECT}, {"steps.*.outputs.*", EXPR_GUESS_STRING},
        {"steps.*.outcome", EXPR_GUESS_STRING}, {"steps.*.conclusion", EXPR_GUESS_STRING},
        {"job", EXPR_GUESS_OBJECT}, {"job.status", EXPR_GUESS_STRING}, {"job.container", EXPR_GUESS_OBJECT},
        {"job.services", EXPR_GUESS_OBJECT}, {"runner", EXPR_GUESS_OBJECT}, {"runner.*", EXPR_GUESS_STRING},
        {"matrix", EXPR_GUESS_OBJECT}, {"inputs", EXPR_GUESS_OBJECT}, {"jobs", EXPR_GUESS_OBJECT},
        {"strategy", EXPR_GUESS_OBJECT}, {"strategy.fail-fast", EXPR_GUESS_BOOLEAN},
        {"strategy.job-index", EXPR_GUESS_NUMBER}, {"strategy.job-total", EXPR_GUESS_NUMBER},
        {"strategy.max-parallel", EXPR_GUESS_NUMBER},
};

static bool path_fits(const char *path, const ExprReference *reference)
{
	for (size_t i = 0; reference->parts[i]; i++) {
		const char *dot = strchrnul(path, '.');
		size_t len = (size_t)(dot - path);
		bool any = len == 1 && *path == '*';
		if (len == 0 || (!any && (strlen(reference->parts[i]) != len ||
		                                 g_ascii_strncasecmp(path, reference->parts[i], len) != 0)))
			return false;
		path = *dot ? dot + 1 : dot;
	}
	return *path == '\0';
}

static ExprGuess guess_chain(const ExprReference *reference)
{
	/* A `*` of the expression makes an array; an index that is computed may find anything. */
	for (size_t i = 0; reference->parts[i]; i++)
		if (strcmp(reference->parts[i], "*") == 0)
			return EXPR_GUESS_ANY;
	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (path_fits(known[i].path, reference))
			return known[i].guess;
	return EXPR_GUESS_ANY;
}

static const char *guess_name(ExprGuess guess)
{
	static const char *const names[] = {"a value", "null", "a boolean", "a number", "a string", "an array", "an object"};
	return names[guess];
}

static bool is_collection(ExprGuess guess)
{
	return guess == EXPR_GUESS_ARRAY || guess == EXPR_GUESS_OBJECT;
}

static ExprGuess look_at(Walk *walk, int32_t number);

static ExprGuess look_at_chain(Walk *walk, int32_t number)
{
	ExprReference reference = {0};
	read_chain(walk, number, &reference);
	ExprGuess guess = guess_chain(&reference);
	/* What is asked for below a string is never there. */
	const ExprNode *node = node_at(walk, number);
	if (node->kind == EXPR_INDEX) {
		ExprReference outer = {0};
		read_chain(walk, node->first, &outer);
		ExprGuess of = guess_chain(&outer);
		if (of == EXPR_GUESS_STRING || of == EXPR_GUESS_NUMBER || of == EXPR_GUESS_BOOLEAN) {
			g_autofree char *name = g_strjoinv(".", outer.parts);
			found(walk, "type-mismatch", "'%s' is %s, which has no '%s': this is always null", name,
			        guess_name(of), reference.parts[g_strv_length(reference.parts) - 1]);
		}
		for (size_t i = 0; outer.parts[i]; i++)
			g_free(outer.parts[i]);
	}
	for (size_t i = 0; reference.parts[i]; i++)
		g_free(reference.parts[i]);
	return guess;
}

/** Indexes within a chain are expressions of their own. */
static void look_at_indexes(Walk *walk, int32_t number)
{
	for (; node_at(walk, number)->kind == EXPR_INDEX; number = node_at(walk, number)->first) {
		const ExprNode *index = node_at(walk, node_at(walk, number)->last);
		if (index->kind != EXPR_STRING && index->kind != EXPR_WILDCARD && index->kind != EXPR_NUMBER)
			look_at(walk, node_at(walk, number)->last);
	}
}

/* Rules */

static bool is_bot(const ExprNode *node)
{
	return node->kind == EXPR_STRING && node->len > 5 && memcmp(node->text + node->len - 5, "[bot]", 5) == 0;
}

static bool is_actor(Walk *walk, int32_t number)
{
	if (!is_chain(walk, number))
		return false;
	ExprReference reference = {0};
	read_chain(walk, number, &reference);
	bool actor = path_fits("github.actor", &reference) || path_fits("github.triggering_actor", &reference);
	for (size_t i = 0; reference.parts[i]; i++)
		g_free(reference.parts[i]);
	return actor;
}

static ExprGuess look_at_comparison(Walk *walk, const ExprNode *node)
{
	ExprGuess left = look_at(walk, node->first);
	ExprGuess right = look_at(walk, node->last);
	bool equality = node->kind == EXPR_EQUAL || node->kind == EXPR_NOT_EQUAL;
	if (equality && ((is_bot(node_at(walk, node->first)) && is_actor(walk, node->last)) ||
	                        (is_bot(node_at(walk, node->last)) && is_actor(walk, node->first))))
		found(walk, "bot-conditions",
		        "github.actor is whoever acted last, not who wrote the code: anybody can act on a bot's branch; "
		        "compare github.event.pull_request.user.login");
	bool mixed = left != EXPR_GUESS_ANY && right != EXPR_GUESS_ANY &&
	             (is_collection(left) || is_collection(right));
	bool null = left == EXPR_GUESS_NULL || right == EXPR_GUESS_NULL;
	if (mixed && !null && (left != right || !equality))
		found(walk, "type-mismatch", "%s is compared with %s: that is always %s", guess_name(left), guess_name(right),
		        node->kind == EXPR_NOT_EQUAL ? "true" : "false");
	return EXPR_GUESS_BOOLEAN;
}

static bool is_falsy_literal(const ExprNode *node)
{
	return node->kind == EXPR_NULL || (node->kind == EXPR_BOOLEAN && !node->truth) ||
	       (node->kind == EXPR_NUMBER && !(node->number < 0 || node->number > 0)) ||
	       (node->kind == EXPR_STRING && node->len == 0);
}

/** `a && '' || b` is always b: GitHub's language has no ternary, and this is no substitute where the first is falsy. */
static ExprGuess look_at_chain_of(Walk *walk, const ExprNode *node)
{
	ExprGuess guess = EXPR_GUESS_ANY;
	for (int32_t child = node->first; child != EXPR_NO_NODE; child = node_at(walk, child)->next) {
		const ExprNode *one = node_at(walk, child);
		ExprGuess its = look_at(walk, child);
		guess = child == node->first || guess == its ? its : EXPR_GUESS_ANY;
		if (node->kind == EXPR_OR && one->kind == EXPR_AND && one->next != EXPR_NO_NODE &&
		        is_falsy_literal(node_at(walk, one->last)))
			found(walk, "unsound-ternary",
			        "the value after '&&' is false, so what stands after '||' is taken always; use case()");
	}
	return guess;
}

static void check_contains(Walk *walk, const ExprNode *call)
{
	const ExprNode *list = node_at(walk, call->first);
	if (list->kind != EXPR_STRING || !is_chain(walk, call->last))
		return;
	found(walk, "unsound-contains",
	        "contains() of a string looks for a part of it: '%.*s' also contains pieces of its words; use "
	        "contains(fromJSON('[…]'), …)",
	        (int)MIN(list->len, 60), list->text);
}

static void check_format(Walk *walk, const ExprNode *call)
{
	const ExprNode *format = node_at(walk, call->first);
	if (format->kind != EXPR_STRING)
		return;
	bool used[256] = {false};
	int most = -1;
	for (uint32_t i = 0; i + 1 < format->len; i++) {
		if (format->text[i] != '{')
			continue;
		if (format->text[i + 1] == '{') {
			i++;
			continue;
		}
		uint32_t at = i + 1;
		int number = 0;
		for (; at < format->len && g_ascii_isdigit(format->text[at]) && number < 256; at++)
			number = number * 10 + (format->text[at] - '0');
		if (at > i + 1 && number < 256) {
			used[number] = true;
			most = MAX(most, number);
		}
	}
	if (most > call->count - 2)
		found(walk, "format-arguments", "format() has {%d}, but only %d values", most, call->count - 1);
	for (int i = 0; i < call->count - 1; i++)
		if (!used[i])
			found(walk, "format-arguments", "format() never shows its value {%d}", i);
}

/** `secrets` as a whole, or a name of it that is computed: the job gets them all. */
static void check_secrets(Walk *walk, const ExprNode *node, int32_t number)
{
	const ExprNode *outer = node->kind == EXPR_INDEX ? node_at(walk, node->last) : NULL;
	const ExprNode *context = node->kind == EXPR_INDEX ? node_at(walk, node->first) : node;
	(void)number;
	if (context->kind != EXPR_CONTEXT || !node_is(context, "secrets") || (outer && outer->kind == EXPR_STRING))
		return;
	found(walk, "overprovisioned-secrets",
	        "this hands over every secret, where one is needed; name it: secrets.NAME");
}

static ExprGuess look_at_call(Walk *walk, const ExprNode *call)
{
	for (int32_t child = call->first; child != EXPR_NO_NODE; child = node_at(walk, child)->next)
		look_at(walk, child);
	switch (call->function) {
	case EXPR_CONTAINS:
		check_contains(walk, call);
		return EXPR_GUESS_BOOLEAN;
	case EXPR_STARTS_WITH:
	case EXPR_ENDS_WITH:
	case EXPR_SUCCESS:
	case EXPR_FAILURE:
	case EXPR_ALWAYS:
	case EXPR_CANCELLED:
		return EXPR_GUESS_BOOLEAN;
	case EXPR_FORMAT:
		check_format(walk, call);
		return EXPR_GUESS_STRING;
	case EXPR_JOIN:
	case EXPR_TO_JSON:
	case EXPR_HASH_FILES:
		return EXPR_GUESS_STRING;
	case EXPR_CASE:
	case EXPR_FROM_JSON:
		break;
	}
	return EXPR_GUESS_ANY;
}

/** `fromJSON(secrets.X).y`: a part of a secret is not known as one, so no log hides it. */
static void check_part_of_secret(Walk *walk, const ExprNode *node)
{
	const ExprNode *inner = node_at(walk, node->first);
	while (inner->kind == EXPR_INDEX)
		inner = node_at(walk, inner->first);
	if (inner->kind != EXPR_CALL || inner->function != EXPR_FROM_JSON || !is_chain(walk, inner->first))
		return;
	int32_t at = inner->first;
	while (node_at(walk, at)->kind == EXPR_INDEX)
		at = node_at(walk, at)->first;
	if (node_is(node_at(walk, at), "secrets"))
		found(walk, "unredacted-secrets",
		        "a part of a secret is not masked in logs; store each value as a secret of its own");
}

static ExprGuess look_at(Walk *walk, int32_t number)
{
	const ExprNode *node = node_at(walk, number);
	switch (node->kind) {
	case EXPR_NULL:
		return EXPR_GUESS_NULL;
	case EXPR_NOT:
		look_at(walk, node->first);
		return EXPR_GUESS_BOOLEAN;
	case EXPR_BOOLEAN:
		return EXPR_GUESS_BOOLEAN;
	case EXPR_NUMBER:
		return EXPR_GUESS_NUMBER;
	case EXPR_STRING:
		return EXPR_GUESS_STRING;
	case EXPR_CALL:
		return look_at_call(walk, node);
	case EXPR_CONTEXT:
		check_secrets(walk, node, number);
		return look_at_chain(walk, number);
	case EXPR_INDEX:
		look_at_indexes(walk, number);
		if (is_chain(walk, number)) {
			check_secrets(walk, node, number);
			return look_at_chain(walk, number);
		}
		check_part_of_secret(walk, node);
		look_at(walk, node->first);
		return EXPR_GUESS_ANY;
	case EXPR_AND:
	case EXPR_OR:
		return look_at_chain_of(walk, node);
	case EXPR_EQUAL:
	case EXPR_NOT_EQUAL:
	case EXPR_GREATER:
	case EXPR_GREATER_EQUAL:
	case EXPR_LESS:
	case EXPR_LESS_EQUAL:
		return look_at_comparison(walk, node);
	case EXPR_WILDCARD:
		break;
	}
	return EXPR_GUESS_ANY;
}

/* References */

/** Gathers chains; `shown` says whether the value of this node can be seen in the value of the whole. */
static void gather(Walk *walk, int32_t number, bool shown)
{
	const ExprNode *node = node_at(walk, number);
	if (is_chain(walk, number)) {
		ExprReference *reference = g_new0(ExprReference, 1);
		read_chain(walk, number, reference);
		reference->shown = shown;
		g_ptr_array_add(walk->facts->references, reference);
		for (int32_t at = number; node_at(walk, at)->kind == EXPR_INDEX; at = node_at(walk, at)->first)
			gather(walk, node_at(walk, at)->last, false);
		return;
	}
	bool passes = node->kind == EXPR_OR || node->kind == EXPR_INDEX || node->kind == EXPR_AND;
	if (node->kind == EXPR_CALL)
		passes = node->function == EXPR_FORMAT || node->function == EXPR_JOIN || node->function == EXPR_TO_JSON ||
		         node->function == EXPR_FROM_JSON || node->function == EXPR_CASE;
	uint16_t i = 0;
	for (int32_t child = node->first; child != EXPR_NO_NODE; child = node_at(walk, child)->next, i++) {
		bool last = node_at(walk, child)->next == EXPR_NO_NODE;
		bool its = shown && passes;
		if (node->kind == EXPR_AND)
			its = its && last;
		else if (node->kind == EXPR_INDEX)
			its = its && i == 0;
		else if (node->kind == EXPR_CALL && node->function == EXPR_CASE)
			its = its && (last || i % 2 == 1);
		gather(walk, child, its);
	}
}

static bool run_decides(const ExprTree *tree)
{
	for (int32_t i = 0; i < tree->nodes_len; i++)
		if (tree->nodes[i].kind == EXPR_CONTEXT ||
		        (tree->nodes[i].kind == EXPR_CALL && (expr_function_is_status(tree->nodes[i].function) ||
		                                                     tree->nodes[i].function == EXPR_HASH_FILES)))
			return true;
	return false;
}

static bool calls_function(const ExprTree *tree)
{
	for (int32_t i = 0; i < tree->nodes_len; i++)
		if (tree->nodes[i].kind == EXPR_CALL && tree->nodes[i].function != EXPR_FROM_JSON)
			return true;
	return false;
}

void expr_facts(const char *expression, size_t len, ExprFacts *out)
{
	ExprTree tree;
	*out = (ExprFacts){.references = g_ptr_array_new_with_free_func(reference_free),
	        .findings = g_ptr_array_new_with_free_func(finding_free)};
	if (expr_tree_parse(&tree, expression, len, NULL) && tree.root != EXPR_NO_NODE) {
		Walk walk = {.tree = &tree, .facts = out};
		out->guess = look_at(&walk, tree.root);
		gather(&walk, tree.root, true);
		ExprKind kind = tree.nodes[tree.root].kind;
		out->literal = kind <= EXPR_STRING;
		out->constant = !run_decides(&tree);
		out->computes = calls_function(&tree);
	}
	expr_tree_clear(&tree);
}

void expr_facts_clear(ExprFacts *facts)
{
	g_clear_pointer(&facts->references, g_ptr_array_unref);
	g_clear_pointer(&facts->findings, g_ptr_array_unref);
}
