/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lexer and parser of expressions. The parser is Dijkstra's shunting yard with two explicit stacks, so that ten
 * thousand parentheses need no more of the C stack than one; only the finished tree has a limit of depth, like
 * GitHub's. Which token may follow which decides what is an error: that table is `follows`.
 *
 * Nothing here knows which contexts exist; functions and the number of their arguments are checked here.
 */
#include "agent/model/expr_tree.h"

#include <math.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/model/expr_value.h"

typedef enum TokenKind {
	TOKEN_START, /* before the first */
	TOKEN_OPEN_GROUP,
	TOKEN_OPEN_INDEX,
	TOKEN_OPEN_CALL,
	TOKEN_CLOSE_GROUP,
	TOKEN_CLOSE_INDEX,
	TOKEN_CLOSE_CALL,
	TOKEN_COMMA,
	TOKEN_DOT,
	TOKEN_WILDCARD,
	TOKEN_NOT,
	TOKEN_BINARY,
	TOKEN_LITERAL,
	TOKEN_PROPERTY,
	TOKEN_FUNCTION,
	TOKEN_CONTEXT,
	TOKEN_WRONG,
} TokenKind;

typedef struct Token {
	TokenKind kind;
	ExprKind node;    /* of a literal or an operator */
	uint8_t binding;  /* how tightly an operator binds */
	bool truth;
	uint32_t offset;
	uint32_t len;
	double number;
	int32_t call; /* the node of an open call */
} Token;

#define STACK_INLINE 32
#define BIT(kind) (1U << (kind))
/* What a value may begin after, and what a value may end with. */
#define BEFORE_VALUE                                                                                                \
	(BIT(TOKEN_START) | BIT(TOKEN_COMMA) | BIT(TOKEN_OPEN_GROUP) | BIT(TOKEN_OPEN_CALL) |                     \
	        BIT(TOKEN_OPEN_INDEX) | BIT(TOKEN_NOT) | BIT(TOKEN_BINARY))
#define ENDS_INDEXABLE                                                                                              \
	(BIT(TOKEN_CLOSE_GROUP) | BIT(TOKEN_CLOSE_CALL) | BIT(TOKEN_CLOSE_INDEX) | BIT(TOKEN_WILDCARD) |          \
	        BIT(TOKEN_PROPERTY) | BIT(TOKEN_CONTEXT))
#define ENDS_VALUE (ENDS_INDEXABLE | BIT(TOKEN_LITERAL))

static const uint32_t follows[] = {
        [TOKEN_OPEN_GROUP] = BEFORE_VALUE,
        [TOKEN_OPEN_INDEX] = ENDS_INDEXABLE,
        [TOKEN_OPEN_CALL] = BIT(TOKEN_FUNCTION),
        [TOKEN_CLOSE_GROUP] = ENDS_VALUE,
        [TOKEN_CLOSE_INDEX] = ENDS_VALUE,
        [TOKEN_CLOSE_CALL] = ENDS_VALUE | BIT(TOKEN_OPEN_CALL),
        [TOKEN_COMMA] = ENDS_VALUE,
        [TOKEN_DOT] = ENDS_INDEXABLE,
        [TOKEN_WILDCARD] = BIT(TOKEN_OPEN_INDEX) | BIT(TOKEN_DOT),
        [TOKEN_NOT] = BEFORE_VALUE,
        [TOKEN_BINARY] = ENDS_VALUE,
        [TOKEN_LITERAL] = BEFORE_VALUE,
        [TOKEN_PROPERTY] = BIT(TOKEN_DOT),
        [TOKEN_FUNCTION] = BEFORE_VALUE,
        [TOKEN_CONTEXT] = BEFORE_VALUE,
        [TOKEN_WRONG] = 0,
};

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
	const char *text;
	uint32_t len;
	uint32_t at;
	TokenKind last;
	/* operators not yet applied, and the nodes they wait for */
	Token *operators;
	size_t operators_len;
	size_t operators_size;
	int32_t *operands;
	size_t operands_len;
	size_t operands_size;
	Token operators_inline[STACK_INLINE];
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

/* Lexer */

static bool is_boundary(char c)
{
	switch (c) {
	case '(':
	case ')':
	case '[':
	case ']':
	case ',':
	case '.':
	case '!':
	case '>':
	case '<':
	case '=':
	case '&':
	case '|':
		return true;
	default:
		return false;
	}
}

/** The bytes of the white space at an offset: 0 when there is none. */
static uint32_t space_at(const Parser *parser, uint32_t at)
{
	unsigned char c = (unsigned char)parser->text[at];
	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r') ? 1 : 0;
	gunichar wide = g_utf8_get_char(parser->text + at);
	return expr_is_space(wide) ? (uint32_t)g_unichar_to_utf8(wide, NULL) : 0;
}

