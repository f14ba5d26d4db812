/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/job/neighbour.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/container_place.h"
#include "agent/job/containers.h"
#include "agent/model/expr.h"

#define PRINTED_BYTES_MAX (64 * 1024)
#define HEALTH_INTERVAL_US G_GINT64_CONSTANT(30000000) /* Docker's defaults */
#define HEALTH_TIMEOUT_US G_GINT64_CONSTANT(30000000)
#define HEALTH_RETRIES 3
#define PROBE_FIRST_MS 100
#define PROBE_MOST_MS 2000
#define STARTED_MS 300 /* one without a health check must live this long */

Neighbour *neighbour_new(const char *id, const Executor *executor, int epoll_fd)
{
	Neighbour *service = g_new0(Neighbour, 1);
	*service = (Neighbour){.id = g_strdup(id),
	        .executor = executor,
	        .epoll_fd = epoll_fd,
	        .pipe_fd = -1,
	        .child = {.fd = -1},
	        .printed = g_string_new(NULL)};
	return service;
}

void neighbour_free(Neighbour *service)
{
	autofd_close(&service->pipe_fd);
	g_string_free(service->printed, TRUE);
	json_decref(service->ports);
	container_options_clear(&service->options);
	g_strfreev(service->env);
	g_free(service->id);
	g_free(service);
}

static void keep_printed(Neighbour *service, const char *bytes, gsize len)
{
	g_string_append_len(service->printed, bytes, (gssize)len);
	if (service->printed->len > 2 * PRINTED_BYTES_MAX)
		g_string_erase(service->printed, 0, (gssize)(service->printed->len - PRINTED_BYTES_MAX));
}

void neighbour_drain(Neighbour *service)
{
	char bytes[16384];
	for (int i = 0; service->pipe_fd >= 0 && i < 64; i++) {
		ssize_t got = read(service->pipe_fd, bytes, sizeof bytes);
		if (got > 0) {
			keep_printed(service, bytes, (gsize)got);
			continue;
		}
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		epoll_ctl(service->epoll_fd, EPOLL_CTL_DEL, service->pipe_fd, NULL);
		close(fd_steal(&service->pipe_fd));
	}
}

void neighbour_print(Job *job, const Neighbour *service)
{
	joblog_sayf(job->log, "##[group]", "What service '%s' printed last", service->id);
	g_autofree char *text = g_utf8_make_valid(service->printed->str, (gssize)service->printed->len);
	joblog_say(job->log, "", text[0] ? text : "(nothing)");
	joblog_say(job->log, "##[endgroup]", "");
}

static char **environment_lines(const json_t *env)
{
	GPtrArray *lines = g_ptr_array_new();
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)env, key, value)
		g_ptr_array_add(lines, g_strconcat(key, "=", json_string_value(value), NULL));
	g_ptr_array_add(lines, NULL);
	return (char **)g_ptr_array_free(lines, FALSE);
}

/* A word, or several as a shell would split them. */
static bool add_words(GPtrArray *argv, const char *text, GError **error)
{
	g_auto(GStrv) words = NULL;
	g_autoptr(GError) why = NULL;
	if (!g_shell_parse_argv(text, NULL, &words, &why))
		return fail(error, ASSAY_ERROR_USER, "command: %s", why->message);
	for (char **word = words; *word; word++)
		g_ptr_array_add(argv, g_strdup(*word));
	return true;
}

/* As Docker: an entrypoint that is given takes the image's command away. */
static GPtrArray *command_of(const Neighbour *service, const json_t *asked, GError **error)
{
	const PlaceDefaults *image = service->place->image;
	g_autofree char *entrypoint = expr_text_of(asked, "entrypoint");
	g_autofree char *command = expr_text_of(asked, "command");
	g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
	bool own = (entrypoint && *entrypoint) || service->options.entrypoint;
	if (entrypoint && *entrypoint) {
		if (!add_words(argv, entrypoint, error))
			return NULL;
	} else if (service->options.entrypoint) {
		g_ptr_array_add(argv, g_strdup(service->options.entrypoint));
	} else {
		for (char **word = image->entrypoint; *word; word++)
			g_ptr_array_add(argv, g_strdup(*word));
	}
	if (command && *command) {
		if (!add_words(argv, command, error))
			return NULL;
	} else if (!own) {
		for (char **word = image->command; *word; word++)
			g_ptr_array_add(argv, g_strdup(*word));
	}
	if (argv->len == 0) {
		fail(error, ASSAY_ERROR_USER, "its image names no program; give 'entrypoint' or 'command'");
		return NULL;
	}
	g_ptr_array_add(argv, NULL);
	return g_steal_pointer(&argv);
}

