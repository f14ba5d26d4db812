/* SPDX-License-Identifier: Apache-2.0 */
/* Problem matchers: what becomes an issue, over one line and over several, and what is refused. */
#include "agent/job/matcher.h"

#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"

#define ESLINT \
	"{'problemMatcher':[{'owner':'eslint-stylish','pattern':[{'regexp':'^([^\\\\s].*)$','file':1}," \
	"{'regexp':'^\\\\s+(\\\\d+):(\\\\d+)\\\\s+(error|warning|info)\\\\s+(.*)\\\\s\\\\s+(.*)$','line':1,'column':2,'severity':3," \
	"'message':4,'code':5,'loop':true}]}]}"
#define PYTHON \
	"{'problemMatcher':[{'owner':'python','pattern':[{'regexp':'^\\\\s*File\\\\s\\\"(.*)\\\",\\\\sline\\\\s(\\\\d+),\\\\sin\\\\s(.*)$'," \
	"'file':1,'line':2},{'regexp':'^\\\\s*raise\\\\s(.*)\\\\(\\'(.*)\\'\\\\)$','message':2}]}]}"
#define GCC \
	"{'problemMatcher':[{'owner':'gcc','severity':'warning','pattern':[{'regexp':'^(.*):(\\\\d+):(\\\\d+): (\\\\w+): (.*)$'," \
	"'file':1,'line':2,'column':3,'severity':4,'message':5}]}]}"

/* Apostrophes for quotes, but \' for an apostrophe. */
static char *json_of(const char *text)
{
	GString *out = g_string_new(NULL);
	for (; *text; text++) {
		if (text[0] == '\\' && text[1] == '\'') {
			g_string_append_c(out, '\'');
			text++;
		} else {
			g_string_append_c(out, *text == '\'' ? '"' : *text);
		}
	}
	return g_string_free(out, FALSE);
}

static bool add(Matchers *matchers, const char *text, GError **error)
{
	g_autofree char *json = json_of(text);
	g_autofree char *owners = NULL;
	return matchers_add(matchers, json, strlen(json), &owners, error);
}

/* "error a.c:3:5 message [code]"; "-" when the line says nothing. */
static char *line(Matchers *matchers, const char *text)
{
	g_auto(Issue) issue = {0};
	g_autofree char *tired = NULL;
	if (!matchers_line(matchers, text, strlen(text), &issue, &tired))
		return g_strdup("-");
	return g_strdup_printf("%s %s:%d:%d %s [%s]", issue.level, issue.file ? issue.file : "", issue.line, issue.column,
	        issue.message, issue.code ? issue.code : "");
}

#define assert_line(text, want)                                   \
	do {                                                      \
		g_autofree char *got_ = line(matchers, text);     \
		g_assert_cmpstr(got_, ==, want);                  \
	} while (0)

static void one_line_is_an_issue(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, GCC, NULL));
	assert_line("a.c:3:5: error: no such thing", "error a.c:3:5 no such thing []");
	assert_line("\x1b[1ma.c:3:5: \x1b[0;35mwarning: \x1b[0munused", "warning a.c:3:5 unused []");
	assert_line("a.c:3:5: hint: what is this", "-");
	assert_line("all is well", "-");
	g_assert_true(matchers_remove(matchers, "GCC"));
	g_assert_false(matchers_remove(matchers, "gcc"));
	assert_line("a.c:3:5: error: no such thing", "-");
	g_assert_true(matchers_are_empty(matchers));
}

static void a_loop_goes_on_until_it_does_not_match(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, ESLINT, NULL));
	assert_line("src/a.js", "-");
	assert_line("  1:11  error  'x' is not defined  no-undef", "error src/a.js:1:11 'x' is not defined [no-undef]");
	assert_line("  2:1  warning  unused  no-unused", "warning src/a.js:2:1 unused [no-unused]");
	assert_line("", "-");
	assert_line("  3:1  error  still the file  x", "error src/a.js:3:1 still the file [x]");
	assert_line("src/b.js", "-");
	assert_line("  9:9  error  of b  y", "error src/b.js:9:9 of b [y]");
	assert_line("  what comes between", "-");
	assert_line("  9:9  error  nobody's  y", "-");
}

