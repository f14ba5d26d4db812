/* SPDX-License-Identifier: Apache-2.0 */
/* Init's fourth way of life: no place, but a network namespace for one, and then the program that is its way out. */
#pragma once

#include <stddef.h>

#include "executors/init.h"

/**
 * Makes the network, sends its descriptor and a socket of rtnetlink in it behind the answer, and becomes the program,
 * whose input is the network's descriptor, whose output the first and whose errors the second of the pipes it was given.
 *
 * @fds      the two pipes, then the user namespace when setup->enter
 * Returns   only what it could not do
 */
InitReply init_wayout(const InitWayOut *setup, size_t packet_len, const int *fds, int fds_len);
