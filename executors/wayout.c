/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who lives where: the network belongs to a user namespace of pasta's own (init_wayout.c); pasta stays in the host's
 * network, from which it speaks; the job is in the network, in a user namespace that has no power over it. What a job may
 * not reach is unreachable by rules of the routing in its own network, which it cannot change: no packet filter is needed,
 * and none of the host's is touched. Nothing on the host listens for a job.
 *
 * pasta is given what every version of it takes, from Debian 12's on: its input is the network, its output the file for
 * its process number, which it writes when it is ready. Addresses and routes are ours to set, so that it needs no more.
 */
#include "executors/wayout.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "executors/mounts.h"
#include "executors/routes.h"

#define PROGRAM "pasta"
#define PATH_FALLBACK "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TUN "/dev/net/tun"
#define LINK "net0"
#define LINK_MTU 65520 /* the most that pasta takes at once */
#define GATEWAY_MAC {0x02, 0x61, 0x73, 0x73, 0x61, 0x79}
#define GATEWAY_MAC_TEXT "02:61:73:73:61:79"
#define OWN_MAC {0x02, 0x61, 0x73, 0x73, 0x61, 0x7a} /* told, since pasta would learn it by being asked for neighbours */
#define OWN_MAC_TEXT "02:61:73:73:61:7a"
#define NOBODY 65534
#define READY_US (60 * INT64_C(1000000)) /* it takes 20 ms; a machine may be very busy */
#define WORDS_BYTES_MAX 1024
#define FIRST_RULE 100 /* behind the kernel's own, which is about the network's own addresses */

void wayout_init(WayOut *wayout)
{
	*wayout = (WayOut){.network_fd = -1, .routes_fd = -1, .ready_fd = -1, .errors_fd = -1};
	supervisor_init(&wayout->program);
}

static char *find_program(void)
{
	const char *path = g_getenv("PATH");
	g_auto(GStrv) folders = g_strsplit(path && *path ? path : PATH_FALLBACK, ":", 0);
	for (char **folder = folders; *folder; folder++) {
		g_autofree char *full = g_build_filename(*folder, PROGRAM, NULL);
		if ((*folder)[0] == '/' && access(full, X_OK) == 0)
			return g_steal_pointer(&full);
	}
	return NULL;
}

/* As root we can make a device of our own, which the program's user may open; otherwise it is as the host has it. */
static bool check_tun(bool *out_make, GError **error)
{
	struct stat info;
	bool there = stat(TUN, &info) == 0 && S_ISCHR(info.st_mode);
	bool open_to_all = there && (info.st_mode & 06) == 06;
	*out_make = geteuid() == 0 && !open_to_all;
	if (geteuid() == 0 ? open_to_all || access("/dev/net", F_OK) == 0 : access(TUN, R_OK | W_OK) == 0)
		return true;
	return there ? fail(error, ASSAY_ERROR_SYSTEM, "network: this user may not open " TUN ", by which a job's packets leave it; "
	                                               "give it the mode 0666, which is udev's default")
	             : fail(error, ASSAY_ERROR_SYSTEM, "network: this machine has no " TUN ", by which a job's packets leave it; load the "
	                                               "kernel's module tun ('modprobe tun')");
}

static GPtrArray *arguments_of(const char *program, const Outside *outside)
{
	static const char *const always[] = {"--foreground", "--quiet", "--netns-only", "--netns", "/proc/self/fd/0",
		"--no-netns-quit", "--pid", "/proc/self/fd/1", "--ns-ifname", LINK, "--mac-addr", GATEWAY_MAC_TEXT, "--ns-mac-addr", OWN_MAC_TEXT, "--no-map-gw",
		"--no-dhcp", "--no-dhcpv6", "--no-ra", "--tcp-ports", "none", "--udp-ports", "none", "--tcp-ns", "none", "--udp-ns",
		"none", NULL};
	static const char *const ipv4[] = {"--address", OUTSIDE_ADDRESS, "--netmask", "29", "--gateway", OUTSIDE_GATEWAY,
		"--dns-forward", OUTSIDE_RESOLVER, NULL};
	static const char *const ipv6[] = {"--address", OUTSIDE_ADDRESS6, "--gateway", OUTSIDE_GATEWAY6, "--dns-forward",
		OUTSIDE_RESOLVER6, NULL};
	static const char *const only4[] = {"--ipv4-only", NULL};
	static const char *const only6[] = {"--ipv6-only", NULL};
	const char *const *const parts[] = {always, outside->has_ipv4 ? ipv4 : only6, outside->has_ipv6 ? ipv6 : only4};
	GPtrArray *arguments = g_ptr_array_new();
	g_ptr_array_add(arguments, (void *)(uintptr_t)program);
	g_ptr_array_add(arguments, (void *)(uintptr_t)PROGRAM);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		for (const char *const *one = parts[i]; *one; one++)
			g_ptr_array_add(arguments, (void *)(uintptr_t)*one);
	return arguments;
}

