/* SPDX-License-Identifier: ISC */
/* The control-mode parser on recorded streams in every split, and on what must not fool it. */
#include "tests/unit/run.h"

#include <dirent.h>
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "daemon/tmux/parse.h"

#define STREAM_MAX (1u << 20)

static const char *const type_names[] = {"BEGIN", "BODY", "END", "ERROR", "OUTPUT", "EXIT",
	"NOTIFY", "TEXT"};

static void dump_event(struct buf *out, const struct tmux_event *ev)
{
	buf_printf(out, "%s", type_names[ev->type]);
	if (ev->type == TMUX_EV_BEGIN || ev->type == TMUX_EV_END || ev->type == TMUX_EV_ERROR)
		buf_printf(out, " flags=%u", ev->flags);
	if (ev->name_len > 0)
		buf_printf(out, " <%.*s>", (int)ev->name_len, ev->name);
	if (ev->text_len > 0)
		buf_printf(out, " %.*s", (int)ev->text_len, ev->text);
	buf_printf(out, "%s\n", ev->cut ? " CUT" : "");
}

/* Feeds data as it would arrive: what is not consumed stays and is shown again with more. */
struct feeder {
	struct tmux_parser parser;
	struct buf in, out;
};

static void feeder_init(struct feeder *f)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->in, STREAM_MAX);
	buf_init(&f->out, STREAM_MAX);
}

static void feeder_finish(struct feeder *f)
{
	buf_finish(&f->in);
	buf_finish(&f->out);
}

static void feed(struct feeder *f, const char *data, size_t len)
{
	struct tmux_event ev;
	size_t n;
	bool have;

	ck_assert_int_eq(buf_append(&f->in, data, len), 0);
	do {
		have = tmux_parse_next(&f->parser, (char *)buf_data(&f->in), f->in.len, &n, &ev);
		if (have)
			dump_event(&f->out, &ev);
		buf_consume(&f->in, n);
	} while (have);
}

static char *dump_whole(const char *data, size_t len, bool pauses)
{
	struct feeder f;
	char *s;

	feeder_init(&f);
	f.parser.pauses = pauses;
	feed(&f, data, len);
	s = xstrndup((char *)buf_data(&f.out), f.out.len);
	feeder_finish(&f);
	return s;
}

static char *streams_dir(void)
{
	const char *src = getenv("TC_SRCDIR");

	return xasprintf("%s/tests/unit/tmux/streams", src != NULL ? src : ".");
}

static void each_stream(void (*fn)(const char *name, const char *data, size_t len))
{
	cleanup_free char *dir = streams_dir();
	DIR *d = opendir(dir);
	struct dirent *de;
	unsigned n = 0;

	ck_assert_msg(d != NULL, "cannot open %s", dir);
	while ((de = readdir(d)) != NULL) {
		cleanup_free char *path = xasprintf("%s/%s", dir, de->d_name);
		cleanup_free char *data = NULL;
		size_t len;

		if (strstr(de->d_name, ".txt") == NULL)
			continue;
		ck_assert_int_eq(file_read(path, STREAM_MAX, &data, &len, NULL), 0);
		fn(de->d_name, data, len);
		n++;
	}
	closedir(d);
	ck_assert_uint_ge(n, 10);
}

static void stream_as_kept(const char *name, const char *data, size_t len)
{
	cleanup_free char *dir = streams_dir();
	cleanup_free char *path =
		xasprintf("%s/%.*s.events", dir, (int)(strlen(name) - strlen(".txt")), name);
	cleanup_free char *got = dump_whole(data, len, strstr(name, "output.txt") != NULL);
	cleanup_free char *want = NULL;
	size_t want_len;

	if (getenv("TMUX_STREAMS_KEEP") != NULL)
		file_write_atomic(path, got, strlen(got), 0644, NULL);
	ck_assert_int_eq(file_read(path, STREAM_MAX, &want, &want_len, NULL), 0);
	ck_assert_msg(strcmp(got, want) == 0, "%s gives\n%s", name, got);
}

START_TEST(recorded_streams_give_the_kept_events)
{
	each_stream(stream_as_kept);
}
END_TEST

static void stream_split(const char *name, const char *data, size_t len)
{
	cleanup_free char *want = dump_whole(data, len, false);
	struct feeder bytes;

	for (size_t at = 0; at <= len; at++) {
		struct feeder f;

		feeder_init(&f);
		feed(&f, data, at);
		feed(&f, data + at, len - at);
		ck_assert_msg(f.out.len == strlen(want) &&
				      memcmp(buf_data(&f.out), want, f.out.len) == 0,
			"%s split at %zu differs", name, at);
		feeder_finish(&f);
	}
	feeder_init(&bytes);
	for (size_t i = 0; i < len; i++)
		feed(&bytes, data + i, 1);
	ck_assert_msg(bytes.out.len == strlen(want) &&
			      memcmp(buf_data(&bytes.out), want, bytes.out.len) == 0,
		"%s byte by byte differs", name);
	feeder_finish(&bytes);
}

START_TEST(recorded_streams_give_the_same_in_every_split)
{
	each_stream(stream_split);
}
END_TEST

static void check_events(const char *in, bool pauses, const char *want)
{
	cleanup_free char *got = dump_whole(in, strlen(in), pauses);

	ck_assert_str_eq(got, want);
}

START_TEST(only_the_same_three_words_close_a_block)
{
	check_events("%begin 10 2 1\n%end 10 2 0\n%end 10 3 1\n%end 11 2 1\n%end 10 2 1 \n%end 10 2\n"
		     "%error 10 2 11\n%end  10 2 1\n%end 10 2 1\n",
		false,
		"BEGIN flags=1\nBODY %end 10 2 0\nBODY %end 10 3 1\nBODY %end 11 2 1\n"
		"BODY %end 10 2 1 \nBODY %end 10 2\nBODY %error 10 2 11\nBODY %end  10 2 1\n"
		"END flags=1\n");
}
END_TEST

