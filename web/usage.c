/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each column is drawn to its own largest value, so that a bar is compared along its column. What the machine could not
 * say is a dash, and energy, which few machines tell, is a sentence then: never a number that nobody measured.
 */
#include "web/usage.h"

#include "agent/base/json.h"
#include "web/frame.h"
#include "web/html.h"
#include "web/svg.h"

#define MICRO 1e6
#define KILO 1000.0

typedef enum Column { COLUMN_CPU, COLUMN_MEMORY, COLUMN_READ, COLUMN_WRITTEN, COLUMN_ENERGY, COLUMNS } Column;

static const struct {
	const char *key;
	const char *title;
} columns[COLUMNS] = {
	[COLUMN_CPU] = {"cpu_us", "CPU time"},
	[COLUMN_MEMORY] = {"memory_peak_bytes", "Peak memory"},
	[COLUMN_READ] = {"read_bytes", "Read"},
	[COLUMN_WRITTEN] = {"write_bytes", "Written"},
	[COLUMN_ENERGY] = {"energy_uj", "Energy"},
};

/* -1: unknown. */
typedef struct Usage {
	int64_t values[COLUMNS];
} Usage;

static bool is_known(const Usage *usage)
{
	for (Column column = 0; column < COLUMNS; column++)
		if (usage->values[column] >= 0)
			return true;
	return false;
}

static Usage usage_of_step(const json_t *step)
{
	Usage usage;
	for (Column column = 0; column < COLUMNS; column++)
		usage.values[column] = MAX(json_get_int(step, columns[column].key, -1), -1);
	return usage;
}

static Usage usage_of_steps(const json_t *steps)
{
	Usage sum = {{-1, -1, -1, -1, -1}};
	size_t i;
	json_t *step;
	json_array_foreach(steps, i, step) {
		Usage one = usage_of_step(step);
		for (Column column = 0; column < COLUMNS; column++) {
			int64_t *total = &sum.values[column], value = one.values[column];
			if (column == COLUMN_MEMORY || value < 0)
				*total = MAX(*total, value);
			else
				*total = MAX(*total, 0) > INT64_MAX - value ? INT64_MAX : MAX(*total, 0) + value;
		}
	}
	return sum;
}

static void number(GString *out, Column column, int64_t value)
{
	if (value < 0) {
		g_string_append(out, "–");
	} else if (column == COLUMN_CPU) {
		html_duration(out, value);
	} else if (column == COLUMN_ENERGY) {
		double joules = (double)value / MICRO;
		html_number(out, joules < KILO ? joules : joules / KILO, 1, false);
		g_string_append(out, joules < KILO ? " J" : " kJ");
	} else {
		html_bytes(out, value);
	}
}

/* Few machines tell energy: a column of dashes would say less than the sentence below the table. */
static bool is_drawn(Column column, const Usage *most)
{
	return column != COLUMN_ENERGY || most->values[column] >= 0;
}

static void begin(GString *out, const char *of, const Usage *most)
{
	frame_section(out, "usage", "Usage");
	html(out, "<table class=\"cards\"><caption class=\"hidden\">What each %s used</caption><thead><tr>"
	          "<th scope=\"col\">%s</th>", of, of);
	for (Column column = 0; column < COLUMNS; column++)
		if (is_drawn(column, most))
			html(out, "<th scope=\"col\" class=\"num\">%s</th>", columns[column].title);
	g_string_append(out, "</tr></thead><tbody>");
}

static void row(GString *out, const char *name, const Usage *usage, const Usage *most)
{
	html(out, "<tr><th scope=\"row\">%s</th>", name);
	for (Column column = 0; column < COLUMNS; column++) {
		if (!is_drawn(column, most))
			continue;
		bool bar = usage->values[column] > 0;
		html(out, "<td class=\"num\" data-label=\"%s\">", columns[column].title);
		if (bar) {
			g_string_append(out, "<span class=\"took\">");
			svg_bar(out, usage->values[column], 0, most->values[column], "run");
		}
		number(out, column, usage->values[column]);
		g_string_append(out, bar ? "</span></td>" : "</td>");
	}
	g_string_append(out, "</tr>");
}

static void end(GString *out, const Usage *most)
{
	g_string_append(out, "</tbody></table><p class=\"soft\">");
	if (most->values[COLUMN_ENERGY] < 0)
		g_string_append(out, "Energy: not readable on this machine.");
	else
		g_string_append(out, "Energy is that of all processors of the machine meanwhile.");
	g_string_append(out, " Read and written is what went to disks, not what the page cache had.</p>");
	frame_section_end(out);
}

/* Widens to the larger of both, column by column. */
static void widen(Usage *most, const Usage *usage)
{
	for (Column column = 0; column < COLUMNS; column++)
		most->values[column] = MAX(most->values[column], usage->values[column]);
}

/* The rows of one table: steps of a job, or jobs of a run. */
static void table(GString *out, const json_t *things, const char *of, Usage (*read)(const json_t *thing))
{
	Usage most = {{-1, -1, -1, -1, -1}};
	size_t i;
	json_t *thing;
	json_array_foreach(things, i, thing) {
		Usage usage = read(thing);
		widen(&most, &usage);
	}
	if (!is_known(&most))
		return;
	begin(out, of, &most);
	json_array_foreach(things, i, thing) {
		Usage usage = read(thing);
		if (is_known(&usage))
			row(out, json_get_string(thing, "name", of), &usage, &most);
	}
	end(out, &most);
}

static Usage usage_of_whole_job(const json_t *job)
{
	return usage_of_steps(json_object_get(job, "steps"));
}

void usage_of_job(GString *out, const json_t *job)
{
	table(out, json_object_get(job, "steps"), "Step", usage_of_step);
}

void usage_of_run(GString *out, const json_t *run)
{
	table(out, json_object_get(run, "jobs"), "Job", usage_of_whole_job);
}
