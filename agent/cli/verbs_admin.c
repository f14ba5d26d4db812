/* SPDX-License-Identifier: Apache-2.0 */
/* Administration: repos, environments, users, tokens, secrets. Passwords and secrets come from files, never from argv. */
#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"
#include "agent/cli/verbs_agent.h"

#define SECRET_BYTES_MAX (64 * 1024)

/* A file's text without one final newline; "-" is stdin. */
static char *secret_text(const char *path, GError **error)
{
	g_autoptr(GBytes) bytes = strcmp(path, "-") == 0 ? fd_read_all(0, SECRET_BYTES_MAX, "standard input", error)
	                                                 : fd_read_file(path, SECRET_BYTES_MAX, error);
	if (!bytes)
		return NULL;
	gsize len = 0;
	const char *data = g_bytes_get_data(bytes, &len);
	if (len > 0 && data[len - 1] == '\n')
		len--;
	if (len == 0) {
		fail(error, ASSAY_ERROR_USER, "%s is empty", path);
		return NULL;
	}
	return g_strndup(data, len);
}

static int put(const char *path, const json_t *body, const char *done, GError **error)
{
	if (!client_request("PUT", path, body, NULL, error))
		return error_print(*error);
	if (done)
		printf("%s\n", done);
	return 0;
}

static json_t *words(const char *text)
{
	json_t *array = json_array();
	g_auto(GStrv) parts = g_strsplit(text ? text : "", ",", 0);
	for (char **part = parts; *part; part++)
		if ((*part)[0])
			json_array_append_new(array, json_string(*part));
	return array;
}

