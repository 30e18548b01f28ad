/* SPDX-License-Identifier: ISC */
/*
 * The screen: recorded streams in every split against what tmux 3.3a shows of them, repainting into a
 * second emulator, queries, filtering, wide characters.
 */
#include "place/shim/screen.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "base/util.h"
#include "place/shim/paint.h"
#include "place/shim/screen_int.h"
#include "tests/unit/run.h"
#include "tests/unit/shim/screen_same.h"

#define OUT_MAX (1 << 20)
#define CUTS 300
#define FEED(s, text) screen_feed(s, text, sizeof(text) - 1, NULL)

struct recorded {
	const char *name;
	int rows, cols;
	char *data;
	size_t len;
};

static struct recorded recorded[] = {
	{.name = "bash", .rows = 24, .cols = 80},
	{.name = "less", .rows = 24, .cols = 80},
	{.name = "vim", .rows = 24, .cols = 80},
	{.name = "tmux", .rows = 30, .cols = 100},
	{.name = "claude", .rows = 30, .cols = 90},
};

static char *data_file(const char *name, const char *ext, size_t *len)
{
	const char *src = getenv("TC_SRCDIR");
	struct err e = {0};
	char *path = xasprintf("%s/tests/unit/shim/data/%s.%s", src ? src : ".", name, ext), *data;

	ck_assert_msg(file_read(path, OUT_MAX, &data, len, &e) == 0, "%s", e.message);
	free(path);
	return data;
}

static void load(struct recorded *r)
{
	if (!r->data)
		r->data = data_file(r->name, "rec", &r->len);
}

static char *text_of(const struct screen *s)
{
	struct buf b;
	char *t;

	buf_init(&b, OUT_MAX);
	ck_assert_int_eq(screen_text(s, &b), 0);
	t = xstrndup(b.len ? (char *)buf_data(&b) : "", b.len);
	buf_finish(&b);
	return t;
}

static void assert_same(const struct screen *a, const struct screen *b, bool snapshot, const char *what,
	size_t at)
{
	const char *why = screens_differ(a, b, snapshot);

	ck_assert_msg(!why, "%s at %zu: %s", what, at, why);
}

START_TEST(shows_what_tmux_shows)
{
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(recorded); i++) {
		struct recorded *r = &recorded[i];
		struct screen *s = screen_create(r->rows, r->cols, NULL, NULL);
		char *want = data_file(r->name, "txt", &len), *got;

		load(r);
		screen_feed(s, r->data, r->len, NULL);
		got = text_of(s);
		ck_assert_str_eq(got, want);
		free(got);
		free(want);
		screen_destroy(s);
	}
}
END_TEST

START_TEST(every_split_gives_the_same_screen)
{
	size_t i, at, step;

	for (i = 0; i < ARRAY_LEN(recorded); i++) {
		struct recorded *r = &recorded[i];
		struct screen *whole = screen_create(r->rows, r->cols, NULL, NULL);

		load(r);
		screen_feed(whole, r->data, r->len, NULL);
		for (step = 1; step <= 17; step += 2) {
			struct screen *s = screen_create(r->rows, r->cols, NULL, NULL);

			for (at = 0; at < r->len; at += step)
				screen_feed(s, r->data + at, at + step > r->len ? r->len - at : step, NULL);
			assert_same(whole, s, true, r->name, step);
			screen_destroy(s);
		}
		screen_destroy(whole);
	}
}
END_TEST

/* Paints s into a terminal that showed something else, in other modes. */
static struct screen *repainted(const struct screen *s, int rows, int cols, bool snapshot)
{
	static const char before[] = "\033[3;5r\033[?6h\033[1;35;44mrubbish\033[?2004h\033[?1003h\033(0\016"
				     "\033[?25l\033[4h\033[5 q\033[?7l\033=\033[?1049hmore\033[?1h";
	struct screen *n = screen_create(rows, cols, NULL, NULL);
	struct buf b;

