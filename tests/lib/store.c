/* SPDX-License-Identifier: Apache-2.0 */
/* Fixtures around a store. */
#include "tests/lib/store.h"

#include <glib/gstdio.h>
#include <string.h>

#include "agent/base/fd.h"
#include "agent/store/repos.h"
#include "agent/store/runs.h"

static const uint8_t key[32] = {1, 2, 3};

Store *test_store(void)
{
	return test_store_at(":memory:");
}

Store *test_store_at(const char *path)
{
	GError *error = NULL;
	Store *store = store_open(path, key, &error);
	g_assert_no_error(error);
	g_assert_nonnull(store);
	return store;
}

int64_t test_repo(Store *store)
{
	int64_t id = 0;
	assert_ok(repos_put(store, "acme/digits", "file:///srv/git/digits.git", "hush", 4, NULL, &id, &error));
	return id;
}

int64_t test_run(Store *store, int64_t repo)
{
	int64_t id = 0;
	g_autoptr(json_t) fields = test_json(
	        "{'workflow':'train','workflow_path':'.assay/workflows/train.yml','event':'push','ref':'refs/heads/main',"
	        "'sha':'1111111111111111111111111111111111111111','actor':'alice','github':{'event_name':'push'},"
	        "'delivery':'d-1'}");
	assert_ok(runs_add(store, repo, fields, &id, &error));
	return id;
}

int64_t test_job(Store *store, int64_t run, const char *job_key)
{
	int64_t id = 0;
	g_autoptr(json_t) job = json_pack("{s:s,s:s,s:s,s:[],s:{s:s},s:{s:s,s:b}}", "key", job_key, "group", job_key, "name",
	        job_key, "needs", "definition", "runs-on", "ubuntu-latest", "resolved", "key", job_key, "run", 1);
	assert_ok(runs_add_job(store, run, job, &id, &error));
	return id;
}

json_t *test_json(const char *text)
{
	GError *error = NULL;
	g_autofree char *json = g_strdelimit(g_strdup(text), "'", '"');
	json_t *value = json_parse(json, strlen(json), "a test", &error);
	g_assert_no_error(error);
	return value;
}

char *test_folder(void)
{
	GError *error = NULL;
	char *path = g_dir_make_tmp("assay-test-XXXXXX", &error);
	g_assert_no_error(error);
	return path;
}

void test_folder_remove(char *path)
{
	fd_remove_tree(path, NULL);
	g_free(path);
}
