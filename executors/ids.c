/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/subuid says who may use which ids besides his own: "name:first:count". Root needs nobody's leave, but must not
 * take what is somebody else's: without an entry the range lies where neither useradd, systemd nor nspawn gives any.
 */
#include "executors/ids.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/fd.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define DEFAULT_FIRST 1900000000U /* above what others give away (docs/operating.md, "Ids of images") */
#define DEFAULT_TRIES 64
#define ID_MOST 0x7fffffffU
#define AGENT_USER "assay"

void ids_clear(Ids *ids)
{
	g_clear_pointer(&ids->why_not, g_free);
	*ids = (Ids){0};
}

/* "NUMBER" up to the end or a separator; moves *at behind it. */
static bool read_number(const char **at, const char *end, char separator, uint64_t *out)
{
	const char *digit = *at;
	uint64_t number = 0;
	for (; digit < end && *digit >= '0' && *digit <= '9' && number <= UINT32_MAX; digit++)
		number = number * 10 + (uint64_t)(*digit - '0');
	if (digit == *at || number > UINT32_MAX || (digit < end && *digit != separator))
		return false;
	*out = number;
	*at = digit < end ? digit + 1 : digit;
	return true;
}

/* The end of a line, without its break. */
static const char *line_end(const char *at, const char *end)
{
	const char *stop = memchr(at, '\n', (size_t)(end - at));
	return stop ? stop : end;
}

static bool is_owner(const char *at, size_t len, const char *name, const char *number)
{
	return (name && strlen(name) == len && memcmp(at, name, len) == 0) ||
	       (strlen(number) == len && memcmp(at, number, len) == 0);
}

uint32_t ids_find(const char *text, gsize len, const char *name, uid_t id, bool *out_small)
{
	char number[16];
	const char *end = text + len;
	g_snprintf(number, sizeof number, "%u", (unsigned)id);
	*out_small = false;
	for (const char *at = text; at < end;) {
		const char *stop = line_end(at, end);
		const char *colon = memchr(at, ':', (size_t)(stop - at));
		uint64_t first = 0, count = 0;
		bool good = colon && is_owner(at, (size_t)(colon - at), name, number);
		const char *field = good ? colon + 1 : at;
		good = good && read_number(&field, stop, ':', &first) && read_number(&field, stop, '\0', &count) && field == stop;
		if (good && count >= IDS_BESIDES && first > 0 && first + IDS_BESIDES - 1 <= ID_MOST)
			return (uint32_t)first;
		*out_small = *out_small || good;
		at = stop + 1;
	}
	return 0;
}

bool ids_taken(const char *text, gsize len, bool is_range, uint32_t first)
{
	const char *end = text + len;
	const uint64_t last = (uint64_t)first + IDS_BESIDES - 1;
	for (const char *at = text; at < end;) {
		const char *stop = line_end(at, end);
		uint64_t from = 0, count = 1;
		/* "name:first:count", or "name:x:id:…" */
		for (int skip = is_range ? 1 : 2; skip > 0 && at < stop; skip--) {
			const char *colon = memchr(at, ':', (size_t)(stop - at));
			at = colon ? colon + 1 : stop;
		}
		if (at < stop && read_number(&at, stop, ':', &from) && (!is_range || read_number(&at, stop, '\0', &count)) &&
		        count > 0 && from <= last && from + count - 1 >= first)
			return true;
		at = stop + 1;
	}
	return false;
}

bool ids_mapped(const char *text, gsize len, uint32_t first)
{
	const char *end = text + len;
	for (const char *at = text; at < end;) {
		const char *stop = line_end(at, end);
		uint64_t numbers[3] = {0}; /* inside, outside, count */
		bool good = true;
		for (int i = 0; i < 3; i++) {
			while (at < stop && *at == ' ')
				at++;
			good = good && read_number(&at, stop, ' ', &numbers[i]);
		}
		if (good && numbers[0] <= first && (uint64_t)first + IDS_BESIDES <= numbers[0] + numbers[2])
			return true;
		at = stop + 1;
	}
	return false;
}

/* A file's text, "" where there is none; the caller's. */
static GBytes *read_file(const char *path)
{
	GBytes *bytes = fd_read_file(path, FILE_BYTES_MAX, NULL);
	return bytes ? bytes : g_bytes_new_static("", 0);
}

static uint32_t find_in(const char *path, const char *name, uid_t id, bool *out_small)
{
	g_autoptr(GBytes) bytes = read_file(path);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return text ? ids_find(text, len, name, id, out_small) : (*out_small = false, 0);
}

static bool is_taken_in(const char *path, bool is_range, uint32_t first)
{
	g_autoptr(GBytes) bytes = read_file(path);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return text && ids_taken(text, len, is_range, first);
}

static bool is_mapped(const char *path, uint32_t first)
{
	g_autoptr(GBytes) bytes = read_file(path);
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	return text && ids_mapped(text, len, first);
}

/* Nobody's, as far as this host's files say. */
static bool is_free(uint32_t first)
{
	return !is_taken_in("/etc/subuid", true, first) && !is_taken_in("/etc/subgid", true, first) &&
	       !is_taken_in("/etc/passwd", false, first) && !is_taken_in("/etc/group", false, first);
}

