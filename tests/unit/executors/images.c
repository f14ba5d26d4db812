/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images from a registry that lies, stalls, cuts off, loops or forbids: a server of a few lines in a thread, which does
 * what the case says. And the store: what two pulls at once leave, and what the sweep takes.
 */
#include "executors/images.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "tests/lib/oci.h"

typedef enum Trick {
	HONEST, WRONG_LAYER, LONG_LAYER, SHORT_LAYER, CUT_LAYER, STALL, REFUSE_ALWAYS, TOKENS, BASIC, BUSY_TWICE, HUGE_MANIFEST,
	WRONG_CONFIG, TO_METADATA, NO_RANGES,
} Trick;

typedef struct Server {
	Trick trick;
	int listen_fd;
	int port;
	GThread *thread;
	GHashTable *blobs; /* "/v2/x/blobs/sha256:…" and manifests → GByteArray */
	char *layer_path;
	gint requests, ranges, busy, stop;
} Server;

typedef struct Fixture {
	char *root, *store;
	Server server;
	char *reference;
	json_t *settings;
	GString *said;
	const char *username;
	bool stopped;
} Fixture;

/* ---- the server ---- */

static void send_all(int fd, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t put = send(fd, (const char *)bytes + done, len - done, MSG_NOSIGNAL);
		if (put <= 0)
			return;
		done += (size_t)put;
	}
}

