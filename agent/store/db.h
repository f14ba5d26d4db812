/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's memory: open, migrate, transactions, statements kept by number. Nobody else says SQL. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** One SQLite database, one writer, one thread. */
typedef struct Store Store;

/**
 * Opens D/assay.db (or ":memory:"), applies what is missing of schema/NNNN_*.sql, sets WAL, foreign keys,
 * synchronous FULL. A file of a newer version is refused with USER.
 *
 * @key    32 bytes: the key that seals secrets; copied, locked in memory
 */
Store *store_open(const char *path, const uint8_t key[32], GError **error);
void store_close(Store *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Store, store_close)

/** Transactions nest by counting: only the outermost commits; one rollback inside undoes all of it. */
bool store_begin(Store *store, GError **error);
/**
 * The same without a sync at its commit: it outlives every death of the process, and a loss of power only together
 * with what came before it. For states that are read again from files or tried again; never for what was answered.
 * Inside another transaction it is part of that one.
 */
bool store_begin_relaxed(Store *store, GError **error);
/** Brings everything that was committed, relaxed or not, to the disk. Outside of a transaction. */
bool store_sync(Store *store, GError **error);
bool store_commit(Store *store, GError **error);
void store_rollback(Store *store);
bool store_in_transaction(const Store *store);

/** A number that grows with every committed change: what an SSE reader compares to know that it must look. */
uint64_t store_changes(const Store *store);

/**
 * Gives back what only makes things faster: cached pages, and statements that are prepared again on their next use
 * (about 50 µs each). For a moment of quiet; does nothing inside a transaction.
 */
void store_trim(Store *store);
