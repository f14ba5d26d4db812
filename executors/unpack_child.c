/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that unpacks a layer: this program again, as `unpack`, with the packed bytes as descriptor 3 and the
 * folder as 4. Before it reads the first byte it can write that folder and nothing else: another user where the agent
 * is root, Landlock where the kernel has it, the sandbox's system call filter, and no secret in its memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <grp.h>
#include <linux/capability.h>
#include <locale.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/base/spawn.h"
#include "agent/executor.h"
#include "executors/filter.h"
#include "executors/unpack.h"

#define BLOB_FD 3
#define FOLDER_FD 4
#define IDS_FD 5
#define RESULT_BYTES_MAX 65536
#ifdef __SANITIZE_ADDRESS__
#define DATA_BYTES_MAX RLIM_INFINITY /* its shadow memory is counted, too */
#else
#define DATA_BYTES_MAX (UINT64_C(1) << 30)
#endif
#define ASK_MS 200
#define LANDLOCK_FS_V2 ((UINT64_C(1) << 14) - 1) /* all rights of files that ABI 2 knows */

/* Where the kernel has it, ABI 2 at least: before, links between folders could not be allowed. */
static bool close_off(void)
{
	struct landlock_ruleset_attr rules = {.handled_access_fs = LANDLOCK_FS_V2};
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < 2)
		return true;
	int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
	struct landlock_path_beneath_attr beneath = {.allowed_access = LANDLOCK_FS_V2, .parent_fd = FOLDER_FD};
	bool done = fd >= 0 && syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0 &&
	            syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	autofd_close(&fd);
	return done;
}

/* Root of the image's users and nobody else: over their files alone. First of all, while we have read nothing. */
static bool become_owner(void)
{
	bool done = setns(IDS_FD, CLONE_NEWUSER) == 0 && setgroups(0, NULL) == 0 && setresgid(0, 0, 0) == 0 &&
	            setresuid(0, 0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
	close(IDS_FD);
	return done;
}

static bool keep_owners_rights(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	const uint32_t kept = 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER | 1U << CAP_FSETID;
	const struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}, {0}};
	return syscall(SYS_capset, &header, data) == 0;
}

static bool confine(bool owners)
{
	const struct rlimit data = {DATA_BYTES_MAX, DATA_BYTES_MAX};
	const struct rlimit files = {64, 64};
	const struct rlimit least = {1, 1}; /* with none a core still goes to the host's handler */
	struct sock_filter filter[FILTER_LEN_MAX];
	size_t len = filter_write(filter);
	const struct sock_fprog program = {.len = (unsigned short)len, .filter = filter};
	return setrlimit(RLIMIT_DATA, &data) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0 &&
	       setrlimit(RLIMIT_CORE, &least) == 0 && (!owners || keep_owners_rights()) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && close_off() &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static int64_t read_number(const char *text)
{
	gint64 number = 0;
	return text && g_ascii_string_to_signed(text, 10, 0, G_MAXINT64, &number, NULL) ? number : 0;
}

/* `unpack ENTRIES BYTES RATIO RATIO-FROM [owners]`: one line of JSON on stdout. */
int image_unpack_main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	UnpackEnd end = {.entries = 0};
	UnpackEnd warm;
	const UnpackLimits limits = {.entries = argc > 1 ? read_number(argv[1]) : 0,
	        .bytes = argc > 2 ? read_number(argv[2]) : 0,
	        .ratio = argc > 3 ? read_number(argv[3]) : 0,
	        .ratio_from = argc > 4 ? read_number(argv[4]) : 0,
	        .owners = argc > 5 && strcmp(argv[5], "owners") == 0};
	bool good = !limits.owners || become_owner() || fail_errno(&error, errno, "cannot become the image's root");
	setlocale(LC_CTYPE, "C.UTF-8"); /* names in a tar are UTF-8 */
	umask(0);
	/* Loads the library while files can still be opened. */
	autofd int empty = fd_sealed("empty", "", 0, &error);
	good = good && empty >= 0 && unpack_layer(empty, FOLDER_FD, NULL, &warm, &error);
	if (good && !confine(limits.owners))
		good = fail_errno(&error, errno, "cannot confine the process that unpacks");
	good = good && unpack_layer(BLOB_FD, FOLDER_FD, &limits, &end, &error);
	g_autoptr(json_t) result = json_object();
	if (good) {
		json_set_string(result, "diff_id", end.diff_id);
		json_set_int(result, "entries", end.entries);
		json_set_int(result, "bytes", end.bytes);
		json_set_int(result, "left_out", end.left_out);
	} else {
		json_set(result, "error", json_string_any(error->message, strlen(error->message)));
		json_set_string(result, "type", error_type(error));
	}
	g_autofree char *text = json_text(result);
	return fd_write_all(STDOUT_FILENO, text, strlen(text), "the result", NULL) ? 0 : 1;
}

