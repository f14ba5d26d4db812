/* SPDX-License-Identifier: Apache-2.0 */
/* The lexer of expressions. Which token may follow which decides what is an error: that table is `follows`. */
#include "agent/model/expr_lexer.h"

#include <math.h>
#include <string.h>

#include "agent/model/expr_value.h"

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
static uint32_t space_at(const ExprLexer *lexer, uint32_t at)
{
	unsigned char c = (unsigned char)lexer->text[at];
	if (c < 0x80)
		return c == ' ' || (c >= '\t' && c <= '\r') ? 1 : 0;
	gunichar wide = g_utf8_get_char(lexer->text + at);
	return expr_is_space(wide) ? (uint32_t)g_unichar_to_utf8(wide, NULL) : 0;
}

static uint32_t skip_space(const ExprLexer *lexer, uint32_t at)
{
	for (uint32_t space; at < lexer->len && (space = space_at(lexer, at)) > 0;)
		at += space;
	return at;
}

/** Moves to the next boundary or white space. */
static void read_word(ExprLexer *lexer, bool dots)
{
	while (lexer->at < lexer->len && space_at(lexer, lexer->at) == 0 &&
	        (!is_boundary(lexer->text[lexer->at]) || (dots && lexer->text[lexer->at] == '.')))
		lexer->at += (uint32_t)g_utf8_skip[(unsigned char)lexer->text[lexer->at]];
}

static void read_number(ExprLexer *lexer, ExprToken *token)
{
	lexer->at++;
	read_word(lexer, true);
	token->number = expr_parse_number(lexer->text + token->offset, lexer->at - token->offset);
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

static void read_keyword(ExprLexer *lexer, ExprToken *token)
{
	lexer->at++;
	read_word(lexer, false);
	const char *word = lexer->text + token->offset;
	size_t len = lexer->at - token->offset;
	token->kind = TOKEN_LITERAL;
	if (!is_keyword(word, len)) {
		token->kind = TOKEN_WRONG;
	} else if (lexer->last == TOKEN_DOT) {
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
		uint32_t ahead = skip_space(lexer, lexer->at);
		bool call = ahead < lexer->len && lexer->text[ahead] == '(';
		token->kind = call ? TOKEN_FUNCTION : TOKEN_CONTEXT;
	}
}

static void read_string(ExprLexer *lexer, ExprToken *token)
{
	token->kind = TOKEN_WRONG;
	token->node = EXPR_STRING;
	lexer->at++;
	while (lexer->at < lexer->len) {
		if (lexer->text[lexer->at++] != '\'')
			continue;
		if (lexer->at < lexer->len && lexer->text[lexer->at] == '\'') {
			token->truth = true; /* has an escaped quote */
			lexer->at++;
			continue;
		}
		token->kind = TOKEN_LITERAL;
		return;
	}
}

static void read_operator(ExprLexer *lexer, ExprToken *token)
{
	static const struct {
		char text[3];
		uint8_t binding;
		ExprKind node;
	} operators[] = {{"!=", 10, EXPR_NOT_EQUAL}, {">=", 11, EXPR_GREATER_EQUAL}, {"<=", 11, EXPR_LESS_EQUAL},
	        {"==", 10, EXPR_EQUAL}, {"&&", 6, EXPR_AND}, {"||", 5, EXPR_OR}, {"!", 16, EXPR_NOT},
	        {">", 11, EXPR_GREATER}, {"<", 11, EXPR_LESS}};
	const char *p = lexer->text + lexer->at;
	size_t left = lexer->len - lexer->at;
	for (size_t i = 0; i < G_N_ELEMENTS(operators); i++) {
		const char *text = operators[i].text;
		size_t len = text[1] ? 2 : 1;
		if (left < len || p[0] != text[0] || (len == 2 && p[1] != text[1]))
			continue;
		token->kind = operators[i].node == EXPR_NOT ? TOKEN_NOT : TOKEN_BINARY;
		token->node = operators[i].node;
		token->binding = operators[i].binding;
		lexer->at += (uint32_t)len;
		return;
	}
	token->kind = TOKEN_WRONG;
	lexer->at++;
	read_word(lexer, false);
}

static void read_punctuation(ExprLexer *lexer, ExprToken *token, char c)
{
	lexer->at++;
	if (c == '(') {
		token->kind = lexer->last == TOKEN_FUNCTION ? TOKEN_OPEN_CALL : TOKEN_OPEN_GROUP;
		token->binding = token->kind == TOKEN_OPEN_CALL ? 19 : 20;
	} else if (c == '[') {
		token->kind = TOKEN_OPEN_INDEX;
		token->binding = 19;
	} else if (c == ')') {
		token->kind = lexer->open == TOKEN_OPEN_CALL ? TOKEN_CLOSE_CALL : TOKEN_CLOSE_GROUP;
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
static bool fits_open(const ExprLexer *lexer, TokenKind kind)
{
	if (kind == TOKEN_CLOSE_GROUP)
		return lexer->open == TOKEN_OPEN_GROUP;
	if (kind == TOKEN_CLOSE_INDEX)
		return lexer->open == TOKEN_OPEN_INDEX;
	if (kind == TOKEN_COMMA || kind == TOKEN_CLOSE_CALL)
		return lexer->open == TOKEN_OPEN_CALL;
	return true;
}

bool expr_lexer_next(ExprLexer *lexer, const ExprTree *tree, ExprToken *token, GError **error)
{
	char c = lexer->text[lexer->at];
	*token = (ExprToken){.kind = TOKEN_WRONG, .offset = lexer->at, .call = EXPR_NO_NODE};
	if (c == '.' && (BIT(lexer->last) & BEFORE_VALUE)) {
		read_number(lexer, token);
	} else if (c == '.') {
		token->kind = TOKEN_DOT;
		token->binding = 19;
		lexer->at++;
	} else if (g_ascii_isdigit(c) || c == '-' || c == '+') {
		read_number(lexer, token);
	} else if (c == '\'') {
		read_string(lexer, token);
	} else if (strchr("()[],*", c)) {
		read_punctuation(lexer, token, c);
	} else if (strchr("!<>=&|", c)) {
		read_operator(lexer, token);
	} else {
		read_keyword(lexer, token);
	}
	token->len = lexer->at - token->offset;
	if ((follows[token->kind] & BIT(lexer->last)) && fits_open(lexer, token->kind))
		return true;
	return expr_tree_fail(tree, token->offset, error, "Unexpected symbol: '%.*s'", (int)token->len,
	        lexer->text + token->offset);
}

bool expr_lexer_has_more(ExprLexer *lexer)
{
	lexer->at = skip_space(lexer, lexer->at);
	return lexer->at < lexer->len;
}

bool expr_token_ends_value(TokenKind kind)
{
	return (BIT(kind) & ENDS_VALUE) != 0;
}
