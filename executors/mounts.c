/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists what a sandbox's root is made of. The host's programs are there, read-only; of its /etc only what programs
 * need to run, the rest written anew, so that no password file, key or agent setting is ever in reach. All of that is
 * the template, one small memory file system that becomes read-only itself; a place adds memory, /proc, its folders.
 */
#include "executors/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define SMALL_FILE_BYTES 65536
#define COPY_BYTES_MAX (1024 * 1024)

/* Of the host's /etc, when it has them: folders of programs' settings and certificates, nothing secret. A bind costs
 * twenty times a small file, so files are copied and what programs do without is left out. */
static const char *const etc_folders[] = {"alternatives", "java-11-openjdk", "java-17-openjdk", "java-21-openjdk", "OpenCL",
	"pki/ca-trust/extracted", "pki/tls/certs", "R", "ssl/certs"};
static const char *const etc_files[] = {"ld.so.cache", "protocols", "services", "ssl/openssl.cnf", "timezone"};
/* Top-level folders that are programs; on a merged-/usr host most are links. */
static const char *const programs[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt", "nix/store"};
static const struct {
	const char *name;
	unsigned minor;
} nodes[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
/* Of /proc, what is not of the place: first for everyone, then what only the host's root may open or write at all. */
static const char *const hidden[] = {"keys", "key-users", "kallsyms", "config.gz"};
static const char *const hidden_from_root[] = {"kcore", "kmsg", "kpagecount", "kpageflags", "kpagecgroup",
	"sysrq-trigger", "timer_list", "sched_debug", "latency_stats", "slabinfo", "vmallocinfo", "pagetypeinfo"};
static const char *const sealed[] = {"sys"};
static const char *const sealed_from_root[] = {"irq", "bus", "fs", "scsi", "acpi"};

static const char *keep(Mounts *mounts, const char *text)
{
	return g_string_chunk_insert(mounts->texts, text);
}

static MountRow *add(Mounts *mounts, MountKind kind, const char *target, const char *source)
{
	const MountRow row = {.kind = kind, .target = keep(mounts, target), .tree = -1,
	        .source = source ? keep(mounts, source) : NULL};
	g_array_append_val(mounts->rows, row);
	return &g_array_index(mounts->rows, MountRow, mounts->rows->len - 1);
}

MountRow *mounts_add(Mounts *mounts, MountKind kind, const char *target, const char *source)
{
	return add(mounts, kind, target, source);
}

/* Folders above a target, each once. */
static void add_parents(Mounts *mounts, const char *target)
{
	for (const char *slash = strchr(target, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - target);
		bool there = false;
		for (guint i = 0; i < mounts->rows->len && !there; i++) {
			const char *other = g_array_index(mounts->rows, MountRow, i).target;
			there = strncmp(other, target, len) == 0 && other[len] == '\0';
		}
		if (!there) {
			g_autofree char *parent = g_strndup(target, len);
			add(mounts, MOUNT_FOLDER, parent, NULL);
		}
	}
}

/* What the host has at a path, by the same name: its link, or itself read-only. Absent is fine. */
static void add_same(Mounts *mounts, const char *name)
{
	g_autofree char *path = g_strdup_printf("/%s", name);
	struct stat info;
	if (lstat(path, &info) != 0)
		return;
	add_parents(mounts, name);
	if (S_ISLNK(info.st_mode)) {
		g_autofree char *says = g_file_read_link(path, NULL);
		if (says)
			add(mounts, MOUNT_LINK, name, says);
		return;
	}
	add(mounts, MOUNT_BIND, name, path)->is_folder = S_ISDIR(info.st_mode);
}

static void add_file(Mounts *mounts, const char *target, const char *text)
{
	add(mounts, MOUNT_FILE, target, text)->source_len = strlen(text);
}

/* A file of the host's /etc as it is now; a link stays one. Absent, or far larger than such a file is, is left out. */
static void add_copy(Mounts *mounts, const char *name)
{
	g_autofree char *target = g_strdup_printf("etc/%s", name);
	g_autofree char *path = g_strdup_printf("/etc/%s", name);
	autofd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat info;
	if (fd < 0) {
		if (errno == ELOOP)
			add_same(mounts, target);
		return;
	}
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode) || info.st_size > COPY_BYTES_MAX)
		return;
	char *bytes = g_malloc((gsize)info.st_size + 1);
	g_ptr_array_add(mounts->copies, bytes);
	ssize_t len = read(fd, bytes, (size_t)info.st_size);
	add_parents(mounts, target);
	MountRow *row = add(mounts, MOUNT_FILE, target, NULL);
	row->source = bytes;
	row->source_len = len > 0 ? (size_t)len : 0;
}

