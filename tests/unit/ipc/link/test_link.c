/* SPDX-License-Identifier: ISC */
/* The engine over a wire that is cut at every byte: nothing is lost or doubled; ends, resets, time. */
#include "tests/unit/ipc/link/link_help.h"

START_TEST(records_arrive_in_order_both_ways)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	struct seen *x = end_open(&a, "run"), *y = end_open(&b, "api");
	ck_assert_uint_eq(link_id(x->s) % 2, 0);
	ck_assert_uint_eq(link_id(y->s) % 2, 1);
	link_send(x->s, "one", 3);
	both_connect(&a, &b);
	settle(&a, &b);
	ck_assert(link_is_up(a.l) && link_is_up(b.l));
	ck_assert_int_eq(a.ups + b.ups, 2);
	ck_assert_int_eq(a.new_peers + b.new_peers, 2);
	link_send_ctl(x->s, json_pack("{s:i}", "n", 1));
	link_send(x->s, "two", 3);
	link_send_fin(x->s, NULL);
	ck_assert_int_eq(link_send(x->s, "x", 1), -1);
	ck_assert_int_eq(link_send_ctl(x->s, json_object()), -1);
	settle(&a, &b);
	GOT(&b.seen[1], "{\"kind\":\"run\"}one<{\"n\":1}>two|{}");
	GOT(&a.seen[1], "{\"kind\":\"api\"}");
	link_send(b.seen[1].s, "back", 4);
	link_send_fin(b.seen[1].s, json_pack("{s:i}", "code", 3));
	settle(&a, &b);
	GOT(x, "back|{\"code\":3}");
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(a_fin_stays_until_the_receiver_closed)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	struct seen *x = end_open(&a, "run");
	link_send_fin(x->s, NULL);
	settle(&a, &b);
	struct seen *y = &b.seen[0];
	link_send(y->s, "bye", 3);
	link_send_fin(y->s, json_pack("{s:i}", "code", 3));
	settle(&a, &b);
	ck_assert(x->fin);
	ck_assert_uint_lt(link_acked(y->s), link_queued(y->s));
	link_close(x->s);
	settle(&a, &b);
	ck_assert_uint_eq(link_acked(y->s), link_queued(y->s));
	ck_assert_uint_eq(b.l->nstreams, 1);
	link_close(y->s);
	settle(&a, &b);
	ck_assert_uint_eq(a.l->nstreams, 0);
	ck_assert_uint_eq(b.l->nstreams, 0);
	ck_assert(!x->reset && !y->reset);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

/* The scenario of the cuts: both ways, all kinds of records, ends on both sides. */
static void scenario_start(struct end *a, struct end *b)
{
	struct seen *x = end_open(a, "run");
	link_send(x->s, "hello", 5);
	link_send_ctl(x->s, json_pack("{s:[ii]}", "resize", 24, 80));
	link_send(x->s, " world", 6);
	link_send_fin(x->s, json_pack("{s:b}", "eof", 1));
	struct seen *y = end_open(b, "api");
	link_send(y->s, "report", 6);
	link_send_fin(y->s, NULL);
}

/* Answers what was opened and closes what is over; to be called after every move. */
static void scenario_react(struct end *e)
{
	for (int i = 0; i < e->nseen; i++) {
		struct seen *x = &e->seen[i];
		if (!x->s || x->reset)
			continue;
		if (!link_fin_sent(x->s)) {
			link_send(x->s, "answer", 6);
			link_send_ctl(x->s, json_pack("{s:i}", "x", 1));
			link_send_fin(x->s, json_pack("{s:i}", "code", 0));
		}
		if (x->fin) {
			link_close(x->s);
			x->s = NULL;
		}
	}
}

static void scenario_check(struct end *a, struct end *b)
{
	ck_assert_int_eq(a->nseen, 2);
	ck_assert_int_eq(b->nseen, 2);
	GOT(&a->seen[0], "answer<{\"x\":1}>|{\"code\":0}");
	struct seen *ax = &a->seen[1];
	GOT(ax, "{\"kind\":\"api\"}report|{}");
	struct seen *by = &b->seen[0], *bx = &b->seen[1];
	GOT(by, "answer<{\"x\":1}>|{\"code\":0}");
	GOT(bx, "{\"kind\":\"run\"}hello<{\"resize\":[24,80]}> world|{\"eof\":true}");
	ck_assert_uint_eq(a->l->nstreams, 0);
	ck_assert_uint_eq(b->l->nstreams, 0);
}

