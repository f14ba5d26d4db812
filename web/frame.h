/* SPDX-License-Identifier: Apache-2.0 */
/* What all pages share: the document around them, the header, and how a status, a verdict and a list of facts look. */
#pragma once

#include "web/html.h"
#include "web/page.h"

/** What frame_begin() has to know of a page. */
typedef struct Frame {
	const char *title;   /* of the browser's tab; "Assay" is added */
	const char *section; /* the header's entry that is marked: "runs", "gates", "models", "data", "audit", "admin" */
	int64_t live_run;    /* the page is drawn anew when this run changes; -1: when any does; 0: never */
	const char *body;    /* a class for <body>, or NULL */
} Frame;

/** Everything up to and with <main>. */
void frame_begin(GString *out, const PageView *view, const Frame *frame);
/** Everything from </main> on. */
void frame_end(GString *out, const PageView *view);

/** The way here: pairs of text and address, ended by NULL; the last one has no address (NULL). Addresses are ours. */
void frame_crumbs(GString *out, ...) G_GNUC_NULL_TERMINATED;

/** A small picture by its name, one of the sprite's; hidden from readers, a word stands beside it. */
void frame_icon(GString *out, const char *name);
/** Icon, word and colour of a status of a run, job, step, gate or delivery. */
void frame_status(GString *out, const char *status);
/** The same for a verdict: pass, fail, inconclusive, insufficient, no-test, none. */
void frame_verdict(GString *out, const char *verdict);
/** "good", "bad", "wait", "run" or "off": the colour class of a status or verdict. */
const char *frame_colour(const char *word);

/** <input type=hidden name=csrf>. */
void frame_csrf(GString *out, const PageView *view);
/** A row of a <dl class=facts>; the caller writes the value between the two. */
void frame_fact_begin(GString *out, const char *name);
void frame_fact_end(GString *out);
/** A fact whose value is one text; nothing when that is NULL or empty. */
void frame_fact(GString *out, const char *name, const char *value);
/** A heading with an id of its own text, after a hairline: starts a <section>. */
void frame_section(GString *out, const char *id, const char *title);
void frame_section_end(GString *out);
/** A command that people copy. */
void frame_command(GString *out, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** "Older" at the end of a list: this page's path with ?after=next behind it; nothing when next is null. */
void frame_next(GString *out, const PageView *view, const json_t *data);

/**
 * ` href="…"` of a job's page; its key is one segment of the path, whatever it holds. A run that is shown in an older
 * attempt leads to that attempt's job.
 */
void frame_job_href(GString *out, const json_t *run, const char *key);
/** The same, at a line of its log; 0: none. */
void frame_job_line_href(GString *out, const json_t *run, const char *key, int64_t line);
/** Which attempt of a run is shown when it is not the newest; 0: the newest is. */
int64_t frame_old_attempt(const json_t *run);
/** The role is at least this one. */
bool frame_may(const PageView *view, const char *role);
