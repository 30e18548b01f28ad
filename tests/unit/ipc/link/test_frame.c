/* SPDX-License-Identifier: ISC */
/* The frame codec: round trips in every split, what is malformed, finding the next frame. */
#include "ipc/link/frame.h"

#include <string.h>

#include "tests/unit/run.h"

#define BOUND (4 * FRAME_MAX)

static void add(struct buf *b, enum frame_type type, unsigned flags, uint32_t stream, uint64_t off,
	const char *text, size_t len)
{
	struct frame f = { .type = type, .flags = flags, .stream = stream, .offset = off,
		.payload = (const unsigned char *)text, .len = len };
	ck_assert_int_eq(frame_append(b, &f), 0);
}

/* One of each type. */
static void add_all(struct buf *b)
{
	add(b, FRAME_HELLO, 0, 0, 0, "{}", 2);
	add(b, FRAME_OPEN, 0, 7, 0, "{\"kind\":\"x\"}", 12);
	add(b, FRAME_DATA, 0, 7, 12, "0123456789", 10);
	add(b, FRAME_CTL, FRAME_MORE, 7, 22, "{\"a\":", 5);
	add(b, FRAME_CTL, 0, 7, 27, "1}", 2);
	add(b, FRAME_FIN, 0, 7, 29, NULL, 0);
	add(b, FRAME_ACK, 0, 0xffffffffu, UINT64_MAX, NULL, 0);
	add(b, FRAME_RESET, 0, 9, 1, "{}", 2);
	add(b, FRAME_PING, 0, 0, 0x0102030405060708ull, NULL, 0);
	add(b, FRAME_PONG, 0, 0, 5, NULL, 0);
}

START_TEST(every_type_comes_back_as_it_was)
{
	struct buf b;
	struct frame f;
	size_t used, at = 0;
	int types = 0;
	buf_init(&b, BOUND);
	add_all(&b);
	while (at < b.len) {
		ck_assert_int_eq(frame_parse(buf_data(&b) + at, b.len - at, &f, &used), FRAME_OK);
		ck_assert_uint_eq(used, FRAME_HEADER + f.len);
		if (f.type == FRAME_DATA)
			ck_assert_mem_eq(f.payload, "0123456789", 10);
		if (f.type == FRAME_ACK) {
			ck_assert_uint_eq(f.offset, UINT64_MAX);
			ck_assert_uint_eq(f.stream, 0xffffffffu);
		}
		if (f.type == FRAME_PING)
			ck_assert_uint_eq(f.offset, 0x0102030405060708ull);
		at += used;
		types++;
	}
	ck_assert_int_eq(types, 10);
	buf_finish(&b);
}
END_TEST

/* Every proper beginning of a frame waits; the bytes stand at the end of an allocation of their
 * size, so that a sanitizer sees any read past them. */
START_TEST(every_split_waits_for_the_rest)
{
	struct buf b;
	struct frame f;
	size_t used;
	buf_init(&b, BOUND);
	add(&b, FRAME_DATA, 0, 7, 12, "0123456789", 10);
	for (size_t n = 0; n <= b.len; n++) {
		unsigned char *copy = malloc(n + !n);
		memcpy(copy, buf_data(&b), n);
		ck_assert_int_eq(frame_parse(copy, n, &f, &used), n == b.len ? FRAME_OK : FRAME_WAIT);
		free(copy);
	}
	buf_finish(&b);
}
END_TEST

START_TEST(any_changed_byte_is_noticed)
{
	struct buf b;
	struct frame f;
	size_t used;
	buf_init(&b, BOUND);
	add(&b, FRAME_DATA, 0, 7, 12, "0123456789", 10);
	for (size_t i = 0; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			buf_data(&b)[i] ^= (unsigned char)(1 << bit);
			ck_assert_int_eq(frame_parse(buf_data(&b), b.len, &f, &used), FRAME_BAD);
			buf_data(&b)[i] ^= (unsigned char)(1 << bit);
		}
	buf_finish(&b);
}
END_TEST

