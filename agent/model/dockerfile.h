/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Dockerfile as instructions, by the rules of BuildKit's reference: directives, continued lines, comments between them,
 * flags, JSON forms, here-documents; and what `${variables}` in a word become. Pure; read from a stranger's bytes, in a time
 * and memory that grow with their number.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define DOCKERFILE_BYTES_MAX (1024 * 1024)
#define DOCKERFILE_INSTRUCTIONS_MAX 1000
#define DOCKERFILE_WORD_BYTES_MAX (128 * 1024) /* of one word with its variables put in: what the kernel takes */

typedef enum DockerVerb {
	DOCKER_ADD,
	DOCKER_ARG,
	DOCKER_CMD,
	DOCKER_COPY,
	DOCKER_ENTRYPOINT,
	DOCKER_ENV,
	DOCKER_EXPOSE,
	DOCKER_FROM,
	DOCKER_HEALTHCHECK,
	DOCKER_LABEL,
	DOCKER_MAINTAINER,
	DOCKER_ONBUILD,
	DOCKER_RUN,
	DOCKER_SHELL,
	DOCKER_STOPSIGNAL,
	DOCKER_USER,
	DOCKER_VOLUME,
	DOCKER_WORKDIR,
} DockerVerb;

/** `<<NAME`: what stands between that line and NAME. */
typedef struct DockerHeredoc {
	char *name;
	char *text;
	bool expands; /* its name is not quoted */
} DockerHeredoc;

typedef struct DockerInstruction {
	DockerVerb verb;
	int line;
	GPtrArray *flags;    /* char *: "name=value" or "name", without the dashes */
	char *rest;          /* what follows verb and flags, continued lines joined */
	char **json;         /* it as a JSON list of texts; NULL: it is none */
	GPtrArray *heredocs; /* DockerHeredoc * */
} DockerInstruction;

typedef struct Dockerfile {
	char escape;             /* `\`, or what the directive says */
	GPtrArray *instructions; /* DockerInstruction *; the first that is no ARG is a FROM */
} Dockerfile;

/**
 * Reads and checks it: unknown instructions and flags, forms that are not understood, and what is understood and cannot be
 * done here are USER, with name and line.
 *
 * @name   what it is called in messages
 */
Dockerfile *dockerfile_parse(const char *text, size_t len, const char *name, GError **error);
/** Accepts NULL. */
void dockerfile_free(Dockerfile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dockerfile, dockerfile_free)

/** Its word in capitals. Static. */
const char *dockerfile_verb_name(DockerVerb verb);
/** The value of a flag, "" of one without, or NULL. Borrowed. */
const char *dockerfile_flag(const DockerInstruction *instruction, const char *name);

/** What a variable stands for, or NULL. */
typedef const char *(*DockerLookup)(void *data, const char *name);
/** A word without its quotes, its variables put in; the caller's. NULL with USER: an unclosed quote, `${x:?}`, too long. */
char *dockerfile_expand(const char *word, char escape, DockerLookup lookup, void *data, GError **error);
/** The text of a here-document: variables only, quotes stay. */
char *dockerfile_expand_text(const char *text, char escape, DockerLookup lookup, void *data, GError **error);

/** Words of a line as ENV, LABEL and ARG split it: quotes and escapes hold words together, and stay. NULL-terminated, the caller's. */
char **dockerfile_words(const char *line, char escape);
/** As COPY, ADD and FROM split it: at blanks. */
char **dockerfile_fields(const char *line);
/** "NAME=value" of ENV or LABEL, also in the old form without `=`: pairs, NULL-terminated; quotes stay. NULL with USER. */
char **dockerfile_pairs(const char *line, char escape, GError **error);
