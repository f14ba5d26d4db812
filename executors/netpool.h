/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces made beforehand, for the places of a process and its clones. */
#pragma once

#include <stdbool.h>

#include "executors/place.h"
#include "executors/supervisor.h"

typedef struct NetPool {
	Supervisor keeper; /* a process that makes them while nobody waits; it dies with its parent */
	int take_fd, give_fd;
} NetPool;

/** Empty: take and close are safe on it. */
void netpool_init(NetPool *pool);
/** Starts the keeper. @user_fd  whose namespaces they are to be; -1 as root */
bool netpool_open(NetPool *pool, int user_fd, GError **error);
/** One that nobody else has; who takes it sees to it that it is as new. -1 when none is ready. The caller's. */
int netpool_take(const NetPool *pool);
/** Takes back one that nobody uses any more: it is taken again. Takes fd. */
void netpool_give(const NetPool *pool, int fd);
/** Has the keeper close a descriptor, when that is slow; done here where there is no keeper. Takes fd. */
void netpool_discard(const NetPool *pool, int fd);
/** The descriptors only: the keeper ends by it, unless a clone has them too; then with our own end. */
void netpool_close(NetPool *pool);
