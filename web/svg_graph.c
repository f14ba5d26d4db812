/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The jobs of a run in layers, after Sugiyama, Tagawa, Toda (1981) with what a workflow needs of it: longest-path layers,
 * one pass of barycentres for the order, edges that others imply left out. A circle in the needs, which the planner
 * refuses, would only draw its groups in the first layer.
 */
#include <inttypes.h>

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/html.h"
#include "web/svg.h"

#define GROUPS_MAX 200
#define NODE_WIDTH 176.0
#define NODE_HEIGHT 52.0
#define GAP_X 38.0
#define GAP_GATE 70.0 /* where a gate stands before the layer */
#define GAP_Y 18.0
#define PAD 8.0

typedef struct Group {
	const char *name;
	const json_t *first; /* its job, or the first of its matrix */
	size_t jobs;
	size_t needs[GROUPS_MAX];
	size_t needs_count;
	size_t layer;
	double rank; /* mean row of what it needs */
	double x, y;
	int64_t finished_us; /* the latest of its jobs, on the run's own scale */
	bool critical;
	bool gated;
	size_t called;   /* jobs of a call, which the graph leaves out */
	bool call_waits; /* one of them, at a gate */
} Group;

typedef struct Graph {
	Group *groups;
	size_t count;
	bool reach[GROUPS_MAX][GROUPS_MAX]; /* [from][to] */
} Graph;

static size_t find_group(const Graph *graph, const char *name)
{
	for (size_t i = 0; i < graph->count; i++) {
		if (g_strcmp0(graph->groups[i].name, name) == 0)
			return i;
	}
	return GROUPS_MAX;
}

static const char *group_of(const json_t *job)
{
	return json_get_string(job, "group", json_get_string(job, "key", ""));
}

/* The jobs of calls stand behind their caller's node: it says how many they are. */
static void count_called(Graph *graph, const json_t *jobs)
{
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		const char *key = json_get_string(job, "key", "");
		const char *end = strstr(key, " / ");
		if (!json_get_string(job, "caller", NULL) || !end || json_get_bool(job, "call", false))
			continue;
		for (size_t g = 0; g < graph->count; g++) {
			Group *group = &graph->groups[g];
			size_t len = strlen(group->name);
			/* "deploy" or, of a matrix, "deploy (eu)" */
			if (strncmp(key, group->name, len) != 0 || (key + len != end && strncmp(key + len, " (", 2) != 0))
				continue;
			group->called++;
			group->call_waits = group->call_waits || strcmp(json_get_string(job, "status", ""), "waiting") == 0;
		}
	}
}

static void collect(Graph *graph, const json_t *jobs, const char *started, int64_t now)
{
	size_t i;
	json_t *job;
	json_array_foreach(jobs, i, job) {
		if (json_get_string(job, "caller", NULL))
			continue;
		size_t at = find_group(graph, group_of(job));
		if (at == GROUPS_MAX) {
			if (graph->count == GROUPS_MAX)
				continue;
			at = graph->count++;
			graph->groups[at] = (Group){ .name = group_of(job), .first = job };
		}
		Group *group = &graph->groups[at];
		group->jobs++;
		group->gated = group->gated || json_is_integer(json_object_get(job, "gate"));
		if (json_get_string(job, "started_at", NULL))
			group->finished_us = MAX(group->finished_us,
			        html_between(started, json_get_string(job, "finished_at", NULL), now));
	}
	count_called(graph, jobs);
	for (size_t g = 0; g < graph->count; g++) {
		Group *group = &graph->groups[g];
		json_t *need;
		json_array_foreach(json_object_get(group->first, "needs"), i, need) {
			size_t from = find_group(graph, json_string_value(need));
			if (from < GROUPS_MAX && from != g && group->needs_count < GROUPS_MAX)
				group->needs[group->needs_count++] = from;
		}
	}
}

static void layer(Graph *graph)
{
	for (size_t pass = 0; pass < graph->count; pass++) {
		bool moved = false;
		for (size_t g = 0; g < graph->count; g++) {
			Group *group = &graph->groups[g];
			for (size_t n = 0; n < group->needs_count; n++) {
				size_t least = graph->groups[group->needs[n]].layer + 1;
				if (group->layer < least && least < graph->count) {
					group->layer = least;
					moved = true;
				}
				graph->reach[group->needs[n]][g] = true;
				for (size_t f = 0; f < graph->count; f++)
					graph->reach[f][g] = graph->reach[f][g] || graph->reach[f][group->needs[n]];
			}
		}
		if (!moved && pass > 0)
			break;
	}
}

static int by_rank(const void *a, const void *b)
{
	const Group *left = *(Group *const *)a, *right = *(Group *const *)b;
	return left->rank < right->rank ? -1 : left->rank > right->rank ? 1 : left < right ? -1 : left > right;
}