char *mounts_hosts_text(const char *hostname, const char *more)
{
	return g_strdup_printf("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n%s", hostname,
	        more ? more : "");
}

char *mounts_resolver_text(const PlaceSpec *spec)
{
	g_autoptr(GBytes) resolver = NULL;
	if (spec->resolver)
		return g_strdup(spec->resolver);
	if (spec->network == PLACE_NETWORK_HOST)
		resolver = fd_read_file("/etc/resolv.conf", SMALL_FILE_BYTES, NULL);
	gsize len = 0;
	const char *bytes = resolver ? g_bytes_get_data(resolver, &len) : NULL;
	return g_strndup(bytes ? bytes : "", len);
}

static void add_etc(Mounts *mounts, const char *hostname)
{
	add(mounts, MOUNT_FOLDER, "etc", NULL);
	add_file(mounts, "etc/passwd",
	        "root:x:0:0:root:/root:/usr/sbin/nologin\n" MOUNTS_USER ":x:1001:1001:Runner:" MOUNTS_HOME
	        ":/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
	add_file(mounts, "etc/group", "root:x:0:\n" MOUNTS_USER ":x:1001:\nnogroup:x:65534:\n");
	add_file(mounts, "etc/nsswitch.conf",
	        "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n");
	g_autofree char *name_line = g_strdup_printf("%s\n", hostname);
	add_file(mounts, "etc/hostname", name_line);
	g_autofree char *hosts = mounts_hosts_text(hostname, NULL);
	add_file(mounts, "etc/hosts", hosts);
	add_file(mounts, "etc/resolv.conf", ""); /* a place with a way out covers it */
	add(mounts, MOUNT_LINK, "etc/mtab", "../proc/self/mounts");
	for (size_t i = 0; i < G_N_ELEMENTS(etc_folders); i++) {
		g_autofree char *target = g_strdup_printf("etc/%s", etc_folders[i]);
		add_same(mounts, target);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(etc_files); i++)
		add_copy(mounts, etc_files[i]);
	add_same(mounts, "etc/os-release");
	add_same(mounts, "etc/localtime");
	add(mounts, MOUNT_FOLDER, "etc/fonts", NULL);
	add_file(mounts, "etc/fonts/fonts.conf",
	        "<?xml version=\"1.0\"?>\n<fontconfig><dir>/usr/share/fonts</dir><dir>/usr/local/share/fonts</dir>"
	        "<cachedir>/tmp/fontconfig</cachedir></fontconfig>\n");
}

static void add_devices(Mounts *mounts)
{
	add(mounts, MOUNT_FOLDER, "dev", NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(nodes); i++) {
		g_autofree char *target = g_strdup_printf("dev/%s", nodes[i].name);
		g_autofree char *source = g_strdup_printf("/dev/%s", nodes[i].name);
		add(mounts, MOUNT_NODE, target, source)->device = makedev(1, nodes[i].minor);
	}
	add(mounts, MOUNT_NODE, "dev/tty", "/dev/tty")->device = makedev(5, 0);
	add(mounts, MOUNT_FOLDER, "dev/pts", NULL);
	add(mounts, MOUNT_LINK, "dev/ptmx", "pts/ptmx");
	add(mounts, MOUNT_LINK, "dev/fd", "/proc/self/fd");
	add(mounts, MOUNT_LINK, "dev/stdin", "/proc/self/fd/0");
	add(mounts, MOUNT_LINK, "dev/stdout", "/proc/self/fd/1");
	add(mounts, MOUNT_LINK, "dev/stderr", "/proc/self/fd/2");
	add(mounts, MOUNT_FOLDER, "dev/shm", NULL);
}

static void add_memory(Mounts *mounts, const PlaceSpec *spec)
{
	g_autofree char *size = spec->memory_bytes > 0 ? g_strdup_printf(",size=%" G_GINT64_FORMAT, spec->memory_bytes)
	                                               : g_strdup("");
	g_autofree char *options = g_strdup_printf("mode=1777%s", size);
	add(mounts, MOUNT_TMPFS, "tmp", options);
	add(mounts, MOUNT_TMPFS, "dev/shm", options);
	add(mounts, MOUNT_TMPFS, MOUNTS_RUNNER + 1, "mode=0755,size=64m,nr_inodes=4096");
}

static void add_covers(Mounts *mounts, MountKind kind, const char *const *names, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		g_autofree char *target = g_strdup_printf("proc/%s", names[i]);
		add(mounts, kind, target, NULL);
	}
}

