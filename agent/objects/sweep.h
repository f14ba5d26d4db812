/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing what no one names any more, while others write: packs are condemned by one sweep and removed by a later one
 * (docs/decisions/0012-sweep.md). The caller says which digests must stay; the store does not know.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/objects/objects.h"

/** Longer than any snapshot takes, together with writing its digest down. */
#define SWEEP_GRACE_US (INT64_C(24) * 3600 * 1000000)

/** Keeps a digest, of a tree or of a small object, and all that it names. */
typedef bool (*SweepKeep)(const char *digest, void *keeper, GError **error);
/** Calls keep(digest, keeper, error) for every digest that must stay; false stops the sweep before it did anything. */
typedef bool (*SweepLive)(SweepKeep keep, void *keeper, void *data, GError **error);

typedef struct SweepResult {
	int64_t live;          /* objects that must stay */
	int64_t missing;       /* objects that must stay and are not there: objects_verify() says more */
	int64_t condemned;     /* packs that a later sweep may remove */
	int64_t rewritten;     /* packs whose live objects were moved to others */
	int64_t removed;       /* packs */
	int64_t removed_bytes; /* their size */
} SweepResult;

/**
 * One sweep. BUSY when another one is at work. Snapshots and restores go on meanwhile.
 *
 * @now_us    the time, as all times here
 * @grace_us  how long a pack stays condemned, and how young a pack is left alone; SWEEP_GRACE_US but in tests
 */
bool objects_sweep(Objects *objects, int64_t now_us, int64_t grace_us, SweepLive live, void *data, SweepResult *out,
        GError **error);
