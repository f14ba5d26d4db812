/* SPDX-License-Identifier: Apache-2.0 */
/* Dockerfiles: lines, flags, here-documents and variables as BuildKit's reference has them, and what is refused with its line. */
#include "agent/model/dockerfile.h"

#include <string.h>

#include "agent/base/error.h"

static Dockerfile *reads(const char *text)
{
	g_autoptr(GError) error = NULL;
	Dockerfile *file = dockerfile_parse(text, strlen(text), "Dockerfile", &error);
	g_assert_no_error(error);
	g_assert_nonnull(file);
	return file;
}

static const DockerInstruction *at(const Dockerfile *file, guint i)
{
	g_assert_cmpuint(i, <, file->instructions->len);
	return file->instructions->pdata[i];
}

static void lines_become_instructions(void)
{
	g_autoptr(Dockerfile) file = reads("# a comment\r\n\n  from alpine:3 AS x\r\nRUN a \\\n# between\n\n   b \\  \nc\nrun d\\\\\nUSER e");
	g_assert_cmpuint(file->instructions->len, ==, 4);
	g_assert_cmpint(at(file, 0)->verb, ==, DOCKER_FROM);
	g_assert_cmpstr(at(file, 0)->rest, ==, "alpine:3 AS x");
	g_assert_cmpint(at(file, 0)->line, ==, 3);
	g_assert_cmpstr(at(file, 1)->rest, ==, "a    b c");
	g_assert_cmpint(at(file, 1)->line, ==, 4);
	g_assert_cmpstr(at(file, 2)->rest, ==, "d\\\\"); /* an escaped escape continues nothing */
	g_assert_cmpint(at(file, 3)->verb, ==, DOCKER_USER);
	g_assert_cmpint(at(file, 3)->line, ==, 10);
	g_autoptr(Dockerfile) marked = reads("\xef\xbb\xbf""FROM x");
	g_assert_cmpuint(marked->instructions->len, ==, 1);
}

static void directives_are_read_at_the_top(void)
{
	g_autoptr(Dockerfile) file = reads("# syntax = docker/dockerfile:1.7\n#escape=`\nFROM x\nRUN a `\n b\nCOPY c:\\ d\\\n");
	g_assert_cmpint(file->escape, ==, '`');
	g_assert_cmpstr(at(file, 1)->rest, ==, "a  b");
	g_assert_cmpstr(at(file, 2)->rest, ==, "c:\\ d\\");
	g_autoptr(Dockerfile) late = reads("# a comment\n# escape=`\nFROM x\n");
	g_assert_cmpint(late->escape, ==, '\\');
}

static void flags_and_lists_are_taken_apart(void)
{
	g_autoptr(Dockerfile) file = reads("FROM --platform=linux/amd64 x\nCOPY --from=a --chmod=\"75\"5 --link b c\nENTRYPOINT [\"a b\", \"\\u0041\"]\nCMD [not json]\nRUN [\"a\", 1]");
	g_assert_cmpstr(dockerfile_flag(at(file, 0), "platform"), ==, "linux/amd64");
	g_assert_cmpstr(dockerfile_flag(at(file, 1), "from"), ==, "a");
	g_assert_cmpstr(dockerfile_flag(at(file, 1), "chmod"), ==, "755");
	g_assert_cmpstr(dockerfile_flag(at(file, 1), "link"), ==, "");
	g_assert_null(dockerfile_flag(at(file, 1), "chown"));
	g_assert_cmpstr(at(file, 1)->rest, ==, "b c");
	g_assert_cmpstr(at(file, 2)->json[0], ==, "a b");
	g_assert_cmpstr(at(file, 2)->json[1], ==, "A");
	g_assert_null(at(file, 3)->json);
	g_assert_null(at(file, 4)->json);
}

