/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workflow reader against the public conformance cases. A valid file must read into exactly the form that is
 * expected, every value and where asked for every place; an invalid one must be refused at exactly the places (file,
 * line, column) that are named. The data is looked for in $ASSAY_CONFORMANCE, then beside the repository.
 */
#include "agent/job/reader.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/job/calls.h"
#include "tests/lib/read_form.h"

/* What the data's README sets aside, and why each differs here. Each must differ: what agrees is no exception. */
static const struct {
	const char *name;
	const char *why;
} aside[] = {
        {"errors-anchor-tag.yml", "README: anchors are supported since September 2025; the case is older"},
        {"errors-max-depth.yml", "README, option max-depth: the service's own limit, set to 5; here a file may be 100 deep"},
        {"errors-reusable-workflow-max-result-size.yml",
                "README, option max-result-size: the service's own limit, set to 2 KiB; here it is the event's line, 1 MiB"},
        {"on-workflow_dispatch-unknown-keys-ignored.yml", "README: either reading is acceptable; unknown keys are errors here"},
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

static const char *why_aside(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(aside); i++)
		if (strcmp(aside[i].name, name) == 0)
			return aside[i].why;
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

/* The called files of a case: reference and text in turn, from the third document to the last but one. */

static const char *called_text(const GPtrArray *documents, const char *reference)
{
	for (guint i = 2; i + 2 < documents->len; i += 2) {
		g_autofree char *name = g_strstrip(g_strdup(g_ptr_array_index(documents, i)));
		if (strcmp(name, reference) == 0)
			return g_ptr_array_index(documents, i + 1);
	}
	return NULL;
}

static GBytes *read_called(void *data, const CallPlace *place, char **out_sha, GError **error)
{
	g_autofree char *reference = place->repo ? g_strdup_printf("%s/%s@%s", place->repo, place->path, place->ref)
	                                         : g_strdup(place->path);
	const char *text = called_text(data, reference);
	*out_sha = NULL;
	if (text)
		return g_bytes_new_static(text, strlen(text));
	fail(error, ASSAY_ERROR_ABSENT, "the case has no file '%s'", reference);
	return NULL;
}

/** Every called file, read by itself: label → Workflow. */
static GHashTable *read_all_called(const GPtrArray *documents)
{
	GHashTable *all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)workflow_free);
	for (guint i = 2; i + 2 < documents->len; i += 2) {
		g_autoptr(json_t) errors = NULL;
		char *name = g_strstrip(g_strdup(g_ptr_array_index(documents, i)));
		const char *text = g_ptr_array_index(documents, i + 1);
		g_hash_table_insert(all, name, reader_read(text, strlen(text), name, &errors));
	}
	return all;
}

/* Comparing */

/** Numbers by value, objects without order. */
static bool same(const json_t *a, const json_t *b)
{
	const char *key = NULL;
	json_t *value = NULL;
	size_t i = 0;
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	if (json_typeof(a) != json_typeof(b) || json_object_size(a) != json_object_size(b) ||
	        json_array_size(a) != json_array_size(b))
		return false;
	json_object_foreach((json_t *)(uintptr_t)a, key, value)
		if (!json_object_get(b, key) || !same(value, json_object_get(b, key)))
			return false;
	json_array_foreach((json_t *)(uintptr_t)a, i, value)
		if (!same(value, json_array_get(b, i)))
			return false;
	return json_is_object(a) || json_is_array(a) || json_equal(a, b);
}

static void add_place(GString *places, const char *file, int line, int column)
{
	g_autofree char *one = g_strdup_printf("%s:%d:%d\n", file, line, column);
	if (!strstr(places->str, one))
		g_string_append(places, one);
}

/** "file:line:column", each once, of the messages that name one. The caller's. */
static char *expected_places(const json_t *errors, const char *path)
{
	g_autoptr(GRegex) head = g_regex_new("^(\\S+) \\(Line: (\\d+), Col: (\\d+)\\): ", 0, 0, NULL);
	g_autoptr(GRegex) tail = g_regex_new(" on line (\\d+) and column (\\d+) ", 0, 0, NULL);
	GString *places = g_string_new(NULL);
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach((json_t *)(uintptr_t)errors, i, one) {
		const char *message = json_get_string(one, "Message", "");
		g_autoptr(GMatchInfo) match = NULL;
		g_autoptr(GMatchInfo) other = NULL;
		if (g_regex_match(head, message, 0, &match)) {
			g_autofree char *file = g_match_info_fetch(match, 1);
			g_autofree char *line = g_match_info_fetch(match, 2);
			g_autofree char *column = g_match_info_fetch(match, 3);
			add_place(places, file, (int)g_ascii_strtoll(line, NULL, 10), (int)g_ascii_strtoll(column, NULL, 10));
		} else if (g_regex_match(tail, message, 0, &other)) {
			g_autofree char *line = g_match_info_fetch(other, 1);
			g_autofree char *column = g_match_info_fetch(other, 2);
			add_place(places, path, (int)g_ascii_strtoll(line, NULL, 10), (int)g_ascii_strtoll(column, NULL, 10));
		}
	}
	return g_string_free(places, FALSE);
}

