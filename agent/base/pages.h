/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a process that waits. */
#pragma once

/**
 * Lets go of the pages of programs and libraries that only the start has read: tables of symbols, mostly. Of a mapping that was
 * never written nothing is lost; what is needed again comes from the kernel's cache.
 */
void pages_let_go(void);
