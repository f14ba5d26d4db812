/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the database, brings its schema up to date, and counts transactions. Everything that is kept about the
 * agent's work goes through the one connection that is opened here; sql.c has the statements.
 */
#include "agent/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/store/sql.h"

#define BUSY_TIMEOUT_MS 5000
#define KEY_BYTES 32

/* Not in linux/magic.h of every kernel we build on. */
#define CIFS_MAGIC 0xFF534D42U
#define SMB2_MAGIC 0xFE534D42U
#define CEPH_MAGIC 0x00C36400U

extern const unsigned char embed_schema_0001_first_sql[];
extern const unsigned char embed_schema_0002_turns_sql[];
extern const unsigned char embed_schema_0003_attempts_sql[];
extern const unsigned char embed_schema_0004_calls_sql[];
extern const unsigned char embed_schema_0005_told_sql[];
extern const unsigned char embed_schema_0006_runner_services_sql[];
extern const unsigned char embed_schema_0007_workflows_sql[];
extern const unsigned char embed_schema_0008_repo_credentials_sql[];
extern const unsigned char embed_schema_0009_under_way_sql[];
extern const unsigned char embed_schema_0010_usage_sql[];
extern const unsigned char embed_schema_0011_lighter_sql[];

/* Row n-1 brings the database from version n-1 to version n. Rows are added, never changed. */
static const struct {
	const char *name;
	const unsigned char *text; /* ends with a NUL */
} migrations[] = {
        {"0001_first.sql", embed_schema_0001_first_sql},
        {"0002_turns.sql", embed_schema_0002_turns_sql},
        {"0003_attempts.sql", embed_schema_0003_attempts_sql},
        {"0004_calls.sql", embed_schema_0004_calls_sql},
        {"0005_told.sql", embed_schema_0005_told_sql},
        {"0006_runner_services.sql", embed_schema_0006_runner_services_sql},
        {"0007_workflows.sql", embed_schema_0007_workflows_sql},
        {"0008_repo_credentials.sql", embed_schema_0008_repo_credentials_sql},
        {"0009_under_way.sql", embed_schema_0009_under_way_sql},
        {"0010_usage.sql", embed_schema_0010_usage_sql},
        {"0011_lighter.sql", embed_schema_0011_lighter_sql},
};

static bool execute(Store *store, const char *text, GError **error)
{
	int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
	return code == SQLITE_OK || sql_fail(store, code, error);
}

/* Every row still finds those it names; a table that was made anew could have lost them. */
static bool check_references(Store *store, GError **error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "PRAGMA foreign_key_check", -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	bool broken = code == SQLITE_ROW;
	if (broken)
		fail(error, ASSAY_ERROR_SYSTEM, "a row of table '%s' names a row that is not there; restore a backup",
		        (const char *)sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	return !broken && (code == SQLITE_DONE || sql_fail(store, code, error));
}

static bool read_version(Store *store, int64_t *out, GError **error)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &statement, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*out = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return code == SQLITE_ROW || sql_fail(store, code, error);
}

static bool migrate_one(Store *store, int64_t version, GError **error)
{
	if (!store_begin(store, error))
		return false;
	g_autofree char *count = g_strdup_printf("PRAGMA user_version = %d", (int)version + 1);
	if (!execute(store, (const char *)migrations[version].text, error) || !execute(store, count, error) ||
	        !check_references(store, error)) {
		store_rollback(store);
		g_prefix_error(error, "schema %s: ", migrations[version].name);
		return false;
	}
	return store_commit(store, error);
}

static bool migrate(Store *store, GError **error)
{
	int64_t version = 0;
	if (!read_version(store, &version, error))
		return false;
	const int64_t newest = G_N_ELEMENTS(migrations);
	if (version > newest)
		return fail(error, ASSAY_ERROR_USER,
		        "its schema has version %" G_GINT64_FORMAT ", this assay knows %" G_GINT64_FORMAT
		        "; start the newer assay that wrote it, or restore a backup",
		        version, newest);
	if (version == newest)
		return true;
	/* A table is changed by making it anew: that must not delete what names its rows. Or by its text alone, as 0011 does. */
	if (!execute(store, "PRAGMA foreign_keys = OFF", error))
		return false;
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	for (; version < newest; version++)
		if (!migrate_one(store, version, error))
			return false;
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	return execute(store, "PRAGMA foreign_keys = ON", error);
}

/* WAL keeps its index in memory that all processes of one machine share: on a network share it would lie. */
static bool check_filesystem(const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);
	struct statfs info;
	if (statfs(folder, &info) != 0)
		return fail_errno(error, errno, "cannot look at its folder");
	const char *kind = NULL;
	switch ((uint32_t)info.f_type) {
	case NFS_SUPER_MAGIC:
		kind = "NFS";
		break;
	case SMB_SUPER_MAGIC:
	case CIFS_MAGIC:
	case SMB2_MAGIC:
		kind = "SMB";
		break;
	case AFS_SUPER_MAGIC:
		kind = "AFS";
		break;
	case CEPH_MAGIC:
		kind = "Ceph";
		break;
	default:
		return true;
	}
	return fail(error, ASSAY_ERROR_USER,
	        "it lies on a network file system (%s), where it could be lost; put the data folder on a disk of this machine",
	        kind);
}

