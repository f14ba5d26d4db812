/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns as GLib's regular expressions over bytes (so that any line can be matched), with PCRE's own limits in front of
 * each. A matcher of several patterns remembers what its lines have said so far; its last one may go on (`loop`).
 */
#include "agent/job/matcher.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

/* Of one match: about a millisecond. */
#define LIMITS "(*LIMIT_MATCH=100000)(*LIMIT_DEPTH=10000)(*LIMIT_HEAP=4096)"
#define TIRED_AFTER 3
#define TEXT_BYTES_MAX 8192

typedef enum Part { PART_FILE, PART_LINE, PART_COLUMN, PART_SEVERITY, PART_CODE, PART_MESSAGE, PART_FROM, PARTS } Part;

static const char *const part_names[PARTS] = {"file", "line", "column", "severity", "code", "message", "fromPath"};

/* What the lines of an issue have said so far. */
typedef struct Said {
	bool running;
	char *parts[PARTS];
} Said;

typedef struct Pattern {
	GRegex *regex;
	int groups[PARTS]; /* -1: this pattern does not tell */
	bool loop;
	Said said;         /* up to and with this pattern */
} Pattern;

typedef struct Matcher {
	char *owner;
	char *severity;
	char *from_path;
	GPtrArray *patterns; /* Pattern * */
	int tired;
} Matcher;

struct Matchers {
	GPtrArray *list; /* Matcher *, the newest first */
};

static void said_clear(Said *said)
{
	for (size_t i = 0; i < PARTS; i++)
		g_clear_pointer(&said->parts[i], g_free);
	said->running = false;
}

static void said_copy(Said *to, const Said *from)
{
	if (to == from)
		return;
	said_clear(to);
	to->running = true;
	for (size_t i = 0; from && i < PARTS; i++)
		to->parts[i] = g_strdup(from->parts[i]);
}

void issue_clear(Issue *issue)
{
	g_free(issue->message);
	g_free(issue->file);
	g_free(issue->from_path);
	g_free(issue->code);
	*issue = (Issue){.level = "error"};
}

static void pattern_free(void *data)
{
	Pattern *pattern = data;
	if (pattern->regex)
		g_regex_unref(pattern->regex);
	said_clear(&pattern->said);
	g_free(pattern);
}

static void matcher_free(void *data)
{
	Matcher *matcher = data;
	g_ptr_array_unref(matcher->patterns);
	g_free(matcher->owner);
	g_free(matcher->severity);
	g_free(matcher->from_path);
	g_free(matcher);
}

Matchers *matchers_new(void)
{
	Matchers *matchers = g_new0(Matchers, 1);
	matchers->list = g_ptr_array_new_with_free_func(matcher_free);
	return matchers;
}

void matchers_free(Matchers *matchers)
{
	if (!matchers)
		return;
	g_ptr_array_unref(matchers->list);
	g_free(matchers);
}

bool matchers_are_empty(const Matchers *matchers)
{
	return matchers->list->len == 0;
}

static bool is_level(const char *word)
{
	static const char *const levels[] = {"error", "warning", "notice"};
	for (size_t i = 0; word && i < G_N_ELEMENTS(levels); i++)
		if (g_ascii_strcasecmp(word, levels[i]) == 0)
			return true;
	return false;
}

/* Which group of a pattern tells a part; told: by this or an earlier pattern of the matcher. */
static bool read_group(const json_t *json, Part part, Pattern *pattern, bool *told, GError **error)
{
	const json_t *value = json_object_get(json, part_names[part]);
	pattern->groups[part] = -1;
	if (!value || json_is_null(value))
		return true;
	if (*told)
		return fail(error, ASSAY_ERROR_USER, "the property '%s' is set twice", part_names[part]);
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	        json_integer_value(value) > g_regex_get_capture_count(pattern->regex))
		return fail(error, ASSAY_ERROR_USER, "the property '%s' names no group of '%.100s'", part_names[part],
		        json_get_string(json, "regexp", ""));
	pattern->groups[part] = (int)json_integer_value(value);
	*told = true;
	return true;
}

