/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The default executor: a job's own root, processes, network and users by the kernel's namespaces, with no engine
 * and no setuid helper. One child is born into the namespaces, copies the template of a root (template.c), adds what is
 * the place's own (mounts.c) and becomes init (init.c), which confines itself and then starts step after step; each
 * further step costs little more than a plain process.
 *
 * It is never weaker than what was asked: a piece that the kernel refuses is an error that names it. "reduced" is
 * said for the host's network or the root user that were asked for, and for limits that this host cannot hold.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "executors/cgroup.h"
#include "executors/cgroup_memory.h"
#include "executors/filter.h"
#include "executors/filter_image.h"
#include "executors/ids.h"
#include "executors/init.h"
#include "executors/mounts.h"
#include "executors/place.h"
#include "executors/ready.h"
#include "executors/root.h"
#include "executors/supervisor.h"
#include "executors/wayout.h"

#define LANDLOCK_ABI_FILES 2 /* before, no file may be moved between two folders */
#define LANDLOCK_ABI_SCOPE 6
#define RATHER_THE_GROUP 64 /* processes more than the group allows */
#define SERVICE_BACKLOG 128

extern const Executor executor_sandbox;

typedef struct SandboxPlace {
	Place place;
	Supervisor init;
	Cgroup group;
	CgroupCounts counted;
	Mounts mounts;
	int network_fd;         /* one that was made beforehand; -1: none */
	int shared_fd;          /* its network, for places that join it; -1: nobody may */
	int mounts_fd;          /* so that they do not end, which takes time, while the end of the job is waited for */
	bool network_is_ours;   /* it goes back to where it came from at the end */
	WayOut wayout;
} SandboxPlace;

/* What it hands to the worker. */
typedef enum Handed { HANDED_MOUNTS, HANDED_RUNNER, HANDED_SERVICE, HANDED_NETWORK, HANDED_MAX } Handed;

/* What the newborn child needs, in the memory that it shares with us until it becomes init. */
typedef struct Layout {
	SandboxPlace *sandbox;
	const Template *template;
	const char *hostname;
	int user_fd; /* of an ordinary user, who needs a user namespace for all others; -1 as root */
	bool own_network;
	bool loopback;
	int joined_fd;  /* a network that is there: another place's, or one with a way out; -1: none */
	bool low_ports; /* whoever is in it may listen below 1024 */
	bool way_out;   /* it is one with a way out, and nobody has been in it */
	bool service; /* the runner listens on its loopback */
	const char *runner_inside;
	bool shares_network; /* others will join it */
	bool maps_ids; /* init maps more than its own id, and is not root */
	Failure failure;
} Layout;

static bool failed(Layout *layout, const char *what)
{
	layout->failure = (Failure){.what = what, .why = errno};
	return false;
}

static ssize_t read_some(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, size) : -1;
	if (fd >= 0)
		close(fd);
	return len;
}

/* "  lo:       0       0    0 …": bytes and packets received; what a loopback sends it receives. */
static bool has_carried_nothing(void)
{
	static const char nothing[] = "lo: 0 0 ";
	char text[512];
	ssize_t len = read_some("/proc/thread-self/net/dev", text, sizeof text);
	size_t kept = 0;
	for (ssize_t i = 0; i < len; i++) /* one blank for many */
		if (text[i] != ' ' || kept == 0 || text[kept - 1] != ' ')
			text[kept++] = text[i];
	return memmem(text, kept, nothing, sizeof nothing - 1) != NULL;
}

static bool has_no_socket(void)
{
	static const char none[] = "sockets: used 0\n";
	char text[sizeof none - 1];
	return read_some("/proc/thread-self/net/sockstat", text, sizeof text) == sizeof text &&
	       memcmp(text, none, sizeof text) == 0;
}

/* The runner's service listens there, whatever the steps may reach. */
static bool wants_loopback(const Layout *layout)
{
	return layout->loopback || layout->service;
}

/* Asked before it is set: that takes the machine's one lock of all networks. */
static bool get_loopback(int fd, bool *out_up)
{
	struct ifreq request = {.ifr_name = "lo"};
	bool done = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
	*out_up = (request.ifr_flags & IFF_UP) != 0;
	return done;
}

static bool set_loopback(int fd, bool up)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = up ? IFF_UP | IFF_RUNNING : 0};
	return ioctl(fd, SIOCSIFFLAGS, &request) == 0;
}

