/* SPDX-License-Identifier: Apache-2.0 */
/* People, and the audit log of what they did. */
#include "agent/store/people.h"

#include <sqlite3.h>
#include <string.h>

#include "agent/base/clock.h"
#include "agent/store/audit.h"
#include "agent/store/sql.h"
#include "tests/lib/store.h"

#define T0 INT64_C(1777802640000000)

static Store *store_with_alice(const char *password)
{
	Store *store = test_store();
	assert_ok(people_put(store, "alice", "reviewer", password, &error));
	return store;
}

static void only_the_right_password_signs_in(void)
{
	g_autoptr(Store) store = store_with_alice("correct horse");
	assert_ok(people_put(store, "bot", "developer", NULL, &error));
	g_autofree char *right = people_check_password(store, "alice", "correct horse");
	g_assert_cmpstr(right, ==, "alice");
	g_assert_null(people_check_password(store, "alice", "correct hors"));
	g_assert_null(people_check_password(store, "alice", ""));
	g_assert_null(people_check_password(store, "bot", ""));
	g_assert_null(people_check_password(store, "nobody", "correct horse"));
}

static void an_unknown_user_takes_as_long_as_a_known_one(void)
{
	g_autoptr(Store) store = store_with_alice("correct horse");
	int64_t start = monotonic_us();
	g_assert_null(people_check_password(store, "alice", "wrong"));
	int64_t known = monotonic_us() - start;
	start = monotonic_us();
	g_assert_null(people_check_password(store, "nobody", "wrong"));
	int64_t unknown = monotonic_us() - start;
	g_test_message("known %d µs, unknown %d µs", (int)known, (int)unknown);
	g_assert_cmpint(unknown, >, known / 4); /* a hash is made; a missing one would be a thousandth */
	g_assert_cmpint(unknown, <, known * 4);
}

static void a_role_changes_and_the_password_stays(void)
{
	g_autoptr(Store) store = store_with_alice("correct horse");
	g_autofree char *session = people_session_new(store, "alice", 60, NULL);
	assert_ok(people_put(store, "alice", "admin", NULL, &error));
	g_autoptr(json_t) user = people_get(store, "alice", NULL);
	g_assert_cmpstr(json_get_string(user, "role", NULL), ==, "admin");
	g_assert_true(json_get_bool(user, "has_password", false));
	g_autoptr(json_t) here = people_by_session(store, session);
	g_assert_cmpstr(json_get_string(here, "role", NULL), ==, "admin");
	assert_ok(people_put(store, "alice", "admin", "another", &error));
	g_assert_null(people_by_session(store, session));
	g_autoptr(json_t) list = people_list(store, NULL);
	g_assert_cmpuint(json_array_size(list), ==, 1);
}

static void a_token_is_known_and_not_kept(void)
{
	g_autoptr(Store) store = store_with_alice(NULL);
	g_autofree char *token = people_token_new(store, "alice", "laptop", NULL);
	g_assert_cmpuint(strlen(token), >=, 43);
	g_autoptr(json_t) user = people_by_token(store, token);
	g_assert_cmpstr(json_get_string(user, "name", NULL), ==, "alice");
	g_assert_true(json_is_null(json_object_get(user, "csrf")));
	token[0] = token[0] == 'a' ? 'b' : 'a';
	g_assert_null(people_by_token(store, token));
	g_assert_null(people_by_token(store, NULL));
	g_assert_null(people_by_token(store, ""));
	assert_fails(people_token_new(store, "nobody", NULL, &error), ASSAY_ERROR_ABSENT);
	g_autofree char *other = people_token_new(store, "alice", NULL, NULL);
	assert_ok(people_remove(store, "alice", &error));
	g_assert_null(people_by_token(store, other));
	assert_fails(people_remove(store, "alice", &error), ASSAY_ERROR_ABSENT);
}

static void a_session_ends_by_time_and_by_hand(void)
{
	g_autoptr(Store) store = store_with_alice(NULL);
	clock_set_test(T0);
	g_autofree char *session = people_session_new(store, "alice", 60, NULL);
	g_autofree char *other = people_session_new(store, "alice", 600, NULL);
	g_autoptr(json_t) a = people_by_session(store, session);
	g_autoptr(json_t) b = people_by_session(store, other);
	g_assert_cmpuint(strlen(json_get_string(a, "csrf", "")), ==, 64);
	g_assert_cmpstr(json_get_string(a, "csrf", NULL), !=, json_get_string(b, "csrf", NULL));
	g_assert_null(people_by_token(store, session));
	clock_set_test(T0 + 61 * G_USEC_PER_SEC);
	g_assert_null(people_by_session(store, session));
	people_session_end(store, other);
	g_assert_null(people_by_session(store, other));
	clock_set_test(0);
}

