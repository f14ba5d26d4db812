/* SPDX-License-Identifier: Apache-2.0 */
/* Opens, decides and expires gates. */
#pragma once

#include "agent/daemon/daemon.h"

/**
 * One person's verdict on a gate.
 *
 * @user      {"name","role"} as people_by_token gives it
 * @verdict   {"verdict":"approve|reject","comment":"…","override":bool,"evidence_digest":"…"|absent}
 * @out       the gate afterwards (docs/api.md), the caller's
 * Returns    false with DENIED (not a reviewer, or the author), BUSY (ended, superseded, or other evidence was shown),
 *            USER (approving against evidence that does not pass, without override and comment)
 */
bool gatekeeper_verdict(Daemon *daemon, int64_t gate, const json_t *user, const json_t *verdict, json_t **out,
        GError **error);
