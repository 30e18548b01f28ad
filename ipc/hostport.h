/* SPDX-License-Identifier: ISC */
/* HOST:PORT as allow-lists write it: one parser for the daemon's check and the egress program. */
#ifndef IPC_HOSTPORT_H
#define IPC_HOSTPORT_H

#include <stdint.h>

#include "base/err.h"

#define HOST_MAX 253

/* host: a lower-case name without a final dot, or the canonical text of an address (no brackets). */
struct hostport {
	char host[HOST_MAX + 1];
	uint16_t port;
	int family; /* AF_INET or AF_INET6 for a literal address, 0 for a name */
};

/* "api.example.com:443", "127.0.0.1:8080", "[::1]:8080". ERR_PARAMS says what is wrong with it. */
int hostport_parse(const char *text, struct hostport *ret, struct err *e);

#endif
