/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Aho-Corasick over a trie in arrays: first child and next sibling, so that memory goes with the patterns and not with
 * the alphabet. Most bytes of a log are at the root; there a window as long as the shortest pattern is moved by what
 * its last two bytes allow (Wu, Manber), so that most bytes are never looked at.
 *
 * What a stream has decided is everything before the longest suffix that could still become a secret: the depth of
 * the current node. Only that much is held back.
 *
 * Source: Aho, Corasick: Efficient string matching (1975); Wu, Manber: A fast algorithm for multi-pattern searching
 * (1994).
 */
#include "agent/job/mask.h"

#include <string.h>

#include "agent/base/json.h"

#define VARIANT_SECRET_MIN 4      /* shorter secrets are masked only as they are */
#define VARIANT_SECRET_MAX 16384  /* longer ones likewise, and line by line */
#define BASE64_PIECE_MIN 6
#define BASE64_WRAP 76            /* what base64(1) and MIME make of a long one */
#define JSON_DEPTH_MAX 16
#define WINDOW_MAX 64
#define SHIFTS 65536

typedef struct Node {
	guint32 child;   /* first; 0: none */
	guint32 sibling; /* next; 0: none */
	guint32 fail;
	guint32 depth;
	guint32 match;   /* length of the longest pattern that ends here; 0: none */
	guint8 byte;
} Node;

struct Mask {
	GHashTable *patterns; /* GBytes, a set */
	GArray *nodes;        /* Node; [0] is the root; empty until built */
	guint32 root[256];
	size_t window;        /* the shortest pattern's length, at most WINDOW_MAX */
	guint8 *shifts;       /* SHIFTS of them, NULL until built: how far a window that ends with these two bytes may move on; 0: a pattern may begin */
	guint generation;     /* grows with every pattern */
	guint built;
};

typedef struct Interval {
	size_t start;
	size_t end;
} Interval;

struct MaskStream {
	Mask *mask;
	guint generation;
	guint32 state;
	GByteArray *held;    /* not decided yet */
	GArray *intervals;   /* Interval, in `held` or what follows it; sorted, disjoint */
	size_t masked_until; /* what is already written as `***` reaches into `held` so far */
};