	if (!snapshot) /* a snapshot is fed to a new emulator */
		screen_feed(n, before, sizeof(before) - 1, NULL);
	buf_init(&b, OUT_MAX);
	ck_assert_int_eq(snapshot ? paint_snapshot(s, &b) : paint_full(s, &b), 0);
	screen_feed(n, buf_data(&b), b.len, NULL);
	buf_finish(&b);
	return n;
}

static void repaint_at(const struct recorded *r, size_t at, bool snapshot)
{
	struct screen *s = screen_create(r->rows, r->cols, NULL, NULL), *n;
	size_t cut;

	screen_feed(s, r->data, at, NULL);
	cut = at - screen_pending(s);
	n = repainted(s, r->rows, r->cols, snapshot);
	assert_same(s, n, snapshot, r->name, at);
	/* Both go on from there; the unfinished sequence is the view's to get. */
	screen_feed(n, r->data + cut, r->len - cut, NULL);
	screen_feed(s, r->data + at, r->len - at, NULL);
	assert_same(s, n, snapshot, r->name, at);
	screen_destroy(n);
	screen_destroy(s);
}

START_TEST(repaint_at_any_point_equals_and_goes_on_equal)
{
	size_t i, at;

	for (i = 0; i < ARRAY_LEN(recorded); i++) {
		struct recorded *r = &recorded[i];
		size_t step;

		load(r);
		step = r->len / 23;
		for (at = step; at < r->len; at += step) {
			repaint_at(r, at, false);
			repaint_at(r, at, true);
		}
	}
}
END_TEST

/* Many cuts of the streams, without going on from there. */
START_TEST(repaint_at_many_cuts_equals)
{
	size_t i, at;

	for (i = 0; i < ARRAY_LEN(recorded); i++) {
		struct recorded *r = &recorded[i];
		struct screen *s = screen_create(r->rows, r->cols, NULL, NULL), *n;

		load(r);
		for (at = 0; at < r->len; at++) {
			screen_feed(s, r->data + at, 1, NULL);
			if (at % (1 + r->len / CUTS) || screen_pending(s))
				continue;
			n = repainted(s, r->rows, r->cols, at & 1);
			assert_same(s, n, at & 1, r->name, at);
			screen_destroy(n);
		}
		screen_destroy(s);
	}
}
END_TEST

static void repaint_case(const char *data)
{
	struct screen *s = screen_create(10, 20, NULL, NULL), *n;
	int snapshot;

	screen_feed(s, data, strlen(data), NULL);
	for (snapshot = 0; snapshot <= 1; snapshot++) {
		n = repainted(s, 10, 20, snapshot);
		assert_same(s, n, snapshot, data, 0);
		screen_destroy(n);
	}
	screen_destroy(s);
}

