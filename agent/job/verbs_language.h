/* SPDX-License-Identifier: Apache-2.0 */
/* `assay validate` and `assay expr`. argv[0] is the verb; they print, and return the exit status. */
#pragma once

#include "agent/job/validate.h"

/** assay validate [--format text|json] [--lint] PATH… : 0 all valid, 1 one is not, 2 wrong use, 3 a path cannot be read. */
int verb_validate(int argc, char **argv);
/** The same with a linter of the caller's, or none. */
int validate_verb(int argc, char **argv, LintFunction lint_function);
/** assay expr --contexts F [--jsonl F] : 0 when every line was processed. */
int verb_expr(int argc, char **argv);
