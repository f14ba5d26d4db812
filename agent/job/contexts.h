/* SPDX-License-Identifier: Apache-2.0 */
/* github, env, job, steps, runner, secrets … as one tree, and as the variables that every step gets. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/job/job.h"
#include "agent/model/expr.h"

/** Makes job->contexts from job.json, the secrets and the place. */
void contexts_fill(Job *job);
/** What depends on the place: paths of `github` and `runner`, `job.container` and `job.services`. */
void contexts_set_places(Job *job);
/** Evaluates `env` of workflow and job into job->env. */
bool contexts_fill_env(Job *job, GError **error);
/** Sets contexts.env to job->env and, above it, `more` (may be NULL). */
void contexts_set_env(Job *job, const json_t *more);
/** What an expression of a step sees now; hashFiles works on the workspace. */
ExprScope contexts_scope(Job *job);
/** Evaluates an object's templates: an object of strings, keys in order. NULL tree is empty. */
json_t *contexts_strings(Job *job, const json_t *tree, GError **error);
/** A template's string; the caller's. Scalars that are no strings become theirs. */
char *contexts_string(Job *job, const json_t *value, GError **error);
/** The environment of a command: NULL-terminated, the caller's. `extra` are "NAME=value" lines or NULL. */
char **contexts_environment(Job *job, const char *const *extra);
/** RUNNER_ARCH's word for this machine. Static. */
const char *contexts_arch(void);
