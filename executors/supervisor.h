/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's end of the conversation with a place's first process (init.c, init.h). */
#pragma once

#include <glib.h>
#include <linux/filter.h>
#include <stdbool.h>

#include "agent/executor.h"
#include "executors/init.h"
#include "executors/place.h"

typedef struct Supervisor {
	pid_t pid;
	int pidfd;
	int control_fd;
	bool unanswered; /* init was sent its setup, and has not yet said how it went */
} Supervisor;

/** Empty: kill and finish are safe on it. */
void supervisor_init(Supervisor *supervisor);

/** How init is born. */
typedef struct Birth {
	/* Goes where the namespaces may be made, in a child of its own that then clones init's; NULL: they may be here. */
	bool (*enter)(void *data);
	unsigned long flags;         /* of clone(2): the namespaces */
	/* In the child, before init; like enter() system calls only; NULL for nothing. What it sends the worker receives. */
	bool (*prepare)(void *data, int control_fd);
	void *data;
	Failure *failure;            /* where prepare() says why it could not */
	const InitSetup *setup;      /* the first packet, which init finds waiting; NULL: it is sent later */
	const struct sock_filter *filter; /* setup->filter_len instructions */
} Birth;

/**
 * Starts init from a sealed memory file, in a session of its own, with no descriptor of ours but its end of the
 * control socket. The child shares our memory until then, so the cost does not grow with it.
 *
 * Returns   false with *birth->failure filled; why is the errno of clone(2) itself when `what` says so
 */
bool supervisor_launch(Supervisor *supervisor, const Birth *birth);
/** What prepare() has sent by supervisor_send_fds(): exactly `count` descriptors, the caller's, or all are -1. */
void supervisor_receive_fds(const Supervisor *supervisor, int *out, size_t count);
/** Async-signal-safe. At most SUPERVISOR_FDS_MAX. */
bool supervisor_send_fds(int control_fd, const int *fds, size_t count);
#define SUPERVISOR_FDS_MAX 4
/** Waits until init has done what its setup says. The first start does so by itself, if nobody has. */
bool supervisor_begin(Supervisor *supervisor, GError **error);
/** Sends the first packet, InitPool or InitWayOut, to one that shall be something else than a place; waits for its answer. */
bool supervisor_keep(Supervisor *supervisor, const void *packet, size_t len, const int *fds, size_t fds_len, GError **error);
/** As Executor.start, signal and finish. */
bool supervisor_start(Supervisor *supervisor, const StepSpec *spec, Child *out, GError **error);
void supervisor_signal(Supervisor *supervisor, const Child *child, int signal_number);
bool supervisor_finish(Supervisor *supervisor, Child *child, StepEnd *out, GError **error);
/** Ends init at once, and with a pid namespace everything in it; waits until it is gone. */
void supervisor_kill(Supervisor *supervisor);
/** Closes the connection and waits for init to end what it supervises, then itself. */
void supervisor_leave(Supervisor *supervisor);
