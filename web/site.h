/* SPDX-License-Identifier: Apache-2.0 */
/* The pages' handlers: each gathers what its page shows from the store, in the API's shapes, and lets web/page_*.c draw it. */
#pragma once

#include "web/page.h"
#include "web/request.h"

typedef void (*SitePage)(GString *out, const PageView *view, const json_t *data);

/** What the visitor has just done, or why it did not work; NULL text: nothing. */
typedef struct SiteFlash {
	const char *text;
	bool failed;
} SiteFlash;

/** Draws a page for this visitor and answers with it. data is borrowed. */
bool site_show(Request *request, unsigned status, SitePage page, const json_t *data, SiteFlash flash);
/** The same of a handler: takes data; false when it is NULL, the error is set then. */
bool site_answer(Request *request, SitePage page, json_t *data);
