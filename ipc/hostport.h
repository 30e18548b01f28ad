/* SPDX-License-Identifier: ISC */
/* HOST:PORT as users and programs write it, in one canonical form, so that two spellings of a
 * destination compare equal and no spelling means something else to a resolver. */
#ifndef IPC_HOSTPORT_H
#define IPC_HOSTPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

#define HOST_MAX 253 /* bytes of a DNS name, without the final dot */
#define HOSTPORT_TEXT_MAX (HOST_MAX + sizeof("[]:65535"))

struct hostport {
	char host[HOST_MAX + 1]; /* canonical text: lower case, no final dot, no brackets */
	uint16_t port;
	int family;             /* AF_INET or AF_INET6 for a literal address, 0 for a name */
	unsigned char addr[16]; /* 4 or 16 bytes, network order; zero for names */
};

/*
 * Host: a DNS name ([A-Za-z0-9_-] labels of at most 63; one final dot is dropped; bytes past ASCII
 * are refused: write IDN names as xn--), a dotted IPv4 address, an IPv6 address with or without
 * brackets. A v4-mapped IPv6 address becomes the IPv4 one. Refused with ERR_PARAMS: anything else,
 * above all numbers that resolvers take for addresses (127.1, 0x7f000001, 2130706433, 010.0.0.1) and
 * IPv6 zones. Port 1-65535. *ret is untouched on failure.
 */
int hostport_set(struct hostport *ret, const char *host, int64_t port, struct err *e);
/* "HOST:PORT", an IPv6 address in brackets. */
int hostport_parse(const char *text, struct hostport *ret, struct err *e);
bool hostport_equal(const struct hostport *a, const struct hostport *b);
/* "name:443", "127.0.0.1:80", "[::1]:80" into out; returns out. */
char *hostport_format(const struct hostport *h, char out[HOSTPORT_TEXT_MAX]);

#endif
