/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a worker tells the agent: the wall between a process that met a stranger's files and the one that keeps the secrets.
 * Lines of events.jsonl, the first byte says of which task (p: a plan, r: a resolution, else a job), are applied as follow.c
 * does it, to a store in memory, and taken back. They are believed or refused with an error.
 */
#include <stdint.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/config.h"
#include "agent/daemon/state.h"
#include "agent/model/event.h"
#include "agent/store/db.h"
#include "agent/store/queue.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX 64

static Config config = {.gate_expires_us = INT64_C(3600000000)};
static Daemon agent = {.config = &config, .schedule_fd = -1, .wake_source = 1};
static Task task = {.fence = 1};
static int64_t waiting; /* the job that a resolution is of */

static json_t *value(const char *text)
{
	g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
	json_t *object = json_loads(json, 0, NULL);
	g_assert_nonnull(object);
	return object;
}

/* A repo with a run that has a job under way and one that needs it. */
static void prepare(void)
{
	static const uint8_t key[32] = {1, 2, 3};
	log_setup(LOG_LEVEL_ERROR, log_default_format());
	config.data = g_strdup("/nonexistent");
	task.kind = g_strdup("job");
	agent.store = store_open(":memory:", key, NULL);
	g_assert_nonnull(agent.store);
	agent.active = g_hash_table_new(g_int64_hash, g_int64_equal);
	agent.touched = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	agent.contexts = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	agent.subscribers = g_array_new(FALSE, FALSE, 1);
	g_assert_true(repos_put(agent.store, "acme/digits", "file:///srv/git/digits.git", "hush", 4, NULL, &task.repo, NULL));
	g_autoptr(json_t) run = value("{'workflow':'w','workflow_path':'.assay/workflows/w.yml','event':'push','ref':'refs/heads/main',"
	                              "'sha':'1111111111111111111111111111111111111111','actor':'alice','github':{'event_name':'push'}}");
	g_autoptr(json_t) job = value("{'key':'a','group':'a','name':'a','needs':[],'definition':{'runs-on':'x'},"
	                              "'resolved':{'key':'a','run':true}}");
	g_autoptr(json_t) next = value("{'key':'b','group':'b','name':'b','needs':['a'],'definition':{'runs-on':'x'}}");
	task.input = value("{'event':{'event':'push','ref':'refs/heads/main','sha':'1111111111111111111111111111111111111111'}}");
	g_assert_true(runs_add(agent.store, task.repo, run, &task.run, NULL));
	g_assert_true(runs_add_job(agent.store, task.run, job, &task.job, NULL));
	g_assert_true(runs_add_job(agent.store, task.run, next, &waiting, NULL));
	g_assert_true(queue_put(agent.store, "job", task.repo, task.run, task.job, NULL, 0, &task.id, NULL));
	g_assert_true(runs_move_job(agent.store, task.job, RUN_RUNNING, NULL, NULL, NULL));
}

static bool apply(const json_t *event, GError **error)
{
	Store *store = agent.store;
	const char *type = json_get_string(event, "type", "");
	if (strcmp(type, "step") == 0)
		return runs_step(store, task.job, event, error);
	if (strcmp(type, "isolation") == 0)
		return runs_set_isolation(store, task.job, json_get_string(event, "executor", NULL), json_get_string(event, "level", NULL),
		        json_object_get(event, "missing"), error);
	if (strcmp(type, "annotation") == 0)
		return runs_annotate(store, task.job, event, error);
	if (strcmp(type, "summary") == 0)
		return runs_summarise(store, task.job, event, error);
	g_autofree char *digest = NULL;
	if (strcmp(type, "report") == 0)
		return runs_report(store, task.job, json_object_get(event, "report"), &digest, error);
	if (strcmp(type, "outputs") == 0)
		return runs_set_outputs(store, task.job, json_object_get(event, "outputs"), error);
	if (strcmp(type, "ask") == 0) {
		g_autoptr(json_t) answer = asks_answer(&agent, &task, json_get_string(event, "what", ""), json_object_get(event, "with"));
		g_assert_true(json_is_object(answer));
		return queue_answer(store, task.id, json_get_int(event, "ask", 0), answer, error);
	}
	if (strcmp(type, "end") == 0)
		return graph_end_job(&agent, task.run, task.job, json_get_string(event, "status", "failure"),
		        json_get_string(event, "cause", NULL), json_get_string(event, "message", NULL), error);
	return true;
}

static bool apply_all(uint8_t kind, GPtrArray *events, GError **error)
{
	json_t *const *list = (json_t *const *)events->pdata;
	if (kind == 'p')
		return graph_plan(&agent, &task, list, events->len, error);
	if (kind == 'r') {
		Task resolution = task;
		resolution.job = waiting;
		return graph_resolved(&agent, &resolution, list, events->len, error);
	}
	for (guint i = 0; i < events->len; i++)
		if (!apply(list[i], error))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!agent.store)
		prepare();
	if (size < 2)
		return 0;
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify)json_decref);
	size_t used = 0, len = 0;
	for (const char *line; events->len < EVENTS_MAX && (line = event_next_line((const char *)data + 1, size - 1, &used, &len));) {
		json_t *event = event_parse(line, len, NULL);
		if (event)
			g_ptr_array_add(events, event);
	}
	g_autoptr(GError) error = NULL;
	g_assert_true(store_begin(agent.store, NULL));
	bool good = apply_all(*data, events, &error);
	g_assert_true(good == (error == NULL));
	store_rollback(agent.store);
	g_hash_table_remove_all(agent.touched);
	return 0;
}
