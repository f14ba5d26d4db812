/* SPDX-License-Identifier: Apache-2.0 */
/* Annotations: what a step says about a place in its files, by a command or through a problem matcher. */
#pragma once

#include <stdbool.h>

#include "agent/job/commands.h"
#include "agent/job/job.h"

#define ANNOTATIONS_A_LEVEL 10 /* of a step; more are only lines of the log, and one annotation says so */

/** A new step: it may say as much as the last one, and matchers forget what that one has half said. */
void annotate_begin_step(Job *job);
/** Lines of the log and an annotation; properties may be NULL: {"title","file","line","endline","col"}, texts. */
void annotate_say(Job *job, const char *level, const char *message, const json_t *properties);
/** `::add-matcher::file` and `::remove-matcher owner=x::`; what cannot be used is an annotation that says why. */
bool annotate_add_matcher(Job *job, const Command *command);
bool annotate_remove_matcher(Job *job, const Command *command);
