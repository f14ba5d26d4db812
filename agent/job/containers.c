/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Order: contexts (an image's name may hold expressions), services one after the other, their readiness all together, the
 * job's place last, in their network. A service is a step of its own place that outlives nothing: its place is closed
 * with the job, and dies with the worker whoever kills it.
 *
 * What services print goes into a short memory each, and into the log only when something fails.
 */
#include "agent/job/containers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/contexts.h"
#include "agent/model/container.h"

#define SERVICES_MAX 32
#define PRINTED_BYTES_MAX (64 * 1024)
#define HEALTH_INTERVAL_US G_GINT64_CONSTANT(30000000) /* Docker's defaults */
#define HEALTH_TIMEOUT_US G_GINT64_CONSTANT(30000000)
#define HEALTH_RETRIES 3
#define PROBE_FIRST_MS 100
#define PROBE_MOST_MS 2000
#define STARTED_MS 300 /* one without a health check must live this long */
#define STANDARD_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define WORK_INSIDE "/__w"
#define HOME_INSIDE "/github/home"
#define RUNNER_INSIDE "/github/workflow"

typedef struct Neighbour {
	char *id;
	Place *place;
	Child child;
	bool running;
	int exit_code;
	int pipe_fd;
	GString *printed;  /* the last of it */
	json_t *ports;     /* {"5432":"5432"} */
	ContainerOptions options;
	char **env;
} Neighbour;

struct Containers {
	const Executor *executor;
	GPtrArray *services; /* Neighbour * */
	GString *hosts;      /* lines for /etc/hosts */
	json_t *env;         /* of the job's container */
	bool job_has_one;
	const Place *job_place; /* when it is one of an image */
	int epoll_fd;
};

/* ---- what is asked for ---- */

static const json_t *asked_container(const Job *job)
{
	const json_t *container = json_object_get(job->definition, "container");
	if (!container || json_is_null(container) || (json_is_string(container) && json_string_length(container) == 0))
		return NULL;
	return container;
}

bool containers_has_job(const Job *job)
{
	return job->containers && job->containers->job_has_one;
}

bool containers_are_asked(const Job *job)
{
	return asked_container(job) || json_object_size(json_object_get(job->definition, "services")) > 0 ||
	       json_is_string(json_object_get(job->definition, "services"));
}

/* A part of the definition with its expressions evaluated; NULL with error. */
static json_t *evaluate(Job *job, const json_t *value, GError **error)
{
	ExprScope scope = contexts_scope(job);
	scope.status = EXPR_STATUS_NONE;
	return expr_template_tree(value, &scope, error);
}

static char *text_of(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	return value && !json_is_null(value) ? expr_to_string(value) : NULL;
}

/* A list of texts; absent is an empty one. */
static GPtrArray *list_of(const json_t *object, const char *key)
{
	GPtrArray *out = g_ptr_array_new_with_free_func(g_free);
	size_t i;
	json_t *item;
	json_array_foreach(json_object_get(object, key), i, item)
		g_ptr_array_add(out, expr_to_string(item));
	return out;
}

/* ---- a place ---- */

static bool is_stopped(void *data)
{
	Job *job = data;
	return task_is_cancelled(job->task) || (job_deadline(job) && monotonic_us() >= job_deadline(job));
}

static void say(void *data, const char *text)
{
	Job *job = data;
	joblog_say(job->log, "", text);
	joblog_flush(job->log, NULL);
}

/* A folder of the job's own, by name: its path in the task's folder, the caller's. */
static char *own_volume(const char *name, GError **error)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	if (strspn(name, allowed) == strlen(name) && name[0] != '.' && strlen(name) <= 100)
		return g_build_filename("volumes", name, NULL);
	fail(error, ASSAY_ERROR_USER, "volumes: '%s' is no name of a volume", name);
	return NULL;
}

/* The part of a path that lies below the job's work folder; NULL: it does not. */
static const char *below_work(const Job *job, const char *source, char **to_free)
{
	static const char *const insides[] = {WORK_INSIDE, "/home/runner/work"};
	for (size_t i = 0; i < G_N_ELEMENTS(insides); i++) {
		size_t len = strlen(insides[i]);
		if (strncmp(source, insides[i], len) == 0 && (source[len] == '/' || source[len] == '\0'))
			return source[len] ? source + len + 1 : ".";
	}
	if (!g_str_has_prefix(source, "./") && strcmp(source, ".") != 0)
		return NULL;
	*to_free = g_build_filename(job->workspace, source, NULL);
	return *to_free;
}