enum cut { CUT_BOTH_NOTICE, CUT_LEFTOVERS };

/* Runs the scenario byte by byte with a cut after `at` bytes. False when it was over before. */
static bool scenario(size_t at, enum cut cut)
{
	struct end a, b;
	bool was_cut = false;
	size_t moved = 0;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	scenario_start(&a, &b);
	for (;;) {
		if (moved == at && !was_cut) {
			was_cut = true;
			if (cut == CUT_BOTH_NOTICE) {
				end_cut(&a);
				end_cut(&b);
				both_connect(&a, &b);
			} else {
				/* Half of what is on its way arrives late, the rest is lost; only the
				 * shim knows that the connection is another one. */
				a.wire.len -= a.wire.len / 2;
				b.wire.len -= b.wire.len / 2;
				link_disconnected(a.l, "cut");
				buf_clear(&a.in);
				end_connect(&a, true);
			}
		}
		/* After a cut with filler, larger pieces: the filler is long. */
		size_t piece = was_cut && cut == CUT_LEFTOVERS ? 4096 : 1;
		size_t n = move(&a, &b, piece);
		scenario_react(&b);
		size_t m = move(&b, &a, piece);
		scenario_react(&a);
		moved += n > 0; /* one step each way counts once */
		if (n + m == 0) {
			if (was_cut || moved < at)
				break;
			moved = at;
		}
	}
	scenario_check(&a, &b);
	bool reached = was_cut && moved > at;
	end_finish(&a);
	end_finish(&b);
	return reached;
}

START_TEST(a_cut_at_any_byte_loses_and_doubles_nothing)
{
	size_t at = 0;
	while (scenario(at, CUT_BOTH_NOTICE) && at < 5000)
		at++;
	ck_assert_uint_gt(at, 500);
	ck_assert_uint_lt(at, 5000);
}
END_TEST

START_TEST(leftovers_of_an_earlier_connection_do_no_harm)
{
	size_t at = 0;
	while (scenario(at, CUT_LEFTOVERS) && at < 5000)
		at++;
	ck_assert_uint_gt(at, 500);
	ck_assert_uint_lt(at, 5000);
}
END_TEST

