/* SPDX-License-Identifier: Apache-2.0 */
/* N: addresses, families, links. */
#include "tests/abuse/attempt.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* "127.0.0.1:80" */
static int parse(const char *text, struct sockaddr_in *out)
{
	char address[64];
	const char *colon = strrchr(text, ':');
	if (!colon || (size_t)(colon - text) >= sizeof address)
		return EINVAL;
	memcpy(address, text, (size_t)(colon - text));
	address[colon - text] = '\0';
	*out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
	return inet_pton(AF_INET, address, &out->sin_addr) == 1 ? 0 : EINVAL;
}
static int try_tcp(const char *where)
{
	struct sockaddr_in address;
	int why = parse(where, &address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (why || fd < 0)
		return why ? why : errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof why;
	if (poll(&wait, 1, 20000) != 1) /* a refusal comes at once; an answer may be slow on a busy machine */
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len);
	return why;
}
/* Bound to the way out's link: then the kernel takes what no route leads to for something on the link. */
static int try_tcp_by_link(const char *where)
{
	struct sockaddr_in address;
	int why = parse(where, &address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (why || fd < 0)
		return why ? why : errno;
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "net0", 4) < 0)
		return errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
		return errno;
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof why;
	if (poll(&wait, 1, 3000) != 1)
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len);
	return why;
}
static int try_udp(const char *where)
{
	struct sockaddr_in address;
	int why = parse(where, &address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (why || fd < 0)
		return why ? why : errno;
	return result(sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address));
}
static socklen_t abstract(const char *name, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(out->sun_path + 1, name, strlen(name));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}
static int try_abstract(const char *name)
{
	struct sockaddr_un address;
	socklen_t len = abstract(name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&address, len));
}
/* Listens until it is ended, for the other side to find. */
static int try_abstract_server(const char *name)
{
	struct sockaddr_un address;
	socklen_t len = abstract(name, &address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 || listen(fd, 4) < 0)
		return errno;
	if (write(2, "ready\n", 6) < 0)
		return errno;
	pause();
	return 0;
}
static int try_unix(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return ENAMETOOLONG;
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&address, sizeof address));
}
static int try_family(const char *text)
{
	int family = 0, type = SOCK_STREAM, protocol = 0;
	sscanf(text, "%d,%d,%d", &family, &type, &protocol);
	return result(socket(family, type | SOCK_CLOEXEC, protocol));
}
/* The same with bits beyond 32, which the kernel does not look at. */
static int try_family_high(const char *text)
{
	long family = strtol(text, NULL, 10) | (1L << 32);
	return result(syscall(41, family, SOCK_STREAM, 0));
}
static int try_pair(const char *text)
{
	int ends[2];
	return result(socketpair((int)strtol(text, NULL, 10), SOCK_STREAM, 0, ends));
}
static int try_host_by_vsock(const char *unused)
{
	(void)unused;
	struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 1};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	struct timeval wait = {.tv_sec = 1};
	setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &wait, sizeof wait);
	connect(fd, (struct sockaddr *)&address, sizeof address);
	return 0; /* the family is there: that is what no network namespace covers */
}
static int try_set_link(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_UP};
	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return errno;
	return result(ioctl(fd, SIOCSIFFLAGS, &request));
}
static int try_own_server(const char *unused)
{
	(void)unused;
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof address;
	if (server < 0 || bind(server, (struct sockaddr *)&address, len) < 0 || listen(server, 1) < 0 ||
	        getsockname(server, (struct sockaddr *)&address, &len) < 0)
		return errno;
	return result(connect(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&address, len));
}
/* Binds a port and keeps it a while, so that two jobs have it at the same time. */
static int try_hold_port(const char *port)
{
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)},
	        .sin_port = htons((uint16_t)atoi(port))};
	if (server < 0 || bind(server, (struct sockaddr *)&address, sizeof address) < 0 || listen(server, 1) < 0)
		return errno;
	if (write(2, "ready\n", 6) < 0)
		return errno;
	pause();
	return 0;
}

const Attempt attempts_network[] = {
	{"tcp", try_tcp}, {"tcp_by_link", try_tcp_by_link}, {"udp", try_udp}, {"abstract", try_abstract}, {"abstract_server", try_abstract_server},
	{"unix", try_unix}, {"family", try_family}, {"family_high", try_family_high}, {"pair", try_pair},
	{"host_by_vsock", try_host_by_vsock}, {"set_link", try_set_link}, {"own_server", try_own_server},
	{"hold_port", try_hold_port}, {NULL, NULL},
};
