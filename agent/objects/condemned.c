/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of condemned packs: a line with the epoch, then one line a pack. A damaged list is an empty one: then packs
 * are condemned anew, and stay longer.
 */
#include <fcntl.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/objects/bytes.h"
#include "agent/objects/shelf_private.h"

#define LIST_NAME "condemned"
#define LIST_HEAD "assay condemned 1 "
#define LIST_BYTES_MAX (64 * 1024 * 1024)

static bool parse_line(const char *line, Condemned *out)
{
	const char *space = strchr(line, ' ');
	if (!space || (size_t)(space - line) >= sizeof out->name)
		return false;
	memset(out, 0, sizeof *out);
	memcpy(out->name, line, (size_t)(space - line));
	return pack_is_name(out->name) &&
	       g_ascii_string_to_signed(space + 1, 10, 1, G_MAXINT64, &out->since_us, NULL);
}

uint64_t condemned_read(int folder_fd, GArray *out)
{
	autofd int fd = openat(folder_fd, LIST_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	g_autoptr(GBytes) bytes = fd >= 0 ? fd_read_all(fd, LIST_BYTES_MAX, LIST_NAME, NULL) : NULL;
	if (!bytes)
		return 0;
	g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	guint64 epoch;
	if (!lines[0] || !g_str_has_prefix(lines[0], LIST_HEAD) ||
	        !g_ascii_string_to_unsigned(lines[0] + strlen(LIST_HEAD), 16, 1, G_MAXUINT64, &epoch, NULL))
		return 0;
	for (guint i = 1; lines[i]; i++) {
		Condemned line;
		if (parse_line(lines[i], &line))
			g_array_append_val(out, line);
	}
	return epoch;
}

bool condemned_write(int folder_fd, const GArray *list, GError **error)
{
	uint8_t noise[8];
	char hex[17];
	random_bytes(noise, sizeof noise);
	noise[0] |= 1; /* never 0, the epoch of a store that was not swept */
	hex_write(noise, sizeof noise, hex);
	g_autoptr(GString) text = g_string_new(LIST_HEAD);
	g_string_append_printf(text, "%s\n", hex);
	for (guint i = 0; i < list->len; i++) {
		const Condemned *line = &g_array_index(list, Condemned, i);
		g_string_append_printf(text, "%s %" G_GINT64_FORMAT "\n", line->name, line->since_us);
	}
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/" LIST_NAME, folder_fd);
	return fd_replace_file(path, text->str, text->len, 0644, true, error);
}
