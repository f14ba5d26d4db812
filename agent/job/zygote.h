/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting process from which workers are cloned (docs/formats.md, "The zygote"). */
#pragma once

/** Serves requests on a SOCK_SEQPACKET descriptor until its other end closes. Returns the exit status. */
int zygote_main(int socket_fd);
