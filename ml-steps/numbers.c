/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers from files that a job wrote: bounded in count and depth, and named in every error. */
#include "ml-steps/numbers.h"

#include <math.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "ml-steps/workspace.h"

#define METRICS_MAX 10000
#define LINES_MAX 100000
#define DEPTH_MAX 8
#define NAME_BYTES_MAX 250

/* Called for each leaf of a nested object with its name "a/b". */
typedef bool (*Leaf)(const char *name, const json_t *value, void *data, GError **error);

static bool walk(const json_t *object, const char *prefix, int depth, Leaf leaf, void *data, GError **error)
{
	const char *key;
	json_t *value;
	if (depth > DEPTH_MAX)
		return fail(error, ASSAY_ERROR_USER, "'%s': nested deeper than %d levels", prefix, DEPTH_MAX);
	json_object_foreach((json_t *)object, key, value)
	{
		g_autofree char *name = prefix[0] ? g_strdup_printf("%s/%s", prefix, key) : g_strdup(key);
		if (name[0] == '\0' || strlen(name) > NAME_BYTES_MAX)
			return fail(error, ASSAY_ERROR_USER, "'%.60s…': a name has 1 to %d bytes", name, NAME_BYTES_MAX);
		if (json_is_object(value) ? !walk(value, name, depth + 1, leaf, data, error)
		                          : !leaf(name, value, data, error))
			return false;
	}
	return true;
}

typedef struct Collected {
	json_t *metrics;
	int64_t step;
	bool lines; /* `step` is the step, not a metric */
} Collected;

static bool collect(const char *name, const json_t *value, void *data, GError **error)
{
	Collected *into = data;
	if (!json_is_number(value) && !json_is_boolean(value))
		return true;
	if (into->lines && strcmp(name, "step") == 0)
		return true;
	if (json_array_size(into->metrics) >= METRICS_MAX)
		return fail(error, ASSAY_ERROR_USER, "more than %d values; write fewer steps", METRICS_MAX);
	json_t *item = json_object();
	json_set_string(item, "name", name);
	json_set_real(item, "value", json_is_boolean(value) ? json_is_true(value) : json_number_value(value));
	json_set_int(item, "step", into->step);
	json_array_append_new(into->metrics, item);
	return true;
}

static bool read_lines(const char *text, size_t len, const char *path, Collected *into, GError **error)
{
	into->lines = true;
	const char *end = text + len;
	for (size_t line = 1; text < end; line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		size_t bytes = (size_t)((stop ? stop : end) - text);
		g_autofree char *what = g_strdup_printf("%s: line %zu", path, line);
		g_autofree char *copy = g_strndup(text, bytes);
		text += bytes + (stop != NULL);
		if (g_strstrip(copy)[0] == '\0')
			continue;
		if (line > LINES_MAX)
			return fail(error, ASSAY_ERROR_USER, "%s: more than %d lines", path, LINES_MAX);
		g_autoptr(json_t) object = json_parse(copy, strlen(copy), what, error);
		if (!object)
			return false;
		if (!json_is_object(object))
			return fail(error, ASSAY_ERROR_USER, "%s: not a JSON object", what);
		into->step = json_get_int(object, "step", (int64_t)line - 1);
		if (!walk(object, "", 0, collect, into, error)) {
			g_prefix_error(error, "%s: ", what);
			return false;
		}
	}
	return true;
}

