/* SPDX-License-Identifier: Apache-2.0 */
/* A gate's decision: an environment's rules × what people said. Pure. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum GateState { GATE_WAITING, GATE_APPROVED, GATE_REJECTED } GateState;

/** Does this environment hold its jobs at a gate? rules as environments_get gives them; NULL: no. */
bool gate_is_held(const json_t *rules);

/** May a run of this ref use the environment? Patterns of rules.branches by fnmatch(3), against the short name. */
bool gate_branch_allowed(const json_t *rules, const char *ref);

/**
 * Where the gate stands: one rejection rejects, rules.approvals approvals of different people approve.
 *
 * @verdicts   [{"user","verdict","evidence_digest"}]; those of another digest do not count
 */
GateState gate_decide(const json_t *rules, const json_t *verdicts, const char *evidence_digest);

/**
 * May this person give this verdict?
 *
 * @author     who caused the run
 * @out_why    static text why not, when false
 */
bool gate_may_decide(const json_t *rules, const char *user, const char *author, const char **out_why);

/** Does approving against this verdict of the evidence ("pass", "fail", …) need an override with a reason? */
bool gate_needs_override(const char *evidence_verdict);