/* In the newborn, before it is anything. */
static bool join_group(void *data, int control_fd)
{
	(void)control_fd;
	return cgroup_join(data);
}

static GByteArray *packet_of(const char *program, const Outside *outside, bool make_tun, bool enter)
{
	g_autoptr(GPtrArray) arguments = arguments_of(program, outside);
	InitWayOut setup = {.kind = INIT_WAYOUT,
	        .worker = (uint32_t)getpid(),
	        .make_tun = make_tun,
	        .become = !enter,
	        .outer_uid = enter ? MOUNTS_UID : NOBODY,
	        .outer_gid = enter ? MOUNTS_UID : NOBODY,
	        .enter = enter,
	        .strings = arguments->len};
	GByteArray *packet = g_byte_array_sized_new(1024);
	g_byte_array_append(packet, (const guint8 *)&setup, sizeof setup);
	for (guint i = 0; i < arguments->len; i++)
		g_byte_array_append(packet, arguments->pdata[i], (guint)strlen(arguments->pdata[i]) + 1);
	setup.strings_bytes = packet->len - (guint)sizeof setup;
	memcpy(packet->data, &setup, sizeof setup);
	return packet;
}

/* The network and rtnetlink in it, which are sent behind the answer. */
static bool receive_network(WayOut *wayout, GError **error)
{
	struct pollfd wait = {.fd = wayout->program.control_fd, .events = POLLIN};
	int fds[2] = {-1, -1};
	while (poll(&wait, 1, -1) < 0 && errno == EINTR)
		;
	supervisor_receive_fds(&wayout->program, fds, 2);
	wayout->network_fd = fds[0];
	wayout->routes_fd = fds[1];
	return (fds[0] >= 0 && fds[1] >= 0) ||
	       fail(error, ASSAY_ERROR_SYSTEM, "network: whoever makes it has ended unexpectedly; see the kernel's log");
}

