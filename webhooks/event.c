/* SPDX-License-Identifier: Apache-2.0 */
/* Small readers that every forge's parse() uses. What they return has been checked; what does not fit is NULL. */
#include "webhooks/event.h"

#include <glib.h>
#include <stdarg.h>
#include <string.h>

#define DELIVERY_BYTES_MAX 128
#define REF_BYTES_MAX 1024
#define TITLE_CHARACTERS_MAX 200

char *event_delivery_id(const ForgeRequest *request, const char *header)
{
	const char *id = request->header(request->data, header);
	if (!id || !*id || strlen(id) > DELIVERY_BYTES_MAX)
		return NULL;
	for (const char *c = id; *c; c++)
		if (!g_ascii_isgraph(*c))
			return NULL;
	return g_strdup(id);
}

const char *event_text(const json_t *object, ...)
{
	va_list keys;
	va_start(keys, object);
	for (const char *key; (key = va_arg(keys, const char *));)
		object = json_object_get(object, key);
	va_end(keys);
	return json_string_value(object);
}

static bool is_sha(const char *text)
{
	size_t len = text ? strlen(text) : 0;
	if (len != 40 && len != 64)
		return false;
	return strspn(text, "0123456789abcdef") == len;
}

bool event_is_zero_sha(const char *text)
{
	return is_sha(text) && strspn(text, "0") == strlen(text);
}

char *event_sha(const char *text)
{
	return is_sha(text) && !event_is_zero_sha(text) ? g_strdup(text) : NULL;
}

char *event_title(const char *message)
{
	if (!message)
		return NULL;
	g_autofree char *line = g_strndup(message, strcspn(message, "\r\n"));
	return g_utf8_strlen(line, -1) > TITLE_CHARACTERS_MAX ? g_utf8_substring(line, 0, TITLE_CHARACTERS_MAX)
	                                                      : g_steal_pointer(&line);
}

bool event_is_ref(const char *ref)
{
	if (!ref || !g_str_has_prefix(ref, "refs/") || strlen(ref) > REF_BYTES_MAX || g_str_has_suffix(ref, "/") ||
	        g_str_has_suffix(ref, ".lock") || strstr(ref, "..") || strstr(ref, "//") || strstr(ref, "/-") ||
	        strstr(ref, "/.") || strstr(ref, "@{"))
		return false;
	for (const char *c = ref; *c; c++)
		if ((unsigned char)*c <= ' ' || *c == 127 || strchr("~^:?*[\\", *c))
			return false;
	return true;
}

char *event_ref(const char *prefix, const char *name)
{
	if (!name || !*name)
		return NULL;
	g_autofree char *ref = g_strconcat(prefix, name, NULL);
	return event_is_ref(ref) ? g_steal_pointer(&ref) : NULL;
}
