/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `assay-language`: the verbs that only read text, without the libraries that a worker needs for git, archives and
 * Markdown, whose loading takes longer than checking two hundred files (docs/decisions/0161). start.c becomes it for
 * `validate` and `expr`; with --lint, which knows the built-in actions, `validate` is the worker's.
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/job/verbs_language.h"

int main(int argc, char **argv)
{
	log_setup(LOG_LEVEL_INFO, log_default_format());
	if (argc > 1 && strcmp(argv[1], "validate") == 0)
		return validate_verb(argc - 1, argv + 1, NULL);
	if (argc > 1 && strcmp(argv[1], "expr") == 0)
		return verb_expr(argc - 1, argv + 1);
	fprintf(stderr, "assay: language: people type 'assay', see 'assay help'\n");
	return 2;
}