json_t *numbers_read(MlContext *context, const char *path, GError **error)
{
	g_autoptr(GBytes) bytes = workspace_read(context, path, WORKSPACE_TEXT_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	text = text ? text : "";
	g_autoptr(json_t) metrics = json_array();
	Collected into = {.metrics = metrics};
	if (g_str_has_suffix(path, ".jsonl") || g_str_has_suffix(path, ".ndjson")) {
		if (!read_lines(text, len, path, &into, error))
			return NULL;
	} else {
		g_autoptr(json_t) object = json_parse(text, len, path, error);
		if (!object)
			return NULL;
		if (!json_is_object(object)) {
			fail(error, ASSAY_ERROR_USER, "%s: not a JSON object; write {\"accuracy\": 0.97}", path);
			return NULL;
		}
		if (!walk(object, "", 0, collect, &into, error)) {
			g_prefix_error(error, "%s: ", path);
			return NULL;
		}
	}
	if (json_array_size(metrics) == 0) {
		fail(error, ASSAY_ERROR_USER, "%s: there is no number in it", path);
		return NULL;
	}
	return g_steal_pointer(&metrics);
}

json_t *numbers_last(const json_t *metrics)
{
	json_t *last = json_object();
	for (size_t i = 0; i < json_array_size(metrics); i++) {
		const json_t *item = json_array_get(metrics, i);
		json_object_set(last, json_get_string(item, "name", ""), json_object_get(item, "value"));
	}
	return last;
}

char *numbers_json(const json_t *value)
{
	char *raw = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	char *text = g_strdup(raw ? raw : "null");
	free(raw);
	return text;
}

static bool collect_param(const char *name, const json_t *value, void *data, GError **error)
{
	json_t *params = data;
	if (json_object_size(params) >= METRICS_MAX)
		return fail(error, ASSAY_ERROR_USER, "more than %d parameters", METRICS_MAX);
	g_autofree char *text = numbers_json(value);
	json_set_string(params, name, json_is_string(value) ? json_string_value(value) : text);
	return true;
}

json_t *numbers_params(MlContext *context, const char *path, GError **error)
{
	g_autoptr(json_t) object = workspace_json(context, path, error);
	g_autoptr(json_t) params = json_object();
	if (!object)
		return NULL;
	if (!json_is_object(object)) {
		fail(error, ASSAY_ERROR_USER, "%s: not a JSON object; write {\"learning_rate\": 0.1}", path);
		return NULL;
	}
	if (!walk(object, "", 0, collect_param, params, error)) {
		g_prefix_error(error, "%s: ", path);
		return NULL;
	}
	return g_steal_pointer(&params);
}

char *numbers_sentence(const json_t *last, size_t most)
{
	g_autoptr(GString) text = g_string_new(NULL);
	size_t count = 0;
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)last, name, value)
	{
		if (count++ < most)
			g_string_append_printf(text, "%s%s %.4g", text->len ? ", " : "", name, json_number_value(value));
	}
	if (count > most)
		g_string_append_printf(text, " and %zu more", count - most);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

bool duration_parse(const char *text, int64_t *out_us, GError **error)
{
	int64_t total_s = 0;
	const char *at = text;
	do {
		char *unit = NULL;
		uint64_t number = g_ascii_strtoull(at, &unit, 10);
		int64_t scale = *unit == 's' ? 1 : *unit == 'm' ? 60 : *unit == 'h' ? 3600 : *unit == 'd' ? 86400 : 0;
		if (!g_ascii_isdigit(*at) || scale == 0 || number > 1000000)
			return fail(error, ASSAY_ERROR_USER, "'%.60s' is not a time; write 90s, 30m, 2h or 1h30m", text);
		total_s += (int64_t)number * scale;
		at = unit + 1;
	} while (*at != '\0');
	if (total_s == 0)
		return fail(error, ASSAY_ERROR_USER, "'%.60s' is no time at all; leave it out for no limit", text);
	*out_us = total_s * 1000000;
	return true;
}

bool size_parse(const char *text, int64_t *out_bytes, GError **error)
{
	static const struct {
		const char *unit;
		double bytes;
	} units[] = {{"", 1}, {"B", 1}, {"K", 1024}, {"M", 1048576}, {"G", 1073741824}, {"T", 1099511627776},
	        {"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"TiB", 1099511627776}, {"kB", 1e3},
	        {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"Ki", 1024}, {"Mi", 1048576}, {"Gi", 1073741824},
	        {"Ti", 1099511627776}};
	char *unit = NULL;
	double number = g_ascii_isdigit(text[0]) ? g_ascii_strtod(text, &unit) : NAN;
	for (size_t i = 0; unit && i < G_N_ELEMENTS(units); i++) {
		double bytes = number * units[i].bytes;
		if (strcmp(unit + strspn(unit, " "), units[i].unit) != 0 || !(bytes >= 1 && bytes < 1e18))
			continue;
		*out_bytes = (int64_t)bytes;
		return true;
	}
	return fail(error, ASSAY_ERROR_USER, "'%.60s' is not a size; write 512MiB or 4GB", text);
}
