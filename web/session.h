/* SPDX-License-Identifier: Apache-2.0 */
/* Who is calling, and whether they may: tokens, sessions, the socket's peer, CSRF, sign-in. */
#pragma once

#include "web/request.h"

/** Finds out who is calling: a token, a session's cookie, or the socket's peer. False when a token is given and wrong. */
bool session_identify(Request *request);
/** Answers 401, 403 or with the way to the sign-in page when the caller may not; true when they may. */
bool session_allows(Request *request);
/** Does a change that came with a cookie carry the session's CSRF token? Answers 403 when not. Call with the whole body. */
bool session_checks_csrf(Request *request);
/** Is it a path of ours, safe to send somebody to? */
bool session_is_local_path(const char *path);
/** Does the agent's own address say https? */
bool session_is_https(const Request *request);

bool session_post_sign_in(Request *request, GError **error);
bool session_post_sign_out(Request *request, GError **error);
