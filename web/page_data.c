/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets: which versions are there, how big, made by what, and how much of each was new? */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/svg.h"

void page_data(GString *out, const PageView *view, const json_t *data)
{
	const json_t *datasets = json_object_get(data, "datasets");
	frame_begin(out, view, &(Frame){ .title = "Data", .section = "data", .live_run = -1 });
	g_string_append(out, "<h1>Data</h1>");
	if (json_array_size(datasets) == 0) {
		g_string_append(out, "<div class=\"empty\"><p class=\"lead\">No dataset yet.</p><p>A step keeps a folder as a version; "
		                     "only what is new takes room:</p>");
		frame_command(out, "- uses: assay/snapshot@v1\n  with:\n    name: digits-train\n    path: data/");
		g_string_append(out, "<p>or from a shell:</p>");
		frame_command(out, "assay data snapshot digits-train data/");
		g_string_append(out, "</div>");
		frame_end(out, view);
		return;
	}
	g_string_append(out, "<ul class=\"cards-list\">");
	size_t i;
	json_t *one;
	json_array_foreach(datasets, i, one) {
		const char *repo = json_get_string(one, "repo", ""), *name = json_get_string(one, "name", "");
		const json_t *newest = json_object_get(one, "newest");
		g_string_append(out, "<li><a class=\"run-title\"");
		html_href(out, "/data/%s/%s", repo, name);
		html(out, ">%s</a> <span class=\"soft\">%s</span><p><strong>Version %" PRId64 "</strong>: ", name, repo,
		        json_get_int(newest, "version", 0));
		html_counted(out, json_get_int(newest, "files", 0), "file");
		g_string_append(out, ", ");
		html_bytes(out, json_get_int(newest, "bytes", 0));
		g_string_append(out, "</p><p class=\"soft\">");
		const json_t *versions = json_object_get(one, "versions");
		html_counted(out, json_is_array(versions) ? (int64_t)json_array_size(versions) : json_get_int(one, "versions", 0),
		        "version");
		g_string_append(out, " · newest ");
		html_time(out, json_get_string(newest, "created_at", NULL), view->now_us);
		g_string_append(out, "</p></li>");
	}
	g_string_append(out, "</ul>");
	frame_next(out, view, data);
	frame_end(out, view);
}

static void version_row(GString *out, const PageView *view, const json_t *version, const char *repo, int64_t largest)
{
	int64_t number = json_get_int(version, "version", 0), bytes = json_get_int(version, "bytes", 0);
	html(out, "<tr id=\"v%" PRId64 "\"><th scope=\"row\">v%" PRId64 "</th><td data-label=\"What\">%s", number, number,
	        json_get_string(version, "message", ""));
	const char *key;
	json_t *value;
	json_object_foreach(json_object_get(version, "tags"), key, value) {
		html(out, " <span class=\"flag\">%s ", key);
		html_json(out, value);
		g_string_append(out, "</span>");
	}
	g_string_append(out, "</td><td class=\"num\" data-label=\"Files\">");
	html_count(out, json_get_int(version, "files", 0));
	g_string_append(out, "</td><td class=\"num\" data-label=\"Size\"><span class=\"took\">");
	svg_bar(out, bytes, 0, largest, "run");
	html_bytes(out, bytes);
	g_string_append(out, "</span></td><td class=\"num\" data-label=\"New\">");
	if (json_is_integer(json_object_get(version, "new_bytes")))
		html_bytes(out, json_get_int(version, "new_bytes", 0));
	else
		g_string_append(out, "–");
	g_string_append(out, "</td><td data-label=\"Digest\">");
	html_digest(out, json_get_string(version, "digest", NULL));
	g_string_append(out, "</td><td data-label=\"Made\">");
	html_time(out, json_get_string(version, "created_at", NULL), view->now_us);
	const json_t *run = json_object_get(version, "run");
	int64_t run_number = json_is_object(run) ? json_get_int(run, "number", 0) : 0;
	if (run_number > 0) {
		g_string_append(out, " <a");
		html_href(out, "/%s/runs/%" PRId64, repo, run_number);
		html(out, ">run %" PRId64 "</a>", run_number);
	}
	g_string_append(out, "</td></tr>");
}

void page_dataset(GString *out, const PageView *view, const json_t *data)
{
	const char *repo = json_get_string(data, "repo", ""), *name = json_get_string(data, "name", "dataset");
	const json_t *versions = json_object_get(data, "versions"), *newest = json_array_get(versions, 0);
	frame_begin(out, view, &(Frame){ .title = name, .section = "data", .live_run = -1 });
	frame_crumbs(out, "Data", "/data", name, NULL, NULL);
	html(out, "<h1>%s</h1><p class=\"lead\">", name);
	int64_t largest = 0, total = 0, fresh = 0;
	size_t i;
	json_t *version;
	json_array_foreach(versions, i, version) {
		largest = MAX(largest, json_get_int(version, "bytes", 0));
		total += json_get_int(version, "bytes", 0);
		fresh += json_get_int(version, "new_bytes", 0);
	}
	if (newest) {
		html(out, "Version %" PRId64 " is the newest: ", json_get_int(newest, "version", 0));
		html_counted(out, json_get_int(newest, "files", 0), "file");
		g_string_append(out, ", ");
		html_bytes(out, json_get_int(newest, "bytes", 0));
		g_string_append(out, ".</p>");
		if (fresh > 0 && total > fresh) {
			g_string_append(out, "<p class=\"soft\">These versions hold ");
			html_bytes(out, total);
			g_string_append(out, " and take ");
			html_bytes(out, fresh);
			g_string_append(out, ": what two have in common is kept once.</p>");
		}
	} else {
		g_string_append(out, "It has no version.</p>");
	}
	frame_section(out, "versions", "Versions");
	g_string_append(out, "<table class=\"cards\"><caption class=\"hidden\">Versions, newest first</caption><thead><tr>"
	                     "<th scope=\"col\">Version</th><th scope=\"col\">What</th><th scope=\"col\" class=\"num\">Files</th>"
	                     "<th scope=\"col\" class=\"num\">Size</th><th scope=\"col\" class=\"num\">New</th>"
	                     "<th scope=\"col\">Digest</th><th scope=\"col\">Made</th></tr></thead><tbody>");
	json_array_foreach(versions, i, version)
		version_row(out, view, version, repo, largest);
	g_string_append(out, "</tbody></table><p>Get it back, bit for bit:</p>");
	frame_command(out, "assay data restore %s --repo %s", name, repo);
	frame_section_end(out);
	frame_end(out, view);
}