static bool read_pattern(const json_t *json, bool first, bool last, bool told[PARTS], Pattern *pattern, GError **error)
{
	const char *text = json_get_string(json, "regexp", NULL);
	if (!json_is_object(json) || !text)
		return fail(error, ASSAY_ERROR_USER, "a pattern has no 'regexp'");
	if (strlen(text) > MATCHER_REGEXP_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "a 'regexp' is longer than %d bytes", MATCHER_REGEXP_BYTES_MAX);
	pattern->loop = json_get_bool(json, "loop", false);
	if (pattern->loop && (first || !last))
		return fail(error, ASSAY_ERROR_USER, "only the last of several patterns may set 'loop'");
	if (pattern->loop && !json_is_integer(json_object_get(json, "message")))
		return fail(error, ASSAY_ERROR_USER, "the pattern that sets 'loop' must set 'message'");
	g_autofree char *limited = g_strconcat(LIMITS, text, NULL);
	g_autoptr(GError) why = NULL;
	pattern->regex = g_regex_new(limited, G_REGEX_RAW, 0, &why);
	if (!pattern->regex)
		return fail(error, ASSAY_ERROR_USER, "'%.100s' is no regular expression that can be used here", text);
	for (Part part = PART_FILE; part < PARTS; part++)
		if (!read_group(json, part, pattern, &told[part], error))
			return false;
	return true;
}

static bool read_matcher(const json_t *json, Matcher *matcher, GError **error)
{
	const char *owner = json_get_string(json, "owner", NULL);
	const char *severity = json_get_string(json, "severity", "");
	const json_t *patterns = json_object_get(json, "pattern");
	matcher->patterns = g_ptr_array_new_with_free_func(pattern_free);
	if (!owner || !owner[0])
		return fail(error, ASSAY_ERROR_USER, "a matcher has no 'owner'");
	matcher->owner = g_strndup(owner, 200);
	if (severity[0] && !is_level(severity))
		return fail(error, ASSAY_ERROR_USER, "matcher '%s': the severity '%.40s' is not error, warning or notice",
		        matcher->owner, severity);
	matcher->severity = g_strdup(severity);
	matcher->from_path = g_strdup(json_get_string(json, "fromPath", NULL));
	size_t count = json_array_size(patterns);
	if (count == 0 || count > MATCHER_PATTERNS_MAX)
		return fail(error, ASSAY_ERROR_USER, "matcher '%s' has %zu patterns; 1 to %d can be used", matcher->owner, count,
		        MATCHER_PATTERNS_MAX);
	bool told[PARTS] = {false};
	for (size_t i = 0; i < count; i++) {
		Pattern *pattern = g_new0(Pattern, 1);
		g_ptr_array_add(matcher->patterns, pattern);
		if (!read_pattern(json_array_get(patterns, i), i == 0, i + 1 == count, told, pattern, error)) {
			g_prefix_error(error, "matcher '%s': ", matcher->owner);
			return false;
		}
	}
	return told[PART_MESSAGE] || fail(error, ASSAY_ERROR_USER, "matcher '%s': no pattern sets 'message'", matcher->owner);
}

bool matchers_remove(Matchers *matchers, const char *owner)
{
	for (guint i = 0; i < matchers->list->len; i++)
		if (g_ascii_strcasecmp(((const Matcher *)matchers->list->pdata[i])->owner, owner) == 0) {
			g_ptr_array_remove_index(matchers->list, i);
			return true;
		}
	return false;
}

static bool is_among(const GPtrArray *list, const char *owner)
{
	for (guint i = 0; i < list->len; i++)
		if (g_ascii_strcasecmp(((const Matcher *)list->pdata[i])->owner, owner) == 0)
			return true;
	return false;
}