Mask *mask_new(void)
{
	Mask *mask = g_new0(Mask, 1);
	mask->patterns = g_hash_table_new_full(g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
	mask->nodes = g_array_new(FALSE, TRUE, sizeof(Node));
	return mask;
}

void mask_free(Mask *mask)
{
	if (!mask)
		return;
	g_hash_table_unref(mask->patterns);
	g_array_unref(mask->nodes);
	g_free(mask->shifts);
	g_free(mask);
}

bool mask_is_empty(const Mask *mask)
{
	return g_hash_table_size(mask->patterns) == 0;
}

static void add_pattern(Mask *mask, const char *bytes, size_t len)
{
	if (len == 0)
		return;
	if (g_hash_table_add(mask->patterns, g_bytes_new(bytes, len)))
		mask->generation++;
}

static void add_string(Mask *mask, const GString *text)
{
	if (text->len >= VARIANT_SECRET_MIN)
		add_pattern(mask, text->str, text->len);
}

/* The base64 of the secret at each of three positions in a longer text: whole groups, and with its own end. */
static void add_base64(Mask *mask, const char *secret, size_t len)
{
	for (size_t skip = 0; skip < 3 && skip < len; skip++) {
		size_t rest = len - skip;
		g_autofree char *text = g_base64_encode((const guchar *)secret + skip, rest);
		size_t whole = rest * 8 / 6; /* characters that nothing behind the secret can change */
		size_t full = strcspn(text, "=");
		for (int alphabet = 0; alphabet < 2; alphabet++) {
			if (whole >= BASE64_PIECE_MIN) {
				add_pattern(mask, text, whole);
				add_pattern(mask, text, full);
			}
			for (size_t at = 0; skip == 0 && full > BASE64_WRAP && at < full; at += BASE64_WRAP)
				if (MIN(full - at, (size_t)BASE64_WRAP) >= BASE64_PIECE_MIN)
					add_pattern(mask, text + at, MIN(full - at, (size_t)BASE64_WRAP));
			g_strdelimit(text, "+", '-'); /* the URL-safe alphabet */
			g_strdelimit(text, "/", '_');
		}
	}
}

static void add_escaped(Mask *mask, const char *secret, size_t len)
{
	static const char hex[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
	for (int upper = 0; upper < 2; upper++) {
		g_autoptr(GString) plain = g_string_new(NULL);
		g_autoptr(GString) url = g_string_new(NULL);
		g_autoptr(GString) form = g_string_new(NULL);
		for (size_t i = 0; i < len; i++) {
			guint8 byte = (guint8)secret[i];
			g_string_append_c(plain, hex[upper][byte >> 4]);
			g_string_append_c(plain, hex[upper][byte & 15]);
			if (g_ascii_isalnum(byte) || (byte && strchr("-._~", byte))) {
				g_string_append_c(url, secret[i]);
				g_string_append_c(form, secret[i]);
				continue;
			}
			g_string_append_printf(url, "%%%c%c", hex[upper][byte >> 4], hex[upper][byte & 15]);
			if (byte == ' ')
				g_string_append_c(form, '+');
			else
				g_string_append_printf(form, "%%%c%c", hex[upper][byte >> 4], hex[upper][byte & 15]);
		}
		add_string(mask, plain);
		add_string(mask, url);
		add_string(mask, form);
	}
	static const struct {
		char byte;
		const char *shell;
		const char *twice;
		const char *backslash;
		const char *xml;
	} escapes[] = {
	        {'\'', "'\\''", "''", "\\'", "&apos;"},
	        {'"', "\"", "\"\"", "\\\"", "&quot;"},
	        {'\\', "\\", "\\", "\\\\", "\\"},
	        {'$', "$", "$", "\\$", "$"},
	        {'`', "`", "`", "\\`", "`"},
	        {'&', "&", "&", "&", "&amp;"},
	        {'<', "<", "<", "<", "&lt;"},
	        {'>', ">", ">", ">", "&gt;"},
	};
	g_autoptr(GString) shell = g_string_new(NULL);
	g_autoptr(GString) twice = g_string_new(NULL);
	g_autoptr(GString) backslash = g_string_new(NULL);
	g_autoptr(GString) xml = g_string_new(NULL);
	for (size_t i = 0; i < len; i++) {
		size_t row = 0;
		while (row < G_N_ELEMENTS(escapes) && escapes[row].byte != secret[i])
			row++;
		if (row < G_N_ELEMENTS(escapes)) {
			g_string_append(shell, escapes[row].shell);
			g_string_append(twice, escapes[row].twice);
			g_string_append(backslash, escapes[row].backslash);
			g_string_append(xml, escapes[row].xml);
		} else {
			g_string_append_c(shell, secret[i]);
			g_string_append_c(twice, secret[i]);
			g_string_append_c(backslash, secret[i]);
			g_string_append_c(xml, secret[i]);
		}
	}
	add_string(mask, shell);
	add_string(mask, twice);
	add_string(mask, backslash);
	add_string(mask, xml);
	g_autoptr(json_t) string = json_stringn(secret, len);
	static const size_t flags[] = {JSON_ENCODE_ANY, JSON_ENCODE_ANY | JSON_ENSURE_ASCII,
	        JSON_ENCODE_ANY | JSON_ESCAPE_SLASH};
	for (size_t i = 0; string && i < G_N_ELEMENTS(flags); i++) {
		char *json = json_dumps(string, flags[i]);
		size_t json_len = json ? strlen(json) : 0;
		if (json_len > 2 + VARIANT_SECRET_MIN)
			add_pattern(mask, json + 1, json_len - 2);
		free(json);
	}
}

static void add_variants(Mask *mask, const char *secret, size_t len)
{
	add_pattern(mask, secret, len);
	if (len < VARIANT_SECRET_MIN || len > VARIANT_SECRET_MAX)
		return;
	add_base64(mask, secret, len);
	add_escaped(mask, secret, len);
}

static void add_json_values(Mask *mask, const json_t *value, int depth)
{
	if (json_is_string(value) && json_string_length(value) >= VARIANT_SECRET_MIN)
		add_variants(mask, json_string_value(value), json_string_length(value));
	if (depth >= JSON_DEPTH_MAX)
		return;
	const char *key;
	json_t *item;
	size_t i;
	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, item)
			add_json_values(mask, item, depth + 1);
	} else if (json_is_array(value)) {
		json_array_foreach(value, i, item)
			add_json_values(mask, item, depth + 1);
	}
}

