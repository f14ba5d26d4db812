/* SPDX-License-Identifier: Apache-2.0 */
/* The rows. Summaries begin with a verb and have no full stop. */
#include "agent/verbs.h"

const Verb verbs[] = {
        {"doctor", NULL, VERB_WORKER, "says what this host can do, and what to change", "[--json]"},
        {"exec", NULL, VERB_WORKER, "runs one command as a job's step would see the world",
                "[--executor E] [--network none|loopback|full] -- COMMAND…"},
        {"expr", NULL, VERB_WORKER, "evaluates expressions", "--contexts F [--jsonl F]"},
        {"validate", NULL, VERB_WORKER, "checks workflow files", "[--format text|json] PATH…"},
        {NULL, NULL, VERB_SERVER, NULL, NULL},
};