/* Places every group; returns the size of the drawing through width and height. */
static void place(Graph *graph, double *width, double *height)
{
	size_t layers = 0, rows_max = 0;
	for (size_t g = 0; g < graph->count; g++)
		layers = MAX(layers, graph->groups[g].layer + 1);
	g_autofree size_t *rows = g_new0(size_t, layers);
	for (size_t g = 0; g < graph->count; g++) {
		size_t in_layer = ++rows[graph->groups[g].layer];
		rows_max = MAX(rows_max, in_layer);
	}
	double left = PAD;
	g_autofree Group **order = g_new(Group *, graph->count);
	for (size_t at = 0; at < layers; at++) {
		size_t count = 0;
		bool gated = false;
		for (size_t g = 0; g < graph->count; g++) {
			Group *group = &graph->groups[g];
			if (group->layer != at)
				continue;
			gated = gated || group->gated;
			group->rank = group->needs_count ? 0 : (double)count * (NODE_HEIGHT + GAP_Y);
			for (size_t n = 0; n < group->needs_count; n++)
				group->rank += graph->groups[group->needs[n]].y / (double)group->needs_count;
			order[count++] = group;
		}
		qsort(order, count, sizeof *order, by_rank);
		left += gated ? (at ? GAP_GATE : 52) : at ? GAP_X : 0;
		double top = PAD + (double)(rows_max - count) / 2 * (NODE_HEIGHT + GAP_Y);
		for (size_t i = 0; i < count; i++) {
			order[i]->x = left;
			order[i]->y = top + (double)i * (NODE_HEIGHT + GAP_Y);
		}
		left += NODE_WIDTH;
	}
	*width = left + PAD + 6;
	*height = 2 * PAD + (double)rows_max * NODE_HEIGHT + (double)(rows_max - 1) * GAP_Y + 12;
}

/* Marks the chain of needs that ended last. */
static void mark_critical(Graph *graph)
{
	size_t at = 0;
	for (size_t g = 1; g < graph->count; g++)
		at = graph->groups[g].finished_us > graph->groups[at].finished_us ? g : at;
	for (size_t steps = 0; steps < graph->count && graph->groups[at].finished_us > 0; steps++) {
		Group *group = &graph->groups[at];
		group->critical = true;
		if (group->needs_count == 0)
			break;
		at = group->needs[0];
		for (size_t n = 1; n < group->needs_count; n++) {
			if (graph->groups[group->needs[n]].finished_us > graph->groups[at].finished_us)
				at = group->needs[n];
		}
	}
}

/* An edge over several layers runs in a lane below what stands between. */
static void draw_edge(GString *out, const Graph *graph, const Group *from, const Group *to, double end)
{
	double x1 = from->x + NODE_WIDTH + (from->jobs > 1 ? 6 : 0), y1 = from->y + NODE_HEIGHT / 2;
	double y2 = to->y + NODE_HEIGHT / 2, bend = (end - x1) / 2, lane = y1;
	const char *heavy = from->critical && to->critical ? " heavy" : "";
	if (to->layer <= from->layer + 1) {
		html(out, "<path class=\"edge%s\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1f\"/>", heavy, x1, y1, x1 + bend, y1,
		        end - bend, y2, end, y2);
		return;
	}
	for (size_t g = 0; g < graph->count; g++) {
		const Group *between = &graph->groups[g];
		if (between->layer > from->layer && between->layer < to->layer)
			lane = MAX(lane, between->y + NODE_HEIGHT + 12);
	}
	bend = 20;
	html(out, "<path class=\"edge%s\" d=\"M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fH%.1f", heavy, x1, y1, x1 + bend, y1, x1, lane,
	        x1 + bend, lane, end - 2 * bend);
	html(out, "C%.1f %.1f %.1f %.1f %.1f %.1f\"/>", end - bend / 2, lane, end - 1.5 * bend, y2, end, y2);
}

static void draw_edges(GString *out, const Graph *graph)
{
	for (size_t g = 0; g < graph->count; g++) {
		const Group *to = &graph->groups[g];
		double end = to->x - (to->gated ? 44 : 0), y2 = to->y + NODE_HEIGHT / 2;
		for (size_t n = 0; n < to->needs_count; n++) {
			const Group *from = &graph->groups[to->needs[n]];
			bool implied = false;
			for (size_t other = 0; other < to->needs_count; other++)
				implied = implied || (other != n && graph->reach[to->needs[n]][to->needs[other]]);
			if (implied)
				continue;
			draw_edge(out, graph, from, to, end);
		}
		if (to->gated)
			html(out, "<path class=\"edge%s\" d=\"M%.1f %.1fH%.1f\"/>", to->critical ? " heavy" : "", to->x - 16, y2, to->x);
	}
}

static const char *gate_colour(const json_t *job)
{
	const char *status = json_get_string(job, "status", "");
	if (strcmp(status, "waiting") == 0)
		return "wait";
	return g_strcmp0(json_get_string(job, "cause", NULL), "gate") == 0 ? "bad" : "good";
}

static void short_text(GString *out, const char *text, size_t most)
{
	if ((size_t)g_utf8_strlen(text, -1) <= most) {
		html_text(out, text);
		return;
	}
	html_text_len(out, text, (size_t)(g_utf8_offset_to_pointer(text, (glong)most - 1) - text));
	g_string_append(out, "…");
}

