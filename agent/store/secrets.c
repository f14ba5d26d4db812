/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets and variables. A secret is sealed here and opened for one spawn; the only way out is secrets_open(), whose
 * answer its caller wipes with secrets_wipe(). Names are upper case, as GitHub compares them without case.
 */
#include "agent/store/secrets.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/seal.h"

#define VALUE_BYTES_MAX (256 * 1024)

/* The name in upper case; NULL when it could not be a variable of a shell. */
static char *name_of(const char *noun, const char *name, GError **error)
{
	size_t len = name ? strlen(name) : 0;
	bool fits = len > 0 && len <= 200 && !g_ascii_isdigit(name[0]);
	for (size_t i = 0; fits && i < len; i++)
		fits = g_ascii_isalnum(name[i]) || name[i] == '_';
	if (fits)
		return g_ascii_strup(name, -1);
	fail(error, ASSAY_ERROR_USER, "'%.60s' cannot be the name of %s; use letters, digits and '_', no digit first",
	        name ? name : "", noun);
	return NULL;
}

static bool place_of(Store *store, const char *repo, const char *environment, int64_t *out_repo, GError **error)
{
	return sql_repo_id(store, repo, false, out_repo, error) &&
	        (!environment || sql_name_check("an environment", environment, error));
}

static bool check_value(const char *noun, const char *name, const void *value, size_t len, GError **error)
{
	if (len > VALUE_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "%s '%s' has more than %d KiB; keep files in a dataset", noun, name,
		        VALUE_BYTES_MAX >> 10);
	/* It reaches jobs as JSON and as an environment variable: neither can hold these bytes. */
	if (memchr(value, 0, len) || !g_utf8_validate(value, (gssize)len, NULL))
		return fail(error, ASSAY_ERROR_USER, "%s '%s' is not text; encode it, as with base64", noun, name);
	return true;
}

bool secrets_set(Store *store, const char *repo, const char *environment, const char *name, const void *value,
        size_t len, GError **error)
{
	int64_t id = 0;
	const char *where = environment ? environment : "";
	g_autofree char *upper = name_of("a secret", name, error);
	if (!upper || !place_of(store, repo, environment, &id, error))
		return false;
	if (!value)
		return sql_run(store, QUERY_SECRET_REMOVE, VALUES(INT(id), TEXT(where), TEXT(upper)), error);
	if (!check_value("secret", upper, value, len, error))
		return false;
	g_autoptr(GBytes) sealed = seal(store, id, where, upper, value, len);
	gsize sealed_len = 0;
	const void *bytes = g_bytes_get_data(sealed, &sealed_len);
	return sql_run(store, QUERY_SECRET_PUT,
	        VALUES(INT(id), TEXT(where), TEXT(upper), BYTES(bytes, sealed_len), INT(now_us())), error);
}

json_t *secrets_list(Store *store, const char *repo, GError **error)
{
	int64_t id = 0;
	return sql_repo_id(store, repo, false, &id, error) ? sql_array(store, QUERY_SECRET_LIST, VALUES(INT(id)), error) : NULL;
}

/* Adds the secrets of an environment ('': of the repo) to opened, in the place of those of the same name. */
static bool open_into(Store *store, int64_t repo, const char *environment, json_t *opened, GError **error)
{
	GError *inner = NULL;
	g_auto(Rows) rows = sql_query(store, QUERY_SECRET_OPEN, VALUES(INT(repo), TEXT(environment)), &inner);
	while (!inner && rows_next(&rows, &inner)) {
		size_t len = 0;
		const void *sealed = rows_bytes(&rows, 1, &len);
		const char *name = rows_text(&rows, 0);
		g_autoptr(GBytes) plain = seal_open(store, repo, environment, name, sealed, len);
		gsize plain_len = 0;
		const char *value = plain ? g_bytes_get_data(plain, &plain_len) : NULL;
		if (!plain)
			fail(&inner, ASSAY_ERROR_SYSTEM,
			        "cannot open the secret '%s': it was sealed with another key, or its row was changed; set it again",
			        name);
		else
			json_object_set_new(opened, name, json_stringn(value ? value : "", plain_len));
	}
	if (inner)
		g_propagate_error(error, inner);
	return inner == NULL;
}

/* Those of the repo, unless only the environment's own are asked for, and then those of the environment. */
static json_t *open_some(Store *store, int64_t repo, const char *environment, bool own, GError **error)
{
	g_autoptr(json_t) opened = json_object();
	bool good = (own || open_into(store, repo, "", opened, error)) &&
	            (!environment || !*environment || open_into(store, repo, environment, opened, error));
	if (good)
		return g_steal_pointer(&opened);
	secrets_wipe(opened);
	return NULL;
}

json_t *secrets_open(Store *store, int64_t repo, const char *environment, GError **error)
{
	return open_some(store, repo, environment, false, error);
}

json_t *secrets_open_environment(Store *store, int64_t repo, const char *environment, GError **error)
{
	return environment && *environment ? open_some(store, repo, environment, true, error) : json_object();
}

void secrets_wipe(json_t *opened)
{
	const char *name;
	json_t *value;
	json_object_foreach(opened, name, value) {
		/* jansson gives no other way to its bytes. */
		union {
			const char *read;
			char *write;
		} bytes = {.read = json_string_value(value)};
		if (bytes.read)
			sodium_memzero(bytes.write, json_string_length(value));
	}
}

bool vars_set(Store *store, const char *repo, const char *environment, const char *name, const char *value,
        GError **error)
{
	int64_t id = 0;
	const char *where = environment ? environment : "";
	g_autofree char *upper = name_of("a variable", name, error);
	if (!upper || !place_of(store, repo, environment, &id, error))
		return false;
	if (!value)
		return sql_run(store, QUERY_VAR_REMOVE, VALUES(INT(id), TEXT(where), TEXT(upper)), error);
	return check_value("variable", upper, value, strlen(value), error) &&
	        sql_run(store, QUERY_VAR_PUT, VALUES(INT(id), TEXT(where), TEXT(upper), TEXT(value), INT(now_us())), error);
}

json_t *vars_get(Store *store, int64_t repo, const char *environment, GError **error)
{
	/* What an environment says replaces what the repo says. */
	const char *const places[] = {"", environment && *environment ? environment : NULL};
	g_autoptr(json_t) vars = json_object();
	for (size_t p = 0; p < G_N_ELEMENTS(places) && places[p]; p++) {
		g_autoptr(json_t) rows = sql_array(store, QUERY_VAR_GET, VALUES(INT(repo), TEXT(places[p])), error);
		size_t i;
		json_t *row;
		if (!rows)
			return NULL;
		json_array_foreach(rows, i, row)
			json_object_set(vars, json_get_string(row, "name", ""), json_object_get(row, "value"));
	}
	return g_steal_pointer(&vars);
}