START_TEST(repaint_keeps_what_is_hard_to_see)
{
	repaint_case("\033[1;2;3;4;7;9mall\033[0m \033[38;2;1;2;3;48;2;250;251;252mrgb\033[0;8;53mhid");
	repaint_case("\033[38;5;200;48;5;17mpal\033[91;104mbright\033[4:3mcurly\033[21mdouble\033[m");
	repaint_case("wide \346\227\245\346\234\254 e\314\201 \360\237\232\200 end");
	repaint_case("01234567890123456789");           /* the wrap is pending */
	repaint_case("012345678901234567\346\227\245"); /* by a wide character */
	repaint_case("a\033[44m\033[2J\033[3;3Hb");      /* background erased with a colour */
	repaint_case("\033[3;7r\033[?6h\033[2;2Hin region");
	repaint_case("\033[5;5H\033[31m\0337\033[1;1H\033[mx");
	repaint_case("\033(0lqqk\033)0\016x\033[?1h\033=\033[?2004h\033[?1006h\033[?1002h\033[3 q");
	repaint_case("prim\033[?1049h\033[2;2Halt\033[?25l\033]2;title \342\234\263\a");
	repaint_case("\033[>1u\033[>4;2m\033[?1004h\033[?2031h\033[4h");
	repaint_case("\033[3g\033[1;5H\033H\033[1;13H\033H\033[4;4Hx");            /* tab stops */
	repaint_case("\033]8;id=1;http://x/\033\\li\033[1mnk\033]8;;\033\\ \033]8;;http://y/\033\\y");
	repaint_case("012345678901234567\346\227\245\314\201");                   /* marks in the last column */
	repaint_case("0123456789012345678e\314\201");
	repaint_case("0123456789012345678e\0337\033[1;1H");                       /* saved with its wrap */
	repaint_case("01234567890123456789ab\r\n0123456789012345678\346\227\245");   /* lines that run on */
	repaint_case("\033[10;1H01234567890123456789ab\033[9;20H\033[41m\033[K");
	repaint_case("\033[3;5H\033[44m\033[5X\033[42m\033[1K\033[41m\033[5;5H\033[K\033[6;3H\033[Jx");
	repaint_case("\033[4:3m\033[58:2::1:2:3mc\033[58;5;9m\033[4:4md\033[4:5mD\033[59me");
	repaint_case("\033]2;a\a\033[22;0t\033]2;b\a\033[22t\033]2;c\a");              /* saved titles */
	repaint_case("\033[>1u\033[>3u\033[?1049h\033[>5u\033[>7u\033[?2026h\033[?12h\033[?1007l");
	repaint_case("\033[3;7r\033[?6h\033[3;3H\033(0\0337\033(B\033[?6l\033[?1049h\033[2;2Ha");
	repaint_case("p\033[?47h\033[31malt\033[7;7H\0337\033[m");
}
END_TEST

START_TEST(leaving_the_alternate_screen_of_a_repainted_view_shows_the_primary)
{
	static const char data[] = "one\r\ntwo\033[33m\033[?1049h\033[Hfull screen";
	struct screen *s = screen_create(6, 20, NULL, NULL), *n;
	char *t;

	screen_feed(s, data, sizeof(data) - 1, NULL);
	screen_resize(s, 8, 30);
	n = repainted(s, 8, 30, false);
	FEED(s, "\033[?1049l!");
	FEED(n, "\033[?1049l!");
	assert_same(s, n, false, "primary", 0);
	t = text_of(n);
	ck_assert_str_eq(t, "one\ntwo!\n");
	free(t);
	screen_destroy(n);
	screen_destroy(s);
}
END_TEST

START_TEST(each_screen_saves_a_cursor_of_its_own)
{
	static const char data[] = "\033[2;3H\033[?1049h\033[4;4H\0337\033[1;1H\0338x\033[?1049ly";
	struct screen *s = screen_create(6, 20, NULL, NULL);
	char *t;

	screen_feed(s, data, sizeof(data) - 1, NULL);
	t = text_of(s);
	ck_assert_str_eq(t, "\n  y\n");
	free(t);
	screen_destroy(s);
}
END_TEST

static void collect(void *arg, const void *data, size_t len)
{
	buf_append(arg, data, len);
}

/* Feeds data and checks the answers and what a view is given. */
static void io_case(const char *data, const char *want_reply, const char *want_live)
{
	const struct screen_ops ops = {.reply = collect};
	struct buf reply, live;
	struct screen *s;
	size_t i;

	buf_init(&reply, OUT_MAX);
	buf_init(&live, OUT_MAX);
	s = screen_create(24, 80, &ops, &reply);
	for (i = 0; i < strlen(data); i++)
		ck_assert_int_eq(screen_feed(s, data + i, 1, &live), 0);
	buf_append(&reply, "", 1);
	buf_append(&live, "", 1);
	ck_assert_str_eq((char *)buf_data(&reply), want_reply);
	ck_assert_str_eq((char *)buf_data(&live), want_live);
	screen_destroy(s);
	buf_finish(&reply);
	buf_finish(&live);
}

