/* SPDX-License-Identifier: ISC */
/* Typing: pieces, brackets, Enter on its own, order, readiness, deadlines, what is owed. */
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
	size_t room; /* in bytes, with `limited`: what is taken before it stands still */
	bool limited;
	size_t unread; /* of the last write */
	int looks, drops;
	bool looking;  /* the mode is told when the test says so */
	int writes;
	struct input *in;
	struct loop_defer *taken;
	char rest[INPUT_RAW_BYTES + 32];
	struct loop_defer *dropped;
	size_t gone;
};

static struct loop *loop;
static struct tty tty;
static int done;
static enum err_code done_code;
static size_t done_taken;
static char done_text[ERR_MESSAGE_MAX];

static int tty_write(void *arg, const void *data, size_t len)
{
	struct tty *t = arg;

	if (t->limited) { /* no marks between writes: what a program would read */
		size_t n = len < t->room ? len : t->room;

		buf_append(&t->seen, data, n);
		t->room -= n;
		t->unread = len - n;
		memcpy(t->rest, (const char *)data + n, t->unread);
		t->writes++;
		if (!t->unread)
			loop_defer_schedule(t->taken);
		return 0;
	}
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

static int tty_look(void *arg)
{
	struct tty *t = arg;

	t->looks++;
	return t->looking ? 0 : -1;
}

static int tty_drop(void *arg)
{
	struct tty *t = arg;
	size_t n = t->unread;

	t->drops++;
	t->unread = 0;
	loop_defer_schedule(t->dropped);
	t->gone = n;
	return 0;
}

/* The program reads again: n more bytes are taken. */
static void tty_reads(size_t n)
{
	size_t now = tty.unread < n ? tty.unread : n;

	buf_append(&tty.seen, tty.rest, now);
	memmove(tty.rest, tty.rest + now, tty.unread - now);
	tty.room = n - now;
	if (tty.unread && tty.unread == now) {
		tty.unread = 0;
		input_taken(tty.in);
	} else {
		tty.unread -= now;
	}
}

static void on_dropped(void *arg)
{
	struct tty *t = arg;

	input_dropped(t->in, t->gone);
}

static void on_done(void *arg, size_t taken, const struct err *why)
{
	(void)arg;
	done++;
	done_taken = taken;
	done_code = why ? why->code : ERR_NONE;
	str_fmt(done_text, sizeof(done_text), "%s", why ? why->message : "");
}

static void setup(void)
{
	static const struct input_ops ops = {tty_write, tty_bracketed, tty_canonical, tty_look, tty_drop};
	struct err e = {0};

	loop = loop_create(&e);
	ck_assert_ptr_nonnull(loop);
	buf_init(&tty.seen, 16 << 20);
	tty.taken = loop_defer_create(loop, on_taken, &tty);
	tty.dropped = loop_defer_create(loop, on_dropped, &tty);
	tty.in = input_create(loop, &ops, &tty);
}

static void teardown(void)
{
	input_destroy(tty.in);
	loop_defer_free(tty.taken);
	loop_defer_free(tty.dropped);
	buf_finish(&tty.seen);
	loop_destroy(loop);
}

static int add_job(struct input_job job)
{
	struct err e = {0};
	int rc;

	job.fn = on_done;
	rc = input_add(tty.in, &job, &e);
	if (rc < 0)
		done_code = e.code;
	return rc;
}

static void add(enum input_mode mode, const char *text, const char *enter)
{
	ck_assert_int_eq(
		add_job((struct input_job){.mode = mode, .data = text, .len = strlen(text), .enter = enter}), 0);
}

static void run_until(int n)
{
	int64_t end = clock_mono_ms() + 50000;

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
	add(INPUT_PASTE, "x\033[201~\003\x7f\302\233y\tz\r\nu\rv", NULL);
	add(INPUT_RAW, "\033[201~\003", NULL);
	run_until(2);
	ck_assert_str_eq(seen(), "\033[200~x[201~y\tz\nu\nv\033[201~|\033[201~\003|");
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
	struct input_job job = {.mode = INPUT_RAW, .data = text, .len = INPUT_MAX + 1};

	memset(text, 'x', INPUT_MAX + 1);
	ck_assert_int_eq(add_job(job), -1);
	ck_assert_int_eq(done_code, ERR_LIMIT);
	job.len = INPUT_MAX;
	ck_assert_int_eq(add_job(job), 0);
	run_until(1);
	ck_assert_uint_eq(done_taken, INPUT_MAX);
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
	input_type(tty.in, "view", "q", 1);
	input_type(tty.in, "view", "w", 1);
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
	tty.manual = tty.bracketed = true;
	add(INPUT_PASTE, text, "\r");
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	ck_assert_int_eq(tty.writes, 1);
	input_reply(tty.in, "\033[0n", 4);
	input_taken(tty.in);
	/* An answer to a query goes between two pieces, not behind the paste. */
	ck_assert_ptr_nonnull(strstr(seen(), "a\033[201~|\033[0n|"));
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
	ck_assert_int_ge(clock_mono_ms() - from, INPUT_ECHO_MS - 5); /* timers go by ticks of 4 ms */
	ck_assert_str_eq(seen(), "quiet|\r|");
}
END_TEST

START_TEST(a_line_too_long_for_a_canonical_terminal_is_refused)
{
	char *text = xcalloc(1, INPUT_LINE_MAX + 2);

	memset(text, 'x', INPUT_LINE_MAX + 1);
	tty.canonical = true;
	add(INPUT_PASTE, text, NULL);
	run_until(1);
	ck_assert_int_eq(done_code, ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(done_text, "4095"));
	ck_assert_int_eq(tty.writes, 0);
	text[100] = '\n';
	add(INPUT_PASTE, text, NULL);
	run_until(2);
	ck_assert_int_eq(done_code, ERR_NONE);
	free(text);
}
END_TEST

START_TEST(a_program_that_is_not_ready_is_waited_for)
{
	char *text = xcalloc(1, INPUT_LINE_MAX + 2);

	memset(text, 'x', INPUT_LINE_MAX + 1);
	tty.canonical = true;
	add(INPUT_PASTE, text, NULL);
	loop_turn(loop, 0);
	ck_assert_int_eq(tty.writes, 0);
	tty.canonical = false;
	input_changed(tty.in);
	run_until(1);
	ck_assert_int_eq(done_code, ERR_NONE);
	/* One that is known to ask for brackets, until it did. */
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "late", .len = 4, .expect_brackets = true});
	loop_turn(loop, 0);
	input_echoed(tty.in);
	loop_turn(loop, 0);
	ck_assert_int_eq(done, 1);
	tty.bracketed = true;
	input_echoed(tty.in);
	run_until(2);
	ck_assert_ptr_nonnull(strstr(seen(), "\033[200~late\033[201~"));
	/* Not for ever. */
	tty.bracketed = false;
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "never", .len = 5, .expect_brackets = true});
	run_until(3);
	ck_assert_int_eq(done_code, ERR_NONE);
	free(text);
}
END_TEST

