/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics in Prometheus' text format, /healthz, /readyz. Numbers only: no repo's or person's name leaves here. */
#include "web/metrics.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/store/gates.h"
#include "agent/store/queue.h"
#include "web/handlers.h"
#include "web/problem.h"
#include "web/session.h"

static void head(GString *out, const char *name, const char *type, const char *help)
{
	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(GString *out, const char *name, const char *type, const char *help, uint64_t value)
{
	head(out, name, type, help);
	g_string_append_printf(out, "%s %" G_GUINT64_FORMAT "\n", name, value);
}

static uint64_t resident_bytes(void)
{
	g_autofree char *text = NULL;
	if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
		return 0;
	const char *second = strchr(text, ' ');
	return second ? g_ascii_strtoull(second + 1, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static void append_process(GString *out)
{
	struct rusage usage = {0};
	getrusage(RUSAGE_SELF, &usage);
	head(out, "process_cpu_seconds_total", "counter", "User and system CPU time of the agent.");
	g_string_append_printf(out, "process_cpu_seconds_total %.3f\n",
	        (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	one(out, "process_resident_memory_bytes", "gauge", "Resident memory of the agent.", resident_bytes());
}

static void append_face(GString *out, const struct Counters *counters)
{
	head(out, "assay_http_answers_total", "counter", "HTTP answers by class of status.");
	for (unsigned class = 1; class < G_N_ELEMENTS(counters->answers); class ++)
		g_string_append_printf(out, "assay_http_answers_total{code=\"%uxx\"} %" G_GUINT64_FORMAT "\n", class,
		        counters->answers[class]);
	one(out, "assay_http_feeds", "gauge", "Live views that are open.", counters->feeds);
	const struct {
		const char *outcome;
		uint64_t count;
	} deliveries[] = {{"accepted", counters->deliveries_accepted}, {"repeated", counters->deliveries_repeated},
	        {"refused", counters->deliveries_refused}, {"too_large", counters->deliveries_too_large}};
	head(out, "assay_deliveries_total", "counter", "Webhook deliveries by what became of them.");
	for (size_t i = 0; i < G_N_ELEMENTS(deliveries); i++)
		g_string_append_printf(out, "assay_deliveries_total{outcome=\"%s\"} %" G_GUINT64_FORMAT "\n", deliveries[i].outcome,
		        deliveries[i].count);
	one(out, "assay_delivery_commits_total", "counter", "Commits that the stored deliveries took.",
	        counters->deliveries_commits);
}

static bool append_work(GString *out, Store *store, GError **error)
{
	static const char *const kinds[] = {"plan", "resolve", "job"};
	head(out, "assay_tasks", "gauge", "Tasks that wait or run, by kind.");
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		g_string_append_printf(out, "assay_tasks{kind=\"%s\"} %" G_GINT64_FORMAT "\n", kinds[i],
		        queue_count(store, kinds[i]));
	g_autoptr(json_t) filter = json_pack("{s:s}", "status", "waiting");
	g_autoptr(json_t) gates = gates_list(store, filter, NULL, 500, error);
	if (!gates)
		return false;
	one(out, "assay_gates_waiting", "gauge", "Gates that wait for a verdict, up to 500.",
	        json_array_size(json_object_get(gates, "gates")));
	one(out, "assay_store_changes_total", "counter", "Changes committed to the store.", store_changes(store));
	return true;
}

bool metrics_get(Request *request, GError **error)
{
	if (!request->user && !request->is_loopback && !request->via_socket) {
		reply_header(request, "WWW-Authenticate", "Bearer realm=\"assay\"");
		problem_answer(request, 401, "unauthorized", "metrics are for viewers, and for programs on this machine; "
		        "send 'Authorization: Bearer TOKEN'");
		return true;
	}
	g_autoptr(GString) out = g_string_new(NULL);
	head(out, "assay_build_info", "gauge", "The version that runs.");
	g_string_append(out, "assay_build_info{version=\"" ASSAY_VERSION "\"} 1\n");
	append_face(out, request->face->counters);
	if (!append_work(out, request->face->store, error))
		return false;
	append_process(out);
	return reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8",
	        g_string_free(g_steal_pointer(&out), FALSE));
}

bool metrics_health(Request *request, GError **error)
{
	(void)error;
	return reply_text(request, 200, "text/plain; charset=utf-8", g_strdup("ok\n"));
}

bool metrics_ready(Request *request, GError **error)
{
	if (request->face->stopping) {
		problem_answer(request, 503, "busy", "the agent is stopping");
		return true;
	}
	g_autoptr(json_t) filter = json_object();
	g_autoptr(json_t) gates = gates_list(request->face->store, filter, NULL, 1, error);
	return gates && reply_text(request, 200, "text/plain; charset=utf-8", g_strdup("ready\n"));
}
