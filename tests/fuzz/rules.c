/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of a comparison, as a workflow gives them: read or refused, and never a margin that lets everything pass. */
#include "ml-steps/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) rules = rules_parse(text, &error);
	g_assert_true((rules != NULL) == (error == NULL));
	for (guint i = 0; rules && i < rules->len; i++) {
		const Rule *rule = &g_array_index(rules, Rule, i);
		g_assert_true(rule->min_rows >= 2);
		g_assert_false(rule->margin <= 0 || rule->slice_margin <= 0); /* absent is NAN */
	}
	return 0;
}