void mounts_add_proc(Mounts *mounts, bool steps_are_root)
{
	add(mounts, MOUNT_PROC, "proc", NULL)->is_folder = true;
	add_covers(mounts, MOUNT_HIDE, hidden, G_N_ELEMENTS(hidden));
	add_covers(mounts, MOUNT_SEAL, sealed, G_N_ELEMENTS(sealed));
	if (steps_are_root) {
		add_covers(mounts, MOUNT_HIDE, hidden_from_root, G_N_ELEMENTS(hidden_from_root));
		add_covers(mounts, MOUNT_SEAL, sealed_from_root, G_N_ELEMENTS(sealed_from_root));
	}
}

/* A target of the spec: absolute, without `.` and `..`, and not one of those that make the place what it is. */
static bool check_target(const char *target, GError **error)
{
	static const char *const ours[] = {"/", "/proc", "/dev", "/sys", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32",
		"/lib64", "/tmp", "/home", MOUNTS_HOME, MOUNTS_WORK};
	bool bad = !target || target[0] != '/' || strstr(target, "//") || g_str_has_suffix(target, "/");
	g_auto(GStrv) names = g_strsplit(target ? target : "", "/", 64);
	for (char **name = names; *name && !bad; name++)
		bad = strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0;
	for (size_t i = 0; i < G_N_ELEMENTS(ours) && !bad; i++)
		bad = strcmp(target, ours[i]) == 0;
	bad = bad || g_str_has_prefix(target, "/proc/") || g_str_has_prefix(target, "/usr/") ||
	      g_str_has_prefix(target, "/tmp/");
	if (bad)
		return fail(error, ASSAY_ERROR_USER,
		        "sandbox: a mount's target '%s' is not usable; give an absolute path outside /proc, /usr and /tmp",
		        target ? target : "");
	return true;
}

