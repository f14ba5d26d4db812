/* SPDX-License-Identifier: Apache-2.0 */
/* The list of gates: what waits for a decision, and what was decided. Those that wait come first, with their sentence. */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/gate_words.h"

static void gate_row(GString *out, const PageView *view, const json_t *gate)
{
	const json_t *evidence = json_object_get(gate, "evidence");
	const char *status = json_get_string(gate, "status", "waiting"), *verdict = json_get_string(evidence, "verdict", "none");
	bool waiting = strcmp(status, "waiting") == 0;
	html(out, "<li class=\"gate-row %s\"><div class=\"gate-state\">", frame_colour(status));
	frame_status(out, status);
	g_autofree char *title = gate_title(gate);
	html(out, "</div><div><a class=\"run-title\" href=\"/gates/%" PRId64 "\">%s</a>", json_get_int(gate, "id", 0), title);
	html(out, "<p class=\"%s\">", waiting ? frame_colour(verdict) : "soft");
	gate_sentence(out, gate);
	g_string_append(out, "</p><p class=\"soft\">");
	html(out, "%s", json_get_string(gate, "repo", ""));
	if (json_get_string(evidence, "author", NULL))
		html(out, " · by %s", json_get_string(evidence, "author", NULL));
	g_string_append(out, " · opened ");
	html_time(out, json_get_string(gate, "opened_at", NULL), view->now_us);
	if (waiting && json_get_string(gate, "expires_at", NULL)) {
		g_string_append(out, " · expires ");
		html_time(out, json_get_string(gate, "expires_at", NULL), view->now_us);
	}
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(gate, "verdicts"), i, one) {
		html(out, " · %s by %s%s", strcmp(json_get_string(one, "verdict", ""), "approve") == 0 ? "approved" : "rejected",
		        json_get_string(one, "user", "someone"), json_is_true(json_object_get(one, "override")) ? ", as an override" : "");
	}
	g_string_append(out, "</p></div></li>");
}

static size_t list(GString *out, const PageView *view, const json_t *gates, bool waiting)
{
	size_t count = 0, i;
	json_t *gate;
	json_array_foreach(gates, i, gate) {
		if ((strcmp(json_get_string(gate, "status", ""), "waiting") == 0) != waiting)
			continue;
		if (count++ == 0)
			g_string_append(out, "<ul class=\"gates\">");
		gate_row(out, view, gate);
	}
	if (count > 0)
		g_string_append(out, "</ul>");
	return count;
}

void page_gates(GString *out, const PageView *view, const json_t *data)
{
	const json_t *gates = json_object_get(data, "gates");
	frame_begin(out, view, &(Frame){ .title = "Gates", .section = "gates", .live_run = -1 });
	g_string_append(out, "<h1>Gates</h1>");
	if (json_array_size(gates) == 0) {
		g_string_append(out, "<div class=\"empty\"><p class=\"lead\">No gate yet.</p><p>A gate opens when a job names an "
		                     "environment that an admin has protected:</p>");
		frame_command(out, "assay env set production --repo acme/digits --reviewers alice --approvals 1");
		g_string_append(out, "<p>and in the workflow, on the job that promotes or deploys:</p>");
		frame_command(out, "environment: production");
		g_string_append(out, "<p class=\"soft\">The job then waits, holding no machine, until a reviewer has read the evidence and "
		                     "decided. No <code>if:</code> jumps a gate.</p></div>");
		frame_end(out, view);
		return;
	}
	size_t waiting = 0, i;
	json_t *gate;
	json_array_foreach(gates, i, gate)
		waiting += strcmp(json_get_string(gate, "status", ""), "waiting") == 0;
	g_string_append(out, "<p class=\"lead\">");
	if (waiting == 0) {
		g_string_append(out, "Nothing waits for a decision.");
	} else {
		html(out, "%zu %s for a decision", waiting, waiting == 1 ? "waits" : "wait");
		if (view->gates_waiting > 0)
			html(out, ", %" PRId64 " of them for yours", view->gates_waiting);
		g_string_append_c(out, '.');
	}
	g_string_append(out, "</p>");
	list(out, view, gates, true);
	if (waiting < json_array_size(gates)) {
		frame_section(out, "decided", "Decided");
		list(out, view, gates, false);
		frame_section_end(out);
	}
	frame_next(out, view, data);
	frame_end(out, view);
}