bool neighbour_start(Neighbour *service, const json_t *asked, GError **error)
{
	g_autoptr(GPtrArray) argv = command_of(service, asked, error);
	int ends[2];
	if (!argv)
		return false;
	g_autoptr(json_t) env = container_place_env(service->place, json_object_get(asked, "env"), &service->options);
	if (!json_object_get(env, "HOME"))
		json_set_string(env, "HOME", service->place->image->home);
	if (!json_object_get(env, "HOSTNAME"))
		json_set_string(env, "HOSTNAME", service->options.hostname ? service->options.hostname : service->id);
	service->env = environment_lines(env);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "cannot make a pipe");
	autofd int into = ends[1];
	service->pipe_fd = ends[0];
	fcntl(service->pipe_fd, F_SETFL, O_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN};
	epoll_ctl(service->epoll_fd, EPOLL_CTL_ADD, service->pipe_fd, &event);
	const StepSpec step = {.name = service->id,
	        .argv = (const char *const *)argv->pdata,
	        .envp = (const char *const *)service->env,
	        .folder = service->options.folder ? service->options.folder : service->place->image->folder,
	        .fds = {-1, into, into},
	        .service = true};
	service->running = service->executor->start(service->place, &step, &service->child, error);
	return service->running;
}

bool neighbour_has_ended(Neighbour *service)
{
	if (!service->running)
		return true;
	struct pollfd one = {.fd = service->child.fd, .events = POLLIN};
	if (poll(&one, 1, 0) <= 0)
		return false;
	StepEnd end = {.exit_code = -1};
	service->executor->finish(service->place, &service->child, &end, NULL);
	service->running = false;
	service->exit_code = end.exit_code >= 0 ? end.exit_code : 128 + end.signal;
	return true;
}

/* Waits for milliseconds, reading what services print; false when the job is to end. */
static bool wait_a_little(Job *job, int64_t milliseconds, int fd)
{
	int64_t until = monotonic_us() + milliseconds * 1000;
	for (;;) {
		int64_t left = (until - monotonic_us()) / 1000;
		if (job_is_stopped(job))
			return false;
		if (left <= 0)
			return true;
		struct pollfd polls[] = {{.fd = job->printed_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN},
		        {.fd = job->task->signal_fd, .events = POLLIN}};
		poll(polls, G_N_ELEMENTS(polls), (int)MIN(left, 1000));
		if (polls[0].revents)
			containers_drain(job);
		if (polls[1].revents)
			return true;
	}
}

/* Runs the health command once. -1: the job is to end; otherwise is it healthy? */
static int probe(Job *job, Neighbour *service, const char *const *argv, int64_t timeout_us, GError **error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(error, errno, "cannot make a pipe") ? 0 : -1;
	autofd int from = ends[0];
	autofd int into = ends[1];
	Child child = {.fd = -1};
	StepEnd end = {.exit_code = -1};
	const StepSpec step = {.name = "health check",
	        .argv = argv,
	        .envp = (const char *const *)service->env,
	        .folder = service->options.folder ? service->options.folder : service->place->image->folder,
	        .fds = {-1, into, into}};
	if (!service->executor->start(service->place, &step, &child, error))
		return -1;
	bool goes_on = wait_a_little(job, timeout_us / 1000, child.fd);
	struct pollfd one = {.fd = child.fd, .events = POLLIN};
	bool in_time = poll(&one, 1, 0) > 0;
	if (!in_time) {
		service->executor->signal(service->place, &child, SIGKILL);
		poll(&one, 1, 10000);
	}
	bool known = service->executor->finish(service->place, &child, &end, NULL);
	if (!goes_on)
		return fail(error, ASSAY_ERROR_BUSY, "the job was ended while it waited for service '%s'", service->id) ? 0 : -1;
	return known && in_time && end.exit_code == 0;
}

