/* SPDX-License-Identifier: Apache-2.0 */
/* The list of runs, of one repo or of all: what happened last, and did it work? Its first line says so in words. */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/svg.h"

static int64_t run_duration(const json_t *run, int64_t now)
{
	const char *started = json_get_string(run, "started_at", NULL);
	return started ? html_between(started, json_get_string(run, "finished_at", NULL), now) : 0;
}

static int by_number(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
	return left < right ? -1 : left > right;
}

/* The median of the successful runs of the same workflow in this list: what a run of it usually takes. */
static int64_t usual_duration(const json_t *runs, const json_t *like)
{
	g_autofree int64_t *lengths = g_new(int64_t, json_array_size(runs) + 1);
	size_t count = 0, i;
	json_t *run;
	json_array_foreach(runs, i, run) {
		if (g_strcmp0(json_get_string(run, "repo", NULL), json_get_string(like, "repo", NULL)) == 0 &&
		        g_strcmp0(json_get_string(run, "workflow", NULL), json_get_string(like, "workflow", NULL)) == 0 &&
		        strcmp(json_get_string(run, "status", ""), "success") == 0)
			lengths[count++] = run_duration(run, 0);
	}
	qsort(lengths, count, sizeof *lengths, by_number);
	return count >= 2 ? lengths[count / 2] : 0;
}

static void summary(GString *out, const json_t *runs)
{
	size_t open = 0, failed = 0, waiting = 0, ended = 0, i;
	json_t *run;
	json_array_foreach(runs, i, run) {
		const char *status = json_get_string(run, "status", "");
		waiting += strcmp(status, "waiting") == 0;
		open += strcmp(status, "running") == 0 || strcmp(status, "queued") == 0;
		failed += strcmp(status, "failure") == 0;
		ended += json_is_string(json_object_get(run, "finished_at"));
	}
	g_string_append(out, "<p class=\"lead\">");
	if (open > 0) {
		html_counted(out, (int64_t)open, "run");
		g_string_append(out, " under way, ");
	}
	if (waiting > 0)
		html(out, "%zu waiting for a gate, ", waiting);
	if (failed > 0)
		html(out, "%zu of the last %zu failed.", failed, ended);
	else if (ended > 0)
		html(out, "none of the last %zu failed.", ended);
	else
		g_string_append(out, "none has ended yet.");
	g_string_append(out, "</p>");
}

/* A form sends its empty fields too; they filter nothing. */
static bool is_filtered(const json_t *data)
{
	const char *key;
	json_t *value;
	json_object_foreach(json_object_get(data, "filter"), key, value) {
		if (json_string_length(value) > 0)
			return true;
	}
	return false;
}

static void empty(GString *out, const PageView *view, const json_t *data)
{
	const char *base = view->base_url ? view->base_url : "";
	const char *repo = json_get_string(data, "repo", NULL);
	if (is_filtered(data)) {
		g_string_append(out, "<div class=\"empty\"><p class=\"lead\">No run fits this filter.</p><p><a class=\"button\" href=\"?\">"
		                     "Show all runs</a></p></div>");
		return;
	}
	if (repo || json_array_size(json_object_get(data, "repos")) > 0) {
		html(out, "<div class=\"empty\"><p class=\"lead\">No run yet.</p><p>Push to a repo that has workflows in "
		          "<code>.assay/workflows/</code> or <code>.github/workflows/</code>, or start one by hand:</p>");
		frame_command(out, "assay runs dispatch %s train.yml --ref main", repo ? repo : "OWNER/NAME");
		g_string_append(out, "<p>A push arrives when the forge sends it to this address:</p>");
		frame_command(out, "%s/webhooks/github", base);
		g_string_append(out, "</div>");
		return;
	}
	g_string_append(out, "<div class=\"empty\"><p class=\"lead\">No repo yet. Two commands and a webhook make the first run.</p>"
	                     "<ol class=\"steps\"><li><p>Make a secret that the forge and Assay share, and add the repo "
	                     "with it:</p>");
	frame_command(out, "openssl rand -hex 32 > webhook-secret");
	frame_command(out, "assay repo add acme/digits https://github.com/acme/digits.git --webhook-secret-file webhook-secret");
	g_string_append(out, "</li><li><p>In the forge, add a webhook with that secret, content type "
	                     "<code>application/json</code>, for pushes and pull requests, to:</p>");
	frame_command(out, "%s/webhooks/github", base);
	g_string_append(out, "<p class=\"soft\">The last word names the forge: <code>github</code>, <code>gitlab</code>, "
	                     "<code>gitea</code>, <code>forgejo</code>, <code>bitbucket</code>, <code>azure-devops</code> or "
	                     "<code>generic</code>.</p></li><li><p>Push. Workflows are read from "
	                     "<code>.assay/workflows/</code>, and where there are none from <code>.github/workflows/</code>; "
	                     "they run as they are.</p></li></ol></div>");
}

static void repo_links(GString *out, const json_t *repos)
{
	if (json_array_size(repos) < 2)
		return;
	g_string_append(out, "<nav class=\"crumbs repos\" aria-label=\"Repos\"><ol>");
	size_t i;
	json_t *one;
	json_array_foreach(repos, i, one) {
		const char *name = json_get_string(one, "name", "");
		g_string_append(out, "<li><a");
		html_href(out, "/%s", name);
		html(out, ">%s</a></li>", name);
	}
	g_string_append(out, "</ol></nav>");
}