START_TEST(bodies_may_hold_anything)
{
	check_events("%begin 1 1 1\n%begin 1 2 1\n%output %1 x\n%exit\n\n%error 1 2 1\n%error 1 1 1\n",
		false,
		"BEGIN flags=1\nBODY %begin 1 2 1\nBODY %output %1 x\nBODY %exit\nBODY\n"
		"BODY %error 1 2 1\nERROR flags=1\n");
}
END_TEST

START_TEST(pauses_in_blocks_are_told_only_to_who_asked)
{
	const char *in = "%begin 1 1 1\n%pause %3\n%continue %x\n%continue %12\n%end 1 1 1\n";

	check_events(in, true,
		"BEGIN flags=1\nNOTIFY <pause> %3\nBODY %continue %x\nNOTIFY <continue> %12\n"
		"END flags=1\n");
	check_events(in, false,
		"BEGIN flags=1\nBODY %pause %3\nBODY %continue %x\nBODY %continue %12\n"
		"END flags=1\n");
}
END_TEST

START_TEST(malformed_guards_open_nothing)
{
	check_events("%begin\n%begin 1 2\n%begin a b c\n%begin 1 2 3 4\n%begin 1 2 1234567890\n%end 1 2 1\n",
		false,
		"NOTIFY <begin>\nNOTIFY <begin> 1 2\nNOTIFY <begin> a b c\n"
		"NOTIFY <begin> 1 2 3 4\nNOTIFY <begin> 1 2 1234567890\nNOTIFY <end> 1 2 1\n");
}
END_TEST

START_TEST(lines_outside_blocks_are_told_apart)
{
	check_events("plain\n\n%\n%output %1 a b\n%output x\n%extended-output %2 40 : a : b\n"
		     "%extended-output %2 40 new : c\n%exit\n%exit too far behind\n%session-changed $1 a b\n",
		false,
		"TEXT plain\nTEXT\nTEXT %\nOUTPUT <%1> a b\nNOTIFY <output> x\nOUTPUT <%2> a : b\n"
		"OUTPUT <%2> c\nEXIT <exit>\nEXIT <exit> too far behind\n"
		"NOTIFY <session-changed> $1 a b\n");
}
END_TEST

static void check_long_line(size_t len, bool cut)
{
	cleanup_free char *in = xcalloc(1, len + 8);
	struct feeder f;
	struct tmux_event ev;
	size_t n;

	memset(in, 'x', len);
	memcpy(in + len, "\nnext\n", 6);
	feeder_init(&f);
	ck_assert(tmux_parse_next(&f.parser, in, len + 6, &n, &ev));
	ck_assert_int_eq(ev.cut, cut);
	ck_assert_uint_eq(ev.text_len, cut ? TMUX_LINE_MAX : len);
	feed(&f, in + n, len + 6 - n);
	ck_assert_uint_eq(f.out.len, strlen("TEXT next\n"));
	feeder_finish(&f);
}

START_TEST(lines_are_cut_at_their_bound)
{
	check_long_line(TMUX_LINE_MAX - 1, false);
	check_long_line(TMUX_LINE_MAX, false);
	check_long_line(TMUX_LINE_MAX + 1, true);
	check_long_line(2 * TMUX_LINE_MAX + 5, true);
}
END_TEST

START_TEST(a_cut_line_closes_no_block)
{
	size_t pad = TMUX_LINE_MAX;
	cleanup_free char *in = xcalloc(1, pad + 64);
	struct feeder f;
	const char *want = "END flags=1\n";

	feeder_init(&f);
	strcpy(in, "%begin 1 1 1\n");
	memset(in + 13, 'x', pad);
	strcpy(in + 13 + pad, "%end 1 1 1\n%end 1 1 1\n");
	/* the first end stands on the cut line's tail */
	feed(&f, in, strlen(in));
	ck_assert(!f.parser.in_block);
	ck_assert(f.out.len > strlen(want) + pad);
	ck_assert_int_eq(
		memcmp(buf_data(&f.out) + f.out.len - strlen(want), want, strlen(want)), 0);
	feeder_finish(&f);
}
END_TEST

static void check_reason(const char *in, const char *rest, const char *want)
{
	char why[TMUX_REASON_MAX];
	struct feeder f;

	feeder_init(&f);
	feed(&f, in, strlen(in));
	tmux_parse_exit_reason(&f.parser, rest, strlen(rest), why);
	ck_assert_str_eq(why, want);
	feeder_finish(&f);
}

START_TEST(an_exit_at_the_tail_of_an_open_block_gives_its_reason)
{
	check_reason("%begin 1 1 1\na\n%exit server exited unexpectedly\n", "",
		"server exited unexpectedly");
	check_reason("%begin 1 1 1\na\n", "%exit lost server", "lost server");
	check_reason("%begin 1 1 1\n%exit why\nmore\n", "", "");
	check_reason("%begin 1 1 1\n%exit why\n%end 1 1 1\n", "", "");
	check_reason("%begin 1 1 1\n%exit\n", "", "");
	check_reason("", "%exit x", "");
}
END_TEST

TEST_MAIN("tmux/parse", recorded_streams_give_the_kept_events,
	recorded_streams_give_the_same_in_every_split, only_the_same_three_words_close_a_block,
	bodies_may_hold_anything, pauses_in_blocks_are_told_only_to_who_asked,
	malformed_guards_open_nothing, lines_outside_blocks_are_told_apart,
	lines_are_cut_at_their_bound, a_cut_line_closes_no_block,
	an_exit_at_the_tail_of_an_open_block_gives_its_reason)
