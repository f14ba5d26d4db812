/* SPDX-License-Identifier: Apache-2.0 */
/* `assay model …` and `assay data …`, as the agent knows them. */
#include <stdio.h>
#include <string.h>

#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/cli/cli.h"
#include "agent/cli/client.h"
#include "agent/cli/table.h"
#include "agent/cli/verbs_agent.h"

typedef struct Listing {
	const char *path; /* "/api/v1/models" */
	const char *noun; /* "models" */
	const TableColumn *columns;
	size_t columns_len;
	const char *empty;
} Listing;

static int list(int argc, char **argv, const Listing *listing)
{
	g_autofree char *repo = NULL;
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {
	        {"repo", 0, 0, G_OPTION_ARG_STRING, &repo, "of this repo", "OWNER/NAME"},
	        {"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL},
	        {0},
	};
	if (!cli_parse(options, "", 0, 0, &argc, &argv))
		return 2;
	g_autofree char *escaped = repo ? client_escape(repo) : NULL;
	g_autofree char *path = escaped ? g_strdup_printf("%s?repo=%s", listing->path, escaped) : g_strdup(listing->path);
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = NULL;
	if (!client_request("GET", path, NULL, &answer, &error))
		return error_print(error);
	if (as_json)
		table_print_json(answer);
	else
		table_print(json_object_get(answer, listing->noun), listing->columns, listing->columns_len, listing->empty);
	return 0;
}

/* argv[1] is owner/name/THING. */
static json_t *get(const char *base, const char *name, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(name, "/", 3);
	if (g_strv_length(parts) != 3) {
		fail(error, ASSAY_ERROR_USER, "'%s': give OWNER/REPO/NAME", name);
		return NULL;
	}
	g_autofree char *owner = client_escape(parts[0]);
	g_autofree char *repo = client_escape(parts[1]);
	g_autofree char *thing = client_escape(parts[2]);
	g_autofree char *path = g_strdup_printf("%s/%s/%s/%s", base, owner, repo, thing);
	json_t *answer = NULL;
	return client_request("GET", path, NULL, &answer, error) ? answer : NULL;
}

static int show(int argc, char **argv, const Listing *listing, const TableColumn *ledger, size_t ledger_len)
{
	gboolean as_json = FALSE;
	const GOptionEntry options[] = {{"json", 0, 0, G_OPTION_ARG_NONE, &as_json, "JSON", NULL}, {0}};
	if (!cli_parse(options, "OWNER/REPO/NAME", 1, 1, &argc, &argv))
		return 2;
	g_autoptr(GError) error = NULL;
	g_autoptr(json_t) answer = get(listing->path, argv[1], &error);
	if (!answer)
		return error_print(error);
	if (as_json) {
		table_print_json(answer);
		return 0;
	}
	table_print(json_object_get(answer, "versions"), listing->columns, listing->columns_len, listing->empty);
	if (ledger && json_array_size(json_object_get(answer, "ledger")) > 0) {
		printf("\n");
		table_print(json_object_get(answer, "ledger"), ledger, ledger_len, "");
	}
	return 0;
}

int verb_model_list(int argc, char **argv)
{
	static const TableColumn columns[] = {{"REPO", "repo"}, {"MODEL", "name"}, {"VERSIONS", "versions"}, {"RELEASE", "release.version"}, {"NEWEST", "newest.version"}};
	const Listing listing = {"/api/v1/models", "models", columns, G_N_ELEMENTS(columns), "no models yet: a job registers one with 'uses: assay/register@v1'"};
	return list(argc, argv, &listing);
}

int verb_model_show(int argc, char **argv)
{
	static const TableColumn columns[] = {{"VERSION", "version"}, {"ALIASES", "aliases"}, {"CREATED", "created_at"}, {"COMMIT", "lineage.sha"},
	        {"RUN", "lineage.run"}, {"DIGEST", "digest"}, {"METRICS", "metrics"}};
	static const TableColumn ledger[] = {{"ALIAS", "alias"}, {"VERSION", "version"}, {"BEFORE", "previous"}, {"AT", "at"}, {"BY", "actor"}, {"GATE", "gate"}};
	const Listing listing = {"/api/v1/models", "versions", columns, G_N_ELEMENTS(columns), "no versions"};
	return show(argc, argv, &listing, ledger, G_N_ELEMENTS(ledger));
}

int verb_data_list(int argc, char **argv)
{
	static const TableColumn columns[] = {{"REPO", "repo"}, {"DATASET", "name"}, {"VERSIONS", "versions"}, {"FILES", "newest.files"}, {"BYTES", "newest.bytes"}, {"DIGEST", "newest.digest"}};
	const Listing listing = {"/api/v1/datasets", "datasets", columns, G_N_ELEMENTS(columns), "no datasets yet: a job makes one with 'uses: assay/snapshot@v1'"};
	return list(argc, argv, &listing);
}

int verb_data_show(int argc, char **argv)
{
	static const TableColumn columns[] = {{"VERSION", "version"}, {"CREATED", "created_at"}, {"FILES", "files"}, {"BYTES", "bytes"}, {"NEW BYTES", "new_bytes"},
	        {"DIGEST", "digest"}, {"MESSAGE", "message"}};
	const Listing listing = {"/api/v1/datasets", "versions", columns, G_N_ELEMENTS(columns), "no versions"};
	return show(argc, argv, &listing, NULL, 0);
}
