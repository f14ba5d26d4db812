/* SPDX-License-Identifier: Apache-2.0 */
/* An entry of the config's `sandbox.allow`: whom jobs with the network `full` reach. Pure; names are not looked up here. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct Reach {
	bool everything;     /* "*" */
	char *host;          /* a name or an address, without brackets, prefix and port; NULL for everything */
	int family;          /* AF_INET or AF_INET6 of an address; 0: it is a name */
	uint8_t address[16]; /* in the network's order */
	unsigned prefix;     /* bits of the address that count */
	uint16_t port;       /* 0: all */
} Reach;

/**
 * Reads "*", "host", "host:port", "10.1.0.0/16", "10.1.0.0/16:443", "[2001:db8::1]:443" or "2001:db8::/32".
 *
 * @out      the caller's (reach_clear)
 * Returns   false with USER; loopback addresses are refused, since no network leads there
 */
bool reach_parse(const char *text, Reach *out, GError **error);
void reach_clear(Reach *reach);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reach, reach_clear)

/** Is it the address of a machine itself: 127.0.0.0/8, ::1, the unspecified ones? */
bool reach_is_loopback(int family, const uint8_t *address);
