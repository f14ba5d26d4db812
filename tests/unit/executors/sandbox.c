/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job must not be able to do, tried. The test program copies itself into the place and runs one attempt per
 * step (`--attempt NAME`), whose exit status is the errno it met. Every case is run by the agent as root with a root
 * and with an ordinary user for steps, and as an ordinary user; where it makes sense the same attempt is shown to
 * succeed outside, since a refusal that any shell would meet proves nothing.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <ifaddrs.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/fd.h"
#include "agent/base/spawn.h"
#include "agent/executor.h"
#include "executors/root.h"

#define STEP_MS_MAX 60000
#define ORDINARY_UID 54321
#define PROBE "/home/runner/work/probe"

extern const Executor executor_sandbox;

/* ---- attempts: run inside, answer 0 when they succeed, else errno ---- */

static int result(long got)
{
	return got < 0 ? errno : 0;
}

static int try_open(const char *path, int flags)
{
	return result(open(path, flags | O_CLOEXEC, 0600));
}

static int try_canary(void)
{
	return try_open(g_getenv("CANARY"), O_RDONLY);
}
static int try_shadow(void)
{
	return try_open("/etc/shadow", O_RDONLY);
}
static int try_write_usr(void)
{
	return try_open("/usr/bin/assay-test-canary", O_WRONLY | O_CREAT | O_EXCL);
}
static int try_write_root(void)
{
	return try_open("/assay-test-canary", O_WRONLY | O_CREAT | O_EXCL);
}
static int try_write_etc(void)
{
	return try_open("/etc/passwd", O_WRONLY);
}
static int try_replace_device(void)
{
	return result(unlink("/dev/null"));
}
static int try_mount(void)
{
	return result(mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
}
static int try_remount(void)
{
	return result(mount(NULL, "/usr", NULL, MS_REMOUNT | MS_BIND, NULL));
}
static int try_umount(void)
{
	return result(umount2("/proc", MNT_DETACH));
}
static int try_chroot(void)
{
	return result(chroot("/tmp"));
}
static int try_fsopen(void)
{
	return result(syscall(SYS_fsopen, "tmpfs", 0));
}
static int try_unshare_user(void)
{
	return result(unshare(CLONE_NEWUSER));
}
static int try_clone_user(void)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int try_clone3(void)
{
	struct clone_args arguments = {.exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
	if (pid == 0)
		_exit(0);
	return result(pid);
}
static int try_setns(void)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	return result(setns(fd, 0));
}
static int try_ptrace(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}
static int try_vm_read(void)
{
	char from[8] = "canary", into[8];
	struct iovec local = {into, 8}, remote = {from, 8};
	return result(process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
}
static int try_bpf(void)
{
	return result(syscall(SYS_bpf, 5, "", 0)) == EPERM ? EPERM : 0; /* anything else: the kernel has looked at it */
}
static int try_keyctl(void)
{
	return result(syscall(SYS_keyctl, 0, -3, 0)); /* the id of our session keyring */
}
static int try_add_key(void)
{
	return result(syscall(SYS_add_key, "user", "assay-test", "x", 1, -1)); /* the thread's keyring */
}
static int try_io_uring(void)
{
	char parameters[256] = {0};
	return result(syscall(SYS_io_uring_setup, 1, parameters));
}
static int try_perf(void)
{
	return result(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)) == EPERM ? EPERM : 0;
}
static int try_userfault(void)
{
	return result(syscall(SYS_userfaultfd, 1)); /* user faults only: allowed to all outside */
}
static int try_kexec(void)
{
	return result(syscall(SYS_kexec_load, 0, 0, NULL, 0xffffffff)) == EPERM ? EPERM : 0;
}
static int try_handle(void)
{
	char handle[64] = {0};
	int mount_id;
	*(unsigned *)(void *)handle = 32;
	return result(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", handle, &mount_id, 0));
}
static int try_newest_call(void)
{
	return result(syscall(1000));
}
static int try_x32_call(void)
{
	return result(syscall(0x40000000 | SYS_getpid));
}
static int try_vsock(void)
{
	return result(socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
}
static int try_alg(void)
{
	return result(socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}
static int try_packet(void)
{
	return result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
}
static int try_raw(void)
{
	return result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}
static int try_netlink_other(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 15)); /* kobject uevents */
}
static int try_netlink_route(void)
{
	return result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}
static int try_sti(void)
{
	return result(ioctl(open("/dev/null", O_RDWR | O_CLOEXEC), TIOCSTI, "x"));
}
static int try_sti_high(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return result(syscall(SYS_ioctl, fd, (1UL << 32) | TIOCSTI, "x"));
}
static int try_tty(void)
{
	return try_open("/dev/tty", O_RDWR);
}
static int try_mknod(void)
{
	return result(mknod("node", S_IFCHR | 0600, makedev(1, 5)));
}
static int try_fifo_scheduler(void)
{
	struct sched_param parameter = {.sched_priority = 1};
	return result(sched_setscheduler(0, SCHED_FIFO, &parameter));
}
static int try_nice(void)
{
	return result(setpriority(PRIO_PROCESS, 0, -20));
}
static int try_hostname(void)
{
	return result(sethostname("other", 5));
}
static int try_setuid(void)
{
	return result(setuid(0));
}
static int try_kill_agent(void)
{
	return result(kill((pid_t)g_ascii_strtoll(g_getenv("AGENT"), NULL, 10), 0));
}
static int try_kill_init(void)
{
	kill(1, SIGKILL);
	usleep(20000);
	return result(kill(1, 0)) == 0 ? EPERM : 0; /* it lives: as good as refused */
}
static int try_init_memory(void)
{
	return try_open("/proc/1/mem", O_RDONLY);
}
static int try_init_program(void)
{
	return try_open("/proc/1/exe", O_RDONLY);
}
static int try_init_descriptors(void)
{
	return try_open("/proc/1/fd/3", O_RDWR);
}
static int try_core_pattern(void)
{
	return try_open("/proc/sys/kernel/core_pattern", O_WRONLY);
}
static int try_oom_score(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	return result(write(fd, "-1000", 5));
}
static int try_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)},
	        .sin_port = htons((uint16_t)g_ascii_strtoll(g_getenv("PORT"), NULL, 10))};
	return result(connect(fd, (struct sockaddr *)&address, sizeof address));
}
static int try_abstract(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	g_strlcpy(address.sun_path + 1, g_getenv("ABSTRACT"), sizeof address.sun_path - 1);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(g_getenv("ABSTRACT")));
	return result(connect(fd, (struct sockaddr *)&address, len));
}
static int try_own_server(void)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof address;
	if (bind(server, (struct sockaddr *)&address, len) < 0 || listen(server, 1) < 0 ||
	        getsockname(server, (struct sockaddr *)&address, &len) < 0)
		return errno;
	return result(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&address, len));
}
/* Forks until it may not; the count goes to stdout. */
static int try_forks(void)
{
	int count = 0;
	pid_t pid;
	while (count < 500 && (pid = fork()) >= 0) {
		if (pid == 0) {
			pause();
			_exit(0);
		}
		count++;
	}
	int why = count < 500 ? errno : 0;
	printf("%d\n", count);
	return why;
}
static int try_memory(void)
{
	for (size_t mebibytes = 0; mebibytes < 512; mebibytes++) {
		char *block = malloc(1 << 20);
		if (!block)
			return ENOMEM;
		memset(block, 7, 1 << 20);
	}
	return 0;
}
static int try_big_file(void)
{
	int fd = open("big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static char block[1 << 20];
	for (int i = 0; i < 64; i++)
		if (write(fd, block, sizeof block) < 0)
			return errno;
	return 0;
}
/* Each generation forks and ends at once, in a session of its own: hard to catch one by one. */
static int try_rabbits(void)
{
	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			for (;;) {
				setsid();
				int fd = open("rabbits", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
				if (write(fd, "x", 1) < 0)
					_exit(1);
				close(fd);
				if (fork() != 0)
					_exit(0);
			}
	while (access("rabbits", F_OK) != 0)
		usleep(1000);
	return 0;
}
static int try_many_orphans(void)
{
	for (int i = 0; i < 300; i++)
		if (fork() == 0) {
			if (i % 2)
				setsid();
			pause();
			_exit(0);
		}
	return 0;
}

static int try_three_descriptors(void)
{
	for (int fd = 3; fd < 4096; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return fd < 200 ? fd : 200;
	return 0;
}

typedef enum Control { OUTSIDE_WORKS, OUTSIDE_UNTRIED } Control;

static const struct {
	const char *name;
	int (*run)(void);
	Control control;  /* does it succeed outside, as root? */
	int expected[4];  /* inside, any of these; {0} when it is not one of the general cases */
} attempts[] = {
	{"read_a_file_outside", try_canary, OUTSIDE_WORKS, {ENOENT}},
	{"read_the_password_file", try_shadow, OUTSIDE_WORKS, {ENOENT}},
	{"write_below_usr", try_write_usr, OUTSIDE_UNTRIED, {EROFS, EACCES}},
	{"write_in_the_root", try_write_root, OUTSIDE_UNTRIED, {EROFS, EACCES}},
	{"write_in_etc", try_write_etc, OUTSIDE_WORKS, {EROFS, EACCES}},
	{"replace_a_device", try_replace_device, OUTSIDE_UNTRIED, {EROFS, EACCES, EBUSY}},
	{"mount", try_mount, OUTSIDE_UNTRIED, {EPERM}},
	{"remount_usr_writable", try_remount, OUTSIDE_UNTRIED, {EPERM}},
	{"unmount_proc", try_umount, OUTSIDE_UNTRIED, {EPERM}},
	{"change_root", try_chroot, OUTSIDE_WORKS, {EPERM}},
	{"make_a_file_system", try_fsopen, OUTSIDE_WORKS, {EPERM}},
	{"unshare_a_user_namespace", try_unshare_user, OUTSIDE_WORKS, {EPERM}},
	{"clone_a_user_namespace", try_clone_user, OUTSIDE_WORKS, {EPERM}},
	{"clone3", try_clone3, OUTSIDE_WORKS, {ENOSYS}},
	{"enter_a_namespace", try_setns, OUTSIDE_UNTRIED, {EPERM}},
	{"ptrace", try_ptrace, OUTSIDE_WORKS, {EPERM}},
	{"read_process_memory", try_vm_read, OUTSIDE_WORKS, {EPERM}},
	{"bpf", try_bpf, OUTSIDE_WORKS, {EPERM}},
	{"keyctl", try_keyctl, OUTSIDE_WORKS, {EPERM}},
	{"add_key", try_add_key, OUTSIDE_WORKS, {EPERM}},
	{"io_uring", try_io_uring, OUTSIDE_UNTRIED, {EPERM}},
	{"perf_event", try_perf, OUTSIDE_WORKS, {EPERM}},
	{"userfaultfd", try_userfault, OUTSIDE_UNTRIED, {EPERM}},
	{"kexec", try_kexec, OUTSIDE_UNTRIED, {EPERM}},
	{"name_to_handle", try_handle, OUTSIDE_WORKS, {EPERM}},
	{"a_call_not_yet_known", try_newest_call, OUTSIDE_UNTRIED, {ENOSYS}},
	{"an_x32_call", try_x32_call, OUTSIDE_UNTRIED, {ENOSYS}},
	{"vsock", try_vsock, OUTSIDE_UNTRIED, {EAFNOSUPPORT}},
	{"kernel_crypto_sockets", try_alg, OUTSIDE_UNTRIED, {EAFNOSUPPORT}},
	{"packet_sockets", try_packet, OUTSIDE_WORKS, {EAFNOSUPPORT}},
	{"raw_sockets", try_raw, OUTSIDE_WORKS, {EPERM}},
	{"netlink_but_routes", try_netlink_other, OUTSIDE_WORKS, {EAFNOSUPPORT}},
	{"type_into_a_terminal", try_sti, OUTSIDE_UNTRIED, {EPERM}},
	{"type_with_a_high_bit", try_sti_high, OUTSIDE_UNTRIED, {EPERM}},
	{"a_controlling_terminal", try_tty, OUTSIDE_UNTRIED, {ENXIO}},
	{"make_a_device", try_mknod, OUTSIDE_WORKS, {EPERM}},
	{"real_time_priority", try_fifo_scheduler, OUTSIDE_WORKS, {EPERM}},
	{"negative_nice", try_nice, OUTSIDE_WORKS, {EACCES, EPERM}},
	{"set_the_host_name", try_hostname, OUTSIDE_UNTRIED, {EPERM}},
	{"become_root", try_setuid, OUTSIDE_WORKS, {EINVAL, EPERM}},
	{"signal_the_agent", try_kill_agent, OUTSIDE_WORKS, {ESRCH}},
	{"kill_init", try_kill_init, OUTSIDE_UNTRIED, {EPERM}},
	{"read_inits_memory", try_init_memory, OUTSIDE_UNTRIED, {EACCES, EPERM}},
	{"open_inits_program", try_init_program, OUTSIDE_UNTRIED, {EACCES, EPERM}},
	{"take_inits_descriptors", try_init_descriptors, OUTSIDE_UNTRIED, {EACCES, EPERM, ENOENT}},
	{"write_a_sysctl", try_core_pattern, OUTSIDE_WORKS, {EROFS, EACCES}},
	{"escape_the_oom_killer", try_oom_score, OUTSIDE_UNTRIED, {EACCES, EPERM}},
	{"connect_to_the_host", try_connect, OUTSIDE_WORKS, {ENETUNREACH}},
	{"connect_to_an_abstract_socket", try_abstract, OUTSIDE_WORKS, {ECONNREFUSED}},
	{"own_server", try_own_server, OUTSIDE_WORKS, {ENETUNREACH, EADDRNOTAVAIL}},
	{"netlink_route", try_netlink_route, OUTSIDE_WORKS, {0}},
	{"only_three_descriptors", try_three_descriptors, OUTSIDE_UNTRIED, {0}},
	{"forks", try_forks, OUTSIDE_UNTRIED, {0}},
	{"memory", try_memory, OUTSIDE_UNTRIED, {0}},
	{"big_file", try_big_file, OUTSIDE_UNTRIED, {0}},
	{"rabbits", try_rabbits, OUTSIDE_UNTRIED, {0}},
	{"many_orphans", try_many_orphans, OUTSIDE_UNTRIED, {0}},
};

static int attempt(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++)
		if (strcmp(attempts[i].name, name) == 0) {
			int got = attempts[i].run();
			fflush(stdout);
			_exit(got);
		}
	_exit(255);
}

/* ---- the place, outside ---- */

typedef enum Who { AGENT_ROOT_STEPS_ROOT, AGENT_ROOT, AGENT_ORDINARY } Who;
static const char *const who_names[] = {"steps_as_root", "steps_as_user", "agent_as_user"};

typedef struct Case {
	const char *name;
	void (*run)(struct Case *at);
	Who who;
	bool needs_tun; /* an ordinary user is lent one: on some machines only root may open the host's */
	char *root, *work, *home, *canary;
	int server, abstract_server;
	char *port, *abstract;
	PlaceSpec spec;
	Place *place;
} Case;

static void open_place(Case *at)
{
	g_autoptr(GError) error = NULL;
	g_assert_true(executor_sandbox.open(&at->spec, &at->place, &error));
	g_assert_no_error(error);
}

static void close_place(Case *at)
{
	executor_sandbox.close(g_steal_pointer(&at->place));
}

static Child start(Case *at, const char *const *argv, int out)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *canary = g_strdup_printf("CANARY=%s", at->canary);
	g_autofree char *port = g_strdup_printf("PORT=%s", at->port);
	g_autofree char *abstract = g_strdup_printf("ABSTRACT=%s", at->abstract);
	g_autofree char *agent = g_strdup_printf("AGENT=%d", (int)getpid());
	const char *const envp[] = {"PATH=/usr/bin:/bin", "ASAN_OPTIONS=detect_leaks=0", canary, port, abstract, agent, NULL};
	const StepSpec spec = {.name = "case", .argv = argv, .envp = envp, .folder = "/home/runner/work",
	        .fds = {-1, out, STDERR_FILENO}};
	Child child = {.fd = -1};
	g_assert_true(executor_sandbox.start(at->place, &spec, &child, &error));
	g_assert_no_error(error);
	return child;
}

static StepEnd finish(Case *at, Child *child)
{
	g_autoptr(GError) error = NULL;
	StepEnd end;
	struct pollfd wait = {.fd = child->fd, .events = POLLIN};
	g_assert_cmpint(poll(&wait, 1, STEP_MS_MAX), ==, 1);
	g_assert_true(executor_sandbox.finish(at->place, child, &end, &error));
	g_assert_no_error(error);
	return end;
}

static StepEnd try_inside(Case *at, const char *name)
{
	const char *const argv[] = {PROBE, "--attempt", name, NULL};
	Child child = start(at, argv, -1);
	return finish(at, &child);
}

static char *shell(Case *at, const char *script)
{
	int ends[2];
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	Child child = start(at, argv, ends[1]);
	close(ends[1]);
	g_autoptr(GBytes) bytes = fd_read_all(ends[0], 1 << 20, "output", NULL);
	close(ends[0]);
	g_assert_cmpint(finish(at, &child).exit_code, ==, 0);
	gsize len;
	const char *data = g_bytes_get_data(bytes, &len);
	return g_strndup(data ? data : "", len);
}

/* ---- cases ---- */

static void case_refused(Case *at)
{
	open_place(at);
	g_assert_cmpstr(at->place->isolation, ==, at->who == AGENT_ROOT_STEPS_ROOT ? "reduced" : "full");
	for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
		if (attempts[i].expected[0] == 0)
			continue;
		StepEnd end = try_inside(at, attempts[i].name);
		bool fits = false;
		for (size_t j = 0; j < G_N_ELEMENTS(attempts[i].expected); j++)
			fits = fits || (attempts[i].expected[j] && end.exit_code == attempts[i].expected[j]);
		if (!fits)
			g_error("%s: ended by %d (%s), signal %d", attempts[i].name, end.exit_code,
			        g_strerror(end.exit_code), end.signal);
	}
	struct stat info;
	g_assert_cmpint(stat("/usr/bin/assay-test-canary", &info), ==, -1);
	g_assert_cmpint(stat("/assay-test-canary", &info), ==, -1);
}

