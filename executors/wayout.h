/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network `full`: one of a place's own, and pasta as the way out of it. pasta is a program of the host (Debian's
 * package passt) that reads a place's packets from a tap device and speaks for it by sockets of its own.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "executors/cgroup.h"
#include "executors/outside.h"
#include "executors/supervisor.h"

typedef struct WayOut {
	Supervisor program;
	int network_fd; /* the place's network; -1: there is none, and close() does nothing */
	int routes_fd;  /* rtnetlink in it, until it is finished */
	int ready_fd;   /* says when the program is ready */
	int errors_fd;  /* its last words */
	Outside outside;
} WayOut;

void wayout_init(WayOut *wayout);
/**
 * Makes the network and starts pasta, which is not waited for. It ends with this process, whatever ends that.
 *
 * @user_fd  where an ordinary user's namespaces are made (ready_user()); -1 as root
 * @group    the place's control group, whose memory and time pasta uses
 * Returns   false with what this host lacks and how it is changed
 */
bool wayout_open(WayOut *wayout, const char *const *allow, int user_fd, const Cgroup *group, GError **error);
/** Waits for pasta, then leads the network out. Until this is done nothing of the job may run in it. */
bool wayout_finish(WayOut *wayout, GError **error);
/** False when pasta has ended by itself; true where there is none. */
bool wayout_holds(const WayOut *wayout);
void wayout_close(WayOut *wayout);
