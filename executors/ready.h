/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the places of one process, and of the clones of it, have in common and find ready: templates, and later what
 * else is made beforehand. It is made when first asked for; a zygote asks before there is a job.
 */
#pragma once

#include <stdbool.h>

#include "executors/template.h"

/** The user namespace of an ordinary user's places, made once; -1 as root. */
bool ready_user(int *out_fd, Failure *out);
/** A template that is right for a recipe and for the host as it is now; made where there is none. Borrowed. */
const Template *ready_template(const char *recipe, Failure *out);