static uint32_t skip_space(const Parser *parser, uint32_t at)
{
	for (uint32_t space; at < parser->len && (space = space_at(parser, at)) > 0;)
		at += space;
	return at;
}

/** Moves to the next boundary or white space. */
static void read_word(Parser *parser, bool dots)
{
	while (parser->at < parser->len && space_at(parser, parser->at) == 0 &&
	        (!is_boundary(parser->text[parser->at]) || (dots && parser->text[parser->at] == '.')))
		parser->at += (uint32_t)g_utf8_skip[(unsigned char)parser->text[parser->at]];
}

static void read_number(Parser *parser, Token *token)
{
	parser->at++;
	read_word(parser, true);
	token->number = expr_parse_number(parser->text + token->offset, parser->at - token->offset);
	token->kind = token->number == token->number ? TOKEN_LITERAL : TOKEN_WRONG;
	token->node = EXPR_NUMBER;
}

static bool is_keyword(const char *text, size_t len)
{
	if (!g_ascii_isalpha(text[0]) && text[0] != '_')
		return false;
	for (size_t i = 1; i < len; i++)
		if (!g_ascii_isalnum(text[i]) && text[i] != '_' && text[i] != '-')
			return false;
	return true;
}

static bool word_is(const char *text, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(text, word, len) == 0;
}

static void read_keyword(Parser *parser, Token *token)
{
	parser->at++;
	read_word(parser, false);
	const char *word = parser->text + token->offset;
	size_t len = parser->at - token->offset;
	token->kind = TOKEN_LITERAL;
	if (!is_keyword(word, len)) {
		token->kind = TOKEN_WRONG;
	} else if (parser->last == TOKEN_DOT) {
		token->kind = TOKEN_PROPERTY;
	} else if (word_is(word, len, "null")) {
		token->node = EXPR_NULL;
	} else if (word_is(word, len, "true") || word_is(word, len, "false")) {
		token->node = EXPR_BOOLEAN;
		token->truth = *word == 't';
	} else if (word_is(word, len, "NaN") || word_is(word, len, "Infinity")) {
		token->node = EXPR_NUMBER;
		token->number = *word == 'N' ? (double)NAN : (double)INFINITY;
	} else {
		uint32_t ahead = skip_space(parser, parser->at);
		bool call = ahead < parser->len && parser->text[ahead] == '(';
		token->kind = call ? TOKEN_FUNCTION : TOKEN_CONTEXT;
	}
}

static void read_string(Parser *parser, Token *token)
{
	token->kind = TOKEN_WRONG;
	token->node = EXPR_STRING;
	parser->at++;
	while (parser->at < parser->len) {
		if (parser->text[parser->at++] != '\'')
			continue;
		if (parser->at < parser->len && parser->text[parser->at] == '\'') {
			token->truth = true; /* has an escaped quote */
			parser->at++;
			continue;
		}
		token->kind = TOKEN_LITERAL;
		return;
	}
}

static void read_operator(Parser *parser, Token *token)
{
	static const struct {
		char text[3];
		uint8_t binding;
		ExprKind node;
	} operators[] = {{"!=", 10, EXPR_NOT_EQUAL}, {">=", 11, EXPR_GREATER_EQUAL}, {"<=", 11, EXPR_LESS_EQUAL},
	        {"==", 10, EXPR_EQUAL}, {"&&", 6, EXPR_AND}, {"||", 5, EXPR_OR}, {"!", 16, EXPR_NOT},
	        {">", 11, EXPR_GREATER}, {"<", 11, EXPR_LESS}};
	const char *p = parser->text + parser->at;
	size_t left = parser->len - parser->at;
	for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
		const char *text = operators[i].text;
		size_t len = text[1] ? 2 : 1;
		if (left < len || p[0] != text[0] || (len == 2 && p[1] != text[1]))
			continue;
		token->kind = operators[i].node == EXPR_NOT ? TOKEN_NOT : TOKEN_BINARY;
		token->node = operators[i].node;
		token->binding = operators[i].binding;
		parser->at += (uint32_t)len;
		return;
	}
	token->kind = TOKEN_WRONG;
	parser->at++;
	read_word(parser, false);
}

static TokenKind innermost(const Parser *parser)
{
	for (size_t i = parser->operators_len; i > 0; i--) {
		TokenKind kind = parser->operators[i - 1].kind;
		if (kind == TOKEN_OPEN_GROUP || kind == TOKEN_OPEN_INDEX || kind == TOKEN_OPEN_CALL)
			return kind;
	}
	return TOKEN_START;
}

