/* SPDX-License-Identifier: ISC */
/* Which kind of network an address belongs to. Pure, but for addr_is_own. */
#ifndef EGRESS_ADDR_H
#define EGRESS_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "ipc/hostport.h"

/* What a listed name may lead to without further words is ADDR_PUBLIC alone. */
enum addr_class {
	ADDR_PUBLIC,
	ADDR_LOOPBACK,
	ADDR_PRIVATE,
	ADDR_LINK_LOCAL,
	ADDR_MULTICAST,
	ADDR_METADATA, /* where clouds hand credentials to whoever asks */
	ADDR_RESERVED, /* unspecified, documentation, benchmarks, tunnels, unassigned */
};

/* family AF_INET (4 bytes) or AF_INET6 (16), network order. Addresses that carry an IPv4 address
 * (v4-mapped, NAT64) are of its class. */
enum addr_class addr_classify(int family, const unsigned char *addr);
/* "a loopback address": for sentences. */
const char *addr_class_name(enum addr_class c);
/* Reads a socket address into a hostport of its literal (v4-mapped as IPv4). -1 for other families. */
int addr_to_hostport(const struct sockaddr *sa, struct hostport *ret);
/* The way back; returns the length. h must be a literal. */
socklen_t addr_from_hostport(const struct hostport *h, struct sockaddr_storage *ret);
/* True when an interface of this machine has the address: its services, too, are none of a place's
 * business. */
bool addr_is_own(const struct hostport *h);

#endif
