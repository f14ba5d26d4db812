/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of a root that is an image. Its folders are a stranger's: a `/proc`, `/dev` or `/etc` that is a link is refused
 * by the kernel when the target is opened (RESOLVE_NO_SYMLINKS), never followed. Its /dev is the template's, and what lies
 * below that and below /proc is ours again.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/error.h"
#include "executors/mounts.h"
#include "executors/root.h"

#define OPTIONS_BYTES_MAX 4000 /* the kernel takes a page */

static void add_foreign(Mounts *mounts, MountKind kind, const char *target, const char *source, bool folder)
{
	MountRow *row = mounts_add(mounts, kind, target, source);
	row->is_folder = folder;
	row->source_len = kind == MOUNT_FILE ? strlen(source) : 0;
}

/* Absolute, no `.`, `..` or empty part, and none of those that make a place what it is. */
static bool check_target(const char *target, const char *what, GError **error)
{
	static const char *const ours[] = {"/proc", "/dev", "/sys", NULL};
	bool bad = !target || target[0] != '/' || target[1] == '\0' || g_str_has_suffix(target, "/");
	g_auto(GStrv) parts = g_strsplit(target ? target + 1 : "", "/", 64);
	for (char **part = parts; *part && !bad; part++)
		bad = !**part || strcmp(*part, ".") == 0 || strcmp(*part, "..") == 0;
	for (const char *const *one = ours; *one && !bad; one++)
		bad = g_str_has_prefix(target, *one) && (target[strlen(*one)] == '/' || target[strlen(*one)] == '\0');
	return !bad || fail(error, ASSAY_ERROR_USER, "container: %s '%s' is no absolute path outside /proc, /dev and /sys", what,
	                       target ? target : "");
}

static bool add_folder(Mounts *mounts, const char *target, const char *source, const char *below, bool writable,
        GError **error)
{
	struct stat info;
	if (!check_target(target, "the target", error))
		return false;
	if (stat(source, &info) != 0)
		return fail_errno(error, errno, "container: the folder %s", source);
	MountRow *row = mounts_add(mounts, MOUNT_BIND, target + 1, source);
	row->below = below ? g_string_chunk_insert(mounts->texts, below) : NULL;
	row->is_folder = S_ISDIR(info.st_mode);
	row->is_device = S_ISCHR(info.st_mode);
	row->writable = writable || row->is_device;
	return true;
}

static bool add_memory(Mounts *mounts, const PlaceRoot *root, GError **error)
{
	for (const char *const *one = root->tmpfs; one && *one; one++) {
		const char *colon = strchr(*one, ':');
		g_autofree char *target = colon ? g_strndup(*one, (gsize)(colon - *one)) : g_strdup(*one);
		if (!check_target(target, "the folder in memory", error))
			return false;
		g_autofree char *options = g_strdup_printf("mode=1777%s%s", colon ? "," : "", colon ? colon + 1 : "");
		add_foreign(mounts, MOUNT_TMPFS, target + 1, options, true);
	}
	return true;
}

bool mounts_list_image(const PlaceSpec *spec, Mounts *out, GError **error)
{
	const PlaceRoot *root = spec->root;
	const char *hostname = spec->hostname && spec->hostname[0] ? spec->hostname : MOUNTS_USER;
	mounts_begin(out);
	out->layers_folder = g_string_chunk_insert(out->texts, root->layers_folder);
	out->scratch = root->scratch ? g_string_chunk_insert(out->texts, root->scratch) : NULL;
	out->read_only = root->read_only;
	out->keeps_scratch = root->keeps_scratch;
	out->owner_uid = geteuid() == 0 ? (int)spec->uid : -1;
	out->owner_gid = geteuid() == 0 ? (int)spec->gid : -1;
	g_autofree char *overlay = g_strdup_printf("lowerdir=%s," MOUNTS_UPPER ",userxattr,volatile", root->lower);
	if (strlen(overlay) >= OPTIONS_BYTES_MAX)
		return fail(error, ASSAY_ERROR_USER, "container: the image has too many layers for one mount");
	out->overlay = g_string_chunk_insert(out->texts, overlay);

	add_foreign(out, MOUNT_SAME, "dev", NULL, true);
	mounts_add(out, MOUNT_PTS, "dev/pts", NULL);
	g_autofree char *shm = g_strdup_printf("mode=1777,size=%" G_GINT64_FORMAT, root->shm_bytes);
	mounts_add(out, MOUNT_TMPFS, "dev/shm", shm)->is_folder = true;
	mounts_add_proc(out, geteuid() == 0 && spec->uid == 0);
	add_foreign(out, MOUNT_SAME, "sys/devices/system", NULL, true); /* for thread pools */
	if (!add_folder(out, root->work_inside, spec->work_folder, root->work_below, true, error) ||
	        !add_folder(out, root->home_inside, spec->home_folder, NULL, true, error))
		return false;
	if (!check_target(root->runner_inside, "the target", error))
		return false;
	add_foreign(out, MOUNT_TMPFS, root->runner_inside + 1, "mode=0755,size=64m,nr_inodes=4096", true);
	g_autofree char *name_line = g_strdup_printf("%s\n", hostname);
	g_autofree char *hosts = mounts_hosts_text(hostname, spec->hosts);
	g_autofree char *resolver = mounts_resolver_text(spec);
	add_foreign(out, MOUNT_FOLDER, "tmp", NULL, true);
	if (root->folder && strcmp(root->folder, "/") != 0) { /* one that the image does not have is made, as Docker does */
		if (!check_target(root->folder, "the folder to work in", error))
			return false;
		add_foreign(out, MOUNT_FOLDER, root->folder + 1, NULL, true);
	}
	add_foreign(out, MOUNT_FILE, "etc/hostname", name_line, false);
	add_foreign(out, MOUNT_FILE, "etc/hosts", hosts, false);
	add_foreign(out, MOUNT_FILE, "etc/resolv.conf", resolver, false);
	if (!add_memory(out, root, error))
		return false;
	for (size_t i = 0; i < spec->mounts_len; i++)
		if (!add_folder(out, spec->mounts[i].target, spec->mounts[i].source, spec->mounts[i].below, spec->mounts[i].writable,
		            error))
			return false;
	return true;
}
