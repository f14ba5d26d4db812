/* SPDX-License-Identifier: Apache-2.0 */
/* `assay gate …`: which jobs wait for people, what they would see, and their verdict. */
#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"
#include "agent/cli/verbs_agent.h"

int verb_gate_list(int argc, char **argv)
{
	g_autofree char *status = NULL, *repo = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"status", 0, 0, G_OPTION_ARG_STRING, &status, "waiting (default), approved, rejected, expired or all", "STATUS"},
	        {"repo", 0, 0, G_OPTION_ARG_STRING, &repo, "of this repo", "OWNER/NAME"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "", 0, 0, &argc, &argv))
		return 2;
	g_autoptr(GString) path = g_string_new("/api/v1/gates?");
	if (!status || strcmp(status, "all") != 0)
		g_string_append_printf(path, "status=%s&", status ? status : "waiting");
	g_autofree char *escaped = repo ? client_escape(repo) : NULL;
	if (escaped)
		g_string_append_printf(path, "repo=%s", escaped);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) list = NULL;
	if (!client_request("GET", path->str, NULL, &list, &error))
		return error_print(error);
	static const TableColumn columns[] = {{"GATE", "id"}, {"REPO", "repo"}, {"RUN", "run.number"}, {"ENVIRONMENT", "environment"},
	        {"STATUS", "status"}, {"EVIDENCE", "evidence.verdict"}, {"SENTENCE", "evidence.sentence"}};
	if (as_json)
		table_print_json(list);
	else
		table_print(json_object_get(list, "gates"), columns, G_N_ELEMENTS(columns), "no gate waits");
	return 0;
}

static void print_gate(const json_t *gate)
{
	static const TableColumn fields[] = {{"gate", "id"}, {"repo", "repo"}, {"run", "run.number"}, {"environment", "environment"}, {"status", "status"},
	        {"message", "message"}, {"evidence", "evidence.sentence"}, {"commit", "evidence.sha"}, {"author", "evidence.author"},
	        {"model", "evidence.model.name"}, {"candidate", "evidence.model.version"}, {"release", "evidence.release.version"},
	        {"approvals needed", "approvals_needed"}, {"opened", "opened_at"}, {"expires", "expires_at"}, {"digest", "evidence_digest"}};
	table_print_fields(gate, fields, G_N_ELEMENTS(fields));
	static const TableColumn columns[] = {{"METRIC", "name"}, {"SLICE", "slice.value"}, {"CANDIDATE", "candidate"}, {"RELEASE", "release"},
	        {"DIFFERENCE", "difference"}, {"VERDICT", "verdict"}};
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(json_object_get(gate, "evidence"), "reports"), i, entry) {
		const json_t *metrics = json_object_get(json_object_get(entry, "report"), "metrics");
		if (!json_is_array(metrics) || json_array_size(metrics) == 0)
			continue;
		printf("\n");
		table_print(metrics, columns, G_N_ELEMENTS(columns), "");
	}
	static const TableColumn people[] = {{"BY", "user"}, {"VERDICT", "verdict"}, {"OVERRIDE", "override"}, {"AT", "at"}, {"COMMENT", "comment"}};
	if (json_array_size(json_object_get(gate, "verdicts")) > 0) {
		printf("\n");
		table_print(json_object_get(gate, "verdicts"), people, G_N_ELEMENTS(people), "");
	}
}

static json_t *get_gate(const char *id, GError **error)
{
	g_autofree char *escaped = client_escape(id);
	g_autofree char *path = g_strdup_printf("/api/v1/gates/%s", escaped);
	json_t *gate = NULL;
	return client_request("GET", path, NULL, &gate, error) ? gate : NULL;
}

int verb_gate_show(int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL}, {0}};
	if (!cli_parse(options, "GATE", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) gate = get_gate(argv[1], &error);
	if (!gate)
		return error_print(error);
	if (as_json)
		table_print_json(gate);
	else
		print_gate(gate);
	return 0;
}

static int decide(int argc, char **argv, const char *verdict)
{
	g_autofree char *comment = NULL, *digest = NULL;
	gboolean override = FALSE, as_json = FALSE;
	const GOptionEntry options[] = {
	        {"comment", 0, 0, G_OPTION_ARG_STRING, &comment, "kept with the verdict", "TEXT"},
	        {"override", 0, 0, G_OPTION_ARG_NONE, &override, "approve against evidence that does not pass; needs a reason as --comment", NULL},
	        {"evidence", 0, 0, G_OPTION_ARG_STRING, &digest, "only if the gate still holds this evidence (digest of 'gate show')", "DIGEST"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "GATE", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) body = json_object();
	json_set_string(body, "verdict", verdict);
	json_set_string(body, "comment", comment ? comment : "");
	json_set_bool(body, "override", override);
	if (digest)
		json_set_string(body, "evidence_digest", digest);
	g_autofree char *escaped = client_escape(argv[1]);
	g_autofree char *path = g_strdup_printf("/api/v1/gates/%s/verdict", escaped);
	g_autoptr(json_t) gate = NULL;
	if (!client_request("POST", path, body, &gate, &error))
		return error_print(error);
	if (as_json)
		table_print_json(gate);
	else
		printf("gate %s is %s\n", argv[1], json_get_string(gate, "status", ""));
	return 0;
}

int verb_gate_approve(int argc, char **argv)
{
	return decide(argc, argv, "approve");
}

int verb_gate_reject(int argc, char **argv)
{
	return decide(argc, argv, "reject");
}