static void answer(int fd, const char *status, const char *headers, const guint8 *bytes, size_t len, size_t sent)
{
	g_autofree char *head =
	        g_strdup_printf("HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status, len, headers);
	send_all(fd, head, strlen(head));
	send_all(fd, bytes, sent);
}

static void serve_blob(Server *server, int fd, const char *path, const char *request, const GByteArray *bytes)
{
	bool layer = strcmp(path, server->layer_path) == 0;
	const char *range = strstr(request, "Range: bytes=");
	size_t from = range ? (size_t)g_ascii_strtoull(range + strlen("Range: bytes="), NULL, 10) : 0;
	g_autoptr(GByteArray) own = g_byte_array_new();
	g_byte_array_append(own, bytes->data, bytes->len);
	if (layer && server->trick == WRONG_LAYER)
		own->data[own->len / 2] ^= 1;
	if (layer && server->trick == LONG_LAYER)
		g_byte_array_append(own, (const guint8 *)"more", 4);
	if (layer && server->trick == SHORT_LAYER)
		g_byte_array_set_size(own, own->len - 3);
	if (range)
		g_atomic_int_inc(&server->ranges);
	if (layer && server->trick == NO_RANGES)
		from = 0;
	bool cut = layer && !range && (server->trick == CUT_LAYER || server->trick == NO_RANGES);
	if (cut && server->trick == NO_RANGES && g_atomic_int_add(&server->busy, 1) > 0)
		cut = false;
	size_t len = own->len - MIN(from, own->len);
	answer(fd, from > 0 ? "206 Partial Content" : "200 OK", "", own->data + MIN(from, own->len), len, cut ? len / 2 : len);
}

static void serve(Server *server, int fd)
{
	char request[8192] = {0};
	size_t used = 0;
	while (used < sizeof request - 1 && !strstr(request, "\r\n\r\n")) {
		ssize_t got = recv(fd, request + used, sizeof request - 1 - used, 0);
		if (got <= 0)
			return;
		used += (size_t)got;
	}
	g_atomic_int_inc(&server->requests);
	g_autofree char *path = g_strndup(request + 4, strcspn(request + 4, " "));
	g_autofree char *bearer =
	        g_strdup_printf("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%d/token\",service=\"s\",scope=\"repository:x:pull\"\r\n",
	                server->port);
	if (g_str_has_prefix(path, "/token")) {
		/* ci:secret */
		bool known = strstr(request, "Authorization: Basic Y2k6c2VjcmV0") != NULL;
		const char *text = "{\"token\":\"good-token\"}";
		if (server->trick == TOKENS && !known)
			answer(fd, "401 Unauthorized", "", NULL, 0, 0);
		else
			answer(fd, "200 OK", "", (const guint8 *)text, strlen(text), strlen(text));
		return;
	}
	if (server->trick == REFUSE_ALWAYS || (server->trick == TOKENS && !strstr(request, "Authorization: Bearer good-token"))) {
		answer(fd, "401 Unauthorized", bearer, NULL, 0, 0);
		return;
	}
	if (server->trick == BASIC && !strstr(request, "Authorization: Basic Y2k6c2VjcmV0")) {
		answer(fd, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n", NULL, 0, 0);
		return;
	}
	if (server->trick == BUSY_TWICE && g_atomic_int_add(&server->busy, 1) % 3 < 2) {
		answer(fd, "503 Service Unavailable", "", NULL, 0, 0);
		return;
	}
	if (server->trick == TO_METADATA && strcmp(path, server->layer_path) == 0) {
		answer(fd, "307 Temporary Redirect", "Location: http://169.254.169.254/latest/\r\n", NULL, 0, 0);
		return;
	}
	if (server->trick == STALL && strcmp(path, server->layer_path) == 0) {
		const char *head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
		send_all(fd, head, strlen(head));
		for (int i = 0; i < 300 && !g_atomic_int_get(&server->stop); i++)
			g_usleep(10000);
		return;
	}
	if (server->trick == HUGE_MANIFEST && strstr(path, "/manifests/")) {
		g_autofree char *huge = g_strnfill(5 << 20, ' ');
		answer(fd, "200 OK", "", (const guint8 *)huge, 5 << 20, 5 << 20);
		return;
	}
	const GByteArray *bytes = g_hash_table_lookup(server->blobs, path);
	if (bytes)
		serve_blob(server, fd, path, request, bytes);
	else
		answer(fd, "404 Not Found", "", NULL, 0, 0);
}

static gpointer server_main(gpointer data)
{
	Server *server = data;
	for (;;) {
		int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (g_atomic_int_get(&server->stop) || (fd < 0 && errno != EINTR))
			return NULL;
		serve(server, fd);
		shutdown(fd, SHUT_WR);
		close(fd);
	}
}

static void server_start(Server *server)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof address;
	server->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_assert_cmpint(bind(server->listen_fd, (struct sockaddr *)&address, len), ==, 0);
	g_assert_cmpint(listen(server->listen_fd, 16), ==, 0);
	g_assert_cmpint(getsockname(server->listen_fd, (struct sockaddr *)&address, &len), ==, 0);
	server->port = ntohs(address.sin_port);
	server->thread = g_thread_new("registry", server_main, server);
}

static void server_stop(Server *server)
{
	g_atomic_int_set(&server->stop, 1);
	shutdown(server->listen_fd, SHUT_RDWR);
	g_thread_join(server->thread);
	close(server->listen_fd);
	g_hash_table_unref(server->blobs);
	g_free(server->layer_path);
}

/* Puts a layout's image under the name x:1. */
static void serve_layout(Server *server, const char *folder, const char *manifest_digest)
{
	g_autofree char *blobs = g_build_filename(folder, "blobs", "sha256", NULL);
	g_autoptr(GDir) dir = g_dir_open(blobs, 0, NULL);
	for (const char *name; (name = g_dir_read_name(dir));) {
		g_autofree char *path = g_build_filename(blobs, name, NULL);
		char *bytes = NULL;
		gsize len = 0;
		g_assert_true(g_file_get_contents(path, &bytes, &len, NULL));
		GByteArray *array = g_byte_array_new_take((guint8 *)bytes, len);
		bool manifest = strcmp(name, manifest_digest + strlen("sha256:")) == 0;
		g_hash_table_insert(server->blobs, manifest ? g_strdup("/v2/x/manifests/1") : g_strconcat("/v2/x/blobs/sha256:", name, NULL),
		        array);
		if (len > 2 && (guint8)bytes[0] == 0x1f)
			server->layer_path = g_strconcat("/v2/x/blobs/sha256:", name, NULL);
	}
}

/* ---- the cases ---- */

static void set_up(Fixture *fixture, gconstpointer data)
{
	fixture->root = g_dir_make_tmp("assay-images-XXXXXX", NULL);
	fixture->store = g_build_filename(fixture->root, "store", NULL);
	fixture->said = g_string_new(NULL);
	fixture->server = (Server){.trick = (Trick)GPOINTER_TO_INT(data),
	        .blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_byte_array_unref)};
	g_autofree char *layout = g_build_filename(fixture->root, "layout", NULL);
	g_autofree char *random = g_malloc0(40001);
	for (int i = 0; i < 40000; i++)
		random[i] = (char)('a' + g_random_int_range(0, 26));
	const TarEntry entries[] = {{.name = "etc/passwd", .text = "root:x:0:0::/root:/bin/sh\nworker:x:7:8::/home/w:/bin/sh\n"},
	        {.name = "etc/group", .text = "staff:x:50:\n"}, {.name = "data", .text = random}, {.name = NULL}};
	g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func((GDestroyNotify)g_byte_array_unref);
	g_ptr_array_add(layers, oci_tar(entries));
	g_autofree char *digest = oci_layout(layout, layers, NULL);
	serve_layout(&fixture->server, layout, digest);
	server_start(&fixture->server);
	fixture->reference = g_strdup_printf("127.0.0.1:%d/x:1", fixture->server.port);
	g_autofree char *host = g_strdup_printf("127.0.0.1:%d", fixture->server.port);
	fixture->settings = json_pack("{s:[s],s:i,s:i,s:i,s:[s]}", "plain_http", host, "stall_s", 1, "attempts", 3, "pause_ms", 10,
	        "local", fixture->root);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	server_stop(&fixture->server);
	g_string_free(fixture->said, TRUE);
	json_decref(fixture->settings);
	g_assert_true(fd_remove_tree(fixture->root, NULL));
	g_free(fixture->root);
	g_free(fixture->store);
	g_free(fixture->reference);
}

