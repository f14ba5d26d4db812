/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: which function a verb is, help from the verb table, options by GOption. */
#include "agent/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/cli/verbs_agent.h"
#include "agent/verbs.h"

static const struct {
	const char *noun;
	const char *verb;
	int (*run)(int argc, char **argv);
} functions[] = {
        {"audit", "list", verb_audit_list},
        {"data", "list", verb_data_list},
        {"data", "show", verb_data_show},
        {"env", "list", verb_env_list},
        {"env", "set", verb_env_set},
        {"gate", "approve", verb_gate_approve},
        {"gate", "list", verb_gate_list},
        {"gate", "reject", verb_gate_reject},
        {"gate", "show", verb_gate_show},
        {"model", "list", verb_model_list},
        {"model", "show", verb_model_show},
        {"repo", "add", verb_repo_add},
        {"repo", "list", verb_repo_list},
        {"runs", "cancel", verb_runs_cancel},
        {"runs", "download", verb_runs_download},
        {"runs", "rerun", verb_runs_rerun},
        {"runs", "schedule", verb_runs_schedule},
        {"runs", "dispatch", verb_runs_dispatch},
        {"runs", "list", verb_runs_list},
        {"runs", "log", verb_runs_log},
        {"runs", "show", verb_runs_show},
        {"secret", "list", verb_secret_list},
        {"secret", "set", verb_secret_set},
        {"token", "create", verb_token_create},
        {"user", "add", verb_user_add},
        {"user", "link", verb_user_link},
        {"user", "list", verb_user_list},
        {"var", "set", verb_var_set},
};

static void print_help(FILE *out, const char *noun)
{
	fprintf(out, "assay %s: CI/CD for machine-learning repositories\n\nusage: assay NOUN [VERB] [OPTIONS]\n\n", ASSAY_VERSION);
	for (const Verb *row = verbs; row->noun; row++) {
		if (noun && strcmp(noun, row->noun) != 0)
			continue;
		g_autofree char *words = row->verb ? g_strdup_printf("%s %s", row->noun, row->verb) : g_strdup(row->noun);
		fprintf(out, "  %-16s %s\n", words, row->summary);
		if (noun)
			fprintf(out, "  %-16s assay %s %s\n", "", words, row->usage);
	}
	fprintf(out, "\n'assay NOUN VERB --help' tells its options; the agent is found by ASSAY_SOCKET, or ASSAY_URL and ASSAY_TOKEN.\n");
}

/* troff, for assay(1): the build fills the page with it. */
static void print_man(void)
{
	for (const Verb *row = verbs; row->noun; row++) {
		g_autofree char *usage = g_strdup(row->usage);
		g_autoptr(GString) escaped = g_string_new(usage);
		g_string_replace(escaped, "-", "\\-", 0);
		printf(".TP\n.B assay %s%s%s\n%s\n.br\n%s.\n", row->noun, row->verb ? " " : "", row->verb ? row->verb : "",
		        escaped->str, row->summary);
	}
}

/* Words for completion: nouns, a noun's verbs, or a verb's options. */
static void print_words(const char *noun, const char *verb)
{
	const char *last = "";
	for (const Verb *row = verbs; row->noun; row++) {
		if (!noun && strcmp(row->noun, last) != 0)
			printf("%s\n", row->noun);
		last = row->noun;
		if (!noun || strcmp(noun, row->noun) != 0)
			continue;
		if (!verb && row->verb)
			printf("%s\n", row->verb);
		if (row->verb && g_strcmp0(verb, row->verb) != 0)
			continue;
		g_auto(GStrv) words = g_strsplit_set(row->usage, " []()|", 0);
		for (char **word = words; *word; word++)
			if (g_str_has_prefix(*word, "--") && (*word)[2])
				printf("%s\n", *word);
	}
}

bool cli_parse(const GOptionEntry *options, const char *usage, int low, int high, int *argc, char ***argv)
{
	g_autoptr(GOptionContext) context = g_option_context_new(usage);
	g_autoptr(GError) error = NULL;
	g_option_context_add_main_entries(context, options, NULL);
	if (!g_option_context_parse(context, argc, argv, &error)) {
		fprintf(stderr, "assay: %s; see --help\n", error->message);
		return false;
	}
	if (*argc > 1 && strcmp((*argv)[1], "--") == 0) {
		(*argv)[1] = (*argv)[0];
		(*argv)++;
		(*argc)--;
	}
	int operands = *argc - 1;
	if (operands >= low && operands <= high)
		return true;
	fprintf(stderr, "assay: %s; usage: assay … %s\n", operands < low ? "something is missing" : "too many words", usage);
	return false;
}

static int unknown(int argc, char **argv)
{
	fprintf(stderr, "assay: unknown command '%s%s%s'; 'assay help' lists those there are\n", argv[1], argc > 2 ? " " : "",
	        argc > 2 ? argv[2] : "");
	return 2;
}

int cli_main(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		if (argc > 2 && strcmp(argv[2], "--man") == 0)
			print_man();
		else if (argc > 2 && strcmp(argv[2], "--words") == 0)
			print_words(argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL);
		else
			print_help(stdout, argc > 2 ? argv[2] : NULL);
		return 0;
	}
	if (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0) {
		printf("assay %s\n", ASSAY_VERSION);
		return 0;
	}
	for (size_t i = 0; argc > 2 && i < G_N_ELEMENTS(functions); i++)
		if (strcmp(functions[i].noun, argv[1]) == 0 && strcmp(functions[i].verb, argv[2]) == 0) {
			g_autofree char *name = g_strdup_printf("assay %s %s", argv[1], argv[2]);
			g_set_prgname(name);
			return functions[i].run(argc - 2, argv + 2);
		}
	for (const Verb *row = verbs; row->noun; row++)
		if (strcmp(row->noun, argv[1]) == 0 && (argc == 2 || strcmp(argv[2], "--help") == 0)) {
			print_help(argc == 2 ? stderr : stdout, argv[1]);
			return argc == 2 ? 2 : 0;
		}
	return unknown(argc, argv);
}
