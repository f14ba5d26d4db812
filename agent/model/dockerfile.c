/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines become instructions in one walk over the bytes. What this machine cannot do is refused here, by the line it stands
 * on: nothing of a file is run before all of it is understood.
 */
#include "agent/model/dockerfile.h"

#include <jansson.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"

#define HEREDOCS_MAX 32
#define FLAGS_MAX 32
#define BLANKS " \t\v\f\r"

typedef struct Row {
	const char *name;
	const char *flags; /* those that have an effect or need none, each behind a blank */
	bool json;         /* it may be a JSON list */
	bool heredocs;
} Row;

static const Row rows[] = {
        [DOCKER_ADD] = {"ADD", " chown chmod link", true, true},
        [DOCKER_ARG] = {"ARG", "", false, false},
        [DOCKER_CMD] = {"CMD", "", true, false},
        [DOCKER_COPY] = {"COPY", " from chown chmod link", true, true},
        [DOCKER_ENTRYPOINT] = {"ENTRYPOINT", "", true, false},
        [DOCKER_ENV] = {"ENV", "", false, false},
        [DOCKER_EXPOSE] = {"EXPOSE", "", false, false},
        [DOCKER_FROM] = {"FROM", " platform", false, false},
        [DOCKER_HEALTHCHECK] = {"HEALTHCHECK", " interval timeout start-period start-interval retries", false, false},
        [DOCKER_LABEL] = {"LABEL", "", false, false},
        [DOCKER_MAINTAINER] = {"MAINTAINER", "", false, false},
        [DOCKER_ONBUILD] = {"ONBUILD", "", false, false},
        [DOCKER_RUN] = {"RUN", " network", true, true},
        [DOCKER_SHELL] = {"SHELL", "", true, false},
        [DOCKER_STOPSIGNAL] = {"STOPSIGNAL", "", false, false},
        [DOCKER_USER] = {"USER", "", false, false},
        [DOCKER_VOLUME] = {"VOLUME", "", true, false},
        [DOCKER_WORKDIR] = {"WORKDIR", "", false, false},
};

/* Flags of BuildKit that ask for what is not to be had. */
static const char unavailable[] = " mount security device parents exclude checksum keep-git-dir unpack ";

typedef struct Reader {
	const char *name;
	const char *at; /* the next line */
	const char *end;
	int line;       /* of the one that was read last */
	char escape;
} Reader;

const char *dockerfile_verb_name(DockerVerb verb)
{
	return rows[verb].name;
}

const char *dockerfile_flag(const DockerInstruction *instruction, const char *name)
{
	size_t len = strlen(name);
	for (guint i = 0; i < instruction->flags->len; i++) {
		const char *flag = instruction->flags->pdata[i];
		if (strncmp(flag, name, len) == 0 && (flag[len] == '=' || !flag[len]))
			return flag[len] ? flag + len + 1 : "";
	}
	return NULL;
}

static void heredoc_free(gpointer data)
{
	DockerHeredoc *heredoc = data;
	g_free(heredoc->name);
	g_free(heredoc->text);
	g_free(heredoc);
}

static void instruction_free(gpointer data)
{
	DockerInstruction *instruction = data;
	g_ptr_array_unref(instruction->flags);
	g_ptr_array_unref(instruction->heredocs);
	g_strfreev(instruction->json);
	g_free(instruction->rest);
	g_free(instruction);
}

void dockerfile_free(Dockerfile *file)
{
	if (!file)
		return;
	g_ptr_array_unref(file->instructions);
	g_free(file);
}

/* ---- lines ---- */

static bool is_blank(char byte)
{
	return byte && strchr(BLANKS, byte);
}

/* The next line without its end; false behind the last. */
static bool next_line(Reader *reader, const char **out, size_t *out_len)
{
	if (reader->at >= reader->end)
		return false;
	const char *newline = memchr(reader->at, '\n', (size_t)(reader->end - reader->at));
	const char *stop = newline ? newline : reader->end;
	*out = reader->at;
	*out_len = (size_t)(stop - reader->at);
	if (*out_len > 0 && (*out)[*out_len - 1] == '\r')
		(*out_len)--;
	reader->at = newline ? newline + 1 : reader->end;
	reader->line++;
	return true;
}

