/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workflow reader against the public conformance cases: does each file read, or is it refused, as the reference
 * says? The data is looked for in $ASSAY_CONFORMANCE, then beside the repository in shared/conformance.
 */
#include "agent/job/reader.h"

#include <string.h>

#include "agent/base/json.h"

/* Cases whose answer differs, with the reason. */
static const struct {
	const char *name;
	const char *why;
} different[] = {
#define CALLED "the called workflow is not read: calls are refused when a run is planned"
        {"errors-anchor-tag.yml", "anchors are supported since September 2025; the case is older"},
        {"errors-max-depth.yml", "sets the service's own option max-depth"},
        {"errors-reusable-workflow-job-inputs-required.yml", CALLED},
        {"errors-reusable-workflow-job-inputs-type-mismatch.yml", CALLED},
        {"errors-reusable-workflow-job-inputs-undefined.yml", CALLED},
        {"errors-reusable-workflow-job-nested-permissions-not-allowed-workflow-level-from-caller-job-level.yml", CALLED},
        {"errors-reusable-workflow-job-secrets-required.yml", CALLED},
        {"errors-reusable-workflow-job-secrets-undefined.yml", CALLED},
        {"errors-reusable-workflow-max-result-size.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-actions-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-checks-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-contents-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-deployments-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-packages-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-pages-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-request-security-events-write.yml", CALLED},
        {"errors-reusable-workflow-permissions-not-allowed-workflow-level-from-caller-workflow-level.yml", CALLED},
        {"on-workflow_dispatch-unknown-keys-ignored.yml", "either reading is acceptable; unknown keys are errors here"},
};

static char *find_folder(void)
{
	const char *named = g_getenv("ASSAY_CONFORMANCE");
	if (named)
		return g_build_filename(named, "workflow-reader", NULL);
	const char *const beside[] = {"../shared/conformance", "../../shared/conformance"};
	for (size_t i = 0; i < G_N_ELEMENTS(beside); i++) {
		char *path = g_build_filename(TEST_SOURCE_DIR, beside[i], "workflow-reader", NULL);
		if (g_file_test(path, G_FILE_TEST_IS_DIR))
			return path;
		g_free(path);
	}
	return NULL;
}

static const char *why_different(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(different); i++)
		if (strcmp(different[i].name, name) == 0)
			return different[i].why;
	return NULL;
}

/** The documents of a case, which stand between lines of "---". */
static GPtrArray *split(const char *text)
{
	GPtrArray *documents = g_ptr_array_new_with_free_func(g_free);
	GString *now = g_string_new(NULL);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		if (g_str_has_prefix(*line, "---") && (*line)[3 + strspn(*line + 3, " \t\r")] == '\0') {
			g_ptr_array_add(documents, g_string_free(now, FALSE));
			now = g_string_new(NULL);
		} else {
			g_string_append_printf(now, "%s\n", *line);
		}
	}
	g_ptr_array_add(documents, g_string_free(now, FALSE));
	return documents;
}

static bool agrees(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_autoptr(GPtrArray) documents = split(text);
	g_assert_cmpuint(documents->len, >=, 3);
	const char *workflow_text = g_ptr_array_index(documents, 1);
	const char *result_text = g_ptr_array_index(documents, documents->len - 1);
	g_autoptr(json_t) expected = json_parse(result_text, strlen(result_text), name, NULL);
	g_assert_nonnull(expected);
	bool valid = json_object_get(expected, "errors") == NULL;

	g_autoptr(json_t) errors = NULL;
	g_autoptr(Workflow) workflow = reader_read(workflow_text, strlen(workflow_text), name, &errors);
	g_assert((workflow != NULL) == (json_array_size(errors) == 0));
	if ((workflow != NULL) == valid)
		return true;
	const char *caret = json_get_string(json_array_get(errors, 0), "caret", "it read");
	if (!why_different(name))
		g_test_message("%s: %s expected, got: %s", name, valid ? "valid" : "an error", caret);
	return false;
}

static void all_cases_agree(void)
{
	g_autofree char *folder = find_folder();
	g_autoptr(GDir) dir = folder ? g_dir_open(folder, 0, NULL) : NULL;
	if (!dir) {
		g_assert_cmpstr(g_getenv("ASSAY_CONFORMANCE_REQUIRED"), !=, "1");
		g_test_skip("no conformance data found; set ASSAY_CONFORMANCE to its folder");
		return;
	}
	unsigned cases = 0;
	unsigned agreed = 0;
	unsigned known = 0;
	for (const char *name; (name = g_dir_read_name(dir));) {
		if (!g_str_has_suffix(name, ".yml"))
			continue;
		cases++;
		bool good = agrees(folder, name);
		agreed += good;
		known += !good && why_different(name);
		if (good && why_different(name))
			g_test_message("%s agrees, but is listed as different", name);
	}
	g_test_message("conformance data in %s: %u of %u workflows agree on valid or invalid, %u differ as listed",
	        folder, agreed, cases, known);
	g_assert_cmpuint(cases, >, 0);
	g_assert_cmpuint(agreed + known, ==, cases);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conformance/workflow_reader/all_cases_agree", all_cases_agree);
	return g_test_run();
}
