/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors. One table says for each code what a shell, an HTTP client and a problem document see.
 * Every level adds its own noun once with g_prefix_error(); nothing here logs.
 */
#include "agent/base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *type;
	int exit_status;
	unsigned http_status;
} codes[] = {
        [ASSAY_ERROR_USER] = {"user", 2, 422},
        [ASSAY_ERROR_ABSENT] = {"absent", 3, 404},
        [ASSAY_ERROR_DENIED] = {"denied", 3, 403},
        [ASSAY_ERROR_BUSY] = {"busy", 3, 409},
        [ASSAY_ERROR_REMOTE] = {"remote", 3, 502},
        [ASSAY_ERROR_SYSTEM] = {"system", 1, 500},
};

G_DEFINE_QUARK(assay-error, assay_error)

static void set_error(GError **error, AssayError code, const char *format, va_list args)
{
	if (!error)
		return;
	g_autofree char *text = g_strdup_vprintf(format, args);
	if (!g_utf8_validate(text, -1, NULL)) {
		char *valid = g_utf8_make_valid(text, -1);
		g_free(g_steal_pointer(&text));
		text = valid;
	}
	g_set_error_literal(error, ASSAY_ERROR, (int)code, text);
}

bool fail(GError **error, AssayError code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	set_error(error, code, format, args);
	va_end(args);
	return false;
}

static AssayError code_of_errno(int errno_value)
{
	switch (errno_value) {
	case ENOENT:
	case ENOTDIR:
		return ASSAY_ERROR_ABSENT;
	case EACCES:
	case EPERM:
	case EROFS:
		return ASSAY_ERROR_DENIED;
	case EAGAIN:
	case EBUSY:
		return ASSAY_ERROR_BUSY;
	default:
		return ASSAY_ERROR_SYSTEM;
	}
}

bool fail_errno(GError **error, int errno_value, const char *format, ...)
{
	if (!error)
		return false;
	va_list args;
	va_start(args, format);
	g_autofree char *text = g_strdup_vprintf(format, args);
	va_end(args);
	const char *advice = "";
	if (errno_value == ENOSPC || errno_value == EDQUOT)
		advice = "; free some space and try again";
	else if (errno_value == EMFILE || errno_value == ENFILE)
		advice = "; raise the limit of open files";
	return fail(error, code_of_errno(errno_value), "%s: %s%s", text, g_strerror(errno_value), advice);
}

static AssayError code_of(const GError *error)
{
	if (error && error->domain == ASSAY_ERROR && error->code >= 0 &&
	        (size_t)error->code < G_N_ELEMENTS(codes))
		return (AssayError)error->code;
	return ASSAY_ERROR_SYSTEM;
}

int error_exit_status(const GError *error)
{
	return codes[code_of(error)].exit_status;
}

unsigned error_http_status(const GError *error)
{
	return codes[code_of(error)].http_status;
}

const char *error_type(const GError *error)
{
	return codes[code_of(error)].type;
}

AssayError error_code_from_type(const char *type)
{
	for (size_t i = 0; type && i < G_N_ELEMENTS(codes); i++)
		if (strcmp(codes[i].type, type) == 0)
			return (AssayError)i;
	return ASSAY_ERROR_SYSTEM;
}

int error_print(const GError *error)
{
	fprintf(stderr, "assay: %s\n", error ? error->message : "failed without a reason; this is a mistake in assay");
	return error_exit_status(error);
}