static void a_link_is_good_once(void)
{
	g_autoptr(Store) store = store_with_alice(NULL);
	clock_set_test(T0);
	g_autofree char *link = people_link_new(store, "alice", 60, NULL);
	g_autofree char *late = people_link_new(store, "alice", 60, NULL);
	g_autofree char *name = people_link_use(store, link);
	g_assert_cmpstr(name, ==, "alice");
	g_assert_null(people_link_use(store, link));
	clock_set_test(T0 + 61 * G_USEC_PER_SEC);
	g_assert_null(people_link_use(store, late));
	g_assert_null(people_link_use(store, NULL));
	clock_set_test(0);
}

static void names_and_roles_are_checked(void)
{
	g_autoptr(Store) store = test_store();
	const char *const wrong[] = {"", "a b", "-a", "a/b", "a'b", "ä"};
	for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++)
		assert_fails(people_put(store, wrong[i], "viewer", NULL, &error), ASSAY_ERROR_USER);
	assert_fails(people_put(store, "alice", "owner", NULL, &error), ASSAY_ERROR_USER);
	assert_fails(people_put(store, "alice", "viewer", "", &error), ASSAY_ERROR_USER);
	assert_fails(people_get(store, "alice", &error), ASSAY_ERROR_ABSENT);
}

static Store *store_with_audit(void)
{
	Store *store = test_store();
	g_autoptr(json_t) detail = test_json("{'gate':4,'comment':'fine'}");
	assert_ok(audit_add(store, "alice", "gate.approve", "acme/digits", detail, &error));
	assert_ok(audit_add(store, "bob", "user.add", NULL, NULL, &error));
	assert_ok(audit_add(store, "bob", "user.remove", "carol", NULL, &error));
	return store;
}

static void the_audit_log_lists_newest_first_and_fits_together(void)
{
	g_autoptr(Store) store = store_with_audit();
	assert_ok(audit_verify(store, &error));
	g_autoptr(json_t) list = audit_list(store, NULL, 2, NULL);
	const json_t *entry = json_array_get(json_object_get(list, "entries"), 0);
	g_assert_cmpstr(json_get_string(entry, "action", NULL), ==, "user.remove");
	g_autoptr(json_t) rest = audit_list(store, json_get_string(list, "next", NULL), 2, NULL);
	const json_t *first = json_array_get(json_object_get(rest, "entries"), 0);
	g_assert_cmpint(json_get_int(json_object_get(first, "detail"), "gate", 0), ==, 4);
	g_assert_true(json_is_null(json_object_get(rest, "next")));
}

static void the_audit_log_takes_no_change_by_sql(void)
{
	g_autoptr(Store) store = store_with_audit();
	g_assert_cmpint(sqlite3_exec(store->db, "DELETE FROM audit WHERE id = 2", NULL, NULL, NULL), !=, SQLITE_OK);
	g_assert_cmpint(sqlite3_exec(store->db, "UPDATE audit SET actor = 'eve'", NULL, NULL, NULL), !=, SQLITE_OK);
	assert_ok(audit_verify(store, &error));
}

static void what_was_changed_behind_its_back_shows(void)
{
	const char *const tricks[] = {"UPDATE audit SET actor = 'eve' WHERE id = 2", "DELETE FROM audit WHERE id = 2",
	        "UPDATE audit SET detail = '{}' WHERE id = 1", "DELETE FROM audit WHERE id = 1",
	        "UPDATE audit SET at = at + 1 WHERE id = 3"};
	for (size_t i = 0; i < G_N_ELEMENTS(tricks); i++) {
		g_autoptr(Store) store = store_with_audit();
		sqlite3_exec(store->db, "DROP TRIGGER audit_never_changes; DROP TRIGGER audit_never_forgets", NULL, NULL, NULL);
		g_assert_cmpint(sqlite3_exec(store->db, tricks[i], NULL, NULL, NULL), ==, SQLITE_OK);
		assert_fails(audit_verify(store, &error), ASSAY_ERROR_USER);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define TEST(name) g_test_add_func("/people/" #name, name)
	TEST(only_the_right_password_signs_in);
	TEST(an_unknown_user_takes_as_long_as_a_known_one);
	TEST(a_role_changes_and_the_password_stays);
	TEST(a_token_is_known_and_not_kept);
	TEST(a_session_ends_by_time_and_by_hand);
	TEST(a_link_is_good_once);
	TEST(names_and_roles_are_checked);
#undef TEST
#define TEST(name) g_test_add_func("/audit/" #name, name)
	TEST(the_audit_log_lists_newest_first_and_fits_together);
	TEST(the_audit_log_takes_no_change_by_sql);
	TEST(what_was_changed_behind_its_back_shows);
	return g_test_run();
}