static void case_view(Case *at)
{
	open_place(at);
	g_autofree char *devices = shell(at, "ls -A /dev | LC_ALL=C sort | tr '\\n' ' '");
	g_assert_cmpstr(devices, ==, "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero ");
	g_autofree char *root = shell(at, "for f in root boot srv mnt media var/lib run/systemd etc/shadow etc/ssh "
	                                  "etc/gshadow etc/sudoers; do [ -e /$f ] && echo $f; done; true");
	g_assert_cmpstr(root, ==, "");
	g_autofree char *ids = shell(at, "id -un; id -u; id -g; hostname; echo $$; ls -d /proc/[0-9]* | wc -l");
	g_auto(GStrv) lines = g_strsplit(ids, "\n", 0);
	g_assert_cmpstr(lines[0], ==, "runner");
	g_assert_cmpstr(lines[1], ==, "1001");
	g_assert_cmpstr(lines[2], ==, "1001");
	g_assert_cmpstr(lines[3], ==, "testhost");
	g_assert_cmpint(g_ascii_strtoll(lines[4], NULL, 10), <, 100);
	g_assert_cmpint(g_ascii_strtoll(lines[5], NULL, 10), <, 8);
	g_autofree char *status = shell(at, "grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'");
	g_assert_cmpstr(status, ==, "CapInh:0000000000000000\nCapPrm:0000000000000000\nCapEff:0000000000000000\n"
	                            "CapBnd:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\nSeccomp:2\n");
	g_assert_cmpint(try_inside(at, "only_three_descriptors").exit_code, ==, 0);
	g_autofree char *masks = shell(at, "for f in kcore keys sysrq-trigger timer_list kmsg; do [ ! -c /proc/$f ] && "
	                                   "{ [ -r /proc/$f ] || [ -w /proc/$f ]; } && echo $f; done; true");
	g_assert_cmpstr(masks, ==, "");
	g_autofree char *core = shell(at, "ulimit -c; ulimit -Hc");
	g_assert_cmpstr(core, ==, "0\n0\n");
	g_autofree char *works = shell(at, "echo x > /tmp/a && echo x > /dev/shm/a && HOME=/home/runner && "
	                                   "echo x > ~/b && echo y > /dev/null && ls ~ | tr '\\n' ' '");
	g_assert_cmpstr(works, ==, "b work ");
}

