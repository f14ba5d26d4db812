/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plots as inline SVG: no script, no style attributes, text as text; colours are the style sheet's by class. Each has a
 * title and a description, and stands beside its numbers: the callers' tables, or one of its own behind <details>.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/**
 * The jobs of a run as a graph in layers: a matrix is one stacked node, a gate a diamond before its job, the chain that
 * took longest is drawn heavier. Nothing for fewer than two groups.
 *
 * @run      Run with its jobs: "repo", "number", "jobs"
 */
void svg_graph(GString *out, const json_t *run, int64_t now_us);

/** One row of a forest plot: an interval beside the line of no difference and the line of the margin. */
typedef struct SvgInterval {
	const char *name; /* for title and id */
	const char *text; /* the difference in words, for the description */
	const char *colour;
	double value, low, high; /* candidate minus release, in the metric's unit */
	double margin;           /* how much worse is allowed; 0 or NaN: no line */
	bool lower_is_better;    /* drawn turned round, so that better is always to the right */
	double reach;            /* the axis ends here, in margins, or in units where there is no margin */
	unsigned id;             /* unique in the document */
} SvgInterval;
void svg_interval(GString *out, const SvgInterval *interval);

/** One point of a history. */
typedef struct SvgPoint {
	const char *label; /* under the axis: "7" */
	double value;
	double low, high; /* NaN: no interval */
	bool marked;      /* the release */
} SvgPoint;
/** A line with points and intervals, and the table of its numbers behind <details>. Nothing for fewer than two points. */
void svg_history(GString *out, const char *name, const SvgPoint *points, size_t count, unsigned id);

/** A small bar of a duration; a tick stands where it usually ends (0: unknown). */
void svg_bar(GString *out, int64_t duration_us, int64_t usual_us, int64_t longest_us, const char *colour);
