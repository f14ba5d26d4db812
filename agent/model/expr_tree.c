/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of expressions: Dijkstra's shunting yard with two explicit stacks, so that ten
 * thousand parentheses need no more of the C stack than one; only the finished tree has a limit of depth, like
 * GitHub's.
 *
 * Nothing here knows which contexts exist; functions and the number of their arguments are checked here.
 */
#include "agent/model/expr_tree.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/model/expr_lexer.h"

#define STACK_INLINE 32
static const struct {
	const char *name;
	uint8_t least;
	uint8_t most;
	bool status;
} functions[] = {
        [EXPR_ALWAYS] = {"always", 0, 0, true},
        [EXPR_CANCELLED] = {"cancelled", 0, 0, true},
        [EXPR_CASE] = {"case", 3, 255, false},
        [EXPR_CONTAINS] = {"contains", 2, 2, false},
        [EXPR_ENDS_WITH] = {"endsWith", 2, 2, false},
        [EXPR_FAILURE] = {"failure", 0, 255, true},
        [EXPR_FORMAT] = {"format", 1, 255, false},
        [EXPR_FROM_JSON] = {"fromJSON", 1, 1, false},
        [EXPR_HASH_FILES] = {"hashFiles", 1, 255, false},
        [EXPR_JOIN] = {"join", 1, 2, false},
        [EXPR_STARTS_WITH] = {"startsWith", 2, 2, false},
        [EXPR_SUCCESS] = {"success", 0, 255, true},
        [EXPR_TO_JSON] = {"toJSON", 1, 1, false},
};

typedef struct Parser {
	ExprTree *tree;
	ExprLexer lexer;
	/* operators not yet applied, and the nodes they wait for */
	ExprToken *operators;
	size_t operators_len;
	size_t operators_size;
	int32_t *operands;
	size_t operands_len;
	size_t operands_size;
	ExprToken operators_inline[STACK_INLINE];
	int32_t operands_inline[STACK_INLINE];
} Parser;

const char *expr_function_name(ExprFunction function)
{
	return functions[function].name;
}

bool expr_function_is_status(ExprFunction function)
{
	return functions[function].status;
}

bool expr_tree_fail(const ExprTree *tree, uint32_t offset, GError **error, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *why = g_strdup_vprintf(format, args);
	va_end(args);
	glong position = g_utf8_strlen(tree->source, offset) + 1;
	return fail(error, ASSAY_ERROR_USER, "%s. Located at position %ld within expression: %.*s", why, position,
	        (int)tree->source_len, tree->source);
}

/* Nodes and stacks */

static TokenKind innermost(const Parser *parser)
{
	for (size_t i = parser->operators_len; i > 0; i--) {
		TokenKind kind = parser->operators[i - 1].kind;
		if (kind == TOKEN_OPEN_GROUP || kind == TOKEN_OPEN_INDEX || kind == TOKEN_OPEN_CALL)
			return kind;
	}
	return TOKEN_START;
}

static int32_t node_add(Parser *parser, ExprKind kind, const ExprToken *token)
{
	ExprTree *tree = parser->tree;
	if (tree->nodes_len == tree->nodes_size) {
		int32_t size = tree->nodes_size * 2;
		ExprNode *nodes = g_new(ExprNode, size);
		memcpy(nodes, tree->nodes, sizeof *nodes * (size_t)tree->nodes_len);
		if (tree->nodes != tree->nodes_inline)
			g_free(tree->nodes);
		tree->nodes = nodes;
		tree->nodes_size = size;
	}
	tree->nodes[tree->nodes_len] = (ExprNode){.kind = kind,
	        .truth = token->truth,
	        .depth = 1,
	        .first = EXPR_NO_NODE,
	        .last = EXPR_NO_NODE,
	        .next = EXPR_NO_NODE,
	        .offset = token->offset,
	        .len = token->len,
	        .text = parser->lexer.text + token->offset,
	        .number = token->number};
	return tree->nodes_len++;
}

/** Appends a list of children, `depth` being that of the deepest. */
static void node_append(ExprTree *tree, int32_t parent, int32_t first, int32_t last, uint16_t count, uint16_t depth)
{
	ExprNode *node = &tree->nodes[parent];
	if (node->last == EXPR_NO_NODE)
		node->first = first;
	else
		tree->nodes[node->last].next = first;
	node->last = last;
	node->count = (uint16_t)(node->count + count);
	node->depth = MAX(node->depth, (uint16_t)(depth + 1));
}

/** `a && (b && c)` is one node with three children, as deep as one. */
static void node_adopt(ExprTree *tree, int32_t parent, int32_t child)
{
	const ExprNode *node = &tree->nodes[child];
	ExprKind kind = tree->nodes[parent].kind;
	if ((kind == EXPR_AND || kind == EXPR_OR) && node->kind == kind)
		node_append(tree, parent, node->first, node->last, node->count, (uint16_t)(node->depth - 1));
	else
		node_append(tree, parent, child, child, 1, node->depth);
}