typedef struct Health {
	GPtrArray *argv; /* NULL: there is no check */
	int64_t interval_us, timeout_us, start_us, retries;
} Health;

static int64_t or_else(int64_t number, int64_t fallback)
{
	return number > 0 ? number : fallback;
}

/* The workflow's, or the image's own. */
static Health health_of(const Neighbour *service)
{
	const ContainerOptions *options = &service->options;
	const json_t *own = service->place->image->health;
	Health health = {
	        .interval_us = or_else(or_else(options->health_interval_us, json_get_int(own, "interval_us", 0)), HEALTH_INTERVAL_US),
	        .timeout_us = or_else(or_else(options->health_timeout_us, json_get_int(own, "timeout_us", 0)), HEALTH_TIMEOUT_US),
	        .start_us = or_else(options->health_start_us, json_get_int(own, "start_us", 0)),
	        .retries = or_else(or_else(options->health_retries, json_get_int(own, "retries", 0)), HEALTH_RETRIES)};
	const json_t *test = json_object_get(own, "test");
	const char *kind = json_string_value(json_array_get(test, 0));
	if (options->no_health || (!options->health_command && !kind))
		return health;
	health.argv = g_ptr_array_new_with_free_func(g_free);
	if (options->health_command || strcmp(kind, "CMD-SHELL") == 0) {
		g_ptr_array_add(health.argv, g_strdup("/bin/sh"));
		g_ptr_array_add(health.argv, g_strdup("-c"));
		g_ptr_array_add(health.argv, g_strdup(options->health_command ? options->health_command
		                                                              : json_string_value(json_array_get(test, 1))));
	} else {
		for (size_t i = 1; i < json_array_size(test); i++)
			g_ptr_array_add(health.argv, g_strdup(json_string_value(json_array_get(test, i))));
	}
	g_ptr_array_add(health.argv, NULL);
	return health;
}

static bool ended_early(Job *job, Neighbour *service, GError **error)
{
	neighbour_drain(service);
	neighbour_print(job, service);
	const char *alone = service->place->image->alone;
	if (alone)
		joblog_sayf(job->log, "##[notice]", "Should service '%s' have failed to become another user: it cannot here, since %s. "
		            "Or say who it is with 'options: --user NAME'", service->id, alone);
	return fail(error, ASSAY_ERROR_USER, "service '%s' ended with exit code %d before it was ready; see what it printed",
	        service->id, service->exit_code);
}

bool neighbour_wait_ready(Job *job, Neighbour *service, GError **error)
{
	Health health = health_of(service);
	g_autoptr(GPtrArray) argv = health.argv;
	int64_t start = monotonic_us();
	int64_t until = start + health.start_us + health.interval_us * health.retries + health.timeout_us;
	if (!argv) {
		if (!wait_a_little(job, STARTED_MS, service->child.fd))
			return fail(error, ASSAY_ERROR_BUSY, "the job was ended while it waited for service '%s'", service->id);
		return !neighbour_has_ended(service) || ended_early(job, service, error);
	}
	for (int64_t pause_ms = PROBE_FIRST_MS;; pause_ms = MIN(pause_ms * 2, PROBE_MOST_MS)) {
		if (neighbour_has_ended(service))
			return ended_early(job, service, error);
		int healthy = probe(job, service, (const char *const *)argv->pdata, health.timeout_us, error);
		if (healthy < 0)
			return false;
		if (healthy > 0) {
			joblog_sayf(job->log, "", "Service '%s' is healthy after %.1f s", service->id,
			        (double)(monotonic_us() - start) / 1e6);
			return true;
		}
		if (monotonic_us() >= until)
			break;
		if (!wait_a_little(job, MIN(pause_ms, health.interval_us / 1000), service->child.fd))
			return fail(error, ASSAY_ERROR_BUSY, "the job was ended while it waited for service '%s'", service->id);
	}
	neighbour_drain(service);
	neighbour_print(job, service);
	return fail(error, ASSAY_ERROR_USER,
	        "service '%s' was not healthy after %.0f s; look at its --health-cmd, and at what it printed", service->id,
	        (double)(monotonic_us() - start) / 1e6);
}