static void case_setuid(Case *at)
{
	open_place(at);
	if (at->who != AGENT_ORDINARY) {
		g_autofree char *copy = g_build_filename(at->work, "setuid-id", NULL);
		g_autofree char *text = NULL;
		gsize len;
		g_assert_true(g_file_get_contents("/usr/bin/id", &text, &len, NULL));
		g_assert_true(g_file_set_contents(copy, text, (gssize)len, NULL));
		g_assert_cmpint(chown(copy, 0, 0), ==, 0);
		g_assert_cmpint(chmod(copy, 06755), ==, 0);
		g_autofree char *id = shell(at, "./setuid-id -u; ./setuid-id -g");
		g_assert_cmpstr(id, ==, "1001\n1001\n");
	}
	g_autofree char *plain = shell(at, "grep -c -v nosuid /proc/self/mounts; true");
	g_assert_cmpstr(plain, ==, "0\n"); /* every mount is nosuid */
}

static void case_network(Case *at)
{
	at->spec.network = PLACE_NETWORK_LOOPBACK;
	open_place(at);
	guint others = at->who == AGENT_ROOT_STEPS_ROOT ? 1 : 0; /* the sentence about root */
	g_assert_cmpuint(at->place->missing->len, ==, others);
	g_assert_cmpint(try_inside(at, "own_server").exit_code, ==, 0);
	g_assert_cmpint(try_inside(at, "connect_to_the_host").exit_code, ==, ECONNREFUSED);
	g_assert_cmpint(try_inside(at, "connect_to_an_abstract_socket").exit_code, ==, ECONNREFUSED);
	g_assert_cmpint(try_inside(at, "vsock").exit_code, ==, EAFNOSUPPORT);
	close_place(at);
	at->spec.network = PLACE_NETWORK_HOST;
	open_place(at);
	g_assert_cmpstr(at->place->isolation, ==, "reduced");
	g_assert_cmpuint(at->place->missing->len, ==, others + 1);
	const char *sentence = at->place->missing->pdata[others];
	g_assert_nonnull(strstr(sentence, "network"));
	g_assert_cmpint(try_inside(at, "connect_to_the_host").exit_code, ==, 0);
	g_assert_cmpint(try_inside(at, "own_server").exit_code, ==, 0);
	g_assert_cmpint(try_inside(at, "netlink_route").exit_code, ==, 0);
	g_assert_cmpint(try_inside(at, "vsock").exit_code, ==, EAFNOSUPPORT);
	g_assert_cmpint(try_inside(at, "packet_sockets").exit_code, ==, EAFNOSUPPORT);
	if (!strstr(sentence, "abstract"))
		g_assert_cmpint(try_inside(at, "connect_to_an_abstract_socket").exit_code, ==, EPERM);
}

