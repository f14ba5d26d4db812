/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Users and what they prove themselves with. Tokens, sessions and links are 32 random bytes: a guess is hopeless, so
 * SHA-256 is enough to keep them by, and the row is found by that hash. Passwords are guessed, so they are kept by
 * Argon2id (RFC 9106), and asking about a user who is not there takes as long as asking about one who is.
 */
#include "agent/store/people.h"

#include <sodium.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/base/hash.h"
#include "agent/store/sql.h"

#define SECRET_BYTES 32
#define PASSWORD_BYTES_MAX 1024
/* Three passes over 64 MiB: about a tenth of a second on one core of today. */
#define PASSWORD_PASSES crypto_pwhash_OPSLIMIT_MODERATE
#define PASSWORD_MEMORY crypto_pwhash_MEMLIMIT_INTERACTIVE
/* Of no password anyone has: what an unknown user's is compared with. Same passes, same memory. */
#define NOBODY "$argon2id$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static bool check_name(const char *name, GError **error)
{
	size_t len = name ? strlen(name) : 0;
	bool fits = len > 0 && len <= 100 && name[0] != '-' && name[0] != '.';
	for (size_t i = 0; fits && i < len; i++)
		fits = g_ascii_isalnum(name[i]) || strchr("-_.@+", name[i]);
	return fits ||
	        fail(error, ASSAY_ERROR_USER,
	                "'%.60s' cannot be a user's name; use letters, digits, '-', '_', '.', '@' and '+'", name ? name : "");
}

static bool hash_password(const char *password, char out[crypto_pwhash_STRBYTES], GError **error)
{
	size_t len = strlen(password);
	if (len == 0 || len > PASSWORD_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "a password has 1 to %d bytes", PASSWORD_BYTES_MAX);
	return crypto_pwhash_str(out, password, len, PASSWORD_PASSES, PASSWORD_MEMORY) == 0 ||
	        fail(error, ASSAY_ERROR_SYSTEM, "cannot hash a password: not enough memory (64 MiB); try again");
}

static bool put(Store *store, const char *name, const char *role, const char *hashed, GError **error)
{
	/* Who changes a password wants whoever knew the old one out. */
	return sql_run(store, QUERY_USER_PUT, VALUES(TEXT(name), TEXT(role), TEXT(hashed), INT(now_us())), error) &&
	        (!hashed || sql_run(store, QUERY_SESSION_END_OF_USER, VALUES(TEXT(name)), error));
}

bool people_put(Store *store, const char *name, const char *role, const char *password, GError **error)
{
	static const char *const roles[] = {"viewer", "developer", "reviewer", "admin", NULL};
	char hashed[crypto_pwhash_STRBYTES];
	if (!check_name(name, error))
		return false;
	if (!role || !g_strv_contains(roles, role))
		return fail(error, ASSAY_ERROR_USER, "'%.40s' is not a role; use viewer, developer, reviewer or admin",
		        role ? role : "");
	if (password && !hash_password(password, hashed, error))
		return false;
	return sql_atomic_begin(store, error) &&
	        sql_atomic_end(store, put(store, name, role, password ? hashed : NULL, error), error);
}

json_t *people_get(Store *store, const char *name, GError **error)
{
	return sql_one(store, QUERY_USER_GET, VALUES(TEXT(name)), error, "no user '%.100s'; see 'assay user list'",
	        name ? name : "");
}

json_t *people_list(Store *store, GError **error)
{
	return sql_array(store, QUERY_USER_LIST, NO_VALUES, error);
}

bool people_remove(Store *store, const char *name, GError **error)
{
	int64_t removed = 0;
	if (!sql_run_counted(store, QUERY_USER_REMOVE, VALUES(TEXT(name)), &removed, error))
		return false;
	return removed > 0 ||
	        fail(error, ASSAY_ERROR_ABSENT, "no user '%.100s'; see 'assay user list'", name ? name : "");
}

char *people_check_password(Store *store, const char *name, const char *password)
{
	g_autoptr(json_t) row = sql_object(store, QUERY_USER_PASSWORD, VALUES(TEXT(name)), NULL);
	const char *kept = json_get_string(row, "password", NULL);
	size_t len = password ? MIN(strlen(password), PASSWORD_BYTES_MAX + 1) : 0;
	/* libsodium reads up to crypto_pwhash_STRBYTES of what it compares with. */
	char stored[crypto_pwhash_STRBYTES] = {0};
	g_strlcpy(stored, kept ? kept : NOBODY, sizeof stored);
	bool right = crypto_pwhash_str_verify(stored, password ? password : "", len) == 0;
	return right && kept && len <= PASSWORD_BYTES_MAX ? g_strdup(name) : NULL;
}