static char *told_places(const json_t *errors, const char *path)
{
	GString *places = g_string_new(NULL);
	size_t i = 0;
	json_t *one = NULL;
	json_array_foreach((json_t *)(uintptr_t)errors, i, one)
		add_place(places, json_get_string(one, "path", path), (int)json_get_int(one, "line", 0),
		        (int)json_get_int(one, "column", 0));
	return g_string_free(places, FALSE);
}

/* What a case says, and how we read it. */
typedef struct Case {
	GPtrArray *documents;
	json_t *options;
	json_t *expected;
	char *path;
	Workflow *workflow; /* NULL: it was refused */
	json_t *errors;
} Case;

static void case_read(Case *one, const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_autofree char *text = NULL;
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	one->documents = split(text);
	g_assert_cmpuint(one->documents->len, >=, 3);
	const char *options_text = g_ptr_array_index(one->documents, 0);
	const char *workflow_text = g_ptr_array_index(one->documents, 1);
	const char *result_text = g_ptr_array_index(one->documents, one->documents->len - 1);
	g_autoptr(YamlDocument) options = yaml_parse(options_text, strlen(options_text), name, NULL);
	one->options = options && options->root ? yaml_to_json(options->root) : json_object();
	one->expected = json_parse(result_text, strlen(result_text), name, NULL);
	g_assert_nonnull(one->expected);
	one->path = g_strconcat(".github/workflows/", name, NULL);
	one->workflow = reader_read(workflow_text, strlen(workflow_text), one->path, &one->errors);
	g_assert((one->workflow != NULL) == (json_array_size(one->errors) == 0));
	const CallSource source = {.read = read_called, .data = one->documents};
	if (one->workflow && !calls_load(one->workflow, &source, one->errors))
		g_clear_pointer(&one->workflow, workflow_free);
}

static void case_clear(Case *one)
{
	g_ptr_array_unref(one->documents);
	json_decref(one->options);
	json_decref(one->expected);
	json_decref(one->errors);
	workflow_free(one->workflow);
	g_free(one->path);
}

/** NULL when the case agrees; else what differs, the caller's. */
static char *form_difference(const Case *one)
{
	g_autoptr(GHashTable) called = read_all_called(one->documents);
	ReadForm form = {.places = json_get_bool(one->options, "include-source", true),
	        .events = json_object_get(one->expected, "events") != NULL, /* shown by one of the three implementations */
	        .sorted_files = json_get_bool(one->options, "is-partial-rerun", false),
	        .called = called};
	/* The option is true where it is not said, and yet the case's result may be without places: a case of one reader. */
	form.places = form.places && json_object_get(one->expected, "file-table") != NULL;
	g_autoptr(json_t) got = read_form(&form, one->workflow);
	if (same(got, one->expected))
		return NULL;
	char *left = json_dumps(one->expected, JSON_COMPACT | JSON_SORT_KEYS);
	char *right = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS);
	char *text = g_strdup_printf("wanted %s\n     got %s", left, right);
	free(left);
	free(right);
	return text;
}

static char *difference(const Case *one)
{
	const json_t *wanted = json_object_get(one->expected, "errors");
	const char *first = json_get_string(json_array_get(one->errors, 0), "caret", "");
	if (!wanted)
		return one->workflow ? form_difference(one) : g_strdup_printf("valid, but refused: %s", first);
	if (one->workflow)
		return g_strdup("an error is expected, but it read");
	g_autofree char *places = expected_places(wanted, one->path);
	g_autofree char *told = told_places(one->errors, one->path);
	if (!*places || strcmp(places, told) == 0)
		return NULL;
	return g_strdup_printf("errors are expected at\n%sand told at\n%s%s", places, told, first);
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
	unsigned cases = 0, valid = 0, invalid = 0, set_aside = 0, wrong = 0;
	for (const char *name; (name = g_dir_read_name(dir));) {
		if (!g_str_has_suffix(name, ".yml"))
			continue;
		Case one = {0};
		case_read(&one, folder, name);
		g_autofree char *differs = difference(&one);
		const char *why = why_aside(name);
		cases++;
		if (why)
			g_test_message("set aside: %s: %s", name, why);
		if (why && !differs)
			g_test_message("%s agrees: it is no exception", name);
		else if (!why && differs)
			g_test_message("%s: %s", name, differs);
		wrong += (why != NULL) != (differs != NULL);
		set_aside += why && differs;
		valid += !differs && !json_object_get(one.expected, "errors");
		invalid += !differs && json_object_get(one.expected, "errors");
		case_clear(&one);
	}
	g_test_message("conformance data in %s: %u of %u workflows agree (%u valid, in the whole form that is expected; %u invalid, at "
	               "the places that are named), %u set aside", folder, valid + invalid, cases, valid, invalid, set_aside);
	g_assert_cmpuint(cases, >, 0);
	g_assert_cmpuint(wrong, ==, 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/conformance/workflow_reader/all_cases_agree", all_cases_agree);
	return g_test_run();
}
