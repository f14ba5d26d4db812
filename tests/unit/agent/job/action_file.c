/* SPDX-License-Identifier: Apache-2.0 */
/* action.yml: what is read, and that each mistake has its place. */
#include "agent/job/action_file.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"

static ActionFile *read_text(const char *text, GError **error)
{
	return action_file_read(text, strlen(text), "action.yml", error);
}

static void reads_a_node_action(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionFile) file = read_text("name: N\nauthor: x\ninputs:\n  Who Me: {default: 3.10, required: 'true'}\n  b:\n"
	                                       "runs: {using: Node20, main: m.js, post: p.js, post-if: failure()}\n", &error);
	g_assert_no_error(error);
	g_assert_cmpint(file->using, ==, ACTION_USING_NODE);
	g_assert_cmpint(file->node_major, ==, 20);
	g_assert_cmpstr(file->main, ==, "m.js");
	g_assert_null(file->pre);
	g_assert_cmpstr(file->post_if, ==, "failure()");
	const ActionFileInput *input = action_file_input(file, "who me");
	g_assert_cmpstr(input->name, ==, "Who Me");
	g_assert_cmpstr(input->fallback, ==, "3.1"); /* a number, as GitHub reads it */
	g_assert_true(input->required);
	g_assert_null(action_file_input(file, "b")->fallback);
	g_assert_null(action_file_input(file, "c"));
}

static void reads_composite_and_docker_actions(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(ActionFile) composite = read_text("outputs: {o: {value: \"${{ steps.a.outputs.b }}\"}}\nruns:\n  using: composite\n"
	                                            "  steps:\n    - {run: 5, shell: sh, id: a}\n\n    - uses: a/b@v1\n", &error);
	g_assert_no_error(error);
	g_assert_cmpint(composite->using, ==, ACTION_USING_COMPOSITE);
	g_assert_cmpstr(json_get_string(json_array_get(composite->steps, 0), "run", ""), ==, "5");
	g_assert_cmpint(g_array_index(composite->lines, int, 1), ==, 7);
	g_autoptr(ActionFile) docker = read_text("runs: {using: docker, image: 'docker://alpine', args: [a, '${{ inputs.x }}'], "
	                                         "entrypoint: /e, env: {K: v}}", &error);
	g_assert_no_error(error);
	g_assert_cmpint(docker->using, ==, ACTION_USING_DOCKER);
	g_assert_cmpstr(docker->image, ==, "docker://alpine");
	g_assert_cmpuint(json_array_size(docker->args), ==, 2);
	g_autoptr(ActionFile) plain = action_file_dockerfile("x/Dockerfile", "Dockerfile");
	g_assert_cmpstr(plain->image, ==, "Dockerfile");
}

static void mistakes_have_their_place(void)
{
	static const struct {
		const char *text, *part;
	} bad[] = {{"", "action.yml:1:1: The file is empty"},
	        {"- 1", "action.yml:1:1: Unexpected sequence"},
	        {"name: x", "action.yml:1:1: Required property is missing: runs"},
	        {"runs: {}", "action.yml:1:7: Required property is missing: using"},
	        {"runs: {using: node8, main: x}", "action.yml:1:15: 'node8' is no way to run an action"},
	        {"runs: {using: rust, steps: []}", "'rust' is no way to run an action"},
	        {"runs: {using: node20}", "action.yml:1:7: Required property is missing: main"},
	        {"runs: {using: node20, main: x, step: y}", "action.yml:1:32: Unexpected value 'step'"},
	        {"runs:\n  using: composite\n  steps:\n    - run: x\n", "action.yml:4:7: Required property is missing: shell"},
	        {"runs:\n  using: composite\n  steps:\n    - {run: x, shell: sh, uses: a/b@c}\n", "action.yml:4:27: Unexpected value 'uses'"},
	        {"runs:\n  using: composite\n  steps:\n    - {uses: a/b}\n", "action.yml:4:14: a/b: expected owner/repo@ref"},
	        {"runs:\n  using: composite\n  steps:\n    - {uses: a/b@c, id: x}\n    - {uses: a/b@c, id: X}\n", "action.yml:5:25: The identifier 'X'"},
	        {"runs:\n  using: composite\n  steps:\n    - {run: '${{ secrets.A }}', shell: sh}\n", "action.yml:4:13: "},
	        {"runs:\n  using: composite\n  steps:\n    - {run: a, shell: sh, timeout-minutes: 3}\n", "action.yml:4:27: Unexpected value 'timeout-minutes'"},
	        {"inputs: {a: {default: '${{ steps.x }}'}}\nruns: {using: node20, main: x}", "action.yml:1:23: "},
	        {"runs: {using: node20, main: [}", "action.yml:1:"}};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(ActionFile) file = read_text(bad[i].text, &error);
		g_assert_null(file);
		g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_USER);
		if (!strstr(error->message, bad[i].part))
			g_error("'%s' is not in '%s'", bad[i].part, error->message);
	}
}

static void some_mistakes_are_told_and_the_rest_counted(void)
{
	g_autoptr(GString) text = g_string_new("runs:\n  using: composite\n  steps:\n");
	for (int i = 0; i < 20; i++)
		g_string_append(text, "    - {run: x}\n");
	g_autoptr(GError) error = NULL;
	g_assert_null(read_text(text->str, &error));
	g_assert_nonnull(strstr(error->message, "    - {run: x}\n"));
	g_assert_nonnull(strstr(error->message, "\nand 15 more"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/action_file/reads_a_node_action", reads_a_node_action);
	g_test_add_func("/action_file/reads_composite_and_docker_actions", reads_composite_and_docker_actions);
	g_test_add_func("/action_file/mistakes_have_their_place", mistakes_have_their_place);
	g_test_add_func("/action_file/some_mistakes_are_told_and_the_rest_counted", some_mistakes_are_told_and_the_rest_counted);
	return g_test_run();
}
