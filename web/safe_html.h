/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTML of a stranger as a part of a page of ours: a short list of elements and attributes, always balanced, never nested
 * deeper than SAFE_HTML_DEPTH; everything else is shown as text. Pure, and linear in the length.
 */
#pragma once

#include <glib.h>
#include <stddef.h>

#define SAFE_HTML_DEPTH 64

/** Appends what may be shown of `html`, any bytes that are valid UTF-8. */
void safe_html(GString *out, const char *html, size_t len);
