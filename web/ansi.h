/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Terminal text as HTML: colours and emphasis (SGR, ECMA-48 8.3.117, with 256 and true colour) become spans with
 * classes; every other sequence and control character is left out; everything else is escaped.
 *
 * A colour is drawn by its hue, one of twelve, or as one of three greys, with a lightness that the style sheet chooses:
 * so what a program prints for a dark terminal is readable on white paper, and no style attribute is needed.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

#define ANSI_NONE (-1)
#define ANSI_GREY 12 /* 12 dark, 13 middle, 14 light; below: the hue in steps of 30 degrees, 0 is red */
#define ANSI_COLOURS 15

/** What holds for the next character. {.fore = ANSI_NONE, .back = ANSI_NONE} at the start: ansi_init(). */
typedef struct AnsiState {
	int fore, back;
	bool bold, dim, italic, underline, inverse, strike;
} AnsiState;

void ansi_init(AnsiState *state);

/**
 * Appends one line. Spans are closed at its end; state carries over to the next line. Of a line that a program wrote
 * over with carriage returns, as progress bars do, the last text is shown.
 */
void ansi_html(GString *out, AnsiState *state, const char *text, size_t len);