static bool take_result(int fd, UnpackEnd *out, GError **error)
{
	g_autoptr(GBytes) bytes = fd_read_all(fd, RESULT_BYTES_MAX, "what the unpacking process says", error);
	if (!bytes)
		return false;
	gsize len = 0;
	const char *text = g_bytes_get_data(bytes, &len);
	if (len == 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "the process that unpacks it has died; see the kernel's log");
	g_autoptr(json_t) result = json_parse(text, len, "what the unpacking process says", error);
	if (!result)
		return false;
	const char *why = json_get_string(result, "error", NULL);
	if (why)
		return fail(error, error_code_from_type(json_get_string(result, "type", "remote")), "%s", why);
	*out = (UnpackEnd){.entries = json_get_int(result, "entries", 0),
	        .bytes = json_get_int(result, "bytes", 0),
	        .left_out = json_get_int(result, "left_out", 0)};
	g_strlcpy(out->diff_id, json_get_string(result, "diff_id", ""), sizeof out->diff_id);
	return true;
}

/* Waits for its end; false when it was told to stop, and it is killed then. */
static bool wait_for(int pidfd, bool (*stopped)(void *data), void *data)
{
	for (;;) {
		struct pollfd one = {.fd = pidfd, .events = POLLIN};
		if (poll(&one, 1, ASK_MS) > 0)
			return true;
		if (stopped && stopped(data)) {
			syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
			return false;
		}
	}
}

bool unpack_confined(int blob_fd, int folder_fd, int ids_fd, uid_t uid, gid_t gid, const UnpackLimits *limits,
        bool (*stopped)(void *data), void *data, UnpackEnd *out, GError **error)
{
	const UnpackLimits given = limits ? *limits : (UnpackLimits){0};
	const int64_t numbers[] = {given.entries, given.bytes, given.ratio, given.ratio_from};
	char texts[G_N_ELEMENTS(numbers)][24];
	for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
		g_snprintf(texts[i], sizeof texts[i], "%" G_GINT64_FORMAT, numbers[i]);
	/* Its answer is small, so a memory file that it writes and we read afterwards is all that is needed. */
	autofd int result = (int)syscall(SYS_memfd_create, "unpacked", 1U /* MFD_CLOEXEC */);
	if (result < 0)
		return fail_errno(error, errno, "cannot make a memory file");
	const char *const argv[] = {"/proc/self/exe", "unpack", texts[0], texts[1], texts[2], texts[3],
	        ids_fd >= 0 ? "owners" : NULL, NULL};
	const int fds[] = {-1, result, STDERR_FILENO, blob_fd, folder_fd, ids_fd};
	const SpawnSpec spec = {.argv = argv, .fds = fds, .fds_len = G_N_ELEMENTS(fds) - (ids_fd < 0), .own_session = true,
	        .die_with_parent = true, .uid = uid, .gid = gid};
	autofd int pidfd = spawn(&spec, NULL, error);
	if (pidfd < 0)
		return false;
	bool ended = wait_for(pidfd, stopped, data);
	SpawnEnd end;
	if (!spawn_wait(pidfd, &end, error))
		return false;
	if (!ended)
		return fail(error, ASSAY_ERROR_BUSY, "it was stopped while it was unpacked");
	if (lseek(result, 0, SEEK_SET) < 0)
		return fail_errno(error, errno, "cannot read what the unpacking process says");
	return take_result(result, out, error);
}
