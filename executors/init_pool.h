/* SPDX-License-Identifier: Apache-2.0 */
/* Init's third way of life: no place at all, but a supply of network namespaces for those to come; see netpool.c. */
#pragma once

#include "executors/init.h"

/**
 * Gets ready: as an ordinary user in his user namespace, in a network namespace to come home to.
 *
 * @fds   the pool's socket, then the user namespace when setup->enter
 */
InitReply init_pool_begin(const InitPool *setup, const int *fds, int fds_len);
/** Keeps the pool filled until the control socket or the pool's other end closes. */
void init_pool_serve(void) __attribute__((noreturn));
