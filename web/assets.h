/* SPDX-License-Identifier: Apache-2.0 */
/* Style, script and logo, compiled into the program. */
#pragma once

#include "web/request.h"

/** The address of an asset with the hash of its bytes in it: "/assets/style.0f3a….css". Static; NULL for an unknown name. */
const char *assets_address(const char *name);
bool assets_get(Request *request, GError **error);