/*
 * A network that was used before is used again only when no socket of it is left, whatever was done to keep one, and no
 * packet has ever passed its one interface, which is so where that is not up. Then it carries nothing from one place to
 * the next.
 */
static bool enter_ready_network(const Layout *layout)
{
	if (layout->sandbox->network_fd < 0 || setns(layout->sandbox->network_fd, CLONE_NEWNET) < 0 || !has_no_socket())
		return false;
	bool up = false;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && get_loopback(fd, &up) && (!up || has_carried_nothing()) &&
	            (up == wants_loopback(layout) || set_loopback(fd, !up));
	if (fd >= 0)
		close(fd);
	return done;
}

static bool make_network(const Layout *layout)
{
	if (unshare(CLONE_NEWNET) < 0)
		return false;
	if (!wants_loopback(layout))
		return true;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0 && set_loopback(fd, true);
	int why = errno;
	if (fd >= 0)
		close(fd);
	errno = why;
	return done;
}

/* An ordinary user's first step, in a child that then clones the newborn: where the others may be made. */
static bool enter(void *data)
{
	Layout *layout = data;
	if (setns(layout->user_fd, CLONE_NEWUSER) < 0)
		return failed(layout, "cannot enter its user namespace");
	if (setns(layout->template->host_fd, CLONE_NEWNS) < 0)
		return failed(layout, "cannot see the host's mounts");
	return true;
}

static void set_switch(const char *path, char digit)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)!write(fd, &digit, 1);
	close(fd);
}

/* A server in an image is used to port 80, which in a network of its own is nobody else's. Where not, it says so. */
static void allow_low_ports(void)
{
	set_switch("/proc/sys/net/ipv4/ip_unprivileged_port_start", '0');
}

/*
 * What pasta answers to a connection that is refused, the kernel took for nothing until its version of autumn 2023: so
 * one that asks in vain ends after 15 seconds, not after two minutes.
 */
static void give_up_sooner(void)
{
	set_switch("/proc/sys/net/ipv4/tcp_syn_retries", '3');
}

static bool enter_network(const Layout *layout)
{
	if (!layout->own_network)
		return true;
	if (layout->joined_fd >= 0) {
		if (setns(layout->joined_fd, CLONE_NEWNET) < 0)
			return false;
		if (layout->low_ports)
			allow_low_ports();
		if (layout->way_out)
			give_up_sooner();
		return true;
	}
	if (layout->low_ports) { /* and others are in it besides: it does not go back */
		if (!make_network(layout))
			return false;
		allow_low_ports();
		return true;
	}
	/* Nothing is set in it but its loopback: so it may go back. */
	layout->sandbox->network_is_ours = enter_ready_network(layout);
	return layout->sandbox->network_is_ours || make_network(layout);
}

/* A socket made in the place's network for the worker, which has another one: the way in is the descriptor. */
static int open_service(void)
{
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 || listen(fd, SERVICE_BACKLOG) < 0)
		return -1;
	return fd;
}

/* Which of them a place has, in their order; returns how many. */
static size_t list_handed(const Layout *layout, Handed out[HANDED_MAX])
{
	size_t count = 0;
	out[count++] = HANDED_MOUNTS;
	out[count++] = HANDED_RUNNER;
	if (layout->service)
		out[count++] = HANDED_SERVICE;
	if (layout->shares_network)
		out[count++] = HANDED_NETWORK;
	return count;
}