static void read_punctuation(Parser *parser, Token *token, char c)
{
	parser->at++;
	if (c == '(') {
		token->kind = parser->last == TOKEN_FUNCTION ? TOKEN_OPEN_CALL : TOKEN_OPEN_GROUP;
		token->binding = token->kind == TOKEN_OPEN_CALL ? 19 : 20;
	} else if (c == '[') {
		token->kind = TOKEN_OPEN_INDEX;
		token->binding = 19;
	} else if (c == ')') {
		token->kind = innermost(parser) == TOKEN_OPEN_CALL ? TOKEN_CLOSE_CALL : TOKEN_CLOSE_GROUP;
		token->binding = 1;
	} else if (c == ']') {
		token->kind = TOKEN_CLOSE_INDEX;
		token->binding = 1;
	} else if (c == ',') {
		token->kind = TOKEN_COMMA;
		token->binding = 1;
	} else {
		token->kind = TOKEN_WILDCARD;
	}
}

/** A closing token, or a comma, must belong to what is open. */
static bool fits_open(const Parser *parser, TokenKind kind)
{
	if (kind == TOKEN_CLOSE_GROUP)
		return innermost(parser) == TOKEN_OPEN_GROUP;
	if (kind == TOKEN_CLOSE_INDEX)
		return innermost(parser) == TOKEN_OPEN_INDEX;
	if (kind == TOKEN_COMMA || kind == TOKEN_CLOSE_CALL)
		return innermost(parser) == TOKEN_OPEN_CALL;
	return true;
}

static bool next_token(Parser *parser, Token *token, GError **error)
{
	char c = parser->text[parser->at];
	*token = (Token){.kind = TOKEN_WRONG, .offset = parser->at, .call = EXPR_NO_NODE};
	if (c == '.' && (BIT(parser->last) & BEFORE_VALUE)) {
		read_number(parser, token);
	} else if (c == '.') {
		token->kind = TOKEN_DOT;
		token->binding = 19;
		parser->at++;
	} else if (g_ascii_isdigit(c) || c == '-' || c == '+') {
		read_number(parser, token);
	} else if (c == '\'') {
		read_string(parser, token);
	} else if (strchr("()[],*", c)) {
		read_punctuation(parser, token, c);
	} else if (strchr("!<>=&|", c)) {
		read_operator(parser, token);
	} else {
		read_keyword(parser, token);
	}
	token->len = parser->at - token->offset;
	if ((follows[token->kind] & BIT(parser->last)) && fits_open(parser, token->kind))
		return true;
	return expr_tree_fail(parser->tree, token->offset, error, "Unexpected symbol: '%.*s'", (int)token->len,
	        parser->text + token->offset);
}

/* Nodes and stacks */

static int32_t node_add(Parser *parser, ExprKind kind, const Token *token)
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
	        .text = parser->text + token->offset,
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

static void push_operator(Parser *parser, const Token *token)
{
	if (parser->operators_len == parser->operators_size) {
		size_t size = parser->operators_size * 2;
		Token *operators = g_new(Token, size);
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
	Token top = parser->operators[--parser->operators_len];
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
		const Token *top = &parser->operators[parser->operators_len - 1];
		if (top->binding < binding || top->kind == TOKEN_OPEN_GROUP || top->kind == TOKEN_OPEN_INDEX ||
		        top->kind == TOKEN_OPEN_CALL || top->kind == TOKEN_COMMA)
			return;
		apply_top(parser);
	}
}

static bool close_call(Parser *parser, GError **error)
{
	uint16_t count = parser->last == TOKEN_OPEN_CALL ? 0 : 1;
	uint32_t commas = 0;
	while (parser->operators[parser->operators_len - 1].kind == TOKEN_COMMA) {
		parser->operators_len--;
		commas++;
	}
	Token open = parser->operators[--parser->operators_len];
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

static bool push_function(Parser *parser, const Token *token, GError **error)
{
	const char *name = parser->text + token->offset;
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

static void push_string(Parser *parser, const Token *token)
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

static bool push_token(Parser *parser, Token *token, GError **error)
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
	Token token = {0};
	for (parser->at = skip_space(parser, 0); parser->at < parser->len; parser->at = skip_space(parser, parser->at)) {
		if (!next_token(parser, &token, error) || !push_token(parser, &token, error))
			return false;
		parser->last = token.kind;
	}
	if (parser->last == TOKEN_START)
		return true;
	if (!(BIT(parser->last) & ENDS_VALUE) || innermost(parser) != TOKEN_START)
		return expr_tree_fail(parser->tree, token.offset, error, "Unexpected end of expression: '%.*s'",
		        (int)token.len, parser->text + token.offset);
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
	parser.text = text;
	parser.len = (uint32_t)len;
	parser.at = 0;
	parser.last = TOKEN_START;
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
