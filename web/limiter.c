/* SPDX-License-Identifier: Apache-2.0 */
/* Failures by key. A window begins with a key's first failure and is forgotten whole when it is over. */
#include "web/limiter.h"

typedef struct Window {
	int64_t since_us;
	unsigned failures;
} Window;

struct Limiter {
	unsigned failures, keys_max;
	int64_t window_us;
	GHashTable *windows;
};

Limiter *limiter_new(unsigned failures, int64_t window_us, unsigned keys_max)
{
	Limiter *limiter = g_new0(Limiter, 1);
	*limiter = (Limiter){.failures = failures, .keys_max = keys_max, .window_us = window_us,
	        .windows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free)};
	return limiter;
}

void limiter_free(Limiter *limiter)
{
	if (!limiter)
		return;
	g_hash_table_unref(limiter->windows);
	g_free(limiter);
}

int64_t limiter_wait_s(Limiter *limiter, const char *key, int64_t at_us)
{
	const Window *window = g_hash_table_lookup(limiter->windows, key);
	if (!window || window->failures < limiter->failures)
		return 0;
	int64_t left_us = window->since_us + limiter->window_us - at_us;
	return left_us > 0 ? (left_us + 999999) / 1000000 : 0;
}

/** Makes room: what is over goes, and if nothing is, the oldest. */
static void make_room(Limiter *limiter, int64_t at_us)
{
	GHashTableIter iter;
	void *key, *value;
	const char *oldest = NULL;
	int64_t oldest_us = G_MAXINT64;
	g_hash_table_iter_init(&iter, limiter->windows);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		const Window *window = value;
		if (window->since_us + limiter->window_us <= at_us) {
			g_hash_table_iter_remove(&iter);
		} else if (window->since_us < oldest_us) {
			oldest_us = window->since_us;
			oldest = key;
		}
	}
	if (g_hash_table_size(limiter->windows) >= limiter->keys_max && oldest)
		g_hash_table_remove(limiter->windows, oldest);
}

void limiter_failed(Limiter *limiter, const char *key, int64_t at_us)
{
	Window *window = g_hash_table_lookup(limiter->windows, key);
	if (window && window->since_us + limiter->window_us > at_us) {
		window->failures++;
		return;
	}
	if (!window && g_hash_table_size(limiter->windows) >= limiter->keys_max)
		make_room(limiter, at_us);
	window = g_new(Window, 1);
	*window = (Window){.since_us = at_us, .failures = 1};
	g_hash_table_replace(limiter->windows, g_strdup(key), window);
}

void limiter_forgive(Limiter *limiter, const char *key)
{
	g_hash_table_remove(limiter->windows, key);
}
