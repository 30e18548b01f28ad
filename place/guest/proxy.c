/* SPDX-License-Identifier: ISC */
/*
 * The way out of a machine. A client's first byte says which protocol it speaks; its head says where
 * it wants to go; that becomes an `egress` stream, whose first message says whether it may
 * ({"ok":true} or {"error"}); then bytes pass both ways. Whether something is allowed is decided at
 * the other end, never here.
 */
#include "place/guest/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/util.h"
#include "ipc/hostport.h"
#include "ipc/rpc.h"
#include "place/guest/pump.h"

#define HEAD_MS 30000
#define ANSWER_MS 90000
#define BACKLOG 128

enum speaks { SPEAKS_UNKNOWN, SPEAKS_CONNECT, SPEAKS_HTTP, SPEAKS_SOCKS, SPEAKS_NOTHING };

struct listener {
	struct proxy *proxy;
	struct hostport to; /* host "": the proxy itself */
	int fd;
	struct loop_io *io;
	bool wanted;
};

struct proxy {
	struct guest *guest;
	struct listener *listeners[PROXY_LOOPBACKS_MAX + 1];
	size_t n, conns;
	struct client *clients;
};

struct client {
	struct client *next;
	struct proxy *proxy;
	struct pump *pump;
	struct loop_timer *timer;
	enum speaks speaks;
	bool greeted;   /* SOCKS: the methods were agreed on */
	struct buf head; /* plain HTTP: what the server is sent first */
};

/* --- answers --- */

static const char *http_status(enum err_code code)
{
	if (code == ERR_DENIED)
		return "403 Forbidden";
	if (code == ERR_PARAMS || code == ERR_LIMIT)
		return "400 Bad Request";
	return code == ERR_TIMEOUT ? "504 Gateway Timeout" : "502 Bad Gateway";
}

static unsigned char socks_reply(enum err_code code)
{
	if (code == ERR_DENIED)
		return 2;
	if (code == ERR_NOT_FOUND)
		return 4;
	return code == ERR_UNAVAILABLE ? 5 : 1;
}

static void answer_socks(struct client *c, unsigned char reply)
{
	unsigned char text[10] = { 5, reply, 0, 1 };

	pump_write(c->pump, text, sizeof(text));
}

/* Tells the client why not, as far as its protocol has words for it, and ends. */
static void refuse(struct client *c, const struct err *why)
{
	if (c->speaks == SPEAKS_SOCKS) {
		answer_socks(c, socks_reply(why->code));
	} else if (c->speaks != SPEAKS_NOTHING) {
		cleanup_free char *body = xasprintf("tmux-claude: %s%s%s\n", why->message,
			*why->hint ? "; " : "", why->hint);
		cleanup_free char *text = xasprintf("HTTP/1.1 %s\r\nContent-Type: text/plain; "
			"charset=utf-8\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
			http_status(why->code), strlen(body), body);
		pump_write(c->pump, text, strlen(text));
	}
	pump_finish(c->pump);
}

/* --- one client --- */

static void on_timer(void *arg)
{
	struct client *c = arg;
	struct err why = { 0 };

	err_set(&why, ERR_TIMEOUT, pump_stream(c->pump) ? "the way out did not answer in time"
							: "the request did not come in time");
	refuse(c, &why);
}

static void go(struct client *c, const char *host, uint16_t port)
{
	json_t *what = json_pack("{s:s, s:s, s:i}", "kind", "egress", "host", host, "port", (int)port);
	struct err why = { 0 };

	if (pump_open(c->pump, guest_link(c->proxy->guest), what, &why) < 0)
		refuse(c, &why);
	else
		loop_timer_start(c->timer, ANSWER_MS);
}

static void head_http_came(struct client *c, struct buf *in)
{
	struct head h = { 0 };
	struct err why = { 0 };
	enum head_kind kind = head_http((char *)buf_data(in), in->len, &h, &c->head);

	if (kind == HEAD_MORE)
		return;
	c->speaks = kind == HEAD_CONNECT ? SPEAKS_CONNECT : SPEAKS_HTTP;
	if (kind == HEAD_BAD) {
		err_set(&why, ERR_PARAMS, "%s", h.why);
		refuse(c, &why);
		return;
	}
	buf_consume(in, h.used);
	go(c, h.host, h.port);
}

static void head_socks_came(struct client *c, struct buf *in)
{
	struct head h = { 0 };
	unsigned char reply;
	size_t used = 0;

	c->speaks = SPEAKS_SOCKS;
	if (!c->greeted) {
		int r = head_socks_greeting(buf_data(in), in->len, &used);
		if (r == 0)
			return;
		pump_write(c->pump, r > 0 ? "\x05\x00" : "\x05\xff", 2);
		if (r < 0) {
			pump_finish(c->pump);
			return;
		}
		c->greeted = true;
		buf_consume(in, used);
	}
	enum head_kind kind = head_socks_request(buf_data(in), in->len, &h, &reply);
	if (kind == HEAD_BAD) {
		answer_socks(c, reply);
		pump_finish(c->pump);
	} else if (kind == HEAD_SOCKS) {
		buf_consume(in, h.used);
		go(c, h.host, h.port);
	}
}

static void on_head(void *arg, struct pump *p, struct buf *in)
{
	struct client *c = arg;

	if (pump_stream(p) || in->len == 0)
		return;
	if (c->greeted || buf_data(in)[0] == 5)
		head_socks_came(c, in);
	else
		head_http_came(c, in);
}

