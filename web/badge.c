/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /badge/{owner}/{name}/{workflow}.svg: a workflow's last finished state as an image, for a README. Nobody has to sign in,
 * because a forge's image proxy cannot; so it says one word, and the same word, "unknown", for what is not there.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/runs.h"
#include "web/handlers.h"

#define CHARACTER_WIDTH 7
#define LABEL_CHARACTERS_MAX 40

/** The state of the newest run of this workflow, by the name of its file or its own name. */
static const char *find_state(Request *request, const char *repo, const char *workflow, json_t **out)
{
	static const char *const shapes[] = {".assay/workflows/%s.yml", ".github/workflows/%s.yml", ".assay/workflows/%s.yaml",
	        ".github/workflows/%s.yaml", "%s"};
	for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
		GString *path = g_string_new(shapes[i]);
		g_string_replace(path, "%s", workflow, 1);
		g_autofree char *name = g_string_free(path, FALSE);
		g_autoptr(json_t) filter = json_pack("{s:s,s:s}", "repo", repo, "workflow", name);
		if (request_query(request, "branch"))
			json_set_string(filter, "branch", request_query(request, "branch"));
		g_autoptr(json_t) list = runs_list(request->face->store, filter, NULL, 1, NULL);
		const json_t *run = json_array_get(json_object_get(list, "runs"), 0);
		if (run) {
			*out = json_incref((json_t *)run);
			return json_get_string(run, "status", "unknown");
		}
	}
	return "unknown";
}

static const char *colour_of(const char *state)
{
	static const char *const colours[][2] = {{"success", "#1a7f37"}, {"failure", "#cf222e"}, {"cancelled", "#57606a"},
	        {"waiting", "#9a6700"}, {"running", "#0969da"}, {"queued", "#0969da"}};
	for (size_t i = 0; i < G_N_ELEMENTS(colours); i++)
		if (g_str_equal(colours[i][0], state))
			return colours[i][1];
	return "#57606a";
}

bool badge_get(Request *request, GError **error)
{
	const char *file = request_param(request, "workflow");
	if (!g_str_has_suffix(file, ".svg") || strlen(file) <= 4)
		return fail(error, ASSAY_ERROR_ABSENT, "a badge's address ends in the workflow's name and .svg");
	g_autofree char *workflow = g_strndup(file, strlen(file) - 4);
	g_autofree char *repo = request_repo(request);
	g_autoptr(json_t) run = NULL;
	const char *state = find_state(request, repo, workflow, &run);
	g_autofree char *shown = g_utf8_strlen(workflow, -1) > LABEL_CHARACTERS_MAX
	        ? g_utf8_substring(workflow, 0, LABEL_CHARACTERS_MAX)
	        : g_strdup(workflow);
	g_autofree char *label = g_markup_escape_text(shown, -1);
	int left = (int)g_utf8_strlen(shown, -1) * CHARACTER_WIDTH + 12;
	int right = (int)strlen(state) * CHARACTER_WIDTH + 12;
	reply_header(request, "Cache-Control", "max-age=60");
	return reply_text(request, 200, "image/svg+xml", g_strdup_printf(
	        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"20\" role=\"img\" aria-label=\"%s: %s\">"
	        "<title>%s: %s</title><rect width=\"%d\" height=\"20\" rx=\"3\" fill=\"#24292f\"/>"
	        "<path d=\"M%d 0h%dv20h-%dz\" fill=\"%s\"/><rect x=\"%d\" width=\"8\" height=\"20\" rx=\"3\" fill=\"%s\"/>"
	        "<g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\" text-anchor=\"middle\">"
	        "<text x=\"%d\" y=\"14\">%s</text><text x=\"%d\" y=\"14\">%s</text></g></svg>",
	        left + right, label, state, label, state, left + right, left, right - 4, right - 4, colour_of(state),
	        left + right - 8, colour_of(state), left / 2, label, left + right / 2, state));
}
