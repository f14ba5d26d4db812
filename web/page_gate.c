/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page this product is for: a reviewer with two minutes and a phone reads one sentence, sees the evidence, what
 * changed and who decides, and presses one of two buttons. The verdict carries the digest of what was shown.
 */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/gate_words.h"
#include "web/report.h"

static const json_t *evidence_of(const json_t *gate)
{
	return json_object_get(gate, "evidence");
}

char *gate_title(const json_t *gate)
{
	const json_t *model = json_object_get(evidence_of(gate), "model");
	const char *environment = json_get_string(gate, "environment", "the environment");
	if (json_is_object(model))
		return g_strdup_printf("%s %" PRId64 " → %s", json_get_string(model, "name", "model"),
		        json_get_int(model, "version", 0), environment);
	return g_strdup_printf("%s → %s", json_get_string(json_object_get(gate, "job"), "name", "job"), environment);
}

void gate_sentence(GString *out, const json_t *gate)
{
	const char *sentence = json_get_string(evidence_of(gate), "sentence", NULL);
	html_text(out, sentence && *sentence ? sentence : "Nothing was compared in this run: there is no evidence for or against it.");
}

static bool is_override(const json_t *gate)
{
	const char *verdict = json_get_string(evidence_of(gate), "verdict", "none");
	return strcmp(verdict, "pass") != 0 && strcmp(verdict, "none") != 0;
}

static void head(GString *out, const PageView *view, const json_t *gate)
{
	const json_t *evidence = evidence_of(gate), *run = json_object_get(gate, "run");
	const char *status = json_get_string(gate, "status", "waiting"), *repo = json_get_string(gate, "repo", "");
	g_autofree char *title = gate_title(gate);
	g_autofree char *ref = html_ref(json_get_string(evidence, "ref", json_get_string(run, "ref", NULL)));
	html(out, "<div class=\"head\"><h1>%s</h1><div class=\"head-side\">", title);
	frame_status(out, status);
	if (strcmp(status, "waiting") == 0 && json_get_string(gate, "expires_at", NULL)) {
		g_string_append(out, "<span class=\"soft\">expires ");
		html_time(out, json_get_string(gate, "expires_at", NULL), view->now_us);
		g_string_append(out, "</span>");
	}
	g_string_append(out, "</div></div><p class=\"soft under\"><a");
	html_href(out, "/%s/runs/%" PRId64, repo, json_get_int(run, "number", 0));
	html(out, ">%s run %" PRId64 "</a> · %s <span class=\"digest-of\">", repo, json_get_int(run, "number", 0), ref);
	html_digest(out, json_get_string(evidence, "sha", json_get_string(run, "sha", NULL)));
	g_string_append(out, "</span>");
	if (json_get_string(evidence, "author", NULL))
		html(out, " · by %s", json_get_string(evidence, "author", NULL));
	g_string_append(out, "</p>");
}

static void verdict_sentence(GString *out, const json_t *gate)
{
	const char *verdict = json_get_string(evidence_of(gate), "verdict", "none");
	static const char *const icons[][2] = { { "pass", "success" }, { "fail", "failure" }, { "inconclusive", "waiting" } };
	const char *icon = "skipped";
	for (size_t i = 0; i < G_N_ELEMENTS(icons); i++)
		icon = strcmp(icons[i][0], verdict) == 0 ? icons[i][1] : icon;
	html(out, "<div class=\"banner %s\">", frame_colour(verdict));
	frame_icon(out, icon);
	g_string_append(out, "<div><p class=\"lead\">");
	gate_sentence(out, gate);
	g_string_append(out, "</p>");
	const char *message = json_get_string(gate, "message", NULL);
	if (message && *message)
		html(out, "<p>%s</p>", message);
	g_string_append(out, "</div></div>");
}

static bool is_compare(const json_t *entry)
{
	return strcmp(json_get_string(json_object_get(entry, "report"), "kind", ""), "compare") == 0;
}

