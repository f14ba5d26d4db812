/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay exec`: one command in a place of its own with empty folders, so that an admin can see with his own eyes what
 * a job can reach. The command's streams are the caller's, its exit status is passed on, nothing stays.
 */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/executor.h"
#include "executors/doctor.h"

#define JOB_UID 64001 /* as sandbox.uid of the config is by default */
#define PATH_INSIDE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

typedef struct Session {
	const Executor *executor;
	PlaceSpec spec;
	char *root, *work, *home;
	PlaceImage image; /* with --image */
	char *store, *scratch;
	json_t *settings;
	Place *place;
} Session;

static void session_clear(Session *session)
{
	if (session->executor)
		session->executor->close(session->place);
	if (session->root)
		fd_remove_tree(session->root, NULL);
	g_free(session->root);
	g_free(session->work);
	g_free(session->home);
	g_free(session->store);
	g_free(session->scratch);
	json_decref(session->settings);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Session, session_clear)

/* Root's command runs as whoever called sudo, or as jobs do: those never run as root either. */
static void choose_user(PlaceSpec *spec)
{
	const char *names[] = {"SUDO_UID", "SUDO_GID"};
	guint64 ids[] = {JOB_UID, JOB_UID};
	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const char *text = g_getenv(names[i]);
		guint64 id;
		if (text && g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &id, NULL))
			ids[i] = id;
	}
	spec->uid = (uid_t)ids[0];
	spec->gid = (gid_t)ids[1];
}

static bool make_folders(Session *session, GError **error)
{
	session->root = g_dir_make_tmp("assay-exec-XXXXXX", error);
	if (!session->root)
		return false;
	session->work = g_build_filename(session->root, "work", NULL);
	session->home = g_build_filename(session->root, "home", NULL);
	const char *const folders[] = {session->root, session->work, session->home};
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		if (i > 0 && !fd_make_folder(folders[i], 0755, error))
			return false;
		if (session->spec.uid != 0 && chown(folders[i], session->spec.uid, session->spec.gid) < 0)
			return fail_errno(error, errno, "cannot give %s to the command's user", folders[i]);
	}
	session->spec.work_folder = session->work;
	session->spec.home_folder = session->home;
	return true;
}

static void say(void *data, const char *text)
{
	(void)data;
	fprintf(stderr, "%s\n", text);
}

/* An admin asks: files and folders of the host are good as images, and the store is his or goes with the command. */
static void take_image(Session *session)
{
	if (!session->store)
		session->store = g_build_filename(session->root, "images", NULL);
	session->scratch = g_build_filename(session->root, "root", NULL);
	session->settings = json_pack("{s:[s]}", "local", "/");
	session->image.store = session->store;
	session->image.scratch = session->scratch;
	session->image.settings = session->settings;
	session->image.work_inside = "/__w";
	session->image.home_inside = "/github/home";
	session->image.runner_inside = "/github/workflow";
	session->image.say = say;
	session->spec.image = &session->image;
}

/* Signals to us are the command's: it is in a session of its own, so the terminal does not reach it. */
static bool wait_for_end(Session *session, Child *child, int signal_fd, GError **error)
{
	struct pollfd wait[] = {{.fd = child->fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
	for (;;) {
		if (poll(wait, G_N_ELEMENTS(wait), -1) < 0 && errno != EINTR)
			return fail_errno(error, errno, "cannot wait for the command");
		struct signalfd_siginfo info;
		if ((wait[1].revents & POLLIN) && read(signal_fd, &info, sizeof info) == sizeof info)
			session->executor->signal(session->place, child, (int)info.ssi_signo);
		if (wait[0].revents)
			return true;
	}
}

static bool run(Session *session, const char *const *command, StepEnd *out, GError **error)
{
	sigset_t ours;
	sigemptyset(&ours);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigprocmask(SIG_BLOCK, &ours, NULL);
	autofd int signal_fd = signalfd(-1, &ours, SFD_CLOEXEC);
	choose_user(&session->spec);
	if (!make_folders(session, error))
		return false;
	if (session->image.reference)
		take_image(session);
	if (!session->executor->open(&session->spec, &session->place, error))
		return false;
	for (guint i = 0; i < session->place->missing->len; i++)
		fprintf(stderr, "assay: isolation %s: %s\n", session->place->isolation,
		        (const char *)session->place->missing->pdata[i]);
	const char *terminal = g_getenv("TERM");
	g_autofree char *home = g_strdup_printf("HOME=%s", session->place->home_inside);
	g_autofree char *term = g_strdup_printf("TERM=%s", terminal ? terminal : "dumb");
	const char *const plain[] = {"PATH=" PATH_INSIDE, "LANG=C.UTF-8", "USER=runner", "CI=true", home, term, NULL};
	g_auto(GStrv) environment = g_strdupv((char **)(uintptr_t)plain);
	if (session->place->image) { /* what the image says, and nothing of ours but the home */
		g_strfreev(environment);
		environment = g_strdupv(session->place->image->env);
		environment = g_environ_setenv(environment, "HOME", session->place->home_inside, TRUE);
	}
	const StepSpec step = {
		.name = "exec",
		.argv = command,
		.envp = (const char *const *)environment,
		.folder = session->place->work_inside,
		.fds = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
	};
	Child child = {.fd = -1};
	return session->executor->start(session->place, &step, &child, error) &&
	       wait_for_end(session, &child, signal_fd, error) &&
	       session->executor->finish(session->place, &child, out, error);
}

int verb_exec(int argc, char **argv)
{
	g_autofree char *name = NULL;
	g_autofree char *network = NULL;
	g_auto(GStrv) allow = NULL;
	g_autofree char *image = NULL;
	g_autofree char *store = NULL;
	const GOptionEntry options[] = {
		{"executor", 0, 0, G_OPTION_ARG_STRING, &name, "where to run it (default sandbox)", "NAME"},
		{"network", 0, 0, G_OPTION_ARG_STRING, &network, "none (the default), loopback, full or host", "WHAT"},
		{"allow", 0, 0, G_OPTION_ARG_STRING_ARRAY, &allow, "what full reaches (default *)", "HOST:PORT"},
		{"image", 0, 0, G_OPTION_ARG_STRING, &image, "in this image: alpine:3.20, oci:/folder, …", "REFERENCE"},
		{"store", 0, 0, G_OPTION_ARG_FILENAME, &store, "keep the image's layers there (default: nowhere)", "FOLDER"},
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_autoptr(GOptionContext) context = g_option_context_new("-- COMMAND…");
	g_option_context_add_main_entries(context, options, NULL);
	g_option_context_set_strict_posix(context, TRUE);
	g_option_context_set_summary(context, "Runs one command as a job's step would see the world.");
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "assay: exec: %s; see --help\n", error->message);
		return 2;
	}
	int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1;
	g_auto(Session) session = {.executor = executor_find(name ? name : image ? "container" : "sandbox")};
	session.image.reference = image;
	session.store = store ? g_canonicalize_filename(store, NULL) : NULL;
	if (first >= argc) {
		fprintf(stderr, "assay: exec: it has no command; usage: assay exec [--executor E] [--network N] -- COMMAND…\n");
		return 2;
	}
	if (!session.executor) {
		fprintf(stderr, "assay: exec: there is no executor '%s'; there are:", name);
		for (size_t i = 0; executors[i]; i++)
			fprintf(stderr, " %s", executors[i]->name);
		fprintf(stderr, "\n");
		return 2;
	}
	if (network && !place_network_parse(network, &session.spec.network)) {
		fprintf(stderr, "assay: exec: --network '%s' is not none, loopback, full or host\n", network);
		return 2;
	}
	session.spec.allow = (const char *const *)allow;
	StepEnd end;
	if (!run(&session, (const char *const *)argv + first, &end, &error))
		return error_print(error);
	return end.signal > 0 ? 128 + end.signal : end.exit_code;
}