/* Of IPv4: without one, its addresses do not stand for what is outside. */
static bool has_default_route(void)
{
	g_autofree char *table = NULL;
	return g_file_get_contents("/proc/net/route", &table, NULL, NULL) &&
	       g_regex_match_simple("^\\S+\t00000000\t", table, G_REGEX_MULTILINE, 0);
}

/* Of this machine, the first that is neither its loopback nor a link's own. The caller's; NULL: there is none. */
static char *own_address(void)
{
	struct ifaddrs *all;
	char *found = NULL;
	g_assert_cmpint(getifaddrs(&all), ==, 0);
	for (const struct ifaddrs *one = all; one && !found; one = one->ifa_next) {
		const struct sockaddr_in *address = (const struct sockaddr_in *)(const void *)one->ifa_addr;
		char text[INET_ADDRSTRLEN];
		if (address && address->sin_family == AF_INET && (ntohl(address->sin_addr.s_addr) >> 24) != 127 &&
		        (ntohl(address->sin_addr.s_addr) >> 16) != 0xa9fe && inet_ntop(AF_INET, &address->sin_addr, text, sizeof text))
			found = g_strdup(text);
	}
	freeifaddrs(all);
	return found;
}

static int listen_on(const char *address, uint16_t *out_port)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(inet_pton(AF_INET, address, &name.sin_addr), ==, 1);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&name, sizeof name) | listen(fd, 8), ==, 0);
	g_assert_cmpint(getsockname(fd, (struct sockaddr *)&name, &len), ==, 0);
	*out_port = ntohs(name.sin_port);
	return fd;
}

/* Our child that is the way out; 0: there is none. */
static pid_t find_way_out(void)
{
	g_autoptr(GDir) folder = g_dir_open("/proc", 0, NULL);
	for (const char *name; (name = g_dir_read_name(folder));) {
		g_autofree char *path = g_strdup_printf("/proc/%s/stat", name);
		g_autofree char *text = NULL;
		int pid, parent;
		char comm[17] = "", state;
		if (g_ascii_isdigit(name[0]) && g_file_get_contents(path, &text, NULL, NULL) &&
		        sscanf(text, "%d (%16[^)]) %c %d", &pid, comm, &state, &parent) == 4 && parent == (int)getpid() &&
		        (g_str_has_prefix(comm, "pasta") || g_str_has_prefix(comm, "passt")))
			return pid;
	}
	return 0;
}

static char *connect_inside(Case *at, const char *address, int port)
{
	g_autofree char *script = g_strdup_printf("timeout 50 bash -c 'exec 3<>/dev/tcp/%s/%d' 2>&1 && echo reached; true", address, port);
	return g_strstrip(shell(at, script));
}

#define NOT_HERE 77

/* `full`: what is outside and nothing of this machine, unless it is named; this machine's own address is the outside here. */
static void case_way_out(Case *at)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *address = own_address();
	uint16_t port, other;
	if (!address || !has_default_route()) {
		printf("# no address but the loopback's, or no default route: tests/fixtures/with-route runs a program where there is one\n");
		_exit(NOT_HERE);
	}
	autofd int server = listen_on(address, &port);
	autofd int second = listen_on(address, &other);
	g_autofree char *good = g_strdup_printf("%s:%d", address, port);
	const char *const with[] = {"*", good, NULL};
	const char *const only[] = {good, NULL};
	at->spec.network = PLACE_NETWORK_FULL;
	at->spec.allow = with;
	at->spec.processes = 40;
	if (!executor_sandbox.open(&at->spec, &at->place, &error)) {
		printf("# %s\n", error->message);
		g_assert_true(strstr(error->message, "passt") || strstr(error->message, "default route") || strstr(error->message, "/dev/net/tun"));
		_exit(NOT_HERE);
	}
	guint others = at->who == AGENT_ROOT_STEPS_ROOT ? 1 : 0; /* the sentence about root */
	g_assert_cmpuint(at->place->missing->len, ==, others);
	g_autofree char *named = connect_inside(at, address, port);
	g_assert_cmpstr(named, ==, "reached");
	g_autofree char *unnamed = connect_inside(at, address, other);
	g_assert_nonnull(strstr(unnamed, "unreachable"));
	g_assert_cmpint(try_inside(at, "connect_to_the_host").exit_code, ==, ECONNREFUSED);
	g_assert_cmpint(try_inside(at, "connect_to_an_abstract_socket").exit_code, ==, ECONNREFUSED);
	g_assert_cmpint(try_inside(at, "own_server").exit_code, ==, 0);
	g_assert_cmpint(try_inside(at, "packet_sockets").exit_code, ==, EAFNOSUPPORT);
	pid_t way_out = find_way_out();
	g_assert_cmpint(way_out, >, 0);
	close_place(at);
	g_assert_cmpint(find_way_out(), ==, 0);

	at->spec.allow = NULL;
	open_place(at);
	g_autofree char *own = connect_inside(at, address, port);
	g_assert_nonnull(strstr(own, "unreachable"));
	g_autofree char *metadata = connect_inside(at, "169.254.169.254", 80);
	g_assert_nonnull(strstr(metadata, "unreachable"));
	/* A step that fails after the way out has gone is not the step's fault. */
	g_assert_cmpint(kill(find_way_out(), SIGKILL), ==, 0);
	const char *const argv[] = {"sh", "-c", "sleep 1; exit 3", NULL};
	Child child = start(at, argv, -1);
	StepEnd end;
	struct pollfd wait = {.fd = child.fd, .events = POLLIN};
	g_assert_cmpint(poll(&wait, 1, STEP_MS_MAX), ==, 1);
	g_assert_false(executor_sandbox.finish(at->place, &child, &end, &error));
	g_assert_nonnull(strstr(error->message, "way out"));
	close_place(at);

	at->spec.allow = only;
	open_place(at);
	g_autofree char *resolver = shell(at, "cat /etc/resolv.conf");
	g_assert_cmpstr(resolver, ==, "");
	g_autofree char *still = connect_inside(at, address, port);
	g_assert_cmpstr(still, ==, "reached");
	g_autofree char *rest = connect_inside(at, "192.0.2.77", 80);
	g_assert_nonnull(strstr(rest, "unreachable"));
}

/* The runner's service listens inside, and is served from here; nothing else of the network changes. */
static void case_service(Case *at)
{
	static const PlaceNetwork networks[] = {PLACE_NETWORK_NONE, PLACE_NETWORK_LOOPBACK};
	for (size_t i = 0; i < G_N_ELEMENTS(networks); i++) {
		at->spec.network = networks[i];
		at->spec.service = true;
		open_place(at);
		struct sockaddr_in address = {0};
		socklen_t len = sizeof address;
		g_assert_cmpint(getsockname(at->place->service_fd, (struct sockaddr *)&address, &len), ==, 0);
		g_assert_cmpint(address.sin_addr.s_addr, ==, htonl(INADDR_LOOPBACK));
		g_autofree char *script = g_strdup_printf("exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/%d && echo asked >&3 && echo in'",
		        ntohs(address.sin_port));
		g_autofree char *said = shell(at, script);
		g_assert_cmpstr(g_strstrip(said), ==, "in");
		autofd int peer = accept4(at->place->service_fd, NULL, NULL, SOCK_CLOEXEC);
		char text[8] = "";
		g_assert_cmpint(read(peer, text, sizeof text - 1), ==, 6);
		g_assert_cmpstr(text, ==, "asked\n");
		g_assert_cmpint(try_inside(at, "connect_to_the_host").exit_code, ==, ECONNREFUSED);
		close_place(at);
	}
	at->spec.network = PLACE_NETWORK_HOST;
	open_place(at);
	g_assert_cmpint(at->place->service_fd, ==, -1);
	close_place(at);
	at->spec.service = false;
	at->spec.network = PLACE_NETWORK_NONE;
	open_place(at);
	g_assert_cmpint(at->place->service_fd, ==, -1);
	g_assert_cmpint(try_inside(at, "own_server").exit_code, !=, 0);
}

