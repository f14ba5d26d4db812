/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket and who serves it. A connection is a fork of the worker, confined to the service's folder and the content
 * store: it may block, it may be slow, and when a stranger's bytes break it, nothing but the connection is lost. What
 * connections share is in files and one counter. They ask the agent by numbers that no one else has (ask.h).
 */
#include "agent/job/service.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/base/clock.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/base/hash.h"
#include "agent/base/json.h"
#include "agent/job/archive.h"
#include "agent/job/confine.h"
#include "agent/job/service_private.h"

#define CONNECTIONS_MAX 64
#define BACKLOG 128
#define SILENCE_S 120        /* an idle client's connection is closed after this */
#define ASK_NUMBER_BITS 20   /* so many asks has a connection; the worker's own numbers stay below */
#define DAY_S 86400

static char *base64_url(const void *bytes, size_t len)
{
	char *text = g_base64_encode(bytes, len);
	for (char *at = text; *at; at++) {
		if (*at == '+')
			*at = '-';
		else if (*at == '/')
			*at = '_';
		else if (*at == '=')
			*at = '\0';
	}
	return text;
}

/*
 * A token in the form that the clients read (RFC 7519). We compare it as a whole, since each job has one only: where a
 * signature stands, as many random bytes are as good, and cost a job nothing.
 */
static char *make_token(const Service *service, const Job *job)
{
	const json_t *github = json_object_get(job->contexts, "github");
	int64_t now_s = now_us() / 1000000;
	g_autofree char *scopes = g_strdup_printf("Actions.GenericRead:%s:%s Actions.Results:%s:%s "
	                                          "Actions.UploadArtifacts:%s:%s",
	        service->run_id, service->job_id, service->run_id, service->job_id, service->run_id, service->job_id);
	g_autoptr(json_t) cache = json_pack("[{s:s, s:i}]", "Scope", json_get_string(github, "ref", ""), "Permission", 3);
	g_autofree char *cache_text = json_text(cache);
	g_autoptr(json_t) claims = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "iss", "assay", "sub", service->job_id, "scp",
	        scopes, "ac", cache_text, "nbf", (json_int_t)(now_s - 300), "exp", (json_int_t)(now_s + 30 * DAY_S));
	g_autofree char *claims_text = json_text(claims);
	static const char head[] = "{\"typ\":\"JWT\",\"alg\":\"HS256\"}";
	g_autofree char *first = base64_url(head, strlen(head));
	g_autofree char *second = base64_url(claims_text, strlen(claims_text));
	uint8_t unguessable[HASH_BYTES];
	random_bytes(unguessable, sizeof unguessable);
	g_autofree char *third = base64_url(unguessable, sizeof unguessable);
	return g_strjoin(".", first, second, third, NULL);
}

static int listen_here(GError **error)
{
	autofd int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 && listen(fd, BACKLOG) == 0)
		return fd_steal(&fd);
	fail_errno(error, errno, "cannot listen on 127.0.0.1 for the job's artifacts and caches");
	return -1;
}

Service *service_open(Job *job, GError **error)
{
	bool shared = job->place->service_fd < 0;
	autofd int fd = shared ? listen_here(error) : fd_duplicate(job->place->service_fd, error);
	struct sockaddr_in address = {0};
	socklen_t len = sizeof address;
	if (fd < 0)
		return NULL;
	if (getsockname(fd, (struct sockaddr *)&address, &len) < 0) {
		fail_errno(error, errno, "cannot learn the port of the job's service");
		return NULL;
	}
	void *counter = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counter == MAP_FAILED) {
		fail_errno(error, errno, "no memory for the job's service");
		return NULL;
	}
	Service *service = g_new0(Service, 1);
	service->listen_fd = fd_steal(&fd);
	service->port = ntohs(address.sin_port);
	service->staged_bytes = counter;
	service->pids = g_array_new(FALSE, FALSE, sizeof(pid_t));
	service->run_id = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(json_object_get(job->spec, "run"), "id", 0));
	service->job_id = g_strdup_printf("%" G_GINT64_FORMAT, json_get_int(json_object_get(job->spec, "job"), "id", 0));
	random_bytes(service->key, SERVICE_KEY_BYTES);
	service->token = make_token(service, job);
	if (shared) /* elsewhere nobody but the job can reach what it opens */
		mask_add(job->task->mask, service->token, strlen(service->token));
	return service;
}

static void reap(Service *service, int options)
{
	for (guint i = service->pids->len; i > 0; i--)
		if (waitpid(g_array_index(service->pids, pid_t, i - 1), NULL, options) != 0)
			g_array_remove_index_fast(service->pids, i - 1);
}

