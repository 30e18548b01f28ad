/* SPDX-License-Identifier: ISC */
/* What a client asks a proxy for: HTTP CONNECT, plain HTTP with an absolute URL, SOCKS5. Pure. */
#include <ctype.h>
#include <strings.h>
#include <arpa/inet.h>

#include "base/buf.h"
#include "base/util.h"
#include "ipc/hostport.h"
#include "place/guest/proxy.h"

#define SOCKS_VERSION 5
#define SOCKS_CONNECT 1
#define SOCKS_V4 1
#define SOCKS_NAME 3
#define SOCKS_V6 4
#define SOCKS_BAD_COMMAND 7
#define SOCKS_BAD_ADDRESS 8

struct text {
	const char *p;
	size_t len;
};

static enum head_kind bad(struct head *h, const char *why)
{
	snprintf(h->why, sizeof(h->why), "%s", why);
	return HEAD_BAD;
}

static bool text_is(struct text t, const char *s)
{
	return t.len == strlen(s) && strncasecmp(t.p, s, t.len) == 0;
}

static struct text trim(struct text t)
{
	while (t.len && (*t.p == ' ' || *t.p == '\t'))
		t.p++, t.len--;
	while (t.len && (t.p[t.len - 1] == ' ' || t.p[t.len - 1] == '\t' || t.p[t.len - 1] == '\r'))
		t.len--;
	return t;
}

/* The next line without its end; false at the end of the head. */
static bool next_line(const char **p, const char *end, struct text *ret)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));

	if (!nl)
		return false;
	*ret = (struct text){ *p, (size_t)(nl - *p) };
	if (ret->len && ret->p[ret->len - 1] == '\r')
		ret->len--;
	*p = nl + 1;
	return ret->len > 0;
}

static const char *head_end(const char *data, size_t len)
{
	for (const char *p = data, *end = data + len; (p = memchr(p, '\n', (size_t)(end - p)));) {
		p++;
		if (p < end && *p == '\n')
			return p + 1;
		if (p + 1 < end && p[0] == '\r' && p[1] == '\n')
			return p + 2;
	}
	return NULL;
}

/* HOST or HOST:PORT in its canonical form. */
static int authority(struct head *h, struct text t, int default_port)
{
	struct hostport hp;
	struct err e = { 0 };
	char text[300];

	if (t.len == 0 || t.len >= sizeof(text) - 8 || memchr(t.p, '@', t.len) || memchr(t.p, '\0', t.len))
		return -1;
	snprintf(text, sizeof(text), "%.*s", (int)t.len, t.p);
	const char *close = strrchr(text, ']'), *colon = strrchr(text, ':');
	if (default_port && (!colon || (close && colon < close)))
		snprintf(text + t.len, sizeof(text) - t.len, ":%d", default_port);
	if (hostport_parse(text, &hp, &e) < 0)
		return -1;
	snprintf(h->host, sizeof(h->host), "%s", hp.host);
	h->port = hp.port;
	return 0;
}