static bool launch(WayOut *wayout, const char *program, bool make_tun, int user_fd, const Cgroup *group, GError **error)
{
	int ready[2], errors[2];
	if (pipe2(ready, O_CLOEXEC) < 0)
		return fail_errno(error, errno, "network: cannot make a pipe");
	wayout->ready_fd = ready[0];
	autofd int ready_end = ready[1];
	if (user_fd < 0 && fchown(ready_end, NOBODY, NOBODY) < 0) /* it is opened anew, by its name in /proc */
		return fail_errno(error, errno, "network: cannot give a pipe to nobody");
	if (pipe2(errors, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_errno(error, errno, "network: cannot make a pipe");
	wayout->errors_fd = errors[0];
	autofd int errors_end = errors[1];
	Failure failure = {0};
	const Birth birth = {.prepare = join_group, .data = (void *)(uintptr_t)group, .failure = &failure};
	if (!supervisor_launch(&wayout->program, &birth))
		return fail_errno(error, failure.why, "network: %s", failure.what ? failure.what : "cannot enter its control group");
	g_autoptr(GByteArray) packet = packet_of(program, &wayout->outside, make_tun, user_fd >= 0);
	const int fds[] = {ready_end, errors_end, user_fd};
	if (!supervisor_keep(&wayout->program, packet->data, packet->len, fds, user_fd >= 0 ? 3 : 2, error)) {
		g_prefix_error(error, "network: ");
		return false;
	}
	return receive_network(wayout, error);
}

bool wayout_open(WayOut *wayout, const char *const *allow, int user_fd, const Cgroup *group, GError **error)
{
	bool make_tun;
	g_autofree char *program = find_program();
	if (!program)
		return fail(error, ASSAY_ERROR_SYSTEM, "network: '" PROGRAM "' is not installed, which is the way out of a job's own network; "
		        "install the package passt, or let jobs with the network full have this machine's own (sandbox.full_network: host)");
	/* The loopback now, for what listens there before the job runs. */
	return check_tun(&make_tun, error) && outside_look(allow, &wayout->outside, error) &&
	       launch(wayout, program, make_tun, user_fd, group, error) &&
	       routes_up(wayout->routes_fd, ROUTES_LOOPBACK, 0, NULL, error);
}

/* What the program has said, on one line. The caller's. */
static char *last_words(const WayOut *wayout)
{
	char text[WORDS_BYTES_MAX];
	ssize_t len = read(wayout->errors_fd, text, sizeof text - 1);
	text[MAX(len, 0)] = '\0';
	g_strdelimit(g_strchomp(text), "\n", ' ');
	return g_utf8_make_valid(text[0] ? text : "it said nothing", -1);
}

static bool wait_ready(WayOut *wayout, GError **error)
{
	struct pollfd wait = {.fd = wayout->ready_fd, .events = POLLIN};
	int64_t until_us = monotonic_us() + READY_US;
	char text[32];
	int got;
	do
		got = poll(&wait, 1, (int)MAX((until_us - monotonic_us()) / 1000, 0));
	while (got < 0 && errno == EINTR);
	if (got > 0 && read(wayout->ready_fd, text, sizeof text) > 0)
		return true;
	g_autofree char *words = last_words(wayout);
	return got == 0 ? fail(error, ASSAY_ERROR_SYSTEM, "network: " PROGRAM " is not ready after a minute: %s", words)
	                : fail(error, ASSAY_ERROR_SYSTEM, "network: " PROGRAM " could not become the way out of the job's network: %s", words);
}

static bool lead_out(int fd, unsigned link, int family, GError **error)
{
	static const uint8_t mac[6] = GATEWAY_MAC;
	bool is_ipv6 = family == AF_INET6;
	uint8_t own[16], gateway[16], resolver[16];
	inet_pton(family, is_ipv6 ? OUTSIDE_ADDRESS6 : OUTSIDE_ADDRESS, own);
	inet_pton(family, is_ipv6 ? OUTSIDE_GATEWAY6 : OUTSIDE_GATEWAY, gateway);
	inet_pton(family, is_ipv6 ? OUTSIDE_RESOLVER6 : OUTSIDE_RESOLVER, resolver);
	return routes_address(fd, link, family, own, is_ipv6 ? OUTSIDE_PREFIX6 : OUTSIDE_PREFIX, error) &&
	       routes_neighbour(fd, link, family, gateway, mac, error) &&
	       routes_neighbour(fd, link, family, resolver, mac, error) && routes_ask_nobody(fd, link, family, error) &&
	       routes_default(fd, link, family, gateway, error);
}

bool wayout_finish(WayOut *wayout, GError **error)
{
	static const uint8_t mac[6] = OWN_MAC;
	const Outside *outside = &wayout->outside;
	if (wayout->network_fd < 0)
		return true;
	unsigned link = wait_ready(wayout, error) ? routes_find(wayout->routes_fd, LINK, error) : 0;
	if (link == 0 || !routes_up(wayout->routes_fd, link, LINK_MTU, mac, error) ||
	        (outside->has_ipv4 && !lead_out(wayout->routes_fd, link, AF_INET, error)) ||
	        (outside->has_ipv6 && !lead_out(wayout->routes_fd, link, AF_INET6, error)))
		return false;
	for (guint i = 0; i < outside->rules->len; i++)
		if (!routes_rule(wayout->routes_fd, &g_array_index(outside->rules, RoutesRule, i), FIRST_RULE + i, error))
			return false;
	close(fd_steal(&wayout->routes_fd));
	close(fd_steal(&wayout->ready_fd));
	return true;
}

bool wayout_holds(const WayOut *wayout)
{
	struct pollfd wait = {.fd = wayout->program.pidfd, .events = POLLIN};
	return wayout->program.pidfd < 0 || poll(&wait, 1, 0) == 0;
}

void wayout_close(WayOut *wayout)
{
	supervisor_kill(&wayout->program);
	autofd_close(&wayout->network_fd);
	autofd_close(&wayout->routes_fd);
	autofd_close(&wayout->ready_fd);
	autofd_close(&wayout->errors_fd);
	outside_clear(&wayout->outside);
	wayout_init(wayout);
}
