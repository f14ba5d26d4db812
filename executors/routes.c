/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of rtnetlink, built in one buffer; rtnetlink(7), and Linux' include/uapi/linux/{rtnetlink,neighbour,fib_rules}.h */
#include "executors/routes.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/base/error.h"

#define MESSAGE_BYTES 512
#define ANSWER_BYTES 16384
#define OWN_ADDRESSES_NONE 1 /* IN6_ADDR_GEN_MODE_NONE */

typedef union Message {
	struct nlmsghdr head;
	char bytes[MESSAGE_BYTES];
} Message;

static size_t size_of(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

static void begin(Message *message, uint16_t type, uint16_t flags, const void *body, size_t len)
{
	*message = (Message){.head = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
	                             .nlmsg_len = NLMSG_LENGTH(len)}};
	memcpy(NLMSG_DATA(&message->head), body, len);
}

/* All of ours are short: the largest has a hundred bytes. */
static struct rtattr *put(Message *message, uint16_t type, const void *data, size_t len)
{
	struct rtattr *attribute = (struct rtattr *)(void *)(message->bytes + NLMSG_ALIGN(message->head.nlmsg_len));
	attribute->rta_type = type;
	attribute->rta_len = (uint16_t)RTA_LENGTH(len);
	if (len > 0)
		memcpy(RTA_DATA(attribute), data, len);
	message->head.nlmsg_len = (uint32_t)(NLMSG_ALIGN(message->head.nlmsg_len) + RTA_ALIGN(attribute->rta_len));
	return attribute;
}

static void put_number(Message *message, uint16_t type, uint32_t number)
{
	put(message, type, &number, sizeof number);
}

static void end_nest(Message *message, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)(message->bytes + message->head.nlmsg_len - (char *)nest);
}

/* Sends it and waits for the answer to it; what comes besides is given to `look`, which may be NULL. */
static bool ask(int fd, Message *message, const char *what, void (*look)(const struct nlmsghdr *head, void *data), void *data,
        GError **error)
{
	static uint32_t number;
	union {
		struct nlmsghdr head;
		char bytes[ANSWER_BYTES];
	} answer;
	message->head.nlmsg_seq = ++number;
	if (send(fd, message, message->head.nlmsg_len, MSG_NOSIGNAL) < 0)
		return fail_errno(error, errno, "network: cannot %s", what);
	for (;;) {
		ssize_t got = recv(fd, &answer, sizeof answer, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return fail_errno(error, got < 0 ? errno : EPROTO, "network: cannot %s", what);
		size_t left = (size_t)got;
		for (const struct nlmsghdr *head = &answer.head; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_seq != number)
				continue;
			if (head->nlmsg_type == NLMSG_ERROR) {
				int why = -((const struct nlmsgerr *)NLMSG_DATA(head))->error;
				return why == 0 || fail_errno(error, why, "network: cannot %s", what);
			}
			if (look)
				look(head, data);
		}
	}
}

static void take_number(const struct nlmsghdr *head, void *data)
{
	if (head->nlmsg_type == RTM_NEWLINK)
		*(unsigned *)data = (unsigned)((const struct ifinfomsg *)NLMSG_DATA(head))->ifi_index;
}

unsigned routes_find(int fd, const char *name, GError **error)
{
	Message message;
	unsigned number = 0;
	begin(&message, RTM_GETLINK, 0, &(struct ifinfomsg){.ifi_family = AF_UNSPEC}, sizeof(struct ifinfomsg));
	put(&message, IFLA_IFNAME, name, strlen(name) + 1);
	if (!ask(fd, &message, "find its link", take_number, &number, error))
		return 0;
	if (number == 0)
		fail(error, ASSAY_ERROR_SYSTEM, "network: it has no link '%s'", name);
	return number;
}

