/* SPDX-License-Identifier: Apache-2.0 */
/* What a place with the network `full` reaches, and by which names: of this machine, its resolver and the config's list. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* The two ends of the wire, and the third who answers for names: of prefixes that no network has (RFC 7335, RFC 4193). */
#define OUTSIDE_GATEWAY "192.0.0.1"
#define OUTSIDE_ADDRESS "192.0.0.2"
#define OUTSIDE_RESOLVER "192.0.0.3"
#define OUTSIDE_PREFIX 29
#define OUTSIDE_GATEWAY6 "fd61:7373:6179::1"
#define OUTSIDE_ADDRESS6 "fd61:7373:6179::2"
#define OUTSIDE_RESOLVER6 "fd61:7373:6179::3"
#define OUTSIDE_PREFIX6 64

typedef struct Outside {
	bool has_ipv4, has_ipv6; /* this machine has a default route */
	GArray *rules;           /* RoutesRule, of the families that it has */
	char *resolver;          /* for /etc/resolv.conf */
	char *hosts;             /* lines for /etc/hosts */
} Outside;

/**
 * Looks at the machine, and looks up the names of the list, which may take as long as its resolver does.
 *
 * @allow    entries as reach_parse() reads them, NULL-terminated; NULL: everything outside
 * Returns   false with SYSTEM: no default route, or a name that is not known
 */
bool outside_look(const char *const *allow, Outside *out, GError **error);
/** Accepts a zeroed one. */
void outside_clear(Outside *outside);
