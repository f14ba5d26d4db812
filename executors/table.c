/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the room, in alphabetical order. A new executor is one file and one ROW. */
#include "agent/executor.h"

#define EXECUTORS(ROW) ROW(container) ROW(host) ROW(null) ROW(sandbox)
#define DECLARE(name) extern const Executor executor_##name;
#define POINT(name) &executor_##name,

EXECUTORS(DECLARE)
const Executor *const executors[] = {EXECUTORS(POINT) NULL};
