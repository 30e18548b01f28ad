/* SPDX-License-Identifier: ISC */
/* The way out of a machine: a proxy on its loopback, and host addresses that appear there. */
#ifndef PLACE_GUEST_PROXY_H
#define PLACE_GUEST_PROXY_H

#include "place/guest/guest.h"

#define PROXY_PORT 3128
#define PROXY_CONNS_MAX 512
#define PROXY_HEAD_MAX (64 * 1024)
#define PROXY_LOOPBACKS_MAX 64

/* Listens on 127.0.0.1:port when on (0: any port, for tests), and on each of loopback
 * (["127.0.0.1:8080"]); what is listened on and no longer asked for is closed. May be called again. */
int proxy_set(struct guest *g, bool on, uint16_t port, const json_t *loopback, struct err *e);
uint16_t proxy_port(const struct guest *g); /* 0: none */
void proxy_destroy(struct proxy *p);        /* NULL ok */

/* --- head.c: pure parsing, for tests and fuzzing --- */

enum head_kind { HEAD_MORE, HEAD_BAD, HEAD_CONNECT, HEAD_HTTP, HEAD_SOCKS };

struct head {
	char host[256];
	uint16_t port;
	size_t used;      /* bytes of the input that it covers */
	char why[ERR_MESSAGE_MAX]; /* HEAD_BAD */
};

/* The head of an HTTP request to a proxy. For HEAD_HTTP rewritten gets what the server is to be sent
 * in its place (origin form, one request per connection). */
enum head_kind head_http(const char *data, size_t len, struct head *ret, struct buf *rewritten);
/* A SOCKS5 greeting (1: take no-auth, 0: more, -1: none of its methods, -2: not SOCKS). */
int head_socks_greeting(const unsigned char *data, size_t len, size_t *used);
/* A SOCKS5 request; for HEAD_BAD *reply is the error to answer with. */
enum head_kind head_socks_request(const unsigned char *data, size_t len, struct head *ret,
	unsigned char *reply);

#endif