static int open_handed(const Layout *layout, Handed what)
{
	switch (what) {
	case HANDED_MOUNTS:
		return open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	case HANDED_RUNNER:
		return open(layout->runner_inside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case HANDED_SERVICE:
		return open_service();
	case HANDED_NETWORK:
		return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	case HANDED_MAX:
		break;
	}
	return -1;
}

/* What the worker needs of the place and could not reach from outside once init has confined itself. */
static bool hand_over(Layout *layout, int control_fd)
{
	Handed handed[HANDED_MAX];
	int fds[HANDED_MAX];
	size_t count = list_handed(layout, handed);
	for (size_t i = 0; i < count; i++) {
		fds[i] = open_handed(layout, handed[i]);
		if (fds[i] < 0)
			return failed(layout, handed[i] == HANDED_SERVICE ? "cannot listen for the runner's service"
			                                                 : "cannot open what it hands to the worker");
	}
	return supervisor_send_fds(control_fd, fds, count) || failed(layout, "cannot talk to the worker");
}

/* As nobody's root it would lose them by becoming init, which maps the ids of the place's users by them, and then has none. */
static bool keep_for_init(void)
{
	static const unsigned kept[] = {CAP_SETUID, CAP_SETGID};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	data[0].inheritable |= 1U << CAP_SETUID | 1U << CAP_SETGID;
	if (syscall(SYS_capset, &header, data) < 0)
		return false;
	for (size_t i = 0; i < G_N_ELEMENTS(kept); i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0)
			return false;
	return true;
}

/* The newborn. It shares our memory: only system calls, and nothing is changed but *layout and its mounts. */
static bool lay_out(void *data, int control_fd)
{
	Layout *layout = data;
	SandboxPlace *sandbox = layout->sandbox;
	if (sethostname(layout->hostname, strlen(layout->hostname)) < 0)
		return failed(layout, "cannot set its host name");
	if (!mounts_take(&sandbox->mounts, &layout->failure))
		return false;
	if (!enter_network(layout))
		return failed(layout, "cannot make its network namespace");
	if (setns(layout->template->root_fd, CLONE_NEWNS) < 0)
		return failed(layout, "cannot enter the template of its root");
	if (unshare(CLONE_NEWNS) < 0)
		return failed(layout, "cannot make its mount namespace");
	if (!mounts_apply(&sandbox->mounts, &layout->failure))
		return false;
	/* Late: what the kernel needs for the mounts is not the job's memory, and counting it costs as much as making it. */
	if (!cgroup_join(&sandbox->group))
		return failed(layout, "cannot enter its control group");
	if (unshare(CLONE_NEWCGROUP) < 0)
		return failed(layout, "cannot make its cgroup namespace");
	if (layout->maps_ids && !keep_for_init())
		return failed(layout, "cannot hand over the rights to map its ids");
	return hand_over(layout, control_fd);
}

/* What to change on the host when namespaces are refused. */
static const char *remedy(int why)
{
	g_autofree char *apparmor = NULL;
	if (why == ENOSPC || why == EUSERS)
		return "raise the sysctl user.max_user_namespaces (and its neighbours), or run fewer jobs";
	if (g_file_get_contents("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &apparmor, NULL, NULL) &&
	        apparmor[0] == '1')
		return "AppArmor forbids user namespaces: install the AppArmor profile of the package (it says "
		       "'userns,'), or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0";
	g_clear_pointer(&apparmor, g_free);
	if (g_file_get_contents("/proc/sys/kernel/unprivileged_userns_clone", &apparmor, NULL, NULL) && apparmor[0] == '0')
		return "set the sysctl kernel.unprivileged_userns_clone to 1";
	return "run 'assay doctor', which tells what this host must allow";
}

static bool check_spec(const PlaceSpec *spec, GError **error)
{
	if (!spec->work_folder || spec->work_folder[0] != '/' || !spec->home_folder || spec->home_folder[0] != '/')
		return fail(error, ASSAY_ERROR_USER, "sandbox: it needs absolute paths of a work and a home folder");
	if (spec->image)
		return fail(error, ASSAY_ERROR_USER, "sandbox: it runs no image; that is for the executor 'container'");
	if (spec->network_of && (spec->network_of->executor != &executor_sandbox ||
	                                ((const SandboxPlace *)spec->network_of)->shared_fd < 0))
		return fail(error, ASSAY_ERROR_SYSTEM, "sandbox: the network of the other place cannot be joined");
	if (spec->hostname && strlen(spec->hostname) > 63)
		return fail(error, ASSAY_ERROR_USER, "sandbox: the host name '%s' is longer than 63 characters",
		        spec->hostname);
	return true;
}

/* The limits that are kept by init itself, and what is said about those that nobody can keep. */
static void set_limits(SandboxPlace *sandbox, const PlaceSpec *spec, InitSetup *setup)
{
	const Cgroup *group = &sandbox->group;
	setup->file_bytes = (uint64_t)MAX(spec->file_bytes, 0);
	/* The group counts what it refuses, so it refuses first. */
	setup->processes = (uint64_t)MAX(spec->processes, 0) + (group->has_processes ? RATHER_THE_GROUP : 0);
	if (spec->memory_bytes > 0 && !group->has_memory) {
		setup->data_bytes = (uint64_t)spec->memory_bytes;
		place_lacks(&sandbox->place, "Memory is limited for each process, not for the job: no cgroup memory "
		        "controller is delegated to the agent.");
	}
	/* A limit of processes is kept by the job's own user namespace, except for the host's root. */
	if (spec->processes > 0 && !group->has_processes && setup->outer_uid == 0)
		place_lacks(&sandbox->place, "The number of processes is not limited: no cgroup pids controller is "
		        "delegated to the agent, and steps run as root.");
	if (spec->processes > 0 && !group->has_processes && setup->besides && !setup->together)
		place_lacks(&sandbox->place, "The number of processes is limited for each user of the image, not for the job: no cgroup "
		        "pids controller is delegated to the agent, and kernel.unprivileged_userns_clone is 0.");
	if (spec->cpus > 0 && !group->has_cpus)
		place_lacks(&sandbox->place, "CPU time is not limited: no cgroup cpu controller is delegated to the agent.");
	if ((spec->read_bytes_s > 0 || spec->write_bytes_s > 0) && !group->has_io)
		place_lacks(&sandbox->place, "What the job reads from disks and writes to them in a second is not limited: %s.", group->io_lacks);
}

/*
 * In one user namespace the kernel counts what each user starts; what all of them start together, against whoever made the
 * namespace. init, root's no more by then, makes one within the first for that, which some hosts let nobody else do.
 */
static bool counts_together(void)
{
	char digit;
	return read_some("/proc/sys/kernel/unprivileged_userns_clone", &digit, 1) != 1 || digit != '0';
}

static void note_user(SandboxPlace *sandbox, const PlaceSpec *spec)
{
	if (geteuid() == 0 && spec->uid == 0)
		place_lacks(&sandbox->place, "Steps run as this machine's root, though without its capabilities: files they "
		        "make belong to root; set sandbox.uid.");
}

/* Asked once, by a process that waits for its clones. */
static long landlock_abi(void)
{
	static long abi = -2;
	if (abi == -2)
		abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U); /* 1: tell the ABI */
	return abi;
}

static void note_landlock_and_network(SandboxPlace *sandbox, const PlaceSpec *spec, InitSetup *setup)
{
	setup->landlock = landlock_abi() >= LANDLOCK_ABI_FILES ? (uint32_t)landlock_abi() : 0;
	if (spec->network != PLACE_NETWORK_HOST)
		return;
	setup->scope = landlock_abi() >= LANDLOCK_ABI_SCOPE;
	place_lacks(&sandbox->place, "The job shares this machine's network: it reaches what listens on 127.0.0.1%s.",
	        setup->scope ? "" : " and abstract unix sockets");
}

static void take_over(SandboxPlace *sandbox, const Layout *layout)
{
	int *const into[HANDED_MAX] = {
		[HANDED_MOUNTS] = &sandbox->mounts_fd,
		[HANDED_RUNNER] = &sandbox->place.runner_fd,
		[HANDED_SERVICE] = &sandbox->place.service_fd,
		[HANDED_NETWORK] = &sandbox->shared_fd,
	};
	Handed handed[HANDED_MAX];
	int fds[HANDED_MAX];
	size_t count = list_handed(layout, handed);
	supervisor_receive_fds(&sandbox->init, fds, count);
	for (size_t i = 0; i < count; i++)
		*into[handed[i]] = fds[i];
	if (sandbox->place.runner_fd >= 0)
		sandbox->place.runner_inside = g_strdup(layout->runner_inside);
}

typedef struct Filter {
	struct sock_filter program[FILTER_LEN_MAX];
	size_t len;
} Filter;

/* Written once: the clones of a process that waits find both there. */
static const Filter *get_filter(bool of_image)
{
	static Filter filters[2];
	Filter *filter = &filters[of_image];
	if (filter->len == 0) {
		size_t len = filter_write(filter->program);
		filter->len = of_image ? filter_add_image(filter->program, len) : len;
	}
	return filter;
}

static bool sandbox_launch(SandboxPlace *sandbox, const PlaceSpec *spec, GError **error)
{
	bool root = geteuid() == 0;
	Layout layout = {
		.sandbox = sandbox,
		.hostname = spec->hostname && spec->hostname[0] ? spec->hostname : MOUNTS_USER,
		.own_network = spec->network != PLACE_NETWORK_HOST,
		.loopback = spec->network == PLACE_NETWORK_LOOPBACK,
		.joined_fd = spec->network_of ? ((const SandboxPlace *)spec->network_of)->shared_fd : sandbox->wayout.network_fd,
		.low_ports = spec->shares_network,
		.way_out = sandbox->wayout.network_fd >= 0,
		.runner_inside = spec->root ? spec->root->runner_inside : MOUNTS_RUNNER,
		.shares_network = spec->shares_network,
	};
	layout.service = spec->service && layout.own_network;
	g_autofree char *recipe = mounts_recipe(spec, error);
	if (!recipe || !(spec->root ? mounts_list_image : mounts_list)(spec, &sandbox->mounts, error))
		return false;
	InitSetup setup = {
		.kind = INIT_SETUP,
		.confine = 1,
		.become = root,
		.outer_uid = root ? spec->uid : MOUNTS_UID,
		.outer_gid = root ? spec->gid : MOUNTS_UID,
		.inner_uid = spec->root ? spec->root->uid : MOUNTS_UID,
		.inner_gid = spec->root ? spec->root->gid : MOUNTS_UID,
		.open_files = (uint64_t)MAX(spec->open_files, 0),
	};
	const Ids *ids = spec->root ? spec->root->ids : NULL;
	if (ids) {
		setup.besides = IDS_BESIDES;
		setup.besides_uid = ids->outer_uid;
		setup.besides_gid = ids->outer_gid;
		setup.together = counts_together();
		layout.maps_ids = !root;
	}
	note_user(sandbox, spec);
	note_landlock_and_network(sandbox, spec, &setup);
	set_limits(sandbox, spec, &setup);
	const Filter *filter = get_filter(spec->root && !ids);
	setup.filter_len = (uint32_t)filter->len;
	const Birth birth = {
		.enter = root ? NULL : enter,
		.flags = CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS,
		.prepare = lay_out,
		.data = &layout,
		.failure = &layout.failure,
		.setup = &setup,
		.filter = filter->program,
	};
	if (layout.own_network && layout.joined_fd < 0 && !layout.low_ports)
		sandbox->network_fd = ready_network();
	layout.template = ready_template(recipe, &layout.failure);
	if (!layout.template || !ready_user(&layout.user_fd, &layout.failure) ||
	        !supervisor_launch(&sandbox->init, &birth)) {
		const Failure *failure = &layout.failure;
		return fail(error, ASSAY_ERROR_SYSTEM, "sandbox: %s%s%s: %s; %s", failure->what, failure->target ? " " : "",
		        failure->target ? failure->target : "", g_strerror(failure->why), remedy(failure->why));
	}
	take_over(sandbox, &layout);
	if (wayout_finish(&sandbox->wayout, error))
		return true;
	g_prefix_error(error, "sandbox: ");
	return false;
}

/*
 * Started first, so that it is ready when the place is. Adds to the spec what names mean there.
 *
 * @out_hosts   what *inner borrows; the caller's
 */
static bool open_way_out(SandboxPlace *sandbox, const PlaceSpec *spec, PlaceSpec *inner, char **out_hosts, GError **error)
{
	const WayOut *wayout = spec->network_of ? &((const SandboxPlace *)spec->network_of)->wayout : &sandbox->wayout;
	Failure failure = {0};
	int user_fd;
	*inner = *spec;
	if (spec->network != PLACE_NETWORK_FULL)
		return true;
	if (!spec->network_of && !ready_user(&user_fd, &failure))
		return fail(error, ASSAY_ERROR_SYSTEM, "sandbox: %s: %s; %s", failure.what, g_strerror(failure.why), remedy(failure.why));
	if (!spec->network_of && !wayout_open(&sandbox->wayout, spec->allow, user_fd, &sandbox->group, error)) {
		g_prefix_error(error, "sandbox: ");
		return false;
	}
	inner->resolver = wayout->outside.resolver;
	inner->hosts = *out_hosts = g_strconcat(spec->hosts ? spec->hosts : "", wayout->outside.hosts, NULL);
	return true;
}

static bool sandbox_open(const PlaceSpec *spec, Place **out, GError **error)
{
	g_autofree char *hosts = NULL;
	PlaceSpec inner;
	if (!check_spec(spec, error))
		return false;
	SandboxPlace *sandbox = g_new0(SandboxPlace, 1);
	supervisor_init(&sandbox->init);
	wayout_init(&sandbox->wayout);
	sandbox->network_fd = sandbox->shared_fd = sandbox->mounts_fd = -1;
	place_init(&sandbox->place, &executor_sandbox, spec->root ? spec->root->work_inside : MOUNTS_WORK,
	        spec->root ? spec->root->home_inside : MOUNTS_HOME, "full");
	const CgroupLimits limits = {
		.memory_bytes = spec->memory_bytes,
		.processes = spec->processes > 0 ? spec->processes + (spec->network == PLACE_NETWORK_FULL) : 0, /* its way out is one */
		/* By the job's own user namespace, which is cheaper and exact: except for the host's root. */
		.processes_are_counted = (geteuid() != 0 || spec->uid != 0) && !(spec->root && spec->root->ids && !counts_together()),
		.cpus = spec->cpus,
		.read_bytes_s = spec->read_bytes_s,
		.write_bytes_s = spec->write_bytes_s,
		.io_folder = spec->work_folder,
	};
	cgroup_make(&limits, &sandbox->group);
	if (!open_way_out(sandbox, spec, &inner, &hosts, error) || !sandbox_launch(sandbox, &inner, error)) {
		executor_sandbox.close(&sandbox->place);
		return false;
	}
	if (sandbox->place.missing->len > 0) {
		g_free(sandbox->place.isolation);
		sandbox->place.isolation = g_strdup("reduced");
	}
	*out = &sandbox->place;
	return true;
}

static bool sandbox_start(Place *place, const StepSpec *spec, Child *out, GError **error)
{
	SandboxPlace *sandbox = (SandboxPlace *)place;
	if (!place_check_step(spec, error))
		return false;
	/* A working directory behind a descriptor would be a way around the root (CVE-2024-21626). */
	if (g_str_has_prefix(spec->folder, "/proc/") || g_str_has_prefix(spec->folder, "/dev/fd"))
		return fail(error, ASSAY_ERROR_USER, "its folder '%s' is none to work in", spec->folder);
	return supervisor_start(&sandbox->init, spec, out, error);
}

static void sandbox_signal(Place *place, Child *child, int signal_number)
{
	supervisor_signal(&((SandboxPlace *)place)->init, child, signal_number);
}

static bool sandbox_finish(Place *place, Child *child, StepEnd *out, GError **error)
{
	SandboxPlace *sandbox = (SandboxPlace *)place;
	if (!supervisor_finish(&sandbox->init, child, out, error))
		return false;
	cgroup_judge(&sandbox->group, &sandbox->counted, out);
	if (!wayout_holds(&sandbox->wayout) && (out->exit_code != 0 || out->signal != 0) && strcmp(out->cause, "oom") != 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "pasta, the way out of the job's network, has ended meanwhile; see the kernel's log, "
		                                       "and give the job more memory if it was killed for lack of it");
	return true;
}

static void sandbox_close(Place *place)
{
	if (!place)
		return;
	SandboxPlace *sandbox = (SandboxPlace *)place;
	bool has_scratch = sandbox->mounts.scratch != NULL;
	supervisor_kill(&sandbox->init);
	wayout_close(&sandbox->wayout);
	cgroup_remove(&sandbox->group);
	mounts_clear(&sandbox->mounts);
	place_clear(place);
	if (sandbox->network_is_ours) /* everybody who was in it is gone */
		ready_network_back(fd_steal(&sandbox->network_fd));
	autofd_close(&sandbox->network_fd);
	autofd_close(&sandbox->shared_fd);
	if (has_scratch) /* the folder of an image's changes is removed next */
		autofd_close(&sandbox->mounts_fd);
	else
		ready_discard(sandbox->mounts_fd);
	g_free(sandbox);
}

static int sandbox_prepare(void)
{
	cgroup_prepare();
	get_filter(false);
	get_filter(true);
	landlock_abi();
	return ready_prepare();
}

/* The truest question is to make one: a few milliseconds, nothing left. */
static bool sandbox_probe(GError **error)
{
	g_autofree char *folder = g_dir_make_tmp("assay-probe-XXXXXX", error);
	if (!folder)
		return false;
	const PlaceSpec spec = {.work_folder = folder, .home_folder = folder, .uid = geteuid(), .gid = getegid()};
	Place *place = NULL;
	bool can = sandbox_open(&spec, &place, error);
	if (can && !supervisor_begin(&((SandboxPlace *)place)->init, error)) {
		g_prefix_error(error, "sandbox: ");
		can = false;
	}
	sandbox_close(place);
	fd_remove_tree(folder, NULL);
	return can;
}

const Executor executor_sandbox = {
	.name = "sandbox",
	.summary = "the default: an own root, processes, network and user by kernel namespaces; no engine needed",
	.probe = sandbox_probe,
	.prepare = sandbox_prepare,
	.retire = cgroup_memory_retire,
	.tidy = cgroup_tidy,
	.open = sandbox_open,
	.start = sandbox_start,
	.signal = sandbox_signal,
	.finish = sandbox_finish,
	.close = sandbox_close,
};
