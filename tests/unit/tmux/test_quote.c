/* SPDX-License-Identifier: ISC */
/* Quoting: what it writes, and that the real tmux reads back every byte as it was. */
#include "tests/unit/tmux/talk.h"

#include "daemon/tmux/parse.h"

#define ROUNDS 200
#define ARGVS 20
#define BIG (56 * 1024)    /* quoted in the worst way it just fits a line */
#define PLAIN (255 * 1024) /* not to be quoted it does */

static void check_line(struct tmux_cmd *c, const char *want)
{
	ck_assert(tmux_cmd_end(c));
	ck_assert_uint_eq(c->line.len, strlen(want));
	ck_assert_int_eq(memcmp(buf_data(&c->line), want, c->line.len), 0);
	tmux_cmd_finish(c);
}

START_TEST(each_kind_of_byte_is_written_as_tmux_wants_it)
{
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "set-buffer");
	tmux_cmd_arg(&c, "plain ; {x} #{y} 'q' \303\251 % ");
	tmux_cmd_arg(&c, "\"\\$~\n\033\177\377");
	tmux_cmd_arg(&c, "");
	check_line(&c, "set-buffer \"plain ; {x} #{y} 'q' \303\251 % \" "
		       "\"\\042\\134\\044\\176\\012\\033\\177\\377\" \"\"\n");
}
END_TEST

START_TEST(formats_and_several_commands)
{
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "rename-window -t");
	tmux_cmd_argf(&c, "%%%u", 3u);
	tmux_cmd_format_arg(&c, "a#{b}##");
	tmux_cmd_add(&c, "kill-session");
	ck_assert_uint_eq(c.commands, 2);
	check_line(&c, "rename-window -t \"%3\" \"a##{b}####\" ; kill-session\n");
}
END_TEST

static bool argv_ok(char *const *argv)
{
	struct tmux_cmd c;
	bool ok;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "x");
	ok = tmux_cmd_argv(&c, argv);
	ck_assert_int_eq(tmux_cmd_end(&c), ok);
	tmux_cmd_finish(&c);
	return ok;
}

START_TEST(argv_never_meets_a_shell)
{
	struct tmux_cmd c;
	char *one[] = {"a b", NULL}, *two[] = {"a", "", NULL}, *none[] = {NULL};
	char *empty[] = {"", "x", NULL}, *assign[] = {"A=b", NULL}, *dash[] = {"-i", NULL};

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "x");
	ck_assert(tmux_cmd_argv(&c, one));
	check_line(&c, "x -- \"env\" \"a b\"\n");
	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "x");
	ck_assert(tmux_cmd_argv(&c, two));
	check_line(&c, "x -- \"a\" \"\"\n");
	ck_assert(!argv_ok(none));
	ck_assert(!argv_ok(NULL));
	ck_assert(!argv_ok(empty));
	ck_assert(!argv_ok(assign));
	ck_assert(!argv_ok(dash));
}
END_TEST

START_TEST(what_is_too_long_is_refused)
{
	struct tmux_cmd c;
	cleanup_free char *big = xcalloc(1, TMUX_LINE_MAX + 1);

	memset(big, 'x', TMUX_LINE_MAX);
	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "x");
	tmux_cmd_arg(&c, big);
	ck_assert(!tmux_cmd_end(&c));
	tmux_cmd_finish(&c);
	tmux_cmd_init(&c);
	ck_assert(!tmux_cmd_end(&c)); /* nothing: an empty line would detach us */
	tmux_cmd_finish(&c);
}
END_TEST

/* ---- against tmux ---- */

/* Gives tmux bytes as an argument and compares what it then holds. */
static void round_trip(struct talk *t, const char *data)
{
	cleanup_free char *path = xasprintf("%s/saved", rig_dir);
	cleanup_free char *got = NULL;
	size_t got_len, len = strlen(data);
	struct tmux_cmd c;

	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "set-buffer -b q --");
	tmux_cmd_arg(&c, data);
	tmux_cmd_add(&c, "save-buffer -b q");
	tmux_cmd_arg(&c, path);
	talk_run(t, &c);
	ck_assert_msg(t->ok, "tmux refused %zu bytes", len);
	ck_assert_int_eq(file_read(path, 2 * PLAIN, &got, &got_len, NULL), 0);
	ck_assert_uint_eq(got_len, len);
	ck_assert_int_eq(memcmp(got, data, len), 0);
}