void mask_add(Mask *mask, const char *secret, size_t len)
{
	while (len > 0 && strchr("\r\n", secret[len - 1]) && secret[len - 1])
		len--; /* `echo "$X"` and `cat file` differ only in this */
	if (len == 0)
		return;
	add_variants(mask, secret, len);
	const char *end = secret + len;
	if (memchr(secret, '\n', len)) {
		for (const char *line = secret; line < end;) {
			const char *stop = memchr(line, '\n', (size_t)(end - line));
			size_t line_len = (size_t)((stop ? stop : end) - line);
			const char *next = line + line_len + 1;
			while (line_len > 0 && g_ascii_isspace(line[line_len - 1]))
				line_len--;
			while (line_len > 0 && g_ascii_isspace(line[0]))
				line++, line_len--;
			if (line_len >= VARIANT_SECRET_MIN)
				add_variants(mask, line, line_len);
			line = next;
		}
	}
	if (secret[0] == '{' || secret[0] == '[') {
		g_autoptr(json_t) value = json_parse(secret, len, "secret", NULL);
		if (value)
			add_json_values(mask, value, 0);
	}
}

static Node *node_at(Mask *mask, guint32 index)
{
	return &((Node *)(void *)mask->nodes->data)[index];
}

static guint32 child_of(const Node *nodes, guint32 index, guint8 byte)
{
	guint32 at = nodes[index].child;
	while (at && nodes[at].byte != byte)
		at = nodes[at].sibling;
	return at;
}

static void build(Mask *mask)
{
	if (mask->built == mask->generation)
		return;
	mask->built = mask->generation;
	g_array_set_size(mask->nodes, 0);
	memset(mask->root, 0, sizeof mask->root);
	mask->window = WINDOW_MAX;
	Node root = {0};
	g_array_append_val(mask->nodes, root);
	GHashTableIter walk;
	gpointer pattern;
	g_hash_table_iter_init(&walk, mask->patterns);
	while (g_hash_table_iter_next(&walk, &pattern, NULL)) {
		gsize len = 0;
		const guint8 *bytes = g_bytes_get_data(pattern, &len);
		guint32 at = 0;
		for (gsize i = 0; i < len; i++) {
			guint32 next = at ? child_of(node_at(mask, 0), at, bytes[i]) : mask->root[bytes[i]];
			if (!next) {
				next = mask->nodes->len;
				Node fresh = {.depth = (guint32)i + 1, .byte = bytes[i], .sibling = node_at(mask, at)->child};
				g_array_append_val(mask->nodes, fresh);
				node_at(mask, at)->child = next;
				if (!at)
					mask->root[bytes[i]] = next;
			}
			at = next;
		}
		node_at(mask, at)->match = (guint32)len;
		mask->window = MIN(mask->window, len);
	}
	if (!mask->shifts)
		mask->shifts = g_malloc(SHIFTS);
	memset(mask->shifts, mask->window > 1 ? (int)mask->window - 1 : 0, SHIFTS);
	g_hash_table_iter_init(&walk, mask->patterns);
	while (g_hash_table_iter_next(&walk, &pattern, NULL)) {
		const guint8 *bytes = g_bytes_get_data(pattern, NULL);
		for (size_t i = 0; i + 1 < mask->window; i++) {
			guint8 *shift = &mask->shifts[(unsigned)bytes[i] << 8 | bytes[i + 1]];
			*shift = MIN(*shift, (guint8)(mask->window - 2 - i));
		}
	}
	/* Breadth first: a node's fail is known before its children need it. */
	Node *nodes = node_at(mask, 0);
	g_autofree guint32 *queue = g_new(guint32, mask->nodes->len);
	guint32 head = 0, tail = 0;
	for (guint32 at = nodes[0].child; at; at = nodes[at].sibling)
		queue[tail++] = at;
	while (head < tail) {
		guint32 at = queue[head++];
		if (nodes[at].match == 0)
			nodes[at].match = nodes[nodes[at].fail].match;
		for (guint32 child = nodes[at].child; child; child = nodes[child].sibling) {
			guint32 fall = nodes[at].fail;
			guint32 next;
			while (!(next = fall ? child_of(nodes, fall, nodes[child].byte) : mask->root[nodes[child].byte]) && fall)
				fall = nodes[fall].fail;
			nodes[child].fail = next;
			queue[tail++] = child;
		}
	}
}

