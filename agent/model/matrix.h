/* SPDX-License-Identifier: Apache-2.0 */
/* `strategy.matrix`, its expressions already evaluated → the combinations to run. Pure. */
#pragma once

#include <glib.h>
#include <jansson.h>

#define MATRIX_JOBS_MAX 256

/**
 * Unfolds a matrix: the product of its vectors, the first one outermost, less `exclude`, more `include`.
 *
 * @matrix    object of arrays, with `include` and `exclude`
 * Returns    array of {"values":{…},"label":"3.11, ubuntu"}, empty when everything is excluded; NULL with USER
 */
json_t *matrix_unfold(const json_t *matrix, GError **error);
