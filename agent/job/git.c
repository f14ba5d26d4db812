/* SPDX-License-Identifier: Apache-2.0 */
/* libgit2's start and its errors. */
#include "agent/job/git.h"

#include <string.h>

#include "agent/base/error.h"
#include "agent/base/library.h"

#if defined(__SANITIZE_ADDRESS__)
/* libgit2 1.5 forgets a match of PCRE for each remote that it makes. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2";
}
#endif

struct GitCalls git_calls;

static bool load(GError **error)
{
#define SYMBOL(name) {"git_" #name, &git_calls.name},
	static const LibrarySymbol symbols[] = {GIT_CALLS(SYMBOL)};
#undef SYMBOL
	return library_load("libgit2.so." LIBGIT2_SOVERSION, "libgit2-" LIBGIT2_SOVERSION, symbols, G_N_ELEMENTS(symbols), error);
}

bool git_begin(GError **error)
{
	static bool begun;
	if (begun)
		return true;
	if (!load(error))
		return false;
	begun = true;
	git_libgit2_init();
	git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	static const git_config_level_t levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
	        GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
	for (size_t i = 0; i < G_N_ELEMENTS(levels); i++)
		git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	/* The system's certificates are the library's default: setting them again would parse them once more, 5 ms. */
	return true;
}

static AssayError code_of(int code)
{
	if (code == GIT_ENOTFOUND)
		return ASSAY_ERROR_ABSENT;
	if (code == GIT_EAUTH || code == GIT_ECERTIFICATE)
		return ASSAY_ERROR_DENIED;
	const git_error *last = git_error_last();
	if (last && (last->klass == GIT_ERROR_NET || last->klass == GIT_ERROR_SSL || last->klass == GIT_ERROR_SSH ||
	                    last->klass == GIT_ERROR_HTTP))
		return ASSAY_ERROR_REMOTE;
	return ASSAY_ERROR_SYSTEM;
}

bool git_fail(GError **error, int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	g_autofree char *what = g_strdup_vprintf(format, args);
	va_end(args);
	const git_error *last = git_error_last();
	return fail(error, code_of(code), "%s: %s", what, last && last->message ? last->message : "git failed");
}
