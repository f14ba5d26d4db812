/* SPDX-License-Identifier: Apache-2.0 */
/* The tasks `plan` (an event becomes runs and jobs) and `resolve` (a job whose needs have ended). */
#pragma once

#include "agent/job/task.h"

void planning_plan(Task *task, TaskEnd *end);
void planning_resolve(Task *task, TaskEnd *end);
