/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/oci.h"

#include <glib/gstdio.h>
#include <string.h>
#include <zlib.h>

#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"

#define BLOCK 512

static void add_header(GByteArray *out, const char *name, char type, const char *link, size_t size, unsigned mode, unsigned uid,
        unsigned gid)
{
	char header[BLOCK] = {0};
	g_assert_cmpuint(strlen(name), <=, 100);
	memcpy(header, name, strlen(name));
	g_snprintf(header + 100, 8, "%07o", mode);
	g_snprintf(header + 108, 8, "%07o", uid);
	g_snprintf(header + 116, 8, "%07o", gid);
	g_snprintf(header + 124, 12, "%011zo", size);
	g_snprintf(header + 136, 12, "%011o", 1700000000U);
	memset(header + 148, ' ', 8);
	header[156] = type;
	if (link)
		memcpy(header + 157, link, MIN(strlen(link), 100));
	memcpy(header + 257, "ustar\00000", 8);
	unsigned sum = 0;
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)header[i];
	g_snprintf(header + 148, 8, "%06o", sum);
	g_byte_array_append(out, (const guint8 *)header, BLOCK);
}

static void add_padded(GByteArray *out, const char *bytes, size_t len)
{
	static const guint8 zeros[BLOCK];
	g_byte_array_append(out, (const guint8 *)bytes, (guint)len);
	if (len % BLOCK)
		g_byte_array_append(out, zeros, (guint)(BLOCK - len % BLOCK));
}

/* "LEN name=value\n", where LEN counts itself. */
static void add_pax(GByteArray *out, const char *pair)
{
	size_t len = strlen(pair) + 3;
	g_autofree char *record = NULL;
	for (size_t guess = len; ; guess++) {
		g_free(record);
		record = g_strdup_printf("%zu %s\n", guess, pair);
		if (strlen(record) == guess)
			break;
	}
	add_header(out, "pax", 'x', NULL, strlen(record), 0644, 0, 0);
	add_padded(out, record, strlen(record));
}

GByteArray *oci_tar(const TarEntry *entries)
{
	static const guint8 zeros[2 * BLOCK];
	GByteArray *out = g_byte_array_new();
	for (const TarEntry *entry = entries; entry->name; entry++) {
		char type = entry->type ? entry->type : '0';
		size_t size = type == '0' && entry->text ? strlen(entry->text) : 0;
		if (entry->xattr)
			add_pax(out, entry->xattr);
		add_header(out, entry->name, type, entry->link, size, entry->mode ? entry->mode : type == '5' ? 0755U : 0644U,
		        entry->uid, entry->gid);
		if (size > 0)
			add_padded(out, entry->text, size);
	}
	g_byte_array_append(out, zeros, sizeof zeros);
	return out;
}

GByteArray *oci_gzip(const GByteArray *bytes)
{
	z_stream stream = {0};
	g_assert_cmpint(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), ==, Z_OK);
	GByteArray *out = g_byte_array_new();
	g_byte_array_set_size(out, (guint)deflateBound(&stream, bytes->len));
	stream.next_in = bytes->data;
	stream.avail_in = bytes->len;
	stream.next_out = out->data;
	stream.avail_out = out->len;
	g_assert_cmpint(deflate(&stream, Z_FINISH), ==, Z_STREAM_END);
	g_byte_array_set_size(out, (guint)stream.total_out);
	deflateEnd(&stream);
	return out;
}

char *oci_digest(const GByteArray *bytes)
{
	g_autofree char *hex = hash_bytes_hex(bytes->data, bytes->len);
	return g_strconcat("sha256:", hex, NULL);
}

static char *put_blob(const char *folder, const void *bytes, size_t len)
{
	g_autofree char *hex = hash_bytes_hex(bytes, len);
	g_autofree char *path = g_build_filename(folder, "blobs", "sha256", hex, NULL);
	g_assert_true(g_file_set_contents(path, bytes, (gssize)len, NULL));
	return g_strconcat("sha256:", hex, NULL);
}

char *oci_layout(const char *folder, GPtrArray *layers, json_t *config)
{
	g_autofree char *blobs = g_build_filename(folder, "blobs", "sha256", NULL);
	g_autofree char *index_path = g_build_filename(folder, "index.json", NULL);
	g_assert_true(fd_make_folder(blobs, 0755, NULL));
	g_autoptr(json_t) ids = json_array();
	g_autoptr(json_t) descriptors = json_array();
	for (guint i = 0; i < layers->len; i++) {
		const GByteArray *tar = layers->pdata[i];
		g_autofree char *id = oci_digest(tar);
		GByteArray *packed = oci_gzip(tar);
		g_autofree char *digest = put_blob(folder, packed->data, packed->len);
		json_array_append_new(ids, json_string(id));
		json_array_append_new(descriptors, json_pack("{s:s,s:s,s:i}", "mediaType",
		        "application/vnd.oci.image.layer.v1.tar+gzip", "digest", digest, "size", (int)packed->len));
		g_byte_array_unref(packed);
	}
	g_autoptr(json_t) image = json_pack("{s:s,s:o,s:{s:s,s:O}}", "os", "linux", "config", config ? config : json_object(),
	        "rootfs", "type", "layers", "diff_ids", ids);
	g_autofree char *image_text = json_text(image);
	g_autofree char *image_digest = put_blob(folder, image_text, strlen(image_text));
	g_autoptr(json_t) manifest = json_pack("{s:i,s:{s:s,s:s,s:i},s:O}", "schemaVersion", 2, "config", "mediaType",
	        "application/vnd.oci.image.config.v1+json", "digest", image_digest, "size", (int)strlen(image_text), "layers",
	        descriptors);
	g_autofree char *text = json_text(manifest);
	char *digest = put_blob(folder, text, strlen(text));
	g_autoptr(json_t) index = json_pack("{s:i,s:[{s:s,s:s,s:i}]}", "schemaVersion", 2, "manifests", "mediaType",
	        "application/vnd.oci.image.manifest.v1+json", "digest", digest, "size", (int)strlen(text));
	g_autofree char *index_text = json_text(index);
	g_assert_true(g_file_set_contents(index_path, index_text, -1, NULL));
	return digest;
}