static void push_operand(Parser *parser, int32_t node)
{
	if (parser->operands_len == parser->operands_size) {
		size_t size = parser->operands_size * 2;
		int32_t *operands = g_new(int32_t, size);
		memcpy(operands, parser->operands, sizeof *operands * parser->operands_len);
		if (parser->operands != parser->operands_inline)
			g_free(parser->operands);
		parser->operands = operands;
		parser->operands_size = size;
	}
	parser->operands[parser->operands_len++] = node;
}

static void push_operator(Parser *parser, const ExprToken *token)
{
	if (parser->operators_len == parser->operators_size) {
		size_t size = parser->operators_size * 2;
		ExprToken *operators = g_new(ExprToken, size);
		memcpy(operators, parser->operators, sizeof *operators * parser->operators_len);
		if (parser->operators != parser->operators_inline)
			g_free(parser->operators);
		parser->operators = operators;
		parser->operators_size = size;
	}
	parser->operators[parser->operators_len++] = *token;
}

static int32_t pop_operand(Parser *parser)
{
	g_assert(parser->operands_len > 0);
	return parser->operands[--parser->operands_len];
}

/* Parser */

/** Applies the operator on top: an index, a `.`, or a logical one. */
static void apply_top(Parser *parser)
{
	ExprToken top = parser->operators[--parser->operators_len];
	ExprKind kind = top.kind == TOKEN_DOT || top.kind == TOKEN_OPEN_INDEX ? EXPR_INDEX : top.node;
	int32_t node = node_add(parser, kind, &top);
	int32_t right = pop_operand(parser);
	if (kind != EXPR_NOT)
		node_adopt(parser->tree, node, pop_operand(parser));
	node_adopt(parser->tree, node, right);
	push_operand(parser, node);
}

/** Applies what binds at least as tightly, back to the innermost thing that is open. */
static void apply_tighter(Parser *parser, uint8_t binding)
{
	while (parser->operators_len > 0) {
		const ExprToken *top = &parser->operators[parser->operators_len - 1];
		if (top->binding < binding || top->kind == TOKEN_OPEN_GROUP || top->kind == TOKEN_OPEN_INDEX ||
		        top->kind == TOKEN_OPEN_CALL || top->kind == TOKEN_COMMA)
			return;
		apply_top(parser);
	}
}

static bool close_call(Parser *parser, GError **error)
{
	uint16_t count = parser->lexer.last == TOKEN_OPEN_CALL ? 0 : 1;
	uint32_t commas = 0;
	while (parser->operators[parser->operators_len - 1].kind == TOKEN_COMMA) {
		parser->operators_len--;
		commas++;
	}
	ExprToken open = parser->operators[--parser->operators_len];
	const ExprNode *call = &parser->tree->nodes[open.call];
	ExprFunction function = call->function;
	uint32_t offset = call->offset;
	uint32_t total = count + commas;
	if (total < functions[function].least)
		return expr_tree_fail(parser->tree, offset, error, "Too few parameters supplied: '%s'",
		        functions[function].name);
	if (total > functions[function].most)
		return expr_tree_fail(parser->tree, offset, error, "Too many parameters supplied: '%s'",
		        functions[function].name);
	if (function == EXPR_CASE && total % 2 == 0)
		return expr_tree_fail(parser->tree, offset, error,
		        "Even number of parameters supplied, requires an odd number of parameters: 'case'");
	parser->operands_len -= total;
	for (uint32_t i = 0; i < total; i++) {
		int32_t child = parser->operands[parser->operands_len + i];
		node_append(parser->tree, open.call, child, child, 1, parser->tree->nodes[child].depth);
	}
	return true;
}

static bool push_function(Parser *parser, const ExprToken *token, GError **error)
{
	const char *name = parser->lexer.text + token->offset;
	for (size_t i = 0; i < G_N_ELEMENTS(functions); i++)
		if (strlen(functions[i].name) == token->len &&
		        g_ascii_strncasecmp(functions[i].name, name, token->len) == 0) {
			int32_t node = node_add(parser, EXPR_CALL, token);
			parser->tree->nodes[node].function = (ExprFunction)i;
			push_operand(parser, node);
			return true;
		}
	return expr_tree_fail(parser->tree, token->offset, error, "Unrecognized function: '%.*s'", (int)token->len,
	        name);
}