static void here_documents_are_read(void)
{
	g_autoptr(Dockerfile) file = reads("FROM x\nRUN <<EOF\na \\\n# b\n\nEOF\nCOPY <<-'ONE' <<\"TWO\" /to/\n\t\tone\n\tONE\ntwo\nTWO\nRUN echo \"<<NO\" $((1<<2)) << 3 <<<x\nUSER y");
	g_assert_cmpuint(file->instructions->len, ==, 5);
	const DockerHeredoc *first = at(file, 1)->heredocs->pdata[0];
	g_assert_cmpstr(first->name, ==, "EOF");
	g_assert_cmpstr(first->text, ==, "a \\\n# b\n\n");
	g_assert_true(first->expands);
	g_assert_cmpuint(at(file, 2)->heredocs->len, ==, 2);
	const DockerHeredoc *one = at(file, 2)->heredocs->pdata[0], *two = at(file, 2)->heredocs->pdata[1];
	g_assert_cmpstr(one->text, ==, "one\n");
	g_assert_false(one->expands || two->expands);
	g_assert_cmpstr(two->text, ==, "two\n");
	g_assert_cmpuint(at(file, 3)->heredocs->len, ==, 0);
	g_assert_cmpint(at(file, 4)->line, ==, 13);
}

static const char *look_up(void *data, const char *name)
{
	(void)data;
	return strcmp(name, "A") == 0 ? "one two" : strcmp(name, "EMPTY") == 0 ? "" : strcmp(name, "Q") == 0 ? "\"$A'" : NULL;
}

static void variables_are_put_in(void)
{
	static const struct {
		const char *word, *wanted; /* NULL: an error */
	} cases[] = {{"x$A", "xone two"}, {"${A}x", "one twox"}, {"$Ax", ""}, {"\\$A", "$A"}, {"'$A'", "$A"}, {"\"$A\"", "one two"},
	        {"\"\\$A \\\" \\x\"", "$A \" \\x"}, {"a\\ b", "a b"}, {"${NO:-x$A}", "xone two"}, {"${EMPTY:-x}", "x"}, {"${EMPTY-x}", ""},
	        {"${A:+set}", "set"}, {"${EMPTY:+set}", ""}, {"${EMPTY+set}", "set"}, {"${NO+set}", ""}, {"$Q", "\"$A'"}, {"$", "$"},
	        {"$1$@", ""}, {"${NO:-${EMPTY:-deep}}", "deep"}, {"$A$EMPTY'a'\"b\"c", "one twoabc"}, {"${A", NULL}, {"${}", NULL},
	        {"'x", NULL}, {"\"x", NULL}, {"${NO:?it is needed}", NULL}, {"${A:?no}", "one two"}, {"${A%x}", NULL}, {"${NO:-\"}\"}", "}"}};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		g_autofree char *got = dockerfile_expand(cases[i].word, '\\', look_up, NULL, &error);
		if (g_strcmp0(got, cases[i].wanted) != 0)
			g_error("%s gives %s (%s)", cases[i].word, got ? got : "NULL", error ? error->message : "no error");
		g_assert_true((got == NULL) == (error != NULL));
	}
	g_autofree char *text = dockerfile_expand_text("say \"$A\" 'x' \\$A \\n\n", '\\', look_up, NULL, NULL);
	g_assert_cmpstr(text, ==, "say \"one two\" 'x' $A \\n\n");
}

static void words_and_pairs_are_split(void)
{
	g_autoptr(GError) error = NULL;
	g_auto(GStrv) words = dockerfile_words("a \"b c\"d  e\\ f 'g h'", '\\');
	g_assert_cmpuint(g_strv_length(words), ==, 4);
	g_assert_cmpstr(words[1], ==, "\"b c\"d");
	g_assert_cmpstr(words[2], ==, "e\\ f");
	g_auto(GStrv) fields = dockerfile_fields("  a \"b\tc\" ");
	g_assert_cmpuint(g_strv_length(fields), ==, 3);
	g_auto(GStrv) pairs = dockerfile_pairs("A=1 B=\"x y\" C=", '\\', &error);
	g_assert_cmpuint(g_strv_length(pairs), ==, 3);
	g_assert_cmpstr(pairs[1], ==, "B=\"x y\"");
	g_auto(GStrv) old = dockerfile_pairs("NAME  a value = b", '\\', &error);
	g_assert_cmpstr(old[0], ==, "NAME=a value = b");
	g_assert_no_error(error);
	g_assert_null(dockerfile_pairs("A=1 B", '\\', &error));
	g_assert_nonnull(strstr(error->message, "'B' is not NAME=value"));
}

