/* SPDX-License-Identifier: Apache-2.0 */
/* `assay validate` with the linter, in a file of its own: the program that only checks is linked without it. */
#include "agent/job/lint.h"
#include "agent/job/verbs_language.h"

int verb_validate(int argc, char **argv)
{
	return validate_verb(argc, argv, lint_document);
}