static bool host_path_allowed(const Job *job, const char *source, bool read_only)
{
	const json_t *allowed = json_object_get(json_object_get(job->spec, "images"), "volumes");
	g_autofree char *clean = g_canonicalize_filename(source, "/");
	size_t i;
	json_t *one;
	json_array_foreach(allowed, i, one) {
		const char *path = json_get_string(one, "path", "");
		size_t len = strlen(path);
		bool below = len > 0 && strncmp(clean, path, len) == 0 && (clean[len] == '/' || clean[len] == '\0');
		if (below && strcmp(clean, source) == 0 && (read_only || json_get_bool(one, "writable", false)))
			return true;
	}
	return false;
}

/* Adds a mount. A step may have put a link in the way to a folder of the job: none is followed. */
static bool add_volume(Job *job, const char *text, GArray *mounts, GPtrArray *texts, GError **error)
{
	ContainerVolume volume = {.source = NULL};
	if (!container_volume_parse(text, &volume, error))
		return false;
	g_autofree char *source = volume.source;
	g_autofree char *joined = NULL;
	g_ptr_array_add(texts, volume.target);
	PlaceMount mount = {.target = volume.target, .writable = !volume.read_only, .source = job->task->folder};
	const char *inside = source ? below_work(job, source, &joined) : NULL;
	if (source && strstr(source, "docker.sock"))
		return fail(error, ASSAY_ERROR_USER, "volumes: '%s': there is no Docker here, and its socket would be root on this machine",
		        text);
	if (source && source[0] == '/' && !inside) {
		if (json_get_bool(job->spec, "untrusted", false))
			return fail(error, ASSAY_ERROR_DENIED, "volumes: '%s' is a path of this machine, which runs of forks do not see", text);
		if (!host_path_allowed(job, source, volume.read_only))
			return fail(error, ASSAY_ERROR_DENIED,
			        "volumes: '%s' is a path of this machine; an admin allows those in images.volumes%s", text,
			        volume.read_only ? "" : " (writable: true), or mount it :ro");
		mount.source = g_strdup(source);
		g_ptr_array_add(texts, (char *)(uintptr_t)mount.source);
	} else {
		g_autofree char *unnamed = g_strdup_printf("unnamed-%u", texts->len);
		char *below = inside ? g_build_filename("work", inside, NULL) : own_volume(source ? source : unnamed, error);
		if (!below)
			return false;
		g_ptr_array_add(texts, below);
		autofd int fd = tree_make_folder(job->task->folder_fd, below, job->owner, error);
		if (fd < 0)
			return false;
		mount.below = below;
	}
	g_array_append_val(mounts, mount);
	return true;
}

static PlaceNetwork network_of(const Job *job, bool wants_neighbours)
{
	PlaceNetwork network = job_network(job);
	return wants_neighbours && network == PLACE_NETWORK_NONE ? PLACE_NETWORK_LOOPBACK : network;
}

static int64_t tighter(int64_t a, int64_t b)
{
	return a > 0 && b > 0 ? MIN(a, b) : MAX(a, b);
}

static double fewer_cpus(double a, double b)
{
	return a > 0 && b > 0 ? MIN(a, b) : MAX(a, b);
}