MaskStream *mask_stream_new(Mask *mask)
{
	MaskStream *stream = g_new0(MaskStream, 1);
	stream->mask = mask;
	stream->held = g_byte_array_new();
	stream->intervals = g_array_new(FALSE, FALSE, sizeof(Interval));
	return stream;
}

void mask_stream_free(MaskStream *stream)
{
	if (!stream)
		return;
	g_byte_array_unref(stream->held);
	g_array_unref(stream->intervals);
	g_free(stream);
}

static void note_match(MaskStream *stream, size_t start, size_t end)
{
	GArray *intervals = stream->intervals;
	if (start < stream->masked_until) {
		stream->masked_until = MAX(stream->masked_until, end);
		/* What lies wholly in it is already said. */
		while (intervals->len > 0 && g_array_index(intervals, Interval, intervals->len - 1).end <= end)
			g_array_set_size(intervals, intervals->len - 1);
		return;
	}
	while (intervals->len > 0) {
		Interval *last = &g_array_index(intervals, Interval, intervals->len - 1);
		if (last->end <= start)
			break;
		start = MIN(start, last->start);
		end = MAX(end, last->end);
		g_array_set_size(intervals, intervals->len - 1);
	}
	Interval interval = {start, end};
	g_array_append_val(intervals, interval);
}

/* Writes bytes[from, boundary) with its intervals replaced; intervals behind the boundary stay. */
static void write_decided(MaskStream *stream, const guint8 *bytes, size_t from, size_t boundary, GByteArray *out)
{
	size_t at = MAX(from, stream->masked_until);
	guint used = 0;
	for (; used < stream->intervals->len; used++) {
		Interval interval = g_array_index(stream->intervals, Interval, used);
		if (interval.start >= boundary)
			break;
		if (interval.start > at)
			g_byte_array_append(out, bytes + at, (guint)(interval.start - at));
		g_byte_array_append(out, (const guint8 *)"***", 3);
		at = MAX(at, interval.end);
		stream->masked_until = MAX(stream->masked_until, interval.end);
	}
	if (at < boundary)
		g_byte_array_append(out, bytes + at, (guint)(boundary - at));
	g_array_remove_range(stream->intervals, 0, used);
}

/* Advances over bytes[from, len): returns the state; matches are noted. */
static guint32 scan(MaskStream *stream, const guint8 *bytes, size_t from, size_t len, guint32 state)
{
	Mask *mask = stream->mask;
	const Node *nodes = node_at(mask, 0);
	size_t i = from;
	while (i < len) {
		if (state == 0 && mask->window > 1) {
			const size_t reach = mask->window;
			guint8 shift;
			while (i + reach <= len &&
			        (shift = mask->shifts[(unsigned)bytes[i + reach - 2] << 8 | bytes[i + reach - 1]]) > 0)
				i += shift;
		}
		guint8 byte = bytes[i++];
		guint32 next;
		while (!(next = state ? child_of(nodes, state, byte) : mask->root[byte]) && state)
			state = nodes[state].fail;
		state = next;
		if (nodes[state].match)
			note_match(stream, i - nodes[state].match, i);
	}
	return state;
}

void mask_stream_feed(MaskStream *stream, const char *bytes, size_t len, GByteArray *out)
{
	size_t plain = mask_stream_pass(stream, bytes, len, out);
	if (plain > 0)
		g_byte_array_append(out, (const guint8 *)bytes, (guint)plain);
}

