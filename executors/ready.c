/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one piece of state in this room that outlives a place. It belongs to the process as its descriptors do: a clone
 * has it as it was, and what a clone adds is its own. Whoever has become another user begins anew, for namespaces
 * belong to users.
 */
#include "executors/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "executors/mounts.h"
#include "executors/netpool.h"

#define TEMPLATES_MAX 4
#define RECIPE_BYTES_MAX 4096
#define MOUNTS_BYTES_MAX (4 * 1024 * 1024)
#define PAUSE_US 1000000 /* between two renewals because of the host's mounts */
#define RECIPE_FIRST "assay" /* of a job for which the config asks no mounts */

static struct {
	bool begun;
	uid_t owner;
	int user_fd;
	Ids ids;              /* an ordinary user's: of user_fd; root's: as last asked for */
	Ids none;             /* the answer to who wants none */
	int ids_fd;           /* of ready_ids_user(), and whose it is: */
	uint32_t ids_first;
	uid_t ids_uid;
	GPtrArray *templates; /* Template *, the one used last at the end */
	NetPool networks;
	/* Of a process that waits: */
	int watch_fd;                /* epoll: something of the three below */
	int wish_fd, wishes_fd;      /* what a clone had to make itself, it tells here */
	int mounts_fd;               /* the host's table: readable when it has changed */
	int timer_fd;
	char *mounts;                /* what the table was: its checksum */
	int64_t renewed_us;
} shared = {.networks = {{.pidfd = -1, .control_fd = -1}, -1, -1}, .user_fd = -1, .ids_fd = -1, .watch_fd = -1, .wish_fd = -1, .wishes_fd = -1, .mounts_fd = -1, .timer_fd = -1};

static void begin(void)
{
	if (shared.begun && shared.owner == geteuid())
		return;
	if (shared.begun)
		netpool_close(&shared.networks);
	g_clear_pointer(&shared.templates, g_ptr_array_unref);
	int *const fds[] = {&shared.user_fd, &shared.ids_fd, &shared.watch_fd, &shared.wish_fd, &shared.wishes_fd, &shared.mounts_fd,
	        &shared.timer_fd};
	for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
		autofd_close(fds[i]);
		*fds[i] = -1;
	}
	shared.begun = true;
	shared.owner = geteuid();
	shared.templates = g_ptr_array_new_with_free_func((GDestroyNotify)template_free);
	netpool_init(&shared.networks);
}

/* With a range of ids where the host gives one; without it is a user namespace all the same. */
static void make_user(Failure *out)
{
	ids_clear(&shared.ids);
	shared.user_fd = ids_lent(&shared.ids);
	if (shared.user_fd >= 0) {
		shared.ids.outer_uid = shared.ids.outer_gid = TEMPLATE_FIRST;
		return;
	}
	ids_of_user(&shared.ids);
	if (shared.ids.first_uid) {
		Failure refused = {0};
		shared.user_fd = template_make_user(&shared.ids, &refused);
		shared.ids.outer_uid = shared.ids.outer_gid = TEMPLATE_FIRST;
		if (shared.user_fd >= 0)
			return;
		ids_clear(&shared.ids);
		shared.ids.why_not = g_strdup("newuidmap refuses what /etc/subuid and /etc/subgid give; see what it printed into the agent's journal");
	}
	shared.user_fd = template_make_user(NULL, out);
}

bool ready_user(int *out_fd, Failure *out)
{
	begin();
	if (shared.owner != 0 && shared.user_fd < 0)
		make_user(out);
	*out_fd = shared.user_fd;
	return shared.owner == 0 || shared.user_fd >= 0;
}

const Ids *ready_ids(const char *wish, uid_t uid, gid_t gid)
{
	Failure failure = {0};
	int user_fd;
	begin();
	if (shared.owner == 0) {
		ids_clear(&shared.ids);
		ids_of_root(wish, uid, gid, &shared.ids);
		return &shared.ids;
	}
	if (wish && strcmp(wish, "none") == 0) {
		ids_clear(&shared.none);
		ids_of_root(wish, uid, gid, &shared.none);
		return &shared.none;
	}
	ready_user(&user_fd, &failure); /* whoever opens a place is told of a failure then */
	return &shared.ids;
}

int ready_ids_user(const Ids *ids, uid_t uid, gid_t gid, Failure *out)
{
	int user_fd;
	if (!ready_user(&user_fd, out))
		return -1;
	bool root = shared.owner == 0;
	if (shared.ids_fd >= 0 && shared.ids_first == ids->first_uid && shared.ids_uid == uid)
		return shared.ids_fd;
	autofd_close(&shared.ids_fd);
	shared.ids_fd = template_make_ids(user_fd, ids, root ? uid : MOUNTS_UID, root ? gid : MOUNTS_UID, out);
	shared.ids_first = ids->first_uid;
	shared.ids_uid = uid;
	return shared.ids_fd;
}

