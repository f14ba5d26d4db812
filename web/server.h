/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd as one GSource a listener; web_front (agent/front.h) is defined here. */
#pragma once

#define SERVER_CONNECTIONS_MAX 1000        /* at the address */
#define SERVER_SOCKET_CONNECTIONS_MAX 200  /* at the unix socket, kept apart so that admins always get in */
#define SERVER_CONNECTION_BYTES (32 * 1024) /* what a connection may take for its head and for sending */
#define SERVER_IDLE_S 30                   /* silence after which a connection is closed */
#define SERVER_API_BODY_BYTES (1024 * 1024)
#define SERVER_FEEDS_MAX 256
#define SERVER_HEARTBEAT_S 25              /* how soon a feed notices that its client is gone */