START_TEST(a_key_for_a_dialog_waits_until_it_stands)
{
	int64_t from = clock_mono_ms();

	input_echoed(tty.in); /* it is just painted */
	add_job((struct input_job){.mode = INPUT_RAW, .data = "\r", .len = 1, .quiet_ms = 40});
	run_until(1);
	ck_assert_int_ge(clock_mono_ms() - from, 30);
	/* One that never stands still is given the key all the same. */
	from = clock_mono_ms();
	add_job((struct input_job){.mode = INPUT_RAW, .data = "\r", .len = 1, .quiet_ms = 60000});
	while (done < 2 && clock_mono_ms() < from + 20000) {
		input_echoed(tty.in);
		loop_turn(loop, 20);
	}
	ck_assert_int_eq(done, 2);
	ck_assert_int_ge(clock_mono_ms() - from, INPUT_HOLD_MS - 200);
}
END_TEST

START_TEST(an_input_waits_until_the_one_before_was_read)
{
	tty.looking = tty.bracketed = true;
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "next", .len = 4, .expect_brackets = true});
	loop_turn(loop, 0);
	input_looked(tty.in, 1); /* the Enter of the last one */
	while (tty.looks < 2)
		loop_turn(loop, 1000);
	ck_assert_int_eq(tty.writes, 0);
	input_looked(tty.in, 0);
	run_until(1);
	ck_assert_str_eq(seen(), "\033[200~next\033[201~|");
}
END_TEST

START_TEST(enter_waits_until_the_text_was_read)
{
	tty.looking = tty.bracketed = true;
	add(INPUT_PASTE, "text", "\r");
	loop_turn(loop, 0);
	input_looked(tty.in, 0);
	while (tty.looks < 2) /* no echo: it is asked whether it was read */
		loop_turn(loop, 1000);
	input_looked(tty.in, 7);
	while (tty.looks < 3)
		loop_turn(loop, 1000);
	ck_assert_int_eq(tty.writes, 1);
	input_looked(tty.in, 3);
	input_echoed(tty.in); /* an echo of something else, perhaps */
	ck_assert_int_eq(tty.looks, 4);
	ck_assert_int_eq(tty.writes, 1);
	input_looked(tty.in, 0);
	run_until(1);
	ck_assert_str_eq(seen(), "\033[200~text\033[201~|\r|");
}
END_TEST

