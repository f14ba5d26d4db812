/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: verbs that ask the agent, help, options. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/**
 * Parses options with GOption; --help prints and exits 0. What is left in argv are operands.
 *
 * @usage      the operands, for help and messages: "REPO WORKFLOW"
 * @low, high  how many operands there may be
 * Returns     false after a message: the command ends with 2
 */
bool cli_parse(const GOptionEntry *options, const char *usage, int low, int high, int *argc, char ***argv);

/** Runs the verb that argv names, by asking the agent; its exit status. Without words it prints help. */
int cli_main(int argc, char **argv);