int verb_repo_add(int argc, char **argv)
{
	g_autofree char *secret_file = NULL, *network = NULL, *branch = NULL, *token = NULL, *key = NULL, *hosts = NULL;
	const GOptionEntry options[] = {
	        {"webhook-secret-file", 0, 0, G_OPTION_ARG_FILENAME, &secret_file, "the secret that signs its webhooks", "FILE"},
	        {"network", 0, 0, G_OPTION_ARG_STRING, &network, "what its jobs reach: none, loopback or full", "KIND"},
	        {"default-branch", 0, 0, G_OPTION_ARG_STRING, &branch, "main, if not told", "NAME"},
	        {"token-file", 0, 0, G_OPTION_ARG_FILENAME, &token, "a token of its forge: it is fetched with it, and its own jobs get it", "FILE"},
	        {"ssh-key-file", 0, 0, G_OPTION_ARG_FILENAME, &key, "a private key that it is fetched with", "FILE"},
	        {"ssh-known-hosts-file", 0, 0, G_OPTION_ARG_FILENAME, &hosts, "keys of its server, as ssh-keyscan prints them", "FILE"},
	        {0},
	};
	if (!cli_parse(options, "OWNER/NAME URL", 2, 2, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autofree char *repo = client_repo(argv[1], &error);
	g_autoptr(json_t) body = json_object();
	if (!repo)
		return error_print(error);
	json_set_string(body, "url", argv[2]);
	if (network)
		json_set_string(body, "network", network);
	if (branch)
		json_set_string(body, "default_branch", branch);
	const struct {
		const char *file, *field;
	} files[] = {{secret_file, "webhook_secret"}, {token, "token"}, {key, "ssh_key"}, {hosts, "known_hosts"}};
	for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
		if (!files[i].file)
			continue;
		g_autofree char *secret = secret_text(files[i].file, &error);
		if (!secret)
			return error_print(error);
		json_set_string(body, files[i].field, secret);
	}
	g_autofree char *path = g_strdup_printf("/api/v1/repos/%s", repo);
	return put(path, body, NULL, &error);
}

static int list(int argc, char **argv, const char *path, const char *noun, const TableColumn *columns, size_t count, const char *empty)
{
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL}, {0}};
	if (!cli_parse(options, "", 0, 0, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = NULL;
	if (!client_request("GET", path, NULL, &answer, &error))
		return error_print(error);
	if (as_json)
		table_print_json(answer);
	else
		table_print(json_object_get(answer, noun), columns, count, empty);
	return 0;
}

int verb_repo_list(int argc, char **argv)
{
	static const TableColumn columns[] = {{"REPO", "name"}, {"URL", "url"}, {"NETWORK", "network"}};
	return list(argc, argv, "/api/v1/repos", "repos", columns, G_N_ELEMENTS(columns), "no repos yet: 'assay repo add OWNER/NAME URL' adds one");
}

int verb_user_list(int argc, char **argv)
{
	static const TableColumn columns[] = {{"USER", "name"}, {"ROLE", "role"}, {"CREATED", "created_at"}};
	return list(argc, argv, "/api/v1/users", "users", columns, G_N_ELEMENTS(columns), "no users");
}

int verb_audit_list(int argc, char **argv)
{
	static const TableColumn columns[] = {{"ID", "id"}, {"AT", "at"}, {"BY", "actor"}, {"ACTION", "action"}, {"SUBJECT", "subject"}, {"DETAIL", "detail"}};
	return list(argc, argv, "/api/v1/audit", "entries", columns, G_N_ELEMENTS(columns), "nothing yet");
}

int verb_env_set(int argc, char **argv)
{
	g_autofree char *repo_name = NULL, *reviewers = NULL, *branches = NULL;
	gint approvals = 1, expires_s = 0;
	gboolean self_review = FALSE;
	const GOptionEntry options[] = {
	        {"repo", 0, 0, G_OPTION_ARG_STRING, &repo_name, "the repo it belongs to", "OWNER/NAME"},
	        {"reviewers", 0, 0, G_OPTION_ARG_STRING, &reviewers, "who may decide, comma between", "NAMES"},
	        {"approvals", 0, 0, G_OPTION_ARG_INT, &approvals, "how many must approve (1)", "N"},
	        {"branches", 0, 0, G_OPTION_ARG_STRING, &branches, "only runs of these branches or tags, patterns, comma between", "PATTERNS"},
	        {"expires", 0, 0, G_OPTION_ARG_INT, &expires_s, "seconds until an undecided gate fails (the config's gates.expire)", "SECONDS"},
	        {"self-review", 0, 0, G_OPTION_ARG_NONE, &self_review, "who caused the run may approve it", NULL},
	        {0},
	};
	if (!cli_parse(options, "ENVIRONMENT --repo OWNER/NAME", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	if (!repo_name) {
		fprintf(stderr, "assay: --repo is missing; say whose environment it is\n");
		return 2;
	}
	g_autofree char *repo = client_repo(repo_name, &error);
	if (!repo)
		return error_print(error);
	g_autoptr(json_t) body = json_object();
	json_set(body, "reviewers", words(reviewers));
	json_set_int(body, "approvals", approvals);
	json_set_bool(body, "self_review", self_review);
	if (expires_s > 0)
		json_set_int(body, "expires_s", expires_s);
	json_set(body, "branches", words(branches));
	g_autofree char *name = client_escape(argv[1]);
	g_autofree char *path = g_strdup_printf("/api/v1/repos/%s/environments/%s", repo, name);
	return put(path, body, NULL, &error);
}

int verb_env_list(int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL}, {0}};
	if (!cli_parse(options, "OWNER/NAME", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autofree char *repo = client_repo(argv[1], &error);
	g_autofree char *path = repo ? g_strdup_printf("/api/v1/repos/%s/environments", repo) : NULL;
	g_autoptr(json_t) answer = NULL;
	if (!path || !client_request("GET", path, NULL, &answer, &error))
		return error_print(error);
	static const TableColumn columns[] = {{"ENVIRONMENT", "name"}, {"REVIEWERS", "reviewers"}, {"APPROVALS", "approvals"}, {"BRANCHES", "branches"}};
	if (as_json)
		table_print_json(answer);
	else
		table_print(json_object_get(answer, "environments"), columns, G_N_ELEMENTS(columns), "no environments; 'assay env set' makes one");
	return 0;
}

int verb_user_add(int argc, char **argv)
{
	g_autofree char *role = NULL, *password_file = NULL;
	const GOptionEntry options[] = {
	        {"role", 0, 0, G_OPTION_ARG_STRING, &role, "viewer, developer, reviewer or admin (viewer)", "ROLE"},
	        {"password-file", 0, 0, G_OPTION_ARG_FILENAME, &password_file, "a password; without it they sign in by link or token", "FILE"},
	        {0},
	};
	if (!cli_parse(options, "NAME", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) body = json_object();
	json_set_string(body, "role", role ? role : "viewer");
	if (password_file) {
		g_autofree char *password = secret_text(password_file, &error);
		if (!password)
			return error_print(error);
		json_set_string(body, "password", password);
	}
	g_autofree char *name = client_escape(argv[1]);
	g_autofree char *path = g_strdup_printf("/api/v1/users/%s", name);
	return put(path, body, NULL, &error);
}

/* POST that answers one secret, printed alone so that a script can take it. */
static int create(const char *format, const char *name, const char *key)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *escaped = client_escape(name);
	g_autofree char *path = g_strconcat("/api/v1/users/", escaped, format, NULL);
	g_autoptr(json_t) body = json_object();
	g_autoptr(json_t) answer = NULL;
	if (!client_request("POST", path, body, &answer, &error))
		return error_print(error);
	printf("%s\n", json_get_string(answer, key, ""));
	return 0;
}

int verb_token_create(int argc, char **argv)
{
	const GOptionEntry options[] = {{0}};
	return cli_parse(options, "USER", 1, 1, &argc, &argv) ? create("/tokens", argv[1], "token") : 2;
}

int verb_user_link(int argc, char **argv)
{
	const GOptionEntry options[] = {{0}};
	return cli_parse(options, "USER", 1, 1, &argc, &argv) ? create("/link", argv[1], "url") : 2;
}

static int set_value(int argc, char **argv, const char *noun)
{
	g_autofree char *file = NULL, *environment = NULL, *value = NULL;
	bool is_secret = strcmp(noun, "secrets") == 0;
	const GOptionEntry options[] = {
	        {"from-file", 0, 0, G_OPTION_ARG_FILENAME, &file, "the value; - is standard input", "FILE"},
	        {"env", 0, 0, G_OPTION_ARG_STRING, &environment, "only for jobs of this environment", "NAME"},
	        {"value", 0, is_secret ? G_OPTION_FLAG_HIDDEN : 0, G_OPTION_ARG_STRING, &value, "the value", "TEXT"},
	        {0},
	};
	if (!cli_parse(options, "OWNER/NAME NAME", 2, 2, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	if (is_secret && value) {
		fprintf(stderr, "assay: a secret on the command line is seen by every user of the machine; use --from-file\n");
		return 2;
	}
	if (!file && !value) {
		fprintf(stderr, "assay: the value is missing; use --from-file (- is standard input)\n");
		return 2;
	}
	g_autofree char *repo = client_repo(argv[1], &error);
	g_autofree char *text = file ? secret_text(file, &error) : g_strdup(value);
	if (!repo || !text)
		return error_print(error);
	g_autoptr(json_t) body = json_object();
	json_set_string(body, "value", text);
	if (environment)
		json_set_string(body, "environment", environment);
	g_autofree char *name = client_escape(argv[2]);
	g_autofree char *path = g_strdup_printf("/api/v1/repos/%s/%s/%s", repo, noun, name);
	return put(path, body, NULL, &error);
}

int verb_secret_set(int argc, char **argv)
{
	return set_value(argc, argv, "secrets");
}

int verb_var_set(int argc, char **argv)
{
	return set_value(argc, argv, "vars");
}

int verb_secret_list(int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL}, {0}};
	if (!cli_parse(options, "OWNER/NAME", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autofree char *repo = client_repo(argv[1], &error);
	g_autofree char *path = repo ? g_strdup_printf("/api/v1/repos/%s/secrets", repo) : NULL;
	g_autoptr(json_t) answer = NULL;
	if (!path || !client_request("GET", path, NULL, &answer, &error))
		return error_print(error);
	static const TableColumn columns[] = {{"SECRET", "name"}, {"ENVIRONMENT", "environment"}, {"UPDATED", "updated_at"}};
	if (as_json)
		table_print_json(answer);
	else
		table_print(json_object_get(answer, "secrets"), columns, G_N_ELEMENTS(columns), "no secrets");
	return 0;
}
