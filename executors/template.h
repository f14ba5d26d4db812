/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a place's root that all places have alike, made once and kept alive by descriptors of namespaces: a
 * place copies a dozen mounts instead of making sixty entries and leaving the host's root.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "executors/ids.h"
#include "executors/place.h"

typedef struct Template {
	char *recipe;       /* what it is right for: mounts_recipe() */
	int root_fd;        /* the mount namespace whose root it is */
	int host_fd;        /* an ordinary user's view of the host's mounts, from which trees may be taken; -1 as root */
	GArray *witnesses;  /* what was looked at on the host, as it was */
} Template;

/**
 * Makes the user namespace that an ordinary user's mounts and networks belong to, with his id mapped to the job's.
 *
 * @ids      mapped besides, by newuidmap: to the numbers from TEMPLATE_FIRST on; NULL: none
 * Returns   its descriptor, or -1
 */
int template_make_user(const Ids *ids, Failure *out);
#define TEMPLATE_FIRST 100000

/**
 * Makes a user namespace with an image's ids, in which its layers are unpacked and removed.
 *
 * @user_fd  from template_make_user(); -1 as root
 * @own_uid  what is the image's 0, as it is numbered where places are made; likewise own_gid
 * Returns   its descriptor, or -1
 */
int template_make_ids(int user_fd, const Ids *ids, uid_t own_uid, gid_t own_gid, Failure *out);

/**
 * Makes a template by a child of its own: the caller stays where it is.
 *
 * @user_fd  from template_make_user(); -1 as root
 */
Template *template_make(const char *recipe, int user_fd, Failure *out);
/** Is the host as it was when the template was made? Some ten calls of statx(2). */
bool template_is_fresh(const Template *template);
void template_free(Template *template);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Template, template_free)