bool routes_up(int fd, unsigned link, unsigned mtu, const uint8_t *mac, GError **error)
{
	Message message;
	const struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = (int)link};
	const uint8_t mode = OWN_ADDRESSES_NONE;
	if (link != ROUTES_LOOPBACK) { /* refused where there is no IPv6: then there is nothing to prevent */
		begin(&message, RTM_NEWLINK, 0, &body, sizeof body);
		struct rtattr *families = put(&message, IFLA_AF_SPEC | NLA_F_NESTED, NULL, 0);
		struct rtattr *family = put(&message, AF_INET6 | NLA_F_NESTED, NULL, 0);
		put(&message, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
		end_nest(&message, family);
		end_nest(&message, families);
		ask(fd, &message, "choose its addresses", NULL, NULL, NULL);
	}
	const struct ifinfomsg up = {.ifi_family = AF_UNSPEC, .ifi_index = (int)link, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	begin(&message, RTM_NEWLINK, 0, &up, sizeof up);
	if (mtu > 0)
		put_number(&message, IFLA_MTU, mtu);
	if (mac)
		put(&message, IFLA_ADDRESS, mac, 6);
	return ask(fd, &message, "switch its link on", NULL, NULL, error);
}

bool routes_address(int fd, unsigned link, int family, const uint8_t *address, unsigned prefix, GError **error)
{
	Message message;
	const struct ifaddrmsg body = {.ifa_family = (uint8_t)family, .ifa_prefixlen = (uint8_t)prefix, .ifa_index = link,
	        .ifa_flags = family == AF_INET6 ? IFA_F_NODAD : 0};
	begin(&message, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
	put(&message, IFA_LOCAL, address, size_of(family));
	put(&message, IFA_ADDRESS, address, size_of(family));
	return ask(fd, &message, "give its link an address", NULL, NULL, error);
}

bool routes_neighbour(int fd, unsigned link, int family, const uint8_t *address, const uint8_t mac[6], GError **error)
{
	Message message;
	const struct ndmsg body = {.ndm_family = (uint8_t)family, .ndm_ifindex = (int)link, .ndm_state = NUD_PERMANENT};
	begin(&message, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
	put(&message, NDA_DST, address, size_of(family));
	put(&message, NDA_LLADDR, mac, 6);
	return ask(fd, &message, "tell it its neighbour", NULL, NULL, error);
}

bool routes_ask_nobody(int fd, unsigned link, int family, GError **error)
{
	static const uint16_t probes[] = {NDTPA_MCAST_PROBES, NDTPA_UCAST_PROBES, NDTPA_APP_PROBES};
	const char *table = family == AF_INET6 ? "ndisc_cache" : "arp_cache";
	Message message;
	const struct ndtmsg body = {.ndtm_family = (uint8_t)family};
	begin(&message, RTM_SETNEIGHTBL, 0, &body, sizeof body);
	put(&message, NDTA_NAME, table, strlen(table) + 1);
	struct rtattr *parameters = put(&message, NDTA_PARMS | NLA_F_NESTED, NULL, 0);
	put_number(&message, NDTPA_IFINDEX, link);
	for (size_t i = 0; i < G_N_ELEMENTS(probes); i++)
		put_number(&message, probes[i], 0);
	end_nest(&message, parameters);
	return ask(fd, &message, "keep it from asking for neighbours", NULL, NULL, error);
}

bool routes_default(int fd, unsigned link, int family, const uint8_t *gateway, GError **error)
{
	Message message;
	const struct rtmsg body = {.rtm_family = (uint8_t)family, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
	        .rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST};
	begin(&message, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body, sizeof body);
	put(&message, RTA_GATEWAY, gateway, size_of(family));
	put_number(&message, RTA_OIF, link);
	return ask(fd, &message, "add its route", NULL, NULL, error);
}

bool routes_rule(int fd, const RoutesRule *rule, unsigned order, GError **error)
{
	Message message;
	const struct fib_rule_hdr body = {.family = (uint8_t)rule->family, .dst_len = (uint8_t)rule->prefix,
	        .table = rule->good ? RT_TABLE_MAIN : RT_TABLE_UNSPEC, .action = rule->good ? FR_ACT_TO_TBL : FR_ACT_UNREACHABLE};
	begin(&message, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &body, sizeof body);
	put_number(&message, FRA_PRIORITY, order);
	if (rule->prefix > 0)
		put(&message, FRA_DST, rule->address, size_of(rule->family));
	if (rule->protocol)
		put(&message, FRA_IP_PROTO, &rule->protocol, sizeof rule->protocol);
	if (rule->port) {
		const struct fib_rule_port_range range = {.start = rule->port, .end = rule->port};
		put(&message, FRA_DPORT_RANGE, &range, sizeof range);
	}
	return ask(fd, &message, "set a rule for its routes", NULL, NULL, error);
}