static bool open_with(Job *job, const ContainerSpec *spec, const ContainerOptions *options, GArray *mounts, Place **out,
        GError **error)
{
	const json_t *limits = json_object_get(job->spec, "limits");
	g_autofree char *home = g_build_filename(job->task->folder, "home", NULL);
	g_autofree char *store = g_build_filename(json_get_string(job->spec, "data", "."), "images", NULL);
	g_autofree char *scratch = g_build_filename(job->task->folder, "roots", spec->name, NULL);
	g_autoptr(json_t) settings = json_copy(json_object_get(job->spec, "images"));
	if (!settings)
		settings = json_object();
	json_set_bool(settings, "untrusted", json_get_bool(job->spec, "untrusted", false));
	g_ptr_array_add(options->tmpfs, NULL);
	const PlaceImage image = {.reference = spec->image,
	        .made = spec->made,
	        .username = spec->username,
	        .password = spec->password,
	        .store = store,
	        .settings = settings,
	        .scratch = scratch,
	        .user = options->user,
	        .work_below = spec->work_below,
	        .work_inside = spec->work_inside,
	        .home_inside = HOME_INSIDE,
	        .runner_inside = RUNNER_INSIDE,
	        .folder = options->folder,
	        .shm_bytes = options->shm_bytes,
	        .tmpfs = (const char *const *)options->tmpfs->pdata,
	        .read_only = options->read_only,
	        .stopped = is_stopped,
	        .say = say,
	        .data = job};
	g_autoptr(GString) hosts = g_string_new(job->containers ? job->containers->hosts->str : "");
	for (guint i = 0; i < options->hosts->len; i++)
		g_string_append_printf(hosts, "%s\n", (const char *)options->hosts->pdata[i]);
	const bool neighbours = spec->shares_network || spec->network_of;
	g_autofree const char **allow = job_allow(job);
	g_autofree const char **devices = job_devices(job);
	const PlaceSpec place = {.work_folder = spec->work_folder,
	        .home_folder = home,
	        .mounts = (const PlaceMount *)(const void *)mounts->data,
	        .mounts_len = mounts->len,
	        .network = network_of(job, neighbours),
	        .devices = devices,
	        .allow = allow,
	        .uid = job->owner.uid,
	        .gid = job->owner.gid,
	        .memory_bytes = tighter(json_get_int(limits, "memory_bytes", 0), options->memory_bytes),
	        .processes = tighter(json_get_int(limits, "processes", 0), options->processes),
	        .file_bytes = tighter(json_get_int(limits, "file_bytes", 0), options->file_bytes),
	        .open_files = tighter(json_get_int(limits, "open_files", 0), options->open_files),
	        .cpus = fewer_cpus(json_get_real(limits, "cpus", 0), options->cpus),
	        .read_bytes_s = json_get_int(limits, "read_bytes_s", 0),
	        .write_bytes_s = json_get_int(limits, "write_bytes_s", 0),
	        .service = spec->runner_service,
	        .hostname = options->hostname ? options->hostname : "assay",
	        .hosts = hosts->str,
	        .shares_network = spec->shares_network && network_of(job, true) != PLACE_NETWORK_HOST,
	        .network_of = network_of(job, true) != PLACE_NETWORK_HOST ? spec->network_of : NULL,
	        .image = &image};
	const Executor *executor = executor_find("container");
	mode_t ours = umask(022);
	bool good = executor && executor->open(&place, out, error);
	umask(ours);
	g_ptr_array_set_size(options->tmpfs, (gint)options->tmpfs->len - 1);
	return good || executor || fail(error, ASSAY_ERROR_SYSTEM, "this worker has no executor 'container'");
}

static bool is_gpu(const char *path)
{
	return g_str_has_prefix(path, "/dev/nvidia") || g_str_has_prefix(path, "/dev/dri/") || strcmp(path, "/dev/kfd") == 0;
}

/* All of the agent's devices are there anyway; without the one that was asked for the job would end later, and stranger. */
static bool check_devices(const Job *job, const ContainerOptions *options, GError **error)
{
	g_autofree const char **devices = job_devices(job);
	for (guint i = 0; i < options->devices->len; i++) {
		const char *wish = options->devices->pdata[i];
		bool gpus = strcmp(wish, CONTAINER_GPUS) == 0;
		bool there = false;
		for (const char **one = devices; one && *one && !there; one++)
			there = gpus ? is_gpu(*one) : g_str_has_prefix(*one, wish) && strchr("/", (*one)[strlen(wish)]);
		if (!there)
			return fail(error, ASSAY_ERROR_DENIED, "options: --%s%s%s: %s; an admin lists devices in sandbox.devices", gpus ? "gpus" : "device",
			        gpus ? "" : " ", gpus ? "" : wish,
			        json_get_bool(job->spec, "untrusted", false) ? "runs of forks have no devices" : "this agent gives jobs no such device");
	}
	return true;
}

