/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of scalars by the YAML 1.2 core schema. For yaml.c alone. */
#pragma once

#include "agent/base/yaml.h"

/** Gives a scalar without quotes its kind and value. */
void yaml_set_plain(YamlNode *node);

/** Is a text written like this kind? The value goes to out, which may be written also when it is not. */
bool yaml_is_null(const char *text);
bool yaml_is_boolean(const char *text, bool *out);
bool yaml_is_integer(const char *text, double *out);
bool yaml_is_float(const char *text, double *out);
