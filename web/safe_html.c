/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over the bytes: text, entities, tags. A tag is written anew from what was understood of it, so nothing passes
 * that was not named here; an end tag ends only what this HTML has begun. Pictures are data: or become links, because a
 * page of ours loads nothing from elsewhere.
 */
#include "web/safe_html.h"

#include <stdbool.h>
#include <string.h>

#include "web/html.h"

#define NAME_BYTES_MAX 16
#define ATTRIBUTES_MAX 32
#define UNQUOTED_BYTES_MAX 512
#define DATA_BYTES_MAX (256 * 1024)

typedef enum Trait {
	PLAIN = 0,
	VOID = 1,    /* has no end tag */
	ALIGNS = 2,  /* align= */
	SIZES = 4,   /* width=, height= */
	SPANS = 8,   /* colspan=, rowspan= */
	HEADS = 16,  /* h1 to h6 */
} Trait;

typedef struct Element {
	const char *name;
	unsigned traits;
} Element;

/* In the order of the alphabet. */
static const Element elements[] = {
        {"a", PLAIN}, {"abbr", PLAIN}, {"b", PLAIN}, {"blockquote", PLAIN}, {"br", VOID}, {"caption", PLAIN}, {"code", PLAIN},
        {"dd", PLAIN}, {"del", PLAIN}, {"details", PLAIN}, {"div", ALIGNS}, {"dl", PLAIN}, {"dt", PLAIN}, {"em", PLAIN},
        {"h1", HEADS | ALIGNS}, {"h2", HEADS | ALIGNS}, {"h3", HEADS | ALIGNS}, {"h4", HEADS | ALIGNS}, {"h5", HEADS | ALIGNS},
        {"h6", HEADS | ALIGNS}, {"hr", VOID}, {"i", PLAIN}, {"img", VOID | SIZES}, {"input", VOID}, {"ins", PLAIN},
        {"kbd", PLAIN}, {"li", PLAIN}, {"mark", PLAIN}, {"ol", PLAIN}, {"p", ALIGNS}, {"pre", PLAIN}, {"q", PLAIN},
        {"s", PLAIN}, {"samp", PLAIN}, {"small", PLAIN}, {"span", PLAIN}, {"strong", PLAIN}, {"sub", PLAIN},
        {"summary", PLAIN}, {"sup", PLAIN}, {"table", PLAIN}, {"tbody", PLAIN}, {"td", ALIGNS | SIZES | SPANS},
        {"tfoot", PLAIN}, {"th", ALIGNS | SIZES | SPANS}, {"thead", PLAIN}, {"tr", ALIGNS}, {"u", PLAIN}, {"ul", PLAIN},
        {"var", PLAIN},
};

typedef struct Attribute {
	const char *name, *value;
	size_t name_len, value_len;
} Attribute;

typedef struct Tag {
	const Element *element;
	bool ends;              /* </…> */
	Attribute attributes[ATTRIBUTES_MAX];
	size_t attributes_len;
} Tag;

typedef struct Writer {
	GString *out;
	const Element *open[SAFE_HTML_DEPTH];
	int levels[SAFE_HTML_DEPTH]; /* what a heading became */
	size_t depth;
	int heading;            /* the last one's level: none is left out */
} Writer;

static const Element *find_element(const char *name, size_t len)
{
	char lower[NAME_BYTES_MAX];
	if (len == 0 || len >= sizeof lower)
		return NULL;
	for (size_t i = 0; i < len; i++)
		lower[i] = g_ascii_tolower(name[i]);
	lower[len] = '\0';
	for (size_t i = 0; i < G_N_ELEMENTS(elements); i++)
		if (strcmp(elements[i].name, lower) == 0)
			return &elements[i];
	return NULL;
}

static bool is(const Element *element, const char *name)
{
	return strcmp(element->name, name) == 0;
}

/* &name; or &#1; or &#x1; at `at`: its length, else 0. */
static size_t entity_len(const char *at, const char *end)
{
	const char *p = at + 1;
	size_t max = MIN((size_t)(end - p), 32), i = 0;
	bool number = max > 0 && p[0] == '#';
	bool hex = number && max > 1 && (p[1] == 'x' || p[1] == 'X');
	size_t first = hex ? 2 : number ? 1 : 0;
	for (i = first; i < max; i++)
		if (!(hex ? g_ascii_isxdigit(p[i]) : number ? g_ascii_isdigit(p[i]) : g_ascii_isalnum(p[i])))
			break;
	return i > first && i < max && p[i] == ';' ? i + 2 : 0;
}

