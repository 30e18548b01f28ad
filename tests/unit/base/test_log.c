/* SPDX-License-Identifier: ISC */
/* What a log line looks like and what cannot get into it. */
#include "base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/run.h"

static char got[8192];

static int64_t wall(void)
{
	return 0;
}

/* Runs the block with stderr caught in `got`. */
static FILE *caught;
static int saved;
static void catch_start(void)
{
	caught = tmpfile();
	saved = dup(2);
	dup2(fileno(caught), 2);
}
static void catch_end(void)
{
	dup2(saved, 2);
	close(saved);
	rewind(caught);
	got[fread(got, 1, sizeof(got) - 1, caught)] = '\0';
	fclose(caught);
}

START_TEST(one_line_with_everything)
{
	clock_set_source(NULL, wall);
	log_open("prog", LOG_LEVEL_INFO);
	catch_start();
	log_info("store", "ab12", "opened %d", 7);
	log_warn("tmux", NULL, "gone");
	catch_end();
	char want[256];
	snprintf(want, sizeof(want),
		"1970-01-01T00:00:00.000Z prog[%d] info store ab12: opened 7\n"
		"1970-01-01T00:00:00.000Z prog[%d] warn tmux: gone\n",
		(int)getpid(), (int)getpid());
	ck_assert_str_eq(got, want);
}
END_TEST

START_TEST(levels_filter)
{
	log_open("prog", LOG_LEVEL_WARN);
	ck_assert_int_eq(log_get_level(), LOG_LEVEL_WARN);
	catch_start();
	log_info("a", NULL, "no");
	log_debug("a", NULL, "no");
	log_error("a", NULL, "yes");
	catch_end();
	ck_assert_ptr_null(strstr(got, "no"));
	ck_assert_ptr_nonnull(strstr(got, "error a: yes"));
}
END_TEST

START_TEST(control_characters_do_not_get_through)
{
	log_open("prog", LOG_LEVEL_INFO);
	catch_start();
	log_info("a", "i\nd", "x\n2026 fake error\x1b[31m\x7f caf\xc3\xa9");
	catch_end();
	ck_assert_ptr_nonnull(strstr(got, "i\\x0ad: x\\x0a2026 fake error\\x1b[31m\\x7f caf\xc3\xa9\n"));
	ck_assert_ptr_eq(strchr(got, '\n'), got + strlen(got) - 1);
}
END_TEST

START_TEST(long_text_is_cut_and_still_one_line)
{
	log_open("prog", LOG_LEVEL_INFO);
	char text[9000];
	memset(text, '\x01', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	catch_start();
	log_info("a", NULL, "%s", text);
	catch_end();
	ck_assert_uint_le(strlen(got), 4096);
	ck_assert_uint_gt(strlen(got), 4000);
	ck_assert_int_eq(got[strlen(got) - 1], '\n');
}
END_TEST

static int64_t now_ms = 1000000;
static int64_t mono(void)
{
	return now_ms;
}

static size_t lines(void)
{
	size_t n = 0;

	for (const char *p = got; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

START_TEST(a_flood_of_lines_is_bounded_and_counted)
{
	clock_set_source(mono, wall);
	log_open("p", LOG_LEVEL_DEBUG);
	catch_start();
	for (int i = 0; i < 5000; i++)
		log_info("a", NULL, "x");
	fflush(caught);
	ck_assert_uint_lt(lseek(fileno(caught), 0, SEEK_END), (LOG_BURST + 1) * 60);
	catch_end();
	catch_start();
	now_ms += 1000;
	for (int i = 0; i < 5000; i++)
		log_info("a", NULL, "x");
	catch_end();
	ck_assert_uint_eq(lines(), LOG_PER_SECOND + 1);
	ck_assert_ptr_nonnull(strstr(got, "warn log: 4500 lines were dropped"));
	catch_start();
	for (int i = 0; i < 50; i++)
		log_debug("a", NULL, "asked for");
	catch_end();
	ck_assert_uint_eq(lines(), 51); /* and once more how many were dropped */
	clock_set_source(NULL, NULL);
}
END_TEST

START_TEST(a_file_that_grows_begins_anew_with_its_last_lines)
{
	char name[] = "/tmp/tc-log-XXXXXX", text[1000];
	int fd = mkstemp(name), keep = dup(2);
	struct stat st;

	close(fd);
	fd = open(name, O_RDWR | O_APPEND);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_open("p", LOG_LEVEL_DEBUG);
	dup2(fd, 2);
	log_bound_file("/dev/null"); /* not this file: it is somebody's own */
	for (int i = 0; i < 3 * LOG_FILE_MAX / 2000; i++)
		log_debug("a", NULL, "%d %s", i, text);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_gt(st.st_size, LOG_FILE_MAX + 2 * LOG_KEEP);
	log_bound_file(name);
	for (int i = 3 * LOG_FILE_MAX / 2000; i < 3 * LOG_FILE_MAX / 1000; i++)
		log_debug("a", NULL, "%d %s", i, text);
	dup2(keep, 2);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_le(st.st_size, LOG_FILE_MAX + 2 * LOG_KEEP);
	ck_assert_int_ge(st.st_size, LOG_KEEP / 2);
	ck_assert_int_gt(pread(fd, got, sizeof(got) - 1, 0), 1000);
	ck_assert_ptr_nonnull(strstr(got, "dropped)\n2"));
	unlink(name);
	close(fd);
}
END_TEST

TEST_MAIN("base/log", a_flood_of_lines_is_bounded_and_counted,
	a_file_that_grows_begins_anew_with_its_last_lines, one_line_with_everything, levels_filter,
	control_characters_do_not_get_through, long_text_is_cut_and_still_one_line)
