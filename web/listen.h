/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets to listen on, and who is at the other end. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/** A listening TCP socket at a numeric address; port 0: the kernel's choice. out_url: "http://[::1]:8080". -1 on error. */
int listen_tcp(const char *address, uint16_t port, char **out_url, GError **error);
/** A listening unix socket of mode 0660; one that a dead agent left behind is replaced, a live one is BUSY. -1 on error. */
int listen_unix(const char *path, GError **error);
/** The uid at the other end of a unix socket; (uid_t)-1 when the kernel does not say. */
uid_t listen_peer_uid(int fd);
/** The address as text, IPv6 as its /64: what limits count by. The caller's. */
char *listen_address_text(const struct sockaddr *address, bool *out_loopback);