/* Text as it stands in HTML: entities stay, everything else is escaped. */
static void put_text(GString *out, const char *text, size_t len)
{
	const char *end = text + len;
	const char *plain = text;
	for (const char *at = text; at < end;) {
		size_t entity = *at == '&' ? entity_len(at, end) : 0;
		if (entity == 0) {
			at++;
			continue;
		}
		html_text_len(out, plain, (size_t)(at - plain));
		g_string_append_len(out, at, (gssize)entity);
		at += entity;
		plain = at;
	}
	html_text_len(out, plain, (size_t)(end - plain));
}

static void put_attribute(GString *out, const char *name, const char *value, size_t len)
{
	g_string_append_printf(out, " %s=\"", name);
	put_text(out, value, len);
	g_string_append_c(out, '"');
}

static const Attribute *find(const Tag *tag, const char *name)
{
	for (size_t i = 0; i < tag->attributes_len; i++)
		if (tag->attributes[i].name_len == strlen(name) &&
		        g_ascii_strncasecmp(tag->attributes[i].name, name, tag->attributes[i].name_len) == 0)
			return &tag->attributes[i];
	return NULL;
}

static bool begins(const Attribute *attribute, const char *with)
{
	return attribute->value_len >= strlen(with) && g_ascii_strncasecmp(attribute->value, with, strlen(with)) == 0;
}

static const char *space_end(const char *at, const char *end)
{
	while (at < end && g_ascii_isspace(*at))
		at++;
	return at;
}

/* One attribute; NULL when this is no tag. */
static const char *read_attribute(const char *at, const char *end, Tag *tag)
{
	Attribute one = {.name = at};
	while (at < end && !g_ascii_isspace(*at) && !strchr("=>/\"'<", *at))
		at++;
	one.name_len = (size_t)(at - one.name);
	if (one.name_len == 0)
		return NULL;
	const char *after = space_end(at, end);
	if (after < end && *after == '=') {
		after = space_end(after + 1, end);
		char quote = after < end && (*after == '"' || *after == '\'') ? *after : 0;
		one.value = quote ? after + 1 : after;
		at = one.value;
		const char *stop = quote ? NULL : at + MIN(end - at, UNQUOTED_BYTES_MAX + 1);
		if (quote)
			at = memchr(at, quote, (size_t)(end - at));
		while (!quote && at < stop && !g_ascii_isspace(*at) && *at != '>')
			at++;
		if (!at || at >= end || (!quote && at - one.value > UNQUOTED_BYTES_MAX))
			return NULL;
		one.value_len = (size_t)(at - one.value);
		at += quote ? 1 : 0;
	}
	if (tag->attributes_len == ATTRIBUTES_MAX)
		return NULL;
	tag->attributes[tag->attributes_len++] = one;
	return at;
}

/* Reads a tag whose '<' is at `at`; the place behind it, or NULL when it is none that may be shown. */
static const char *read_tag(const char *at, const char *end, Tag *tag)
{
	at++;
	tag->attributes_len = 0;
	tag->ends = at < end && *at == '/';
	if (tag->ends)
		at++;
	const char *name = at;
	while (at < end && g_ascii_isalnum(*at))
		at++;
	tag->element = find_element(name, (size_t)(at - name));
	if (!tag->element)
		return NULL;
	for (;;) {
		at = space_end(at, end);
		if (at >= end)
			return NULL;
		if (*at == '>')
			return at + 1;
		if (*at == '/') {
			at++;
			continue;
		}
		if (!(at = read_attribute(at, end, tag)))
			return NULL;
	}
}

/* http, https, mailto, or a place on this page. */
static bool is_address(const Attribute *href)
{
	for (size_t i = 0; href && i < href->value_len; i++)
		if ((unsigned char)href->value[i] <= ' ')
			return false;
	return href && href->value && href->value_len < 8192 && (begins(href, "https://") || begins(href, "http://") || begins(href, "mailto:"));
}

