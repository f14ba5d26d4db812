/* SPDX-License-Identifier: Apache-2.0 */
/* The forges, one row each, by the alphabet. */
#include "agent/forge.h"

#define FORGES(ROW) ROW(generic) ROW(github)
#define DECLARE(name) extern const Forge forge_##name;
#define POINT(name) &forge_##name,
FORGES(DECLARE)
const Forge *const forges[] = {FORGES(POINT) NULL};
