/* SPDX-License-Identifier: Apache-2.0 */
/* Event lines: whatever is accepted can be written and is read again as the same value. */
#include <glib.h>
#include <stdint.h>

#include "agent/base/autoptr.h"
#include "agent/model/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t used = 0, len = 0;
	for (const char *line; (line = event_next_line((const char *)data, size, &used, &len));) {
		g_autoptr(json_t) event = event_parse(line, len, NULL);
		if (!event)
			continue;
		size_t text_len = 0;
		g_autofree char *text = event_line(event, &text_len, NULL);
		if (!text)
			continue; /* escapes can make it longer than a line may be */
		g_autoptr(json_t) again = event_parse(text, text_len - 1, NULL);
		g_assert_true(json_equal(event, again));
	}
	return 0;
}