static void on_ctl(void *arg, struct pump *p, json_t *msg)
{
	struct client *c = arg;
	struct err why = { 0 };

	if (!loop_timer_active(c->timer))
		return;
	loop_timer_stop(c->timer);
	if (json_object_get(msg, "error")) {
		err_from_json(json_object_get(msg, "error"), &why);
		refuse(c, &why);
		return;
	}
	if (c->speaks == SPEAKS_CONNECT)
		pump_write(p, "HTTP/1.1 200 Connection established\r\n\r\n", 39);
	else if (c->speaks == SPEAKS_SOCKS)
		answer_socks(c, 0);
	else if (c->head.len)
		link_send(pump_stream(p), buf_data(&c->head), c->head.len);
	buf_finish(&c->head);
	pump_start(p);
}

static void on_refused(void *arg, struct pump *p, const struct err *why)
{
	(void)p;
	refuse(arg, why);
}

static void on_gone(void *arg)
{
	struct client *c = arg, **at = &c->proxy->clients;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->proxy->conns--;
	loop_timer_free(c->timer);
	buf_finish(&c->head);
	free(c);
}

static const struct pump_ops pump_ops = { .on_head = on_head, .on_ctl = on_ctl,
	.on_refused = on_refused, .on_gone = on_gone };

/* --- listening --- */

static void on_accept(void *arg, int fd, unsigned events)
{
	struct listener *li = arg;
	struct proxy *p = li->proxy;
	int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (s < 0)
		return;
	if (p->conns >= PROXY_CONNS_MAX) {
		close(s);
		return;
	}
	struct client *c = xcalloc(1, sizeof(*c));
	c->proxy = p;
	c->next = p->clients;
	p->clients = c;
	p->conns++;
	buf_init(&c->head, 2 * PROXY_HEAD_MAX);
	c->timer = loop_timer_create(p->guest->loop, on_timer, c);
	c->pump = pump_create(p->guest->loop, s, &pump_ops, c);
	if (*li->to.host) {
		c->speaks = SPEAKS_NOTHING;
		go(c, li->to.host, li->to.port);
	} else {
		loop_timer_start(c->timer, HEAD_MS);
	}
}

static int listen_on(const struct hostport *at, int *ret, struct err *e)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(at->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(at->port) };
	bool v6 = at->family == AF_INET6;
	int one = 1;

	memcpy(&in.sin_addr, at->addr, 4);
	memcpy(&in6.sin6_addr, at->addr, 16);
	cleanup_close int fd = socket(at->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, v6 ? (struct sockaddr *)&in6 : (struct sockaddr *)&in,
			      v6 ? sizeof(in6) : sizeof(in)) < 0 || listen(fd, BACKLOG) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot listen on %s port %d inside the VM",
			at->host, at->port);
	*ret = take_fd(&fd);
	return 0;
}

static bool is_loopback(const struct hostport *h)
{
	static const unsigned char v6[16] = { [15] = 1 };

	return h->family == AF_INET6 ? memcmp(h->addr, v6, 16) == 0
				     : h->family == AF_INET && h->addr[0] == 127;
}

static int want(struct proxy *p, const struct hostport *at, const struct hostport *to, struct err *e)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->listeners[i]->to.host, to->host) == 0 && p->listeners[i]->to.port == to->port) {
			p->listeners[i]->wanted = true;
			return 0;
		}
	}
	if (p->n == ARRAY_LEN(p->listeners))
		return err_set(e, ERR_LIMIT, "at most %d addresses can appear inside a place", PROXY_LOOPBACKS_MAX);
	struct listener *li = xcalloc(1, sizeof(*li));
	if (listen_on(at, &li->fd, e) < 0) {
		free(li);
		return -1;
	}
	li->proxy = p;
	li->to = *to;
	li->wanted = true;
	li->io = loop_io_add(p->guest->loop, li->fd, LOOP_READ, on_accept, li);
	p->listeners[p->n++] = li;
	return 0;
}

static void drop_unwanted(struct proxy *p)
{
	size_t keep = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct listener *li = p->listeners[i];
		if (li->wanted) {
			p->listeners[keep++] = li;
			continue;
		}
		loop_io_free(li->io);
		close(li->fd);
		free(li);
	}
	p->n = keep;
}

int proxy_set(struct guest *g, bool on, uint16_t port, const json_t *loopback, struct err *e)
{
	struct proxy *p = g->proxy;
	struct hostport at = { .host = "127.0.0.1", .family = AF_INET, .addr = { 127, 0, 0, 1 }, .port = port };
	struct hostport none = { .port = port };
	const json_t *v;
	size_t i;
	int r = 0;

	if (!p) {
		p = g->proxy = xcalloc(1, sizeof(*p));
		p->guest = g;
	}
	for (i = 0; i < p->n; i++)
		p->listeners[i]->wanted = false;
	if (on)
		r = want(p, &at, &none, e);
	json_array_foreach(loopback, i, v) {
		struct hostport h;
		const char *text = json_string_value(v);
		if (r < 0)
			break;
		if (!text || hostport_parse(text, &h, e) < 0 || !is_loopback(&h))
			r = err_set(e, ERR_PARAMS, "\"%s\" is no loopback address with a port",
				text ? text : "");
		else
			r = want(p, &h, &h, e);
	}
	drop_unwanted(p);
	return r;
}

uint16_t proxy_port(const struct guest *g)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	for (size_t i = 0; g->proxy && i < g->proxy->n; i++)
		if (!*g->proxy->listeners[i]->to.host &&
			getsockname(g->proxy->listeners[i]->fd, (struct sockaddr *)&in, &len) == 0)
			return ntohs(in.sin_port);
	return 0;
}

void proxy_destroy(struct proxy *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->n; i++)
		p->listeners[i]->wanted = false;
	drop_unwanted(p);
	while (p->clients)
		pump_destroy(p->clients->pump);
	free(p);
}