static void push_string(Parser *parser, const ExprToken *token)
{
	int32_t number = node_add(parser, EXPR_STRING, token);
	ExprNode *node = &parser->tree->nodes[number];
	node->text++;
	node->len -= 2;
	if (token->truth) {
		char *text = g_malloc(node->len + 1);
		uint32_t len = 0;
		for (uint32_t i = 0; i < node->len; i++) {
			text[len++] = node->text[i];
			i += node->text[i] == '\'';
		}
		text[len] = '\0';
		parser->tree->unescaped = g_slist_prepend(parser->tree->unescaped, text);
		node->text = text;
		node->len = len;
	}
	push_operand(parser, number);
}

static bool push_token(Parser *parser, ExprToken *token, GError **error)
{
	switch (token->kind) {
	case TOKEN_LITERAL:
		if (token->node == EXPR_STRING)
			push_string(parser, token);
		else
			push_operand(parser, node_add(parser, token->node, token));
		return true;
	case TOKEN_PROPERTY:
		push_operand(parser, node_add(parser, EXPR_STRING, token));
		return true;
	case TOKEN_WILDCARD:
		push_operand(parser, node_add(parser, EXPR_WILDCARD, token));
		return true;
	case TOKEN_CONTEXT:
		push_operand(parser, node_add(parser, EXPR_CONTEXT, token));
		return true;
	case TOKEN_FUNCTION:
		return push_function(parser, token, error);
	case TOKEN_OPEN_CALL:
		token->call = parser->operands[parser->operands_len - 1];
		push_operator(parser, token);
		return true;
	case TOKEN_OPEN_GROUP:
	case TOKEN_NOT:
		push_operator(parser, token);
		return true;
	case TOKEN_OPEN_INDEX:
	case TOKEN_DOT:
	case TOKEN_BINARY:
	case TOKEN_COMMA:
		apply_tighter(parser, token->binding);
		push_operator(parser, token);
		return true;
	case TOKEN_CLOSE_GROUP:
		apply_tighter(parser, token->binding);
		parser->operators_len--;
		return true;
	case TOKEN_CLOSE_INDEX:
		apply_tighter(parser, token->binding);
		apply_top(parser);
		return true;
	case TOKEN_CLOSE_CALL:
		apply_tighter(parser, token->binding);
		return close_call(parser, error);
	case TOKEN_START:
	case TOKEN_WRONG:
		break;
	}
	g_assert_not_reached();
}

static bool parse(Parser *parser, GError **error)
{
	ExprToken token = {0};
	while (expr_lexer_has_more(&parser->lexer)) {
		parser->lexer.open = innermost(parser);
		if (!expr_lexer_next(&parser->lexer, parser->tree, &token, error) || !push_token(parser, &token, error))
			return false;
		parser->lexer.last = token.kind;
	}
	if (parser->lexer.last == TOKEN_START)
		return true;
	if (!expr_token_ends_value(parser->lexer.last) || innermost(parser) != TOKEN_START)
		return expr_tree_fail(parser->tree, token.offset, error, "Unexpected end of expression: '%.*s'",
		        (int)token.len, parser->lexer.text + token.offset);
	while (parser->operators_len > 0)
		apply_top(parser);
	parser->tree->root = pop_operand(parser);
	if (parser->tree->nodes[parser->tree->root].depth > EXPR_DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "Exceeded max expression depth %d", EXPR_DEPTH_MAX);
	return true;
}

bool expr_tree_parse(ExprTree *tree, const char *text, size_t len, GError **error)
{
	tree->source = text;
	tree->source_len = len;
	tree->nodes = tree->nodes_inline;
	tree->nodes_len = 0;
	tree->nodes_size = EXPR_NODES_INLINE;
	tree->root = EXPR_NO_NODE;
	tree->unescaped = NULL;
	if (!g_utf8_validate_len(text, len, NULL))
		return fail(error, ASSAY_ERROR_USER, "The expression is not UTF-8");
	if (len > EXPR_LENGTH_MAX && g_utf8_strlen(text, (gssize)len) > EXPR_LENGTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "Exceeded max expression length %d", EXPR_LENGTH_MAX);
	Parser parser;
	parser.tree = tree;
	parser.lexer = (ExprLexer){.text = text, .len = (uint32_t)len};
	parser.operators = parser.operators_inline;
	parser.operators_len = 0;
	parser.operators_size = STACK_INLINE;
	parser.operands = parser.operands_inline;
	parser.operands_len = 0;
	parser.operands_size = STACK_INLINE;
	bool good = parse(&parser, error);
	if (parser.operators != parser.operators_inline)
		g_free(parser.operators);
	if (parser.operands != parser.operands_inline)
		g_free(parser.operands);
	return good;
}

void expr_tree_clear(ExprTree *tree)
{
	if (tree->nodes != tree->nodes_inline)
		g_free(tree->nodes);
	g_slist_free_full(tree->unescaped, g_free);
	tree->nodes = tree->nodes_inline;
	tree->nodes_len = 0;
	tree->unescaped = NULL;
}
