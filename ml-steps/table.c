/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of this room, alphabetical: a step that is not here does not exist. */
#include "agent/mlstep.h"

#define ML_STEPS(ROW) \
	ROW(compare) ROW(dataset) ROW(metrics) ROW(null) ROW(promote) ROW(register) ROW(snapshot) ROW(train)
#define DECLARE(name) extern const MlStep ml_step_##name;
#define POINT(name) &ml_step_##name,

ML_STEPS(DECLARE)
const MlStep *const ml_steps[] = {ML_STEPS(POINT) NULL};