static bool is_stopped(void *data)
{
	return ((Fixture *)data)->stopped;
}

static void say(void *data, const char *text)
{
	g_string_append_printf(((Fixture *)data)->said, "%s\n", text);
}

static Image *pull(Fixture *fixture, GError **error)
{
	const PlaceImage spec = {.reference = fixture->reference, .username = fixture->username,
	        .password = fixture->username ? "secret" : NULL, .store = fixture->store, .settings = fixture->settings,
	        .stopped = is_stopped, .say = say, .data = fixture};
	Image *image = NULL;
	return image_prepare(&spec, geteuid(), getegid(), NULL, &image, error) ? image : NULL;
}

static void works(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	g_autoptr(Image) image = pull(fixture, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(image->layers->len, ==, 1);
	g_autofree char *path = g_build_filename(image->layers_folder, image->layers->pdata[0], "etc/passwd", NULL);
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
}

static void fails_with(Fixture *fixture, const char *why)
{
	g_autoptr(GError) error = NULL;
	g_assert_null(pull(fixture, &error));
	if (!strstr(error->message, why))
		g_error("'%s' is not in '%s'", why, error->message);
	g_autofree char *layers = g_strdup_printf("%s/layers-%u", fixture->store, (unsigned)geteuid());
	g_autoptr(GDir) dir = g_dir_open(layers, 0, NULL);
	for (const char *name; dir && (name = g_dir_read_name(dir));)
		g_assert_true(g_str_has_suffix(name, ".json")); /* nothing half */
	g_autofree char *staging = g_build_filename(fixture->store, "staging", NULL);
	g_autoptr(GDir) stages = g_dir_open(staging, 0, NULL);
	g_assert_true(!stages || !g_dir_read_name(stages));
}

static void a_wrong_layer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fails_with(fixture, "comes with the digest");
}

static void a_long_layer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fails_with(fixture, "sends more bytes than it said");
}

static void a_short_layer(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fails_with(fixture, "bytes and not");
}

static void a_cut_layer_is_gone_on_with(Fixture *fixture, gconstpointer data)
{
	works(fixture, data);
	g_assert_cmpint(g_atomic_int_get(&fixture->server.ranges), >, 0);
}

static void without_ranges_it_begins_anew(Fixture *fixture, gconstpointer data)
{
	works(fixture, data);
}

static void a_stall_ends(Fixture *fixture, gconstpointer data)
{
	(void)data;
	int64_t start = monotonic_us();
	fails_with(fixture, "it stalls: no byte for 1 s");
	g_assert_cmpint(monotonic_us() - start, <, 60 * G_USEC_PER_SEC);
	g_assert_nonnull(strstr(fixture->said->str, "trying again"));
}

static void a_stall_can_be_stopped(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_set_int(fixture->settings, "stall_s", 600);
	g_autoptr(GError) error = NULL;
	fixture->stopped = true;
	g_assert_null(pull(fixture, &error));
	g_assert_error(error, ASSAY_ERROR, ASSAY_ERROR_BUSY);
}

static void a_loop_of_401_ends(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fails_with(fixture, "it refuses manifest (401)");
	g_assert_cmpint(g_atomic_int_get(&fixture->server.requests), <, 6);
}