START_TEST(the_window_holds_and_moves_by_consumption)
{
	struct end a, b;
	static char block[4 * LINK_WINDOW];
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	b.lazy = true;
	both_connect(&a, &b);
	struct seen *x = end_open(&a, "run");
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 31 >> 4);
	ck_assert_uint_eq(link_room(x->s), LINK_OUT_MAX);
	ck_assert_int_eq(link_send(x->s, block, sizeof(block)), 0);
	ck_assert_int_eq(link_send(x->s, block, 1), -1);
	settle(&a, &b);
	struct seen *y = &b.seen[0];
	size_t open = strlen("{\"kind\":\"run\"}");
	ck_assert_uint_eq(y->got.len - open, LINK_WINDOW); /* the OPEN was consumed */
	link_consumed(y->s, 1000);
	settle(&a, &b);
	ck_assert_uint_eq(y->got.len - open, LINK_WINDOW + 1000);
	ck_assert_uint_eq(link_room(x->s), 1000);
	/* A message behind unconsumed bytes: its bytes count when those before it were consumed. */
	link_send_ctl(x->s, json_pack("{s:i}", "n", 1));
	for (int i = 0; i < 100; i++) {
		link_consumed(y->s, LINK_WINDOW);
		settle(&a, &b);
	}
	ck_assert_mem_eq(buf_data(&y->got) + open, block, sizeof(block));
	ck_assert_uint_eq(y->got.len, open + sizeof(block) + strlen("<{\"n\":1}>"));
	ck_assert_uint_eq(link_acked(x->s), link_queued(x->s));
	ck_assert_uint_eq(x->s->out.cap, 0);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(messages_larger_than_a_frame_and_the_window_pass)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	char *text = xcalloc(1, LINK_CTL_MAX);
	memset(text, 'x', LINK_CTL_MAX - 100);
	struct seen *x = slot(&a);
	x->s = link_open(a.l, json_pack("{s:s}", "kind", text), &stream_ops, x, NULL);
	ck_assert_int_eq(link_send_ctl(x->s, json_pack("{s:s}", "ctl", text)), 0);
	ck_assert_int_eq(link_send_ctl(x->s, json_pack("{s:s}", "ctl", "more")), -1); /* too much waits */
	both_connect(&a, &b);
	settle(&a, &b);
	ck_assert_int_eq(link_send_fin(x->s, json_pack("{s:s}", "fin", text)), 0);
	for (int i = 0; i < 3; i++) {
		move(&a, &b, 100000);
		end_cut(&a);
		end_cut(&b);
		both_connect(&a, &b);
	}
	settle(&a, &b);
	struct seen *y = &b.seen[0];
	ck_assert(y->fin);
	ck_assert_uint_gt(y->got.len, 3 * (LINK_CTL_MAX - 100));
	ck_assert_uint_lt(y->got.len, 3 * LINK_CTL_MAX);
	memset(text, 'x', LINK_CTL_MAX - 1);
	struct err e = { 0 };
	ck_assert_ptr_null(link_open(a.l, json_pack("{s:s}", "kind", text), &stream_ops, x, &e));
	ck_assert_int_eq(e.code, ERR_LIMIT);
	free(text);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(a_new_peer_resets_all_but_what_it_never_saw)
{
	struct end a, b, c;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	end_init(&c, LINK_SHIM);
	both_connect(&a, &b);
	end_open(&a, "run");
	settle(&a, &b);
	struct seen *run = &b.seen[0];
	struct seen *api = end_open(&b, "api");
	settle(&a, &b);
	link_send(run->s, "kept", 4);
	end_cut(&a);
	end_cut(&b);
	struct seen *later = end_open(&b, "later");
	link_send(later->s, "waited", 6);
	both_connect(&c, &b);
	end_open(&c, "attach");
	settle(&c, &b);
	ck_assert(run->reset && api->reset && !later->reset);
	ck_assert_str_eq(run->unacked, "kept");
	ck_assert_int_eq(b.new_peers, 2);
	ck_assert_int_eq(c.nseen, 2);
	struct seen *x = &c.seen[1];
	GOT(x, "{\"kind\":\"later\"}waited");
	ck_assert_int_eq(b.nseen, 4); /* ids of the new shim begin anew */
	/* The same peer again: nothing is reset. */
	end_cut(&b);
	end_cut(&c);
	both_connect(&c, &b);
	settle(&c, &b);
	ck_assert_int_eq(b.new_peers, 2);
	ck_assert(!later->reset && !b.seen[3].reset);
	end_finish(&a);
	end_finish(&b);
	end_finish(&c);
}
END_TEST

START_TEST(a_reset_reaches_the_peer_across_a_cut)
{
	struct end a, b;
	struct err why = { 0 };
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	struct seen *x = end_open(&a, "run");
	settle(&a, &b);
	err_set(&why, ERR_DENIED, "no more");
	link_send(x->s, "lost", 4);
	link_reset(x->s, &why);
	link_pull(a.l, &a.wire, 1000);
	ck_assert_uint_gt(a.wire.len, 0);
	end_cut(&a);
	end_cut(&b);
	both_connect(&a, &b);
	settle(&a, &b);
	ck_assert(b.seen[0].reset);
	ck_assert_str_eq(b.seen[0].why, "no more");
	ck_assert_uint_eq(a.l->nstreams, 0);
	ck_assert_uint_eq(b.l->nstreams, 0);
	/* Both at once. */
	x = end_open(&a, "run");
	settle(&a, &b);
	link_reset(x->s, NULL);
	link_reset(b.seen[1].s, NULL);
	settle(&a, &b);
	ck_assert_uint_eq(a.l->nstreams, 0);
	ck_assert_uint_eq(b.l->nstreams, 0);
	/* Refused at the door. */
	b.refuse = true;
	x = end_open(&a, "run");
	link_send(x->s, "x", 1);
	settle(&a, &b);
	ck_assert(x->reset);
	ck_assert_str_eq(x->why, "not here");
	ck_assert_uint_eq(a.l->nstreams + b.l->nstreams, 0);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(opens_go_in_order_again_after_a_cut)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	settle(&a, &b);
	struct seen *x = end_open(&a, "one"), *y = end_open(&a, "two");
	link_pull(a.l, &a.wire, 1); /* only the first OPEN, which is lost */
	end_cut(&a);
	end_cut(&b);
	both_connect(&a, &b);
	settle(&a, &b);
	link_send(x->s, "x", 1);
	link_send(y->s, "y", 1);
	settle(&a, &b);
	ck_assert_int_eq(b.nseen, 2);
	struct seen *bx = &b.seen[0], *by = &b.seen[1];
	GOT(bx, "{\"kind\":\"one\"}x");
	GOT(by, "{\"kind\":\"two\"}y");
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(an_acknowledgement_that_was_lost_is_given_again)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	struct seen *x = end_open(&a, "run");
	settle(&a, &b);
	struct seen *y = &b.seen[0];
	link_send_fin(y->s, json_pack("{s:i}", "code", 3));
	settle(&a, &b);
	link_send_fin(x->s, NULL);
	settle(&a, &b);
	link_close(x->s);
	link_pull(a.l, &a.wire, 1000);
	ck_assert_uint_lt(link_acked(y->s), link_queued(y->s));
	end_cut(&a);
	end_cut(&b);
	both_connect(&a, &b);
	settle(&a, &b);
	ck_assert(!y->reset);
	ck_assert_uint_eq(link_acked(y->s), link_queued(y->s));
	end_finish(&a);
	end_finish(&b);
}
END_TEST

