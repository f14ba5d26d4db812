/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The claim. Which secret a body is to be verified with depends on the repo that the body names, so that name is read
 * before anything is trusted. This scanner knows just enough JSON not to be fooled by a string that looks like a key
 * or by a key of an object further down. It is lenient about numbers and words (it skips them): after the check of
 * the signature, the strict parser reads the same bytes again.
 */
#include "webhooks/claim.h"

#include <glib.h>
#include <string.h>

#define CLAIM_DEPTH_MAX 64
#define CLAIM_BYTES_MAX 256

typedef struct Scan {
	const char *at, *end;
} Scan;

static void skip_space(Scan *scan)
{
	while (scan->at < scan->end && strchr(" \t\r\n", *scan->at) && *scan->at)
		scan->at++;
}

static bool take(Scan *scan, char wanted)
{
	skip_space(scan);
	if (scan->at >= scan->end || *scan->at != wanted)
		return false;
	scan->at++;
	return true;
}

/** Steps over a string; out (may be NULL) gets what is between the quotes, as it stands there. */
static bool take_string(Scan *scan, const char **out, size_t *out_len)
{
	if (!take(scan, '"'))
		return false;
	const char *start = scan->at;
	while (scan->at < scan->end && *scan->at != '"') {
		if (*scan->at == '\\' && scan->end - scan->at < 2)
			return false;
		scan->at += *scan->at == '\\' ? 2 : 1;
	}
	if (scan->at >= scan->end)
		return false;
	if (out) {
		*out = start;
		*out_len = (size_t)(scan->at - start);
	}
	scan->at++;
	return true;
}

/** Steps over one value of any kind, counting brackets instead of calling itself. */
static bool skip_value(Scan *scan)
{
	int depth = 0;
	do {
		skip_space(scan);
		if (scan->at >= scan->end)
			return false;
		char c = *scan->at;
		if (c == '"') {
			if (!take_string(scan, NULL, NULL))
				return false;
		} else if (c == '{' || c == '[') {
			if (++depth > CLAIM_DEPTH_MAX)
				return false;
			scan->at++;
		} else if (c == '}' || c == ']') {
			if (--depth < 0)
				return false;
			scan->at++;
		} else if (depth > 0 && (c == ',' || c == ':')) {
			scan->at++;
		} else {
			const char *start = scan->at;
			while (scan->at < scan->end && (g_ascii_isalnum(*scan->at) || strchr("+-.", *scan->at)) && *scan->at)
				scan->at++;
			if (scan->at == start)
				return false;
		}
	} while (depth > 0);
	return true;
}

/** Enters an object and stands before the value of `key`, the first of that name. */
static bool find_key(Scan *scan, const char *key)
{
	if (!take(scan, '{'))
		return false;
	do {
		const char *name = NULL;
		size_t name_len = 0;
		if (!take_string(scan, &name, &name_len) || !take(scan, ':'))
			return false;
		if (name_len == strlen(key) && memcmp(name, key, name_len) == 0)
			return true;
		if (!skip_value(scan))
			return false;
	} while (take(scan, ','));
	return false;
}

char *claim_string(const char *json, size_t len, const char *outer, const char *inner)
{
	if (!json)
		return NULL;
	Scan scan = {.at = json, .end = json + len};
	const char *text = NULL;
	size_t text_len = 0;
	if (!find_key(&scan, outer) || (inner && !find_key(&scan, inner)) || !take_string(&scan, &text, &text_len))
		return NULL;
	if (text_len == 0 || text_len > CLAIM_BYTES_MAX || memchr(text, 0, text_len))
		return NULL;
	GString *plain = g_string_sized_new(text_len);
	for (size_t i = 0; i < text_len; i++) {
		if (text[i] == '\\' && text[++i] != '/') {
			g_string_free(plain, TRUE);
			return NULL;
		}
		g_string_append_c(plain, text[i]);
	}
	return g_string_free(plain, FALSE);
}

static bool is_part(const char *part, size_t len)
{
	if (len == 0 || len > 100 || (len == 1 && part[0] == '.') || (len == 2 && memcmp(part, "..", 2) == 0))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(part[i]) && part[i] != '.' && part[i] != '_' && part[i] != '-')
			return false;
	return true;
}

bool claim_is_repo_name(const char *name)
{
	const char *slash = name ? strchr(name, '/') : NULL;
	return slash && is_part(name, (size_t)(slash - name)) && is_part(slash + 1, strlen(slash + 1));
}

char *claim_repo(const char *json, size_t len, const char *outer, const char *inner)
{
	g_autofree char *name = claim_string(json, len, outer, inner);
	return claim_is_repo_name(name) ? g_steal_pointer(&name) : NULL;
}
