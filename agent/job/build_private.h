/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a build share: the plan, which build_plan.c makes, build.c follows and build_place.c carries out. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/executor.h"
#include "agent/job/build_context.h"
#include "agent/job/job.h"
#include "agent/model/dockerfile.h"

#define BUILD_INSIDE "/run/assay" /* what is the builder's within a place; nothing of it becomes a layer */
#define BUILD_FROM BUILD_INSIDE "/from"
#define BUILD_COPIER BUILD_INSIDE "/copy"
#define BUILD_APT BUILD_INSIDE "/apt.conf" /* apt fetches as a user of its own, which an image of one user does not have */

/** One layer. */
typedef struct BuildOp {
	int line;
	char *shown;       /* for the log */
	char *from;        /* the key of the image that it changes */
	char *key;         /* of what it becomes */
	char **argv;       /* a command; NULL: files are put there */
	char **env;
	char *user;
	char *folder;
	char *stage;       /* a folder of the host with files for it, or NULL */
	char *take_from;   /* the key of the image that they are taken from first; NULL: they lie there */
	char **take;       /* its paths */
	char *dest;
	bool dest_is_folder;
	char *mode;        /* octal, or "-" */
	char *owner;       /* "user", "user:group", or "-" */
} BuildOp;

typedef struct Build {
	Job *job;
	const ImageMaker *maker;
	char *name;          /* of the Dockerfile, for messages */
	char *store;         /* D/images */
	char *folder;        /* of this build, in the task's folder: staged files, places' changes */
	json_t *settings;    /* `images` of the job, with its trust */
	char *conditions;    /* what the result depends on besides the file, as a text */
	BuildContext context;
	Dockerfile *file;
	GPtrArray *ops;      /* BuildOp *, in order */
	char *last;          /* the key before the last one, which has the config */
	char *key;           /* of the result */
	json_t *config;
	bool one_user;       /* its commands are run by others than root: one id stands for all of them */
	int stages_made;     /* folders below `folder` */
} Build;

/** Pulls what FROM names, copies files aside, computes keys: everything is known and checked then, and nothing has run. */
bool build_plan(Build *build, GError **error);

/** A command in a place of its own. */
typedef struct BuildCommand {
	const char *name;
	const char *made;
	const char *const *argv;
	const char *const *env;   /* NULL: none */
	const char *user;
	const char *folder;
	const char *stage;        /* seen as BUILD_FROM; NULL: none */
	bool stage_is_writable;
	const char *scratch;      /* its changes stay there */
} BuildCommand;

/** Runs it to its end; USER with how it ended when that is no success. */
bool build_command(Build *build, const BuildCommand *command, GError **error);
/** What places and pulls of the build have alike. */
PlaceImage build_place_image(Build *build);
/** Is the image of this key kept? */
bool build_finds(Build *build, const char *key);
/** A new folder of the build: its path, the caller's. */
char *build_make_folder(Build *build, int *out_fd, GError **error);