static void tokens_are_fetched(Fixture *fixture, gconstpointer data)
{
	fails_with(fixture, "refuses to answer without credentials");
	fixture->username = "eve";
	fails_with(fixture, "refuses these credentials");
	fixture->username = "ci";
	works(fixture, data);
}

static void passwords_are_sent_when_asked_for(Fixture *fixture, gconstpointer data)
{
	fails_with(fixture, "give 'credentials'");
	fixture->username = "ci";
	works(fixture, data);
}

static void a_busy_one_is_asked_again(Fixture *fixture, gconstpointer data)
{
	works(fixture, data);
	g_assert_nonnull(strstr(fixture->said->str, "it answers 503"));
}

static void a_huge_manifest(Fixture *fixture, gconstpointer data)
{
	(void)data;
	fails_with(fixture, "sends more bytes");
}

static void metadata_is_not_asked(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	int64_t start = monotonic_us();
	g_assert_null(pull(fixture, &error));
	g_assert_cmpint(monotonic_us() - start, <, 20 * G_USEC_PER_SEC);
}

static void an_absent_image(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_free(fixture->reference);
	fixture->reference = g_strdup_printf("127.0.0.1:%d/x:2", fixture->server.port);
	fails_with(fixture, "it has no manifest; check name and tag");
}

static void admins_decide_where_from(Fixture *fixture, gconstpointer data)
{
	(void)data;
	json_set(fixture->settings, "registries", json_pack("[s]", "docker.io"));
	fails_with(fixture, "is not one of those that an admin allows");
	json_object_del(fixture->settings, "registries");
	json_set_bool(fixture->settings, "untrusted", true);
	fails_with(fixture, "a job that is not trusted pulls only from registries");
	json_set_bool(fixture->settings, "untrusted", false);
	json_set(fixture->settings, "local", json_pack("[s]", "/elsewhere"));
	g_free(fixture->reference);
	fixture->reference = g_strdup_printf("oci:%s/layout", fixture->root);
	fails_with(fixture, "lies outside the folders");
	json_set(fixture->settings, "local", json_pack("[s]", fixture->root));
	g_free(fixture->reference);
	fixture->reference = g_strdup_printf("oci:%s/../etc", fixture->root);
	fails_with(fixture, "lies outside the folders");
}

static void a_layout_and_users(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	g_free(fixture->reference);
	fixture->reference = g_strdup_printf("oci:%s/layout", fixture->root);
	g_autoptr(Image) image = pull(fixture, &error);
	g_assert_no_error(error);
	static const struct {
		const char *user;
		uid_t uid;
		gid_t gid;
		const char *home;
	} cases[] = {{"", 0, 0, "/root"}, {"worker", 7, 8, "/home/w"}, {"7", 7, 8, "/home/w"}, {"worker:staff", 7, 50, "/home/w"},
	        {"1234:5", 1234, 5, "/"}};
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		ImageUser user;
		g_assert_true(image_user(image, cases[i].user, &user, &error));
		g_assert_cmpuint(user.uid, ==, cases[i].uid);
		g_assert_cmpuint(user.gid, ==, cases[i].gid);
		g_assert_cmpstr(user.home, ==, cases[i].home);
		g_free(user.home);
	}
	ImageUser user;
	g_assert_false(image_user(image, "nobody-here", &user, &error));
	g_clear_error(&error);
	g_assert_false(image_user(image, "7:nogroup-here", &user, &error));
}

static void two_pulls_at_once_are_one(Fixture *fixture, gconstpointer data)
{
	(void)data;
	pid_t children[4];
	for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
		children[i] = fork();
		if (children[i] == 0) {
			Image *image = pull(fixture, NULL);
			_exit(image && image->layers->len == 1 ? 0 : 1);
		}
	}
	for (size_t i = 0; i < G_N_ELEMENTS(children); i++) {
		int status = -1;
		g_assert_cmpint(waitpid(children[i], &status, 0), ==, children[i]);
		g_assert_cmpint(status, ==, 0);
	}
	g_autofree char *downloads = g_build_filename(fixture->store, "downloads", NULL);
	g_autoptr(GDir) dir = g_dir_open(downloads, 0, NULL);
	g_assert_null(g_dir_read_name(dir));
}