START_TEST(queries_are_answered_here_and_reach_no_view)
{
	io_case("a\033[cb", "\033[?62;22c", "ab");
	io_case("\033[>c\033[=c\033Z", "\033[>1;10;0c\033P!|00000000\033\\\033[?62;22c", "");
	io_case("\033[5n\033[3;4H\033[6n\033[?6n", "\033[0n\033[3;4R\033[?3;4;1R", "\033[3;4H");
	io_case("\033[>q\033[>0q", "\033P>|tmux-claude\033\\\033P>|tmux-claude\033\\", "");
	io_case("\033[?2004h\033[?2004$p\033[?25$p\033[?1049$p\033[?9999$p\033[4$p",
		"\033[?2004;1$y\033[?25;1$y\033[?1049;2$y\033[?9999;0$y\033[4;2$y", "\033[?2004h");
	io_case("\033]10;?\a\033]11;?\033\\",
		"\033]10;rgb:e5e5/e5e5/e5e5\a\033]11;rgb:0000/0000/0000\033\\", "");
	io_case("\033[1;38;5;9;4:3m\033P$qm\033\\", "\033P1$r0;1;4:3;91m\033\\", "\033[1;38;5;9;4:3m");
	io_case("\033[3;9r\033P$qr\033\\\033[4 q\033P$q q\033\\\033P$q\"p\033\\\033P$qz\033\\",
		"\033P1$r3;9r\033\\\033P1$r4 q\033\\\033P1$r62;1\"p\033\\\033P0$r\033\\",
		"\033[3;9r\033[4 q");
	io_case("\033P+q544e\033\\\033P+q4d73\033\\\033P+q436f\033\\",
		"\033P1+r544E=787465726D2D323536636F6C6F72\033\\\033P0+r\033\\\033P1+r436F=323536\033\\", "");
	io_case("\033]4;1;?\a\033]4;16;?;231;?\033\\\033]4;300;?\a\033]4;x\a\033]4;244;?\a",
		"\033]4;1;rgb:cdcd/0000/0000\a\033]4;16;rgb:0000/0000/0000\033\\"
		"\033]4;231;rgb:ffff/ffff/ffff\033\\\033]4;244;rgb:8080/8080/8080\a", "");
	io_case("\033[18t\033[21t\033[14t", "\033[8;24;80t", "");
	io_case("\033[?996n\033[?u\033]7501;?\a\005", "\033[?997;1n", "");
}
END_TEST

START_TEST(a_view_is_given_drawing_only)
{
	io_case("\033]52;c;aGVsbG8=\ax", "", "x");
	io_case("\033Pq#0;2;0;0;0\033\\\033_Ga=T\033\\\033^pm\033\\y", "", "y");
	io_case("\033]0;t\302\233itle\a\033]11;#ff0000\a\033]4;1;red\a", "", "\033]2;title\a");
	io_case("\033]8;;http://x/\033\\link\033]8;;\033\\", "", "\033]8;;http://x/\033\\link\033]8;;\033\\");
	io_case("\033[8;50;100t\033[2;1;1y\033[?3h\033[?2048h", "", "");
	io_case("\033[?1049;3;2004h", "", "\033[?1049;2004h");
	io_case("\302\2332J\2335n\033[31mr", "", "2J\357\277\2755n\033[31mr");
	io_case("ab\033[3b", "", "abbbb");
	/* What tmux does not know, in words it does. */
	io_case("\033[2I\033[3a\033[4e\033[?J\033[?1K", "", "\t\t\033[3C\033[4B\033[0J\033[1K");
	io_case("\033]2;a\a\033[22t\033]2;b\a\033[23;2t", "", "\033]2;a\a\033]2;b\a\033]2;a\a");
	io_case("\033[>1;2m\033[>0n\033[>m\033[>n\033[>4n", "", "\033[>4n");
	io_case("\033[>1u\033[<u\033[>4;1m\033[2 q\a", "", "\033[>1u\033[<u\033[>4;1m\033[2 q\a");
}
END_TEST