static size_t skip_blanks(const char *line, size_t len)
{
	size_t at = 0;
	while (at < len && is_blank(line[at]))
		at++;
	return at;
}

/* `# name=value` in the first lines. */
static bool read_directives(Reader *reader, GError **error)
{
	const char *line;
	size_t len;
	for (;;) {
		Reader before = *reader;
		size_t at = 0;
		if (!next_line(reader, &line, &len) || (at = skip_blanks(line, len)) == len || line[at] != '#') {
			*reader = before;
			return true;
		}
		g_autofree char *text = g_strndup(line + at + 1, len - at - 1);
		char *equals = strchr(text, '=');
		if (!equals || equals == text) {
			*reader = before; /* a comment: what follows are comments, too */
			return true;
		}
		*equals = '\0';
		const char *name = g_strstrip(text);
		const char *value = g_strstrip(equals + 1);
		if (g_ascii_strcasecmp(name, "escape") == 0) {
			if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
				return fail(error, ASSAY_ERROR_USER, "%s:%d: escape is \\ or `, not '%.20s'", reader->name, reader->line, value);
			reader->escape = value[0];
		} else if (g_ascii_strcasecmp(name, "syntax") == 0) {
			if (!strstr(value, "docker/dockerfile"))
				return fail(error, ASSAY_ERROR_USER, "%s:%d: the syntax '%.100s' is another language, which is not read here",
				        reader->name, reader->line, value);
		} else if (g_ascii_strcasecmp(name, "check") != 0) {
			*reader = before;
			return true;
		}
	}
}

/* Does it end in an escape that nothing escapes? Its length without that, else the whole. */
static size_t continued(const Reader *reader, const char *line, size_t len, bool *out)
{
	size_t end = len;
	while (end > 0 && is_blank(line[end - 1]))
		end--;
	*out = end > 0 && line[end - 1] == reader->escape && (end == 1 || line[end - 2] != reader->escape);
	return *out ? end - 1 : len;
}

/* The next instruction's text with the lines that continue it; NULL: there is none. */
static char *next_text(Reader *reader, int *out_line)
{
	GString *text = NULL;
	const char *line;
	size_t len;
	bool goes_on = true;
	while (goes_on && next_line(reader, &line, &len)) {
		size_t at = skip_blanks(line, len);
		if (at == len || line[at] == '#')
			continue; /* also between lines that belong together */
		if (!text) {
			text = g_string_new(NULL);
			*out_line = reader->line;
			line += at;
			len -= at;
		}
		size_t kept = continued(reader, line, len, &goes_on);
		g_string_append_len(text, line, (gssize)kept);
	}
	return text ? g_string_free(text, FALSE) : NULL;
}

/* ---- here-documents ---- */

/* "<<EOF", "3<<-'EOF'": NULL when a word is none. */
static DockerHeredoc *heredoc_of(const char *word, bool *out_strips)
{
	const char *at = word + strspn(word, "0123456789");
	if (!g_str_has_prefix(at, "<<"))
		return NULL;
	at += 2;
	*out_strips = *at == '-';
	at += *out_strips;
	g_autoptr(GString) name = g_string_new(NULL);
	bool quoted = false;
	for (; *at; at++) {
		if (*at == '<')
			return NULL;
		if (*at == '"' || *at == '\'' || *at == '\\')
			quoted = true;
		else
			g_string_append_c(name, *at);
	}
	if (name->len == 0 || strchr(name->str, '/') || strcmp(name->str, ".") == 0 || strcmp(name->str, "..") == 0 || name->len > 200)
		return NULL;
	DockerHeredoc *heredoc = g_new0(DockerHeredoc, 1);
	heredoc->name = g_string_free(g_steal_pointer(&name), FALSE);
	heredoc->expands = !quoted;
	return heredoc;
}

static bool read_heredoc(Reader *reader, DockerHeredoc *heredoc, bool strips, int line_of_it, GError **error)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *line;
	size_t len;
	while (next_line(reader, &line, &len)) {
		for (; strips && len > 0 && line[0] == '\t'; len--)
			line++;
		if (len == strlen(heredoc->name) && memcmp(line, heredoc->name, len) == 0) {
			heredoc->text = g_string_free(g_steal_pointer(&text), FALSE);
			return true;
		}
		g_string_append_len(text, line, (gssize)len);
		g_string_append_c(text, '\n');
	}
	return fail(error, ASSAY_ERROR_USER, "%s:%d: the here-document '%s' has no end; write its name alone on a line", reader->name,
	        line_of_it, heredoc->name);
}

