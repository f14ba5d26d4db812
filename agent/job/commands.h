/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What steps say to the workplace: workflow commands (`::error file=a.c,line=3::text`) and environment files
 * ($GITHUB_ENV and its kin). Both are a stranger's bytes; here they are only read. What they do is steps.c.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define COMMANDS_FILE_BYTES_MAX (10 * 1024 * 1024) /* GITHUB_ENV, OUTPUT, PATH, STATE */
#define COMMANDS_SUMMARY_BYTES_MAX (1024 * 1024)
#define COMMANDS_PAIRS_MAX 10000

/** A workflow command. */
typedef struct Command {
	char *name;         /* as written; compare without regard to case */
	json_t *properties; /* object of strings, keys in lower case, unescaped */
	char *data;         /* unescaped, valid UTF-8 */
} Command;

/** Reads a line without its newline; NULL when it is not a command. */
Command *command_parse(const char *line, size_t len);
void command_free(Command *command);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Command, command_free)

/**
 * Reads `name=value` lines and `name<<END` … `END` blocks: an object of strings in the file's order, where the last of
 * a name counts.
 *
 * @what   the variable that named the file, for messages: "GITHUB_ENV"
 */
json_t *commands_read_pairs(const char *text, size_t len, const char *what, GError **error);
/** Reads GITHUB_PATH: one folder a line; the caller's, NULL-terminated. */
char **commands_read_lines(const char *text, size_t len);
