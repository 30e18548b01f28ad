/* SPDX-License-Identifier: ISC */
/* Address classes, after IANA's special-purpose registries (RFC 6890 and its updates). */
#include "place/egress/addr.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "base/util.h"

struct range {
	unsigned char prefix[16];
	int bits;
	enum addr_class class;
};

static const struct range ranges4[] = {
	{{0}, 8, ADDR_RESERVED},
	{{10}, 8, ADDR_PRIVATE},
	{{100, 64}, 10, ADDR_PRIVATE}, /* shared (CGNAT); 100.100.100.200 is a metadata service */
	{{127}, 8, ADDR_LOOPBACK},
	{{168, 63, 129, 16}, 32, ADDR_METADATA}, /* Azure's, on a public address */
	{{169, 254, 169, 254}, 32, ADDR_METADATA},
	{{169, 254}, 16, ADDR_LINK_LOCAL},
	{{172, 16}, 12, ADDR_PRIVATE},
	{{192, 0, 0}, 24, ADDR_RESERVED}, /* 192.0.0.192 is a metadata service */
	{{192, 0, 2}, 24, ADDR_RESERVED},
	{{192, 88, 99}, 24, ADDR_RESERVED},
	{{192, 168}, 16, ADDR_PRIVATE},
	{{198, 18}, 15, ADDR_RESERVED},
	{{198, 51, 100}, 24, ADDR_RESERVED},
	{{203, 0, 113}, 24, ADDR_RESERVED},
	{{224}, 4, ADDR_MULTICAST},
	{{240}, 4, ADDR_RESERVED},
};

/* Only 2000::/3 is handed out; within it some is not the public network. First match wins. */
static const struct range ranges6[] = {
	{{[15] = 1}, 128, ADDR_LOOPBACK},
	{{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, ADDR_METADATA},
	{{0xfc}, 7, ADDR_PRIVATE},
	{{0xfe, 0x80}, 10, ADDR_LINK_LOCAL},
	{{0xfe, 0xc0}, 10, ADDR_PRIVATE},
	{{0xff}, 8, ADDR_MULTICAST},
	{{0x20, 0x01}, 23, ADDR_RESERVED}, /* protocol assignments, Teredo */
	{{0x20, 0x01, 0x0d, 0xb8}, 32, ADDR_RESERVED},
	{{0x20, 0x02}, 16, ADDR_RESERVED}, /* 6to4 carries any IPv4 address */
	{{0x3f, 0xff}, 20, ADDR_RESERVED},
	{{0x20}, 3, ADDR_PUBLIC},
};

static bool in_range(const unsigned char *addr, const struct range *r)
{
	int bytes = r->bits / 8, rest = r->bits % 8;
	if (memcmp(addr, r->prefix, (size_t)bytes) != 0)
		return false;
	unsigned char mask = (unsigned char)(0xff << (8 - rest));
	return rest == 0 || (addr[bytes] & mask) == (r->prefix[bytes] & mask);
}

static enum addr_class classify4(const unsigned char *addr)
{
	for (size_t i = 0; i < ARRAY_LEN(ranges4); i++)
		if (in_range(addr, &ranges4[i]))
			return ranges4[i].class;
	return ADDR_PUBLIC;
}

enum addr_class addr_classify(int family, const unsigned char *addr)
{
	static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	if (family == AF_INET)
		return classify4(addr);
	if (memcmp(addr, mapped, 12) == 0 || memcmp(addr, nat64, 12) == 0)
		return classify4(addr + 12);
	for (size_t i = 0; i < ARRAY_LEN(ranges6); i++)
		if (in_range(addr, &ranges6[i]))
			return ranges6[i].class;
	return ADDR_RESERVED;
}

const char *addr_class_name(enum addr_class c)
{
	switch (c) {
	case ADDR_PUBLIC:
		return "a public address";
	case ADDR_LOOPBACK:
		return "a loopback address";
	case ADDR_PRIVATE:
		return "a private address";
	case ADDR_LINK_LOCAL:
		return "a link-local address";
	case ADDR_MULTICAST:
		return "a multicast address";
	case ADDR_METADATA:
		return "a cloud metadata address";
	case ADDR_RESERVED:
		return "a reserved address";
	}
	return "an unknown address";
}

int addr_to_hostport(const struct sockaddr *sa, struct hostport *ret)
{
	char text[INET6_ADDRSTRLEN];
	const void *addr;
	uint16_t port;
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
		addr = &in->sin_addr;
		port = ntohs(in->sin_port);
	} else if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)(const void *)sa;
		addr = &in->sin6_addr;
		port = ntohs(in->sin6_port);
	} else {
		return -1;
	}
	if (!inet_ntop(sa->sa_family, addr, text, sizeof(text)))
		return -1;
	return hostport_set(ret, text, port, NULL);
}

socklen_t addr_from_hostport(const struct hostport *h, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (h->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;
		in->sin_family = AF_INET;
		in->sin_port = htons(h->port);
		memcpy(&in->sin_addr, h->addr, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;
	in->sin6_family = AF_INET6;
	in->sin6_port = htons(h->port);
	memcpy(&in->sin6_addr, h->addr, 16);
	return sizeof(*in);
}

bool addr_is_own(const struct hostport *h)
{
	struct ifaddrs *all = NULL;
	if (getifaddrs(&all) < 0)
		return true; /* not known to be somebody else's */
	bool own = false;
	for (struct ifaddrs *i = all; i && !own; i = i->ifa_next) {
		struct sockaddr_in6 copy; /* with a port, which hostports need */
		struct hostport mine;
		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET &&
					    i->ifa_addr->sa_family != AF_INET6))
			continue;
		memset(&copy, 0, sizeof(copy));
		memcpy(&copy, i->ifa_addr,
			i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
							  : sizeof(copy));
		copy.sin6_port = htons(h->port); /* the same place in both kinds */
		own = addr_to_hostport((struct sockaddr *)&copy, &mine) == 0 &&
		      hostport_equal(&mine, h);
	}
	freeifaddrs(all);
	return own;
}
