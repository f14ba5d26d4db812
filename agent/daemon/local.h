/* SPDX-License-Identifier: Apache-2.0 */
/* `assay run`: the same daemon without a front, over a working tree, until one event's runs have ended. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>

#include "agent/daemon/daemon.h"

/** What the command line says. Borrowed. */
typedef struct LocalRun {
	const char *folder;   /* the working tree, absolute */
	const char *workflow; /* file name or path; NULL: every workflow that the event starts */
	const char *event;    /* "push" */
	const json_t *payload; /* of the event, or NULL */
	const char *job;      /* only it and what it needs; NULL: all */
	const json_t *inputs;
	const json_t *secrets;
	const json_t *vars;
	const char *executor;
	const char *network;
	bool json;            /* events as JSON lines rather than log lines */
} LocalRun;

/**
 * Runs to the end, log lines on stdout as "job | text", and says how it went on stderr.
 *
 * @out_success   every run succeeded, and there was at least one
 */
bool local_run(Daemon *daemon, const LocalRun *request, bool *out_success, GError **error);
