/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of reach, unless the config names it: this machine's own addresses, since what listens there takes such a connection
 * for one of its own; link-local ones, where a cloud tells a machine its secrets; what is said to many at once.
 */
#include "executors/outside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/autoptr.h"
#include "agent/base/error.h"
#include "agent/base/fd.h"
#include "agent/model/reach.h"
#include "executors/routes.h"

#define SMALL_FILE_BYTES 65536
#define TABLE_BYTES_MAX (4 * 1024 * 1024)
#define OWN_ADDRESSES_MAX 512 /* each is asked for every new connection */
#define RESOLVERS_MAX 3       /* as the C library's */
#define DNS_PORT 53
#define ROUTE_REJECTS 0x200   /* RTF_REJECT */

static const char *const never[] = {
	"169.254.0.0/16", "100.100.100.200", "168.63.129.16", "192.0.0.192", /* link-local and what clouds have besides */
	"224.0.0.0/3", "fe80::/10", "fec0::/10", "ff00::/8", "fd00:ec2::/32", "fd20:ce::/32", "fd00:42::42",
};

static char *read_text(const char *path, size_t limit_bytes)
{
	g_autoptr(GBytes) bytes = fd_read_file(path, limit_bytes, NULL);
	gsize len;
	const char *data = bytes ? g_bytes_get_data(bytes, &len) : NULL;
	return data ? g_strndup(data, len) : NULL;
}

static bool has_default_ipv4(void)
{
	g_autofree char *table = read_text("/proc/net/route", TABLE_BYTES_MAX);
	g_auto(GStrv) lines = g_strsplit(table ? table : "", "\n", 0);
	char link[32];
	unsigned target, gateway, flags, mask;
	for (char **line = lines; *line; line++)
		if (sscanf(*line, "%31s %x %x %x %*s %*s %*s %x", link, &target, &gateway, &flags, &mask) == 5 && target == 0 &&
		        mask == 0 && !(flags & ROUTE_REJECTS))
			return true;
	return false;
}

static bool has_default_ipv6(void)
{
	g_autofree char *table = read_text("/proc/net/ipv6_route", TABLE_BYTES_MAX);
	g_auto(GStrv) lines = g_strsplit(table ? table : "", "\n", 0);
	char target[33], link[32];
	unsigned len, flags;
	for (char **line = lines; *line; line++)
		if (sscanf(*line, "%32s %x %*s %*s %*s %*s %*s %*s %x %31s", target, &len, &flags, link) == 4 && len == 0 &&
		        strspn(target, "0") == 32 && !(flags & ROUTE_REJECTS) && strcmp(link, "lo") != 0)
			return true;
	return false;
}

static bool fits(const RoutesRule *rule, int family, const uint8_t *address)
{
	if (rule->family != family)
		return false;
	for (unsigned bit = 0; bit < rule->prefix; bit++)
		if ((rule->address[bit / 8] ^ address[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

static void add(Outside *outside, const RoutesRule *rule)
{
	if (rule->family == AF_INET ? outside->has_ipv4 : outside->has_ipv6)
		g_array_append_val(outside->rules, *rule);
}

static void add_good(Outside *outside, int family, const uint8_t *address, unsigned prefix, uint16_t port)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	RoutesRule rule = {.family = family, .prefix = prefix, .port = port, .good = true};
	memcpy(rule.address, address, family == AF_INET ? 4 : 16);
	for (size_t i = 0; i < G_N_ELEMENTS(protocols) && port; i++) {
		rule.protocol = protocols[i];
		add(outside, &rule);
	}
	if (!port)
		add(outside, &rule);
}

static void add_bad(Outside *outside, const char *text)
{
	g_auto(Reach) reach = {0};
	if (!reach_parse(text, &reach, NULL))
		return;
	RoutesRule rule = {.family = reach.family, .prefix = reach.prefix};
	memcpy(rule.address, reach.address, sizeof reach.address);
	add(outside, &rule);
}

static bool add_own(Outside *outside, GError **error)
{
	struct ifaddrs *all;
	unsigned count = 0;
	if (getifaddrs(&all) < 0)
		return fail_errno(error, errno, "network: cannot ask for this machine's addresses");
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		int family = one->ifa_addr ? one->ifa_addr->sa_family : AF_UNSPEC;
		if (family != AF_INET && family != AF_INET6)
			continue;
		RoutesRule rule = {.family = family, .prefix = family == AF_INET ? 32 : 128};
		if (family == AF_INET)
			memcpy(rule.address, &((const struct sockaddr_in *)(const void *)one->ifa_addr)->sin_addr, 4);
		else
			memcpy(rule.address, &((const struct sockaddr_in6 *)(const void *)one->ifa_addr)->sin6_addr, 16);
		if (reach_is_loopback(family, rule.address))
			continue;
		add(outside, &rule);
		count++;
	}
	freeifaddrs(all);
	return count <= OWN_ADDRESSES_MAX ||
	       fail(error, ASSAY_ERROR_SYSTEM, "network: this machine has %u addresses, and no more than %d can be kept out of a job's "
	                                       "reach", count, OWN_ADDRESSES_MAX);
}

static bool add_name(Outside *outside, const Reach *reach, GString *hosts, GError **error)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *all = NULL;
	int why = getaddrinfo(reach->host, NULL, &hints, &all);
	if (why != 0)
		return fail(error, ASSAY_ERROR_SYSTEM, "network: cannot look up '%s' of the config's sandbox.allow: %s", reach->host,
		        gai_strerror(why));
	unsigned count = 0;
	for (const struct addrinfo *one = all; one; one = one->ai_next) {
		const uint8_t *address = one->ai_family == AF_INET
		        ? (const uint8_t *)&((const struct sockaddr_in *)(const void *)one->ai_addr)->sin_addr
		        : (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)one->ai_addr)->sin6_addr;
		char text[INET6_ADDRSTRLEN];
		if (reach_is_loopback(one->ai_family, address) || !inet_ntop(one->ai_family, address, text, sizeof text))
			continue;
		add_good(outside, one->ai_family, address, one->ai_family == AF_INET ? 32 : 128, reach->port);
		g_string_append_printf(hosts, "%s %s\n", text, reach->host);
		count++;
	}
	freeaddrinfo(all);
	return count > 0 || fail(error, ASSAY_ERROR_SYSTEM, "network: '%s' of the config's sandbox.allow is this machine's loopback, "
	                                                    "where no network leads", reach->host);
}