bool executor_as_owner(bool (*call)(void *data, int out_fd), void *data, void *out, size_t out_len)
{
	Failure failure = {0};
	int user_fd = -1;
	int ends[2];
	if (geteuid() == 0 || !ready_user(&user_fd, &failure) || pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) { /* told by the pipe: a status may be nobody's to wait for */
		close(ends[0]);
		_exit(setns(user_fd, CLONE_NEWUSER) == 0 && call(data, ends[1]) ? 0 : 1);
	}
	close(ends[1]);
	size_t got = 0;
	for (ssize_t len; pid > 0 && got < out_len;) {
		len = read(ends[0], (char *)out + got, out_len - got);
		if (len < 0 && errno == EINTR)
			continue;
		if (len <= 0)
			break;
		got += (size_t)len;
	}
	close(ends[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && got == out_len;
}

static bool remove_as_owner(void *data, int out_fd)
{
	return fd_remove_tree(data, NULL) && write(out_fd, "", 1) == 1;
}

bool executor_remove_tree(const char *path, GError **error)
{
	char done;
	if (executor_as_owner(remove_as_owner, (void *)(uintptr_t)path, &done, 1))
		return true;
	return fail(error, ASSAY_ERROR_DENIED, "%s holds files of users whose ids this agent has not, or not any more; remove it as root", path);
}

/* `remove FOLDER…` */
int remove_main(int argc, char **argv)
{
	int status = 0;
	for (int i = 1; i < argc; i++) {
		g_autoptr(GError) error = NULL;
		if (!executor_remove_tree(argv[i], &error))
			status = error_print(error);
	}
	return status;
}

static Template *find(const char *recipe)
{
	for (guint i = 0; i < shared.templates->len; i++) {
		Template *template = shared.templates->pdata[i];
		if (strcmp(template->recipe, recipe) != 0)
			continue;
		if (template_is_fresh(template))
			return template;
		g_ptr_array_remove_index(shared.templates, i);
		break;
	}
	return NULL;
}

static const Template *make(const char *recipe, int user_fd, Failure *out)
{
	Template *template = template_make(recipe, user_fd, out);
	if (!template)
		return NULL;
	if (shared.templates->len >= TEMPLATES_MAX)
		g_ptr_array_remove_index(shared.templates, 0);
	g_ptr_array_add(shared.templates, template);
	return template;
}

const Template *ready_template(const char *recipe, Failure *out)
{
	int user_fd;
	if (!ready_user(&user_fd, out))
		return NULL;
	const Template *template = find(recipe);
	if (template)
		return template;
	size_t len = strlen(recipe);
	if (shared.wish_fd >= 0 && len <= RECIPE_BYTES_MAX)
		(void)!send(shared.wish_fd, recipe, len, MSG_DONTWAIT | MSG_NOSIGNAL); /* so that the next finds it */
	return make(recipe, user_fd, out);
}

int ready_network(void)
{
	return shared.begun && shared.owner == geteuid() ? netpool_take(&shared.networks) : -1;
}

void ready_network_back(int fd)
{
	netpool_give(&shared.networks, fd);
}

void ready_discard(int fd)
{
	netpool_discard(&shared.networks, fd);
}

/* ---- a process that waits ---- */

/* GLib's hash: this process would need libcrypto for nothing else. */
static char *read_mounts(void)
{
	g_autoptr(GBytes) table = fd_read_file("/proc/self/mountinfo", MOUNTS_BYTES_MAX, NULL);
	return table ? g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, table) : NULL;
}

static void watch(int fd, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.fd = fd};
	if (fd >= 0)
		epoll_ctl(shared.watch_fd, EPOLL_CTL_ADD, fd, &event);
}

static void begin_to_watch(void)
{
	int ends[2];
	shared.watch_fd = epoll_create1(EPOLL_CLOEXEC);
	if (shared.watch_fd < 0)
		return;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0) {
		shared.wish_fd = ends[0];
		shared.wishes_fd = ends[1];
	}
	shared.mounts_fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	shared.timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	watch(shared.wishes_fd, EPOLLIN);
	watch(shared.mounts_fd, EPOLLPRI | EPOLLERR);
	watch(shared.timer_fd, EPOLLIN);
	g_free(shared.mounts);
	shared.mounts = read_mounts();
}

static void want(const char *recipe)
{
	Failure failure = {0};
	if (!find(recipe))
		make(recipe, shared.user_fd, &failure); /* a failure is told to the job that meets it */
}

/* A mount below /usr or the like is in no template that was made before it. Not more than one renewal a second. */
static void look_at_mounts(void)
{
	int64_t left_us = shared.renewed_us + PAUSE_US - monotonic_us();
	if (left_us > 0) {
		const struct itimerspec later = {.it_value = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000 + 1}};
		timerfd_settime(shared.timer_fd, 0, &later, NULL);
		return;
	}
	g_autofree char *now = read_mounts();
	if (!now || g_strcmp0(now, shared.mounts) == 0)
		return;
	g_free(shared.mounts);
	shared.mounts = g_steal_pointer(&now);
	shared.renewed_us = monotonic_us();
	g_autoptr(GPtrArray) old = g_steal_pointer(&shared.templates);
	shared.templates = g_ptr_array_new_with_free_func((GDestroyNotify)template_free);
	for (guint i = 0; i < old->len; i++)
		want(((const Template *)old->pdata[i])->recipe);
}

static void grant_wishes(void)
{
	char text[RECIPE_BYTES_MAX + 1];
	ssize_t len;
	while (shared.wishes_fd >= 0 && (len = recv(shared.wishes_fd, text, RECIPE_BYTES_MAX, MSG_DONTWAIT)) > 0) {
		text[len] = '\0';
		want(text);
	}
}

int ready_prepare(void)
{
	Failure failure = {0};
	int user_fd;
	begin();
	if (!ready_user(&user_fd, &failure))
		return -1;
	if (shared.watch_fd < 0) {
		begin_to_watch();
		netpool_open(&shared.networks, user_fd, NULL); /* without one, places make their own */
		want(RECIPE_FIRST);
		return shared.watch_fd;
	}
	struct epoll_event events[4];
	int count = epoll_wait(shared.watch_fd, events, G_N_ELEMENTS(events), 0);
	uint64_t expired;
	(void)!read(shared.timer_fd, &expired, sizeof expired);
	grant_wishes();
	for (int i = 0; i < count; i++)
		if (events[i].data.fd != shared.wishes_fd) {
			look_at_mounts();
			break;
		}
	return shared.watch_fd;
}