static void case_limits(Case *at)
{
	at->spec.processes = 40;
	at->spec.file_bytes = 8 << 20;
#ifndef __SANITIZE_ADDRESS__ /* which wants more of the address space than this */
	at->spec.memory_bytes = 96 << 20;
#endif
	open_place(at);
	bool grouped = at->place->missing->len == (at->who == AGENT_ROOT_STEPS_ROOT ? 1 : 0);
	g_assert_cmpstr(at->place->isolation, ==, at->place->missing->len == 0 ? "full" : "reduced");
	g_autofree char *count = shell(at, PROBE " --attempt forks; true");
	g_assert_cmpint(g_ascii_strtoll(count, NULL, 10), <=, 40);
	g_assert_cmpint(g_ascii_strtoll(count, NULL, 10), >=, 30);
	StepEnd big = try_inside(at, "big_file");
	g_assert_cmpint(big.signal, ==, SIGXFSZ);
	if (at->spec.memory_bytes == 0)
		return;
	StepEnd memory = try_inside(at, "memory");
	if (grouped) {
		g_assert_cmpstr(memory.cause, ==, "oom");
		g_assert_cmpint(memory.signal, ==, SIGKILL);
		g_assert_cmpint(memory.memory_peak_bytes, >, 64 << 20);
	} else {
		g_assert_cmpint(memory.exit_code, ==, ENOMEM);
	}
	g_assert_cmpstr(try_inside(at, "netlink_route").cause, ==, "exit"); /* the next step is no longer blamed */
}

static void case_mounts(Case *at)
{
	g_autofree char *data = g_build_filename(at->root, "data", NULL);
	g_autofree char *file = g_build_filename(data, "rows.csv", NULL);
	g_assert_cmpint(g_mkdir(data, 0777), ==, 0);
	g_assert_cmpint(chmod(data, 0777), ==, 0);
	g_assert_true(g_file_set_contents(file, "a,b\n", -1, NULL));
	const PlaceMount mounts[] = {
		{.source = data, .target = "/data/in"},
		{.source = data, .target = "/home/runner/.cache/out", .writable = true},
		{.source = file, .target = "/data/one.csv"},
	};
	at->spec.mounts = mounts;
	at->spec.mounts_len = G_N_ELEMENTS(mounts);
	open_place(at);
	g_autofree char *seen = shell(at, "cat /data/in/rows.csv /data/one.csv; (echo x > /data/in/new) 2>/dev/null || echo no; "
	                                  "echo y > /home/runner/.cache/out/made && echo yes");
	g_assert_cmpstr(seen, ==, "a,b\na,b\nno\nyes\n");
	g_autofree char *made = g_build_filename(data, "made", NULL);
	g_assert_cmpint(access(made, F_OK), ==, 0);
	close_place(at);

	g_autoptr(GError) error = NULL;
	g_autofree char *link = g_build_filename(at->home, "link", NULL);
	g_assert_cmpint(symlink("/tmp", link), ==, 0);
	const PlaceMount through[] = {{.source = data, .target = "/home/runner/link/deep"}};
	at->spec.mounts = through;
	at->spec.mounts_len = 1;
	g_assert_false(executor_sandbox.open(&at->spec, &at->place, &error));
	g_assert_nonnull(strstr(error->message, "home/runner/link/deep"));
	g_clear_error(&error);
	const PlaceMount over[] = {{.source = data, .target = "/usr/bin"}};
	at->spec.mounts = over;
	g_assert_false(executor_sandbox.open(&at->spec, &at->place, &error));
	g_clear_error(&error);
	const PlaceMount up[] = {{.source = data, .target = "/data/../etc"}};
	at->spec.mounts = up;
	g_assert_false(executor_sandbox.open(&at->spec, &at->place, &error));
	at->spec.mounts_len = 0;
}

static void case_strange_folders(Case *at)
{
	static const char *const folders[] = {"/proc/self/fd/0", "/proc/self/cwd", "relative", "/dev/fd/0"};
	open_place(at);
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
		const char *const argv[] = {"true", NULL};
		const StepSpec spec = {.name = "case", .argv = argv, .folder = folders[i], .fds = {-1, -1, -1}};
		Child child;
		g_autoptr(GError) error = NULL;
		g_assert_false(executor_sandbox.start(at->place, &spec, &child, &error));
		g_assert_nonnull(strstr(error->message, folders[i]));
	}
}

static void case_large_environment(Case *at)
{
	open_place(at);
	g_autoptr(GPtrArray) envp = g_ptr_array_new_with_free_func(g_free);
	for (int i = 0; i < 40; i++) {
		g_autofree char *value = g_strnfill(10000, 'x');
		g_ptr_array_add(envp, g_strdup_printf("V%d=%s", i, value));
	}
	g_ptr_array_add(envp, NULL);
	const char *const argv[] = {"/bin/sh", "-c", "exit $((${#V0} + ${#V39} - 19900))", NULL};
	const StepSpec spec = {.name = "case", .argv = argv, .envp = (const char *const *)envp->pdata,
	        .folder = "/home/runner", .fds = {-1, -1, -1}};
	Child child;
	g_autoptr(GError) error = NULL;
	g_assert_true(executor_sandbox.start(at->place, &spec, &child, &error));
	g_assert_cmpint(finish(at, &child).exit_code, ==, 100);
}

static void case_leftovers(Case *at)
{
	open_place(at);
	g_assert_cmpint(try_inside(at, "many_orphans").exit_code, ==, 0);
	g_autofree char *left = shell(at, "ls -d /proc/[0-9]* | wc -l");
	g_assert_cmpint(g_ascii_strtoll(left, NULL, 10), <, 6);
	g_assert_cmpint(try_inside(at, "rabbits").exit_code, ==, 0);
	g_autofree char *path = g_build_filename(at->work, "rabbits", NULL);
	struct stat before, after;
	g_assert_cmpint(stat(path, &before), ==, 0);
	g_usleep(50000);
	g_assert_cmpint(stat(path, &after), ==, 0);
	g_assert_cmpint(before.st_size, ==, after.st_size);
}

static char *summary_of_host(void)
{
	g_autofree char *mounts = NULL;
	g_assert_true(g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL));
	int fds = 0;
	DIR *folder = opendir("/proc/self/fd");
	while (readdir(folder))
		fds++;
	closedir(folder);
	siginfo_t info;
	bool children = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
	return g_strdup_printf("%d descriptors, children: %d\n%s", fds, children, mounts);
}

static void case_nothing_left(Case *at)
{
	open_place(at); /* the first makes what all have in common */
	close_place(at);
	g_autofree char *before = summary_of_host();
	for (int i = 0; i < 20; i++) {
		open_place(at);
		g_assert_cmpint(try_inside(at, "netlink_route").exit_code, ==, 0);
		close_place(at);
	}
	g_autofree char *after = summary_of_host();
	g_assert_cmpstr(before, ==, after);
	g_autofree char *home_work = g_build_filename(at->home, "work", NULL);
	g_assert_cmpint(access(home_work, F_OK), ==, -1);
}

/* The worker is killed in the middle of a step: the step must not go on. */
static void case_worker_killed(Case *at)
{
	g_autofree char *beat = g_build_filename(at->work, "beat", NULL);
	pid_t worker = fork();
	if (worker == 0) {
		open_place(at);
		const char *const argv[] = {"/bin/sh", "-c", "setsid -f sh -c 'while :; do echo x >> beat; sleep 0.01; done'; "
		        "while :; do echo y >> beat; sleep 0.01; done", NULL};
		start(at, argv, -1);
		pause();
	}
	for (int i = 0; i < 1000 && access(beat, F_OK) != 0; i++)
		g_usleep(5000);
	g_assert_cmpint(access(beat, F_OK), ==, 0);
	kill(worker, SIGKILL);
	waitpid(worker, NULL, 0);
	g_usleep(300000);
	struct stat before, after;
	g_assert_cmpint(stat(beat, &before), ==, 0);
	g_usleep(100000);
	g_assert_cmpint(stat(beat, &after), ==, 0);
	g_assert_cmpint(before.st_size, ==, after.st_size);
}