/* The worst, then the least finished, of a matrix's states stands for it. */
static const char *group_status(const json_t *jobs, const Group *group)
{
	static const char *const order[] = { "failure", "running", "waiting", "queued", "cancelled", "success", "skipped" };
	for (size_t s = 0; s < G_N_ELEMENTS(order); s++) {
		size_t i;
		json_t *job;
		json_array_foreach(jobs, i, job) {
			if (g_strcmp0(group_of(job), group->name) == 0 &&
			        strcmp(json_get_string(job, "status", ""), order[s]) == 0)
				return group->call_waits && strcmp(order[s], "running") == 0 ? "waiting" : order[s];
		}
	}
	return "queued";
}

static void draw_node(GString *out, const json_t *run, const json_t *jobs, const Group *group, int64_t now)
{
	const char *status = group_status(jobs, group);
	const char *name = group->jobs > 1 ? group->name : json_get_string(group->first, "name", group->name);
	html(out, "<g class=\"%s s-%s%s\">", frame_colour(status), status, group->critical ? " heavy" : "");
	for (int back = group->jobs > 1 ? 2 : 0; back > 0; back--)
		html(out, "<rect class=\"node\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"6\"/>",
		        group->x + back * 3, group->y + back * 3, NODE_WIDTH, NODE_HEIGHT);
	if (group->jobs > 1) {
		g_string_append(out, "<a href=\"#group-");
		html_query(out, group->name);
		g_string_append(out, "\">");
	} else if (json_get_bool(group->first, "call", false)) {
		html(out, "<a href=\"#call-%" PRId64 "\">", json_get_int(group->first, "id", 0));
	} else {
		g_string_append(out, "<a");
		frame_job_href(out, run, json_get_string(group->first, "key", ""));
		g_string_append_c(out, '>');
	}
	html(out, "<title>%s: %s</title><rect class=\"node\" x=\"%.1f\" y=\"%.1f\" width=\"%.0f\" height=\"%.0f\" rx=\"6\"/>", name,
	        status, group->x, group->y, NODE_WIDTH, NODE_HEIGHT);
	html(out, "<use class=\"icon\" href=\"#i-%s\" x=\"%.1f\" y=\"%.1f\" width=\"18\" height=\"18\"/>", status,
	        group->x + 12, group->y + 17);
	html(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", group->x + 40, group->y + 22);
	short_text(out, name, 15);
	html(out, "</text><text class=\"axis\" x=\"%.1f\" y=\"%.1f\">", group->x + 40, group->y + 39);
	const char *started = json_get_string(group->first, "started_at", NULL);
	html_text(out, status);
	if (group->jobs > 1 || group->called > 0) {
		html(out, " · %zu jobs", group->called > 0 ? group->called : group->jobs);
	} else if (started) {
		g_string_append(out, " · ");
		html_duration(out, html_between(started, json_get_string(group->first, "finished_at", NULL), now));
	}
	g_string_append(out, "</text></a></g>");
	if (group->gated) {
		int64_t gate = json_get_int(group->first, "gate", 0);
		double x = group->x - 30, y = group->y + NODE_HEIGHT / 2;
		html(out, "<a class=\"%s\" href=\"/gates/%" PRId64 "\"><title>gate %" PRId64 " of %s</title>"
		          "<path class=\"gate\" d=\"M%.1f %.1fl14 -14 14 14 -14 14z\"/>",
		        gate_colour(group->first), gate, gate, json_get_string(group->first, "environment", "its environment"),
		        x - 14, y);
		html(out, "<use class=\"icon\" href=\"#i-%s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\"/></a>",
		        strcmp(gate_colour(group->first), "wait") == 0 ? "waiting" :
		        strcmp(gate_colour(group->first), "bad") == 0  ? "failure" :
		                                                         "success",
		        x - 6, y - 6);
	}
}

void svg_graph(GString *out, const json_t *run, int64_t now)
{
	const json_t *jobs = json_object_get(run, "jobs");
	g_autofree Graph *graph = g_new0(Graph, 1);
	g_autofree Group *groups = g_new0(Group, GROUPS_MAX);
	graph->groups = groups;
	collect(graph, jobs, json_get_string(run, "started_at", json_get_string(run, "created_at", NULL)), now);
	if (graph->count < 2)
		return;
	layer(graph);
	double width = 0, height = 0;
	place(graph, &width, &height);
	mark_critical(graph);
	html(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Graph of the jobs\"><svg class=\"graph\" "
	          "viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"group\" aria-labelledby=\"gt gd\">"
	          "<title id=\"gt\">Jobs and what they need</title><desc id=\"gd\">%zu groups of jobs, from left to right in the "
	          "order in which they may run. The table below lists every job.</desc>",
	        width, height, width, height, graph->count);
	draw_edges(out, graph);
	for (size_t g = 0; g < graph->count; g++)
		draw_node(out, run, jobs, &graph->groups[g], now);
	g_string_append(out, "</svg></div>");
}