static void filters(GString *out, const json_t *data)
{
	static const char *const statuses[] = { "queued", "waiting", "running", "success", "failure", "cancelled" };
	const json_t *filter = json_object_get(data, "filter");
	const char *status = json_get_string(filter, "status", "");
	g_string_append(out, "<form class=\"filters\" method=\"get\" role=\"search\" aria-label=\"Filter the runs\">");
	g_string_append(out, "<label>Status<select name=\"status\"><option value=\"\">any</option>");
	for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
		html(out, "<option%s>%s</option>", strcmp(status, statuses[i]) == 0 ? " selected" : "", statuses[i]);
	html(out, "</select></label><label>Branch<input name=\"branch\" value=\"%s\" size=\"12\" spellcheck=\"false\"></label>"
	          "<label>Workflow<input name=\"workflow\" value=\"%s\" size=\"12\" spellcheck=\"false\"></label>"
	          "<button>Filter</button>",
	        json_get_string(filter, "branch", ""), json_get_string(filter, "workflow", ""));
	if (is_filtered(data))
		g_string_append(out, "<a class=\"button\" href=\"?\">Clear</a>");
	g_string_append(out, "</form>");
}

/* One sentence of why, from the run itself or from its first job that has one. */
static const char *why(const json_t *run)
{
	const char *message = json_get_string(run, "message", NULL);
	if (message && *message)
		return message;
	size_t i;
	json_t *job;
	json_array_foreach(json_object_get(run, "jobs"), i, job) {
		const char *status = json_get_string(job, "status", "");
		if (strcmp(status, "failure") == 0 && json_get_string(job, "message", NULL))
			return json_get_string(job, "message", NULL);
	}
	return NULL;
}

static void row(GString *out, const PageView *view, const json_t *runs, const json_t *run, bool with_repo, int64_t longest)
{
	const char *repo = json_get_string(run, "repo", ""), *status = json_get_string(run, "status", "queued");
	int64_t number = json_get_int(run, "number", 0);
	g_autofree char *ref = html_ref(json_get_string(run, "ref", NULL));
	html(out, "<li id=\"run-%" PRId64 "\" class=\"run %s\"><div class=\"run-status\">", json_get_int(run, "id", 0),
	        frame_colour(status));
	frame_status(out, status);
	g_string_append(out, "</div><div class=\"run-what\"><a class=\"run-title\"");
	html_href(out, "/%s/runs/%" PRId64, repo, number);
	const char *title = json_get_string(run, "title", NULL);
	html(out, ">%s</a><p class=\"soft\">", title && *title ? title : json_get_string(run, "workflow", "run"));
	if (with_repo) {
		g_string_append(out, "<a");
		html_href(out, "/%s", repo);
		html(out, ">%s</a> · ", repo);
	}
	html(out, "%s #%" PRId64, json_get_string(run, "workflow", ""), number);
	if (json_get_string(run, "actor", NULL))
		html(out, " · by %s", json_get_string(run, "actor", NULL));
	g_string_append(out, "</p>");
	const char *reason = strcmp(status, "success") == 0 ? NULL : why(run);
	if (reason && *reason)
		html(out, "<p class=\"why\">%s</p>", reason);
	g_string_append(out, "</div><div class=\"run-where\">");
	if (*ref)
		html(out, "<span class=\"ref\" title=\"%s\">%s</span>", ref, ref);
	g_string_append(out, "<span class=\"soft\">");
	html_digest(out, json_get_string(run, "sha", NULL));
	g_string_append(out, "</span></div><div class=\"run-time\">");
	int64_t duration = run_duration(run, view->now_us);
	if (json_get_string(run, "started_at", NULL) && strcmp(status, "waiting") != 0) {
		int64_t usual = usual_duration(runs, run);
		g_string_append(out, "<span class=\"took\"");
		if (usual > 0) {
			g_string_append(out, " title=\"usually ");
			html_duration(out, usual);
			g_string_append(out, "\"");
		}
		g_string_append(out, ">");
		svg_bar(out, duration, usual, usual > 0 ? usual * 3 / 2 : longest, frame_colour(status));
		html_duration(out, duration);
		g_string_append(out, "</span>");
	}
	g_string_append(out, "<span class=\"soft\">");
	html_time(out, json_get_string(run, "created_at", NULL), view->now_us);
	g_string_append(out, "</span></div></li>");
}

void page_runs(GString *out, const PageView *view, const json_t *data)
{
	const json_t *runs = json_object_get(data, "runs");
	const char *repo = json_get_string(data, "repo", NULL);
	frame_begin(out, view, &(Frame){ .title = repo ? repo : "Runs", .section = "runs", .live_run = -1 });
	if (repo)
		frame_crumbs(out, "Runs", "/", repo, NULL, NULL);
	html(out, "<div class=\"head\"><h1>%s</h1>", repo ? repo : "Runs");
	if (repo) {
		g_string_append(out, "<a class=\"button\"");
		html_href(out, "/%s/workflows", repo);
		g_string_append(out, ">Workflows</a>");
	}
	g_string_append(out, "</div>");
	bool filtered = is_filtered(data);
	if (json_array_size(runs) > 0 && !filtered)
		summary(out, runs);
	if (!repo && json_array_size(runs) > 0)
		repo_links(out, json_object_get(data, "repos"));
	if (json_array_size(runs) > 0 || filtered)
		filters(out, data);
	if (json_array_size(runs) == 0) {
		empty(out, view, data);
		frame_end(out, view);
		return;
	}
	int64_t longest = 0;
	size_t i;
	json_t *run;
	json_array_foreach(runs, i, run)
		longest = json_get_string(run, "finished_at", NULL) ? MAX(longest, run_duration(run, view->now_us)) : longest;
	g_string_append(out, "<ul class=\"runs\">");
	json_array_foreach(runs, i, run)
		row(out, view, runs, run, !repo, longest);
	g_string_append(out, "</ul>");
	frame_next(out, view, data);
	frame_end(out, view);
}
