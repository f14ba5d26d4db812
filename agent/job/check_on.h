/* SPDX-License-Identifier: Apache-2.0 */
/* What tables cannot say of `on`: filters that exclude each other, schedules, inputs of a dispatch. */
#pragma once

#include "agent/job/check.h"

/** Appends mistakes to errors; `on` may be NULL. */
void check_on(const YamlDocument *document, const YamlNode *on, json_t *errors);
