/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each comparator becomes an interval, from a lowest version up to one that is too high; "!=" becomes a hole. What is
 * left out at a version's end counts: "3.10" is everything from 3.10.0 to below 3.11.0.
 */
#include "agent/model/version.h"

#include <glib.h>
#include <stdint.h>
#include <string.h>

#define PARTS 3
#define PART_MAX 1000000000

typedef struct Version {
	int64_t parts[PARTS];
	int given; /* how many of them are written; 0: "x", "*" */
	bool pre;  /* a release candidate or the like of it */
} Version;

typedef struct Interval {
	int64_t low[PARTS];
	int64_t high[PARTS]; /* the first that is too high */
	bool hole;
} Interval;

static int compare_parts(const int64_t *a, const int64_t *b)
{
	for (int i = 0; i < PARTS; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

/* Reads a version, whole or begun: "3", "3.x", "v20.1.0", "3.14.0rc1". NULL when it is none, else what is behind it. */
static const char *read_version(const char *at, Version *out)
{
	*out = (Version){.given = 0};
	if (*at == 'v' || *at == 'V')
		at++;
	for (bool open = false; ; at++) {
		bool any = *at == 'x' || *at == 'X' || *at == '*';
		if (!any && !g_ascii_isdigit(*at))
			return NULL;
		char *end = (char *)(uintptr_t)at + 1;
		int64_t number = any ? 0 : g_ascii_strtoll(at, &end, 10);
		if (number > PART_MAX)
			return NULL;
		open = open || any;
		if (!open && out->given < PARTS)
			out->parts[out->given++] = number;
		at = end;
		if (*at != '.')
			break;
	}
	if (*at == '+' || *at == '-' || g_ascii_isalpha(*at)) {
		out->pre = *at != '+';
		at += strcspn(at, " \t\n,|");
	}
	return at;
}

/* The first version behind all that begin as this one does. */
static void after(const Version *version, int given, int64_t *out)
{
	memcpy(out, version->parts, sizeof version->parts);
	if (given == 0) {
		out[0] = INT64_MAX;
		return;
	}
	out[given - 1]++;
	for (int i = given; i < PARTS; i++)
		out[i] = 0;
}

static Interval everything(void)
{
	return (Interval){.high = {INT64_MAX, 0, 0}};
}

/* The part that "^" holds: the first that is not 0, of those that are written. */
static int caret_part(const Version *version)
{
	for (int i = 0; i < version->given; i++)
		if (version->parts[i] != 0)
			return i + 1;
	return version->given;
}

static bool make_interval(const char *op, const Version *version, Interval *out)
{
	int given = version->given;
	*out = everything();
	if (strcmp(op, "") == 0 || strcmp(op, "=") == 0 || strcmp(op, "==") == 0 || strcmp(op, "===") == 0 ||
	        strcmp(op, "!=") == 0) {
		memcpy(out->low, version->parts, sizeof out->low);
		after(version, given, out->high);
		out->hole = op[0] == '!';
	} else if (strcmp(op, ">=") == 0) {
		memcpy(out->low, version->parts, sizeof out->low);
	} else if (strcmp(op, ">") == 0) {
		after(version, given, out->low);
	} else if (strcmp(op, "<") == 0) {
		memcpy(out->high, version->parts, sizeof out->high);
	} else if (strcmp(op, "<=") == 0) {
		after(version, given, out->high);
	} else if (strcmp(op, "^") == 0 || strcmp(op, "~") == 0 || strcmp(op, "~>") == 0 || strcmp(op, "~=") == 0) {
		int held = op[0] == '^' ? caret_part(version) : strcmp(op, "~=") == 0 ? MAX(given - 1, 1) : MIN(given, 2);
		memcpy(out->low, version->parts, sizeof out->low);
		after(version, given == 0 ? 0 : held, out->high);
	} else {
		return false;
	}
	return true;
}

static const char *skip_blanks(const char *at)
{
	while (g_ascii_isspace(*at) || *at == ',')
		at++;
	return at;
}

/* "A - B" */
static bool read_hyphen(const char *text, GArray *out)
{
	const char *dash = strstr(text, " - ");
	Version low, high;
	if (!dash)
		return false;
	const char *low_end = read_version(text, &low);
	const char *high_end = read_version(skip_blanks(dash + 3), &high);
	if (!low_end || skip_blanks(low_end) != dash + 1 || !high_end || *skip_blanks(high_end))
		return false;
	Interval interval = everything();
	memcpy(interval.low, low.parts, sizeof interval.low);
	after(&high, high.given, interval.high);
	g_array_append_val(out, interval);
	return true;
}

/* The comparators of one alternative, which must all hold. */
static bool read_alternative(const char *text, GArray *out)
{
	const char *at = skip_blanks(text);
	if (read_hyphen(at, out))
		return true;
	while (*at) {
		char op[4] = "";
		size_t len = strspn(at, "<>=~^!");
		Version version;
		Interval interval;
		if (len >= sizeof op)
			return false;
		memcpy(op, at, len);
		at += len;
		while (g_ascii_isspace(*at))
			at++;
		if (!(at = read_version(at, &version)) || !make_interval(op, &version, &interval))
			return false;
		if (*at && !g_ascii_isspace(*at) && *at != ',')
			return false;
		/* A release candidate alone is nothing that a release is. */
		if (version.pre && interval.low[0] == version.parts[0] && (op[0] == '\0' || op[0] == '='))
			memcpy(interval.high, interval.low, sizeof interval.high);
		g_array_append_val(out, interval);
		at = skip_blanks(at);
	}
	return true;
}

static bool holds(const GArray *intervals, const Version *version)
{
	for (guint i = 0; i < intervals->len; i++) {
		const Interval *one = &g_array_index(intervals, Interval, i);
		bool within = compare_parts(version->parts, one->low) >= 0 && compare_parts(version->parts, one->high) < 0;
		if (within == one->hole)
			return false;
	}
	return true;
}

/* Reads the whole wish; version may be NULL. */
static bool read_range(const char *range, const Version *version, bool *out_fits)
{
	g_auto(GStrv) alternatives = g_strsplit(range, "||", -1);
	for (char **one = alternatives; *one; one++) {
		g_autoptr(GArray) intervals = g_array_new(FALSE, FALSE, sizeof(Interval));
		if (!read_alternative(*one, intervals))
			return false;
		*out_fits = *out_fits || (version && holds(intervals, version));
	}
	if (!alternatives[0])
		*out_fits = true;
	return true;
}

bool version_is_range(const char *range)
{
	bool fits = false;
	return read_range(range, NULL, &fits);
}

bool version_fits(const char *version, const char *range, bool prereleases)
{
	Version have;
	bool fits = false;
	const char *end = read_version(version, &have);
	if (!end || *end || (have.pre && !prereleases))
		return false;
	return read_range(range, &have, &fits) && fits;
}

int version_compare(const char *a, const char *b)
{
	Version left, right;
	bool is_left = read_version(a, &left) != NULL;
	bool is_right = read_version(b, &right) != NULL;
	if (!is_left || !is_right)
		return (int)is_left - (int)is_right;
	int by_parts = compare_parts(left.parts, right.parts);
	return by_parts != 0 ? by_parts : (int)right.pre - (int)left.pre;
}