/* SQLite would say no more than "unable to open"; the kernel says why. A new file is for its owner alone. */
static bool check_file(const char *path, GError **error)
{
	autofd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return fail_errno(error, errno, "cannot open it for reading and writing");
	struct stat info;
	if (fstat(fd, &info) != 0)
		return fail_errno(error, errno, "cannot look at it");
	if (!S_ISREG(info.st_mode))
		return fail(error, ASSAY_ERROR_USER, "it is not a file; name another data folder");
	return true;
}

static bool setup(Store *store, GError **error)
{
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	/* 512 KiB of pages; nothing mapped: what is not asked for often belongs to the kernel's cache, not to us. */
	return execute(store,
	               "PRAGMA cache_size = -512; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;"
	               "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
	               "PRAGMA journal_size_limit = 8388608; PRAGMA secure_delete = FAST;",
	               error) &&
	        migrate(store, error);
}

static bool open_inside(Store *store, GError **error)
{
	bool memory = strcmp(store->path, ":memory:") == 0;
	if (!memory && (!check_filesystem(store->path, error) || !check_file(store->path, error)))
		return false;
	int code = sqlite3_open_v2(store->path, &store->db,
	        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (code != SQLITE_OK)
		return sql_fail(store, code, error);
	return setup(store, error);
}

Store *store_open(const char *path, const uint8_t key[32], GError **error)
{
	if (sodium_init() < 0) {
		fail(error, ASSAY_ERROR_SYSTEM, "cannot start libsodium: this machine gives no random numbers");
		return NULL;
	}
	g_autoptr(Store) store = g_new0(Store, 1);
	store->path = g_strdup(path);
	store->wal_fd = -1;
	store->key = sodium_malloc(KEY_BYTES);
	if (!store->key) {
		fail_errno(error, ENOMEM, "cannot keep the key that seals secrets in locked memory");
		return NULL;
	}
	memcpy(store->key, key, KEY_BYTES);
	sodium_mprotect_readonly(store->key);
	if (!open_inside(store, error)) {
		g_prefix_error(error, "database %s: ", path);
		return NULL;
	}
	return g_steal_pointer(&store);
}

static void forget_statements(Store *store)
{
	for (size_t i = 0; i < QUERY_COUNT; i++) {
		sqlite3_finalize(store->statements[i]);
		store->statements[i] = NULL;
	}
}

void store_trim(Store *store)
{
	if (store->depth > 0)
		return;
	forget_statements(store);
	g_clear_pointer(&store->hook_secrets, g_hash_table_unref);
	sqlite3_db_release_memory(store->db);
}

void store_close(Store *store)
{
	if (!store)
		return;
	forget_statements(store);
	sqlite3_close_v2(store->db); /* an open transaction is rolled back */
	autofd_close(&store->wal_fd);
	g_clear_pointer(&store->hook_secrets, g_hash_table_unref);
	sodium_free(store->key);
	g_free(store->path);
	g_free(store);
}

static bool begin(Store *store, GError **error)
{
	if (store->depth == 0) {
		store->committed = store_changes(store);
		int code = sql_control(store, QUERY_BEGIN);
		if (code != SQLITE_OK)
			return sql_fail(store, code, error);
		store->doomed = false;
	}
	store->depth++;
	return true;
}

/* SQLite takes the level between transactions only, so the outermost decides. */
static bool set_durable(Store *store, bool durable, GError **error)
{
	if (store->relaxed == !durable)
		return true;
	if (!execute(store, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", error))
		return false;
	store->relaxed = !durable;
	return true;
}

bool store_begin_relaxed(Store *store, GError **error)
{
	return (store->depth > 0 || set_durable(store, false, error)) && begin(store, error);
}

bool store_begin(Store *store, GError **error)
{
	return (store->depth > 0 || set_durable(store, true, error)) && begin(store, error);
}

bool store_sync(Store *store, GError **error)
{
	if (strcmp(store->path, ":memory:") == 0)
		return true;
	/* SQLite keeps no lock on this file, so another descriptor of it does not disturb it; it is there as long as we are. */
	if (store->wal_fd < 0) {
		g_autofree char *path = g_strconcat(store->path, "-wal", NULL);
		store->wal_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (store->wal_fd < 0)
			return fail_errno(error, errno, "cannot open %s", path);
	}
	return fdatasync(store->wal_fd) == 0 || fail_errno(error, errno, "cannot bring the database to the disk");
}

static void undo(Store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	store->doomed = false;
}

bool store_commit(Store *store, GError **error)
{
	g_return_val_if_fail(store->depth > 0, false);
	if (--store->depth > 0)
		return true;
	if (store->doomed || sqlite3_get_autocommit(store->db)) {
		undo(store);
		return fail(error, ASSAY_ERROR_SYSTEM, "the transaction was undone: a part of it failed");
	}
	int code = sql_control(store, QUERY_COMMIT);
	if (code == SQLITE_OK)
		return true;
	sql_fail(store, code, error);
	undo(store);
	return false;
}

void store_rollback(Store *store)
{
	g_return_if_fail(store->depth > 0);
	store->doomed = true;
	if (--store->depth == 0)
		undo(store);
}

bool store_in_transaction(const Store *store)
{
	return store->depth > 0;
}

uint64_t store_changes(const Store *store)
{
	return store->depth > 0 ? store->committed : (uint64_t)sqlite3_total_changes64(store->db);
}
