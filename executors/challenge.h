/* SPDX-License-Identifier: Apache-2.0 */
/* WWW-Authenticate: by which schemes a server lets one in, and with what (RFC 9110, 11.3 and 11.6.1). */
#pragma once

#include <stdbool.h>

/**
 * Looks for a scheme among a header's challenges; several headers are one, with commas between. Letters are compared
 * without their case; of what is said twice, the first counts; behind what breaks the grammar nothing is read.
 *
 * @header      any text
 * @name        of one of the scheme's parameters, or NULL
 * @out_value   gets its value, the caller's, when it is there and printable ASCII; else NULL. NULL: nobody asks
 * Returns      is the scheme offered?
 */
bool challenge_find(const char *header, const char *scheme, const char *name, char **out_value);
