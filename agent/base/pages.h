/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of a process that waits. */
#pragma once

/**
 * Lets go of the pages of programs and libraries that only the start has read: tables of symbols, mostly. Of a mapping that was
 * never written nothing is lost; what is needed again comes from the kernel's cache.
 */
void pages_let_go(void);

/**
 * For a process that others are cloned from, when it is ready: gives free memory inside the heap back to the kernel, so that a clone
 * gets fresh pages there and not copies of the parent's; and lets heaps grow by so much at once that a small clone never asks.
 */
void pages_settle(void);