START_TEST(tmux_reads_every_byte_back)
{
	struct talk t;
	char all[256] = {0}, one[2] = {0};

	talk_start(&t);
	for (int b = 1; b < 256; b++) {
		all[b - 1] = (char)b;
		one[0] = (char)b;
		round_trip(&t, one);
	}
	round_trip(&t, all);
	talk_end(&t);
}
END_TEST

/* At most max bytes, at least min, of those that mean something to tmux or a shell, or of all. Owned. */
static char *random_text(size_t min, size_t max)
{
	size_t len = min + (size_t)random() % (max - min + 1);
	char *s = xcalloc(1, len + 1);
	bool nasty = random() % 2;

	for (size_t k = 0; k < len; k++)
		s[k] = nasty ? "\"\\$~#{};'%\n\033\377 \t^!"[random() % 17]
			     : (char)(random() % 255 + 1);
	return s;
}

static void seed_random(void)
{
	unsigned seed;

	random_bytes(&seed, sizeof(seed));
	printf("# seed %u\n", seed);
	srandom(seed);
}

START_TEST(tmux_reads_random_strings_back)
{
	struct talk t;

	seed_random();
	talk_start(&t);
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_free char *s = random_text(1, 2000);

		round_trip(&t, s);
	}
	talk_end(&t);
}
END_TEST

START_TEST(tmux_takes_the_longest_line)
{
	struct talk t;
	cleanup_free char *big = xcalloc(1, PLAIN + 1);

	talk_start(&t);
	memset(big, '\\', BIG);
	round_trip(&t, big);
	memset(big, 'x', PLAIN);
	round_trip(&t, big);
	talk_end(&t);
}
END_TEST

/* Runs a pane with a program that writes its arguments, each with its NUL, into a file, and compares. */
static void argv_round_trip(struct talk *t, char *const *words)
{
	cleanup_free char *path = xasprintf("%s/argv", rig_dir);
	char **argv = strv_new();
	cleanup_free char *got = NULL;
	struct tmux_cmd c;
	size_t len, at = 0;

	unlink(path);
	strv_push(&argv, "sh");
	strv_push(&argv, "-c");
	strv_push(&argv, "printf '%s\\000' \"$@\" >\"$0.new\"; mv \"$0.new\" \"$0\"");
	strv_push(&argv, path);
	for (size_t i = 0; words[i] != NULL; i++)
		strv_push(&argv, words[i]);
	t->ended = false;
	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "new-session -d -s a -P -F");
	tmux_cmd_arg(&c, "#{pane_pid}");
	ck_assert(tmux_cmd_argv(&c, argv));
	talk_run(t, &c);
	ck_assert(t->ok);
	if (loop_child_watch(rig_loop, atoi(t->text), talk_ended, t, NULL) != NULL)
		rig_until(t->ended);
	ck_assert_int_eq(file_read(path, PLAIN, &got, &len, NULL), 0);
	for (size_t i = 0; words[i] != NULL; i++) {
		ck_assert_uint_le(at + strlen(words[i]) + 1, len);
		ck_assert_int_eq(memcmp(got + at, words[i], strlen(words[i]) + 1), 0);
		at += strlen(words[i]) + 1;
	}
	ck_assert_uint_eq(at, len);
	tmux_cmd_init(&c);
	tmux_cmd_add(&c, "kill-session -t =a");
	talk_run(t, &c);
	strv_free(argv);
}

START_TEST(a_pane_gets_its_argv_as_it_was)
{
	char *words[] = {"", "two words", "$HOME ~ `x` #{pid} %1", "a\nb\tc", "\033[31m\\\"';",
		"\303\251\377", "-x", ";", NULL};
	struct talk t;

	seed_random();
	talk_start(&t);
	argv_round_trip(&t, words);
	for (int i = 0; i < ARGVS; i++) {
		char **random_words = strv_new();

		for (long n = random() % 20 + 1; n > 0; n--) {
			cleanup_free char *s = random_text(0, 300);

			strv_push(&random_words, s);
		}
		argv_round_trip(&t, random_words);
		strv_free(random_words);
	}
	talk_end(&t);
}
END_TEST

RIG_MAIN("tmux/quote",
	each_kind_of_byte_is_written_as_tmux_wants_it, formats_and_several_commands,
	argv_never_meets_a_shell, what_is_too_long_is_refused, tmux_reads_every_byte_back,
	tmux_reads_random_strings_back, tmux_takes_the_longest_line, a_pane_gets_its_argv_as_it_was)