/* ---- what places share ---- */

#define PLACES 12 /* more than are made beforehand */

/* Each has a network to itself, whether it was made beforehand or not, and whether it was used before. */
static void case_networks_are_ones_own(Case *at)
{
	Case each[PLACES];
	g_assert_cmpint(executor_sandbox.prepare(), >=, 0);
	for (int round = 0; round < 4; round++) {
		g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
		for (int i = 0; i < PLACES; i++) {
			each[i] = *at;
			each[i].spec.network = i % 2 ? PLACE_NETWORK_LOOPBACK : PLACE_NETWORK_NONE;
			each[i].spec.service = i % 4 == 0;
			open_place(&each[i]);
			g_assert_true(g_hash_table_add(seen, shell(&each[i], "readlink /proc/self/ns/net")));
			int expected = i % 2 || i % 4 == 0 ? 0 : ENETUNREACH;
			if (i % 8 == 0) /* one that nobody connects in can be used again as it is */
				continue;
			int got = try_inside(&each[i], "own_server").exit_code;
			g_assert_true(got == expected || (expected && got == EADDRNOTAVAIL));
		}
		for (int i = 0; i < PLACES; i++)
			close_place(&each[i]);
	}
}

/* The keeper of the pool, a child of ours; 0 when it is gone. */
static pid_t child_of(pid_t parent)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/children", (int)parent, (int)parent);
	g_autofree char *text = NULL;
	return g_file_get_contents(path, &text, NULL, NULL) ? (pid_t)g_ascii_strtoll(text, NULL, 10) : 0;
}

static bool is_alive(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	const char *state = g_file_get_contents(path, &text, NULL, NULL) ? strrchr(text, ')') : NULL;
	return state && state[2] != 'Z' && state[2] != 'X';
}

static void wait_for_end_of(pid_t pid)
{
	for (int i = 0; i < 4000 && is_alive(pid); i++)
		g_usleep(5000);
	g_assert_false(is_alive(pid));
}

/* A process that waits is killed: its keeper ends with it, what its clones run goes on, and ends with them. */
static void case_zygote_killed(Case *at)
{
	g_autofree char *beat = g_build_filename(at->work, "beat", NULL);
	int ends[2];
	g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
	pid_t zygote = fork();
	if (zygote == 0) {
		g_assert_cmpint(executor_sandbox.prepare(), >=, 0);
		pid_t worker = fork();
		if (worker == 0) {
			at->spec.network = PLACE_NETWORK_LOOPBACK;
			open_place(at);
			const char *const argv[] = {"/bin/sh", "-c", "while :; do echo y >> beat; sleep 0.01; done", NULL};
			start(at, argv, -1);
			pause();
		}
		g_assert_cmpint(write(ends[1], &worker, sizeof worker), ==, sizeof worker);
		pause();
	}
	pid_t worker;
	g_assert_cmpint(read(ends[0], &worker, sizeof worker), ==, sizeof worker);
	for (int i = 0; i < 4000 && access(beat, F_OK) != 0; i++)
		g_usleep(5000);
	pid_t keeper = child_of(zygote);
	g_assert_cmpint(keeper, >, 0);
	g_assert_cmpint(keeper, !=, worker);
	kill(zygote, SIGKILL);
	waitpid(zygote, NULL, 0);
	wait_for_end_of(keeper);
	struct stat before, after;
	g_assert_cmpint(stat(beat, &before), ==, 0);
	for (int i = 0; i < 4000 && (stat(beat, &after) < 0 || after.st_size == before.st_size); i++)
		g_usleep(5000);
	g_assert_cmpint(before.st_size, <, after.st_size);
	pid_t init = child_of(worker);
	g_assert_cmpint(init, >, 0);
	kill(worker, SIGKILL);
	wait_for_end_of(worker);
	wait_for_end_of(init);
	close(ends[0]);
	close(ends[1]);
}

static char *zone_inside(Case *at)
{
	open_place(at);
	char *zone = shell(at, "cat /etc/timezone");
	close_place(at);
	return zone;
}

/* What a place shows of /etc is the host's of today; so is what is mounted below its programs. */
static void case_template_is_renewed(Case *at)
{
	g_autofree char *zone = g_build_filename(at->root, "zone", NULL);
	if (at->who == AGENT_ORDINARY || access("/etc/timezone", F_OK) != 0 || access("/opt", F_OK) != 0)
		return;
	g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
	g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
	g_assert_true(g_file_set_contents(zone, "Here\n", -1, NULL));
	g_assert_cmpint(mount(zone, "/etc/timezone", NULL, MS_BIND, NULL), ==, 0);
	int watch = executor_sandbox.prepare();
	g_assert_cmpint(watch, >=, 0);
	at->spec.hostname = "assay"; /* the first that is made ready */
	g_autofree char *first = zone_inside(at);
	g_assert_cmpstr(first, ==, "Here\n");
	int fd = open(zone, O_WRONLY | O_TRUNC | O_CLOEXEC); /* in its place, as an editor might */
	g_assert_cmpint(write(fd, "Elsewhere\n", 10), ==, 10);
	close(fd);
	g_autofree char *second = zone_inside(at);
	g_assert_cmpstr(second, ==, "Elsewhere\n");

	for (int64_t until = g_get_monotonic_time() + G_USEC_PER_SEC; g_get_monotonic_time() < until;)
		g_usleep(10000); /* its own pause between two renewals is not to be waited for below */
	g_assert_cmpint(mount("tmpfs", "/opt", "tmpfs", 0, NULL), ==, 0);
	g_assert_true(g_file_set_contents("/opt/assay-test", "x", -1, NULL));
	struct pollfd wait = {.fd = watch, .events = POLLIN};
	bool seen = false;
	for (int i = 0; i < 20 && !seen; i++) {
		if (poll(&wait, 1, 2000) > 0)
			g_assert_cmpint(executor_sandbox.prepare(), ==, watch);
		open_place(at);
		g_autofree char *inside = shell(at, "cat /opt/assay-test 2>/dev/null; true");
		seen = strcmp(inside, "x") == 0;
		close_place(at);
	}
	g_assert_true(seen);
}

