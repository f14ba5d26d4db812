/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Escaping, and the few ways in which every page writes times, sizes, hashes and numbers. Called by all pages. The small
 * formatter exists so that there is no way to print a text without its escape.
 */
#include "web/html.h"

#include <inttypes.h>
#include <math.h>

#include "agent/base/clock.h"
#include "agent/base/json.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)
#define DAY_US (24 * HOUR_US)

void html_text_len(GString *out, const char *text, size_t len)
{
	const char *end = text + len;
	const char *plain = text;
	for (const char *p = text; p < end;) {
		unsigned char byte = (unsigned char)*p;
		const char *entity = NULL;
		size_t width = 1;
		if (byte >= 0x80) {
			gunichar c = g_utf8_get_char_validated(p, end - p);
			if (c != (gunichar)-1 && c != (gunichar)-2) {
				p = g_utf8_next_char(p);
				continue;
			}
			entity = "\xef\xbf\xbd";
		} else if (byte == '&') {
			entity = "&amp;";
		} else if (byte == '<') {
			entity = "&lt;";
		} else if (byte == '>') {
			entity = "&gt;";
		} else if (byte == '"') {
			entity = "&quot;";
		} else if (byte == '\'') {
			entity = "&#39;";
		} else if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f) {
			entity = "";
		}
		if (entity) {
			g_string_append_len(out, plain, p - plain);
			g_string_append(out, entity);
			plain = p + width;
		}
		p += width;
	}
	g_string_append_len(out, plain, end - plain);
}

void html_text(GString *out, const char *text)
{
	if (text)
		html_text_len(out, text, strlen(text));
}

/* A path of our own: slashes stay, and a second one in front cannot make it another host's. */
static void path_text(GString *out, const char *text)
{
	if (!text)
		return;
	for (const char *p = text; *p; p++) {
		if (g_ascii_isalnum(*p) || strchr("-._~/", *p))
			g_string_append_c(out, *p);
		else
			g_string_append_printf(out, "%%%02X", (unsigned char)*p);
	}
}

typedef void (*Escape)(GString *out, const char *text);

static void format_number(GString *out, const char *spec, size_t len, va_list *args)
{
	char one[16];
	g_assert(len < sizeof one);
	memcpy(one, spec, len);
	one[len] = '\0';
	char kind = one[len - 1];
	size_t longs = 0;
	for (size_t i = 1; i < len; i++)
		longs += one[i] == 'l';
	/* The pieces come from our own formats, which the compiler has checked at the call of html(). */
	if (kind == 'f')
		g_string_append_printf(out, "%.*f", one[1] == '.' ? one[2] - '0' : 6, va_arg(*args, double));
	else if (kind == 'u' && one[len - 2] == 'z')
		g_string_append_printf(out, "%zu", va_arg(*args, size_t));
	else if (kind == 'u' && longs == 0)
		g_string_append_printf(out, "%u", va_arg(*args, unsigned));
	else if (kind == 'u')
		g_string_append_printf(out, "%lu", va_arg(*args, unsigned long));
	else if (kind == 'd' && longs == 0)
		g_string_append_printf(out, "%d", va_arg(*args, int));
	else if (kind == 'd' && longs == 1)
		g_string_append_printf(out, "%ld", va_arg(*args, long));
	else if (kind == 'd')
		g_string_append_printf(out, "%lld", va_arg(*args, long long));
	else
		g_assert_not_reached();
}

static void format_into(GString *out, const char *format, Escape escape, va_list *args)
{
	for (const char *p = format; *p;) {
		const char *percent = strchr(p, '%');
		if (!percent) {
			g_string_append(out, p);
			return;
		}
		g_string_append_len(out, p, percent - p);
		size_t len = 1 + strspn(percent + 1, "0123456789.lz") + 1;
		char kind = percent[len - 1];
		if (kind == 's')
			escape(out, va_arg(*args, const char *));
		else if (kind == 'c') {
			char text[2] = { (char)va_arg(*args, int), '\0' };
			escape(out, text);
		} else if (kind == '%')
			g_string_append_c(out, '%');
		else
			format_number(out, percent, len, args);
		p = percent + len;
	}
}