START_TEST(the_mode_is_asked_for_when_an_input_begins)
{
	tty.looking = true;
	add(INPUT_PASTE, "a\nb", NULL);
	add(INPUT_RAW, "c", NULL);
	loop_turn(loop, 0);
	ck_assert_int_eq(tty.looks, 1);
	ck_assert_int_eq(tty.writes, 0);
	tty.bracketed = true;
	input_looked(tty.in, 0);
	run_until(2);
	ck_assert_int_eq(tty.looks, 1);
	ck_assert_str_eq(seen(), "\033[200~a\nb\033[201~|c|");
}
END_TEST

/* Cut after any number of bytes, the program is never left inside a paste or a character, the next input
 * is whole, and the count is right. */
START_TEST(a_cut_input_is_counted_and_closed_wherever_it_is_cut)
{
	static const char text[] = "ab\342\202\254cd\303\251f";
	const size_t whole = sizeof(text) - 1 + 12;
	size_t at, end;

	tty.limited = tty.bracketed = true;
	for (at = 0; at < whole; at++) {
		buf_clear(&tty.seen);
		done = 0;
		tty.room = at;
		add_job((struct input_job){
			.mode = INPUT_PASTE, .data = text, .len = strlen(text), .enter = "\r", .whole = at % 2, .deadline_ms = 1});
		run_until(1);
		ck_assert_int_eq(done_code, ERR_TIMEOUT);
		tty_reads(1000);
		add(INPUT_PASTE, "next", NULL);
		run_until(2);
		if (at == 0) {
			ck_assert_str_eq(seen(), "\033[200~next\033[201~");
			ck_assert_uint_eq(done_taken, 4);
			continue;
		}
		/* A whole bracket with the counted part of the text, then the next. */
		ck_assert_mem_eq(seen(), "\033[200~", 6);
		end = (size_t)(strstr(seen(), "\033[201~") - seen());
		ck_assert_mem_eq(seen() + 6, text, end - 6);
		ck_assert(utf8_valid(text, end - 6));
		ck_assert_uint_ge(end - 6 + 12, at > 12 ? at - 6 : 0);
		ck_assert_str_eq(seen() + end + 6, "\033[200~next\033[201~");
	}
}
END_TEST

START_TEST(the_error_of_a_cut_input_says_how_much_was_taken)
{
	char *text = xcalloc(1, 100001);

	memset(text, 'x', 100000);
	tty.limited = true;
	tty.room = 70000;
	add_job((struct input_job){.mode = INPUT_PASTE, .data = text, .len = 100000, .enter = "\r", .deadline_ms = 50});
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "b", .len = 1, .deadline_ms = 10});
	run_until(1); /* the second was never begun: its own deadline */
	ck_assert_ptr_nonnull(strstr(done_text, "nothing was typed"));
	ck_assert_uint_eq(done_taken, 0);
	run_until(2);
	ck_assert_uint_eq(done_taken, 70000);
	ck_assert_ptr_nonnull(strstr(done_text, "70000 of 100000 bytes"));
	ck_assert_uint_eq(tty.seen.len, 70000);
	ck_assert_int_eq(tty.drops, 1);
	tty_reads(200000);
	add(INPUT_PASTE, "after", NULL);
	run_until(3);
	ck_assert_uint_eq(tty.seen.len, 70005);
	free(text);
}
END_TEST

START_TEST(a_place_that_answers_nothing_holds_nobody_for_ever)
{
	tty.manual = true;
	loop_defer_free(tty.dropped);
	tty.dropped = loop_defer_create(loop, on_taken, &tty); /* the answer never comes */
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "one", .len = 3, .deadline_ms = 20});
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "two", .len = 3, .deadline_ms = 30});
	run_until(2);
	ck_assert_int_eq(done_code, ERR_TIMEOUT);
	ck_assert_int_eq(tty.writes, 1);
	add_job((struct input_job){.mode = INPUT_PASTE, .data = "three", .len = 5, .deadline_ms = 20});
	run_until(3);
	ck_assert_ptr_nonnull(strstr(done_text, "nothing was typed"));
	input_dropped(tty.in, 0); /* late, but it goes on */
	tty.manual = false;
	add(INPUT_PASTE, "four", NULL);
	run_until(4);
	ck_assert_int_eq(done_code, ERR_NONE);
}
END_TEST