START_TEST(text_is_what_a_person_sees)
{
	static const char data[] = "\346\227\245\346\234\254 e\314\201\033[1;30H|\r\n  x   \r\n\r\n\033[8mz\r\n";
	struct screen *s = screen_create(10, 30, NULL, NULL);
	char *t;

	screen_feed(s, data, sizeof(data) - 1, NULL);
	t = text_of(s);
	ck_assert_str_eq(t, "\346\227\245\346\234\254 e\314\201                       |\n  x\n\nz\n");
	free(t);
	ck_assert(screen_contains(s, "\346\234\254 e"));
	ck_assert(!screen_contains(s, "y"));
	ck_assert(screen_contains(s, "  x\n\nz"));
	ck_assert(screen_contains(s, "x   ")); /* a prompt ends with a blank */
	FEED(s, "\033[5;25Hlong words");
	ck_assert(screen_contains(s, "long words"));
	screen_destroy(s);
}
END_TEST

START_TEST(attributes_are_told_apart)
{
	struct screen *s = screen_create(5, 40, NULL, NULL);
	struct screen_cell c;
	static const char sgr[] = "\033[0;1;3;4;5;7;9;2;38;2;10;20;30;48;2;40;50;60;53ma"
				  "\033[58;2;1;2;3;59mb\033[22;58:2::9:9:9mc\033[38:2::7:8:9md\033[me";

	screen_feed(s, sgr, sizeof(sgr) - 1, NULL);
	screen_cell(s, 0, 0, &c);
	ck_assert_int_eq(c.attr.flags, 0xff & ~ATTR_CONCEAL);
	ck_assert_int_eq(c.attr.bg.g, 50);
	screen_cell(s, 0, 1, &c);
	ck_assert_int_eq(c.attr.flags, 0xff & ~ATTR_CONCEAL);
	screen_cell(s, 0, 2, &c);
	ck_assert_int_eq(c.attr.flags, 0xff & ~(ATTR_CONCEAL | ATTR_DIM | ATTR_BOLD));
	ck_assert_int_eq(c.attr.fg.r, 10);
	screen_cell(s, 0, 3, &c);
	ck_assert_int_eq(c.attr.fg.r, 7);
	ck_assert_int_eq(c.attr.fg.b, 9);
	screen_cell(s, 0, 4, &c);
	ck_assert_int_eq(c.attr.flags, 0);
	ck_assert_int_eq(c.attr.fg.kind, COLOR_DEFAULT);
	FEED(s, "\033[?1049h\033[!p\033[?1049l");
	ck_assert(!screen_modes(s)->alternate);
	screen_cell(s, 0, 4, &c);
	ck_assert_uint_eq(c.chars[0], 'e');
	screen_destroy(s);
}
END_TEST

START_TEST(sizes_change_in_any_state)
{
	static const int sizes[][2] = {{1, 1}, {3, 200}, {50, 2}, {24, 80}, {500, 3}, {2, 1000}, {24, 80}};
	size_t i, k;

	for (i = 0; i < ARRAY_LEN(recorded); i++) {
		struct recorded *r = &recorded[i];
		struct screen *s = screen_create(r->rows, r->cols, NULL, NULL);
		size_t at = 0, step;

		load(r);
		step = r->len / 40;
		for (k = 0; at + step < r->len; k++, at += step) {
			const int *size = sizes[k % ARRAY_LEN(sizes)];
			struct screen *n;

			screen_feed(s, r->data + at, step, NULL);
			screen_resize(s, size[0], size[1]);
			n = repainted(s, size[0], size[1], k & 1);
			assert_same(s, n, k & 1, r->name, k);
			screen_destroy(n);
		}
		screen_destroy(s);
	}
}
END_TEST

