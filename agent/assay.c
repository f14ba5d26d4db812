/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roof of the left half, which `assay` (start.c) becomes for its verbs. `assay serve` joins the daemon with its
 * front; `assay run` turns the same daemon without one; verbs that ask the agent are in agent/cli/.
 */
#include <errno.h>
#include <glib-unix.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/pages.h"
#include "agent/cli/cli.h"
#include "agent/daemon/config.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/groups.h"
#include "agent/daemon/local.h"
#include "agent/front.h"
#include "agent/store/people.h"
#include "agent/verbs.h"

#ifndef ASSAY_LIBEXEC
#define ASSAY_LIBEXEC "/usr/libexec/assay"
#endif

/* assay-worker: $ASSAY_WORKER, beside this program (a build tree), or in libexec. The caller's. */
static char *worker_path(void)
{
	const char *given = g_getenv("ASSAY_WORKER");
	if (given)
		return g_strdup(given);
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = self ? g_path_get_dirname(self) : NULL;
	g_autofree char *beside = folder ? g_build_filename(folder, "assay-worker", NULL) : NULL;
	if (beside && access(beside, X_OK) == 0)
		return g_steal_pointer(&beside);
	g_autofree char *relative = folder ? g_build_filename(folder, "..", "libexec", "assay", "assay-worker", NULL) : NULL;
	if (relative && access(relative, X_OK) == 0)
		return g_canonicalize_filename(relative, NULL);
	return g_strdup(ASSAY_LIBEXEC "/assay-worker");
}

/* ---- serve ---- */

/* What Type=notify of systemd wants to hear. */
static void notify(const char *message)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (!path || strlen(path) >= sizeof address.sun_path)
		return;
	memcpy(address.sun_path, path, strlen(path));
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	autofd int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (fd >= 0)
		sendto(fd, message, strlen(message), MSG_NOSIGNAL, (const struct sockaddr *)&address, len);
}

static gboolean on_watchdog(gpointer data)
{
	(void)data;
	notify("WATCHDOG=1");
	return G_SOURCE_CONTINUE;
}

static void start_watchdog(void)
{
	const char *text = g_getenv("WATCHDOG_USEC");
	guint64 period_us = 0;
	if (text && g_ascii_string_to_unsigned(text, 10, 1000, G_MAXINT64, &period_us, NULL))
		g_timeout_add((guint)MIN(period_us / 2000, (guint64)G_MAXINT), on_watchdog, NULL);
}

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	struct signalfd_siginfo info;
	if (read(fd, &info, sizeof info) == sizeof info) {
		log_info("stopping; jobs that run go on", KV("signal", info.ssi_signo));
		g_main_loop_quit(data);
	}
	return G_SOURCE_CONTINUE;
}

/* The first start has nobody to sign in: it makes an admin and a link that is good once. */
static bool first_admin(Daemon *daemon, const char *url, GError **error)
{
	Store *store = daemon_store(daemon);
	g_autoptr(json_t) people = people_list(store, error);
	if (!people)
		return false;
	const json_t *list = json_is_array(people) ? people : json_object_get(people, "users");
	if (json_array_size(list) > 0)
		return true;
	if (!people_put(store, "admin", "admin", NULL, error))
		return false;
	g_autofree char *secret = people_link_new(store, "admin", 24 * 3600, error);
	if (!secret)
		return false;
	printf("first start: sign in once, within a day, at %s/sign-in?link=%s\n", url, secret);
	return true;
}

/* Where systemd keeps what lasts from one agent to the next until the machine ends; NULL elsewhere. */
static char *kept_limits(void)
{
	const char *folder = g_getenv("RUNTIME_DIRECTORY");
	return folder ? g_build_filename(folder, "groups", NULL) : NULL;
}

/* Before anything is started, since what is started stands in the same group. */
static void enter_group(void)
{
	g_autofree char *own = groups_own_folder();
	g_autofree char *kept = kept_limits();
	const char *why = NULL;
	g_autofree char *down = own ? groups_enter(own, getpid(), kept, &why) : NULL;
	if (down)
		log_info("jobs have control groups of their own", KV("controllers", down));
	else if (own)
		log_debug("jobs have no control groups of their own", KV("why", why));
}

/* What the unit runs after an agent has ended, however. */
static int make_way(void)
{
	g_autofree char *own = groups_own_folder();
	g_autofree char *kept = kept_limits();
	if (!own || !kept || groups_make_way(own, kept))
		return 0;
	fprintf(stderr, "assay: serve: the controllers of %s cannot be taken back; the agent may not start while jobs run\n", own);
	return 3;
}

