/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from json.c, so that a program which only reads JSON does not load libcrypto: assay-language (0161). */
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/json.h"

char *json_digest(const json_t *value)
{
	g_autofree char *text = json_text(value);
	return hash_bytes_hex(text, strlen(text));
}