size_t mask_stream_pass(MaskStream *stream, const char *bytes, size_t len, GByteArray *out)
{
	Mask *mask = stream->mask;
	if (len == 0 || mask_is_empty(mask))
		return len;
	build(mask);
	size_t from = stream->held->len;
	if (stream->generation != mask->generation) { /* new patterns: look at what was held back once more */
		stream->generation = mask->generation;
		stream->state = scan(stream, stream->held->data, 0, from, 0);
	}
	const guint8 *all = (const guint8 *)bytes;
	if (from > 0) {
		g_byte_array_append(stream->held, all, (guint)len);
		all = stream->held->data;
	}
	size_t total = from + len;
	stream->state = scan(stream, all, from, total, stream->state);
	size_t boundary = total - node_at(mask, stream->state)->depth;
	if (mask_stream_is_idle(stream)) {
		g_byte_array_append(stream->held, all + boundary, (guint)(total - boundary));
		return boundary;
	}
	write_decided(stream, all, 0, boundary, out);
	for (guint i = 0; i < stream->intervals->len; i++) {
		Interval *interval = &g_array_index(stream->intervals, Interval, i);
		interval->start -= boundary;
		interval->end -= boundary;
	}
	stream->masked_until = stream->masked_until > boundary ? stream->masked_until - boundary : 0;
	if (from > 0)
		g_byte_array_remove_range(stream->held, 0, (guint)boundary);
	else
		g_byte_array_append(stream->held, all + boundary, (guint)(total - boundary));
	return 0;
}

guint mask_generation(const Mask *mask)
{
	return mask->generation;
}

bool mask_stream_is_idle(const MaskStream *stream)
{
	return stream->held->len == 0 && stream->intervals->len == 0 && stream->masked_until == 0;
}

size_t mask_stream_clear(MaskStream *stream, const char *bytes, size_t len)
{
	if (mask_is_empty(stream->mask))
		return len;
	build(stream->mask);
	guint32 state = scan(stream, (const guint8 *)bytes, 0, len, 0);
	size_t clear = len - node_at(stream->mask, state)->depth;
	for (guint i = 0; i < stream->intervals->len; i++)
		clear = MIN(clear, g_array_index(stream->intervals, Interval, i).start);
	g_array_set_size(stream->intervals, 0);
	return clear;
}

void mask_stream_end(MaskStream *stream, GByteArray *out)
{
	write_decided(stream, stream->held->data, 0, stream->held->len, out);
	g_byte_array_set_size(stream->held, 0);
	g_array_set_size(stream->intervals, 0);
	stream->masked_until = 0;
	stream->state = 0;
}

char *mask_text(Mask *mask, const char *text)
{
	if (mask_is_empty(mask))
		return g_strdup(text);
	g_autoptr(GByteArray) out = g_byte_array_new();
	MaskStream *stream = mask_stream_new(mask);
	mask_stream_feed(stream, text, strlen(text), out);
	mask_stream_end(stream, out);
	mask_stream_free(stream);
	return out->len ? g_strndup((const char *)out->data, out->len) : g_strdup("");
}

bool mask_finds(Mask *mask, const char *text)
{
	g_autofree char *without = mask_text(mask, text);
	return strcmp(without, text) != 0;
}

json_t *mask_json(Mask *mask, const json_t *value)
{
	if (mask_is_empty(mask))
		return json_deep_copy(value);
	if (json_is_string(value)) {
		g_autofree char *text = mask_text(mask, json_string_value(value));
		return json_string_any(text, strlen(text));
	}
	if (json_is_array(value)) {
		json_t *copy = json_array();
		size_t i;
		json_t *item;
		json_array_foreach(value, i, item)
			json_array_append_new(copy, mask_json(mask, item));
		return copy;
	}
	if (json_is_object(value)) {
		json_t *copy = json_object();
		const char *key;
		json_t *item;
		json_object_foreach((json_t *)(uintptr_t)value, key, item)
			json_object_set_new(copy, key, mask_json(mask, item));
		return copy;
	}
	return json_deep_copy(value);
}
