/* SPDX-License-Identifier: Apache-2.0 */
/* A store in memory, and rows to try things on. Whatever fails here ends the test. */
#pragma once

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/json.h"
#include "agent/store/db.h"

/** A new store in memory, sealed with a fixed key. */
Store *test_store(void);
/** The same in a file. */
Store *test_store_at(const char *path);
/** The repo "acme/digits". */
int64_t test_repo(Store *store);
/** A run of it, for a push to refs/heads/main. */
int64_t test_run(Store *store, int64_t repo);
/** A resolved job with this key. */
int64_t test_job(Store *store, int64_t run, const char *key);
/** JSON with ' for ", so that tests read well. */
json_t *test_json(const char *text);
/** A temporary folder, the caller's; removed by test_folder_remove(). */
char *test_folder(void);
void test_folder_remove(char *path);

#define assert_ok(call)                           \
	do {                                      \
		GError *error = NULL;             \
		bool done = (call);               \
		g_assert_no_error(error);         \
		g_assert_true(done);              \
	} while (0)
#define assert_fails(call, code)                              \
	do {                                                  \
		GError *error = NULL;                         \
		g_assert_false(call);                         \
		g_assert_error(error, ASSAY_ERROR, (int)code); \
		g_error_free(error);                          \
	} while (0)
