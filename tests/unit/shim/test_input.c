/* SPDX-License-Identifier: ISC */
/* Typing: pieces, brackets, Enter on its own, order, refusals, keys. */
#include "place/shim/input.h"

#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "tests/unit/run.h"

/* A terminal: takes a write when told so. Writes are separated by '|' in `seen`. */
struct tty {
	struct buf seen;
	bool bracketed, canonical;
	bool manual; /* the test says when a write was taken */
	int writes;
	struct input *in;
	struct loop_defer *taken;
};

static struct loop *loop;
static struct tty tty;
static int done;
static enum err_code done_code;

static int tty_write(void *arg, const void *data, size_t len)
{
	struct tty *t = arg;

	buf_append(&t->seen, data, len);
	buf_append(&t->seen, "|", 1);
	t->writes++;
	if (!t->manual)
		loop_defer_schedule(t->taken);
	return 0;
}

static bool tty_bracketed(void *arg)
{
	return ((struct tty *)arg)->bracketed;
}

static bool tty_canonical(void *arg)
{
	return ((struct tty *)arg)->canonical;
}

static void on_taken(void *arg)
{
	input_taken(((struct tty *)arg)->in);
}

static void on_done(void *arg, const struct err *why)
{
	(void)arg;
	done++;
	done_code = why ? why->code : ERR_NONE;
}

static void setup(void)
{
	static const struct input_ops ops = {tty_write, tty_bracketed, tty_canonical};
	struct err e = {0};

	loop = loop_create(&e);
	ck_assert_ptr_nonnull(loop);
	buf_init(&tty.seen, 16 << 20);
	tty.taken = loop_defer_create(loop, on_taken, &tty);
	tty.in = input_create(loop, &ops, &tty);
}

static void teardown(void)
{
	input_destroy(tty.in);
	loop_defer_free(tty.taken);
	buf_finish(&tty.seen);
	loop_destroy(loop);
}

static void add(enum input_mode mode, const char *text, const char *enter)
{
	struct err e = {0};

	ck_assert_msg(input_add(tty.in, mode, text, strlen(text), enter, on_done, NULL, &e) == 0, "%s", e.message);
}

static void run_until(int n)
{
	int64_t end = clock_mono_ms() + 10000;

	while (done < n && clock_mono_ms() < end)
		loop_turn(loop, 1000);
	ck_assert_int_eq(done, n);
}

static const char *seen(void)
{
	buf_append(&tty.seen, "", 1);
	tty.seen.len--;
	return (const char *)buf_data(&tty.seen);
}

START_TEST(a_paste_is_bracketed_and_enter_stands_alone)
{
	tty.bracketed = true;
	add(INPUT_PASTE, "hello\nworld", "\r");
	run_until(1);
	ck_assert_int_eq(done_code, ERR_NONE);
	ck_assert_str_eq(seen(), "\033[200~hello\nworld\033[201~|\r|");
}
END_TEST

START_TEST(without_brackets_newlines_are_what_enter_sends)
{
	add(INPUT_PASTE, "a\nb", "\r");
	run_until(1);
	ck_assert_str_eq(seen(), "a\rb|\r|");
}
END_TEST

START_TEST(a_canonical_terminal_gets_lines)
{
	tty.canonical = true;
	add(INPUT_PASTE, "a\nb", "\r");
	run_until(1);
	ck_assert_str_eq(seen(), "a\nb|\r|");
}
END_TEST

START_TEST(controls_are_stripped_unless_raw)
{
	tty.bracketed = true;
	add(INPUT_PASTE, "x\033[201~\003\x7f\302\233y\tz\r\n", NULL);
	add(INPUT_RAW, "\033[201~\003", NULL);
	run_until(2);
	ck_assert_str_eq(seen(), "\033[200~x[201~y\tz\n\033[201~|\033[201~\003|");
}
END_TEST

START_TEST(pieces_are_small_and_whole_characters)
{
	static const char wide[] = "\346\227\245";
	char *text = xcalloc(1, 200000), *joined = xcalloc(1, 200001);
	const char *p;
	size_t n = 0, len = 0;

	while (n < 100000) {
		n += (size_t)sprintf(text + n, "%s%zu ", wide, n % 7919);
		if (n % 11 == 0)
			text[n++] = '\n';
	}
	tty.bracketed = true;
	add(INPUT_PASTE, text, NULL);
	run_until(1);
	for (p = seen(); *p; p += strcspn(p, "|") + 1) {
		size_t piece = strcspn(p, "|") - 12, i, newlines = 0;

		ck_assert_mem_eq(p, "\033[200~", 6);
		ck_assert_mem_eq(p + 6 + piece, "\033[201~", 6);
		ck_assert_uint_le(piece, INPUT_PIECE_BYTES);
		ck_assert(utf8_valid(p + 6, piece));
		for (i = 0; i < piece; i++)
			newlines += p[6 + i] == '\n';
		ck_assert_uint_lt(newlines, INPUT_PIECE_LINES);
		memcpy(joined + len, p + 6, piece);
		len += piece;
	}
	ck_assert_uint_eq(len, n);
	ck_assert_mem_eq(joined, text, n);
	free(text);
	free(joined);
}
END_TEST

