/* SPDX-License-Identifier: Apache-2.0 */
/* action.yml: what an action takes, gives and runs. Read from a stranger's bytes; nothing is evaluated here. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ACTION_FILE_BYTES_MAX (1024 * 1024)
#define ACTION_STEPS_MAX 1000

typedef enum ActionUsing { ACTION_USING_COMPOSITE, ACTION_USING_DOCKER, ACTION_USING_NODE } ActionUsing;

typedef struct ActionFileInput {
	char *name;
	char *fallback; /* may hold expressions; NULL: none */
	char *deprecation;
	bool required;
} ActionFileInput;

typedef struct ActionFile {
	char *path; /* for messages: "acme/kit/lint@v1/action.yml" */
	char *name; /* "" where it has none */
	ActionUsing using;
	int node_major;     /* of node20: 20 */
	GPtrArray *inputs;  /* ActionFileInput, in the file's order */
	json_t *outputs;    /* object: name → {"value"} */
	char *main;         /* scripts below the action's folder; docker: the entrypoints. NULL: none */
	char *pre;
	char *pre_if;
	char *post;
	char *post_if;
	char *image;        /* docker: "docker://…", or a Dockerfile's path below the action's folder */
	json_t *args;       /* docker: array of strings, or NULL */
	json_t *env;        /* docker: object of strings, or NULL */
	json_t *steps;      /* composite: as a definition's */
	GArray *lines;      /* int, of each step */
} ActionFile;

/**
 * Reads and checks it.
 *
 * @path    what it is called in messages
 * Returns  NULL with USER: each mistake with line, column and caret
 */
ActionFile *action_file_read(const char *text, size_t len, const char *path, GError **error);
/** What is wrong with it: array of {"line","column","message","caret"}, empty when nothing is. The caller's. */
json_t *action_file_check(const char *text, size_t len, const char *path);
/** One that has only a Dockerfile, of that name. */
ActionFile *action_file_dockerfile(const char *path, const char *name);
/** Of a docker action: is its image one of a registry, and not made of a Dockerfile? */
bool action_file_names_image(const ActionFile *file);
/** Accepts NULL. */
void action_file_free(ActionFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ActionFile, action_file_free)

/** The input of this name, without regard to case, or NULL. Borrowed. */
const ActionFileInput *action_file_input(const ActionFile *file, const char *name);