bool containers_open_place(Job *job, const ContainerSpec *spec, Place **out, GError **error)
{
	g_auto(ContainerOptions) none = {.env = NULL};
	const ContainerOptions *options = spec->options;
	if (!options) {
		if (!container_options_parse(NULL, &none, error))
			return false;
		options = &none;
	}
	GArray *mounts = g_array_new(FALSE, TRUE, sizeof(PlaceMount));
	g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
	bool good = check_devices(job, options, error);
	for (guint i = 0; good && spec->volumes && i < spec->volumes->len; i++)
		good = add_volume(job, spec->volumes->pdata[i], mounts, texts, error);
	for (guint i = 0; good && i < options->volumes->len; i++)
		good = add_volume(job, options->volumes->pdata[i], mounts, texts, error);
	*out = NULL;
	good = good && open_with(job, spec, options, mounts, out, error) && *out;
	g_array_unref(mounts);
	return good;
}

/* ---- the environment of an image ---- */

/* image, `env`, `--env`; the caller's */
static json_t *environment_of(const Place *place, const json_t *env, const ContainerOptions *options)
{
	json_t *out = json_object();
	json_set_string(out, "PATH", STANDARD_PATH);
	for (char **one = place->image->env; *one; one++) {
		const char *equals = strchr(*one, '=');
		g_autofree char *name = g_strndup(*one, (gsize)(equals - *one));
		json_set(out, name, json_string_any(equals + 1, strlen(equals + 1)));
	}
	const char *key;
	json_t *value;
	json_object_foreach((json_t *)(uintptr_t)env, key, value) {
		g_autofree char *text = expr_to_string(value);
		json_set_string(out, key, text);
	}
	json_object_update(out, options->env);
	return out;
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

const Place *containers_network(const Job *job)
{
	if (!job->containers || network_of(job, true) == PLACE_NETWORK_HOST)
		return NULL;
	if (job->containers->services->len > 0)
		return ((const Neighbour *)job->containers->services->pdata[0])->place;
	return job->containers->job_has_one ? job->containers->job_place : NULL;
}

json_t *containers_place_env(const Place *place)
{
	g_auto(ContainerOptions) none = {.env = json_object()};
	return environment_of(place, NULL, &none);
}

const json_t *containers_env(const Job *job)
{
	return job->containers ? job->containers->env : NULL;
}

/* ---- services ---- */

static void service_free(gpointer data)
{
	Neighbour *service = data;
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

static void drain(const Containers *containers, Neighbour *service)
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
		epoll_ctl(containers->epoll_fd, EPOLL_CTL_DEL, service->pipe_fd, NULL);
		close(fd_steal(&service->pipe_fd));
	}
}

void containers_drain(Job *job)
{
	for (guint i = 0; job->containers && i < job->containers->services->len; i++)
		drain(job->containers, job->containers->services->pdata[i]);
}