static bool read_heredocs(Reader *reader, DockerInstruction *instruction, GError **error)
{
	if (!strstr(instruction->rest, "<<"))
		return true;
	g_auto(GStrv) words = dockerfile_words(instruction->rest, reader->escape);
	for (char **word = words; *word; word++) {
		bool strips = false;
		DockerHeredoc *heredoc = heredoc_of(*word, &strips);
		if (!heredoc)
			continue;
		g_ptr_array_add(instruction->heredocs, heredoc);
		if (instruction->heredocs->len > HEREDOCS_MAX)
			return fail(error, ASSAY_ERROR_USER, "%s:%d: more than %d here-documents", reader->name, instruction->line, HEREDOCS_MAX);
		if (!read_heredoc(reader, heredoc, strips, instruction->line, error))
			return false;
	}
	return true;
}

/* ---- instructions ---- */

static bool find_verb(const char *word, size_t len, DockerVerb *out)
{
	for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
		if (strlen(rows[i].name) == len && g_ascii_strncasecmp(rows[i].name, word, len) == 0) {
			*out = (DockerVerb)i;
			return true;
		}
	return false;
}

static bool lists(const char *names, const char *name, size_t len)
{
	for (const char *at = names; (at = strchr(at, ' '));) {
		at++;
		if (strncmp(at, name, len) == 0 && (at[len] == ' ' || !at[len]))
			return true;
	}
	return false;
}

static bool check_flag(const Reader *reader, const DockerInstruction *instruction, const char *flag, GError **error)
{
	const Row *row = &rows[instruction->verb];
	size_t len = strcspn(flag, "=");
	if (len > 0 && lists(row->flags, flag, len))
		return true;
	if (len > 0 && len < 20 && lists(unavailable, flag, len))
		return fail(error, ASSAY_ERROR_USER, "%s:%d: %s --%.*s cannot be done here", reader->name, instruction->line, row->name,
		        (int)len, flag);
	return fail(error, ASSAY_ERROR_USER, "%s:%d: %s has no flag '--%.60s'", reader->name, instruction->line, row->name, flag);
}

/* Takes `--name=value` from the front of the text. */
static bool read_flags(const Reader *reader, DockerInstruction *instruction, const char **at, GError **error)
{
	if (!rows[instruction->verb].flags[0])
		return true;
	for (;;) {
		*at += strspn(*at, BLANKS);
		if (!g_str_has_prefix(*at, "--"))
			return true;
		g_autoptr(GString) flag = g_string_new(NULL);
		char quote = '\0';
		for (*at += 2; **at && (quote || !is_blank(**at)); (*at)++) {
			if (**at == reader->escape && (*at)[1])
				g_string_append_c(flag, *++*at);
			else if (quote ? **at == quote : **at == '"' || **at == '\'')
				quote = quote ? '\0' : **at;
			else
				g_string_append_c(flag, **at);
		}
		if (flag->len == 0)
			return true; /* `--` ends them */
		if (instruction->flags->len >= FLAGS_MAX)
			return fail(error, ASSAY_ERROR_USER, "%s:%d: more than %d flags", reader->name, instruction->line, FLAGS_MAX);
		g_ptr_array_add(instruction->flags, g_strdup(flag->str));
		if (!check_flag(reader, instruction, flag->str, error))
			return false;
	}
}

