/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/model/event.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static json_t *parse(const char *line, GError **error)
{
	return event_parse(line, strlen(line), error);
}

static void written_is_read_again(void)
{
	g_autoptr(json_t) event = event_new(EVENT_STEP, 1234567);
	json_set_int(event, "number", 2);
	json_set_string(event, "status", "failure");
	json_set_string(event, "cause", "exit");
	json_set_string(event, "message", "line one\nline two");
	g_autoptr(GError) error = NULL;
	size_t len = 0;
	g_autofree char *line = event_line(event, &len, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(len, ==, strlen(line));
	g_assert_cmpint(line[len - 1], ==, '\n');
	g_assert_null(memchr(line, '\n', len - 1));
	g_autoptr(json_t) again = event_parse(line, len - 1, &error);
	g_assert_no_error(error);
	g_assert_true(json_equal(event, again));
	g_assert_cmpint(event_type(again), ==, EVENT_STEP);
}

static void refuses_what_is_not_an_event(void)
{
	const char *const bad[] = {"", "[]", "{}", "{\"type\":\"end\",\"status\":\"success\"}", "{\"type\":1,\"t\":1}",
	        "{\"type\":\"end\",\"t\":1}", "{\"type\":\"end\",\"t\":1,\"status\":\"running\"}",
	        "{\"type\":\"step\",\"t\":1,\"number\":\"1\",\"status\":\"running\"}",
	        "{\"type\":\"step\",\"t\":1,\"number\":1,\"status\":\"queued\"}",
	        "{\"type\":\"ask\",\"t\":1,\"ask\":1,\"what\":\"x\",\"with\":[]}",
	        "{\"type\":\"begin\",\"t\":1,\"fence\":1,\"fence\":2}"};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(json_t) event = parse(bad[i], &error);
		g_assert_null(event);
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	}
}

static void passes_over_later_types(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) event = parse("{\"type\":\"weather\",\"t\":1,\"sun\":true}", &error);
	g_assert_no_error(error);
	g_assert_cmpint(event_type(event), ==, EVENT_UNKNOWN);
}

static void refuses_long_lines(void)
{
	g_autofree char *long_text = g_strnfill(EVENT_LINE_BYTES_MAX, 'x');
	g_autoptr(json_t) event = event_new(EVENT_END, 1);
	json_set_string(event, "status", "failure");
	json_set_string(event, "message", long_text);
	g_autoptr(GError) error = NULL;
	size_t len = 0;
	g_assert_null(event_line(event, &len, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
	g_clear_error(&error);
	g_assert_null(event_parse(long_text, strlen(long_text), &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
}

static void only_whole_lines_are_cut(void)
{
	const char bytes[] = "one\n\ntwo\nhal";
	size_t used = 0, len = 0;
	const char *line = event_next_line(bytes, sizeof bytes - 1, &used, &len);
	g_assert_cmpmem(line, len, "one", 3);
	line = event_next_line(bytes, sizeof bytes - 1, &used, &len);
	g_assert_nonnull(line);
	g_assert_cmpuint(len, ==, 0);
	line = event_next_line(bytes, sizeof bytes - 1, &used, &len);
	g_assert_cmpmem(line, len, "two", 3);
	g_assert_null(event_next_line(bytes, sizeof bytes - 1, &used, &len));
	g_assert_cmpuint(used, ==, 9);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/event/written_is_read_again", written_is_read_again);
	g_test_add_func("/event/refuses_what_is_not_an_event", refuses_what_is_not_an_event);
	g_test_add_func("/event/passes_over_later_types", passes_over_later_types);
	g_test_add_func("/event/refuses_long_lines", refuses_long_lines);
	g_test_add_func("/event/only_whole_lines_are_cut", only_whole_lines_are_cut);
	return g_test_run();
}
