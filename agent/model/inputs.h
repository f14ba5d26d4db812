/* SPDX-License-Identifier: Apache-2.0 */
/* The inputs of a `workflow_dispatch`: the same rules, in the same words, wherever they are given. Pure. */
#pragma once

#include <glib.h>
#include <jansson.h>

/**
 * Each declared input in its declared kind, with its default when it is not given.
 *
 * @declared   object: name → {"type","default","required","options"}; NULL: none
 * @given      object: name → value; texts are read as the kind; NULL: none
 * @what       the workflow, for messages: ".github/workflows/train.yml"
 * Returns     the caller's; NULL with USER: one is unknown, required and missing, or of another kind
 */
json_t *inputs_complete(const json_t *declared, const json_t *given, const char *what, GError **error);
