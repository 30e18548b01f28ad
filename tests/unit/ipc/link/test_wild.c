/* SPDX-License-Identifier: ISC */
/* The engine against a peer that breaks every rule, and against everything at random. */
#include "tests/unit/ipc/link/link_help.h"

/* --- hostile input --- */

/* Brings a link up against a peer that this test plays, whatever it does next. */
static void play_hello(struct end *e)
{
	char text[256];
	struct frame f, h = { .type = FRAME_HELLO };
	size_t used;
	buf_clear(&e->wire);
	end_connect(e, rnd(4) == 0);
	link_pull(e->l, &e->wire, 1);
	while (frame_parse(buf_data(&e->wire), e->wire.len, &f, &used) == FRAME_BAD)
		buf_consume(&e->wire, frame_scan(buf_data(&e->wire), e->wire.len, 1));
	json_t *j = frame_json(&f);
	snprintf(text, sizeof(text), "{\"version\":1,\"side\":\"%s\",\"epoch\":\"00000000000000%02x\","
		"\"nonce\":\"00000000000000%02x\",\"echo\":\"%s\",\"place\":\"\",\"info\":{}}",
		e->l->side == LINK_SHIM ? "guest" : "shim", 1 + rnd(2), 1 + rnd(200),
		json_string_value(json_object_get(j, "nonce")));
	json_decref(j);
	h.payload = (unsigned char *)text;
	h.len = strlen(text);
	frame_append(&e->in, &h);
	link_input(e->l, &e->in);
	ck_assert(link_is_up(e->l));
}

static void hostile_frame(struct buf *in)
{
	static const char *const texts[] = { "{}", "{\"a\":1}", "[", "{\"a\":", "1}", "\xff\xfe" };
	static unsigned char block[FRAME_PAYLOAD_MAX];
	static uint64_t offset;
	struct frame f = { .type = 2 + rnd(FRAME_TYPE_LAST - 1), .stream = 1 + rnd(12) };
	if (f.type >= FRAME_PING)
		f.stream = 0;
	switch (rnd(6)) {
	case 0:
		offset = 0;
		break;
	case 1:
		offset = ((uint64_t)rnd(1u << 24) << 40) | rnd(1u << 24);
		break;
	case 2:
		offset += rnd(100);
		break;
	}
	f.offset = offset;
	if (f.type == FRAME_DATA) {
		f.payload = block;
		f.len = 1 + rnd(rnd(4) ? 20 : FRAME_PAYLOAD_MAX);
	} else if (f.type != FRAME_ACK && f.type < FRAME_PING) {
		const char *t = texts[rnd(ARRAY_LEN(texts))];
		f.payload = (const unsigned char *)t;
		f.len = strlen(t);
		if (f.type != FRAME_RESET)
			f.flags = rnd(3) == 0;
	}
	offset += f.len;
	frame_append(in, &f);
}

START_TEST(a_hostile_peer_breaks_nothing)
{
	for (int round = 0; round < 60; round++) {
		struct end e;
		seed = (uint32_t)round + 7;
		end_init(&e, round % 2 ? LINK_SHIM : LINK_GUEST);
		e.lazy = round % 3 == 0;
		end_connect(&e, round % 4 == 0);
		struct seen *own = end_open(&e, "own");
		link_send(own->s, "secret", 6);
		play_hello(&e);
		for (int i = 0; i < 3000; i++) {
			if (e.nseen > SLOTS - 2)
				e.refuse = true;
			if (!link_is_up(e.l))
				play_hello(&e);
			if (rnd(50) == 0) {
				unsigned char junk[300];
				for (size_t k = 0; k < sizeof(junk); k++)
					junk[k] = (unsigned char)rnd(256);
				buf_append(&e.in, junk, 1 + rnd(sizeof(junk) - 1));
			} else if (buf_room(&e.in) > FRAME_MAX) {
				hostile_frame(&e.in);
			}
			link_input(e.l, &e.in);
			buf_clear(&e.wire);
			if (rnd(3))
				link_pull(e.l, &e.wire, 65536);
			if (e.l->nstreams > 2 * LINK_STREAMS_MAX) /* not a message of check's for each step */
				ck_abort_msg("%zu streams", (size_t)e.l->nstreams);
		}
		end_finish(&e);
	}
}
END_TEST

/* --- everything at random --- */

struct model {
	struct buf sent; /* what the other end must see, in the form of seen.got */
	struct seen *by; /* our side of the stream */
	bool fin;
};