static bool holds(uint32_t first, uint32_t id)
{
	return id >= first && id - first < IDS_BESIDES;
}

static bool give(Ids *out, uint32_t uid, uint32_t gid, const char *source)
{
	*out = (Ids){.first_uid = uid, .first_gid = gid, .outer_uid = uid, .outer_gid = gid, .source = source};
	return true;
}

/* The job's user's own entry, the agent's, or root's: the first that has both. */
static bool find_entry(uid_t job_uid, Ids *out)
{
	const struct passwd *user = getpwuid(job_uid);
	g_autofree char *name = g_strdup(user ? user->pw_name : NULL);
	const struct {
		const char *name;
		uid_t id;
	} owners[] = {{name, job_uid}, {AGENT_USER, job_uid}, {"root", 0}};
	for (size_t i = 0; i < G_N_ELEMENTS(owners); i++) {
		bool small;
		uint32_t uid = find_in("/etc/subuid", owners[i].name, owners[i].id, &small);
		uint32_t gid = uid ? find_in("/etc/subgid", owners[i].name, owners[i].id, &small) : 0;
		if (uid && gid)
			return give(out, uid, gid, "/etc/subuid");
	}
	return false;
}

static bool choose(const char *wish, uid_t job_uid, gid_t job_gid, Ids *out)
{
	guint64 number = 0;
	if (g_ascii_string_to_unsigned(wish, 10, 1, ID_MOST - IDS_BESIDES, &number, NULL))
		return give(out, (uint32_t)number, (uint32_t)number, "sandbox.ids");
	if (find_entry(job_uid, out))
		return true;
	for (uint32_t i = 0; i < DEFAULT_TRIES; i++) {
		uint32_t first = DEFAULT_FIRST + i * (IDS_BESIDES + 1);
		if (is_free(first) && !holds(first, job_uid) && !holds(first, job_gid))
			return give(out, first, first, "nobody else's");
	}
	return false;
}

void ids_of_root(const char *wish, uid_t job_uid, gid_t job_gid, Ids *out)
{
	*out = (Ids){0};
	if (!wish)
		wish = "auto";
	if (strcmp(wish, "none") == 0) {
		out->why_not = g_strdup("sandbox.ids is 'none'");
		return;
	}
	if (job_uid == 0) {
		out->why_not = g_strdup("jobs run as this machine's root; set sandbox.uid");
		return;
	}
	if (!choose(wish, job_uid, job_gid, out)) {
		out->why_not = g_strdup("this host has no ids to spare; add 65536 for root to /etc/subuid and /etc/subgid");
		return;
	}
	const char *why = NULL;
	if (holds(out->first_uid, job_uid) || holds(out->first_gid, job_gid))
		why = "the range holds the jobs' own id; give another sandbox.ids";
	else if (!is_mapped("/proc/self/uid_map", out->first_uid) || !is_mapped("/proc/self/gid_map", out->first_gid))
		why = "the agent runs in a user namespace that has not so many ids; give it more, or set sandbox.ids";
	if (!why)
		return;
	*out = (Ids){.why_not = g_strdup(why)};
}

void ids_of_user(Ids *out)
{
	uid_t id = geteuid();
	const struct passwd *user = getpwuid(id);
	g_autofree char *name = g_strdup(user ? user->pw_name : NULL);
	g_autofree char *shown = user ? g_strdup(name) : g_strdup_printf("%u", (unsigned)id);
	bool small_users, small_groups;
	uint32_t uid = find_in("/etc/subuid", name, id, &small_users);
	uint32_t gid = find_in("/etc/subgid", name, id, &small_groups);
	*out = (Ids){0};
	if (!uid || !gid)
		out->why_not = g_strdup_printf(
		        "%s %s; add a range that nobody has: 'usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s'",
		        uid ? "/etc/subgid" : "/etc/subuid", (uid ? small_groups : small_users) ? "gives too few" : "has no entry", shown);
	else if (!user) /* an entry by number, which newuidmap has no eyes for */
		out->why_not = g_strdup_printf("user %s has no name in /etc/passwd, by which newuidmap knows people; give it one", shown);
	else if (access(IDS_NEWUIDMAP, X_OK) < 0 || access(IDS_NEWGIDMAP, X_OK) < 0)
		out->why_not = g_strdup(IDS_NEWUIDMAP " is not there; install the package uidmap");
	else if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		out->why_not = g_strdup("the agent may gain no privileges (NoNewPrivileges), which newuidmap needs");
	else
		give(out, uid, gid, "/etc/subuid");
}

int ids_lent(Ids *out)
{
	uid_t owner = 0;
	autofd int fd = open(IDS_LENT_USER, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWUSER || ioctl(fd, NS_GET_OWNER_UID, &owner) < 0 || owner != geteuid())
		return -1;
	g_autoptr(GBytes) bytes = read_file(IDS_LENT_RANGE);
	gsize len = 0;
	const char *at = g_bytes_get_data(bytes, &len);
	const char *end = at ? at + len : NULL;
	uint64_t uid = 0, gid = 0;
	if (!at || !read_number(&at, end, ' ', &uid) || !read_number(&at, end, '\n', &gid) || uid == 0 || gid == 0)
		return -1;
	give(out, (uint32_t)uid, (uint32_t)gid, "lent by root");
	return fd_steal(&fd);
}
