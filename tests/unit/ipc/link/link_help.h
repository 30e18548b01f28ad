/* SPDX-License-Identifier: ISC */
/* Two engines joined by a wire that splits, cuts and keeps leftovers, for the link's tests. */
#ifndef TESTS_LINK_HELP_H
#define TESTS_LINK_HELP_H

#include "ipc/link/link.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "ipc/link/link_int.h"
#include "tests/unit/run.h"

#define WIRE_MAX (8 * 1024 * 1024)
#define GOT_MAX (8 * 1024 * 1024)
#define SLOTS 64

static uint32_t seed = 1;

static inline uint32_t rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(seed >> 8) * below) >> 24);
}

static int64_t fake_now = 1000;

static inline int64_t fake_clock(void)
{
	return fake_now;
}

/* What one end saw of one stream. */
struct seen {
	struct link_stream *s;
	struct buf got; /* DATA as it is, each CTL as <json>, FIN as |json */
	bool fin, reset;
	bool lazy; /* consumes nothing by itself */
	char why[ERR_MESSAGE_MAX];
	char unacked[4096];
};

struct end {
	struct link *l;
	struct buf in, wire; /* wire: what it sent, not yet arrived */
	bool connected;
	int ups, new_peers, downs, outputs;
	struct seen seen[SLOTS];
	int nseen;
	bool refuse, lazy;
	char down_reason[ERR_MESSAGE_MAX];
};

static inline void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct seen *x = arg;
	ck_assert_int_eq(buf_append(&x->got, data, len), 0);
	if (!x->lazy)
		link_consumed(s, len);
}

static inline void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct seen *x = arg;
	cleanup_free char *t = json_dumps(msg, JSON_COMPACT);
	(void)s;
	buf_printf(&x->got, "<%s>", t);
}

static inline void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct seen *x = arg;
	cleanup_free char *t = json_dumps(msg, JSON_COMPACT);
	(void)s;
	ck_assert(!x->fin);
	x->fin = true;
	buf_printf(&x->got, "|%s", t);
}

static inline void add_unacked(void *arg, const void *data, size_t len)
{
	struct seen *x = arg;
	size_t n = strlen(x->unacked);
	if (n + len < sizeof(x->unacked))
		memcpy(x->unacked + n, data, len);
}

static inline void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct seen *x = arg;
	x->reset = true;
	snprintf(x->why, sizeof(x->why), "%s", why->message);
	memset(x->unacked, 0, sizeof(x->unacked));
	link_unacked(s, add_unacked, x);
	x->s = NULL;
}

static const struct link_stream_ops stream_ops = { .on_data = on_data, .on_ctl = on_ctl,
	.on_fin = on_fin, .on_reset = on_reset };

static inline struct seen *slot(struct end *e)
{
	ck_assert_int_lt(e->nseen, SLOTS);
	struct seen *x = &e->seen[e->nseen++];
	buf_init(&x->got, GOT_MAX);
	x->lazy = e->lazy;
	return x;
}

static inline void on_open(void *arg, struct link_stream *s, json_t *what)
{
	struct end *e = arg;
	struct err why = { 0 };
	if (e->refuse) {
		err_set(&why, ERR_DENIED, "not here");
		link_reset(s, &why);
		return;
	}
	struct seen *x = slot(e);
	cleanup_free char *t = json_dumps(what, JSON_COMPACT);
	buf_printf(&x->got, "%s", t);
	x->s = s;
	link_accept(s, &stream_ops, x);
}

static inline void on_up(void *arg, bool new_peer, json_t *hello)
{
	struct end *e = arg;
	e->ups++;
	e->new_peers += new_peer;
	ck_assert_ptr_nonnull(json_object_get(hello, "info"));
}

static inline void on_down(void *arg, const char *reason)
{
	struct end *e = arg;
	e->downs++;
	snprintf(e->down_reason, sizeof(e->down_reason), "%s", reason);
}

static inline void on_output(void *arg)
{
	((struct end *)arg)->outputs++;
}

static inline void end_init(struct end *e, enum link_side side)
{
	static const struct link_ops ops = { .on_up = on_up, .on_down = on_down, .on_open = on_open,
		.on_output = on_output };
	struct link_config c = { .side = side, .place = "abcdef" };
	memset(e, 0, sizeof(*e));
	e->l = link_create(&c, &ops, e);
	buf_init(&e->in, 2 * FRAME_MAX);
	buf_init(&e->wire, WIRE_MAX);
}

static inline void end_finish(struct end *e)
{
	link_destroy(e->l);
	buf_finish(&e->in);
	buf_finish(&e->wire);
	for (int i = 0; i < e->nseen; i++)
		buf_finish(&e->seen[i].got);
}

static inline struct seen *end_open(struct end *e, const char *kind)
{
	struct seen *x = slot(e);
	x->s = link_open(e->l, json_pack("{s:s}", "kind", kind), &stream_ops, x, NULL);
	ck_assert_ptr_nonnull(x->s);
	return x;
}

/* Moves up to n bytes of what `from` sent to `to`. Returns how many. */
static inline size_t move(struct end *from, struct end *to, size_t n)
{
	if (from->wire.len < n && from->connected)
		link_pull(from->l, &from->wire, n);
	if (n > from->wire.len)
		n = from->wire.len;
	size_t room = buf_room(&to->in);
	if (n > room)
		n = room;
	if (n == 0 || !to->connected)
		return 0;
	buf_append(&to->in, buf_data(&from->wire), n);
	buf_consume(&from->wire, n);
	link_input(to->l, &to->in);
	return n;
}

static inline void settle(struct end *a, struct end *b)
{
	while (move(a, b, 65536) + move(b, a, 65536) > 0)
		;
}

static inline void end_connect(struct end *e, bool filler)
{
	e->connected = true;
	buf_clear(&e->in);
	link_connected(e->l, filler);
}

static inline void end_cut(struct end *e)
{
	e->connected = false;
	buf_clear(&e->wire);
	buf_clear(&e->in);
	link_disconnected(e->l, "cut");
}

static inline void both_connect(struct end *a, struct end *b)
{
	end_connect(a, false);
	end_connect(b, false);
}

#define GOT(x, text)                                                                               \
	do {                                                                                       \
		ck_assert_int_eq(buf_append(&(x)->got, "", 1), 0);                                 \
		ck_assert_str_eq((char *)buf_data(&(x)->got), text);                               \
		(x)->got.len--;                                                                    \
	} while (0)

#endif