START_TEST(what_a_person_pastes_is_not_torn_apart)
{
	input_type(tty.in, "view", "\033[200~first ", 12);
	add(INPUT_RAW, "<other>", NULL);
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	input_type(tty.in, "second", "x", 1);
	input_type(tty.in, "view", "half\033[20", 8);
	loop_turn(loop, 0);
	ck_assert_int_eq(done, 0);
	input_type(tty.in, "view", "1~", 2);
	run_until(1);
	ck_assert_ptr_nonnull(strstr(seen(), "\033[200~first |half\033[20|1~|<other>|"));
	/* A view that goes away in the middle leaves no open bracket. */
	input_type(tty.in, "view", "\033[200~never ends", 16);
	add(INPUT_RAW, "<last>", NULL);
	input_type_end(tty.in, "view");
	run_until(2);
	ck_assert_ptr_nonnull(strstr(seen(), "\033[200~never ends|\033[201~|<last>|"));
}
END_TEST

/* Whatever the bytes and wherever the terminal stands still for a while, every byte arrives once and in
 * order: a program that undoes the brackets has the cleaned text. */
START_TEST(random_text_arrives_exactly)
{
	static const char *const bits[] = {"\033[201~", "\033[200~", "\r\n", "\r", "\n", "\t", "\303\251",
		"\360\237\221\251", "\302\205", "\377", "\303", "word ", "\003", "x", "a long run of plain words "};
	char *text = xcalloc(1, 400000), *clean = xcalloc(1, 400001), *got = xcalloc(1, 400001);
	struct input_job job = {.data = text};
	unsigned round, seed = (unsigned)getpid();
	size_t len, n, want, i;

	tty.limited = true;
	for (round = 0; round < 60; round++) {
		len = 0;
		while (len < 100 + (seed % 997) * 20) {
			seed = seed * 1103515245 + 12345;
			if (seed >> 16 & 31)
				len += (size_t)sprintf(text + len, "%s", bits[(seed >> 8) % ARRAY_LEN(bits)]);
			else
				text[len++] = '\0';
		}
		buf_clear(&tty.seen);
		done = 0;
		tty.bracketed = round & 1;
		job.len = len;
		job.whole = round & 2;
		job.mode = round % 5 == 4 ? INPUT_RAW : INPUT_PASTE;
		memcpy(clean, text, len);
		want = job.mode == INPUT_RAW ? len : input_clean(clean, len);
		tty.room = 0;
		ck_assert_int_eq(add_job(job), 0);
		while (!done) {
			loop_turn(loop, 0);
			seed = seed * 1103515245 + 12345;
			tty_reads(seed >> 16 & 4095);
		}
		ck_assert_uint_eq(done_taken, want);
		for (i = n = 0; i < tty.seen.len; i++) {
			const char *p = (const char *)buf_data(&tty.seen) + i;

			if (job.mode == INPUT_PASTE && tty.bracketed && *p == '\033') {
				ck_assert(!memcmp(p, "\033[200~", 6) || !memcmp(p, "\033[201~", 6));
				i += 5;
			} else {
				got[n++] = job.mode == INPUT_PASTE && *p == '\r' ? '\n' : *p;
			}
		}
		ck_assert_uint_eq(n, want);
		ck_assert_mem_eq(got, clean, want);
	}
	free(text);
	free(clean);
	free(got);
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

TEST_MAIN_FIXTURE("shim/input", setup, teardown, a_paste_is_bracketed_and_enter_stands_alone,
	without_brackets_newlines_are_what_enter_sends, a_canonical_terminal_gets_lines,
	controls_are_stripped_unless_raw, pieces_are_small_and_whole_characters,
	a_megabyte_is_taken_and_more_is_not, inputs_never_interleave,
	nothing_is_written_before_the_last_was_taken, without_an_echo_enter_goes_after_the_timer,
	a_line_too_long_for_a_canonical_terminal_is_refused, a_program_that_is_not_ready_is_waited_for,
	a_key_for_a_dialog_waits_until_it_stands, an_input_waits_until_the_one_before_was_read,
	enter_waits_until_the_text_was_read, the_mode_is_asked_for_when_an_input_begins, a_cut_input_is_counted_and_closed_wherever_it_is_cut,
	the_error_of_a_cut_input_says_how_much_was_taken, a_place_that_answers_nothing_holds_nobody_for_ever,
	what_a_person_pastes_is_not_torn_apart, random_text_arrives_exactly,
	what_waits_fails_when_the_program_ends)
