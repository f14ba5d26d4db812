/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Versions and what a wish for one means: npm's ranges ("^20", ">=18 <21", "3.10 - 3.12", "3.x", "||"), and those of
 * Python's packages (">=3.10,<3.13", "~=3.11", "!=3.12.*").
 */
#pragma once

#include <stdbool.h>

/** Can the wish be read at all? An empty one fits everything. */
bool version_is_range(const char *range);
/**
 * Does a version fulfil a wish?
 *
 * @version       "3.11.2"; "3.14.0-rc.2" is one before 3.14.0
 * @prereleases   may it be one of those?
 */
bool version_fits(const char *version, const char *range, bool prereleases);
/** Less than, equal to or greater than 0, as strcmp; what is no version comes first. */
int version_compare(const char *a, const char *b);
