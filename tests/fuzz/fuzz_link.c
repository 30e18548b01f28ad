/* SPDX-License-Identifier: ISC */
/*
 * A peer that does what the input says. The first byte chooses the side, then each step is an
 * opcode: a frame of any kind with valid checks (the fuzzer could not guess those), raw bytes, or
 * something that our own program does with its streams.
 */
#include <string.h>

#include "base/util.h"
#include "ipc/link/frame.h"
#include "ipc/link/link.h"

#define OWN_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct own {
	struct link *l;
	struct link_stream *s[OWN_MAX];
	bool eager;
};

static void forget(struct own *o, struct link_stream *s)
{
	for (int i = 0; i < OWN_MAX; i++)
		if (o->s[i] == s)
			o->s[i] = NULL;
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct own *o = arg;
	(void)data;
	if (o->eager)
		link_consumed(s, len);
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	(void)msg;
	if (((struct own *)arg)->eager) {
		forget(arg, s);
		link_send_fin(s, NULL);
		link_close(s);
	}
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	(void)why;
	forget(arg, s);
}

static const struct link_stream_ops stream_ops = { .on_data = on_data, .on_fin = on_fin,
	.on_reset = on_reset };

static void on_open(void *arg, struct link_stream *s, json_t *what)
{
	struct own *o = arg;
	(void)what;
	for (int i = 0; i < OWN_MAX; i++) {
		if (!o->s[i]) {
			o->s[i] = s;
			link_accept(s, &stream_ops, o);
			return;
		}
	}
}

static void hello(struct own *o, enum link_side side, struct buf *in, unsigned char which)
{
	char text[256];
	struct buf out;
	struct frame f = { 0 }, h = { .type = FRAME_HELLO };
	size_t used;

	buf_init(&out, 4 * FRAME_MAX);
	link_connected(o->l, (which & 31) == 31); /* filler is slow */
	link_pull(o->l, &out, 1);
	while (frame_parse(buf_data(&out), out.len, &f, &used) != FRAME_OK)
		buf_consume(&out, frame_scan(buf_data(&out), out.len, 1));
	json_t *j = frame_json(&f);
	snprintf(text, sizeof(text), "{\"version\":1,\"side\":\"%s\",\"epoch\":\"%016x\",\"nonce\":"
		"\"%016x\",\"echo\":\"%s\"}", side == LINK_SHIM ? "guest" : "shim", 1 + (which >> 6),
		1 + which, json_string_value(json_object_get(j, "nonce")));
	json_decref(j);
	h.payload = (unsigned char *)text;
	h.len = strlen(text);
	buf_clear(in);
	frame_append(in, &h);
	buf_finish(&out);
	link_input(o->l, in);
}

static void one_frame(struct buf *in, const uint8_t **p, const uint8_t *end)
{
	struct frame f = { 0 };
	size_t n = (*p)[4] & 63;

	f.type = 1 + (*p)[0] % FRAME_TYPE_LAST;
	f.flags = (*p)[0] >> 7;
	f.stream = (*p)[1] & 15;
	f.offset = (*p)[2] & 128 ? (uint64_t)(*p)[3] << ((*p)[2] & 63) : ((*p)[2] & 127u) * 256u + (*p)[3];
	*p += 5;
	if (n > (size_t)(end - *p))
		n = (size_t)(end - *p);
	f.payload = *p;
	f.len = n;
	*p += n;
	frame_append(in, &f);
}

static void own_act(struct own *o, unsigned char what)
{
	static unsigned char block[5000];
	struct link_stream **s = &o->s[what & 7];
	struct err e = { 0 };

	if (!*s) {
		*s = link_open(o->l, json_pack("{s:i}", "kind", 1), &stream_ops, o, &e);
		return;
	}
	switch (what >> 4) {
	case 0:
		link_send(*s, block, 1 + what);
		break;
	case 1:
		link_send(*s, block, sizeof(block));
		break;
	case 2:
		link_send_ctl(*s, json_object());
		break;
	case 3:
		link_send_fin(*s, NULL);
		break;
	case 4:
		link_consumed(*s, what);
		break;
	case 5:
		link_consumed(*s, LINK_WINDOW);
		break;
	case 6:
		link_reset(*s, NULL);
		*s = NULL;
		break;
	case 7:
		link_close(*s);
		*s = NULL;
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct link_ops ops = { .on_open = on_open };
	const uint8_t *p = data, *end = data + size;
	struct link_config c = { .max_streams = 4 };
	struct own o = { 0 };
	struct buf in, out;

	if (size < 2)
		return 0;
	c.side = *p & 1 ? LINK_SHIM : LINK_GUEST;
	o.eager = *p & 2;
	p++;
	o.l = link_create(&c, &ops, &o);
	buf_init(&in, 2 * FRAME_MAX);
	buf_init(&out, 4 * FRAME_MAX);
	hello(&o, c.side, &in, *p++);
	while (end - p > 6) {
		unsigned char op = *p++;
		if (op < 128) {
			one_frame(&in, &p, end);
		} else if (op < 192) {
			own_act(&o, (unsigned char)(op & 15) | (unsigned char)(*p++ & 0x70));
		} else if (op < 208) {
			long n = (op & 15) < end - p ? op & 15 : end - p;
			buf_append(&in, p, (size_t)n);
			p += n;
		} else if (op < 216) {
			hello(&o, c.side, &in, *p++);
		} else if (op < 220) {
			link_disconnected(o.l, "fuzz");
		} else {
			buf_clear(&out);
			link_pull(o.l, &out, 1000u << (op & 7));
		}
		if (buf_room(&in) < FRAME_MAX)
			buf_clear(&in);
		link_input(o.l, &in);
	}
	link_destroy(o.l);
	buf_finish(&in);
	buf_finish(&out);
	return 0;
}