static bool serve(const Config *config, GError **error)
{
	LogLevel level = LOG_LEVEL_INFO;
	if (!log_level_parse(config->log_level, &level))
		return fail(error, ASSAY_ERROR_USER, "log_level '%s' is not error, warning, info or debug", config->log_level);
	log_setup(level, log_default_format());
	prctl(PR_SET_DUMPABLE, 0);
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	enter_group();
	g_autofree char *worker = worker_path();
	Daemon *daemon = daemon_new(config, worker, error);
	g_autofree char *url = NULL;
	if (!daemon)
		return false;
	bool good = web_front.start(daemon, &url, error);
	if (good) {
		daemon_set_url(daemon, url);
		good = first_admin(daemon, daemon_url(daemon), error);
	}
	if (good) {
		g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
		int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
		guint source = g_unix_fd_add_full(G_PRIORITY_HIGH, signal_fd, G_IO_IN, on_signal, loop, NULL);
		printf("ready %s\n", url);
		fflush(stdout);
		log_info("ready", KV("url", url), KV("data", config->data), KV("version", ASSAY_VERSION));
		notify("READY=1");
		start_watchdog();
		pages_let_go();
		g_main_loop_run(loop);
		notify("STOPPING=1");
		g_source_remove(source);
		close(signal_fd);
	}
	web_front.stop();
	daemon_free(daemon);
	return good;
}

static int verb_serve(int argc, char **argv)
{
	g_autofree char *file = NULL;
	g_autofree char *data = NULL;
	g_autofree char *listen = NULL;
	g_autofree char *socket_path = NULL;
	g_autofree char *executor = NULL;
	gboolean before = FALSE;
	const GOptionEntry options[] = {
	        {"config", 0, 0, G_OPTION_ARG_FILENAME, &file, "the config file (default /etc/assay/assay.yml where it is there)", "FILE"},
	        {"data", 0, 0, G_OPTION_ARG_FILENAME, &data, "the data folder", "FOLDER"},
	        {"listen", 0, 0, G_OPTION_ARG_STRING, &listen, "where to listen; port 0 lets the kernel choose", "ADDRESS:PORT"},
	        {"socket", 0, 0, G_OPTION_ARG_FILENAME, &socket_path, "the command line's socket", "PATH"},
	        {"executor", 0, 0, G_OPTION_ARG_STRING, &executor, "where steps run: sandbox or host", "NAME"},
	        {"make-way", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_NONE, &before, "for the unit, after the agent's end: let the next one in while jobs run", NULL},
	        {0},
	};
	g_autoptr(GError) error = NULL;
	if (!cli_parse(options, "serve", 0, 0, &argc, &argv))
		return 2;
	if (before)
		return make_way();
	if (!file && access("/etc/assay/assay.yml", R_OK) == 0)
		file = g_strdup("/etc/assay/assay.yml");
	g_autoptr(Config) config = config_load(file, &error);
	if (config && listen && !config_parse_listen(listen, &config->listen_address, &config->listen_port, &error))
		return error_print(error);
	if (!config)
		return error_print(error);
	if (data) {
		g_free(config->data);
		config->data = g_canonicalize_filename(data, NULL);
		g_free(config->socket);
		config->socket = g_build_filename(config->data, "assay.sock", NULL);
	}
	if (socket_path) {
		g_free(config->socket);
		config->socket = g_canonicalize_filename(socket_path, NULL);
	}
	if (executor) {
		g_free(config->executor_default);
		config->executor_default = g_steal_pointer(&executor);
	}
	return serve(config, &error) ? 0 : error_print(error);
}

/* ---- run ---- */

/* ["K=V"] → {"K":"V"}; exit status 2 for anything else. */
static bool pairs(char **texts, const char *option, json_t *out, GError **error)
{
	for (char **text = texts; text && *text; text++) {
		const char *equals = strchr(*text, '=');
		if (!equals || equals == *text)
			return fail(error, ASSAY_ERROR_USER, "--%s '%s': give NAME=VALUE", option, *text);
		g_autofree char *name = g_strndup(*text, (gsize)(equals - *text));
		json_set_string(out, name, equals + 1);
	}
	return true;
}

static char *local_data(void)
{
	const char *base = g_getenv("XDG_DATA_HOME");
	return base && base[0] == '/' ? g_build_filename(base, "assay", NULL)
	                              : g_build_filename(g_get_home_dir(), ".local", "share", "assay", NULL);
}