bool matchers_add(Matchers *matchers, const char *text, size_t len, char **out, GError **error)
{
	if (len > MATCHER_FILE_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the file is larger than %d bytes", MATCHER_FILE_BYTES_MAX);
	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3, len -= 3;
	g_autoptr(json_t) json = json_parse(text, len, "matchers", error);
	if (!json)
		return false;
	const json_t *list = json_object_get(json, "problemMatcher");
	if (json_array_size(list) == 0)
		return fail(error, ASSAY_ERROR_USER, "it has no list 'problemMatcher'");
	g_autoptr(GPtrArray) fresh = g_ptr_array_new_with_free_func(matcher_free);
	for (size_t i = 0; i < json_array_size(list); i++) {
		Matcher *matcher = g_new0(Matcher, 1);
		bool good = read_matcher(json_array_get(list, i), matcher, error);
		if (good && is_among(fresh, matcher->owner))
			good = fail(error, ASSAY_ERROR_USER, "the owner '%s' is there twice", matcher->owner);
		g_ptr_array_add(fresh, matcher);
		if (!good)
			return false;
		if (fresh->len > MATCHER_OWNERS_MAX)
			return fail(error, ASSAY_ERROR_USER, "there are more than %d matchers", MATCHER_OWNERS_MAX);
	}
	GString *owners = g_string_new(NULL);
	for (guint i = fresh->len; i > 0; i--) {
		Matcher *matcher = g_ptr_array_steal_index(fresh, i - 1);
		matchers_remove(matchers, matcher->owner);
		g_string_prepend(owners, i > 1 ? ", " : "");
		g_string_insert(owners, i > 1 ? 2 : 0, matcher->owner);
		g_ptr_array_insert(matchers->list, 0, matcher);
	}
	if (matchers->list->len > MATCHER_OWNERS_MAX)
		g_ptr_array_set_size(matchers->list, MATCHER_OWNERS_MAX);
	*out = g_string_free(owners, FALSE);
	return true;
}

static void reset(Matcher *matcher)
{
	for (guint i = 0; i < matcher->patterns->len; i++)
		said_clear(&((Pattern *)matcher->patterns->pdata[i])->said);
}

void matchers_reset(Matchers *matchers)
{
	for (guint i = 0; i < matchers->list->len; i++)
		reset(matchers->list->pdata[i]);
}

static char *group_text(const GMatchInfo *info, int group)
{
	int from = -1, to = -1;
	if (group < 0 || !g_match_info_fetch_pos(info, group, &from, &to) || from < 0 || to < from)
		return NULL;
	g_autofree char *valid = g_utf8_make_valid(g_match_info_get_string(info) + from, MIN(to - from, TEXT_BYTES_MAX));
	return g_strdup(g_strstrip(valid));
}

/* Adds what a match tells to what was said before. */
static void learn(const Pattern *pattern, const GMatchInfo *info, Said *said)
{
	for (size_t part = 0; part < PARTS; part++) {
		g_autofree char *text = group_text(info, pattern->groups[part]);
		if (!text)
			continue;
		g_free(said->parts[part]);
		said->parts[part] = g_steal_pointer(&text);
	}
}

/* What all lines said becomes an issue; false when it has no message or a level that nobody knows. */
static bool conclude(const Matcher *matcher, Said *said, Issue *out)
{
	const char *level = said->parts[PART_SEVERITY] && said->parts[PART_SEVERITY][0] ? said->parts[PART_SEVERITY] : matcher->severity;
	const char *message = said->parts[PART_MESSAGE];
	gint64 number = 0;
	if (!message || !message[0] || (level[0] && !is_level(level)))
		return false;
	out->level = g_ascii_strcasecmp(level, "warning") == 0 ? "warning" : g_ascii_strcasecmp(level, "notice") == 0 ? "notice" : "error";
	out->message = g_steal_pointer(&said->parts[PART_MESSAGE]);
	out->file = g_steal_pointer(&said->parts[PART_FILE]);
	out->code = g_steal_pointer(&said->parts[PART_CODE]);
	out->from_path = said->parts[PART_FROM] ? g_steal_pointer(&said->parts[PART_FROM]) : g_strdup(matcher->from_path);
	if (said->parts[PART_LINE] && g_ascii_string_to_signed(said->parts[PART_LINE], 10, 0, G_MAXINT32, &number, NULL))
		out->line = (int)number;
	if (said->parts[PART_COLUMN] && g_ascii_string_to_signed(said->parts[PART_COLUMN], 10, 0, G_MAXINT32, &number, NULL))
		out->column = (int)number;
	return true;
}

/* One pattern over the line; *tired when it took too long. */
static GMatchInfo *try_pattern(const Pattern *pattern, const char *line, size_t len, bool *tired)
{
	GMatchInfo *info = NULL;
	g_autoptr(GError) why = NULL;
	if (g_regex_match_full(pattern->regex, line, (gssize)len, 0, 0, &info, &why))
		return info;
	*tired = *tired || why != NULL;
	g_match_info_free(info);
	return NULL;
}

/* From the last pattern to the first, so that one line is not two steps of the same issue. */
static bool meet(Matcher *matcher, const char *line, size_t len, Issue *out, bool *tired)
{
	Pattern **patterns = (Pattern **)matcher->patterns->pdata;
	for (guint i = matcher->patterns->len; i > 0; i--) {
		Pattern *pattern = patterns[i - 1];
		Pattern *before = i > 1 ? patterns[i - 2] : NULL;
		bool last = i == matcher->patterns->len;
		if (before && !before->said.running)
			continue;
		GMatchInfo *info = try_pattern(pattern, line, len, tired);
		if (!info) {
			said_clear(last && before ? &before->said : &pattern->said);
			continue;
		}
		Said said = {0};
		said_copy(&said, before ? &before->said : NULL);
		learn(pattern, info, &said);
		g_match_info_free(info);
		if (!last) {
			said_clear(&pattern->said);
			pattern->said = said;
			continue;
		}
		Said kept = {0};
		if (pattern->loop)
			said_copy(&kept, &before->said);
		reset(matcher);
		if (pattern->loop)
			before->said = kept;
		bool good = conclude(matcher, &said, out);
		said_clear(&said);
		return good;
	}
	return false;
}

/* Colours and the like: ESC [ … letter. */
static char *without_colours(const char *line, size_t len, size_t *out_len)
{
	char *plain = g_malloc(len + 1);
	size_t at = 0;
	for (size_t i = 0; i < len;) {
		if (line[i] != '\x1b' || i + 1 >= len || line[i + 1] != '[') {
			plain[at++] = line[i++];
			continue;
		}
		i += 2;
		while (i < len && (g_ascii_isdigit(line[i]) || line[i] == ';'))
			i++;
		if (i < len && g_ascii_isalpha(line[i]))
			i++;
	}
	plain[at] = '\0';
	*out_len = at;
	return plain;
}

bool matchers_line(Matchers *matchers, const char *line, size_t len, Issue *out, char **out_tired)
{
	*out_tired = NULL;
	if (len == 0 || len > MATCHER_LINE_BYTES_MAX)
		return false;
	g_autofree char *plain = without_colours(line, len, &len);
	for (guint i = 0; i < matchers->list->len; i++) {
		Matcher *matcher = matchers->list->pdata[i];
		bool tired = false;
		bool found = meet(matcher, plain, len, out, &tired);
		if (tired && ++matcher->tired >= TIRED_AFTER && !*out_tired) {
			*out_tired = g_strdup(matcher->owner);
			g_ptr_array_remove_index(matchers->list, i--);
			continue;
		}
		if (!found)
			continue;
		for (guint k = 0; k < matchers->list->len; k++)
			if (k != i)
				reset(matchers->list->pdata[k]);
		return true;
	}
	return false;
}
