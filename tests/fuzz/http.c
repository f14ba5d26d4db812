/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of HTTP: any bytes, in pieces of any size, are read or refused; paths have no NUL, bodies their length. */
#include <string.h>

#include "agent/job/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Bytes {
	const uint8_t *data;
	size_t left, piece;
} Bytes;

static ssize_t give(void *data, void *bytes, size_t len)
{
	Bytes *source = data;
	size_t take = MIN(MIN(source->left, len), source->piece);
	memcpy(bytes, source->data, take);
	source->data += take;
	source->left -= take;
	return (ssize_t)take;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Bytes source = {.data = data, .left = size, .piece = size > 0 ? (size_t)data[size - 1] % 64 + 1 : 1};
	g_autoptr(HttpReader) reader = http_reader_new(give, &source);
	for (int i = 0; i < 16; i++) {
		HttpRequest request;
		g_autoptr(GError) error = NULL;
		if (http_read_head(reader, &request, &error) != 1)
			break;
		g_assert_true(request.path[0] == '/' && request.method[0]);
		int64_t from = 0, to = 0;
		if (http_read_range(g_hash_table_lookup(request.headers, "range"), 1000, &from, &to))
			g_assert_true(from >= 0 && from <= to && to < 1000);
		g_autoptr(GBytes) body = http_read_all(reader, 4096, NULL);
		if (body && request.length >= 0)
			g_assert_cmpint((int64_t)g_bytes_get_size(body), ==, request.length);
		http_request_clear(&request);
		if (!body)
			break;
	}
	return 0;
}