START_TEST(a_megabyte_is_taken_and_more_is_not)
{
	char *text = xcalloc(1, INPUT_MAX + 2);
	struct err e = {0};

	memset(text, 'x', INPUT_MAX + 1);
	ck_assert_int_eq(input_add(tty.in, INPUT_RAW, text, INPUT_MAX + 1, NULL, on_done, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_int_eq(input_add(tty.in, INPUT_RAW, text, INPUT_MAX, NULL, on_done, NULL, &e), 0);
	run_until(1);
	ck_assert_uint_eq(tty.seen.len, INPUT_MAX + (size_t)tty.writes);
	free(text);
}
END_TEST

START_TEST(inputs_never_interleave)
{
	char *text = xcalloc(1, 5001);

	memset(text, 'a', 5000);
	tty.bracketed = true;
	add(INPUT_PASTE, text, "\r");
	input_type(tty.in, "q", 1);
	input_type(tty.in, "w", 1);
	add(INPUT_PASTE, "second", NULL);
	run_until(2);
	ck_assert_ptr_nonnull(strstr(seen(), "a\033[201~|\r|qw|\033[200~second\033[201~|"));
	free(text);
}
END_TEST

START_TEST(nothing_is_written_before_the_last_was_taken)
{
	char *text = xcalloc(1, 2001);

	memset(text, 'a', 2000);
	tty.manual = true;
	add(INPUT_PASTE, text, "\r");
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(tty.writes, 1);
	input_reply(tty.in, "\033[0n", 4);
	input_taken(tty.in);
	/* An answer to a query goes between two pieces, not behind the paste. */
	ck_assert_ptr_nonnull(strstr(seen(), "a|\033[0n|"));
	ck_assert_int_eq(tty.writes, 2);
	input_taken(tty.in);
	input_taken(tty.in);
	ck_assert_int_eq(tty.writes, 4);
	input_taken(tty.in); /* the text is taken: Enter waits for the echo */
	ck_assert_int_eq(tty.writes, 4);
	input_echoed(tty.in);
	loop_turn(loop, 0);
	ck_assert_int_eq(tty.writes, 5);
	ck_assert_int_eq(done, 0);
	input_taken(tty.in);
	ck_assert_int_eq(done, 1);
	free(text);
}
END_TEST

START_TEST(without_an_echo_enter_goes_after_the_timer)
{
	int64_t from = clock_mono_ms();

	add(INPUT_PASTE, "quiet", "\r");
	run_until(1);
	ck_assert_int_ge(clock_mono_ms() - from, INPUT_ECHO_MS - 1);
	ck_assert_str_eq(seen(), "quiet|\r|");
}
END_TEST

START_TEST(a_line_too_long_for_a_canonical_terminal_is_refused)
{
	char *text = xcalloc(1, INPUT_LINE_MAX + 2);
	struct err e = {0};

	memset(text, 'x', INPUT_LINE_MAX + 1);
	tty.canonical = true;
	ck_assert_int_eq(input_add(tty.in, INPUT_PASTE, text, INPUT_LINE_MAX + 1, NULL, on_done, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(e.message, "4095"));
	text[100] = '\n';
	ck_assert_int_eq(input_add(tty.in, INPUT_PASTE, text, INPUT_LINE_MAX + 1, NULL, on_done, NULL, &e), 0);
	run_until(1);
	free(text);
}
END_TEST

START_TEST(what_waits_fails_when_the_program_ends)
{
	struct err e = {0};

	tty.manual = true;
	add(INPUT_PASTE, "one", NULL);
	add(INPUT_PASTE, "two", NULL);
	loop_turn(loop, 0);
	err_set(&e, ERR_STATE, "ended");
	input_fail(tty.in, &e);
	ck_assert_int_eq(done, 2);
	ck_assert_int_eq(done_code, ERR_STATE);
	ck_assert(input_idle(tty.in));
}
END_TEST

START_TEST(keys_are_named_as_tmux_names_them)
{
	static const struct {
		const char *name;
		bool app;
		const char *want;
	} cases[] = {
		{"Enter", false, "\r"}, {"C-c", false, "\003"}, {"C-C", false, "\003"}, {"^D", false, "\004"},
		{"Escape", false, "\033"}, {"Up", false, "\033[A"}, {"Up", true, "\033OA"}, {"M-x", false, "\033x"},
		{"M-C-c", false, "\033\003"}, {"a", false, "a"}, {"\303\251", false, "\303\251"}, {"C-]", false, "\035"},
		{"F5", false, "\033[15~"}, {"Space", false, " "}, {"-", false, "-"}, {"^", false, "^"},
	};
	static const char *const unknown[] = {"", "Foo", "C-", "C-xy", "ab", "\377", "M-M-x", "\001"};
	char out[INPUT_KEY_MAX];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		int n = input_key(cases[i].name, cases[i].app, out);

		ck_assert_msg(n == (int)strlen(cases[i].want) && memcmp(out, cases[i].want, (size_t)n) == 0, "%s",
			cases[i].name);
	}
	ck_assert_int_eq(input_key("C-Space", false, out), 1);
	ck_assert_int_eq(out[0], 0);
	for (i = 0; i < ARRAY_LEN(unknown); i++)
		ck_assert_msg(input_key(unknown[i], false, out) == -1, "%s", unknown[i]);
}
END_TEST

TEST_MAIN_FIXTURE("shim/input", setup, teardown, a_paste_is_bracketed_and_enter_stands_alone,
	without_brackets_newlines_are_what_enter_sends, a_canonical_terminal_gets_lines,
	controls_are_stripped_unless_raw, pieces_are_small_and_whole_characters,
	a_megabyte_is_taken_and_more_is_not, inputs_never_interleave,
	nothing_is_written_before_the_last_was_taken, without_an_echo_enter_goes_after_the_timer,
	a_line_too_long_for_a_canonical_terminal_is_refused, what_waits_fails_when_the_program_ends,
	keys_are_named_as_tmux_names_them)
