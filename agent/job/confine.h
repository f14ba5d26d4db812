/* SPDX-License-Identifier: Apache-2.0 */
/* What the worker itself gives up, in order, before it reads a stranger's byte. */
#pragma once

#include <stdbool.h>

/** At the start of every task: no core files, new files for nobody else. */
void confine_begin(void);
/**
 * Before the first foreign byte is read: nobody of the same user may look into this process (it holds secrets), and,
 * unless the steps' executor depends on set-user-ID programs, neither it nor what it starts can gain rights.
 */
void confine_before_strangers(bool keep_privileges);