/* Below /dev, by no detour, and none of those that a place has of its own. */
static bool is_device_path(const char *path)
{
	static const char *const ours[] = {"/dev/pts", "/dev/ptmx", "/dev/shm", "/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/tty",
	        "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
	bool good = g_str_has_prefix(path, "/dev/") && path[5] != '\0' && !strpbrk(path, "\n ");
	g_auto(GStrv) names = g_strsplit(path, "/", 64);
	for (char **name = names + 1; good && *name; name++)
		good = **name && strcmp(*name, ".") != 0 && strcmp(*name, "..") != 0;
	for (size_t i = 0; good && i < G_N_ELEMENTS(ours); i++)
		good = !g_str_has_prefix(path, ours[i]) || (path[strlen(ours[i])] != '\0' && path[strlen(ours[i])] != '/');
	return good;
}

static const char *host_name(const PlaceSpec *spec)
{
	return spec->hostname && spec->hostname[0] ? spec->hostname : MOUNTS_USER;
}

/* "\nc MAJOR:MINOR /dev/NAME" for each device: its template is made anew when it becomes another one. */
static bool add_device_lines(const PlaceSpec *spec, GString *recipe, GError **error)
{
	for (const char *const *one = spec->devices; one && *one; one++) {
		struct stat info;
		if (!is_device_path(*one))
			return fail(error, ASSAY_ERROR_USER, "sandbox: '%s' is no device; give a path below /dev", *one);
		if (stat(*one, &info) != 0)
			return fail_errno(error, errno, "sandbox: the device %s", *one);
		if (!S_ISCHR(info.st_mode))
			return fail(error, ASSAY_ERROR_USER, "sandbox: %s is no character device; disks are not for jobs", *one);
		g_string_append_printf(recipe, "\nc %u:%u %s", major(info.st_rdev), minor(info.st_rdev), *one);
	}
	return true;
}

char *mounts_recipe(const PlaceSpec *spec, GError **error)
{
	GString *recipe = g_string_new(spec->root ? MOUNTS_RECIPE_OF_IMAGES : host_name(spec));
	if (!add_device_lines(spec, recipe, error)) {
		g_string_free(recipe, TRUE);
		return NULL;
	}
	for (size_t i = 0; !spec->root && i < spec->mounts_len; i++) {
		const PlaceMount *mount = &spec->mounts[i];
		struct stat info;
		bool good = check_target(mount->target, error);
		if (good && stat(mount->source, &info) != 0)
			good = fail_errno(error, errno, "sandbox: the mount's source %s", mount->source);
		if (!good) {
			g_string_free(recipe, TRUE);
			return NULL;
		}
		/* What lies in the job's home is made there; a line break would be two lines. */
		if (!g_str_has_prefix(mount->target, MOUNTS_HOME "/") && !strchr(mount->target, '\n'))
			g_string_append_printf(recipe, "\n%c %s", S_ISDIR(info.st_mode) ? 'd' : 'f', mount->target);
	}
	return g_string_free(recipe, FALSE);
}

void mounts_begin(Mounts *mounts)
{
	*mounts = (Mounts){
		.rows = g_array_sized_new(FALSE, FALSE, sizeof(MountRow), 64),
		.texts = g_string_chunk_new(2048),
		.copies = g_ptr_array_new_with_free_func(g_free),
		.owner_uid = -1,
		.owner_gid = -1,
	};
}

/* A line of a recipe, see add_device_lines(). */
static void add_device(Mounts *mounts, const char *line)
{
	char *end = NULL;
	unsigned long first = strtoul(line + 1, &end, 10);
	unsigned long second = *end == ':' ? strtoul(end + 1, &end, 10) : 0;
	if (*end != ' ' || !is_device_path(end + 1))
		return;
	add_parents(mounts, end + 2);
	add(mounts, MOUNT_NODE, end + 2, end + 1)->device = makedev((unsigned)first, (unsigned)second);
}

void mounts_list_template(const char *recipe, Mounts *out)
{
	static const char *const folders[] = {"tmp", "var", "run", MOUNTS_RUNNER + 1, "proc", "home", "home/runner"};
	g_auto(GStrv) lines = g_strsplit(recipe, "\n", 0);
	mounts_begin(out);
	for (size_t i = 0; i < G_N_ELEMENTS(programs); i++)
		add_same(out, programs[i]);
	add_etc(out, lines[0] ? lines[0] : MOUNTS_USER);
	add_devices(out);
	for (size_t i = 0; i < G_N_ELEMENTS(folders); i++)
		add(out, MOUNT_FOLDER, folders[i], NULL);
	add(out, MOUNT_LINK, "var/tmp", "../tmp");
	/* The processors' layout, for thread pools; nothing else of /sys. */
	add_same(out, "sys/devices/system");
	for (char **line = lines[0] ? lines + 1 : lines; *line; line++)
		if ((*line)[0] == 'c')
			add_device(out, *line);
		else if (strlen(*line) > 3 && check_target(*line + 2, NULL))
			add(out, MOUNT_POINT, *line + 3, NULL)->is_folder = (*line)[0] == 'd';
}

static bool add_folders(Mounts *mounts, const PlaceSpec *spec, GError **error)
{
	MountRow *home = add(mounts, MOUNT_BIND, "home/runner", spec->home_folder);
	home->is_folder = home->writable = true;
	MountRow *work = add(mounts, MOUNT_BIND, "home/runner/work", spec->work_folder);
	work->is_folder = work->writable = true;
	g_autofree char *inside_home = g_build_filename(spec->home_folder, "work", NULL);
	if (mkdir(inside_home, 0755) == 0)
		mounts->made_in_home = g_steal_pointer(&inside_home);
	else if (errno != EEXIST)
		return fail_errno(error, errno, "sandbox: cannot make %s", inside_home);
	for (size_t i = 0; i < spec->mounts_len; i++) {
		const PlaceMount *mount = &spec->mounts[i];
		struct stat info;
		if (stat(mount->source, &info) != 0)
			return fail_errno(error, errno, "sandbox: the mount's source %s", mount->source);
		MountRow *row = add(mounts, MOUNT_BIND, mount->target + 1, mount->source);
		row->is_folder = S_ISDIR(info.st_mode);
		row->is_device = S_ISCHR(info.st_mode);
		row->writable = mount->writable || row->is_device;
	}
	return true;
}

static void add_cover(Mounts *mounts, const char *target, const char *text)
{
	add(mounts, MOUNT_COVER, target, text)->source_len = strlen(text);
}

bool mounts_list(const PlaceSpec *spec, Mounts *out, GError **error)
{
	mounts_begin(out);
	add_memory(out, spec);
	mounts_add_proc(out, geteuid() == 0 && spec->uid == 0);
	add(out, MOUNT_PTS, "dev/pts", NULL);
	if (spec->network == PLACE_NETWORK_HOST && access("/etc/resolv.conf", R_OK) == 0)
		add(out, MOUNT_BIND, "etc/resolv.conf", "/etc/resolv.conf");
	if (spec->resolver)
		add_cover(out, "etc/resolv.conf", spec->resolver);
	if (spec->hosts && spec->hosts[0]) {
		g_autofree char *hosts = mounts_hosts_text(host_name(spec), spec->hosts);
		add_cover(out, "etc/hosts", hosts);
	}
	return add_folders(out, spec, error);
}

void mounts_clear(Mounts *mounts)
{
	if (mounts->made_in_home)
		rmdir(mounts->made_in_home);
	g_clear_pointer(&mounts->made_in_home, g_free);
	g_clear_pointer(&mounts->rows, g_array_unref);
	g_clear_pointer(&mounts->texts, g_string_chunk_free);
	g_clear_pointer(&mounts->copies, g_ptr_array_unref);
}
