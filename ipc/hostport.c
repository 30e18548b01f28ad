/* SPDX-License-Identifier: ISC */
/* Reads HOST:PORT into its canonical form. */
#include "ipc/hostport.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/util.h"

#define LABEL_MAX 63

static int refuse(struct err *e, const char *host, const char *why)
{
	return err_set(e, ERR_PARAMS, "\"%.260s\" is not a host: %s", host, why);
}

static bool is_v4_mapped(const unsigned char a[16])
{
	static const unsigned char prefix[12] = {[10] = 0xff, [11] = 0xff};
	return memcmp(a, prefix, sizeof(prefix)) == 0;
}

static void set_address(struct hostport *h, int family, const unsigned char *addr)
{
	if (family == AF_INET6 && is_v4_mapped(addr)) {
		family = AF_INET;
		addr += 12;
	}
	h->family = family;
	memcpy(h->addr, addr, family == AF_INET ? 4 : 16);
	inet_ntop(family, h->addr, h->host, sizeof(h->host));
}

static int set_ipv6(struct hostport *h, const char *host, struct err *e)
{
	size_t len = strlen(host);
	char text[INET6_ADDRSTRLEN];
	bool brackets = host[0] == '[';
	if (brackets && host[len - 1] != ']')
		return refuse(e, host, "the bracket is not closed");
	if (str_fmt(text, sizeof(text), "%.*s", (int)(brackets ? len - 2 : len), host + brackets) < 0)
		return refuse(e, host, "it is too long for an IPv6 address");
	unsigned char addr[16];
	if (strchr(text, '%'))
		return refuse(e, host, "an address with a zone belongs to one link only");
	if (inet_pton(AF_INET6, text, addr) != 1)
		return refuse(e, host, "it looks like an IPv6 address and is none");
	set_address(h, AF_INET6, addr);
	return 0;
}

/* True for what inet_aton and some resolvers would take for a number: digits, or 0x and hex. */
static bool is_number(const char *label, size_t len)
{
	if (len > 0 && strspn(label, "0123456789") >= len)
		return true;
	return len >= 2 && label[0] == '0' && label[1] == 'x' &&
	       strspn(label + 2, "0123456789abcdef") >= len - 2;
}

static int set_name(struct hostport *h, const char *host, struct err *e)
{
	size_t len = strlen(host);
	if (len > 1 && host[len - 1] == '.')
		len--;
	if (len > HOST_MAX)
		return refuse(e, host, "a name has at most 253 characters");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)host[i];
		if (c >= 0x80)
			return refuse(e, host, "only ASCII; write other names in their xn-- form");
		h->host[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	h->host[len] = '\0';
	const char *label = h->host;
	for (size_t n;; label += n + 1) {
		n = strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789-_");
		if (label[n] != '.' && label[n] != '\0')
			return refuse(e, host, "a name has letters, digits, '-', '_' and dots only");
		if (n == 0)
			return refuse(e, host, "a part between dots is empty");
		if (n > LABEL_MAX)
			return refuse(e, host, "a part between dots has at most 63 characters");
		if (label[0] == '-' || label[n - 1] == '-')
			return refuse(e, host, "a part between dots starts or ends with '-'");
		if (label[n] == '\0') {
			/* A last label that is a number makes the whole a number to somebody. */
			if (is_number(label, n))
				return refuse(e, host,
					"a number; write IPv4 addresses as four decimals");
			h->family = 0;
			return 0;
		}
	}
}

int hostport_set(struct hostport *ret, const char *host, int64_t port, struct err *e)
{
	struct hostport h = {0};
	unsigned char v4[4];
	if (!*host)
		return err_set(e, ERR_PARAMS, "the host is empty");
	if (port < 1 || port > 65535)
		return err_set(e, ERR_PARAMS, "%lld is not a port (1-65535)", (long long)port);
	int rc = 0;
	if (host[0] == '[' || strchr(host, ':'))
		rc = set_ipv6(&h, host, e);
	else if (inet_pton(AF_INET, host, v4) == 1)
		set_address(&h, AF_INET, v4);
	else
		rc = set_name(&h, host, e);
	if (rc < 0)
		return -1;
	h.port = (uint16_t)port;
	*ret = h;
	return 0;
}

int hostport_parse(const char *text, struct hostport *ret, struct err *e)
{
	const char *colon = strrchr(text, ':');
	int64_t port;
	/* Without brackets the last group of an IPv6 address would be its port. */
	bool bare_ipv6 = colon && text[0] != '[' && strchr(text, ':') != colon;
	if (!colon || colon == text || bare_ipv6 || (text[0] == '[' && colon[-1] != ']')) {
		err_set(e, ERR_PARAMS, "\"%.260s\" is not HOST:PORT", text);
		return err_hint(e, "write example.org:443, 127.0.0.1:8080 or [::1]:8080");
	}
	if (str_to_i64(colon + 1, 1, 65535, &port) < 0 || colon[1] == '0') {
		err_set(e, ERR_PARAMS, "\"%.260s\" has no port (1-65535) behind its last colon", text);
		return err_hint(e, "write example.org:443, 127.0.0.1:8080 or [::1]:8080");
	}
	cleanup_free char *host = xstrndup(text, (size_t)(colon - text));
	return hostport_set(ret, host, port, e);
}

bool hostport_equal(const struct hostport *a, const struct hostport *b)
{
	return a->family == b->family && a->port == b->port && strcmp(a->host, b->host) == 0;
}

char *hostport_format(const struct hostport *h, char out[HOSTPORT_TEXT_MAX])
{
	bool six = h->family == AF_INET6;
	str_fmt(out, HOSTPORT_TEXT_MAX, "%s%s%s:%u", six ? "[" : "", h->host, six ? "]" : "",
		h->port);
	return out;
}
