/* SPDX-License-Identifier: Apache-2.0 */
/* Counts failures by key in a window of time: too many, and the key has to wait. Pure but for its own memory. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Limiter Limiter;

/** At most `failures` in `window_us` for each of at most `keys_max` keys; when there are more, the oldest is forgotten. */
Limiter *limiter_new(unsigned failures, int64_t window_us, unsigned keys_max);
void limiter_free(Limiter *limiter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Limiter, limiter_free)

/** 0 when the key may try, else the seconds until it may. */
int64_t limiter_wait_s(Limiter *limiter, const char *key, int64_t at_us);
void limiter_failed(Limiter *limiter, const char *key, int64_t at_us);
void limiter_forgive(Limiter *limiter, const char *key);