/* A list of texts in JSON; NULL when it is anything else, and a shell's words then. */
static char **read_json(const char *text)
{
	if (text[0] != '[')
		return NULL;
	g_autoptr(json_t) list = json_parse(text, strlen(text), "a list", NULL);
	if (!json_is_array(list))
		return NULL;
	g_autoptr(GPtrArray) words = g_ptr_array_new_with_free_func(g_free);
	size_t i;
	json_t *word;
	json_array_foreach(list, i, word) {
		if (!json_is_string(word) || strlen(json_string_value(word)) != json_string_length(word))
			return NULL;
		g_ptr_array_add(words, g_strdup(json_string_value(word)));
	}
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

/* The last check that needs no more than the line itself. */
static bool check_instruction(const Reader *reader, const DockerInstruction *instruction, GError **error)
{
	const char *network = dockerfile_flag(instruction, "network");
	if (instruction->rest[0] == '\0')
		return fail(error, ASSAY_ERROR_USER, "%s:%d: %s needs an argument", reader->name, instruction->line,
		        rows[instruction->verb].name);
	if (network && strcmp(network, "default") != 0)
		return fail(error, ASSAY_ERROR_USER, "%s:%d: RUN --network=%.40s cannot be done here: its network is the job's kind",
		        reader->name, instruction->line, network);
	if (instruction->verb == DOCKER_SHELL && (!instruction->json || !instruction->json[0]))
		return fail(error, ASSAY_ERROR_USER, "%s:%d: SHELL needs a JSON list, such as [\"/bin/bash\", \"-c\"]", reader->name,
		        instruction->line);
	if (instruction->verb == DOCKER_ONBUILD)
		return fail(error, ASSAY_ERROR_USER, "%s:%d: ONBUILD is for images that others build upon, and has no effect here; remove it",
		        reader->name, instruction->line);
	return true;
}

static DockerInstruction *read_instruction(Reader *reader, const char *text, int line, GError **error)
{
	DockerVerb verb;
	size_t len = strcspn(text, BLANKS);
	if (!find_verb(text, len, &verb)) {
		fail(error, ASSAY_ERROR_USER, "%s:%d: '%.*s' is no instruction of a Dockerfile", reader->name, line, (int)MIN(len, 40), text);
		return NULL;
	}
	DockerInstruction *instruction = g_new0(DockerInstruction, 1);
	*instruction = (DockerInstruction){.verb = verb, .line = line, .flags = g_ptr_array_new_with_free_func(g_free),
	        .heredocs = g_ptr_array_new_with_free_func(heredoc_free)};
	const char *at = text + len;
	bool good = read_flags(reader, instruction, &at, error);
	instruction->rest = g_strstrip(g_strdup(at));
	if (good && rows[verb].json)
		instruction->json = read_json(instruction->rest);
	good = good && check_instruction(reader, instruction, error) &&
	       (!rows[verb].heredocs || instruction->json || read_heredocs(reader, instruction, error));
	if (good)
		return instruction;
	instruction_free(instruction);
	return NULL;
}

Dockerfile *dockerfile_parse(const char *text, size_t len, const char *name, GError **error)
{
	if (len > DOCKERFILE_BYTES_MAX) {
		fail(error, ASSAY_ERROR_USER, "%s: it has more than %d bytes", name, DOCKERFILE_BYTES_MAX);
		return NULL;
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (!g_utf8_validate_len(text, len, NULL)) {
		fail(error, ASSAY_ERROR_USER, "%s: it is not UTF-8 text", name);
		return NULL;
	}
	Reader reader = {.name = name, .at = text, .end = text + len, .escape = '\\'};
	if (!read_directives(&reader, error))
		return NULL;
	g_autoptr(Dockerfile) file = g_new0(Dockerfile, 1);
	file->escape = reader.escape;
	file->instructions = g_ptr_array_new_with_free_func(instruction_free);
	bool has_from = false;
	for (int line = 0;;) {
		g_autofree char *one = next_text(&reader, &line);
		if (!one)
			break;
		DockerInstruction *instruction = read_instruction(&reader, one, line, error);
		if (!instruction)
			return NULL;
		g_ptr_array_add(file->instructions, instruction);
		has_from = has_from || instruction->verb == DOCKER_FROM;
		if (!has_from && instruction->verb != DOCKER_ARG) {
			fail(error, ASSAY_ERROR_USER, "%s:%d: %s stands before the first FROM", name, line, rows[instruction->verb].name);
			return NULL;
		}
		if (file->instructions->len > DOCKERFILE_INSTRUCTIONS_MAX) {
			fail(error, ASSAY_ERROR_USER, "%s:%d: it has more than %d instructions", name, line, DOCKERFILE_INSTRUCTIONS_MAX);
			return NULL;
		}
	}
	if (!has_from) {
		fail(error, ASSAY_ERROR_USER, "%s: it has no FROM", name);
		return NULL;
	}
	return g_steal_pointer(&file);
}
