/* SPDX-License-Identifier: Apache-2.0 */
/* A small reader of terminal text. It is given a stranger's bytes: every index is checked, nothing recurses. */
#include "web/ansi.h"

#include "web/html.h"

#define PARAMS_MAX 32

void ansi_init(AnsiState *state)
{
	*state = (AnsiState){ .fore = ANSI_NONE, .back = ANSI_NONE };
}

static int colour_of_rgb(int red, int green, int blue)
{
	int most = MAX(red, MAX(green, blue)), least = MIN(red, MIN(green, blue));
	int chroma = most - least;
	if (chroma * 6 < most || most < 24)
		return ANSI_GREY + (most < 86 ? 0 : most < 171 ? 1 : 2);
	int hue; /* in 360ths, as in HSV */
	if (most == red)
		hue = 60 * (green - blue) / chroma;
	else if (most == green)
		hue = 120 + 60 * (blue - red) / chroma;
	else
		hue = 240 + 60 * (red - green) / chroma;
	return (hue + 360 + 15) % 360 / 30;
}

/* xterm's table: 16 named, a 6 x 6 x 6 cube, 24 greys. */
static int colour_of_256(int index)
{
	static const int named[16] = { 12, 0, 4, 2, 8, 10, 6, 14, 13, 0, 4, 2, 8, 10, 6, 14 };
	if (index < 16)
		return named[index];
	if (index < 232) {
		static const int levels[6] = { 0, 95, 135, 175, 215, 255 };
		int cube = index - 16;
		return colour_of_rgb(levels[cube / 36], levels[cube / 6 % 6], levels[cube % 6]);
	}
	int grey = 8 + (index - 232) * 10;
	return colour_of_rgb(grey, grey, grey);
}

/* Reads what follows 38 or 48 from params[at]; returns how many of them it used. */
static size_t extended(const int *params, size_t count, size_t at, int *colour)
{
	if (at + 1 < count && params[at] == 5) {
		*colour = colour_of_256(CLAMP(params[at + 1], 0, 255));
		return 2;
	}
	if (at + 3 < count && params[at] == 2) {
		*colour = colour_of_rgb(CLAMP(params[at + 1], 0, 255), CLAMP(params[at + 2], 0, 255),
		        CLAMP(params[at + 3], 0, 255));
		return 4;
	}
	return count - at;
}

static void select_rendition(AnsiState *state, const int *params, size_t count)
{
	if (count == 0)
		ansi_init(state);
	for (size_t i = 0; i < count; i++) {
		int code = params[i];
		if (code == 0)
			ansi_init(state);
		else if (code == 1)
			state->bold = true;
		else if (code == 2)
			state->dim = true;
		else if (code == 3)
			state->italic = true;
		else if (code == 4)
			state->underline = true;
		else if (code == 7)
			state->inverse = true;
		else if (code == 9)
			state->strike = true;
		else if (code == 22)
			state->bold = state->dim = false;
		else if (code == 23)
			state->italic = false;
		else if (code == 24)
			state->underline = false;
		else if (code == 27)
			state->inverse = false;
		else if (code == 29)
			state->strike = false;
		else if (code >= 30 && code <= 37)
			state->fore = colour_of_256(code - 30);
		else if (code == 38)
			i += extended(params, count, i + 1, &state->fore);
		else if (code == 39)
			state->fore = ANSI_NONE;
		else if (code >= 40 && code <= 47)
			state->back = colour_of_256(code - 40);
		else if (code == 48)
			i += extended(params, count, i + 1, &state->back);
		else if (code == 49)
			state->back = ANSI_NONE;
		else if (code >= 90 && code <= 97)
			state->fore = colour_of_256(code - 90 + 8);
		else if (code >= 100 && code <= 107)
			state->back = colour_of_256(code - 100 + 8);
	}
}

static bool is_plain(const AnsiState *state)
{
	return state->fore == ANSI_NONE && state->back == ANSI_NONE && !state->bold && !state->dim && !state->italic &&
	       !state->underline && !state->inverse && !state->strike;
}

static void write_run(GString *out, const AnsiState *state, const char *text, size_t len)
{
	if (len == 0)
		return;
	if (is_plain(state)) {
		html_text_len(out, text, len);
		return;
	}
	g_string_append(out, "<span class=\"a");
	if (state->fore != ANSI_NONE && state->back == ANSI_NONE) /* on a colour, text is drawn in ink */
		g_string_append_printf(out, " f%d", state->fore);
	if (state->back != ANSI_NONE)
		g_string_append_printf(out, " b%d", state->back);
	g_string_append(out, state->bold ? " w7" : "");
	g_string_append(out, state->dim ? " di" : "");
	g_string_append(out, state->italic ? " it" : "");
	g_string_append(out, state->underline ? " un" : "");
	g_string_append(out, state->inverse ? " in" : "");
	g_string_append(out, state->strike ? " st" : "");
	g_string_append(out, "\">");
	html_text_len(out, text, len);
	g_string_append(out, "</span>");
}

/* Reads the sequence that begins with ESC at text[at]; returns the index behind it. */
static size_t escape_sequence(AnsiState *state, const char *text, size_t len, size_t at)
{
	at++;
	if (at >= len)
		return at;
	char kind = text[at++];
	if (kind == '[') {
		int params[PARAMS_MAX];
		size_t count = 0;
		bool strange = false, digits = false;
		int value = 0;
		for (; at < len; at++) {
			char c = text[at];
			if (c >= '0' && c <= '9') {
				value = MIN(value * 10 + (c - '0'), 9999);
				digits = true;
			} else if (c == ';' || c == ':') {
				if (count < PARAMS_MAX)
					params[count++] = value;
				value = 0;
				digits = true;
			} else if (c >= 0x20 && c <= 0x3f) {
				strange = true;
			} else {
				break;
			}
		}
		if (digits && count < PARAMS_MAX)
			params[count++] = value;
		if (at < len && text[at] == 'm' && !strange)
			select_rendition(state, params, count);
		return at < len && text[at] >= 0x40 && text[at] <= 0x7e ? at + 1 : at;
	}
	if (kind == ']' || kind == 'P' || kind == '^' || kind == '_' || kind == 'X') {
		for (; at < len; at++) { /* until BEL or ST */
			if (text[at] == 0x07)
				return at + 1;
			if (text[at] == 0x1b)
				return at + 1 < len && text[at + 1] == '\\' ? at + 2 : at;
		}
		return at;
	}
	if (strchr("()*+#%", kind) && kind)
		return MIN(at + 1, len);
	return at;
}

void ansi_html(GString *out, AnsiState *state, const char *text, size_t len)
{
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n'))
		len--;
	size_t start = 0; /* behind the last carriage return */
	for (size_t i = 0; i < len; i++)
		start = text[i] == '\r' ? i + 1 : start;
	for (size_t i = 0; i < start;) /* colours set in what was written over still hold */
		i = text[i] == 0x1b ? MIN(escape_sequence(state, text, start, i), start) : i + 1;
	size_t plain = start;
	for (size_t i = start; i < len;) {
		if (text[i] != 0x1b) {
			i++;
			continue;
		}
		write_run(out, state, text + plain, i - plain);
		i = escape_sequence(state, text, len, i);
		plain = i;
	}
	write_run(out, state, text + plain, len - plain);
}