static void evidence_section(GString *out, const json_t *gate)
{
	const json_t *reports = json_object_get(evidence_of(gate), "reports");
	ReportIds ids = 0;
	size_t compared = 0, others = 0, i;
	json_t *entry;
	json_array_foreach(reports, i, entry)
		compared += is_compare(entry);
	if (compared > 0) {
		frame_section(out, "evidence", "Evidence");
		json_array_foreach(reports, i, entry) {
			const json_t *report = json_object_get(entry, "report");
			if (!is_compare(entry))
				continue;
			if (compared > 1)
				html(out, "<h3>%s</h3><p class=\"said\">%s</p>", json_get_string(entry, "job", "compare"),
				        json_get_string(report, "sentence", ""));
			report_evidence(out, report, &ids);
		}
		frame_section_end(out);
	}
	json_array_foreach(reports, i, entry) {
		const json_t *report = json_object_get(entry, "report");
		if (is_compare(entry))
			continue;
		if (others++ == 0) {
			frame_section(out, "checks", "Also reported by this run");
			g_string_append(out, "<ul class=\"checks\">");
		}
		const char *verdict = json_get_string(report, "verdict", "none");
		html(out, "<li class=\"%s\"><strong>%s</strong><span>", frame_colour(verdict), report_title(report));
		if (strcmp(verdict, "none") != 0) {
			frame_verdict(out, verdict);
			g_string_append_c(out, ' ');
		}
		html(out, "%s</span></li>", json_get_string(report, "sentence", ""));
	}
	if (others > 0) {
		g_string_append(out, "</ul>");
		frame_section_end(out);
	}
}

static void change_value(GString *out, const json_t *change, const char *key, const char *prefix)
{
	const json_t *value = json_object_get(change, key);
	if (!value || json_is_null(value)) {
		g_string_append(out, "<span class=\"soft\">none</span>");
		return;
	}
	if (json_is_integer(value))
		g_string_append(out, prefix);
	html_json(out, value);
}

static void from_to(GString *out, const json_t *change, const char *prefix)
{
	html(out, "<li><span>%s</span><span class=\"from-to\">", json_get_string(change, "name", ""));
	change_value(out, change, "from", prefix);
	frame_icon(out, "arrow");
	g_string_append(out, "<span class=\"hidden\"> to </span><strong>");
	change_value(out, change, "to", prefix);
	g_string_append(out, "</strong></span></li>");
}

static void commits(GString *out, const json_t *all)
{
	size_t i;
	json_t *commit;
	html(out, "<div><h3>Code</h3>");
	if (!json_is_array(all)) {
		g_string_append(out, "<p class=\"soft\">Which commits lie between the two is not known.</p></div>");
		return;
	}
	if (json_array_size(all) == 0) {
		g_string_append(out, "<p class=\"soft\">The same commit.</p></div>");
		return;
	}
	g_string_append(out, "<ul class=\"changes\">");
	json_array_foreach(all, i, commit) {
		html(out, "<li class=\"commit\"><span>%s<span class=\"note\">%s</span></span>", json_get_string(commit, "title", ""),
		        json_get_string(commit, "author", ""));
		html_digest(out, json_get_string(commit, "sha", NULL));
		g_string_append(out, "</li>");
	}
	g_string_append(out, "</ul></div>");
}

static void change_list(GString *out, const char *title, const json_t *all, const char *prefix, const char *none)
{
	size_t i;
	json_t *change;
	html(out, "<div><h3>%s</h3>", title);
	if (json_array_size(all) == 0)
		html(out, "<p class=\"soft\">%s</p>", none);
	else
		g_string_append(out, "<ul class=\"changes\">");
	json_array_foreach(all, i, change)
		from_to(out, change, prefix);
	g_string_append(out, json_array_size(all) ? "</ul></div>" : "</div>");
}

static void changes_section(GString *out, const json_t *gate)
{
	const json_t *evidence = evidence_of(gate), *changes = json_object_get(evidence, "changes");
	const json_t *release = json_object_get(evidence, "release");
	if (!json_is_object(release)) {
		frame_section(out, "changes", "The first release");
		g_string_append(out, "<p>No version carries the alias yet, so there is nothing to compare this with.</p>");
		frame_section_end(out);
		return;
	}
	g_autofree char *title = g_strdup_printf("What changed since %s %" PRId64, json_get_string(release, "name", "the release"),
	        json_get_int(release, "version", 0));
	frame_section(out, "changes", title);
	const json_t *list = json_object_get(changes, "commits");
	g_string_append(out, "<p class=\"soft\">");
	if (json_is_array(list)) {
		html_counted(out, (int64_t)json_array_size(list), "commit");
		g_string_append(out, ", ");
	}
	size_t data = json_array_size(json_object_get(changes, "data")), params = json_array_size(json_object_get(changes, "params"));
	html(out, "%zu data version%s, %zu parameter%s.</p><div class=\"columns\">", data, data == 1 ? "" : "s", params,
	        params == 1 ? "" : "s");
	commits(out, list);
	change_list(out, "Data", json_object_get(changes, "data"), "v", "The same data.");
	change_list(out, "Parameters", json_object_get(changes, "params"), "", "The same parameters.");
	g_string_append(out, "</div>");
	frame_section_end(out);
}

