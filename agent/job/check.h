/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a YAML tree against the tables of schema.h and gathers mistakes with line, column and caret. */
#pragma once

#include <glib.h>
#include <jansson.h>

#include "agent/job/schema.h"

/** More mistakes than this in one file are not told. */
#define CHECK_MISTAKES_MAX 100

/** Appends {"line","column","message","caret"} to errors. */
void check_mistake(json_t *errors, const YamlDocument *document, const YamlNode *at, const char *format, ...)
        G_GNUC_PRINTF(4, 5);
/** Checks the whole document. */
void check_document(const YamlDocument *document, const Shape *shape, json_t *errors);