static void a_sweep_leaves_what_is_held(Fixture *fixture, gconstpointer data)
{
	(void)data;
	g_autoptr(GError) error = NULL;
	ImageSweep sweep;
	Image *image = pull(fixture, &error);
	g_assert_no_error(error);
	g_autofree char *layer = g_build_filename(image->layers_folder, image->layers->pdata[0], NULL);
	g_assert_true(image_sweep(fixture->store, 0, 1, &sweep, &error));
	g_assert_cmpint(sweep.layers, ==, 0);
	g_assert_true(g_file_test(layer, G_FILE_TEST_IS_DIR));
	image_release(image);
	g_assert_true(image_sweep(fixture->store, INT64_C(3600000000), INT64_C(1) << 40, &sweep, &error));
	g_assert_cmpint(sweep.layers, ==, 0); /* young and small */
	g_assert_true(image_sweep(fixture->store, 0, 1, &sweep, &error));
	g_assert_cmpint(sweep.layers, ==, 1);
	g_assert_cmpint(sweep.left_bytes, ==, 0);
	g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
	works(fixture, data); /* it comes again */
	g_usleep(20000);
	g_assert_true(image_sweep(fixture->store, 10000, 0, &sweep, &error));
	g_assert_cmpint(sweep.layers, ==, 1); /* by its age */
}

/* Which users have others beside them; their layers lie apart. */
static void only_root_has_others(Fixture *fixture, gconstpointer data)
{
	(void)data;
	static const struct {
		const char *user;
		bool has_users;
	} cases[] = {{NULL, true}, {"", true}, {"0", true}, {"root", true}, {"root:root", true}, {"0:0", true}, {"0:", true}, {"0:5", false},
	        {"5", false}, {"daemon", false}, {"00", false}, {"rooted", false}, {"5:0", false}};
	Ids ids = {0};
	ids_of_root("auto", 64001, 64001, &ids);
	if (geteuid() != 0 || ids.first_uid == 0) {
		g_test_skip(ids.why_not ? ids.why_not : "only root can look at it");
		ids_clear(&ids);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(GError) error = NULL;
		const PlaceImage spec = {.reference = fixture->reference, .store = fixture->store, .settings = fixture->settings,
		        .user = cases[i].user, .stopped = is_stopped, .say = say, .data = fixture};
		g_autoptr(Image) image = NULL;
		g_assert_true(image_prepare(&spec, 64001, 64001, &ids, &image, &error));
		g_assert_no_error(error);
		g_autofree char *apart = g_strdup_printf("layers-64001-%u-%u", (unsigned)ids.first_uid, (unsigned)ids.first_gid);
		if (image->has_users != cases[i].has_users || g_str_has_suffix(image->layers_folder, apart) != cases[i].has_users)
			g_error("user '%s': %s", cases[i].user, image->layers_folder);
	}
	ImageSweep sweep;
	g_assert_true(image_sweep(fixture->store, 0, 1, &sweep, NULL));
	g_assert_cmpint(sweep.layers, ==, 2);
	ids_clear(&ids);
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "unpack") == 0) /* as the worker does for a layer */
		return image_unpack_main(argc - 1, argv + 1);
	g_test_init(&argc, &argv, NULL);
#define ADD(name, trick) g_test_add("/images/" #name, Fixture, GINT_TO_POINTER(trick), set_up, name, tear_down)
	ADD(works, HONEST);
	ADD(a_wrong_layer, WRONG_LAYER);
	ADD(a_long_layer, LONG_LAYER);
	ADD(a_short_layer, SHORT_LAYER);
	ADD(a_cut_layer_is_gone_on_with, CUT_LAYER);
	ADD(without_ranges_it_begins_anew, NO_RANGES);
	ADD(a_stall_ends, STALL);
	ADD(a_stall_can_be_stopped, STALL);
	ADD(a_loop_of_401_ends, REFUSE_ALWAYS);
	ADD(tokens_are_fetched, TOKENS);
	ADD(passwords_are_sent_when_asked_for, BASIC);
	ADD(a_busy_one_is_asked_again, BUSY_TWICE);
	ADD(a_huge_manifest, HUGE_MANIFEST);
	ADD(metadata_is_not_asked, TO_METADATA);
	ADD(an_absent_image, HONEST);
	ADD(admins_decide_where_from, HONEST);
	ADD(a_layout_and_users, HONEST);
	ADD(only_root_has_others, HONEST);
	ADD(two_pulls_at_once_are_one, HONEST);
	ADD(a_sweep_leaves_what_is_held, HONEST);
	return g_test_run();
}
