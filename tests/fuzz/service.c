/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job's clients of artifacts and caches may send: a connection's bytes, in which a byte of 1 stands for the token's
 * header, and 2, 3 and 4 for the signed paths of an upload, an artifact and a cache. Every answer is one of HTTP, and no
 * half of an upload is left. The agent's answers lie ready; the content store cannot be opened.
 */
#include <dirent.h>
#include <fcntl.h>
#include <glib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/json.h"
#include "agent/job/service_private.h"

#define ANSWERS 40
#define UPLOAD "00112233445566778899aabbccddeeff"
#define DIGEST "ab54a58eb0d8b7c1"
#define INPUT_BYTES_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *folder;

static void remove_folder(void)
{
	fd_remove_tree(folder, NULL);
	g_free(folder);
}

static void put_file(const char *name, const char *text, size_t len)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	g_assert_true(g_file_set_contents(path, text, (gssize)len, NULL));
}

static void make_folder(void)
{
	folder = g_dir_make_tmp("assay-fuzz-XXXXXX", NULL);
	g_autofree char *service = g_build_filename(folder, SERVICE_FOLDER, NULL);
	g_assert_true(fd_make_folder(service, 0700, NULL));
	g_autoptr(GString) answers = g_string_new(NULL);
	for (int i = 1; i <= ANSWERS; i++)
		g_string_append_printf(answers,
		        i % 7 == 0 ? "{\"ask\":%d,\"ok\":false,\"type\":\"denied\",\"message\":\"no\"}\n"
		                   : "{\"ask\":%d,\"ok\":true,\"result\":{\"id\":7,\"key\":\"k\",\"version\":\"v\",\"digest\":\"" DIGEST
		                     "\",\"artifacts\":[{\"id\":7,\"job\":5,\"name\":\"model\",\"bytes\":12,\"digest\":\"" DIGEST "\"}]}}\n",
		        i);
	put_file("answers.jsonl", answers->str, answers->len);
	put_file(SERVICE_FOLDER "/cache-" DIGEST ".blob", answers->str, 1000);
	atexit(remove_folder);
}

static void append_signed(GString *out, const Service *service, const char *path)
{
	char signature[SERVICE_ID_BYTES];
	service_sign(service, path, signature);
	g_string_append_printf(out, "%s?sig=%s", path, signature);
}

static GString *expand(const Service *service, const uint8_t *data, size_t size)
{
	GString *out = g_string_new(NULL);
	for (size_t i = 0; i < size && out->len < 16 * INPUT_BYTES_MAX; i++)
		if (data[i] == 1)
			g_string_append_printf(out, "Authorization: Bearer %s\r\n", service->token);
		else if (data[i] == 2)
			append_signed(out, service, "/blobs/upload/" UPLOAD);
		else if (data[i] == 3)
			append_signed(out, service, "/blobs/artifact/" DIGEST ".zip");
		else if (data[i] == 4)
			append_signed(out, service, "/blobs/cache/" DIGEST ".blob");
		else
			g_string_append_c(out, (char)data[i]);
	return out;
}

static void check_no_part(const char *path)
{
	g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
	for (const char *name; entries && (name = g_dir_read_name(entries));) {
		g_autofree char *below = g_build_filename(path, name, NULL);
		g_assert_false(g_str_has_prefix(name, "part-"));
		if (g_str_has_prefix(name, "up-"))
			check_no_part(below);
	}
}

static void converse(Connection *connection, const GString *bytes)
{
	int ends[2];
	const struct timeval second = {.tv_sec = 1};
	const int room = 4 * 1024 * 1024;
	g_assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	for (int i = 0; i < 2; i++)
		setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	setsockopt(ends[1], SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second); /* nobody reads before the end */
	g_assert_true(fd_write_all(ends[0], bytes->str, bytes->len, "the socket", NULL));
	shutdown(ends[0], SHUT_WR);
	connection->fd = ends[1];
	service_serve(connection);
	char head[9] = "";
	ssize_t got = recv(ends[0], head, sizeof head, MSG_WAITALL);
	g_assert_true(got <= 0 || memcmp(head, "HTTP/1.1 ", sizeof head) == 0);
	close(ends[0]);
	close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > INPUT_BYTES_MAX)
		return 0;
	if (!folder)
		make_folder();
	_Atomic int64_t staged = 0;
	Service service = {.listen_fd = -1, .port = 1, .token = (char *)"a.b.c", .run_id = (char *)"4", .job_id = (char *)"5", .staged_bytes = &staged};
	g_autoptr(Mask) mask = mask_new();
	autofd int folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int service_folder_fd = openat(folder_fd, SERVICE_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	autofd int events_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	g_autoptr(json_t) spec = json_pack("{s:s}", "data", "/dev/null/none");
	Task task = {.folder = folder, .folder_fd = folder_fd, .spec = spec, .mask = mask, .events_fd = events_fd, .signal_fd = -1};
	Job job = {.task = &task, .spec = spec, .service = &service, .deadline_us = 1}; /* what is not answered is not waited for */
	Connection connection = {.job = &job, .service = &service, .folder_fd = service_folder_fd};
	g_autoptr(json_t) about = json_pack("{s:s, s:s, s:s}", "name", "model", "key", "k", "version", "v");
	g_assert_true(blob_begin(&connection, UPLOAD, about, NULL));
	g_autoptr(GString) bytes = expand(&service, data, size);
	converse(&connection, bytes);
	g_autofree char *path = g_build_filename(folder, SERVICE_FOLDER, NULL);
	check_no_part(path);
	g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
	for (const char *name; (name = g_dir_read_name(entries));)
		if (g_str_has_prefix(name, "up-"))
			g_assert_true(tree_remove(service_folder_fd, name, NULL));
	return 0;
}
