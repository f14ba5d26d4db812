/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library reads what a stranger wrote, and its known faults are of time: so it works in a clone of this process that
 * can open nothing and is ended when it takes too long. Without an answer the summary is shown as it was written.
 */
#include "agent/job/summary.h"

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/base/library.h"
#include "agent/base/log.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1 /* it wants more addresses than there is memory */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#define CPU_S 2
#define MEMORY_BYTES (256UL * 1024 * 1024)
#define PART_BYTES (128 * 1024) /* what fits a line of events, however it is escaped */

/* Few jobs write a summary, so the library is loaded with the first. */
#define CALLS(C) \
	C(cmark_find_syntax_extension) C(cmark_node_free) C(cmark_parser_attach_syntax_extension) C(cmark_parser_feed) \
	C(cmark_parser_finish) C(cmark_parser_free) C(cmark_parser_get_syntax_extensions) C(cmark_parser_new) C(cmark_render_html)
#define FIELD(name) __typeof__(&name) name;
static struct {
	bool loaded;
	CALLS(FIELD)
	__typeof__(&cmark_gfm_core_extensions_ensure_registered) register_extensions;
} lib;
#undef FIELD

static bool load(GError **error)
{
#define SYMBOL(name) {#name, &lib.name},
	static const LibrarySymbol symbols[] = {CALLS(SYMBOL)};
#undef SYMBOL
	static const LibrarySymbol extensions[] = {{"cmark_gfm_core_extensions_ensure_registered", &lib.register_extensions}};
	lib.loaded = lib.loaded || (library_load("libcmark-gfm.so." CMARK_GFM_VERSION_STRING,
	                                    "libcmark-gfm" CMARK_GFM_VERSION_STRING, symbols, G_N_ELEMENTS(symbols), error) &&
	                                   library_load("libcmark-gfm-extensions.so." CMARK_GFM_VERSION_STRING,
	                                           "libcmark-gfm-extensions" CMARK_GFM_VERSION_STRING, extensions, 1, error));
	return lib.loaded;
}

char *summary_render(const char *markdown, size_t len)
{
	static const char *const extensions[] = {"table", "strikethrough", "autolink", "tasklist"};
	if (!load(NULL))
		return NULL;
	lib.register_extensions();
	const int options = CMARK_OPT_UNSAFE | CMARK_OPT_VALIDATE_UTF8;
	cmark_parser *parser = lib.cmark_parser_new(options);
	for (size_t i = 0; i < G_N_ELEMENTS(extensions); i++) {
		cmark_syntax_extension *extension = lib.cmark_find_syntax_extension(extensions[i]);
		if (extension)
			lib.cmark_parser_attach_syntax_extension(parser, extension);
	}
	lib.cmark_parser_feed(parser, markdown, len);
	cmark_node *document = lib.cmark_parser_finish(parser);
	char *html = lib.cmark_render_html(document, options, lib.cmark_parser_get_syntax_extensions(parser));
	lib.cmark_node_free(document);
	lib.cmark_parser_free(parser);
	return html;
}

static void limit(int what, rlim_t value)
{
	const struct rlimit both = {value, value};
	setrlimit(what, &both);
}

static _Noreturn void render_and_end(int out, const char *markdown, size_t len)
{
	limit(RLIMIT_CPU, CPU_S);
	limit(RLIMIT_CORE, 1); /* with none a core still goes to the host's handler */
	limit(RLIMIT_NOFILE, 0);
#ifndef SANITIZED
	limit(RLIMIT_AS, MEMORY_BYTES + len * 64);
#endif
	char *html = summary_render(markdown, len);
	size_t left = html ? strlen(html) + 1 : 0; /* its NUL says that it is whole */
	for (const char *at = html; left > 0;) {
		ssize_t put = write(out, at, left);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			break;
		at += put;
		left -= (size_t)put;
	}
	_exit(0);
}

/* All that comes; NULL when it does not end with a NUL, or is too much. */
static char *read_whole(int fd)
{
	g_autoptr(GString) all = g_string_new(NULL);
	char piece[32 * 1024];
	for (;;) {
		ssize_t got = read(fd, piece, sizeof piece);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		g_string_append_len(all, piece, got);
		if (all->len > SUMMARY_HTML_BYTES_MAX)
			return NULL;
	}
	return all->len > 0 && all->str[all->len - 1] == '\0' ? g_string_free(g_steal_pointer(&all), FALSE) : NULL;
}

char *summary_html(const char *markdown, size_t len)
{
	int ends[2];
	g_autoptr(GError) error = NULL;
	if (!load(&error)) { /* here: the clone may open nothing */
		log_warning("a summary is shown as it was written", KV("why", error->message));
		return NULL;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return NULL;
	pid_t child = fork();
	if (child == 0)
		render_and_end(ends[1], markdown, len);
	close(ends[1]);
	char *html = child > 0 ? read_whole(ends[0]) : NULL;
	close(ends[0]);
	if (child > 0) {
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			; /* where SIGCHLD is ignored, the kernel has done it */
	}
	return html;
}

static bool emit(Job *job, const char *key, const char *text, size_t len, GError **error)
{
	json_t *event = task_event(EVENT_SUMMARY);
	json_set_int(event, "step", job->step);
	json_set_int(event, "part", job->summary_parts++);
	json_set_string(event, "markdown", "");
	json_set(event, key, json_string_any(text, len));
	return task_emit(job->task, event, error);
}

/* In parts, none of which ends within a character. */
static bool emit_parts(Job *job, const char *key, const char *text, GError **error)
{
	size_t len = strlen(text);
	for (size_t at = 0; at < len;) {
		size_t end = MIN(at + PART_BYTES, len);
		while (end < len && ((unsigned char)text[end] & 0xC0) == 0x80)
			end--;
		if (!emit(job, key, text + at, end - at, error))
			return false;
		at = end;
	}
	return true;
}

bool summary_tell(Job *job, const char *text, size_t len, GError **error)
{
	g_autofree char *valid = g_utf8_make_valid(text, (gssize)len);
	g_autofree char *masked = mask_text(job->task->mask, valid);
	g_autofree char *html = summary_html(masked, strlen(masked));
	if (job->summary_parts > 0 && !emit(job, "markdown", "\n\n", 2, error))
		return false;
	return emit_parts(job, "markdown", masked, error) && (!html || emit_parts(job, "html", html, error));
}
