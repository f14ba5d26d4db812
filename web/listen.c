/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets are made here and not by libmicrohttpd, so that their modes, options and errors are ours. */
#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"

#define BACKLOG 512

static char *url_of(int fd)
{
	struct sockaddr_storage bound;
	socklen_t len = sizeof bound;
	char host[NI_MAXHOST], port[NI_MAXSERV];
	if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0 ||
	        getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port,
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return NULL;
	return g_strdup_printf(bound.ss_family == AF_INET6 ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

int listen_tcp(const char *address, uint16_t port, char **out_url, GError **error)
{
	g_autofree char *service = g_strdup_printf("%u", port);
	g_autofree char *plain = g_str_has_prefix(address, "[") && g_str_has_suffix(address, "]")
	        ? g_strndup(address + 1, strlen(address) - 2)
	        : g_strdup(address);
	struct addrinfo *found = NULL;
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	int status = getaddrinfo(*plain ? plain : NULL, service, &hints, &found);
	if (status != 0) {
		fail(error, ASSAY_ERROR_USER, "cannot listen on '%s': %s; give an address of this machine", address,
		        gai_strerror(status));
		return -1;
	}
	autofd int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	bool good = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	        bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0;
	int why = errno;
	freeaddrinfo(found);
	if (!good) {
		fail_errno(error, why, "cannot listen on %s:%u", address, port);
		return -1;
	}
	*out_url = url_of(fd);
	return fd_steal(&fd);
}

static bool is_alive(const struct sockaddr_un *name)
{
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)name, sizeof *name) == 0;
}

int listen_unix(const char *path, GError **error)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof name.sun_path) {
		fail(error, ASSAY_ERROR_USER, "cannot listen on %s: a socket's path has at most %zu bytes; set 'socket' to a shorter one",
		        path, sizeof name.sun_path - 1);
		return -1;
	}
	memcpy(name.sun_path, path, strlen(path) + 1);
	g_autofree char *folder = g_path_get_dirname(path);
	if (!fd_make_folder(folder, 0755, error))
		return -1;
	struct stat there;
	if (lstat(path, &there) == 0) {
		if (!S_ISSOCK(there.st_mode) || is_alive(&name)) {
			fail(error, ASSAY_ERROR_BUSY, "cannot listen on %s: %s; stop it, or set another 'socket'", path,
			        S_ISSOCK(there.st_mode) ? "another agent answers there" : "something else has this name");
			return -1;
		}
		unlink(path);
	}
	autofd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The socket is born with its mode: nobody gets in between bind and a chmod. */
	mode_t before = umask(0117);
	bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0;
	int why = errno;
	umask(before);
	if (!good || listen(fd, BACKLOG) != 0) {
		fail_errno(error, good ? errno : why, "cannot listen on %s", path);
		return -1;
	}
	return fd_steal(&fd);
}

uid_t listen_peer_uid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 ? peer.uid : (uid_t)-1;
}

char *listen_address_text(const struct sockaddr *address, bool *out_loopback)
{
	char text[INET6_ADDRSTRLEN] = "";
	*out_loopback = false;
	if (address && address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
		*out_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
		inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
		return g_strdup(text);
	}
	if (address && address->sa_family == AF_INET6) {
		struct in6_addr v6 = ((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
		if (IN6_IS_ADDR_V4MAPPED(&v6)) {
			struct sockaddr_in v4 = {.sin_family = AF_INET};
			memcpy(&v4.sin_addr, v6.s6_addr + 12, 4);
			return listen_address_text((const struct sockaddr *)&v4, out_loopback);
		}
		*out_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
		if (!*out_loopback)
			memset(v6.s6_addr + 8, 0, 8);
		inet_ntop(AF_INET6, &v6, text, sizeof text);
		return g_strconcat(text, *out_loopback ? "" : "/64", NULL);
	}
	return g_strdup("socket");
}
