/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's half of a download. The packing process writes into a pipe as fast as the client takes: what waits is the
 * pipe's 64 KiB. It is killed when the client goes away, when it has nothing to say for a minute, and after hours. A zip
 * counts as whole only when the process says so by its exit status.
 */
#include "agent/daemon/download.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/spawn.h"

#define SILENCE_S 60
#define LONGEST_US (6 * 60 * 60 * (int64_t)1000000)

struct Download {
	int fd;              /* the pipe; -1 when it has ended */
	int pidfd;           /* -1 when it was waited for */
	guint ready_source;  /* on one of them, while the reader waits */
	guint silence_source;
	int64_t until_us;
	bool is_late;        /* it was killed for it */
	void (*ready)(void *data);
	void *data;
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(fd_steal(fd));
}

static void stop_waiting(Download *download)
{
	g_clear_handle_id(&download->ready_source, g_source_remove);
	g_clear_handle_id(&download->silence_source, g_source_remove);
}

static void kill_it(const Download *download)
{
	syscall(SYS_pidfd_send_signal, download->pidfd, SIGKILL, NULL, 0U);
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer data)
{
	(void)fd;
	(void)condition;
	Download *download = data;
	download->ready_source = 0;
	stop_waiting(download);
	download->ready(download->data);
	return G_SOURCE_REMOVE;
}

static gboolean on_silence(gpointer data)
{
	Download *download = data;
	download->silence_source = 0;
	download->is_late = true;
	kill_it(download); /* the pipe's end then wakes the reader */
	return G_SOURCE_REMOVE;
}

static DownloadState wait_for(Download *download, int fd)
{
	if (!download->ready_source)
		download->ready_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_ready, download);
	if (!download->silence_source)
		download->silence_source = g_timeout_add_seconds(SILENCE_S, on_silence, download);
	return DOWNLOAD_LATER;
}

Download *download_start(const DownloadSpec *spec, GError **error)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		fail_errno(error, errno, "cannot make a pipe");
		return NULL;
	}
	autofd int ours = ends[0];
	autofd int theirs = ends[1];
	g_autofree char *time_s = g_strdup_printf("%" G_GINT64_FORMAT, MAX(spec->time_us, 0) / 1000000);
	const char *const argv[] = {spec->worker, "export", spec->folder, spec->digest, time_s, NULL};
	const char *const envp[] = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/nonexistent", "TZ=UTC0", NULL};
	const int fds[] = {-1, theirs, STDERR_FILENO};
	const SpawnSpec child = {.argv = argv, .envp = envp, .fds = fds, .fds_len = 3, .own_session = true,
	        .die_with_parent = true, .folder = "/"};
	if (fcntl(ours, F_SETFL, O_NONBLOCK) < 0) {
		fail_errno(error, errno, "cannot set up a pipe");
		return NULL;
	}
	int pidfd = spawn(&child, NULL, error);
	if (pidfd < 0)
		return NULL;
	Download *download = g_new(Download, 1);
	*download = (Download){.fd = fd_steal(&ours), .pidfd = pidfd, .until_us = monotonic_us() + LONGEST_US,
	        .ready = spec->ready, .data = spec->data};
	return download;
}

/* The pipe has ended: how did the process? */
static DownloadState finish(Download *download, GError **error)
{
	GPollFD poll = {.fd = download->pidfd, .events = G_IO_IN};
	if (g_poll(&poll, 1, 0) <= 0)
		return wait_for(download, download->pidfd);
	SpawnEnd end;
	bool waited = spawn_wait(download->pidfd, &end, error);
	shut(&download->pidfd);
	if (!waited)
		return DOWNLOAD_FAILED;
	if (end.exit_code == 0)
		return DOWNLOAD_END;
	if (download->is_late)
		fail(error, ASSAY_ERROR_SYSTEM, "the process that packs was ended: it took too long");
	else if (end.signal)
		fail(error, ASSAY_ERROR_SYSTEM, "the process that packs was ended by signal %d", end.signal);
	else
		fail(error, ASSAY_ERROR_SYSTEM, "the process that packs failed; the line before says why");
	return DOWNLOAD_FAILED;
}

DownloadState download_read(Download *download, void *buffer, size_t room, size_t *out_len, GError **error)
{
	if (download->pidfd < 0) {
		fail(error, ASSAY_ERROR_SYSTEM, "the download has ended");
		return DOWNLOAD_FAILED;
	}
	if (monotonic_us() > download->until_us && !download->is_late) {
		download->is_late = true;
		kill_it(download);
	}
	if (download->fd < 0)
		return finish(download, error);
	ssize_t got;
	do
		got = read(download->fd, buffer, room);
	while (got < 0 && errno == EINTR);
	if (got > 0) {
		*out_len = (size_t)got;
		return DOWNLOAD_BYTES;
	}
	if (got < 0 && errno == EAGAIN)
		return wait_for(download, download->fd);
	if (got < 0) {
		fail_errno(error, errno, "cannot read what is packed");
		return DOWNLOAD_FAILED;
	}
	shut(&download->fd);
	return finish(download, error);
}

static gboolean on_killed(gint pidfd, GIOCondition condition, gpointer data)
{
	(void)condition;
	(void)data;
	SpawnEnd end;
	spawn_wait(pidfd, &end, NULL);
	close(pidfd);
	return G_SOURCE_REMOVE;
}

void download_free(Download *download)
{
	if (!download)
		return;
	stop_waiting(download);
	shut(&download->fd);
	if (download->pidfd >= 0) {
		kill_it(download);
		g_unix_fd_add(download->pidfd, G_IO_IN, on_killed, NULL); /* its end is not waited for here */
	}
	g_free(download);
}
