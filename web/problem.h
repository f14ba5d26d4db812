/* SPDX-License-Identifier: Apache-2.0 */
/* An error as RFC 9457, as a page, as a log line; the three carry the same id. */
#pragma once

#include "web/request.h"

/** Answers with an error of ours; what it tells of this machine is for those who have signed in. Logs it. */
void problem_from_error(Request *request, const GError *error);
/** Answers with a status that no GError has: 401, 405, 413, 429 …; type is the last word of /problems/…. */
void problem_answer(Request *request, unsigned status, const char *type, const char *detail);
/** The document's text alone, for an answer that is written before the request was read; the caller's. */
char *problem_text(unsigned status, const char *type, const char *detail, const char *id);
