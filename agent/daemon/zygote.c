/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker is linked to a dozen libraries and takes milliseconds to start; the waiting one does not. The agent itself
 * never forks: it asks this small process, which has no secret and no open file of the agent's.
 */
#include "agent/daemon/zygote.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/log.h"
#include "agent/base/spawn.h"
#include "agent/daemon/loop.h"

#define MESSAGE_BYTES 8192

struct Zygote {
	char *worker;
	ZygoteStarted started;
	void *data;
	int fd;
	int pidfd;
	guint source;
	GHashTable *asked; /* task ids without an answer, as a set of int64_t */
};

static bool start(Zygote *zygote, GError **error);

static void let_go(Zygote *zygote)
{
	if (zygote->source)
		g_source_remove(zygote->source);
	zygote->source = 0;
	if (zygote->fd >= 0)
		close(zygote->fd);
	zygote->fd = -1;
	if (zygote->pidfd >= 0) {
		SpawnEnd end;
		spawn_wait(zygote->pidfd, &end, NULL);
		close(zygote->pidfd);
	}
	zygote->pidfd = -1;
}

/* It died: whoever waits for an answer is told, and the next ask starts another. */
static void died(Zygote *zygote)
{
	log_warning("the waiting worker ended by itself, continuing");
	let_go(zygote);
	g_autoptr(GError) error = NULL;
	fail(&error, ASSAY_ERROR_SYSTEM, "the waiting worker process ended");
	g_autoptr(GHashTable) asked = zygote->asked;
	zygote->asked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer task;
	g_hash_table_iter_init(&iter, asked);
	while (g_hash_table_iter_next(&iter, &task, NULL))
		zygote->started(*(int64_t *)task, -1, 0, 0, error, zygote->data);
}

static ssize_t receive(int fd, char *text, size_t room, int *out_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {.iov_base = text, .iov_len = room};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
	        .msg_controllen = sizeof control};
	ssize_t len = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	*out_fd = -1;
	struct cmsghdr *header = len > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(out_fd, CMSG_DATA(header), sizeof *out_fd);
	return len;
}

static gboolean on_answer(gint fd, GIOCondition condition, gpointer data)
{
	(void)condition;
	Zygote *zygote = data;
	char text[MESSAGE_BYTES];
	int pidfd = -1;
	ssize_t len = receive(fd, text, sizeof text, &pidfd);
	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return G_SOURCE_CONTINUE;
	if (len <= 0) {
		zygote->source = 0;
		died(zygote);
		return G_SOURCE_REMOVE;
	}
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = json_parse(text, (size_t)len, "the waiting worker's answer", &error);
	int64_t task = json_get_int(answer, "task", 0);
	const char *why = json_get_string(answer, "error", NULL);
	if (!error && (why || pidfd < 0))
		fail(&error, ASSAY_ERROR_SYSTEM, "cannot start a worker: %s", why ? why : "no descriptor came with it");
	if (g_hash_table_remove(zygote->asked, &task))
		zygote->started(task, error ? -1 : fd_steal(&pidfd), json_get_int(answer, "pid", 0),
		        json_get_int(answer, "start", 0), error, zygote->data);
	if (pidfd >= 0)
		close(pidfd);
	return G_SOURCE_CONTINUE;
}

static bool start(Zygote *zygote, GError **error)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail_errno(error, errno, "cannot make a socket pair");
	autofd int ours = pair[0];
	autofd int theirs = pair[1];
	const char *const argv[] = {zygote->worker, "zygote", NULL};
	const char *const envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	        "LANG=C.UTF-8", "HOME=/nonexistent",
	        "LD_BIND_NOW=1", /* symbols are looked up once in it, not again in each of its clones */
	        NULL};
	const int fds[] = {-1, STDERR_FILENO, STDERR_FILENO, theirs};
	const SpawnSpec spec = {.argv = argv, .envp = envp, .fds = fds, .fds_len = 4, .own_session = true,
	        .folder = "/"};
	zygote->pidfd = spawn(&spec, NULL, error);
	if (zygote->pidfd < 0)
		return false;
	zygote->fd = fd_steal(&ours);
	zygote->source = loop_add_fd(G_PRIORITY_HIGH, zygote->fd, G_IO_IN | G_IO_HUP, on_answer, zygote);
	return true;
}

Zygote *zygote_new(const char *worker, ZygoteStarted started, void *data, GError **error)
{
	Zygote *zygote = g_new0(Zygote, 1);
	zygote->worker = g_strdup(worker);
	zygote->started = started;
	zygote->data = data;
	zygote->fd = -1;
	zygote->pidfd = -1;
	zygote->asked = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	if (start(zygote, error))
		return zygote;
	zygote_free(zygote);
	return NULL;
}

void zygote_free(Zygote *zygote)
{
	if (!zygote)
		return;
	let_go(zygote);
	g_hash_table_unref(zygote->asked);
	g_free(zygote->worker);
	g_free(zygote);
}

const char *zygote_worker(const Zygote *zygote)
{
	return zygote->worker;
}

bool zygote_ask(Zygote *zygote, int64_t task, const char *folder, bool git, int secrets_fd, GError **error)
{
	if (zygote->fd < 0 && !start(zygote, error))
		return false;
	g_autoptr(json_t) request = json_object();
	json_set_int(request, "task", task);
	json_set_string(request, "folder", folder);
	if (git)
		json_set_bool(request, "git", true);
	g_autofree char *text = json_text_unsorted(request);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = text, .iov_len = strlen(text)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (secrets_fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof control;
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &secrets_fd, sizeof secrets_fd);
	}
	if (sendmsg(zygote->fd, &message, MSG_NOSIGNAL) < 0)
		return fail_errno(error, errno, "cannot ask for a worker");
	int64_t *key = g_new(int64_t, 1);
	*key = task;
	g_hash_table_add(zygote->asked, key);
	return true;
}

void zygote_tidy(Zygote *zygote, int64_t pid)
{
	g_autoptr(GError) error = NULL;
	if (pid <= 0 || (zygote->fd < 0 && !start(zygote, &error)))
		return;
	char text[64];
	int len = g_snprintf(text, sizeof text, "{\"tidy\":%" G_GINT64_FORMAT "}", pid);
	if (send(zygote->fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("cannot ask for a worker's leftovers to be removed; the next job does it", KV("why", g_strerror(errno)));
}
