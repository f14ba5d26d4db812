/* SPDX-License-Identifier: Apache-2.0 */
/* The door to web/: a face of the agent. The roof starts it with the daemon and stops it before. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Daemon Daemon;

typedef struct Front {
	const char *name;
	/**
	 * Listens, as the daemon's config says (address, port, socket), on the default main context.
	 *
	 * @out_url   "http://127.0.0.1:8080", with the port really taken; the caller's
	 */
	bool (*start)(Daemon *daemon, char **out_url, GError **error);
	/** Answers what is under way, closes, frees. Safe when start() was never called. */
	void (*stop)(void);
} Front;

extern const Front web_front;
