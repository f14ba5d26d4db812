/* SPDX-License-Identifier: Apache-2.0 */
/* The two ways in which init gets ready; see init_confine.c. */
#pragma once

#include "executors/init.h"

/** In a sandbox. The filter's instructions lie behind *setup. `error` of the answer is 0 when all of it is done. */
InitReply init_confine(const InitSetup *setup);

/** On a host: only the user and the limits that a process can have by itself, and orphans come to us. */
InitReply init_supervise(const InitSetup *setup);
/** From here on host ids: the agent's root becomes another user, still able to make a user namespace. */
long init_become(uint32_t uid, uint32_t gid);