static bool user_id(Store *store, const char *name, int64_t *out, GError **error)
{
	bool found = false;
	if (!sql_int(store, QUERY_USER_ID, VALUES(TEXT(name)), out, &found, error))
		return false;
	return found || fail(error, ASSAY_ERROR_ABSENT, "no user '%.100s'; see 'assay user list'", name ? name : "");
}

typedef struct Hashed {
	uint8_t bytes[HASH_BYTES];
} Hashed;

static Hashed hashed(const char *secret)
{
	Hashed hash;
	hash_bytes(secret, strlen(secret), hash.bytes);
	return hash;
}

#define HASH(hash) BYTES((hash).bytes, HASH_BYTES)

char *people_token_new(Store *store, const char *name, const char *note, GError **error)
{
	int64_t id = 0;
	if (!user_id(store, name, &id, error))
		return NULL;
	g_autofree char *token = random_token(SECRET_BYTES);
	Hashed hash = hashed(token);
	if (!sql_run(store, QUERY_TOKEN_ADD, VALUES(HASH(hash), INT(id), TEXT(note), INT(now_us())), error))
		return NULL;
	return g_steal_pointer(&token);
}

/* {"name","role"} of the row whose first column is this hash, NULL when there is none. */
static json_t *owner(Store *store, Query query, const char *secret)
{
	if (!secret || !*secret || strlen(secret) > 200)
		return NULL;
	Hashed hash = hashed(secret);
	/* A token's statement takes no time: it never expires. */
	size_t values = query == QUERY_TOKEN_OWNER ? 1 : 2;
	const SqlValue given[] = {HASH(hash), INT(now_us())};
	g_auto(Rows) rows = sql_query(store, query, given, values, NULL);
	if (!rows_next(&rows, NULL))
		return NULL;
	size_t len = 0;
	const void *kept = rows_bytes(&rows, 0, &len);
	if (len != HASH_BYTES || !equal_constant_time(kept, hash.bytes, HASH_BYTES))
		return NULL;
	json_t *user = json_object();
	json_set_string(user, "name", rows_text(&rows, 1));
	json_set_string(user, "role", rows_text(&rows, 2));
	return user;
}

json_t *people_by_token(Store *store, const char *token)
{
	json_t *user = owner(store, QUERY_TOKEN_OWNER, token);
	if (user)
		json_set(user, "csrf", NULL); /* a browser never sends a token by itself */
	return user;
}

static bool add_expiring(Store *store, const char *name, int64_t lives_s, Query add, Query expire, const char *secret,
        GError **error)
{
	int64_t id = 0;
	int64_t at = now_us();
	Hashed hash = hashed(secret);
	return user_id(store, name, &id, error) && sql_run(store, expire, VALUES(INT(at)), error) &&
	        sql_run(store, add, VALUES(HASH(hash), INT(id), INT(at + lives_s * G_USEC_PER_SEC)), error);
}

static char *new_expiring(Store *store, const char *name, int64_t lives_s, Query add, Query expire, GError **error)
{
	g_autofree char *secret = random_token(SECRET_BYTES);
	if (!sql_atomic_begin(store, error) ||
	        !sql_atomic_end(store, add_expiring(store, name, lives_s, add, expire, secret, error), error))
		return NULL;
	return g_steal_pointer(&secret);
}

char *people_session_new(Store *store, const char *name, int64_t lives_s, GError **error)
{
	return new_expiring(store, name, lives_s, QUERY_SESSION_ADD, QUERY_SESSION_EXPIRE, error);
}

json_t *people_by_session(Store *store, const char *session)
{
	json_t *user = owner(store, QUERY_SESSION_OWNER, session);
	if (!user)
		return NULL;
	/* Known only to who has the session, and the session does not follow from it: nothing to keep. */
	uint8_t mac[HASH_BYTES];
	char csrf[HASH_HEX_BYTES];
	hash_hmac(session, strlen(session), "csrf", 4, mac);
	hex_write(mac, sizeof mac, csrf);
	json_set_string(user, "csrf", csrf);
	return user;
}

void people_session_end(Store *store, const char *session)
{
	if (!session)
		return;
	Hashed hash = hashed(session);
	sql_run(store, QUERY_SESSION_END, VALUES(HASH(hash)), NULL);
}

char *people_link_new(Store *store, const char *name, int64_t lives_s, GError **error)
{
	return new_expiring(store, name, lives_s, QUERY_LINK_ADD, QUERY_LINK_EXPIRE, error);
}

char *people_link_use(Store *store, const char *secret)
{
	g_autoptr(json_t) user = owner(store, QUERY_LINK_OWNER, secret);
	if (!user)
		return NULL;
	Hashed hash = hashed(secret);
	int64_t used = 0;
	if (!sql_run_counted(store, QUERY_LINK_USED, VALUES(HASH(hash)), &used, NULL) || used != 1)
		return NULL;
	return g_strdup(json_get_string(user, "name", NULL));
}
