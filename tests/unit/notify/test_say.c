/* SPDX-License-Identifier: ISC */
/* What notices say, with agents' words in them; hours; when a post is made again. */
#include "base/util.h"
#include "daemon/notify/channel.h"
#include "ipc/hours.h"
#include "tests/unit/run.h"

static struct attention thing(enum attention_why why, const char *text)
{
	struct attention a = {.why = why, .since_ms = 1000};

	memcpy(a.instance, "ab12cd", ID_SIZE);
	str_fmt(a.subject, sizeof(a.subject), "%s", text);
	str_fmt(a.text, sizeof(a.text), "%s", text);
	attention_name(&a);
	return a;
}

static char *body_of(const struct attention *a, size_t n)
{
	struct said s;

	said_init(&s);
	for (size_t i = 0; i < n; i++)
		said_add(&s, a, "fixer");
	return said_body(&s, "id", "command", 0, false);
}

START_TEST(one_thing_is_said_by_name)
{
	struct attention a = thing(AT_APPROVAL, "Bash: make");
	cleanup_free char *body = body_of(&a, 1);
	char text[NOTICE_TEXT_SIZE];

	said_text(body, text);
	ck_assert_str_eq(text, "fixer: approval: Bash: make");
}
END_TEST

START_TEST(a_thousand_are_counted_and_bounded)
{
	struct attention a = thing(AT_LOGIN, "log in");
	cleanup_free char *body = body_of(&a, 1000);
	json_t *o = json_loads(body, 0, NULL);
	char text[NOTICE_TEXT_SIZE];

	said_text(body, text);
	ck_assert_str_eq(text, "1000 things need you: 1000 login");
	ck_assert_uint_eq(json_array_size(json_object_get(o, "items")), NOTICE_ITEMS_MAX);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "more")), 1000 - NOTICE_ITEMS_MAX);
	json_decref(o);
}
END_TEST

START_TEST(an_agents_words_are_no_sequence)
{
	struct attention a = thing(AT_QUESTION, "a\033]52;c;x\007b\xc2\x9d" "9;evil\xc2\x9c\nnext; <b>&");
	cleanup_free char *body = body_of(&a, 1);
	char text[NOTICE_TEXT_SIZE], ring[RING_MAX], markup[2 * NOTICE_TEXT_SIZE];
	size_t len;

	said_text(body, text);
	ck_assert_ptr_null(strchr(text, '\033'));
	ck_assert_ptr_null(strchr(text, '\007'));
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_ptr_null(strstr(text, "\xc2\x9d"));
	said_markup(text, markup, sizeof(markup));
	ck_assert_ptr_nonnull(strstr(markup, "&lt;b&gt;&amp;"));
	len = said_ring("osc777 bell", text, ring);
	ck_assert_mem_eq(ring, "\033]777;notify;tmux-claude;fixer: question:", 41);
	ck_assert_mem_eq(ring + len - 3, "\033\\\a", 3);
	ck_assert_ptr_null(memchr(ring + 26, ';', len - 26));
	ck_assert_uint_eq(said_ring("bell", text, ring), 1);
	ck_assert_uint_eq(said_ring("", text, ring), 0);
}
END_TEST

START_TEST(long_text_fits_every_way)
{
	char words[ATTENTION_TEXT_SIZE], ring[RING_MAX];
	size_t len;

	for (size_t i = 0; i + 2 < sizeof(words); i += 2)
		memcpy(words + i, "\xc3\xa4", 3);
	struct attention a = thing(AT_PLAN, words);
	cleanup_free char *body = body_of(&a, 1);
	char text[NOTICE_TEXT_SIZE];

	said_text(body, text);
	len = said_ring("osc9 osc777 bell", text, ring);
	ck_assert_uint_lt(len, RING_MAX);
	ck_assert(utf8_valid(ring, len));
	ck_assert_int_eq(ring[len - 1], '\a');
	/* Markup that is cut is cut between characters, wherever that is. */
	for (size_t size = 400; size < 410; size++) {
		char markup[512];
		said_markup(text, markup, size);
		ck_assert_uint_lt(strlen(markup), size);
		ck_assert(utf8_valid(markup, strlen(markup)));
	}
}
END_TEST

START_TEST(a_post_is_made_again_with_growing_pauses)
{
	ck_assert_int_eq(retry_pause_ms(5000, 1, 0, 100000), 5000);
	ck_assert_int_eq(retry_pause_ms(5000, 3, 0, 100000), 20000);
	ck_assert_int_eq(retry_pause_ms(5000, 60, 0, INT64_MAX), 3600000);
	ck_assert_int_eq(retry_pause_ms(5000, 1, 96000, 100000), -1);
}
END_TEST

START_TEST(keys_are_of_whose_why_and_what)
{
	struct attention a = thing(AT_PLAN, "x"), b = thing(AT_PLAN, "x"), c = thing(AT_LOGIN, "x"), d = thing(AT_PLAN, "y");

	ck_assert_str_eq(a.key, b.key);
	ck_assert_str_ne(a.key, c.key);
	ck_assert_str_ne(a.key, d.key);
	ck_assert_uint_eq(strspn(a.key, "abcdefghijklmnopqrstuvwxyz0123456789"), ATTENTION_KEY_SIZE - 1);
}
END_TEST

START_TEST(hours_go_over_midnight)
{
	struct hours h;
	const int64_t noon = INT64_C(12) * 3600000, minute = 60000;

	setenv("TZ", "UTC0", 1);
	ck_assert_int_eq(hours_parse("22:00-07:00", &h, NULL), 0);
	ck_assert_int_eq(hours_left_ms(&h, noon), 0);
	ck_assert_int_eq(hours_left_ms(&h, noon + 600 * minute), 540 * minute);
	ck_assert_int_eq(hours_left_ms(&h, noon + 720 * minute), 420 * minute);
	ck_assert_int_eq(hours_left_ms(&h, noon + (720 + 419) * minute + 59999), 1);
	ck_assert_int_eq(hours_left_ms(&h, noon + (720 + 420) * minute), 0);
	ck_assert_int_eq(hours_parse("09:30-17:00", &h, NULL), 0);
	ck_assert_int_eq(hours_left_ms(&h, noon), 300 * minute);
	ck_assert_int_eq(hours_left_ms(&h, 0), 0);
	ck_assert_int_eq(hours_parse("", &h, NULL), 0);
	ck_assert_int_eq(hours_left_ms(&h, noon), 0);
	ck_assert_int_eq(hours_parse("22:00", &h, NULL), -1);
	ck_assert_int_eq(hours_parse("22:00-22:00", &h, NULL), -1);
	ck_assert_int_eq(hours_parse("22:00-07:00x", &h, NULL), -1);
}
END_TEST

TEST_MAIN("notify/say", one_thing_is_said_by_name, a_thousand_are_counted_and_bounded, an_agents_words_are_no_sequence,
	long_text_fits_every_way, a_post_is_made_again_with_growing_pauses, keys_are_of_whose_why_and_what, hours_go_over_midnight)
