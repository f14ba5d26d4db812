/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets out of text: every secret, and the usual ways it is written (per line, base64, URL, JSON, quoted, hex), is
 * found in one pass (Aho-Corasick) and becomes `***`, also where it is cut by the end of a read.
 */
#pragma once

#include <glib.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Mask Mask;

Mask *mask_new(void);
void mask_free(Mask *mask);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mask, mask_free)

/**
 * Adds a secret and its variants; an empty one is passed over. Streams that are under way see it from their next
 * byte on.
 */
void mask_add(Mask *mask, const char *secret, size_t len);
bool mask_is_empty(const Mask *mask);

/** A copy of the text without secrets; the caller's. */
char *mask_text(Mask *mask, const char *text);
/** Does the text hold a secret? */
bool mask_finds(Mask *mask, const char *text);
/** A new tree, without secrets in its strings; keys stay. */
json_t *mask_json(Mask *mask, const json_t *value);

/** Masking of bytes that come in pieces. */
typedef struct MaskStream MaskStream;
MaskStream *mask_stream_new(Mask *mask);
void mask_stream_free(MaskStream *stream);
/** Appends to `out` what is decided; what may be the begin of a secret is held back. */
void mask_stream_feed(MaskStream *stream, const char *bytes, size_t len, GByteArray *out);
/**
 * The same without a copy where nothing was found, which is the rule.
 *
 * Returns   how many of the first bytes are to be taken as they are; when it is 0, what is decided is in `out`
 */
size_t mask_stream_pass(MaskStream *stream, const char *bytes, size_t len, GByteArray *out);
/** Does it hold nothing back? */
bool mask_stream_is_idle(const MaskStream *stream);
/**
 * How many of the first bytes may pass as they are, asked without telling the stream about them. For one that is idle;
 * whoever lets them pass writes them.
 */
size_t mask_stream_clear(MaskStream *stream, const char *bytes, size_t len);
/** Changes with each new pattern. */
guint mask_generation(const Mask *mask);
/** Nothing follows: appends what was held back. */
void mask_stream_end(MaskStream *stream, GByteArray *out);
