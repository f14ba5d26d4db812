/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of states and moves. A state that has ended never moves again: a re-run is a new record. */
#include "agent/model/run.h"

#include <glib.h>
#include <string.h>

#define BIT(state) (1U << (state))
#define ENDS (BIT(RUN_SUCCESS) | BIT(RUN_FAILURE) | BIT(RUN_CANCELLED) | BIT(RUN_SKIPPED))

static const struct {
	const char *name;
	unsigned moves;
} states[] = {
        [RUN_QUEUED] = {"queued", BIT(RUN_WAITING) | BIT(RUN_RUNNING) | ENDS},
        [RUN_WAITING] = {"waiting", BIT(RUN_QUEUED) | BIT(RUN_RUNNING) | ENDS},
        [RUN_RUNNING] = {"running", BIT(RUN_QUEUED) | BIT(RUN_WAITING) | ENDS},
        [RUN_SUCCESS] = {"success", 0},
        [RUN_FAILURE] = {"failure", 0},
        [RUN_CANCELLED] = {"cancelled", 0},
        [RUN_SKIPPED] = {"skipped", 0},
};

const char *run_state_name(RunState state)
{
	g_assert((size_t)state < G_N_ELEMENTS(states));
	return states[state].name;
}

bool run_state_parse(const char *name, RunState *out)
{
	for (size_t i = 0; name && i < G_N_ELEMENTS(states); i++)
		if (strcmp(states[i].name, name) == 0) {
			*out = (RunState)i;
			return true;
		}
	return false;
}

bool run_state_is_end(RunState state)
{
	return (BIT(state) & ENDS) != 0;
}

bool run_state_may_move(RunState from, RunState to)
{
	g_assert((size_t)from < G_N_ELEMENTS(states));
	return (states[from].moves & BIT(to)) != 0;
}
