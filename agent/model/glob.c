/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pattern becomes a row of parts; matching moves a set of positions through them, one character of the text at a time
 * (Thompson, "Regular Expression Search Algorithm", 1968), so a hostile pattern costs no more than a long one.
 */
#include "agent/model/glob.h"

#include <string.h>

typedef enum PartKind {
	PART_CHARACTER,
	PART_SET,
	PART_SEGMENT, /* `*`: any but a slash, any number */
	PART_ANY,     /* `**`: any, any number */
	PART_FOLDERS, /* a leading or middle double star with its slash: whole folders, any number */
} PartKind;

typedef struct Part {
	PartKind kind;
	bool optional; /* `?` behind it */
	bool repeated; /* `+` behind it */
	gunichar character;
	const char *set; /* behind its '[' */
	const char *set_end;
} Part;

static bool set_holds(const Part *part, gunichar c)
{
	const char *p = part->set;
	bool inverted = p < part->set_end && *p == '^';
	p += inverted;
	bool found = false;
	while (p < part->set_end) {
		gunichar low = g_utf8_get_char(p);
		p = g_utf8_next_char(p);
		gunichar high = low;
		if (p < part->set_end && *p == '-' && p + 1 < part->set_end) {
			high = g_utf8_get_char(p + 1);
			p = g_utf8_next_char(p + 1);
		}
		found = found || (c >= low && c <= high);
	}
	return found != inverted;
}

static bool part_takes(const Part *part, gunichar c)
{
	switch (part->kind) {
	case PART_CHARACTER:
		return part->character == c;
	case PART_SET:
		return set_holds(part, c);
	case PART_SEGMENT:
		return c != '/';
	case PART_ANY:
	case PART_FOLDERS:
		break;
	}
	return true;
}

/** May the part be passed over without a character? */
static bool part_is_skippable(const Part *part)
{
	return part->kind >= PART_SEGMENT || part->optional;
}

static GArray *compile(const char *pattern)
{
	GArray *parts = g_array_new(FALSE, TRUE, sizeof(Part));
	const char *start = pattern;
	for (const char *p = pattern; *p;) {
		Part part = {.kind = PART_CHARACTER};
		Part *last = parts->len > 0 ? &g_array_index(parts, Part, parts->len - 1) : NULL;
		const char *close = *p == '[' ? strchr(p + 1, ']') : NULL;
		bool bare = last && last->kind <= PART_SET && !last->optional && !last->repeated;
		if (*p == '*' && p[1] == '*') {
			bool at_start = p == start || p[-1] == '/';
			p += 2;
			part.kind = PART_ANY;
			if (at_start && *p == '/') {
				part.kind = PART_FOLDERS;
				p++;
			}
		} else if (*p == '*') {
			part.kind = PART_SEGMENT;
			p++;
		} else if ((*p == '?' || *p == '+') && bare) {
			last->optional = *p == '?';
			last->repeated = *p == '+';
			p++;
			continue;
		} else if (close && close > p + 1) {
			part.kind = PART_SET;
			part.set = p + 1;
			part.set_end = close;
			p = close + 1;
		} else {
			p += *p == '\\' && p[1];
			part.character = g_utf8_get_char(p);
			p = g_utf8_next_char(p);
		}
		g_array_append_val(parts, part);
	}
	return parts;
}

/** Adds a position and those that can be reached from it without a character. */
static void reach(const GArray *parts, bool *positions, guint at)
{
	for (; at <= parts->len && !positions[at]; at++) {
		positions[at] = true;
		if (at == parts->len || !part_is_skippable(&g_array_index(parts, Part, at)))
			return;
	}
}

/** Moves the positions over one character. */
static void advance(const GArray *parts, const bool *now, bool *next, gunichar c)
{
	for (guint at = 0; at < parts->len; at++) {
		const Part *part = &g_array_index(parts, Part, at);
		if (!now[at] || !part_takes(part, c))
			continue;
		if (part->kind == PART_FOLDERS) {
			/* Inside a folder's name one stays here; only behind a slash the rest may begin. */
			next[at] = true;
			if (c == '/')
				reach(parts, next, at + 1);
		} else if (part->kind >= PART_SEGMENT) {
			reach(parts, next, at);
		} else {
			if (part->repeated)
				next[at] = true;
			reach(parts, next, at + 1);
		}
	}
}

bool glob_matches(const char *pattern, const char *text)
{
	if (strlen(pattern) > GLOB_PATTERN_BYTES_MAX || !g_utf8_validate(pattern, -1, NULL) ||
	        !g_utf8_validate(text, -1, NULL))
		return false;
	g_autoptr(GArray) parts = compile(pattern);
	g_autofree bool *now = g_new0(bool, parts->len + 1);
	g_autofree bool *next = g_new0(bool, parts->len + 1);
	reach(parts, now, 0);
	for (const char *p = text; *p; p = g_utf8_next_char(p)) {
		memset(next, 0, sizeof *next * (parts->len + 1));
		advance(parts, now, next, g_utf8_get_char(p));
		bool *swap = now;
		now = next;
		next = swap;
	}
	return now[parts->len];
}

bool glob_list_matches(const char *const *patterns, const char *text)
{
	bool matched = false;
	for (size_t i = 0; patterns[i]; i++) {
		bool against = patterns[i][0] == '!';
		if (matched == against && glob_matches(patterns[i] + against, text))
			matched = !against;
	}
	return matched;
}