static bool is_picture(const Attribute *src)
{
	static const char *const kinds[] = {"data:image/png;base64,", "data:image/jpeg;base64,", "data:image/gif;base64,",
	        "data:image/webp;base64,"};
	for (size_t i = 0; src && src->value && i < G_N_ELEMENTS(kinds); i++) {
		size_t len = strlen(kinds[i]);
		if (src->value_len <= len || src->value_len > DATA_BYTES_MAX || !begins(src, kinds[i]))
			continue;
		for (size_t k = len; k < src->value_len; k++)
			if (!g_ascii_isalnum(src->value[k]) && !strchr("+/=", src->value[k]))
				return false;
		return true;
	}
	return false;
}

static bool is_number(const Attribute *value, bool percent)
{
	size_t digits = 0;
	while (value && digits < value->value_len && g_ascii_isdigit(value->value[digits]))
		digits++;
	return digits > 0 && digits <= 4 &&
	       (digits == value->value_len || (percent && digits + 1 == value->value_len && value->value[digits] == '%'));
}

static void put_common(GString *out, const Tag *tag)
{
	static const char *const sides[] = {"left", "center", "right", "justify"};
	static const char *const sizes[] = {"width", "height"}, *const spans[] = {"colspan", "rowspan"};
	const Attribute *align = tag->element->traits & ALIGNS ? find(tag, "align") : NULL;
	for (size_t i = 0; align && align->value && i < G_N_ELEMENTS(sides); i++)
		if (align->value_len == strlen(sides[i]) && begins(align, sides[i]))
			put_attribute(out, "align", sides[i], strlen(sides[i]));
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		const Attribute *size = tag->element->traits & SIZES ? find(tag, sizes[i]) : NULL;
		if (is_number(size, true))
			put_attribute(out, sizes[i], size->value, size->value_len);
		const Attribute *span = tag->element->traits & SPANS ? find(tag, spans[i]) : NULL;
		if (is_number(span, false))
			put_attribute(out, spans[i], span->value, span->value_len);
	}
}

static void put_text_attribute(GString *out, const Tag *tag, const char *name)
{
	const Attribute *attribute = find(tag, name);
	if (attribute && attribute->value)
		put_attribute(out, name, attribute->value, attribute->value_len);
}

/* A picture from elsewhere is a link to it, in its own words. */
static void put_picture(GString *out, const Tag *tag)
{
	const Attribute *src = find(tag, "src"), *alt = find(tag, "alt");
	bool inside = is_picture(src);
	if (!inside && is_address(src) && !begins(src, "mailto:")) {
		g_string_append(out, "<a rel=\"nofollow noopener\"");
		put_attribute(out, "href", src->value, src->value_len);
		g_string_append_c(out, '>');
		if (alt && alt->value_len > 0)
			put_text(out, alt->value, alt->value_len);
		else
			g_string_append(out, "picture");
		g_string_append(out, "</a>");
	} else if (inside) {
		g_string_append(out, "<img");
		put_attribute(out, "src", src->value, src->value_len);
		put_attribute(out, "alt", alt && alt->value ? alt->value : "", alt ? alt->value_len : 0);
		put_common(out, tag);
		g_string_append(out, " loading=\"lazy\">");
	} else if (alt) {
		put_text(out, alt->value ? alt->value : "", alt->value_len);
	}
}

/* Only the box of a task list, which nobody can tick here. */
static void put_box(GString *out, const Tag *tag)
{
	const Attribute *type = find(tag, "type");
	if (type && type->value_len == 8 && begins(type, "checkbox"))
		g_string_append_printf(out, "<input type=\"checkbox\" disabled%s aria-label=\"task\">", find(tag, "checked") ? " checked" : "");
}

static void put_end(Writer *writer)
{
	const Element *element = writer->open[--writer->depth];
	if (element->traits & HEADS)
		g_string_append_printf(writer->out, "</h%d>", writer->levels[writer->depth]);
	else
		g_string_append_printf(writer->out, "</%s>%s", element->name, is(element, "table") ? "</div>" : "");
}