/* Headers that are between the client and us; Connection stays when it asks to switch protocols. */
static bool dropped(struct text name, bool upgrade)
{
	static const char *const names[] = { "Proxy-Connection", "Proxy-Authorization", "Keep-Alive" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (text_is(name, names[i]))
			return true;
	return !upgrade && text_is(name, "Connection");
}

static void rewrite(struct buf *out, struct text method, struct text target, struct text version,
	struct text host, const char *headers, const char *end)
{
	bool upgrade = false, has_host = false;
	struct text line;

	for (const char *p = headers; next_line(&p, end, &line);) {
		const char *colon = memchr(line.p, ':', line.len);
		struct text name = { line.p, colon ? (size_t)(colon - line.p) : 0 };
		upgrade = upgrade || text_is(name, "Upgrade");
		has_host = has_host || text_is(name, "Host");
	}
	buf_printf(out, "%.*s %s%.*s %.*s\r\n", (int)method.len, method.p, target.len ? "" : "/",
		(int)target.len, target.p, (int)version.len, version.p);
	for (const char *p = headers; next_line(&p, end, &line);) {
		const char *colon = memchr(line.p, ':', line.len);
		struct text name = { line.p, colon ? (size_t)(colon - line.p) : 0 };
		if (!dropped(name, upgrade)) {
			buf_append(out, line.p, line.len);
			buf_append(out, "\r\n", 2);
		}
	}
	if (!has_host)
		buf_printf(out, "Host: %.*s\r\n", (int)host.len, host.p);
	buf_printf(out, "%s\r\n", upgrade ? "" : "Connection: close\r\n");
}

static enum head_kind absolute(struct head *h, struct text method, struct text url, struct text version,
	const char *headers, const char *end, struct buf *rewritten)
{
	if (url.len < 7 || strncasecmp(url.p, "http://", 7) != 0)
		return bad(h, "this is a proxy: it takes CONNECT, and absolute http:// URLs");
	struct text host = { url.p + 7, 0 };
	while (host.p + host.len < url.p + url.len && !strchr("/?#", host.p[host.len]))
		host.len++;
	struct text target = { host.p + host.len, url.len - 7 - host.len };
	if (authority(h, host, 80) < 0)
		return bad(h, "the URL's host cannot be understood");
	/* "http://host?x" asks for "/?x". */
	if (target.len && *target.p != '/')
		return bad(h, "the URL has no path");
	rewrite(rewritten, method, target, version, host, headers, end);
	return HEAD_HTTP;
}

enum head_kind head_http(const char *data, size_t len, struct head *ret, struct buf *rewritten)
{
	const char *end = head_end(data, len), *p = data;
	struct text line, part[3] = { { 0 } };

	if (!end)
		return len >= PROXY_HEAD_MAX ? bad(ret, "the request's head is too large") : HEAD_MORE;
	ret->used = (size_t)(end - data);
	if (ret->used > PROXY_HEAD_MAX)
		return bad(ret, "the request's head is too large");
	if (memchr(data, '\0', ret->used) || !next_line(&p, end, &line))
		return bad(ret, "the request cannot be understood");
	for (int i = 0; i < 3; i++) {
		line = trim(line);
		part[i].p = line.p;
		while (part[i].len < line.len && line.p[part[i].len] != ' ')
			part[i].len++;
		line.p += part[i].len;
		line.len -= part[i].len;
	}
	if (line.len || part[2].len != 8 || strncmp(part[2].p, "HTTP/1.", 7) != 0)
		return bad(ret, "the request is not HTTP/1");
	if (!text_is(part[0], "CONNECT"))
		return absolute(ret, part[0], part[1], part[2], p, end, rewritten);
	if (authority(ret, part[1], 0) < 0)
		return bad(ret, "CONNECT needs HOST:PORT");
	return HEAD_CONNECT;
}

int head_socks_greeting(const unsigned char *data, size_t len, size_t *used)
{
	if (len < 1)
		return 0;
	if (data[0] != SOCKS_VERSION)
		return -2;
	if (len < 2 || len < 2u + data[1])
		return 0;
	*used = 2u + data[1];
	return memchr(data + 2, 0, data[1]) ? 1 : -1;
}

enum head_kind head_socks_request(const unsigned char *data, size_t len, struct head *ret,
	unsigned char *reply)
{
	char host[256];
	struct hostport hp;
	struct err e = { 0 };
	size_t n;

	if (len < 5)
		return HEAD_MORE;
	*reply = SOCKS_BAD_ADDRESS;
	if (data[3] == SOCKS_V4)
		n = 4;
	else if (data[3] == SOCKS_V6)
		n = 16;
	else if (data[3] == SOCKS_NAME)
		n = 1u + data[4];
	else
		return bad(ret, "an address of an unknown kind");
	if (len < 4 + n + 2)
		return HEAD_MORE;
	ret->used = 4 + n + 2;
	if (data[0] != SOCKS_VERSION || data[1] != SOCKS_CONNECT) {
		*reply = SOCKS_BAD_COMMAND;
		return bad(ret, "only CONNECT is possible");
	}
	if (data[3] == SOCKS_NAME) {
		snprintf(host, sizeof(host), "%.*s", (int)data[4], (const char *)data + 5);
		if (strlen(host) != data[4])
			return bad(ret, "a name with a zero byte");
	} else {
		inet_ntop(data[3] == SOCKS_V4 ? AF_INET : AF_INET6, data + 4, host, sizeof(host));
	}
	if (hostport_set(&hp, host, data[4 + n] << 8 | data[4 + n + 1], &e) < 0)
		return bad(ret, e.message);
	snprintf(ret->host, sizeof(ret->host), "%s", hp.host);
	ret->port = hp.port;
	return HEAD_SOCKS;
}
