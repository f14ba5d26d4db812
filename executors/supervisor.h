/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's end of the conversation with a place's first process (init.c, init.h). */
#pragma once

#include <glib.h>
#include <linux/filter.h>
#include <stdbool.h>

#include "agent/executor.h"
#include "executors/init.h"

typedef struct Supervisor {
	pid_t pid;
	int pidfd;
	int control_fd;
} Supervisor;

/** Empty: kill and finish are safe on it. */
void supervisor_init(Supervisor *supervisor);
/** Makes the socket pair; returns init's end, which the child gets as INIT_CONTROL_FD. -1 on error. */
int supervisor_connect(Supervisor *supervisor, GError **error);
/** Sends the first packet, with setup->filter_len instructions, and waits until init has confined itself. */
bool supervisor_setup(Supervisor *supervisor, const InitSetup *setup, const struct sock_filter *filter, GError **error);
/** As Executor.start, signal and finish. */
bool supervisor_start(Supervisor *supervisor, const StepSpec *spec, Child *out, GError **error);
void supervisor_signal(Supervisor *supervisor, const Child *child, int signal_number);
bool supervisor_finish(Supervisor *supervisor, Child *child, StepEnd *out, GError **error);
/** Ends init at once, and with a pid namespace everything in it; waits until it is gone. */
void supervisor_kill(Supervisor *supervisor);
/** Closes the connection and waits for init to end what it supervises, then itself. */
void supervisor_leave(Supervisor *supervisor);