/* The first that fits decides, as the kernel does it. */
static bool is_reached(const Outside *outside, int family, const uint8_t *address, uint16_t port)
{
	if (reach_is_loopback(family, address) || !(family == AF_INET ? outside->has_ipv4 : outside->has_ipv6))
		return false;
	for (guint i = 0; i < outside->rules->len; i++) {
		const RoutesRule *rule = &g_array_index(outside->rules, RoutesRule, i);
		if (fits(rule, family, address) && (!rule->port || rule->port == port))
			return rule->good;
	}
	return true;
}

/*
 * This machine's own resolvers where a job reaches the first, for that is the one that counts; otherwise (it listens on the
 * loopback, say) the third on the wire, which hands questions to it.
 */
static char *write_resolver(const Outside *outside)
{
	g_autofree char *text = read_text("/etc/resolv.conf", SMALL_FILE_BYTES);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", 0);
	GString *out = g_string_new(NULL);
	GString *rest = g_string_new(NULL);
	unsigned good = 0;
	bool direct = true, any = false, any4 = false;
	for (char **line = lines; *line; line++) {
		char word[INET6_ADDRSTRLEN + 32];
		uint8_t address[16];
		if (sscanf(*line, "nameserver %70s", word) == 1) {
			int family = inet_pton(AF_INET, word, address) == 1 ? AF_INET : AF_INET6;
			bool known = family == AF_INET || inet_pton(AF_INET6, word, address) == 1;
			bool reached = known && is_reached(outside, family, address, DNS_PORT);
			if (!any)
				direct = reached;
			any = true;
			any4 = any4 || family == AF_INET;
			if (reached && good++ < RESOLVERS_MAX)
				g_string_append_printf(out, "nameserver %s\n", word);
		} else if (g_str_has_prefix(*line, "search ") || g_str_has_prefix(*line, "domain ") || g_str_has_prefix(*line, "options ")) {
			g_string_append_printf(rest, "%s\n", *line);
		}
	}
	if (any && !direct) { /* which answers over UDP alone: long answers must fit */
		g_string_printf(out, "nameserver %s\n", any4 && outside->has_ipv4 ? OUTSIDE_RESOLVER : OUTSIDE_RESOLVER6);
		g_string_append(rest, "options edns0\n");
	}
	g_string_append(out, rest->str);
	g_string_free(rest, TRUE);
	return g_string_free(out, FALSE);
}

/* Everything else, after what the list names. */
static void add_end(Outside *outside)
{
	add(outside, &(RoutesRule){.family = AF_INET});
	add(outside, &(RoutesRule){.family = AF_INET6});
}

static bool take_list(const char *const *allow, Outside *out, bool *out_everything, GError **error)
{
	g_autoptr(GString) hosts = g_string_new(NULL);
	*out_everything = !allow;
	for (; allow && *allow; allow++) {
		g_auto(Reach) reach = {0};
		if (!reach_parse(*allow, &reach, error))
			return false;
		if (reach.everything)
			*out_everything = true;
		else if (reach.family)
			add_good(out, reach.family, reach.address, reach.prefix, reach.port);
		else if (!add_name(out, &reach, hosts, error))
			return false;
	}
	out->hosts = g_strdup(hosts->str);
	return true;
}

bool outside_look(const char *const *allow, Outside *out, GError **error)
{
	uint8_t address[16];
	bool everything;
	*out = (Outside){.has_ipv4 = has_default_ipv4(), .has_ipv6 = has_default_ipv6(),
	        .rules = g_array_new(FALSE, FALSE, sizeof(RoutesRule))};
	if (!out->has_ipv4 && !out->has_ipv6)
		return fail(error, ASSAY_ERROR_SYSTEM, "network: this machine has no default route, so no way leads out of it; add one, or "
		                                       "let jobs have its own network (sandbox.full_network: host)");
	if (!take_list(allow, out, &everything, error))
		return false;
	if (everything && inet_pton(AF_INET, OUTSIDE_RESOLVER, address) == 1)
		add_good(out, AF_INET, address, 32, DNS_PORT);
	if (everything && inet_pton(AF_INET6, OUTSIDE_RESOLVER6, address) == 1)
		add_good(out, AF_INET6, address, 128, DNS_PORT);
	for (size_t i = 0; i < G_N_ELEMENTS(never); i++)
		add_bad(out, never[i]);
	add_bad(out, "192.0.0.0/29"); /* the wire itself */
	add_bad(out, "fd61:7373:6179::/64");
	if (!add_own(out, error))
		return false;
	if (!everything)
		add_end(out);
	out->resolver = everything ? write_resolver(out) : g_strdup("");
	return true;
}

void outside_clear(Outside *outside)
{
	g_clear_pointer(&outside->rules, g_array_unref);
	g_clear_pointer(&outside->resolver, g_free);
	g_clear_pointer(&outside->hosts, g_free);
}