static void end_tag(Writer *writer, const Element *element)
{
	for (size_t i = writer->depth; i > 0; i--) {
		if (writer->open[i - 1] != element)
			continue;
		while (writer->depth >= i)
			put_end(writer);
		return;
	}
}

static void begin_tag(Writer *writer, const Tag *tag)
{
	GString *out = writer->out;
	const Element *element = tag->element;
	if (is(element, "img")) {
		put_picture(out, tag);
	} else if (is(element, "input")) {
		put_box(out, tag);
	} else if (element->traits & VOID) {
		g_string_append_printf(out, "<%s>", element->name);
	} else if (element->traits & HEADS) {
		int level = MIN(element->name[1] - '0' + 2, MIN(writer->heading + 1, 6));
		writer->heading = level;
		writer->levels[writer->depth] = level;
		writer->open[writer->depth++] = element;
		g_string_append_printf(out, "<h%d", level);
		put_common(out, tag);
		g_string_append_c(out, '>');
	} else {
		writer->open[writer->depth++] = element;
		if (is(element, "table"))
			g_string_append(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the summary\">");
		g_string_append_printf(out, "<%s", element->name);
		put_common(out, tag);
		if (is(element, "a")) {
			const Attribute *href = find(tag, "href");
			g_string_append(out, " rel=\"nofollow noopener\"");
			if (is_address(href))
				put_attribute(out, "href", href->value, href->value_len);
		}
		if (is(element, "a") || is(element, "abbr"))
			put_text_attribute(out, tag, "title");
		if (is(element, "pre"))
			g_string_append(out, " tabindex=\"0\"");
		if (is(element, "details") && find(tag, "open"))
			g_string_append(out, " open");
		if (is(element, "ol") && is_number(find(tag, "start"), false))
			put_text_attribute(out, tag, "start");
		if (is(element, "th") && !find(tag, "scope"))
			g_string_append(out, " scope=\"col\"");
		g_string_append_c(out, '>');
	}
}

static bool is_open(const Writer *writer, const char *name)
{
	for (size_t i = 0; i < writer->depth; i++)
		if (is(writer->open[i], name))
			return true;
	return false;
}

/* What a browser would end by itself has to be ended here too, or the two disagree about what is in what. */
static void make_way(Writer *writer, const Element *element)
{
	static const char *const alone[] = {"a", "p", "li", "dt", "dd", "tr", "td", "th"};
	for (size_t i = 0; i < G_N_ELEMENTS(alone); i++) {
		if (!is(element, alone[i]) || writer->depth == 0)
			continue;
		const Element *top = writer->open[writer->depth - 1];
		if (top == element || (is(element, "a") && is_open(writer, "a")))
			end_tag(writer, element);
	}
}

static const char *comment_end(const char *at, const char *end)
{
	if (end - at < 7 || memcmp(at, "<!--", 4) != 0)
		return NULL;
	const char *close = memmem(at + 4, (size_t)(end - at - 4), "-->", 3);
	return close ? close + 3 : NULL;
}

void safe_html(GString *out, const char *html, size_t len)
{
	Writer writer = {.out = out, .heading = 2};
	const char *end = html + len;
	const char *plain = html;
	bool no_more_comments = false; /* an open one is looked for once */
	Tag tag;
	for (const char *at = html; at < end;) {
		at = memchr(at, '<', (size_t)(end - at));
		if (!at)
			break;
		const char *after = no_more_comments ? NULL : comment_end(at, end);
		bool is_comment = after != NULL;
		if (!is_comment && end - at >= 4 && memcmp(at, "<!--", 4) == 0)
			no_more_comments = true;
		if (!is_comment)
			after = read_tag(at, end, &tag);
		bool full = !is_comment && after && !tag.ends && !(tag.element->traits & VOID) && writer.depth >= SAFE_HTML_DEPTH;
		if (!after || full) {
			at++;
			continue;
		}
		put_text(out, plain, (size_t)(at - plain));
		if (!is_comment && tag.ends) {
			end_tag(&writer, tag.element);
		} else if (!is_comment) {
			make_way(&writer, tag.element);
			begin_tag(&writer, &tag);
		}
		plain = at = after;
	}
	put_text(out, plain, (size_t)(end - plain));
	while (writer.depth > 0)
		put_end(&writer);
}