/* What the peer said on an earlier connection, its HELLO included, comes out of a buffer once more. */
START_TEST(an_earlier_connection_is_not_believed)
{
	struct end a, b;
	struct buf old;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	buf_init(&old, WIRE_MAX);
	both_connect(&a, &b);
	while (!link_is_up(b.l)) {
		link_pull(a.l, &a.wire, 1000);
		buf_append(&old, buf_data(&a.wire), a.wire.len);
		move(&a, &b, 1000);
		move(&b, &a, 1000);
	}
	struct seen *x = end_open(&a, "run");
	link_send(x->s, "again", 5);
	link_pull(a.l, &a.wire, 1000);
	buf_append(&old, buf_data(&a.wire), a.wire.len);
	end_cut(&b);
	end_connect(&b, true);
	buf_append(&b.in, buf_data(&old), old.len);
	link_input(b.l, &b.in);
	ck_assert(!link_is_up(b.l));
	ck_assert_int_eq(b.nseen, 0);
	buf_finish(&old);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(a_flood_does_not_hold_up_another_stream)
{
	struct end a, b;
	static char block[LINK_OUT_MAX];
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	struct seen *flood = end_open(&a, "flood"), *small = end_open(&a, "small");
	settle(&a, &b);
	link_send(flood->s, block, sizeof(block));
	move(&a, &b, 65536);
	link_send(small->s, "key", 3);
	move(&a, &b, 3 * 65536);
	struct seen *y = &b.seen[1];
	GOT(y, "{\"kind\":\"small\"}key");
	ck_assert_uint_lt(b.seen[0].got.len, sizeof(block) / 2);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(silence_is_asked_about_and_then_ends_the_connection)
{
	struct end a, b;
	static const struct link_ops ops = { .on_up = on_up, .on_down = on_down, .on_open = on_open,
		.on_output = on_output };
	struct link_config c = { .side = LINK_SHIM, .ping_ms = LINK_PING_MS };
	clock_set_source(fake_clock, fake_clock);
	end_init(&a, LINK_SHIM);
	link_destroy(a.l);
	a.l = link_create(&c, &ops, &a);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	settle(&a, &b);
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(link_deadline(a.l), fake_now + LINK_PING_MS);
		fake_now += LINK_PING_MS;
		link_tick(a.l);
		settle(&a, &b);
		ck_assert(link_is_up(a.l));
	}
	fake_now = link_deadline(a.l);
	link_tick(a.l);
	ck_assert_int_eq(link_deadline(a.l), fake_now + LINK_DEAD_MS);
	fake_now += LINK_DEAD_MS - 1;
	link_tick(a.l);
	ck_assert(link_is_up(a.l));
	fake_now += 1;
	link_tick(a.l);
	ck_assert(!link_is_up(a.l));
	ck_assert_str_eq(a.down_reason, "no answer for 60 s");
	/* It was only slow: both come back, and resume. */
	settle(&a, &b);
	ck_assert(link_is_up(a.l) && link_is_up(b.l));
	ck_assert_int_eq(a.new_peers, 1);
	/* A HELLO that was lost is said again. */
	end_cut(&a);
	end_cut(&b);
	both_connect(&a, &b);
	link_pull(a.l, &a.wire, 1000);
	link_pull(b.l, &b.wire, 1000);
	buf_clear(&a.wire);
	buf_clear(&b.wire);
	settle(&a, &b);
	ck_assert(!link_is_up(a.l));
	fake_now += LINK_HELLO_RETRY_MS;
	link_tick(a.l);
	settle(&a, &b);
	ck_assert(link_is_up(a.l) && link_is_up(b.l));
	clock_set_source(NULL, NULL);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(garbage_in_the_middle_starts_over_and_resumes)
{
	struct end a, b;
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	both_connect(&a, &b);
	struct seen *x = end_open(&a, "run");
	settle(&a, &b);
	link_send(x->s, "before", 6);
	link_pull(a.l, &a.wire, 1000);
	buf_data(&a.wire)[FRAME_HEADER + 1] ^= 1;
	settle(&a, &b);
	ck_assert(link_is_up(a.l) && link_is_up(b.l));
	ck_assert_int_eq(b.downs, 1);
	link_send(x->s, "after", 5);
	settle(&a, &b);
	struct seen *y = &b.seen[0];
	GOT(y, "{\"kind\":\"run\"}beforeafter");
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(its_own_words_and_another_version_are_not_a_peer)
{
	struct end a, b;
	struct frame f = { .type = FRAME_HELLO };
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_SHIM);
	both_connect(&a, &b);
	for (int i = 0; i < 10; i++) {
		move(&a, &b, 1000);
		move(&b, &a, 1000);
	}
	ck_assert(!link_is_up(a.l));
	static const char hello[] = "{\"version\":2,\"side\":\"guest\",\"epoch\":\"0000000000000001\","
		"\"nonce\":\"0000000000000001\",\"place\":\"\",\"info\":{}}";
	f.payload = (const unsigned char *)hello;
	f.len = sizeof(hello) - 1;
	buf_clear(&a.in);
	for (int i = 0; i < 3; i++) {
		frame_append(&a.in, &f);
		link_input(a.l, &a.in);
	}
	ck_assert_int_eq(a.downs, 1);
	ck_assert_str_eq(a.down_reason,
		"the other end speaks version 2 of the link, this one version 1");
	end_finish(&a);
	end_finish(&b);
}
END_TEST

START_TEST(too_many_streams_are_refused)
{
	struct end a, b;
	struct err e = { 0 };
	end_init(&a, LINK_SHIM);
	end_init(&b, LINK_GUEST);
	b.l->max_streams = 3;
	both_connect(&a, &b);
	struct seen *x[4];
	for (int i = 0; i < 4; i++)
		x[i] = end_open(&a, "run");
	settle(&a, &b);
	ck_assert(x[3]->reset && !x[2]->reset);
	ck_assert_str_eq(x[3]->why, "the other end of the link has too many streams open");
	link_reset(x[0]->s, NULL);
	settle(&a, &b);
	struct seen *again = end_open(&a, "run");
	settle(&a, &b);
	ck_assert(!again->reset);
	while (link_open(a.l, json_pack("{s:s}", "kind", "x"), &stream_ops, again, &e))
		;
	ck_assert_int_eq(e.code, ERR_BUSY);
	end_finish(&a);
	end_finish(&b);
}
END_TEST

TEST_MAIN("ipc/link/link", records_arrive_in_order_both_ways,
	a_fin_stays_until_the_receiver_closed, a_cut_at_any_byte_loses_and_doubles_nothing,
	leftovers_of_an_earlier_connection_do_no_harm, the_window_holds_and_moves_by_consumption,
	messages_larger_than_a_frame_and_the_window_pass, a_new_peer_resets_all_but_what_it_never_saw,
	a_reset_reaches_the_peer_across_a_cut, opens_go_in_order_again_after_a_cut,
	an_acknowledgement_that_was_lost_is_given_again, an_earlier_connection_is_not_believed,
	a_flood_does_not_hold_up_another_stream,
	silence_is_asked_about_and_then_ends_the_connection,
	garbage_in_the_middle_starts_over_and_resumes, its_own_words_and_another_version_are_not_a_peer,
	too_many_streams_are_refused)