static void joined(GString *out, const json_t *names)
{
	size_t i;
	json_t *name;
	json_array_foreach(names, i, name)
		html(out, "%s%s", i ? ", " : "", json_string_value(name));
}

static int64_t approvals(const json_t *gate)
{
	int64_t count = 0;
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(gate, "verdicts"), i, one)
		count += strcmp(json_get_string(one, "verdict", ""), "approve") == 0 &&
		         g_strcmp0(json_get_string(one, "evidence_digest", NULL), json_get_string(gate, "evidence_digest", NULL)) == 0;
	return count;
}

static void who(GString *out, const json_t *gate)
{
	const json_t *rules = json_object_get(gate, "rules");
	int64_t needed = json_get_int(gate, "approvals_needed", 1);
	g_string_append(out, "<p class=\"who\">Who may decide: <strong>");
	if (json_array_size(json_object_get(rules, "reviewers")) > 0)
		joined(out, json_object_get(rules, "reviewers"));
	else
		g_string_append(out, "every reviewer");
	html(out, "</strong>. %" PRId64 " of %" PRId64 " approval%s given", approvals(gate), needed, needed == 1 ? "" : "s");
	g_string_append(out, json_is_true(json_object_get(rules, "self_review")) ? "; the author may take part.</p>" :
	                                                                            "; the author may not.</p>");
}

static void decide(GString *out, const PageView *view, const json_t *data)
{
	const json_t *gate = json_object_get(data, "gate");
	if (strcmp(json_get_string(gate, "status", ""), "waiting") != 0)
		return;
	bool override = is_override(gate);
	g_string_append(out, "<section class=\"decide\" aria-labelledby=\"decision\"><h2 id=\"decision\">Your decision</h2>");
	who(out, gate);
	if (!json_is_true(json_object_get(data, "may_decide"))) {
		const char *why = json_get_string(data, "why_not", NULL);
		g_string_append(out, "<p class=\"locked\">");
		frame_icon(out, "skipped");
		html(out, "<span>%s</span></p></section>", why ? why : "You are not among its reviewers.");
		return;
	}
	html(out, "<form method=\"post\" action=\"/gates/%" PRId64 "/verdict\">", json_get_int(gate, "id", 0));
	frame_csrf(out, view);
	html(out, "<input type=\"hidden\" name=\"evidence_digest\" value=\"%s\">", json_get_string(gate, "evidence_digest", ""));
	g_string_append(out, "<label>Comment <span class=\"soft\">kept with the verdict</span>"
	                     "<textarea name=\"comment\" rows=\"3\"></textarea></label>");
	if (override)
		g_string_append(out, "<label class=\"override\">Why approve although the evidence does not pass? "
		                     "<span class=\"soft\">needed to approve; it is called an override ever after</span>"
		                     "<textarea name=\"override_reason\" rows=\"2\" required></textarea></label>");
	html(out, "<div class=\"buttons\"><button name=\"verdict\" value=\"approve\" class=\"approve %s\">", override ? "" : "primary");
	frame_icon(out, "success");
	g_string_append(out, override ? "<span>Approve<span class=\"wide\"> against the evidence</span></span></button>" : "Approve</button>");
	html(out, "<button name=\"verdict\" value=\"reject\" formnovalidate class=\"reject %s\">", override ? "primary" : "");
	frame_icon(out, "failure");
	g_string_append(out, "Reject</button></div></form></section>");
}

static void event(GString *out, const PageView *view, const char *colour, const char *icon, const char *at)
{
	html(out, "<li class=\"%s\">", colour);
	frame_icon(out, icon);
	g_string_append(out, "<div><span class=\"when soft\">");
	html_time(out, at, view->now_us);
	g_string_append(out, "</span>");
}

