/* SPDX-License-Identifier: Apache-2.0 */
/* How a gate is named and summed up in one sentence, the same in the list and on its own page. */
#pragma once

#include <glib.h>
#include <jansson.h>

/** "digits 8 → production", or the job's name where no model is released. The caller's. */
char *gate_title(const json_t *gate);
/** Appends the evidence's sentence, or says that nothing was compared. */
void gate_sentence(GString *out, const json_t *gate);
