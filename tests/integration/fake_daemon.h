/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that only remembers what it was asked: for tests of the face. Included by one program, once. */
#pragma once

#include "agent/daemon/daemon.h"
#include "agent/daemon/gatekeeper.h"
#include "agent/store/runs.h"
#include "tests/lib/store.h"

struct Daemon {
	Store *store;
	Config config;
	char *url;
	char *folder;
	unsigned woken;
	char *dispatched; /* JSON */
	int64_t cancelled;
	int64_t surveyed;
	char *rerun;      /* "7 [3] debug" */
	char *verdict;    /* JSON */
	GPtrArray *subscribers;
};

typedef struct Subscriber {
	unsigned id;
	DaemonChanged changed;
	void *data;
} Subscriber;

static void fake_changed(Daemon *daemon, int64_t run)
{
	for (guint i = 0; i < daemon->subscribers->len; i++) {
		const Subscriber *one = daemon->subscribers->pdata[i];
		one->changed(run, one->data);
	}
}

Store *daemon_store(Daemon *daemon)
{
	return daemon->store;
}

const Config *daemon_config(const Daemon *daemon)
{
	return &daemon->config;
}

const char *daemon_worker(const Daemon *daemon)
{
	(void)daemon;
	return g_getenv("ASSAY_WORKER");
}

const char *daemon_url(const Daemon *daemon)
{
	return daemon->url;
}

void daemon_wake(Daemon *daemon)
{
	daemon->woken++;
}

bool daemon_dispatch(Daemon *daemon, const char *repo, const json_t *request, const char *actor, char **out_delivery,
        GError **error)
{
	(void)error;
	g_autofree char *text = json_text(request);
	g_free(daemon->dispatched);
	daemon->dispatched = g_strdup_printf("%s %s %s", repo, actor, text);
	*out_delivery = g_strdup("dispatch-1");
	return true;
}

bool daemon_cancel(Daemon *daemon, int64_t run, const char *actor, GError **error)
{
	(void)actor;
	if (daemon->cancelled == run)
		return fail(error, ASSAY_ERROR_BUSY, "cannot cancel: the run has ended");
	daemon->cancelled = run;
	return true;
}

bool daemon_survey(Daemon *daemon, int64_t repo, GError **error)
{
	(void)error;
	daemon->surveyed = repo;
	return true;
}

bool daemon_rerun(Daemon *daemon, int64_t run, const json_t *request, const char *actor, int64_t *out_attempt, GError **error)
{
	(void)actor;
	if (g_strcmp0(json_get_string(request, "jobs", NULL), "none") == 0)
		return fail(error, ASSAY_ERROR_BUSY, "cannot run again: the run has not ended");
	g_autofree char *jobs = json_object_get(request, "jobs") ? json_text(json_object_get(request, "jobs")) : g_strdup("");
	g_free(daemon->rerun);
	daemon->rerun = g_strdup_printf("%" G_GINT64_FORMAT " %s%s", run, jobs,
	        json_get_bool(request, "debug", false) ? " debug" : "");
	*out_attempt = 2;
	return true;
}

char *daemon_log_path(Daemon *daemon, int64_t run, int64_t job)
{
	return g_strdup_printf("%s/%" G_GINT64_FORMAT "-%" G_GINT64_FORMAT ".log", daemon->folder, run, job);
}

unsigned daemon_subscribe(Daemon *daemon, DaemonChanged changed, void *data)
{
	static unsigned last;
	Subscriber *one = g_new(Subscriber, 1);
	*one = (Subscriber){.id = ++last, .changed = changed, .data = data};
	g_ptr_array_add(daemon->subscribers, one);
	return one->id;
}

void daemon_unsubscribe(Daemon *daemon, unsigned id)
{
	for (guint i = 0; i < daemon->subscribers->len; i++)
		if (((Subscriber *)daemon->subscribers->pdata[i])->id == id) {
			g_ptr_array_remove_index(daemon->subscribers, i);
			return;
		}
}

bool gatekeeper_verdict(Daemon *daemon, int64_t gate, const json_t *user, const json_t *verdict, json_t **out,
        GError **error)
{
	(void)error;
	g_autofree char *text = json_text(verdict);
	g_free(daemon->verdict);
	daemon->verdict = g_strdup_printf("%" G_GINT64_FORMAT " %s %s", gate, json_get_string(user, "name", "-"), text);
	*out = json_pack("{s:I}", "id", (json_int_t)gate);
	return true;
}
