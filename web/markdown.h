/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A job's summary (GITHUB_STEP_SUMMARY) as HTML: headings, paragraphs, lists, tables, quotes, fenced code, and inside a
 * line code, strong, emphasis and links. HTML in it is shown as text; pictures become links, for a page loads nothing
 * from elsewhere. One pass over the lines, no recursion.
 */
#pragma once

#include <glib.h>

void markdown_html(GString *out, const char *text);
