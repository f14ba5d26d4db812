/* SPDX-License-Identifier: Apache-2.0 */
/* How many `if` conditions a second: parsed each time, and parsed once. Run by hand; prints two numbers. */
#include "agent/model/expr.h"

#include <stdio.h>

#include "agent/base/autoptr.h"

#define ROUNDS 1000000

static void report(const char *what, gint64 start)
{
	double seconds = (double)(g_get_monotonic_time() - start) / 1e6;
	printf("%s: %.0f evaluations a second\n", what, ROUNDS / seconds);
}

int main(void)
{
	const char *text = "github.event_name == 'push' && startsWith(github.ref, 'refs/heads/')";
	g_autoptr(json_t) contexts = json_pack("{s:{s:s,s:s,s:s},s:{},s:{}}", "github", "event_name", "push", "ref",
	        "refs/heads/main", "sha", "0123456789", "vars", "inputs");
	ExprScope scope = {.contexts = contexts, .status = EXPR_STATUS_SUCCESS};
	gint64 start = g_get_monotonic_time();
	for (int i = 0; i < ROUNDS; i++)
		json_decref(expr_evaluate(text, &scope, NULL));
	report("parsed each time", start);

	g_autoptr(Expr) expr = expr_parse(text, NULL);
	start = g_get_monotonic_time();
	for (int i = 0; i < ROUNDS; i++)
		json_decref(expr_run(expr, &scope, NULL));
	report("parsed once", start);

	start = g_get_monotonic_time();
	for (int i = 0; i < ROUNDS; i++)
		json_decref(expr_evaluate("github.event_name == 'push'", &scope, NULL));
	report("a short one, parsed each time", start);
	return 0;
}
