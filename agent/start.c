/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay`, what people type: it becomes assay-agent or assay-worker, whichever has the verb, or assay-language for verbs
 * that only read text. It links nothing but libc, so that a command of the worker does not first load the libraries of
 * a web server (docs/decisions/0161).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/verbs.h"

#ifndef ASSAY_LIBEXEC
#define ASSAY_LIBEXEC "/usr/libexec/assay"
#endif

/** FOLDER/between/NAME into path; false where there is no such program. */
static int is_program(char path[PATH_MAX], const char *folder, const char *between, const char *name)
{
	int len = snprintf(path, PATH_MAX, "%s/%s%s", folder, between, name);
	return len > 0 && len < PATH_MAX && access(path, X_OK) == 0;
}

/** Is this `expr`, or `validate` without the linter? */
static int reads_text_alone(int argc, char **argv)
{
	if (argc < 2 || (strcmp(argv[1], "validate") != 0 && strcmp(argv[1], "expr") != 0))
		return 0;
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strncmp(argv[i], "--lint", 6) == 0 || strncmp(argv[i], "--strict", 8) == 0)
			return 0;
	return 1;
}

/** Beside this program (a build tree), in the libexec beside its folder, or where it was built to be. */
static int find_program(char path[PATH_MAX], const char *name)
{
	char folder[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", folder, sizeof folder - 1);
	folder[len > 0 ? len : 0] = '\0';
	char *slash = strrchr(folder, '/');
	if (slash)
		*slash = '\0';
	return (slash && (is_program(path, folder, "", name) || is_program(path, folder, "../libexec/assay/", name))) ||
	       is_program(path, ASSAY_LIBEXEC, "", name);
}

int main(int argc, char **argv)
{
	const Verb *verb = argc > 1 ? verb_find(argv[1], argc > 2 ? argv[2] : NULL) : NULL;
	int worker = verb && verb->half == VERB_WORKER;
	const char *given = worker ? getenv("ASSAY_WORKER") : NULL;
	char path[PATH_MAX];
	if (given)
		snprintf(path, sizeof path, "%s", given);
	else if (!reads_text_alone(argc, argv) || !find_program(path, "assay-language"))
		(void)find_program(path, worker ? "assay-worker" : "assay-agent");
	execv(path, argv);
	fprintf(stderr, "assay: cannot start %s, a part of this program: %s; is it installed whole?\n", path,
	        strerror(errno));
	return 3;
}
