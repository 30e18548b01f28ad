/* SPDX-License-Identifier: ISC */
/* The console's log: it keeps what is said, and is bounded however much that is. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "place/shim/console.h"
#include "tests/unit/run.h"

#define TURNS_MS 20000

static char dir[64], sock[96], log_path[96];
static struct loop *loop;
static int listener, machine;
static struct console *console;

static void setup(void)
{
	struct err e = {0};
	strcpy(dir, "/tmp/tc-console-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(sock, sizeof(sock), "%s/console.sock", dir);
	snprintf(log_path, sizeof(log_path), "%s/console.log", dir);
	loop = loop_create(NULL);
	ck_assert_int_eq(sock_listen(sock, 0600, &listener, &e), 0);
	ck_assert_int_eq(file_write_atomic(log_path, "holder: hello\n", 14, 0600, NULL), 0);
	console = console_create(loop, sock, log_path);
	ck_assert_ptr_nonnull(console);
	machine = sock_accept(listener);
	ck_assert_int_ge(machine, 0);
}

static void teardown(void)
{
	console_destroy(console);
	close(machine);
	close(listener);
	loop_destroy(loop);
	tree_remove(dir, NULL);
}

static char *log_text(void)
{
	char *text = NULL;
	struct err e = {0};
	ck_assert_msg(file_read(log_path, 2 * CONSOLE_LOG_MAX, &text, NULL, &e) == 0, "%s", e.message);
	return text;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);
	return n >= m && !strcmp(text + n - m, end);
}

static void until_it_ends_with(const char *end)
{
	int64_t deadline = clock_mono_ms() + TURNS_MS;
	for (;;) {
		cleanup_free char *text = log_text();
		if (ends_with(text, end))
			return;
		ck_assert(clock_mono_ms() < deadline);
		loop_turn(loop, 1000);
	}
}

START_TEST(test_what_the_machine_says_is_added)
{
	ck_assert_int_eq(write_all(machine, "Kernel panic\n", 13), 0);
	until_it_ends_with("Kernel panic\n");
	cleanup_free char *text = log_text();
	ck_assert_str_eq(text, "holder: hello\nKernel panic\n");
}
END_TEST

START_TEST(test_a_flood_is_bounded_and_its_end_is_kept)
{
	char line[1025];
	struct stat st;
	memset(line, 'x', 1024);
	line[1023] = '\n';
	for (int i = 0; i < 3 * 1024;) {
		/* The machine is not blocked for long: what the loop takes makes room. */
		if (write(machine, line, 1024) == 1024)
			i++;
		else
			loop_turn(loop, 1000);
		ck_assert_int_eq(stat(log_path, &st), 0);
		ck_assert_int_le(st.st_size, CONSOLE_LOG_MAX + 64);
	}
	int64_t deadline = clock_mono_ms() + TURNS_MS;
	while (write(machine, "the end\n", 8) != 8) {
		ck_assert(clock_mono_ms() < deadline);
		loop_turn(loop, 1000);
	}
	until_it_ends_with("the end\n");
	cleanup_free char *text = log_text();
	ck_assert(str_starts(text, "(what was said earlier was dropped)\n"));
}
END_TEST

START_TEST(test_a_machine_that_goes_is_survived)
{
	ck_assert_int_eq(write_all(machine, "bye\n", 4), 0);
	close(machine);
	machine = -1;
	until_it_ends_with("bye\n");
	loop_turn(loop, 50);
}
END_TEST

START_TEST(test_without_a_listener_there_is_no_console)
{
	char nowhere[128];
	snprintf(nowhere, sizeof(nowhere), "%s/nowhere", dir);
	ck_assert_ptr_null(console_create(loop, nowhere, log_path));
	ck_assert_ptr_null(console_create(loop, sock, dir));
}
END_TEST

TEST_MAIN_FIXTURE("shim/console", setup, teardown, test_what_the_machine_says_is_added,
	test_a_flood_is_bounded_and_its_end_is_kept, test_a_machine_that_goes_is_survived,
	test_without_a_listener_there_is_no_console)
