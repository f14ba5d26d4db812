/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masking: the first line is the secret, the second byte of the rest says where the text is cut. However it is cut, the
 * result is the same, and the secret is not in it.
 */
#include <glib.h>
#include <stdint.h>
#include <string.h>

#include "agent/job/mask.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t secret_len = newline ? (size_t)(newline - data) : 0;
	if (!newline || secret_len < 4 || secret_len > 200 || memchr(data, '*', secret_len) || memchr(data, '\r', secret_len))
		return 0;
	const char *text = (const char *)newline + 1;
	size_t len = size - secret_len - 1;
	g_autoptr(Mask) mask = mask_new();
	mask_add(mask, (const char *)data, secret_len);
	g_autoptr(GByteArray) whole = g_byte_array_new();
	MaskStream *stream = mask_stream_new(mask);
	mask_stream_feed(stream, text, len, whole);
	mask_stream_end(stream, whole);
	g_autoptr(GByteArray) pieces = g_byte_array_new();
	size_t step = len ? (size_t)(uint8_t)text[0] % 7 + 1 : 1;
	for (size_t at = 0; at < len; at += step)
		mask_stream_feed(stream, text + at, MIN(step, len - at), pieces);
	mask_stream_end(stream, pieces);
	mask_stream_free(stream);
	g_assert_cmpmem(whole->data, whole->len, pieces->data, pieces->len);
	g_assert_true(!whole->len || !memmem(whole->data, whole->len, data, secret_len));
	return 0;
}
