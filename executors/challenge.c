/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list in which commas stand between challenges and between the parameters of one: what is followed by "=" and a value
 * is a parameter, every other word begins a challenge.
 */
#include "executors/challenge.h"

#include <glib.h>
#include <string.h>

#define BETWEEN " \t,"
#define TOKEN_CHARS "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define TOKEN68_CHARS "-._~+/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

static bool is_word(const char *text, size_t len, const char *wanted)
{
	return strlen(wanted) == len && g_ascii_strncasecmp(text, wanted, len) == 0;
}

/* A token or a quoted string, put into `out`. Returns what follows, or NULL when it is neither. */
static const char *read_value(const char *at, GString *out)
{
	size_t len = strspn(at, TOKEN_CHARS);
	g_string_append_len(out, at, (gssize)len);
	if (at[0] != '"')
		return len > 0 ? at + len : NULL;
	for (at++; at[0] && at[0] != '"'; at++) {
		if (at[0] == '\\' && at[1])
			at++;
		g_string_append_c(out, at[0]);
	}
	return at[0] ? at + 1 : NULL;
}

/* "NAME = VALUE": the value into `out`. Returns what follows, or NULL when it is no parameter. */
static const char *read_parameter(const char *at, GString *out)
{
	size_t len = strspn(at, TOKEN_CHARS);
	const char *equals = skip_blanks(at + len);
	return len > 0 && equals[0] == '=' ? read_value(skip_blanks(equals + 1), out) : NULL;
}

/* The one word of letters, digits and "=" at the end that some schemes have instead of parameters. */
static const char *skip_token68(const char *at)
{
	const char *word = skip_blanks(at);
	const char *end = word + strspn(word, TOKEN68_CHARS);
	end += strspn(end, "=");
	const char *next = skip_blanks(end);
	return word > at && end > word && (next[0] == ',' || !next[0]) ? next : at;
}

static bool is_printable(const GString *value)
{
	for (gsize i = 0; i < value->len; i++)
		if (value->str[i] < ' ' || value->str[i] > '~')
			return false;
	return true;
}

bool challenge_find(const char *header, const char *scheme, const char *name, char **out_value)
{
	bool found = false, within = false;
	char *value = NULL;
	g_autoptr(GString) text = g_string_new(NULL);
	for (const char *at = header + strspn(header, BETWEEN); at[0]; at += strspn(at, BETWEEN)) {
		size_t len = strspn(at, TOKEN_CHARS);
		g_string_truncate(text, 0);
		const char *behind = read_parameter(at, text);
		if (behind) {
			if (within && name && !value && is_word(at, len, name) && is_printable(text))
				value = g_strdup(text->str);
			at = behind;
		} else if (len > 0) {
			if (within) /* the first of this scheme has ended */
				break;
			within = is_word(at, len, scheme);
			found = found || within;
			at = skip_token68(at + len);
		} else {
			break;
		}
	}
	if (out_value)
		*out_value = value;
	else
		g_free(value);
	return found;
}