static struct seen *peer_of(struct end *e, struct link_stream *s, uint32_t id)
{
	(void)s;
	for (int i = 0; i < e->nseen; i++)
		if (e->seen[i].s && link_id(e->seen[i].s) == id)
			return &e->seen[i];
	return NULL;
}

static void random_send(struct model *m)
{
	static unsigned char block[100000];
	struct link_stream *s = m->by->s;
	size_t n;
	switch (rnd(12)) {
	case 0:
		if (!m->fin && link_send_ctl(s, json_pack("{s:i}", "n", rnd(1000000) + 0)) == 0) {
			/* what it was is found in the queue's last record: say it again instead */
			buf_printf(&m->sent, "<?>");
		}
		break;
	default:
		n = rnd(5) ? rnd(200) : rnd(sizeof(block));
		if (m->fin || n > link_room(s) || n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			block[i] = (unsigned char)('a' + rnd(26));
		if (link_send(s, block, n) != 0)
			ck_abort_msg("%zu bytes were not taken", (size_t)n);
		buf_append(&m->sent, block, n);
	}
}

static void same_but_numbers(struct model *m, struct seen *y, size_t open)
{
	/* got has <{"n":123}> where sent has <?>. */
	size_t i = 0, k = open;
	const unsigned char *p = buf_data(&m->sent), *q = buf_data(&y->got);
	while (i < m->sent.len && k < y->got.len) {
		if (p[i] != q[k])
			ck_abort_msg("byte %zu differs", i);
		if (p[i] == '<') {
			i += 2;
			while (q[k] != '>')
				k++;
			continue;
		}
		i++;
		k++;
	}
	ck_assert_uint_eq(i, m->sent.len);
}

static void property_round(uint32_t s)
{
	struct end a, b;
	struct model m[6];
	struct end *own[6];
	seed = s;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	a.lazy = b.lazy = true;
	both_connect(&a, &b);
	for (int i = 0; i < 6; i++) {
		own[i] = i % 2 ? &a : &b;
		buf_init(&m[i].sent, GOT_MAX);
		m[i].by = end_open(own[i], "prop");
		m[i].fin = false;
	}
	for (int step = 0; step < 1500; step++) {
		uint32_t what = rnd(100);
		if (what < 30) {
			random_send(&m[rnd(6)]);
		} else if (what < 32) {
			bool leftovers = rnd(2);
			if (leftovers) {
				struct end *who = rnd(2) ? &a : &b;
				who->wire.len -= who->wire.len ? rnd((uint32_t)who->wire.len + 1) : 0;
				link_disconnected(who->l, "cut");
				end_connect(who, true);
			} else {
				end_cut(&a);
				end_cut(&b);
				both_connect(&a, &b);
			}
		} else if (what < 65) {
			move(&a, &b, rnd(4) ? rnd(300) : rnd(100000));
		} else {
			move(&b, &a, rnd(4) ? rnd(300) : rnd(100000));
		}
		struct end *who = rnd(2) ? &a : &b;
		if (who->nseen) {
			struct seen *x = &who->seen[rnd((uint32_t)who->nseen)];
			link_consumed(x->s, rnd(60000));
		}
	}
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(link_send_fin(m[i].by->s, NULL), 0);
	for (int i = 0; i < 400; i++) {
		settle(&a, &b);
		for (int k = 0; k < a.nseen; k++)
			link_consumed(a.seen[k].s, LINK_WINDOW);
		for (int k = 0; k < b.nseen; k++)
			link_consumed(b.seen[k].s, LINK_WINDOW);
	}
	for (int i = 0; i < 6; i++) {
		struct seen *y = peer_of(own[i] == &a ? &b : &a, NULL, link_id(m[i].by->s));
		ck_assert_ptr_nonnull(y);
		ck_assert_msg(y->fin, "round %u stream %d: no FIN", s, i);
		ck_assert(!y->reset && !m[i].by->reset);
		buf_printf(&m[i].sent, "|{}");
		same_but_numbers(&m[i], y, strlen("{\"kind\":\"prop\"}"));
		buf_finish(&m[i].sent);
	}
	end_finish(&a);
	end_finish(&b);
}

START_TEST(whatever_happens_to_the_wire_the_streams_are_whole)
{
	for (uint32_t i = 0; i < 60; i++)
		property_round(1000 + i);
}
END_TEST

TEST_MAIN("ipc/link/wild", a_hostile_peer_breaks_nothing,
	whatever_happens_to_the_wire_the_streams_are_whole)
