/* SPDX-License-Identifier: ISC */
/* What clients say to the proxy inside a place: any beginning waits or is decided, once for all. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "place/guest/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum head_kind http(const uint8_t *data, size_t n, struct head *h, struct buf *out)
{
	/* At the end of an allocation of its size: a read past it is seen. */
	char *copy = malloc(n + !n);
	memcpy(copy, data, n);
	memset(h, 0, sizeof(*h));
	buf_clear(out);
	enum head_kind k = head_http(copy, n, h, out);
	free(copy);
	return k;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct head h = { 0 }, half;
	struct buf out;
	size_t used;
	unsigned char reply;

	buf_init(&out, 2 * PROXY_HEAD_MAX);
	enum head_kind k = http(data, size, &h, &out);
	if ((k == HEAD_CONNECT || k == HEAD_HTTP) && (h.used > size || !h.port || !*h.host))
		abort();
	if (k == HEAD_HTTP && (out.len == 0 || !memmem(buf_data(&out), out.len, "\r\n\r\n", 4)))
		abort();
	if (k != HEAD_MORE && h.used > 1) {
		enum head_kind k2 = http(data, h.used - 1, &half, &out);
		if (k != HEAD_BAD && k2 != HEAD_MORE)
			abort();
	}
	head_socks_greeting(data, size, &used);
	if (head_socks_request(data, size, &h, &reply) == HEAD_SOCKS && (h.used > size || !h.port || !*h.host))
		abort();
	buf_finish(&out);
	return 0;
}