static void print_printed(Job *job, const Neighbour *service)
{
	joblog_sayf(job->log, "##[group]", "What service '%s' printed last", service->id);
	g_autofree char *text = g_utf8_make_valid(service->printed->str, (gssize)service->printed->len);
	joblog_say(job->log, "", text[0] ? text : "(nothing)");
	joblog_say(job->log, "##[endgroup]", "");
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
	g_autofree char *entrypoint = text_of(asked, "entrypoint");
	g_autofree char *command = text_of(asked, "command");
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

static bool start_service(Job *job, Neighbour *service, const json_t *asked, GError **error)
{
	Containers *containers = job->containers;
	g_autoptr(GPtrArray) argv = command_of(service, asked, error);
	int ends[2];
	if (!argv)
		return false;
	g_autoptr(json_t) env = environment_of(service->place, json_object_get(asked, "env"), &service->options);
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
	epoll_ctl(containers->epoll_fd, EPOLL_CTL_ADD, service->pipe_fd, &event);
	const StepSpec step = {.name = service->id,
	        .argv = (const char *const *)argv->pdata,
	        .envp = (const char *const *)service->env,
	        .folder = service->options.folder ? service->options.folder : service->place->image->folder,
	        .fds = {-1, into, into},
	        .service = true};
	service->running = containers->executor->start(service->place, &step, &service->child, error);
	return service->running;
}

/* Has it ended by itself? */
static bool has_ended(const Containers *containers, Neighbour *service)
{
	if (!service->running)
		return true;
	struct pollfd one = {.fd = service->child.fd, .events = POLLIN};
	if (poll(&one, 1, 0) <= 0)
		return false;
	StepEnd end = {.exit_code = -1};
	containers->executor->finish(service->place, &service->child, &end, NULL);
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
		if (is_stopped(job))
			return false;
		if (left <= 0)
			return true;
		struct pollfd polls[] = {{.fd = job->containers->epoll_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN},
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
	const Containers *containers = job->containers;
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
	if (!containers->executor->start(service->place, &step, &child, error))
		return -1;
	bool goes_on = wait_a_little(job, timeout_us / 1000, child.fd);
	struct pollfd one = {.fd = child.fd, .events = POLLIN};
	bool in_time = poll(&one, 1, 0) > 0;
	if (!in_time) {
		containers->executor->signal(service->place, &child, SIGKILL);
		poll(&one, 1, 10000);
	}
	bool known = containers->executor->finish(service->place, &child, &end, NULL);
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
	drain(job->containers, service);
	print_printed(job, service);
	const char *alone = service->place->image->alone;
	if (alone)
		joblog_sayf(job->log, "##[notice]", "Should service '%s' have failed to become another user: it cannot here, since %s. "
		            "Or say who it is with 'options: --user NAME'", service->id, alone);
	return fail(error, ASSAY_ERROR_USER, "service '%s' ended with exit code %d before it was ready; see what it printed",
	        service->id, service->exit_code);
}

/* Asked more often than the interval says, so that a service is used as soon as it is ready; given up as Docker would. */
static bool wait_ready(Job *job, Neighbour *service, GError **error)
{
	Health health = health_of(service);
	g_autoptr(GPtrArray) argv = health.argv;
	int64_t start = monotonic_us();
	int64_t until = start + health.start_us + health.interval_us * health.retries + health.timeout_us;
	if (!argv) {
		if (!wait_a_little(job, STARTED_MS, service->child.fd))
			return fail(error, ASSAY_ERROR_BUSY, "the job was ended while it waited for service '%s'", service->id);
		return !has_ended(job->containers, service) || ended_early(job, service, error);
	}
	for (int64_t pause_ms = PROBE_FIRST_MS;; pause_ms = MIN(pause_ms * 2, PROBE_MOST_MS)) {
		if (has_ended(job->containers, service))
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
	drain(job->containers, service);
	print_printed(job, service);
	return fail(error, ASSAY_ERROR_USER,
	        "service '%s' was not healthy after %.0f s; look at its --health-cmd, and at what it printed", service->id,
	        (double)(monotonic_us() - start) / 1e6);
}

/* Ports are those of the job's own network: the service's, whatever number it should have outside. */
static bool read_ports(Job *job, Neighbour *service, const json_t *asked, GError **error)
{
	g_autoptr(GPtrArray) ports = list_of(asked, "ports");
	service->ports = json_object();
	for (guint i = 0; i < ports->len; i++) {
		int outside = 0, inside = 0;
		bool udp = false;
		if (!container_port_parse(ports->pdata[i], &outside, &inside, &udp, error))
			return false;
		if (outside != 0 && outside != inside)
			return fail(error, ASSAY_ERROR_USER,
			        "ports: '%s': service and steps share one network here, so the number outside is the one inside; write %d",
			        (const char *)ports->pdata[i], inside);
		g_autofree char *text = g_strdup_printf("%d%s", inside, udp ? "/udp" : "");
		for (guint k = 0; k < job->containers->services->len; k++) {
			const Neighbour *other = job->containers->services->pdata[k];
			if (other != service && json_object_get(other->ports, text))
				return fail(error, ASSAY_ERROR_USER,
				        "ports: services '%s' and '%s' both listen on %s, and share one network here; tell one of them "
				        "another port by its env or command",
				        other->id, service->id, text);
		}
		json_set_string(service->ports, text, text);
	}
	return true;
}

static bool read_credentials(Job *job, const json_t *asked, char **username, char **password)
{
	const json_t *credentials = json_object_get(asked, "credentials");
	*username = text_of(credentials, "username");
	*password = text_of(credentials, "password");
	if (*password && **password)
		mask_add(job->task->mask, *password, strlen(*password));
	return true;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	g_free(text);
}

/* A mapping with `image`, or the image's name alone; NULL: none is asked for. */
static json_t *settle_asked(json_t *value)
{
	if (json_is_object(value)) {
		g_autofree char *image = text_of(value, "image");
		return image && *image ? json_incref(value) : NULL;
	}
	g_autofree char *image = expr_to_string(value);
	return *image ? json_pack("{s:s}", "image", image) : NULL;
}

static bool open_service(Job *job, const char *id, json_t *value, GError **error)
{
	Containers *containers = job->containers;
	g_autoptr(json_t) asked = settle_asked(value);
	if (!asked)
		return true; /* an expression has switched it off */
	if (containers->services->len >= SERVICES_MAX)
		return fail(error, ASSAY_ERROR_USER, "the job has more than %d services", SERVICES_MAX);
	Neighbour *service = g_new0(Neighbour, 1);
	*service = (Neighbour){.id = g_strdup(id), .pipe_fd = -1, .child = {.fd = -1}, .printed = g_string_new(NULL)};
	g_ptr_array_add(containers->services, service);
	g_autofree char *options = text_of(asked, "options");
	g_autofree char *image = text_of(asked, "image");
	g_autoptr(GPtrArray) volumes = list_of(asked, "volumes");
	if (!container_options_parse(options, &service->options, error) || !read_ports(job, service, asked, error))
		return false;
	g_string_append_printf(containers->hosts, "127.0.0.1 %s\n", id);
	for (guint i = 0; i < service->options.names->len; i++)
		g_string_append_printf(containers->hosts, "127.0.0.1 %s\n", (const char *)service->options.names->pdata[i]);
	char *username = NULL;
	char *password = NULL;
	read_credentials(job, asked, &username, &password);
	const Neighbour *first = containers->services->pdata[0];
	g_autofree char *name = g_strconcat("service-", id, NULL);
	g_autofree char *work = g_build_filename(job->task->folder, "work", NULL);
	const ContainerSpec spec = {.image = image,
	        .username = username,
	        .password = password,
	        .name = name,
	        .options = &service->options,
	        .volumes = volumes,
	        .work_folder = work,
	        .work_inside = WORK_INSIDE,
	        .shares_network = first == service,
	        .network_of = first == service ? NULL : first->place};
	bool good = containers_open_place(job, &spec, &service->place, error) && start_service(job, service, asked, error);
	g_free(username);
	wipe(password);
	return good;
}

static bool open_services(Job *job, GError **error)
{
	const json_t *definition = json_object_get(job->definition, "services");
	if (!definition || json_is_null(definition))
		return true;
	g_autoptr(json_t) services = evaluate(job, definition, error);
	const char *id;
	json_t *value;
	if (!services)
		return false;
	if (!json_is_object(services) && !json_is_null(services))
		return fail(error, ASSAY_ERROR_USER, "'services' is no mapping");
	if (json_object_size(services) > 0 && network_of(job, true) == PLACE_NETWORK_HOST)
		joblog_say(job->log, "##[warning]",
		        "services share this machine's network with the job (full_network: host): what they listen on is in reach of others");
	json_object_foreach(services, id, value)
		if (!open_service(job, id, value, error)) {
			g_prefix_error(error, "service '%s': ", id);
			return false;
		}
	for (guint i = 0; i < job->containers->services->len; i++)
		if (!wait_ready(job, job->containers->services->pdata[i], error))
			return false;
	return true;
}

/* ---- the job's own ---- */

static bool open_job_container(Job *job, const json_t *asked, GError **error)
{
	Containers *containers = job->containers;
	g_auto(ContainerOptions) options = {.env = NULL};
	g_autofree char *text = text_of(asked, "options");
	g_autofree char *image = text_of(asked, "image");
	g_autoptr(GPtrArray) volumes = list_of(asked, "volumes");
	if (!container_options_parse(text, &options, error))
		return false;
	if (options.entrypoint)
		return fail(error, ASSAY_ERROR_USER, "options: --entrypoint is for services; in the job's container only its steps run");
	if (options.health_command)
		return fail(error, ASSAY_ERROR_USER, "options: --health-cmd is for services; in the job's container only its steps run");
	char *username = NULL;
	char *password = NULL;
	read_credentials(job, asked, &username, &password);
	const Neighbour *first = containers->services->len > 0 ? containers->services->pdata[0] : NULL;
	g_autofree char *work = g_build_filename(job->task->folder, "work", NULL);
	const ContainerSpec spec = {.image = image,
	        .username = username,
	        .password = password,
	        .name = "job",
	        .runner_service = true,
	        .options = &options,
	        .volumes = volumes,
	        .work_folder = work,
	        .work_inside = WORK_INSIDE,
	        .shares_network = !first,
	        .network_of = first ? first->place : NULL};
	bool good = containers_open_place(job, &spec, &job->place, error);
	g_free(username);
	wipe(password);
	if (!good)
		return false;
	containers->job_has_one = true;
	containers->job_place = job->place;
	containers->env = environment_of(job->place, json_object_get(asked, "env"), &options);
	job->executor = containers->executor;
	return true;
}

/* The job's place as it would be, but in the services' network. */
static bool open_plain(Job *job, const PlaceSpec *spec, GError **error)
{
	PlaceSpec own = *spec;
	bool neighbours = job->containers->services->len > 0;
	bool shared = network_of(job, true) == PLACE_NETWORK_HOST;
	bool on_host = strcmp(job->executor->name, "host") == 0;
	if (neighbours && on_host && !shared)
		return fail(error, ASSAY_ERROR_USER,
		        "services have a network of their own, which steps on the host do not see; run the job in the sandbox");
	own.hosts = neighbours ? job->containers->hosts->str : NULL;
	own.network = network_of(job, neighbours);
	if (neighbours && !shared)
		own.network_of = ((const Neighbour *)job->containers->services->pdata[0])->place;
	mode_t ours = umask(022);
	bool opened = job->executor->open(&own, &job->place, error);
	umask(ours);
	return opened;
}

bool containers_open(Job *job, const PlaceSpec *spec, GError **error)
{
	job->containers = g_new0(Containers, 1);
	*job->containers = (Containers){.executor = executor_find("container"),
	        .services = g_ptr_array_new_with_free_func(service_free),
	        .hosts = g_string_new(NULL),
	        .epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	job->printed_fd = job->containers->epoll_fd;
	if (!job->containers->executor || job->printed_fd < 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "this worker cannot run containers");
	/* As it will be: `volumes` are often written with it. */
	g_autofree char *workspace = g_build_filename(WORK_INSIDE, job->workspace, NULL);
	json_set_string(json_object_get(job->contexts, "github"), "workspace", workspace);
	if (!open_services(job, error))
		return false;
	const json_t *container = asked_container(job);
	g_autoptr(json_t) value = container ? evaluate(job, container, error) : json_null();
	if (!value)
		return false;
	g_autoptr(json_t) asked = container ? settle_asked(value) : NULL;
	if (asked) {
		bool good = open_job_container(job, asked, error);
		if (!good)
			g_prefix_error(error, "container: ");
		return good;
	}
	return open_plain(job, spec, error);
}

void containers_fill_contexts(Job *job, json_t *job_context)
{
	json_t *container = json_object();
	json_t *services = json_object();
	if (containers_has_job(job)) {
		json_set_string(container, "id", "job");
		json_set_string(container, "network", "job");
	}
	for (guint i = 0; job->containers && i < job->containers->services->len; i++) {
		const Neighbour *service = job->containers->services->pdata[i];
		json_set(services, service->id, json_pack("{s:s,s:s,s:O}", "id", service->id, "network", "job", "ports", service->ports));
	}
	json_set(job_context, "container", container);
	json_set(job_context, "services", services);
}

void containers_close(Job *job)
{
	Containers *containers = job->containers;
	if (!containers)
		return;
	for (guint i = containers->services->len; i > 0; i--) {
		Neighbour *service = containers->services->pdata[i - 1];
		bool early = service->place && service->running && has_ended(containers, service);
		drain(containers, service);
		if (job->log && (early || job->state == RUN_FAILURE) && service->printed->len > 0)
			print_printed(job, service);
		if (service->place)
			containers->executor->close(service->place);
		autofd_close(&service->child.fd);
	}
	g_ptr_array_unref(containers->services);
	g_string_free(containers->hosts, TRUE);
	json_decref(containers->env);
	autofd_close(&containers->epoll_fd);
	g_clear_pointer(&job->containers, g_free);
	job->printed_fd = -1;
}
