/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `on: schedule`. A worker tells which schedules the default branch has (a survey, or a push there); the store keeps when
 * each is due; one timer waits for the next of them all. It is on the clock of the wall and told when that is set, so an
 * idle agent is not woken otherwise. What was missed while the agent was away is started once, and says so.
 */
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/daemon/state.h"
#include "agent/store/repos.h"
#include "agent/store/workflows.h"

#define LATE_US (90LL * G_USEC_PER_SEC) /* later than this it was missed */
#define REPOS_A_PAGE 500

/* What a run that nobody asked for is called. */
static char *title_of(const json_t *due, int64_t now)
{
	int64_t at = json_get_int(due, "next_at", 0);
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc(at / G_USEC_PER_SEC);
	g_autofree char *text = when ? g_date_time_format(when, "%Y-%m-%d %H:%M UTC") : g_strdup("");
	const char *name = json_get_string(due, "name", json_get_string(due, "path", ""));
	return now - at > LATE_US ? g_strdup_printf("%s, due %s, late: the agent was not running then", name, text)
	                          : g_strdup_printf("%s, due %s", name, text);
}

static bool start(Daemon *daemon, const json_t *due, int64_t now, GError **error)
{
	g_autofree char *title = title_of(due, now);
	g_autofree char *delivery = g_uuid_string_random();
	const char *path = json_get_string(due, "path", ""), *cron = json_get_string(due, "cron", "");
	g_autoptr(json_t) event = json_object();
	json_set_string(event, "event", "schedule");
	json_set_string(event, "ref", json_get_string(due, "ref", NULL));
	json_set_string(event, "title", title);
	json_set_bool(event, "untrusted", false);
	json_set(event, "payload", json_pack("{s:s,s:s}", "schedule", cron, "workflow", path));
	g_autoptr(json_t) input = json_object();
	json_set(input, "event", json_incref(event));
	json_set_string(input, "only", path);
	json_set_string(input, "delivery", delivery);
	log_info("schedule is due", KV("repo", json_get_int(due, "repo", 0)), KV("workflow", path), KV("cron", cron));
	return queue_put(daemon->store, "plan", json_get_int(due, "repo", 0), 0, 0, input, 0, NULL, error) &&
	       schedules_started(daemon->store, due, now, error);
}

static bool start_due(Daemon *daemon, GError **error)
{
	int64_t now = now_us();
	g_autoptr(json_t) due = schedules_due(daemon->store, now, error);
	if (!due || json_array_size(due) == 0)
		return due != NULL;
	if (!store_begin(daemon->store, error))
		return false;
	size_t i;
	json_t *one;
	json_array_foreach(due, i, one)
		if (!start(daemon, one, now, error)) {
			store_rollback(daemon->store);
			return false;
		}
	if (!daemon_commit(daemon, error))
		return false;
	daemon_wake(daemon);
	return true;
}

static gboolean on_timer(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	uint64_t times;
	(void)!read(fd, &times, sizeof times); /* ECANCELED: the clock was set; then it is looked at anew */
	schedule_run(data);
	return G_SOURCE_CONTINUE;
}

static void arm(Daemon *daemon)
{
	int64_t next = schedules_next(daemon->store);
	if (next == 0 && daemon->schedule_fd < 0)
		return;
	if (daemon->schedule_fd < 0) {
		daemon->schedule_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
		if (daemon->schedule_fd < 0) {
			log_error("schedules cannot be waited for: the kernel gives no timer", KV("why", g_strerror(errno)));
			return;
		}
		daemon->schedule_source = g_unix_fd_add(daemon->schedule_fd, G_IO_IN, on_timer, daemon);
	}
	const struct itimerspec when = {.it_value = {.tv_sec = next / G_USEC_PER_SEC, .tv_nsec = next % G_USEC_PER_SEC * 1000}};
	if (timerfd_settime(daemon->schedule_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL) < 0)
		log_error("the timer of schedules cannot be set", KV("why", g_strerror(errno)));
}

void schedule_run(Daemon *daemon)
{
	if (daemon->local || daemon->stopping)
		return;
	g_autoptr(GError) error = NULL;
	if (!start_due(daemon, &error))
		log_error("schedules that are due cannot be started", KV("why", error->message));
	arm(daemon);
}

void schedule_stop(Daemon *daemon)
{
	g_clear_handle_id(&daemon->schedule_source, g_source_remove);
	if (daemon->schedule_fd >= 0)
		close(daemon->schedule_fd);
	daemon->schedule_fd = -1;
}

bool schedule_learn(Daemon *daemon, const Task *task, const json_t *event, GError **error)
{
	if (daemon->local)
		return true;
	const char *ref = json_get_string(event, "ref", "");
	bool survey = json_get_bool(task->input, "survey", false);
	g_autofree char *known = workflows_ref(daemon->store, task->repo);
	if (!survey && !known)
		return daemon_survey(daemon, task->repo, error); /* which branch is the default one? */
	if (!survey && strcmp(known, ref) != 0)
		return true; /* a push to some other branch */
	if (!workflows_set(daemon->store, task->repo, ref, json_get_string(event, "sha", ""), json_object_get(event, "workflows"),
	            now_us(), error))
		return false;
	arm(daemon);
	return true;
}

bool daemon_survey(Daemon *daemon, int64_t repo, GError **error)
{
	if (queue_has_survey(daemon->store, repo))
		return true;
	g_autoptr(json_t) found = repos_get_id(daemon->store, repo, error);
	if (!found)
		return false;
	const char *branch = json_get_string(found, "default_branch", NULL);
	g_autofree char *ref = branch ? g_strconcat("refs/heads/", branch, NULL) : NULL;
	g_autoptr(json_t) input = json_object();
	g_autoptr(json_t) event = json_object();
	json_set_string(event, "event", "survey");
	json_set_string(event, "ref", ref);
	json_set(input, "event", json_incref(event));
	json_set_bool(input, "survey", true);
	if (!queue_put(daemon->store, "plan", repo, 0, 0, input, 1, NULL, error))
		return false;
	daemon_wake(daemon);
	return true;
}

void schedule_begin(Daemon *daemon)
{
	g_autofree char *after = NULL;
	g_autoptr(GError) error = NULL;
	do {
		g_autoptr(json_t) page = repos_list(daemon->store, after, REPOS_A_PAGE, &error);
		size_t i;
		json_t *repo;
		json_array_foreach(json_object_get(page, "repos"), i, repo)
			if (!error)
				daemon_survey(daemon, json_get_int(repo, "id", 0), &error);
		g_free(after);
		after = g_strdup(json_get_string(page, "next", NULL));
	} while (after && !error);
	if (error)
		log_warning("the repos' schedules are not read anew, continuing", KV("why", error->message));
	schedule_run(daemon);
}