/* A clone that needs what is not ready makes it itself, and the one that waits hears of it. */
static void case_wishes_are_heard(Case *at)
{
	at->spec.hostname = "unheard-of";
	int watch = executor_sandbox.prepare();
	struct pollfd wait = {.fd = watch, .events = POLLIN};
	while (poll(&wait, 1, 200) > 0)
		executor_sandbox.prepare();
	pid_t pid = fork();
	if (pid == 0) {
		open_place(at);
		close_place(at);
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_cmpint(status, ==, 0);
	g_assert_cmpint(poll(&wait, 1, 10000), ==, 1);
	executor_sandbox.prepare();
	bool quiet = false; /* others may mount on this host meanwhile, which is news too */
	for (int i = 0; i < 20 && !quiet; i++) {
		pid = fork();
		if (pid == 0) {
			open_place(at);
			g_autofree char *name = shell(at, "cat /etc/hostname");
			close_place(at);
			_exit(strcmp(name, "unheard-of\n") != 0);
		}
		g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
		g_assert_cmpint(status, ==, 0);
		quiet = poll(&wait, 1, 100) == 0;
		if (!quiet)
			executor_sandbox.prepare();
	}
	g_assert_true(quiet);
}

/* ---- a root that is an image ---- */

static void sh(const char *folder, const char *script)
{
	const char *const argv[] = {"/bin/sh", "-e", "-c", script, "sh", folder, NULL};
	g_autoptr(GBytes) output = NULL;
	g_autoptr(GError) error = NULL;
	SpawnEnd end;
	g_assert_true(spawn_collect(argv, 1 << 20, &output, &end, &error));
	g_assert_no_error(error);
	g_assert_cmpint(end.exit_code, ==, 0);
}

static void open_image(Case *at, bool on_disk, char **out_scratch)
{
	static PlaceRoot root; /* borrowed until the place is open */
	g_autofree char *layers = g_build_filename(at->root, "layers", NULL);
	g_autofree char *scratch = g_build_filename(at->root, "scratch", NULL);
	root = (PlaceRoot){.layers_folder = layers, .lower = "above:below", .scratch = on_disk ? scratch : NULL,
	        .work_inside = "/home/runner/work", .home_inside = "/github/home", .runner_inside = "/__r", .shm_bytes = 1 << 20};
	at->spec.root = &root;
	open_place(at);
	at->spec.root = NULL;
	*out_scratch = g_steal_pointer(&scratch);
}

static void case_image(Case *at)
{
	sh(at->root, "cd \"$1\"; mkdir -p layers/below/data layers/below/etc layers/above/data; "
	             "for f in /bin/sh /bin/cat /bin/ls /bin/id /bin/readlink $(ldd /bin/sh /bin/ls /bin/id | grep -o '/[^ :]*' | "
	             "grep -v : | sort -u); do [ -d \"$f\" ] || { mkdir -p layers/below$(dirname $f); cp -L $f layers/below$f; }; "
	             "done; echo below > layers/below/data/a; echo below > layers/below/data/b; echo above > layers/above/data/a; "
	             "echo theirs > layers/below/etc/hostname; mkdir -p scratch/upper scratch/work");
	for (int on_disk = 0; on_disk < 2; on_disk++) {
		g_autofree char *scratch = NULL;
		open_image(at, on_disk, &scratch);
		g_autofree char *seen = shell(at, "cat /data/a /data/b /etc/hostname; id -u; cd /github/home; echo x > mine; "
		                                  "[ -e /usr/share ] || echo none; ls /dev; echo y > /__r/no 2>/dev/null || echo no; "
		                                  "echo new > /tmp/file; echo z > /dev/shm/z; [ -r /proc/keys ] && echo $(cat /proc/keys);"
		                                  "readlink /proc/self/cwd");
		const char *runner = at->who == AGENT_ORDINARY ? "" : "no\n"; /* an ordinary user's own folder is the job's too */
		g_autofree char *expected = g_strdup_printf("above\nbelow\ntesthost\n0\nnone\nfd\nfull\nnull\nptmx\npts\nrandom\n"
		                                            "shm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n%s\n/github/home\n",
		        runner);
		if (at->who == AGENT_ORDINARY || at->who == AGENT_ROOT_STEPS_ROOT) /* writable there, by the same id */
			g_assert_nonnull(strstr(seen, "above\nbelow\ntesthost\n0\nnone\nfd\n"));
		else
			g_assert_cmpstr(seen, ==, expected);
		const char *const argv[] = {"/bin/sh", "-c", "echo changed > /data/b && [ \"$(cat /data/b)\" = changed ]", NULL};
		Child child = start(at, argv, -1);
		int changed = finish(at, &child).exit_code;
		g_assert_true(changed == 0 || at->who == AGENT_ROOT); /* its layers belong to root here */
		g_autofree char *path = g_build_filename(at->root, "layers/below/data/b", NULL);
		g_autofree char *kept = NULL;
		g_assert_true(g_file_get_contents(path, &kept, NULL, NULL));
		g_assert_cmpstr(kept, ==, "below\n");
		close_place(at);
	}
	if (access("/dev/net/tun", F_OK) == 0) {
		g_autofree char *scratch = NULL;
		at->spec.devices = (const char *const[]){"/dev/net/tun", NULL};
		open_image(at, false, &scratch);
		g_autofree char *seen = shell(at, "ls /dev/net");
		g_assert_cmpstr(seen, ==, "tun\n");
		close_place(at);
		at->spec.devices = NULL;
	}
	/* An image whose folder is a link would have us write elsewhere: it is refused. */
	sh(at->root, "cd \"$1\"; rm -rf layers/below/etc; ln -s /tmp layers/below/etc");
	g_autofree char *layers = g_build_filename(at->root, "layers", NULL);
	const PlaceRoot root = {.layers_folder = layers, .lower = "above:below", .work_inside = "/home/runner/work",
	        .home_inside = "/github/home", .runner_inside = "/__r", .shm_bytes = 1 << 20};
	g_autoptr(GError) error = NULL;
	at->spec.root = &root;
	g_assert_false(executor_sandbox.open(&at->spec, &at->place, &error));
	g_assert_nonnull(strstr(error->message, "etc/hostname"));
	at->spec.root = NULL;
}

/* A folder of this machine that somebody left open: the way through it ends at the place's root, by Landlock. */
static void case_left_open(Case *at)
{
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1U) < 2) { /* 1: tell the ABI */
		g_test_message("this kernel has no Landlock that could refuse it");
		return;
	}
	int folder = open(at->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g_autofree char *ours = g_strdup_printf("/proc/self/fd/%d/canary", folder);
	g_autofree char *kept = NULL;
	g_assert_true(g_file_get_contents(ours, &kept, NULL, NULL)); /* as the place could, were it not refused */
	open_place(at);
	const char *const attempts_at_it[] = {
	        "cat /proc/self/fd/0/canary", "ls /proc/self/fd/0/", "cd -P /proc/self/fd/0 && cat canary", "echo > /proc/self/fd/0/work/made", NULL};
	for (const char *const *one = attempts_at_it; *one; one++) {
		const char *const argv[] = {"sh", "-c", *one, NULL};
		const StepSpec spec = {.name = "case", .argv = argv, .envp = (const char *const[]){"PATH=/usr/bin:/bin", NULL},
		        .folder = "/home/runner/work", .fds = {folder, -1, -1}};
		Child child = {.fd = -1};
		g_assert_true(executor_sandbox.start(at->place, &spec, &child, NULL));
		StepEnd end = finish(at, &child);
		if (end.exit_code == 0)
			g_error("'%s' works", *one);
	}
	const char *const argv[] = {"sh", "-c", "mkdir a b && : > a/f && mv a/f b/f && ln b/f f && ls /usr > /tmp/l && cat /tmp/l > f", NULL};
	Child child = start(at, argv, -1);
	g_assert_cmpint(finish(at, &child).exit_code, ==, 0); /* what lies beneath the root is as it was */
	close(folder);
}

static void case_devices(Case *at)
{
	static const char *const tun[] = {"/dev/net/tun", NULL};
	static const char *const refused[] = {"/dev/../etc/passwd", "/tmp/device", "/dev/null", "/dev/pts/0", "/dev/", "/dev/shm/x", "/dev/not-there",
	        "/dev/fd/0", NULL};
	if (access(tun[0], F_OK) < 0) {
		printf("# NOT HERE: /dev/net/tun, as a device that is not every job's\n");
		_exit(NOT_HERE);
	}
	open_place(at);
	g_autofree char *before = shell(at, "ls -d /dev/net 2>/dev/null; true");
	g_assert_cmpstr(before, ==, "");
	close_place(at);
	at->spec.devices = tun;
	open_place(at);
	g_autofree char *after = shell(at, "ls /dev/net && [ -c /dev/net/tun ] && { exec 3<>/dev/net/tun; } && echo opened; rm /dev/net/tun 2>/dev/null || echo kept");
	g_assert_cmpstr(after, ==, "tun\nopened\nkept\n");
	close_place(at);
	for (const char *const *one = refused; *one; one++) {
		const char *const devices[] = {*one, NULL};
		g_autoptr(GError) error = NULL;
		at->spec.devices = devices;
		g_assert_false(executor_sandbox.open(&at->spec, &at->place, &error));
		g_assert_nonnull(strstr(error->message, *one));
	}
	at->spec.devices = NULL;
	open_place(at);
	g_autofree char *again = shell(at, "ls -d /dev/net 2>/dev/null; true");
	g_assert_cmpstr(again, ==, "");
}