/* Each of these made libvterm 0.1.4 write outside its buffer. */
START_TEST(what_libvterm_cannot_bear_harms_nothing)
{
	struct screen *s = screen_create(12, 30, NULL, NULL);
	int row, col;

	FEED(s, "\033[30r\n\n\n\n\n\n\n\n\n\n\n\n\n\n\033[Kx\033[5;2r\n\033[K");
	screen_resize(s, 12, 1);
	FEED(s, "\033[?7l\033[1;1H\346\227\245\346\227\245");
	screen_resize(s, 12, 30);
	FEED(s, "\033[12;1Hlast\033[1;1H");
	screen_resize(s, 11, 15);
	screen_cursor(s, &row, &col);
	ck_assert_int_eq(row, 0);
	FEED(s, "\033[K\033[1Jy\033[;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;;1B");
	FEED(s, "\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;3m!");
	screen_destroy(s);
}
END_TEST

START_TEST(half_a_wide_character_is_blank)
{
	struct screen *s = screen_create(4, 20, NULL, NULL);
	char *t;

	FEED(s, "\346\227\245a\033[1;1Hx\r\n\346\227\245\010y\r\n\346\227\245");
	t = text_of(s);
	ck_assert_str_eq(t, "x a\n y\n\346\227\245\n");
	free(t);
	repaint_case("\346\227\245a\033[1;1Hx\r\n\346\227\245\010y\r\n\033[1;20H\346\227\245\314\201");
	screen_destroy(s);
}
END_TEST

/* Fed at once and byte by byte. */
START_TEST(long_output_shows_its_end)
{
	static const char *const begins[] = {"", "\033[1;44mbold\r\n", "\033[5;1Hin the middle", "\033[?1049h",
		"\033[3;6r", "tab\tbed"};
	static const char *const ends[] = {"\r\n", "\n"};
	size_t k, i;

	for (k = 0; k < 2 * ARRAY_LEN(begins); k++) {
		const char *begin = begins[k / 2], *end = ends[k % 2];
		struct screen *one = screen_create(7, 30, NULL, NULL), *slow = screen_create(7, 30, NULL, NULL);
		struct buf all, live;

		buf_init(&all, OUT_MAX);
		buf_init(&live, OUT_MAX);
		screen_feed(one, begin, strlen(begin), NULL);
		screen_feed(slow, begin, strlen(begin), NULL);
		for (i = 0; i < 500; i++)
			buf_printf(&all, "line %zu \346\227\245 %.*s%s", i, (int)(i % 53),
				"a long tail that wraps somewhere or other, depending", end);
		buf_printf(&all, "prompt> ");
		screen_feed(one, buf_data(&all), all.len, &live);
		for (i = 0; i < all.len; i++)
			screen_feed(slow, buf_data(&all) + i, 1, NULL);
		assert_same(one, slow, true, begin, k);
		ck_assert_uint_eq(live.len, all.len);
		ck_assert_mem_eq(buf_data(&live), buf_data(&all), all.len);
		buf_finish(&all);
		buf_finish(&live);
		screen_destroy(one);
		screen_destroy(slow);
	}
}
END_TEST

START_TEST(a_view_of_another_size_is_a_window)
{
	struct paint_clip clip = {.rows = 0};
	struct screen *s = screen_create(10, 40, NULL, NULL), *v = screen_create(4, 12, NULL, NULL);
	struct buf b;
	char *t;

	buf_init(&b, OUT_MAX);
	paint_clip_size(&clip, 4, 12);
	FEED(s, "0123456789\346\227\245\346\227\245\r\nb\r\nc\r\nd");
	ck_assert_int_eq(paint_clipped(s, &clip, &b), 0);
	screen_feed(v, buf_data(&b), b.len, NULL);
	t = text_of(v);
	ck_assert_str_eq(t, "0123456789\346\227\245\nb\nc\nd\n");
	free(t);
	/* Only the changed row is painted again. */
	buf_clear(&b);
	FEED(s, "!");
	ck_assert_int_eq(paint_clipped(s, &clip, &b), 0);
	ck_assert_uint_lt(b.len, 64);
	screen_feed(v, buf_data(&b), b.len, NULL);
	buf_clear(&b);
	/* The window follows the cursor. */
	FEED(s, "\r\n\r\n\r\nlast\033[7;30Hright");
	ck_assert_int_eq(paint_clipped(s, &clip, &b), 0);
	screen_feed(v, buf_data(&b), b.len, NULL);
	t = text_of(v);
	ck_assert_ptr_nonnull(strstr(t, "right"));
	ck_assert_ptr_null(strstr(t, "last"));
	free(t);
	buf_finish(&b);
	paint_clip_finish(&clip);
	screen_destroy(v);
	screen_destroy(s);
}
END_TEST