static void history(GString *out, const PageView *view, const json_t *gate)
{
	const json_t *run = json_object_get(gate, "run");
	frame_section(out, "history", "History");
	g_string_append(out, "<ol class=\"timeline\">");
	event(out, view, "run", "commit", json_get_string(gate, "opened_at", NULL));
	html(out, "<p>Opened by run %" PRId64 ", with the evidence above.</p></div></li>", json_get_int(run, "number", 0));
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(gate, "verdicts"), i, one) {
		bool approve = strcmp(json_get_string(one, "verdict", ""), "approve") == 0;
		bool stale = g_strcmp0(json_get_string(one, "evidence_digest", NULL), json_get_string(gate, "evidence_digest", NULL)) != 0;
		event(out, view, approve ? "good" : "bad", approve ? "success" : "failure", json_get_string(one, "at", NULL));
		html(out, "<p><strong>%s</strong> %s%s%s</p>", json_get_string(one, "user", "someone"), approve ? "approved" : "rejected",
		        json_is_true(json_object_get(one, "override")) ? ", against the evidence: an override" : "",
		        stale ? "; it no longer counts, for the evidence has changed" : "");
		const char *comment = json_get_string(one, "comment", NULL);
		if (comment && *comment)
			html(out, "<blockquote>%s</blockquote>", comment);
		g_string_append(out, "</div></li>");
	}
	const char *status = json_get_string(gate, "status", "waiting");
	if (json_get_string(gate, "decided_at", NULL)) {
		event(out, view, frame_colour(status), strcmp(status, "approved") == 0 ? "success" : "failure",
		        json_get_string(gate, "decided_at", NULL));
		html(out, "<p>The gate ended: <strong>%s</strong>.</p></div></li>", status);
	}
	g_string_append(out, "</ol>");
	frame_section_end(out);
}

static void facts(GString *out, const json_t *gate)
{
	const json_t *evidence = evidence_of(gate), *release = json_object_get(evidence, "release");
	const char *repo = json_get_string(gate, "repo", "");
	frame_section(out, "bound", "What the verdict is bound to");
	g_string_append(out, "<dl class=\"facts\">");
	const json_t *model = json_object_get(evidence, "model");
	if (json_is_object(model)) {
		frame_fact_begin(out, "Model");
		g_string_append(out, "<a");
		html_href(out, "/models/%s/%s/%" PRId64, repo, json_get_string(model, "name", ""), json_get_int(model, "version", 0));
		html(out, ">%s %" PRId64 "</a> ", json_get_string(model, "name", ""), json_get_int(model, "version", 0));
		html_digest(out, json_get_string(model, "digest", NULL));
		frame_fact_end(out);
	}
	size_t i;
	json_t *one;
	json_array_foreach(json_object_get(evidence, "data"), i, one) {
		frame_fact_begin(out, "Data");
		g_string_append(out, "<a");
		html_href(out, "/data/%s/%s", repo, json_get_string(one, "name", ""));
		html(out, ">%s v%" PRId64 "</a> ", json_get_string(one, "name", ""), json_get_int(one, "version", 0));
		html_digest(out, json_get_string(one, "digest", NULL));
		frame_fact_end(out);
	}
	frame_fact_begin(out, "Workflow");
	html(out, "%s ", json_get_string(evidence, "workflow_path", "–"));
	html_digest(out, json_get_string(evidence, "workflow_digest", NULL));
	frame_fact_end(out);
	if (json_is_object(release)) {
		frame_fact_begin(out, "Release");
		g_string_append(out, "<a");
		html_href(out, "/models/%s/%s/%" PRId64, repo, json_get_string(release, "name", ""), json_get_int(release, "version", 0));
		html(out, ">%s %" PRId64 "</a>", json_get_string(release, "name", ""), json_get_int(release, "version", 0));
		if (json_get_string(release, "approved_by", NULL))
			html(out, ", approved by %s", json_get_string(release, "approved_by", NULL));
		if (json_get_string(release, "since", NULL)) {
			g_string_append(out, ", since ");
			html_day(out, json_get_string(release, "since", NULL));
		}
		frame_fact_end(out);
	}
	frame_fact_begin(out, "Evidence");
	html_digest(out, json_get_string(gate, "evidence_digest", NULL));
	frame_fact_end(out);
	g_string_append(out, "</dl>");
	frame_section_end(out);
}

void page_gate(GString *out, const PageView *view, const json_t *data)
{
	const json_t *gate = json_object_get(data, "gate");
	g_autofree char *title = gate_title(gate);
	g_autofree char *name = g_strdup_printf("Gate %" PRId64, json_get_int(gate, "id", 0));
	bool form = json_is_true(json_object_get(data, "may_decide")) &&
	            strcmp(json_get_string(gate, "status", ""), "waiting") == 0;
	frame_begin(out, view, &(Frame){ .title = title, .section = "gates",
	                               .live_run = json_get_int(json_object_get(gate, "run"), "id", 0),
	                               .body = form ? "deciding" : NULL });
	frame_crumbs(out, "Gates", "/gates", name, NULL, NULL);
	head(out, view, gate);
	verdict_sentence(out, gate);
	evidence_section(out, gate);
	changes_section(out, gate);
	decide(out, view, data);
	history(out, view, gate);
	facts(out, gate);
	frame_end(out, view);
}