static void several_lines_are_one_issue(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, PYTHON, NULL));
	assert_line("  File \"/w/a.py\", line 7, in f", "-");
	assert_line("    raise ValueError('no rows')", "error /w/a.py:7:0 no rows []");
	assert_line("    raise ValueError('alone')", "-");
	assert_line("  File \"/w/a.py\", line 7, in f", "-");
	matchers_reset(matchers);
	assert_line("    raise ValueError('of another step')", "-");
}

static void the_newest_is_asked_first(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, GCC, NULL));
	g_assert_true(add(matchers, "{'problemMatcher':[{'owner':'all','severity':'notice','pattern':[{'regexp':'(.*)','message':1}]}]}", NULL));
	assert_line("a.c:3:5: error: no", "notice :0:0 a.c:3:5: error: no []");
	g_assert_true(add(matchers, GCC, NULL));
	assert_line("a.c:3:5: error: no", "error a.c:3:5 no []");
}

static void what_cannot_be_used_says_why(void)
{
	static const char *const cases[][2] = {
	        {"[]", "it has no list 'problemMatcher'"},
	        {"{'problemMatcher':[{}]}", "a matcher has no 'owner'"},
	        {"{'problemMatcher':[{'owner':'a','severity':'bad','pattern':[{}]}]}",
	                "matcher 'a': the severity 'bad' is not error, warning or notice"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[]}]}", "matcher 'a' has 0 patterns; 1 to 32 can be used"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'(','message':0}]}]}",
	                "matcher 'a': '(' is no regular expression that can be used here"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'(a)','message':2}]}]}",
	                "matcher 'a': the property 'message' names no group of '(a)'"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'(a)','file':1}]}]}", "matcher 'a': no pattern sets 'message'"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'a','message':0,'loop':true}]}]}",
	                "matcher 'a': only the last of several patterns may set 'loop'"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'a','message':0},{'regexp':'b','loop':true}]}]}",
	                "matcher 'a': the pattern that sets 'loop' must set 'message'"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'a','message':0},{'regexp':'b','message':0}]}]}",
	                "matcher 'a': the property 'message' is set twice"},
	        {"{'problemMatcher':[{'owner':'a','pattern':[{'regexp':'a','message':0}]},{'owner':'A','pattern':[{'regexp':'a',"
	         "'message':0}]}]}", "the owner 'A' is there twice"},
	};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Matchers) matchers = matchers_new();
		g_autoptr(GError) error = NULL;
		g_assert_false(add(matchers, cases[i][0], &error));
		g_assert_cmpstr(error->message, ==, cases[i][1]);
		g_assert_true(matchers_are_empty(matchers));
	}
}

static void what_takes_too_long_is_removed(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, "{'problemMatcher':[{'owner':'slow','pattern':[{'regexp':'^(a+)+$','message':1}]}]}", NULL));
	g_autofree char *bad = g_strnfill(5000, 'a');
	bad[4999] = '!';
	int64_t begin = monotonic_us();
	g_autofree char *tired = NULL;
	for (int i = 0; i < 3; i++) {
		g_auto(Issue) issue = {0};
		g_assert_null(tired);
		g_assert_false(matchers_line(matchers, bad, strlen(bad), &issue, &tired));
	}
	g_assert_cmpstr(tired, ==, "slow");
	g_assert_true(matchers_are_empty(matchers));
	g_assert_cmpint(monotonic_us() - begin, <, 2 * G_USEC_PER_SEC);
}

static void any_bytes_are_lines(void)
{
	g_autoptr(Matchers) matchers = matchers_new();
	g_assert_true(add(matchers, GCC, NULL));
	g_auto(Issue) issue = {0};
	g_autofree char *tired = NULL;
	static const char text[] = "\xff.c:1:2: error: \xc3\xa4\xff";
	g_assert_true(matchers_line(matchers, text, sizeof text - 1, &issue, &tired));
	g_assert_true(g_utf8_validate(issue.message, -1, NULL));
	g_assert_true(g_utf8_validate(issue.file, -1, NULL));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(test) g_test_add_func("/matcher/" #test, test)
	ADD(one_line_is_an_issue);
	ADD(a_loop_goes_on_until_it_does_not_match);
	ADD(several_lines_are_one_issue);
	ADD(the_newest_is_asked_first);
	ADD(what_cannot_be_used_says_why);
	ADD(what_takes_too_long_is_removed);
	ADD(any_bytes_are_lines);
	return g_test_run();
}
