/* SPDX-License-Identifier: Apache-2.0 */
/* A body that comes bit by bit: server-sent events, or a file that is being made. The server asks for more only when the client has taken the last. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define FEED_BYTES_MAX (64 * 1024) /* what fill() may append at once: the most that waits in memory for one client */

typedef struct Feed Feed;
struct Feed {
	/** Appends what there is, at most about FEED_BYTES_MAX; false when nothing will come after it. */
	bool (*fill)(Feed *feed, GString *out);
	void (*free)(Feed *feed);
	bool is_plain;   /* the bytes of a file rather than events: nothing is put between them */
	bool has_failed; /* fill() has returned false before all had come: the client sees a broken connection */
	void *exchange; /* the server's */
};

/** Says that fill() would have something: the client is served in the next turn of the loop. */
void feed_wake(Feed *feed);
/** Room for one more? Otherwise BUSY. */
bool feed_may_open(GError **error);