void service_close(Service *service)
{
	if (!service)
		return;
	for (guint i = 0; i < service->pids->len; i++)
		kill(g_array_index(service->pids, pid_t, i), SIGKILL);
	reap(service, 0);
	g_array_unref(service->pids);
	autofd_close(&service->listen_fd);
	munmap((void *)service->staged_bytes, sizeof(int64_t));
	g_free(service->token);
	g_free(service->run_id);
	g_free(service->job_id);
	g_free(service);
}

int service_fd(Service *service)
{
	if (!service)
		return -1;
	reap(service, WNOHANG);
	return service->pids->len < CONNECTIONS_MAX ? service->listen_fd : -1;
}

void service_set_variables(const Service *service, json_t *env)
{
	g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/", service->port);
	json_set_string(env, "ACTIONS_RUNTIME_URL", url);
	json_set_string(env, "ACTIONS_RESULTS_URL", url);
	json_set_string(env, "ACTIONS_CACHE_URL", url);
	json_set_string(env, "ACTIONS_CACHE_SERVICE_V2", "True");
	json_set_string(env, "ACTIONS_RUNTIME_TOKEN", service->token);
}

static gint by_number(gconstpointer a, gconstpointer b)
{
	return *(const int *)a - *(const int *)b;
}

/* The worker's descriptors of the place and of the step are not this process's business. */
static void close_others(const Connection *connection)
{
	int keep[] = {0, 1, 2, connection->fd, connection->folder_fd, connection->job->task->folder_fd,
	        connection->job->task->events_fd};
	qsort(keep, G_N_ELEMENTS(keep), sizeof keep[0], by_number);
	for (size_t i = 0; i + 1 < G_N_ELEMENTS(keep); i++)
		if (keep[i] >= 2 && keep[i] + 1 < keep[i + 1])
			syscall(SYS_close_range, (unsigned)keep[i] + 1, (unsigned)keep[i + 1] - 1, 0U);
	syscall(SYS_close_range, (unsigned)keep[G_N_ELEMENTS(keep) - 1] + 1, ~0U, 0U);
	connection->job->task->signal_fd = -1;
}

static G_NORETURN void live(Connection *connection, pid_t worker)
{
	Job *job = connection->job;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != worker)
		_exit(1);
	prctl(PR_SET_NAME, "assay-service");
	umask(022); /* what it packs keeps its modes; the folder it works in is nobody else's */
	close_others(connection);
	const struct timeval silence = {.tv_sec = SILENCE_S};
	const int yes = 1;
	setsockopt(connection->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof silence);
	setsockopt(connection->fd, SOL_SOCKET, SO_SNDTIMEO, &silence, sizeof silence);
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	g_autofree char *objects = g_build_filename(json_get_string(job->spec, "data", "."), "objects", NULL);
	g_autofree char *folder = g_build_filename(job->task->folder, SERVICE_FOLDER, NULL);
	const char *const writable[] = {objects, folder, NULL};
	archive_load(NULL); /* who needs it and has it not says so */
	confine_service(job->task->folder, writable);
	job->asked = connection->service->connections << ASK_NUMBER_BITS;
	job->deadline_us = 0; /* it ends with the job, not before */
	job->step_deadline_us = 0;
	service_serve(connection);
	_exit(0);
}

void service_accept(Job *job)
{
	Service *service = job->service;
	autofd int fd = accept4(service->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	autofd int folder = tree_make_folder(job->task->folder_fd, SERVICE_FOLDER, (TreeOwner){0}, NULL);
	if (folder < 0)
		return;
	service->connections++;
	task_flush(job->task, NULL); /* else both would tell it */
	pid_t worker = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		Connection connection = {.job = job, .service = service, .fd = fd, .folder_fd = folder};
		live(&connection, worker);
	}
	if (pid > 0)
		g_array_append_val(service->pids, pid);
}

void service_sign(const Service *service, const char *words, char out[SERVICE_ID_BYTES])
{
	uint8_t mac[HASH_BYTES];
	hash_hmac(service->key, SERVICE_KEY_BYTES, words, strlen(words), mac);
	hex_write(mac, (SERVICE_ID_BYTES - 1) / 2, out);
}

char *service_url(const Service *service, const char *path, const char *more)
{
	char signature[SERVICE_ID_BYTES];
	service_sign(service, path, signature);
	return g_strdup_printf("http://127.0.0.1:%d%s?sig=%s%s", service->port, path, signature, more ? more : "");
}

bool service_is_signed(const Connection *connection)
{
	char signature[SERVICE_ID_BYTES];
	const char *given = g_hash_table_lookup(connection->request.query, "sig");
	service_sign(connection->service, connection->request.path, signature);
	return given && strlen(given) == SERVICE_ID_BYTES - 1 && equal_constant_time(given, signature, SERVICE_ID_BYTES - 1);
}
