/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as what a page is given: it renders, and its tags are in balance. The first byte chooses the page. */
#include "web/page.h"

#include "agent/base/autoptr.h"
#include "tests/fuzz/html_check.h"
#include "web/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void report(GString *out, const PageView *view, const json_t *data)
{
	(void)view;
	ReportIds ids = 0;
	report_html(out, data, &ids);
	report_evidence(out, data, &ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const pages[])(GString *, const PageView *, const json_t *) = {page_admin, page_audit, page_data,
	        page_dataset, page_error, page_gate, page_gates, page_job, page_model, page_model_version, page_models, page_run,
	        page_runs, page_sign_in, page_workflows, report};
	if (size < 2)
		return 0;
	g_autoptr(json_t) json = json_loadb((const char *)data + 1, size - 1, 0, NULL);
	if (!json)
		return 0;
	PageView view = {.user = "alice", .role = "admin", .csrf = "c", .path = "/a/b?c=d&e=\"", .base_url = "https://ci.example.org",
	        .asset_css = "/c", .asset_phone = "/p", .asset_js = "/j", .asset_logo = "/l", .now_us = INT64_C(1777777777) * G_USEC_PER_SEC};
	if (*data & 0x80) /* somebody who has not signed in */
		view.user = view.role = view.csrf = NULL;
	g_autoptr(GString) out = g_string_new(NULL);
	pages[*data % 0x80 % G_N_ELEMENTS(pages)](out, &view, json);
	g_assert_true(g_utf8_validate_len(out->str, out->len, NULL));
	html_check_balance(out->str);
	return 0;
}
