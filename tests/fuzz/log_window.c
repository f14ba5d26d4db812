/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a job's log: a window is made of it whose lines are numbered without a gap and can be shown. */
#include "web/log_window.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	if (fd < 0)
		fd = memfd_create("log", MFD_CLOEXEC);
	uint8_t head[4];
	if (size < sizeof head)
		return 0;
	memcpy(head, data, sizeof head);
	g_assert_true(ftruncate(fd, 0) == 0);
	g_assert_true(pwrite(fd, data + sizeof head, size - sizeof head, 0) == (ssize_t)(size - sizeof head));
	const LogWish wish = {.from = head[0] & 1 ? head[1] : 0, .at = head[0] & 2 ? head[2] : -1,
	        .search = head[0] & 4 ? "a" : NULL, .has_ended = head[0] & 8, .lines_max = 1 + head[3]};
	g_autoptr(json_t) window = log_window(fd, &wish, NULL);
	g_assert_true(json_is_object(window));
	const json_t *lines = json_object_get(window, "lines");
	g_assert_cmpuint(json_array_size(lines), <=, (size_t)wish.lines_max);
	int64_t before = 0;
	size_t i;
	json_t *line;
	json_array_foreach(lines, i, line) {
		int64_t number = json_get_int(line, "number", -1);
		g_assert_true(i == 0 ? number >= 1 : number == before + 1);
		g_assert_true(json_object_get(line, "time") && json_is_string(json_object_get(line, "text")));
		before = number;
	}
	return 0;
}
