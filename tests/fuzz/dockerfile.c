/* SPDX-License-Identifier: Apache-2.0 */
/* Dockerfiles of strangers: read, and every line of what is valid taken apart with variables that stand for one another. */
#include "agent/model/dockerfile.h"

#include <stdint.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/job/build_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *look_up(void *data, const char *name)
{
	(void)data;
	g_assert_true(name[0]);
	return name[0] == 'A' ? "a value $B \"with\" 'quotes'" : name[0] == 'B' ? "" : NULL;
}

static void expand(const char *text, char escape)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *word = dockerfile_expand(text, escape, look_up, NULL, &error);
	g_assert_true((word != NULL) == (error == NULL));
	g_assert_true(!word || strlen(word) <= DOCKERFILE_WORD_BYTES_MAX);
	g_clear_error(&error);
	g_autofree char *plain = dockerfile_expand_text(text, escape, look_up, NULL, &error);
	g_assert_true((plain != NULL) == (error == NULL));
}

static void take_apart(const DockerInstruction *instruction, char escape)
{
	g_autoptr(GError) error = NULL;
	g_assert_nonnull(dockerfile_verb_name(instruction->verb));
	g_assert_true(instruction->line > 0 && instruction->rest[0]);
	g_auto(GStrv) fields = dockerfile_fields(instruction->rest);
	g_auto(GStrv) words = dockerfile_words(instruction->rest, escape);
	g_auto(GStrv) pairs = dockerfile_pairs(instruction->rest, escape, &error);
	g_assert_true((pairs != NULL) == (error == NULL));
	for (char **pair = pairs; pair && *pair; pair++)
		g_assert_true(strchr(*pair, '=') > *pair);
	expand(instruction->rest, escape);
	for (char **field = fields; *field; field++) {
		expand(*field, escape);
		(void)build_pattern_matches(*field, "a/b/c");
		(void)build_pattern_matches("**/a*", *field);
	}
	for (guint i = 0; i < instruction->heredocs->len; i++) {
		const DockerHeredoc *heredoc = instruction->heredocs->pdata[i];
		g_assert_true(heredoc->name[0] && !strchr(heredoc->name, '/') && heredoc->text);
		expand(heredoc->text, escape);
	}
	(void)dockerfile_flag(instruction, "from");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Exactly as many bytes as there are, without a NUL behind them: a read beyond them is seen. */
	g_autofree char *bytes = g_memdup2(data, size);
	g_autoptr(GError) error = NULL;
	g_autoptr(Dockerfile) file = dockerfile_parse(bytes ? bytes : "", size, "Dockerfile", &error);
	g_assert_true((file != NULL) == (error == NULL));
	if (!file)
		return 0;
	g_assert_cmpuint(file->instructions->len, >, 0);
	for (guint i = 0; i < file->instructions->len; i++)
		take_apart(file->instructions->pdata[i], file->escape);
	return 0;
}