void html(GString *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	format_into(out, format, html_text, &args);
	va_end(args);
}

void html_attr(GString *out, const char *name, const char *value)
{
	g_string_append_printf(out, " %s=\"", name);
	html_text(out, value);
	g_string_append_c(out, '"');
}

/* Writes ` name="…"`; two slashes in front would be another host's address, so one is dropped. */
static void address(GString *out, const char *name, const char *format, va_list *args)
{
	g_string_append_printf(out, " %s=\"", name);
	gsize start = out->len;
	format_into(out, format, path_text, args);
	while (out->str[start] == '/' && out->str[start + 1] == '/')
		g_string_erase(out, (gssize)start, 1);
	g_string_append_c(out, '"');
}

void html_href(GString *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	address(out, "href", format, &args);
	va_end(args);
}

void html_action(GString *out, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	address(out, "action", format, &args);
	va_end(args);
}

void html_query(GString *out, const char *value)
{
	for (const char *p = value ? value : ""; *p; p++) {
		if (g_ascii_isalnum(*p) || strchr("-._~", *p))
			g_string_append_c(out, *p);
		else
			g_string_append_printf(out, "%%%02X", (unsigned char)*p);
	}
}

void html_url(GString *out, const char *name, const char *url)
{
	bool ours = url && url[0] == '/' && url[1] != '/' && url[1] != '\\';
	bool web = url && (g_ascii_strncasecmp(url, "https://", 8) == 0 || g_ascii_strncasecmp(url, "http://", 7) == 0);
	html_attr(out, name, ours || web ? url : "#");
}

void html_span(GString *out, int64_t us)
{
	if (us < MINUTE_US)
		html(out, "%" PRId64 " s", us / SECOND_US);
	else if (us < 90 * MINUTE_US)
		html(out, "%" PRId64 " min", us / MINUTE_US);
	else if (us < 48 * HOUR_US)
		html(out, "%" PRId64 " h", us / HOUR_US);
	else if (us < 60 * DAY_US)
		html(out, "%" PRId64 " days", us / DAY_US);
	else if (us < 730 * DAY_US)
		html(out, "%" PRId64 " months", us / (30 * DAY_US));
	else
		html(out, "%" PRId64 " years", us / (365 * DAY_US));
}

static GDateTime *moment(const char *rfc3339, int64_t *out_us)
{
	if (!rfc3339 || !clock_parse(rfc3339, out_us))
		return NULL;
	return g_date_time_new_from_unix_utc(*out_us / SECOND_US);
}

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
	"Dec" };

static void day_text(GString *out, GDateTime *when)
{
	html(out, "%d %s %d", g_date_time_get_day_of_month(when), months[g_date_time_get_month(when) - 1],
	        g_date_time_get_year(when));
}

void html_time(GString *out, const char *rfc3339, int64_t now)
{
	int64_t us = 0;
	g_autoptr(GDateTime) when = moment(rfc3339, &us);
	if (!when) {
		html_text(out, rfc3339 ? rfc3339 : "–");
		return;
	}
	html(out, "<time datetime=\"%s\" title=\"", rfc3339);
	day_text(out, when);
	g_string_append_printf(out, ", %02d:%02d:%02d UTC\">", g_date_time_get_hour(when), g_date_time_get_minute(when),
	        g_date_time_get_second(when));
	int64_t ago = now - us;
	if (ago < 0) {
		g_string_append(out, "in ");
		html_span(out, -ago);
	} else if (ago < 5 * SECOND_US) {
		g_string_append(out, "just now");
	} else {
		html_span(out, ago);
		g_string_append(out, " ago");
	}
	g_string_append(out, "</time>");
}

void html_day(GString *out, const char *rfc3339)
{
	int64_t us = 0;
	g_autoptr(GDateTime) when = moment(rfc3339, &us);
	if (when)
		day_text(out, when);
	else
		html_text(out, rfc3339 ? rfc3339 : "–");
}

