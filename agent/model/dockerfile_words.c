/* SPDX-License-Identifier: Apache-2.0 */
/* Words of a Dockerfile's lines: where they part, and what variables in them become. Every step has a bound on its result. */
#include <string.h>

#include "agent/base/error.h"
#include "agent/model/dockerfile.h"

#define NESTED_MAX 16 /* ${a:-${b:-${c}}} */
#define WORK_BYTES_MAX (4 * 1024 * 1024) /* of one word, with what is put together and not taken */

typedef struct Expansion {
	const char *at;
	char escape;
	bool keeps_quotes; /* a here-document's text */
	DockerLookup lookup;
	void *data;
	GString *out;
	size_t work;
	int depth;
} Expansion;

static bool is_blank(char byte)
{
	return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

char **dockerfile_fields(const char *line)
{
	GPtrArray *fields = g_ptr_array_new();
	while (*line) {
		size_t len = 0;
		while (line[len] && !is_blank(line[len]))
			len++;
		if (len > 0)
			g_ptr_array_add(fields, g_strndup(line, len));
		line += len + (line[len] != '\0');
	}
	g_ptr_array_add(fields, NULL);
	return (char **)g_ptr_array_free(fields, FALSE);
}

char **dockerfile_words(const char *line, char escape)
{
	GPtrArray *words = g_ptr_array_new();
	for (const char *at = line; *at;) {
		const char *start = at;
		char quote = '\0';
		for (; *at && (quote || !is_blank(*at)); at++) {
			if (*at == escape && quote != '\'' && at[1])
				at++;
			else if (quote ? *at == quote : *at == '"' || *at == '\'')
				quote = quote ? '\0' : *at;
		}
		if (at > start)
			g_ptr_array_add(words, g_strndup(start, (gsize)(at - start)));
		at += *at != '\0';
	}
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(words, FALSE);
}

char **dockerfile_pairs(const char *line, char escape, GError **error)
{
	g_auto(GStrv) words = dockerfile_words(line, escape);
	GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
	const char *wrong = words[0] ? NULL : "";
	if (words[0] && !strchr(words[0], '=')) {
		const char *value = line + strspn(line, " \t") + strlen(words[0]);
		value += strspn(value, " \t");
		if (*value)
			g_ptr_array_add(pairs, g_strconcat(words[0], "=", value, NULL));
		else
			wrong = words[0];
	} else {
		for (char **word = words; *word && !wrong; word++) {
			const char *equals = strchr(*word, '=');
			if (equals && equals != *word)
				g_ptr_array_add(pairs, g_strdup(*word));
			else
				wrong = *word;
		}
	}
	if (wrong) {
		g_ptr_array_unref(pairs);
		fail(error, ASSAY_ERROR_USER, "'%.60s' is not NAME=value", wrong);
		return NULL;
	}
	g_ptr_array_add(pairs, NULL);
	return (char **)g_ptr_array_free(pairs, FALSE);
}

/* ---- variables ---- */

static bool put(Expansion *expansion, const char *text, size_t len, GError **error)
{
	size_t most = expansion->keeps_quotes ? DOCKERFILE_BYTES_MAX : DOCKERFILE_WORD_BYTES_MAX;
	expansion->work += len;
	if (expansion->out->len + len > most || expansion->work > WORK_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "it has more than %zu bytes with its variables put in", most);
	g_string_append_len(expansion->out, text, (gssize)len);
	return true;
}

static size_t name_len(const char *at)
{
	size_t len = 0;
	if (g_ascii_isalpha(at[0]) || at[0] == '_')
		while (g_ascii_isalnum(at[len]) || at[len] == '_')
			len++;
	else if (g_ascii_isdigit(at[0]) || (at[0] && strchr("@*#?-$!", at[0])))
		len = 1; /* a shell's own: empty here */
	return len;
}

static bool walk(Expansion *expansion, const char *stops, GError **error);

/* What stands behind `${x:-`, up to its brace. NULL on error; the caller's. */
static char *read_alternative(Expansion *expansion, GError **error)
{
	GString *outer = expansion->out;
	expansion->out = g_string_new(NULL);
	bool good = ++expansion->depth <= NESTED_MAX ? walk(expansion, "}", error)
	                                             : fail(error, ASSAY_ERROR_USER, "variables are nested deeper than %d", NESTED_MAX);
	expansion->depth--;
	if (good && *expansion->at != '}')
		good = fail(error, ASSAY_ERROR_USER, "a '${' has no '}'");
	GString *inner = expansion->out;
	expansion->out = outer;
	if (good)
		expansion->at++;
	return g_string_free(inner, !good);
}

static bool put_braced(Expansion *expansion, GError **error)
{
	size_t len = name_len(++expansion->at);
	g_autofree char *name = g_strndup(expansion->at, len);
	const char *value = len > 0 ? expansion->lookup(expansion->data, name) : NULL;
	expansion->at += len;
	if (len == 0)
		return fail(error, ASSAY_ERROR_USER, "'${' is not followed by a name");
	if (*expansion->at == '}') {
		expansion->at++;
		return !value || put(expansion, value, strlen(value), error);
	}
	bool colon = *expansion->at == ':';
	char kind = expansion->at[colon];
	if (!kind || !strchr("-+?", kind))
		return fail(error, ASSAY_ERROR_USER, "${%.60s…}: only :- :+ :? - + ? can follow the name here", name);
	expansion->at += colon + 1;
	bool given = value && (!colon || value[0]);
	g_autofree char *other = read_alternative(expansion, error);
	if (!other)
		return false;
	if (kind == '?' && !given)
		return fail(error, ASSAY_ERROR_USER, "%.60s: %.200s", name, other[0] ? other : "it is not set");
	const char *chosen = kind == '+' ? (given ? other : "") : given ? value : other;
	return put(expansion, chosen, strlen(chosen), error);
}

static bool put_variable(Expansion *expansion, GError **error)
{
	if (*++expansion->at == '{')
		return put_braced(expansion, error);
	size_t len = name_len(expansion->at);
	if (len == 0)
		return put(expansion, "$", 1, error);
	g_autofree char *name = g_strndup(expansion->at, len);
	const char *value = expansion->lookup(expansion->data, name);
	expansion->at += len;
	return !value || put(expansion, value, strlen(value), error);
}

static bool put_quoted(Expansion *expansion, GError **error)
{
	for (expansion->at++; *expansion->at != '"';) {
		const char *at = expansion->at;
		if (!*at)
			return fail(error, ASSAY_ERROR_USER, "a \" has no end");
		if (*at == '$') {
			if (!put_variable(expansion, error))
				return false;
			continue;
		}
		bool escaped = *at == expansion->escape && (at[1] == '"' || at[1] == '$' || at[1] == expansion->escape);
		if (!put(expansion, at + escaped, 1, error))
			return false;
		expansion->at += 1 + escaped;
	}
	expansion->at++;
	return true;
}

static bool put_literal(Expansion *expansion, GError **error)
{
	const char *end = strchr(expansion->at + 1, '\'');
	if (!end)
		return fail(error, ASSAY_ERROR_USER, "a ' has no end");
	bool good = put(expansion, expansion->at + 1, (size_t)(end - expansion->at - 1), error);
	expansion->at = end + 1;
	return good;
}

static bool walk(Expansion *expansion, const char *stops, GError **error)
{
	for (bool good = true; *expansion->at && !strchr(stops, *expansion->at);) {
		char byte = *expansion->at;
		bool quotes = !expansion->keeps_quotes;
		if (byte == '$') {
			good = put_variable(expansion, error);
		} else if (byte == '"' && quotes) {
			good = put_quoted(expansion, error);
		} else if (byte == '\'' && quotes) {
			good = put_literal(expansion, error);
		} else if (byte == expansion->escape && expansion->at[1] && (quotes || expansion->at[1] == '$')) {
			good = put(expansion, expansion->at + 1, 1, error);
			expansion->at += 2;
		} else {
			good = put(expansion, expansion->at++, 1, error);
		}
		if (!good)
			return false;
	}
	return true;
}

static char *expand(const char *text, char escape, bool keeps_quotes, DockerLookup lookup, void *data, GError **error)
{
	Expansion expansion = {.at = text, .escape = escape, .keeps_quotes = keeps_quotes, .lookup = lookup, .data = data,
	        .out = g_string_new(NULL)};
	bool good = walk(&expansion, "", error);
	return g_string_free(expansion.out, !good);
}

char *dockerfile_expand(const char *word, char escape, DockerLookup lookup, void *data, GError **error)
{
	return expand(word, escape, false, lookup, data, error);
}

char *dockerfile_expand_text(const char *text, char escape, DockerLookup lookup, void *data, GError **error)
{
	return expand(text, escape, true, lookup, data, error);
}