/* A half frame followed by other frames or filler is not a frame. */
START_TEST(a_cut_frame_is_noticed_at_every_position)
{
	struct buf b, c;
	struct frame f;
	size_t used;
	static const char zeros[FRAME_MAX];
	buf_init(&b, BOUND);
	buf_init(&c, BOUND);
	add(&b, FRAME_DATA, 0, 7, 12, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
	for (size_t cut = 0; cut < b.len; cut++) {
		buf_clear(&c);
		buf_append(&c, buf_data(&b), cut);
		buf_append(&c, zeros, sizeof(zeros));
		ck_assert_int_eq(frame_parse(buf_data(&c), c.len, &f, &used), FRAME_BAD);
		buf_clear(&c);
		buf_append(&c, buf_data(&b), cut);
		size_t n = c.len;
		add_all(&c);
		enum frame_result r = frame_parse(buf_data(&c), c.len, &f, &used);
		ck_assert_int_eq(r, cut == 0 ? FRAME_OK : FRAME_BAD);
		ck_assert_uint_eq(frame_scan(buf_data(&c), c.len, cut ? 1 : 0), n);
	}
	buf_finish(&b);
	buf_finish(&c);
}
END_TEST

START_TEST(scan_keeps_the_beginning_of_a_magic_at_the_end)
{
	struct buf b;
	buf_init(&b, BOUND);
	add(&b, FRAME_PING, 0, 0, 0, NULL, 0);
	for (size_t keep = 1; keep <= 4; keep++) {
		unsigned char text[64];
		memset(text, 'x', sizeof(text));
		memcpy(text + sizeof(text) - keep, buf_data(&b), keep);
		ck_assert_uint_eq(frame_scan(text, sizeof(text), 0), sizeof(text) - keep);
	}
	ck_assert_uint_eq(frame_scan("xyz", 3, 0), 3);
	ck_assert_uint_eq(frame_scan("xyz", 0, 0), 0);
	buf_finish(&b);
}
END_TEST

START_TEST(what_has_the_wrong_shape_is_not_written)
{
	static const struct frame bad[] = {
		{ .type = FRAME_HELLO, .stream = 1, .payload = (const unsigned char *)"{}", .len = 2 },
		{ .type = FRAME_HELLO },
		{ .type = FRAME_DATA, .stream = 1 },
		{ .type = FRAME_DATA, .payload = (const unsigned char *)"x", .len = 1 },
		{ .type = FRAME_DATA, .stream = 1, .flags = FRAME_MORE,
			.payload = (const unsigned char *)"x", .len = 1 },
		{ .type = FRAME_ACK, .stream = 1, .payload = (const unsigned char *)"x", .len = 1 },
		{ .type = FRAME_PING, .stream = 1 },
		{ .type = FRAME_FIN },
		{ .type = (enum frame_type)0, .stream = 1 },
		{ .type = (enum frame_type)(FRAME_TYPE_LAST + 1), .stream = 1 },
	};
	struct buf b;
	buf_init(&b, BOUND);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(frame_append(&b, &bad[i]) == -1, "frame %zu was written", i);
	ck_assert_uint_eq(b.len, 0);
	buf_finish(&b);
}
END_TEST

START_TEST(data_is_cut_into_frames_all_or_nothing)
{
	struct buf b;
	struct frame f;
	size_t used, at = 0, got = 0, n = 2 * FRAME_PAYLOAD_MAX + 1;
	char *text = malloc(n);
	for (size_t i = 0; i < n; i++)
		text[i] = (char)(i * 7 >> 3);
	buf_init(&b, n + 3 * FRAME_HEADER - 1);
	ck_assert_int_eq(frame_append_data(&b, 1, text, n), -1);
	ck_assert_uint_eq(b.len, 0);
	buf_finish(&b);
	buf_init(&b, n + 3 * FRAME_HEADER);
	ck_assert_int_eq(frame_append_data(&b, 1, text, n), 0);
	for (; at < b.len; at += used, got += f.len) {
		ck_assert_int_eq(frame_parse(buf_data(&b) + at, b.len - at, &f, &used), FRAME_OK);
		ck_assert_mem_eq(f.payload, text + got, f.len);
	}
	ck_assert_uint_eq(got, n);
	free(text);
	buf_finish(&b);
}
END_TEST

START_TEST(json_goes_both_ways)
{
	struct buf b;
	struct frame f;
	size_t used;
	json_t *msg = json_pack("{s:[ii]}", "resize", 24, 80);
	buf_init(&b, BOUND);
	ck_assert_int_eq(frame_append_ctl(&b, 1, msg), 0);
	ck_assert_int_eq(frame_parse(buf_data(&b), b.len, &f, &used), FRAME_OK);
	ck_assert_int_eq(f.type, FRAME_CTL);
	json_t *back = frame_json(&f);
	ck_assert(json_equal(msg, back));
	json_decref(back);
	buf_consume(&b, used);
	ck_assert_int_eq(frame_append_fin(&b, 1, NULL), 0);
	ck_assert_int_eq(frame_parse(buf_data(&b), b.len, &f, &used), FRAME_OK);
	ck_assert_int_eq(f.type, FRAME_FIN);
	back = frame_json(&f);
	ck_assert_uint_eq(json_object_size(back), 0);
	json_decref(back);
	json_decref(msg);
	f.payload = (const unsigned char *)"[1]";
	f.len = 3;
	ck_assert_ptr_null(frame_json(&f));
	f.len = 2;
	ck_assert_ptr_null(frame_json(&f));
	buf_finish(&b);
}
END_TEST

TEST_MAIN("ipc/link/frame", every_type_comes_back_as_it_was, every_split_waits_for_the_rest,
	any_changed_byte_is_noticed, a_cut_frame_is_noticed_at_every_position,
	scan_keeps_the_beginning_of_a_magic_at_the_end, what_has_the_wrong_shape_is_not_written,
	data_is_cut_into_frames_all_or_nothing, json_goes_both_ways)