void html_duration(GString *out, int64_t us)
{
	int64_t s = us / SECOND_US;
	if (us < 0)
		g_string_append(out, "–");
	else if (s == 0)
		html(out, "%" PRId64 " ms", us / 1000);
	else if (s < 60)
		html(out, "%" PRId64 " s", s);
	else if (s < 3600)
		g_string_append_printf(out, "%" PRId64 "m %02" PRId64 "s", s / 60, s % 60);
	else if (s < 86400)
		g_string_append_printf(out, "%" PRId64 "h %02" PRId64 "m", s / 3600, s / 60 % 60);
	else
		html(out, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
}

void html_bytes(GString *out, int64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	if (bytes < 1024) {
		html(out, "%" PRId64 " B", bytes);
		return;
	}
	double size = (double)bytes / 1024;
	size_t unit = 0;
	for (; size >= 1023.95 && unit + 1 < G_N_ELEMENTS(units); unit++)
		size /= 1024;
	g_string_append_printf(out, size < 99.95 ? "%.1f %s" : "%.0f %s", size, units[unit]);
}

void html_count(GString *out, int64_t count)
{
	char digits[32];
	g_snprintf(digits, sizeof digits, "%" PRIu64, count < 0 ? (uint64_t)0 - (uint64_t)count : (uint64_t)count);
	if (count < 0)
		g_string_append(out, "−");
	size_t len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			g_string_append_c(out, ',');
		g_string_append_c(out, digits[i]);
	}
}

void html_counted(GString *out, int64_t count, const char *noun)
{
	html_count(out, count);
	html(out, " %s%s", noun, count == 1 ? "" : "s");
}

void html_digest(GString *out, const char *digest)
{
	if (!digest || !*digest) {
		g_string_append(out, "–");
		return;
	}
	const char *hex = g_str_has_prefix(digest, "sha256:") ? digest + strlen("sha256:") : digest;
	html(out, "<code class=\"digest\" title=\"%s\" data-whole=\"%s\">", digest, hex);
	size_t len = 0;
	while (len < 8 && hex[len])
		len++;
	html_text_len(out, hex, len);
	g_string_append(out, "</code>");
}

int html_decimals(double width)
{
	width = fabs(width);
	if (!(width > 0) || !isfinite(width))
		return 3;
	return CLAMP((int)ceil(-log10(width)) + 1, 0, 6);
}

void html_number(GString *out, double number, int decimals, bool with_sign)
{
	if (isnan(number)) {
		g_string_append(out, "–");
		return;
	}
	char digits[64];
	g_snprintf(digits, sizeof digits, fabs(number) < 1e12 ? "%.*f" : "%.*e", decimals, fabs(number));
	if (number < 0 && strspn(digits, "0.") != strlen(digits))
		g_string_append(out, "−");
	else if (with_sign)
		g_string_append_c(out, '+');
	g_string_append(out, digits);
}

void html_json(GString *out, const json_t *value)
{
	if (json_is_string(value)) {
		html_text(out, json_string_value(value));
	} else if (json_is_integer(value)) {
		html_count(out, json_integer_value(value));
	} else if (json_is_real(value)) {
		char digits[64];
		g_snprintf(digits, sizeof digits, "%.6g", fabs(json_real_value(value)));
		html(out, "%s%s", json_real_value(value) < 0 ? "−" : "", digits);
	} else if (json_is_null(value) || !value) {
		g_string_append(out, "–");
	} else if (json_is_boolean(value)) {
		g_string_append(out, json_is_true(value) ? "yes" : "no");
	} else {
		g_autofree char *text = json_text(value);
		html_text(out, text);
	}
}

int64_t html_between(const char *from, const char *to, int64_t now)
{
	int64_t from_us = 0, to_us = now;
	if (!from || !clock_parse(from, &from_us) || (to && !clock_parse(to, &to_us)))
		return -1;
	return MAX(to_us - from_us, 0);
}

char *html_ref(const char *ref)
{
	if (!ref)
		return g_strdup("");
	if (g_str_has_prefix(ref, "refs/heads/"))
		return g_strdup(ref + strlen("refs/heads/"));
	if (g_str_has_prefix(ref, "refs/tags/"))
		return g_strdup(ref + strlen("refs/tags/"));
	if (g_str_has_prefix(ref, "refs/pull/")) {
		const char *number = ref + strlen("refs/pull/");
		return g_strdup_printf("#%.*s", (int)strcspn(number, "/"), number);
	}
	return g_strdup(ref);
}