/* The shortcuts and what is remembered must say what tmux is told: wcwidth's answer. */
START_TEST(widths_are_those_of_the_library)
{
	locale_t l = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
	uint32_t c;

	ck_assert_msg(l != (locale_t)0, "this system has no locale C.UTF-8");
	uselocale(l);
	for (c = 0xa0; c < 0x110000; c++) {
		int want = wcwidth((wchar_t)c), got = char_width(c);

		if (c >= 0xd800 && c < 0xe000)
			continue; /* no characters */
		ck_assert_msg(got == (want < 0 ? 1 : want), "U+%X: %d, the library says %d", c, got, want);
	}
	uselocale(LC_GLOBAL_LOCALE);
	freelocale(l);
}
END_TEST

/* Whatever comes, what is kept has its bounds, and what is drawn afterwards is right. */
START_TEST(floods_stay_bounded)
{
	struct screen *s = screen_create(24, 80, NULL, NULL);
	struct buf b;
	char *t;
	int i;

	buf_init(&b, 64 * OUT_MAX);
	for (i = 0; i < 20000; i++) { /* sixteen times what all links together may be */
		buf_clear(&b);
		buf_printf(&b, "\033[%d;%dHe\314%c\033]8;;http://x/%d/%0200d\033\\l", i % 24 + 1, i * 7 % 80 + 1,
			0x80 + i % 60, i, i);
		if (i % 100 == 0)
			buf_printf(&b, "\033[>%du\033[22t\033]2;%d\a\033[44m\033[2J\033[65535b\033[65535L", i % 32, i);
		screen_feed(s, buf_data(&b), b.len, NULL);
	}
	ck_assert_uint_le(s->clusters.size, 2 * 24 * 80);
	ck_assert_uint_le(s->links.bytes, LINKS_BYTES_MAX);
	/* A string that never ends, and one that is too long to be a title. */
	buf_clear(&b);
	buf_append(&b, "\033]2;", 4);
	for (i = 0; i < 1 << 20; i++)
		buf_append(&b, "x", 1);
	screen_feed(s, buf_data(&b), b.len, NULL);
	ck_assert_uint_le(sizeof(s->scan), 2 * SCAN_HOLD_MAX);
	FEED(s, "\a\033c\033]8;;\033\\there");
	ck_assert_str_eq(screen_modes(s)->title, "19900");
	t = text_of(s);
	ck_assert_str_eq(t, "there\n");
	free(t);
	buf_finish(&b);
	screen_destroy(s);
}
END_TEST

TEST_MAIN("shim/screen", shows_what_tmux_shows, every_split_gives_the_same_screen,
	repaint_at_any_point_equals_and_goes_on_equal, repaint_at_many_cuts_equals,
	repaint_keeps_what_is_hard_to_see,
	leaving_the_alternate_screen_of_a_repainted_view_shows_the_primary,
	each_screen_saves_a_cursor_of_its_own, queries_are_answered_here_and_reach_no_view,
	a_view_is_given_drawing_only, text_is_what_a_person_sees, attributes_are_told_apart,
	sizes_change_in_any_state, what_libvterm_cannot_bear_harms_nothing,
	half_a_wide_character_is_blank, floods_stay_bounded,
	widths_are_those_of_the_library, long_output_shows_its_end, a_view_of_another_size_is_a_window)
