/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live tree of runs, jobs and steps for `assay run` on a terminal: states, durations, the tail of what runs; drawn in
 * place, as wide and as high as the terminal is. Pure but for the descriptor that it writes to.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TERMINAL_TAIL_LINES 3

typedef struct Terminal Terminal;

/**
 * @fd       a terminal
 * @colours  false: none (NO_COLOR); the tree is drawn all the same
 * @plain    signs of ASCII only
 */
Terminal *terminal_new(int fd, bool colours, bool plain);
void terminal_free(Terminal *terminal);

/** A line that a job printed, without its time. */
void terminal_line(Terminal *terminal, int64_t job, const char *text, size_t len);
/**
 * Draws anew.
 *
 * @runs   [{Run with "jobs", each with "steps" when it has some}]
 * @note   a line below the tree, or NULL
 */
void terminal_draw(Terminal *terminal, const json_t *runs, const char *note, int64_t now_us);
/** Takes the drawing away and writes the whole tree, which stays. */
void terminal_finish(Terminal *terminal, const json_t *runs, int64_t now_us);
/** Text that moves no cursor and clears nothing, one line of it; the caller's. */
char *terminal_harmless(const char *text, size_t len);

/** The text of a drawing, for tests: lines of at most `columns` columns, at most `rows` of them (0: any number). */
char *terminal_text(Terminal *terminal, const json_t *runs, const char *note, int64_t now_us, int columns, int rows);
