/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The github contexts of runs, as dispatch.c hands them to workers. The event's payload is by far the largest part of one, all
 * jobs of a run have it in common, and most never look at it: so it lies in a file beside the run's logs, which each worker
 * copies to where its steps expect it, and only what is left of the context goes into every job.json.
 */
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/daemon/state.h"
#include "agent/store/runs.h"

#define CONTEXTS_MAX 32 /* kept in memory */

char *payload_path(const Daemon *daemon, int64_t run)
{
	return g_strdup_printf("%s/logs/%" G_GINT64_FORMAT "/event.json", daemon->config->data, run);
}

/* Writes the file, and keeps the rest of the context. */
static const char *prepare(Daemon *daemon, int64_t run, GError **error)
{
	g_autofree char *text = runs_github(daemon->store, run, error);
	g_autoptr(json_t) context = text ? json_parse(text, strlen(text), "a run's context", error) : NULL;
	if (!context)
		return NULL;
	g_autofree char *path = payload_path(daemon, run);
	g_autofree char *folder = g_path_get_dirname(path);
	const json_t *event = json_object_get(context, "event");
	char *payload = json_is_object(event) ? json_dumps(event, JSON_INDENT(2)) : NULL;
	const char *bytes = payload ? payload : "{}";
	bool written = fd_make_folder(folder, 0750, error) && fd_replace_file(path, bytes, strlen(bytes), 0600, false, error);
	free(payload);
	if (!written)
		return NULL;
	json_object_del(context, "event");
	if (g_hash_table_size(daemon->contexts) >= CONTEXTS_MAX)
		g_hash_table_remove_all(daemon->contexts);
	int64_t *key = g_new(int64_t, 1);
	*key = run;
	char *rest = json_text(context);
	g_hash_table_insert(daemon->contexts, key, rest);
	return rest;
}

const char *payload_context(Daemon *daemon, int64_t run, GError **error)
{
	const char *context = g_hash_table_lookup(daemon->contexts, &run);
	return context ? context : prepare(daemon, run, error);
}