static void what_cannot_be_done_has_its_line(void)
{
	static const struct {
		const char *text, *part;
	} bad[] = {{"", "Dockerfile: it has no FROM"}, {"ARG X", "it has no FROM"}, {"RUN x", "Dockerfile:1: RUN stands before the first FROM"},
	        {"FROM x\n\nRUNS y", "Dockerfile:3: 'RUNS' is no instruction"}, {"FROM", "Dockerfile:1: FROM needs an argument"},
	        {"FROM x\nRUN --mount=type=secret,id=x y", "Dockerfile:2: RUN --mount cannot be done here"},
	        {"FROM x\nRUN --security=insecure y", "RUN --security cannot be done here"},
	        {"FROM x\nRUN --network=host y", "RUN --network=host cannot be done here"},
	        {"FROM x\nCOPY --exclude=a b c", "COPY --exclude cannot be done here"},
	        {"FROM x\nADD --checksum=a b c", "ADD --checksum cannot be done here"},
	        {"FROM x\nCOPY --other=a b c", "Dockerfile:2: COPY has no flag '--other=a'"},
	        {"FROM x\nONBUILD RUN y", "Dockerfile:2: ONBUILD"}, {"FROM x\nSHELL bash", "SHELL needs a JSON list"},
	        {"FROM x\nRUN <<EOF\nnever ends", "Dockerfile:2: the here-document 'EOF' has no end"},
	        {"# escape=x\nFROM x", "Dockerfile:1: escape is"}, {"# syntax=acme/other\nFROM x", "another language"},
	        {"FROM x\nRUN a\xff", "it is not UTF-8 text"}};
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;
		g_assert_null(dockerfile_parse(bad[i].text, strlen(bad[i].text), "Dockerfile", &error));
		if (!strstr(error->message, bad[i].part))
			g_error("'%s' gives '%s'", bad[i].text, error->message);
		g_assert_cmpint(error->code, ==, ASSAY_ERROR_USER);
	}
	g_autoptr(GError) error = NULL;
	g_assert_null(dockerfile_parse("FROM x\0y", 8, "Dockerfile", &error));
}

static Dockerfile *parse(GString *text, GError **error)
{
	return dockerfile_parse(text->str, text->len, "Dockerfile", error);
}

/* Files made to be large or slow end at a limit, or after a time that grows with their length. */
static void bombs_have_their_limits(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GString) text = g_string_new("FROM x\n");
	for (int i = 0; i < 100000; i++)
		g_string_append(text, "RUN x\n");
	g_assert_null(parse(text, &error));
	g_assert_nonnull(strstr(error->message, "more than 1000 instructions"));
	g_clear_error(&error);
	g_string_assign(text, "FROM x\nRUN ");
	for (int i = 0; i < 1024 * 1024; i++)
		g_string_append_c(text, 'a');
	g_assert_null(parse(text, &error));
	g_assert_nonnull(strstr(error->message, "more than 1048576 bytes"));
	g_clear_error(&error);
	g_string_assign(text, "FROM x\nRUN a");
	for (int i = 0; i < 300000; i++)
		g_string_append(text, "\\\n");
	g_autoptr(Dockerfile) long_one = parse(text, &error);
	g_assert_no_error(error);
	g_string_assign(text, "");
	for (int i = 0; i < 100000; i++)
		g_string_append(text, "$A");
	g_assert_null(dockerfile_expand(text->str, '\\', look_up, NULL, &error)); /* 700 KB */
	g_clear_error(&error);
	g_string_assign(text, "");
	for (int i = 0; i < 100000; i++)
		g_string_append(text, "${NO:-");
	g_assert_null(dockerfile_expand(text->str, '\\', look_up, NULL, &error));
	g_assert_nonnull(strstr(error->message, "nested deeper"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/dockerfile/lines_become_instructions", lines_become_instructions);
	g_test_add_func("/dockerfile/directives_are_read_at_the_top", directives_are_read_at_the_top);
	g_test_add_func("/dockerfile/flags_and_lists_are_taken_apart", flags_and_lists_are_taken_apart);
	g_test_add_func("/dockerfile/here_documents_are_read", here_documents_are_read);
	g_test_add_func("/dockerfile/variables_are_put_in", variables_are_put_in);
	g_test_add_func("/dockerfile/words_and_pairs_are_split", words_and_pairs_are_split);
	g_test_add_func("/dockerfile/what_cannot_be_done_has_its_line", what_cannot_be_done_has_its_line);
	g_test_add_func("/dockerfile/bombs_have_their_limits", bombs_have_their_limits);
	return g_test_run();
}