static int verb_run(int argc, char **argv)
{
	g_autofree char *workflow = NULL, *event = NULL, *payload_path = NULL, *job = NULL, *folder = NULL;
	g_autofree char *executor = NULL, *network = NULL, *data = NULL, *file = NULL;
	g_auto(GStrv) inputs = NULL, secrets = NULL, vars = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"workflow", 0, 0, G_OPTION_ARG_STRING, &workflow, "one workflow file; without it every one that the event starts", "FILE"},
	        {"event", 0, 0, G_OPTION_ARG_STRING, &event, "the event's name (default push)", "NAME"},
	        {"eventpath", 0, 0, G_OPTION_ARG_FILENAME, &payload_path, "the event's payload, JSON", "FILE"},
	        {"job", 0, 0, G_OPTION_ARG_STRING, &job, "only this job and what it needs", "ID"},
	        {"repo", 0, 0, G_OPTION_ARG_FILENAME, &folder, "the working tree (default: here)", "FOLDER"},
	        {"input", 0, 0, G_OPTION_ARG_STRING_ARRAY, &inputs, "an input of workflow_dispatch", "NAME=VALUE"},
	        {"secret", 0, 0, G_OPTION_ARG_STRING_ARRAY, &secrets, "a secret", "NAME=VALUE"},
	        {"var", 0, 0, G_OPTION_ARG_STRING_ARRAY, &vars, "a variable", "NAME=VALUE"},
	        {"executor", 0, 0, G_OPTION_ARG_STRING, &executor, "where steps run: sandbox (default) or host", "NAME"},
	        {"network", 0, 0, G_OPTION_ARG_STRING, &network, "none (default), loopback, full or host", "KIND"},
	        {"data", 0, 0, G_OPTION_ARG_FILENAME, &data, "where snapshots, models and logs are kept", "FOLDER"},
	        {"config", 0, 0, G_OPTION_ARG_FILENAME, &file, "a config file", "FILE"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON lines on stdout", NULL},
	        {0},
	};
	if (!cli_parse(options, "run", 0, 0, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) input = json_object(), secret = json_object(), var = json_object(), payload = NULL;
	g_autoptr(Config) config = config_load(file, &error);
	if (!config || !pairs(inputs, "input", input, &error) || !pairs(secrets, "secret", secret, &error) ||
	        !pairs(vars, "var", var, &error))
		return error_print(error);
	if (payload_path && !(payload = json_parse_file(payload_path, JSON_TEXT_BYTES_MAX, &error)))
		return error_print(error);
	PlaceNetwork known;
	if (network && !place_network_parse(network, &known)) {
		fail(&error, ASSAY_ERROR_USER, "--network '%s' is not none, loopback, full or host", network);
		return error_print(error);
	}
	g_autofree char *tree = g_canonicalize_filename(folder ? folder : ".", NULL);
	if (!g_file_test(tree, G_FILE_TEST_IS_DIR)) {
		fail(&error, ASSAY_ERROR_USER, "%s is not a folder", tree);
		return error_print(error);
	}
	g_free(config->data);
	config->data = data ? g_canonicalize_filename(data, NULL) : local_data();
	log_setup(g_getenv("ASSAY_DEBUG") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	signal(SIGPIPE, SIG_IGN);
	g_autofree char *worker = worker_path();
	Daemon *daemon = daemon_new(config, worker, &error);
	if (!daemon)
		return error_print(error);
	const LocalRun request = {.folder = tree, .workflow = workflow, .event = event ? event : workflow && json_object_size(input) > 0 ? "workflow_dispatch" : "push",
	        .payload = payload, .job = job, .inputs = input, .secrets = secret, .vars = var,
	        .executor = executor ? executor : config->executor_default, .network = network ? network : config->network,
	        .json = as_json};
	bool success = false;
	bool good = local_run(daemon, &request, &success, &error);
	daemon_free(daemon);
	if (!good)
		return error_print(error);
	return success ? 0 : 1;
}

int main(int argc, char **argv)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	const Verb *verb = argc > 1 ? verb_find(argv[1], argc > 2 ? argv[2] : NULL) : NULL;
	if (verb && strcmp(verb->noun, "serve") == 0)
		return verb_serve(argc - 1, argv + 1);
	if (verb && strcmp(verb->noun, "run") == 0)
		return verb_run(argc - 1, argv + 1);
	return cli_main(argc, argv);
}
