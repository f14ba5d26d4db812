/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problem matchers: patterns that a step names (`::add-matcher::file`), by which lines of the log become annotations. Both
 * the patterns and the lines are a stranger's: sizes, numbers and the work of one match are bounded. Pure; what an issue
 * does is speech.c.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define MATCHER_FILE_BYTES_MAX (256 * 1024)
#define MATCHER_OWNERS_MAX 64
#define MATCHER_PATTERNS_MAX 32
#define MATCHER_REGEXP_BYTES_MAX 4096
#define MATCHER_LINE_BYTES_MAX (16 * 1024) /* a longer line is not looked at */

typedef struct Matchers Matchers;

/** What a line said; texts are valid UTF-8 and the caller's (issue_clear), NULL when the pattern does not tell. */
typedef struct Issue {
	const char *level; /* error, warning or notice; static */
	char *message;
	char *file;        /* as the line has it */
	char *from_path;   /* what the file is relative to */
	char *code;
	int line;          /* 0: not told */
	int column;
} Issue;

void issue_clear(Issue *issue);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Issue, issue_clear)

Matchers *matchers_new(void);
void matchers_free(Matchers *matchers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Matchers, matchers_free)

/**
 * Adds the matchers of a file; one of the same owner is replaced, and the newest is asked first.
 *
 * @text     JSON: {"problemMatcher":[{"owner","severity","pattern":[{"regexp","file","line","column","severity","code",
 *           "message","fromPath","loop"}…]}…]}
 * @out      their owners, one after the other with ", " between; the caller's
 * Returns   false with USER: the file is not one, a pattern cannot be used, or there are too many
 * Source    actions/runner, ADR 0276 and docs/adrs; the rules of its IssueMatcherConfig
 */
bool matchers_add(Matchers *matchers, const char *text, size_t len, char **out, GError **error);
/** Removes the matcher of an owner; false when there is none. */
bool matchers_remove(Matchers *matchers, const char *owner);
bool matchers_are_empty(const Matchers *matchers);
/** A step begins: what an earlier one has half said is forgotten. */
void matchers_reset(Matchers *matchers);
/**
 * One line without its newline, without secrets. Colours are passed over.
 *
 * @out_tired   the owner of a matcher that took too long three times and was removed; the caller's, else NULL
 * Returns      true when the line completed an issue
 */
bool matchers_line(Matchers *matchers, const char *line, size_t len, Issue *out, char **out_tired);
