/* SPDX-License-Identifier: Apache-2.0 */
/* Reads whom a job may reach; see reach.h. */
#include "agent/model/reach.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/error.h"

#define HOST_BYTES_MAX 253

void reach_clear(Reach *reach)
{
	g_clear_pointer(&reach->host, g_free);
}

bool reach_is_loopback(int family, const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t zeros[15];
	if (family == AF_INET)
		return address[0] == 127 || address[0] == 0;
	if (memcmp(address, mapped, sizeof mapped) == 0)
		return reach_is_loopback(AF_INET, address + 12);
	return memcmp(address, zeros, sizeof zeros) == 0 && address[15] <= 1;
}

static bool read_number(const char *text, unsigned least, unsigned most, unsigned *out)
{
	guint64 number;
	if (!g_ascii_string_to_unsigned(text, 10, least, most, &number, NULL))
		return false;
	*out = (unsigned)number;
	return true;
}

/* Letters, digits, hyphens, dots: what a name in DNS or /etc/hosts has. */
static bool is_name(const char *text)
{
	size_t len = strlen(text);
	if (len == 0 || len > HOST_BYTES_MAX || text[0] == '-' || text[0] == '.')
		return false;
	for (; *text; text++)
		if (!g_ascii_isalnum(*text) && !strchr("-._", *text))
			return false;
	return true;
}

/* "10.0.0.0/8" into its parts; a name stays a name. */
static bool read_host(Reach *out)
{
	char *slash = strchr(out->host, '/');
	if (slash)
		*slash = '\0';
	for (int i = 0; i < 2 && !out->family; i++)
		if (inet_pton(i ? AF_INET6 : AF_INET, out->host, out->address) == 1)
			out->family = i ? AF_INET6 : AF_INET;
	unsigned most = out->family == AF_INET6 ? 128 : 32;
	out->prefix = most;
	if (!out->family)
		return !slash && is_name(out->host) && g_ascii_strcasecmp(out->host, "localhost") != 0;
	return (!slash || read_number(slash + 1, 1, most, &out->prefix)) && !reach_is_loopback(out->family, out->address);
}

bool reach_parse(const char *text, Reach *out, GError **error)
{
	*out = (Reach){.everything = strcmp(text, "*") == 0};
	if (out->everything)
		return true;
	const char *port = NULL;
	const char *end = NULL; /* of the host */
	const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
	if (bracket) {
		port = bracket[1] == ':' ? bracket + 2 : NULL;
		end = bracket[1] == ':' || bracket[1] == '\0' ? bracket : NULL;
		text++;
	} else { /* more than one colon is an address of IPv6 */
		const char *colon = strchr(text, ':');
		bool one = colon && !strchr(colon + 1, ':');
		port = one ? colon + 1 : NULL;
		end = one ? colon : text + strlen(text);
	}
	unsigned number = 0;
	bool good = end && (!port || read_number(port, 1, UINT16_MAX, &number));
	if (good) {
		out->host = g_strndup(text, (gsize)(end - text));
		out->port = (uint16_t)number;
		good = read_host(out);
	}
	if (good)
		return true;
	reach_clear(out);
	return fail(error, ASSAY_ERROR_USER, "'%s' is no host and port; give such as *, example.org:443, 10.1.0.0/16 or "
	        "[2001:db8::1]:443, and not this machine's own loopback", bracket ? text - 1 : text);
}
