/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: one domain, six codes, and each code says who can act. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/** The code of every GError that Assay makes. The order is the table's in error.c. */
typedef enum AssayError {
	ASSAY_ERROR_USER,   /* the input is wrong: whoever gave it can mend it */
	ASSAY_ERROR_ABSENT, /* the thing named is not there */
	ASSAY_ERROR_DENIED, /* this caller may not */
	ASSAY_ERROR_BUSY,   /* try again later */
	ASSAY_ERROR_REMOTE, /* the other side failed */
	ASSAY_ERROR_SYSTEM, /* this machine failed: disk, memory, kernel */
} AssayError;

#define ASSAY_ERROR (assay_error_quark())
GQuark assay_error_quark(void);

/**
 * Sets *error (which may be NULL) with a message in the form "what failed: why; what to do".
 *
 * Returns   false, always, so that a caller can `return fail(error, …)`
 */
bool fail(GError **error, AssayError code, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * As fail(), with ": " and the text of errno_value behind the message. ENOENT becomes ABSENT, EACCES
 * and EPERM become DENIED, ENOSPC and EDQUOT say that the disk is full, everything else is SYSTEM.
 */
bool fail_errno(GError **error, int errno_value, const char *format, ...) G_GNUC_PRINTF(3, 4);

/** The exit status of a command that ends with this error: 1, 2 or 3 (PRODUCT: 0 done, 1 failed, …). */
int error_exit_status(const GError *error);

/** The HTTP status that answers this error. */
unsigned error_http_status(const GError *error);

/** The last word of the problem type (RFC 9457) for this error: "user", "absent", … Static. */
const char *error_type(const GError *error);

/** The code for a word that error_type() gave; SYSTEM for a word it never gives. */
AssayError error_code_from_type(const char *type);

/** Prints "assay: MESSAGE" to stderr and returns the exit status. Does not free. */
int error_print(const GError *error);
