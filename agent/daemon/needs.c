/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job may know of those it needs: results and outputs of the direct ones, and how all of them went, the indirect
 * ones too — success() and failure() look at the whole chain.
 */
#include <string.h>

#include "agent/base/json.h"
#include "agent/daemon/state.h"

/* A failure that is forgiven is a success for everybody else. */
static const char *result_of(const json_t *job)
{
	const char *status = json_get_string(job, "status", "");
	return json_get_bool(job, "continue_on_error", false) && strcmp(status, "failure") == 0 ? "success" : status;
}

/* Of all jobs of a matrix: the worst. */
static const char *worse(const char *one, const char *other)
{
	static const char *const order[] = {"failure", "cancelled", "success"};
	for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
		if (g_strcmp0(one, order[i]) == 0 || g_strcmp0(other, order[i]) == 0)
			return order[i];
	return "skipped";
}

static const char *local_id(const char *group)
{
	const char *mark = g_strrstr(group, " / ");
	return mark ? mark + strlen(" / ") : group;
}

json_t *needs_object(const json_t *jobs, const json_t *groups)
{
	json_t *object = json_object();
	size_t i, k;
	json_t *need, *job;
	json_array_foreach(groups, i, need) {
		const char *group = json_string_value(need);
		const char *result = NULL;
		json_t *outputs = json_object();
		json_array_foreach(jobs, k, job) {
			if (g_strcmp0(json_get_string(job, "group", NULL), group) != 0)
				continue;
			result = worse(result, result_of(job));
			json_object_update(outputs, json_object_get(job, "outputs"));
		}
		json_t *entry = json_object();
		json_set_string(entry, "result", result ? result : "skipped");
		json_set(entry, "outputs", outputs);
		json_set(object, local_id(group), entry);
	}
	return object;
}

const char *needs_status(const json_t *jobs, const json_t *groups)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	g_autoptr(GQueue) open = g_queue_new();
	bool failed = false, cancelled = false, skipped = false;
	size_t i;
	json_t *need, *job;
	json_array_foreach(groups, i, need)
		g_queue_push_tail(open, (void *)(uintptr_t)json_string_value(need));
	for (const char *group; (group = g_queue_pop_head(open));) {
		if (!g_hash_table_add(seen, (void *)(uintptr_t)group))
			continue;
		json_array_foreach(jobs, i, job) {
			size_t k;
			if (g_strcmp0(json_get_string(job, "group", NULL), group) != 0)
				continue;
			const char *result = result_of(job);
			failed = failed || strcmp(result, "failure") == 0;
			cancelled = cancelled || strcmp(result, "cancelled") == 0;
			skipped = skipped || strcmp(result, "skipped") == 0;
			json_array_foreach(json_object_get(job, "needs"), k, need)
				g_queue_push_tail(open, (void *)(uintptr_t)json_string_value(need));
		}
	}
	return failed ? "failure" : cancelled ? "cancelled" : skipped ? "skipped" : "success";
}
