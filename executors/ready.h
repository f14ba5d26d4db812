/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the places of one process, and of the clones of it, have in common and find ready: templates of their root, and
 * network namespaces. A template is made when it is first asked for; a zygote has both made before there is a job.
 */
#pragma once

#include <stdbool.h>

#include "executors/template.h"

/** The user namespace of an ordinary user's places, made once; -1 as root. */
bool ready_user(int *out_fd, Failure *out);
/**
 * The ids that an image's root may have beside his own, or why there are none. Borrowed, until it is asked again.
 *
 * @wish   as for ids_of_root(); an ordinary user has what his user namespace was made with, or none
 */
const Ids *ready_ids(const char *wish, uid_t uid, gid_t gid);
/** A user namespace with these ids, in which layers are unpacked. Borrowed; -1 with *out. */
int ready_ids_user(const Ids *ids, uid_t uid, gid_t gid, Failure *out);
/**
 * Makes ready what can be made before there is a job, and renews what is no longer right: in a process that waits, and
 * whose clones open places.
 *
 * Returns   a descriptor that becomes readable when it should be called again; -1 when nothing could be made ready
 */
int ready_prepare(void);
/** A network namespace that nobody else has, perhaps used before; -1 when none is ready. The caller's. */
int ready_network(void);
/** Takes one back that nobody uses any more. Takes fd. */
void ready_network_back(int fd);
/** Closes the last descriptor of a mount namespace, which takes the kernel a while: elsewhere, if we can. Takes fd. */
void ready_discard(int fd);
/** A template that is right for a recipe and for the host as it is now; made where there is none. Borrowed. */
const Template *ready_template(const char *recipe, Failure *out);
