/* SPDX-License-Identifier: Apache-2.0 */
/* Reports of ML steps (docs/formats.md, "Reports") as HTML, for a run's page and a gate's. */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdint.h>

/** Counts the plots of one document, so that ids in it are unique. Starts at 0. */
typedef unsigned ReportIds;

/** The evidence of a `compare` report: a table with one row a metric and slice, each with its interval drawn. */
void report_evidence(GString *out, const json_t *report, ReportIds *ids);
/** Any report: its verdict, its sentence, and by its kind the table or its facts. */
void report_html(GString *out, const json_t *report, ReportIds *ids);
/** "Compare", "Data snapshot"…: a heading for its kind. Borrowed. */
const char *report_title(const json_t *report);
