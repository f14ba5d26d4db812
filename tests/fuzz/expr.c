/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions of strangers: as an expression, a template, a condition and a check; none may crash, hang or grow. */
#include "agent/model/expr.h"

#include <stdint.h>

#include "agent/base/autoptr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const allowed[] = {"github", "a", NULL};
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(json_t) contexts = json_pack("{s:{s:s,s:[i,s,{s:n}]},s:b,s:[[i,i],[f]]}", "github", "ref", "r", "x", 1,
	        "Ü", "k", "a", 1, "b", 1, 2, 0.5);
	ExprScope scope = {.contexts = contexts, .status = EXPR_STATUS_FAILURE};
	ExprRules rules = {.allowed = allowed};
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) value = expr_evaluate(text, &scope, &error);
	g_assert((value != NULL) == (error == NULL));
	g_autoptr(json_t) filled = expr_template(text, &scope, NULL);
	bool truth = false;
	(void)expr_condition(text, &scope, &truth, NULL);
	bool checked = expr_check(text, &rules, NULL);
	g_assert_true(!filled || expr_check_template(text, &(ExprRules){.status_functions = true, .status_arguments = true}, NULL));
	(void)checked;
	return 0;
}
