/* SPDX-License-Identifier: Apache-2.0 */
/* Events: one table says which fields each type has; reading and writing both go by it. */
#include "agent/model/event.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/model/run.h"

typedef enum FieldKind { TEXT, WHOLE, YES_NO, OBJECT, ARRAY, END_STATE, STEP_STATE } FieldKind;

typedef struct Field {
	const char *name;
	FieldKind kind;
	bool required; /* a field that is not may be absent or null */
} Field;

#define FIELDS_MAX 13

static const struct {
	const char *name;
	Field fields[FIELDS_MAX];
} types[] = {
        [EVENT_BEGIN] = {"begin", {{"pid", WHOLE, false}, {"fence", WHOLE, true}}},
        [EVENT_RUN] = {"run", {{"run", WHOLE, true}, {"workflow", TEXT, true}, {"workflow_path", TEXT, true},
                                      {"workflow_digest", TEXT, false}, {"title", TEXT, false}, {"sha", TEXT, false},
                                      {"ref", TEXT, false}, {"github", OBJECT, false}}},
        [EVENT_JOB] = {"job", {{"run", WHOLE, true}, {"key", TEXT, true}, {"group", TEXT, true}, {"name", TEXT, false},
                                      {"needs", ARRAY, false}, {"definition", OBJECT, true},
                                      {"resolved", OBJECT, false}, {"caller", TEXT, false}}},
        [EVENT_WORKFLOWS] = {"workflows", {{"ref", TEXT, true}, {"sha", TEXT, true}, {"workflows", ARRAY, true}}},
        [EVENT_INVALID] = {"invalid", {{"workflow_path", TEXT, true}, {"errors", ARRAY, true}}},
        [EVENT_RESOLVED] = {"resolved", {{"jobs", ARRAY, true}}},
        [EVENT_ISOLATION] = {"isolation", {{"executor", TEXT, true}, {"level", TEXT, true}, {"missing", ARRAY, false}}},
        [EVENT_STEP] = {"step", {{"number", WHOLE, true}, {"name", TEXT, false}, {"status", STEP_STATE, true},
                                        {"cause", TEXT, false}, {"exit_code", WHOLE, false}, {"message", TEXT, false},
                                        {"log_offset", WHOLE, false}, {"cpu_us", WHOLE, false},
                                        {"memory_peak_bytes", WHOLE, false}, {"read_bytes", WHOLE, false},
                                        {"write_bytes", WHOLE, false}, {"energy_uj", WHOLE, false}}},
        [EVENT_ANNOTATION] = {"annotation", {{"level", TEXT, true}, {"message", TEXT, true}, {"title", TEXT, false},
                                                    {"file", TEXT, false}, {"line", WHOLE, false},
                                                    {"end_line", WHOLE, false}, {"column", WHOLE, false},
                                                    {"code", TEXT, false}, {"log_line", WHOLE, false},
                                                    {"step", WHOLE, false}}},
        [EVENT_SUMMARY] = {"summary", {{"step", WHOLE, true}, {"markdown", TEXT, true}, {"html", TEXT, false},
                                              {"part", WHOLE, false}}},
        [EVENT_REPORT] = {"report", {{"step", WHOLE, true}, {"report", OBJECT, true}}},
        [EVENT_OUTPUTS] = {"outputs", {{"outputs", OBJECT, true}}},
        [EVENT_ASK] = {"ask", {{"ask", WHOLE, true}, {"what", TEXT, true}, {"with", OBJECT, false}}},
        [EVENT_END] = {"end", {{"status", END_STATE, true}, {"cause", TEXT, false}, {"message", TEXT, false},
                                      {"emptied", YES_NO, false}}},
        [EVENT_UNKNOWN] = {"unknown", {{NULL, TEXT, false}}},
};

static bool is_of_kind(const json_t *value, FieldKind kind)
{
	RunState state;
	switch (kind) {
	case TEXT:
		return json_is_string(value);
	case WHOLE:
		return json_is_integer(value);
	case YES_NO:
		return json_is_boolean(value);
	case OBJECT:
		return json_is_object(value);
	case ARRAY:
		return json_is_array(value);
	case END_STATE:
		return run_state_parse(json_string_value(value), &state) && run_state_is_end(state);
	case STEP_STATE:
		return run_state_parse(json_string_value(value), &state) &&
		       (state == RUN_RUNNING || run_state_is_end(state));
	}
	return false;
}

EventType event_type(const json_t *event)
{
	const char *name = json_get_string(event, "type", "");
	for (size_t i = 0; i < EVENT_UNKNOWN; i++)
		if (strcmp(types[i].name, name) == 0)
			return (EventType)i;
	return EVENT_UNKNOWN;
}

const char *event_type_name(EventType type)
{
	g_assert((size_t)type < G_N_ELEMENTS(types));
	return types[type].name;
}

static bool check(const json_t *event, GError **error)
{
	if (!json_is_object(event) || !json_is_string(json_object_get(event, "type")) ||
	        !json_is_integer(json_object_get(event, "t")))
		return fail(error, ASSAY_ERROR_USER, "event: not an object with 'type' and 't'");
	EventType type = event_type(event);
	for (const Field *field = types[type].fields;
	        field < types[type].fields + FIELDS_MAX && field->name; field++) {
		const json_t *value = json_object_get(event, field->name);
		if (!value || json_is_null(value)) {
			if (field->required)
				return fail(error, ASSAY_ERROR_USER, "event '%s': '%s' is missing", types[type].name,
				        field->name);
		} else if (!is_of_kind(value, field->kind)) {
			return fail(error, ASSAY_ERROR_USER, "event '%s': '%s' is of the wrong kind", types[type].name,
			        field->name);
		}
	}
	return true;
}

json_t *event_parse(const char *line, size_t len, GError **error)
{
	if (len >= EVENT_LINE_BYTES_MAX) {
		fail(error, ASSAY_ERROR_USER, "event: a line of %zu bytes, more than %d", len, EVENT_LINE_BYTES_MAX);
		return NULL;
	}
	g_autoptr(json_t) event = json_parse(line, len, "event", error);
	if (!event || !check(event, error))
		return NULL;
	return g_steal_pointer(&event);
}

json_t *event_new(EventType type, int64_t t_us)
{
	json_t *event = json_object();
	json_set_string(event, "type", event_type_name(type));
	json_set_int(event, "t", t_us);
	return event;
}

char *event_line(const json_t *event, size_t *out_len, GError **error)
{
	if (!check(event, error))
		return NULL;
	char *raw = json_dumps(event, JSON_COMPACT);
	size_t len = raw ? strlen(raw) : 0;
	if (!raw || len + 1 > EVENT_LINE_BYTES_MAX) {
		free(raw);
		fail(error, ASSAY_ERROR_USER, "event '%s': %zu bytes, more than the %d that a line may have",
		        json_get_string(event, "type", ""), len, EVENT_LINE_BYTES_MAX);
		return NULL;
	}
	char *line = g_malloc(len + 2);
	memcpy(line, raw, len);
	memcpy(line + len, "\n", 2);
	free(raw);
	*out_len = len + 1;
	return line;
}

const char *event_next_line(const char *bytes, size_t len, size_t *used, size_t *out_line_len)
{
	if (*used >= len)
		return NULL;
	const char *line = bytes + *used;
	const char *end = memchr(line, '\n', len - *used);
	if (!end)
		return NULL;
	*out_line_len = (size_t)(end - line);
	*used += *out_line_len + 1;
	return line;
}
