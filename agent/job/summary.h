/* SPDX-License-Identifier: Apache-2.0 */
/* Step summaries: GitHub's Markdown to HTML, by cmark-gfm in a process of its own. What the HTML may be: web/safe_html.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/job/job.h"

#define SUMMARY_HTML_BYTES_MAX (4 * 1024 * 1024)

/** Tables, strikethrough, autolinks, task lists; raw HTML as it stands. For summary_html() and the fuzzer; free(). */
char *summary_render(const char *markdown, size_t len);
/**
 * The same in a child with two seconds of CPU and 256 MiB: what would take longer, or breaks the library, is NULL. The
 * caller's.
 */
char *summary_html(const char *markdown, size_t len);
/** Tells the agent of a step's summary, without secrets, in as many events as it takes; what a step says twice is added. */
bool summary_tell(Job *job, const char *text, size_t len, GError **error);
