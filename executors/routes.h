/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rtnetlink is asked for in a network of a place's own: the few requests that make a link a way out. Each waits for
 * the kernel's answer. Every function returns false with SYSTEM, which names what was refused.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define ROUTES_LOOPBACK 1 /* its number in every network */

/** A line of what is asked before any route is looked up; the first that fits decides. */
typedef struct RoutesRule {
	int family;
	uint8_t address[16];
	unsigned prefix;   /* 0: every address */
	uint8_t protocol;  /* IPPROTO_TCP, IPPROTO_UDP; 0: all */
	uint16_t port;     /* with a protocol; 0: all */
	bool good;         /* it may go out; otherwise it is unreachable */
} RoutesRule;

/** The number of a link by its name; 0 on failure. `fd` is a socket of rtnetlink in that network; likewise below. */
unsigned routes_find(int fd, const char *name, GError **error);
/** Up, with no address that the kernel would choose by itself. mtu 0, mac NULL: as they are. */
bool routes_up(int fd, unsigned link, unsigned mtu, const uint8_t *mac, GError **error);
bool routes_address(int fd, unsigned link, int family, const uint8_t *address, unsigned prefix, GError **error);
/** A neighbour that is known for ever. */
bool routes_neighbour(int fd, unsigned link, int family, const uint8_t *address, const uint8_t mac[6], GError **error);
/**
 * Nobody else is a neighbour: the link never asks who has an address. Without that, whoever binds a socket to the link
 * reaches what no route leads to, since the kernel then takes every address for one on the link (ip_route_output_key).
 */
bool routes_ask_nobody(int fd, unsigned link, int family, GError **error);
bool routes_default(int fd, unsigned link, int family, const uint8_t *gateway, GError **error);
bool routes_rule(int fd, const RoutesRule *rule, unsigned order, GError **error);