/* ---- running them ---- */

static void become_user(void)
{
	g_assert_cmpint(setgroups(0, NULL), ==, 0);
	g_assert_cmpint(setresgid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID), ==, 0);
	g_assert_cmpint(setresuid(ORDINARY_UID, ORDINARY_UID, ORDINARY_UID), ==, 0);
}

static void copy_self(const char *to)
{
	g_autofree char *bytes = NULL;
	gsize len;
	g_assert_true(g_file_get_contents("/proc/self/exe", &bytes, &len, NULL));
	g_assert_true(g_file_set_contents(to, bytes, (gssize)len, NULL));
	g_assert_cmpint(chmod(to, 0755), ==, 0);
}

static void listen_outside(Case *at)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof address;
	at->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(at->server, (struct sockaddr *)&address, len), ==, 0);
	g_assert_cmpint(listen(at->server, 16), ==, 0);
	g_assert_cmpint(getsockname(at->server, (struct sockaddr *)&address, &len), ==, 0);
	at->port = g_strdup_printf("%d", ntohs(address.sin_port));
	at->abstract = g_strdup_printf("assay-test-%d", (int)getpid());
	struct sockaddr_un unix_address = {.sun_family = AF_UNIX};
	g_strlcpy(unix_address.sun_path + 1, at->abstract, sizeof unix_address.sun_path - 1);
	at->abstract_server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at->abstract));
	g_assert_cmpint(bind(at->abstract_server, (struct sockaddr *)&unix_address, len), ==, 0);
	g_assert_cmpint(listen(at->abstract_server, 16), ==, 0);
}

static void prepare(Case *at)
{
	at->root = g_dir_make_tmp("assay-sandbox-XXXXXX", NULL);
	at->work = g_build_filename(at->root, "work", NULL);
	at->home = g_build_filename(at->root, "home", NULL);
	at->canary = g_build_filename(at->root, "canary", NULL);
	g_autofree char *probe = g_build_filename(at->work, "probe", NULL);
	g_assert_cmpint(g_mkdir(at->work, 0755) | g_mkdir(at->home, 0755), ==, 0);
	g_assert_true(g_file_set_contents(at->canary, "secret", -1, NULL));
	copy_self(probe);
	at->spec = (PlaceSpec){.work_folder = at->work, .home_folder = at->home, .hostname = "testhost"};
	uid_t owner = at->who == AGENT_ROOT_STEPS_ROOT ? geteuid() : ORDINARY_UID;
	if (geteuid() == 0) {
		at->spec.uid = at->spec.gid = owner;
		const char *const owned[] = {at->root, at->work, at->home, at->canary, probe};
		for (size_t i = 0; i < G_N_ELEMENTS(owned); i++)
			g_assert_cmpint(chown(owned[i], owner, owner), ==, 0);
	}
	listen_outside(at);
}

static void release(Case *at)
{
	close(at->server);
	close(at->abstract_server);
	fd_remove_tree(at->root, NULL);
	g_free(at->root);
	g_free(at->work);
	g_free(at->home);
	g_free(at->canary);
	g_free(at->port);
	g_free(at->abstract);
}

static void lend_tun(void)
{
	g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
	g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
	if (mount("tun", "/dev/net", "tmpfs", 0, NULL) == 0 && mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200)) == 0)
		g_assert_cmpint(chmod("/dev/net/tun", 0666), ==, 0);
}

/* Every case in a process of its own: it may change its user, and a failure leaves nothing in the next. */
static void run_case(gconstpointer data)
{
	Case at = *(const Case *)data;
	prepare(&at);
	pid_t pid = fork();
	if (pid == 0) {
		if (at.who == AGENT_ORDINARY && geteuid() == 0) {
			if (at.needs_tun)
				lend_tun();
			become_user();
		}
		at.run(&at);
		executor_sandbox.close(at.place);
		executor_sandbox.retire();
		_exit(0);
	}
	int status;
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	release(&at);
	bool not_here = WIFEXITED(status) && WEXITSTATUS(status) == NOT_HERE;
	if (not_here && geteuid() == 0)
		g_test_fail_printf("this machine lacks what the line above says, and root can have it");
	else if (not_here)
		g_test_skip("this machine lacks what the line above says");
	else if (status != 0)
		g_test_fail_printf("the case's process ended with status 0x%x", (unsigned)status);
}

/* The attempts outside, as root, each in a process of its own: those that a refusal is worth something for. */
static void test_controls(void)
{
	Case at = {.who = AGENT_ROOT_STEPS_ROOT};
	if (geteuid() != 0) {
		g_test_skip("needs root");
		return;
	}
	prepare(&at);
	g_autofree char *agent = g_strdup_printf("%d", (int)getpid());
	for (size_t i = 0; i < G_N_ELEMENTS(attempts); i++) {
		if (attempts[i].control != OUTSIDE_WORKS)
			continue;
		pid_t pid = fork();
		if (pid == 0) {
			g_setenv("CANARY", at.canary, true);
			g_setenv("PORT", at.port, true);
			g_setenv("ABSTRACT", at.abstract, true);
			g_setenv("AGENT", agent, true);
			_exit(chdir(at.root) < 0 ? 255 : attempts[i].run());
		}
		int status;
		g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
		if (status != 0)
			g_error("outside, %s does not work: %s", attempts[i].name, g_strerror(WEXITSTATUS(status)));
	}
	release(&at);
}

static Case cases[] = {
	{.name = "refuses_what_a_job_must_not_do", .run = case_refused},
	{.name = "shows_only_what_a_job_needs", .run = case_view},
	{.name = "setuid_has_no_effect", .run = case_setuid},
	{.name = "gives_the_network_that_was_asked_for", .run = case_network},
	{.name = "leads_out_and_to_nothing_of_this_machine", .run = case_way_out, .needs_tun = true},
	{.name = "lets_the_runner_listen_inside", .run = case_service},
	{.name = "keeps_limits", .run = case_limits},
	{.name = "mounts_what_was_asked_for_and_follows_no_link", .run = case_mounts},
	{.name = "has_the_devices_that_were_asked_for", .run = case_devices, .needs_tun = true},
	{.name = "refuses_folders_behind_descriptors", .run = case_strange_folders},
	{.name = "opens_nothing_through_a_folder_left_open", .run = case_left_open},
	{.name = "takes_a_large_environment", .run = case_large_environment},
	{.name = "kills_every_leftover", .run = case_leftovers},
	{.name = "leaves_nothing_behind", .run = case_nothing_left},
	{.name = "ends_with_its_worker", .run = case_worker_killed},
	{.name = "has_its_network_to_itself", .run = case_networks_are_ones_own},
	{.name = "outlives_who_made_things_ready", .run = case_zygote_killed},
	{.name = "shows_the_host_as_it_is_now", .run = case_template_is_renewed},
	{.name = "runs_in_an_image", .run = case_image},
	{.name = "gets_ready_what_clones_had_to_make", .run = case_wishes_are_heard},
};

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--attempt") == 0)
		return attempt(argv[2]);
	g_test_init(&argc, &argv, NULL);
	g_autoptr(GError) error = NULL;
	if (!executor_sandbox.probe(&error)) {
		printf("1..0 # SKIP this host can make no sandbox: %s\n", error->message);
		return 0;
	}
	g_test_add_func("/sandbox/controls_work_outside", test_controls);
	static Case each[G_N_ELEMENTS(cases) * G_N_ELEMENTS(who_names)];
	size_t count = 0;
	for (Who who = 0; who < G_N_ELEMENTS(who_names); who++)
		for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
			if (who != AGENT_ORDINARY && geteuid() != 0)
				continue;
			each[count] = cases[i];
			each[count].who = who;
			g_autofree char *path = g_strdup_printf("/sandbox/%s/%s", who_names[who], cases[i].name);
			g_test_add_data_func(path, &each[count++], run_case);
		}
	return g_test_run();
}
