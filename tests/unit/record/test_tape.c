/* SPDX-License-Identifier: ISC */
/* Reading and packing: the same bytes at the same offsets, whatever was packed, killed, cut or damaged. */
#include "record/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "record/pack.h"
#include "record/packed.h"
#include "tests/unit/run.h"

#define SEG 700000u

static char dir[] = "/tmp/record-tape-XXXXXX";
static int dirfd_;
static char told[4096];
static int tellings;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	dirfd_ = open(dir, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(dirfd_, 0);
}

static void teardown(void)
{
	struct err e = {0};

	close(dirfd_);
	ck_assert_int_eq(tree_remove(dir, &e), 0);
}

static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)((offset * 2654435761u) >> 13 & (offset % 3 ? 0x0f : 0xff));
}

static void put_file(const char *name, const void *data, size_t len)
{
	cleanup_close int fd = openat(dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, data, len), 0);
}

static void put_raw(uint64_t start, size_t len)
{
	struct segment s = {.start = start};
	char name[SEGMENT_NAME_MAX];
	unsigned char *data = malloc(len);

	for (size_t i = 0; i < len; i++)
		data[i] = byte_at(start + i);
	segment_name(&s, SEGMENT_RAW, name);
	put_file(name, data, len);
	free(data);
}

static void put_times(uint64_t start, size_t len, int64_t ms)
{
	struct segment s = {.start = start};
	struct timeline_head h = {.start = start, .ms = ms, .rows = 24, .cols = 80};
	struct moment last = {.offset = start, .ms = ms}, m = last;
	char name[SEGMENT_NAME_MAX];
	struct buf b;

	buf_init(&b, TIMELINE_MAX);
	timeline_put_head(&h, &b);
	for (size_t at = 1000; at < len; at += 1000) {
		m.offset = start + at;
		m.ms += 20;
		timeline_put(&m, &last, &b);
	}
	segment_name(&s, SEGMENT_INDEX, name);
	put_file(name, buf_data(&b), b.len);
	buf_finish(&b);
}

static void on_damage(void *arg, const char *text)
{
	(void)arg;
	snprintf(told, sizeof(told), "%s", text);
	tellings++;
}

static struct tape *open_tape(void)
{
	struct tape *t = NULL;
	struct err e = {0};

	told[0] = '\0';
	tellings = 0;
	ck_assert_msg(tape_open(AT_FDCWD, dir, &t, &e) == 0, "%s", e.message);
	tape_on_damage(t, on_damage, NULL);
	return t;
}

/* Reads all from offset on; every byte is right for where it says it stands. Returns how many. */
static uint64_t check_from(struct tape *t, uint64_t offset, size_t piece)
{
	unsigned char *buf = malloc(piece);
	struct err e = {0};
	uint64_t at, sum = 0;
	ssize_t n;

	while ((n = tape_read(t, offset, buf, piece, &at, &e)) > 0) {
		ck_assert_uint_ge(at, offset);
		for (ssize_t i = 0; i < n; i++) /* not an assertion for each byte: each is a message of check's */
			if (buf[i] != byte_at(at + (uint64_t)i))
				ck_abort_msg("byte %ju is another", (uintmax_t)at + (uintmax_t)i);
		offset = at + (uint64_t)n;
		sum += (uint64_t)n;
	}
	ck_assert_msg(n == 0, "%s", e.message);
	free(buf);
	return sum;
}

static bool there(const char *name)
{
	return faccessat(dirfd_, name, F_OK, 0) == 0;
}

static void pack(uint64_t start)
{
	struct err e = {0};

	ck_assert_msg(pack_segment(dirfd_, start, &e) == 0, "%s", e.message);
}

START_TEST(packed_and_raw_read_alike)
{
	struct tape *t, *before;
	struct err e = {0};
	char c;
	uint64_t at;

	put_raw(100, SEG);
	put_raw(100 + SEG, SEG);
	put_raw(100 + 2 * SEG, 10);
	before = open_tape();
	ck_assert_uint_eq(check_from(before, 100, 5000), 2 * SEG + 10);
	pack(100);
	pack(100 + SEG);
	pack(100); /* nothing to do */
	ck_assert(!there("term.100.rec") && there("term.100+700000.zst") && !there("term.100.new"));
	t = open_tape();
	ck_assert_uint_eq(tape_first(t), 100);
	ck_assert_uint_eq(tape_end(t), 110 + 2 * SEG);
	ck_assert_uint_eq(check_from(t, 100, 77777), 2 * SEG + 10);
	ck_assert_uint_eq(check_from(t, 100 + 262143, 3), 2 * SEG + 10 - 262143);
	/* One that was opened before finds them where they are now. */
	ck_assert_uint_eq(check_from(before, 100, 65536), 2 * SEG + 10);
	ck_assert_int_eq(tape_read(t, 99, &c, 1, &at, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.hint, "100"));
	ck_assert_int_eq(tape_read(t, tape_end(t) + 1, &c, 1, &at, &e), -1);
	ck_assert_int_eq(tellings, 0);
	tape_close(t);
	tape_close(before);
}
END_TEST

START_TEST(dropped_while_it_is_read)
{
	struct tape *t;
	struct err e = {0};
	char c;
	uint64_t at;

	put_raw(0, SEG);
	put_raw(SEG, 1000);
	t = open_tape();
	unlinkat(dirfd_, "term.0.rec", 0);
	ck_assert_int_eq(tape_read(t, 5, &c, 1, &at, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(strstr(e.hint, "700000"));
	tape_close(t);
}
END_TEST

START_TEST(a_packer_killed_anywhere_loses_nothing)
{
	/* A packer that may write so much less each time is ended by SIGXFSZ at another place. */
	for (rlim_t most = 0; most < 500000; most += 90011) {
		struct tape *t;
		int status;
		pid_t pid;

		put_raw(0, SEG);
		put_times(0, SEG, 1000000);
		pid = fork();
		if (pid == 0) {
			struct rlimit lim = {most, most};
			setrlimit(RLIMIT_FSIZE, &lim);
			_exit(pack_segment(dirfd_, 0, NULL) == 0 ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		t = open_tape();
		ck_assert_uint_eq(check_from(t, 0, 65536), SEG);
		ck_assert_int_eq(tape_time_of(t, 5000), 1000100);
		ck_assert_int_eq(tellings, 0);
		tape_close(t);
		pack_tidy(dirfd_);
		ck_assert(!there("term.0.new"));
		ck_assert(there("term.0.rec") != there("term.0+700000.zst"));
		unlinkat(dirfd_, "term.0+700000.zst", 0);
	}
}
END_TEST

START_TEST(twins_become_one)
{
	struct tape *t;

	put_raw(0, SEG);
	put_times(0, SEG, 1000);
	pack(0);
	ck_assert(!there("term.0.idx"));
	put_raw(0, SEG); /* killed before it removed the raw one */
	put_times(0, SEG, 1000);
	t = open_tape();
	ck_assert_uint_eq(tape_stock(t)->n, 1);
	ck_assert_uint_eq(check_from(t, 0, 65536), SEG);
	tape_close(t);
	pack_tidy(dirfd_);
	ck_assert(!there("term.0.rec") && !there("term.0.idx") && there("term.0+700000.zst"));
	/* The packed one is no good: the raw one stays. */
	put_raw(0, SEG);
	put_file("term.0+700000.zst", "rubbish", 7);
	t = open_tape();
	ck_assert_uint_eq(check_from(t, 0, 65536), SEG);
	tape_close(t);
	pack_tidy(dirfd_);
	ck_assert(there("term.0.rec") && !there("term.0+700000.zst"));
}
END_TEST

START_TEST(two_packers_at_once_are_one)
{
	pid_t pid[4];
	struct tape *t;

	put_raw(0, SEG);
	for (int i = 0; i < 4; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct err e = {0};
			int fd = open(dir, O_RDONLY | O_DIRECTORY);
			_exit(pack_segment(fd, 0, &e) == 0 || e.code == ERR_BUSY ? 0 : 1);
		}
	}
	for (int i = 0; i < 4; i++) {
		int status;
		waitpid(pid[i], &status, 0);
		ck_assert_int_eq(status, 0);
	}
	ck_assert(!there("term.0.rec") && !there("term.0.new"));
	t = open_tape();
	ck_assert_uint_eq(check_from(t, 0, 65536), SEG);
	tape_close(t);
}
END_TEST

START_TEST(damage_is_said_and_skipped)
{
	char *path = xasprintf("%s/term.0+700000.zst", dir);
	struct tape *t;
	struct stat st;
	int fd;

	put_raw(0, SEG);
	put_raw(SEG, 1000);
	pack(0);
	stat(path, &st);
	fd = open(path, O_RDWR);
	/* In the middle of the second of three frames. */
	ck_assert_int_eq(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, st.st_size / 2), 8);
	close(fd);
	t = open_tape();
	ck_assert_uint_eq(check_from(t, 0, 65536), SEG + 1000 - PACKED_FRAME);
	ck_assert_int_eq(tellings, 1);
	ck_assert_ptr_nonnull(strstr(told, "262144 bytes from offset 262144 on are skipped"));
	tape_close(t);
	/* Cut: the table is gone, and with it the segment. */
	ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
	t = open_tape();
	ck_assert_uint_eq(check_from(t, 0, 65536), 1000);
	ck_assert_int_eq(tellings, 1);
	tape_close(t);
	free(path);
}
END_TEST

START_TEST(a_file_of_an_unknown_kind_is_left_alone)
{
	struct tape *t;

	put_raw(0, 1000);
	put_file("term.00.rec", "x", 1);
	put_file("term.5+1.zst.old", "x", 1);
	put_file("term.json", "{}", 2);
	ck_assert_int_eq(mkdirat(dirfd_, "term.2000.rec", 0700), 0);
	t = open_tape();
	ck_assert_uint_eq(check_from(t, 0, 100), 1000);
	ck_assert_uint_eq(tape_end(t), 1000);
	pack_tidy(dirfd_);
	ck_assert(there("term.00.rec") && there("term.json"));
	tape_close(t);
}
END_TEST

START_TEST(times_are_found_raw_and_packed)
{
	struct tape *t;

	put_raw(0, 100000);
	put_times(0, 100000, 50000);
	put_raw(100000, 100000);
	put_times(100000, 100000, 90000);
	for (int packed = 0; packed < 2; packed++) {
		if (packed)
			pack(0);
		t = open_tape();
		ck_assert_int_eq(tape_time_of(t, 0), 50000);
		ck_assert_int_eq(tape_time_of(t, 999), 50000);
		ck_assert_int_eq(tape_time_of(t, 1000), 50020);
		ck_assert_int_eq(tape_time_of(t, 100000), 90000);
		ck_assert_uint_eq(tape_offset_of(t, 0), 0);
		ck_assert_uint_eq(tape_offset_of(t, 50020), 1000);
		ck_assert_uint_eq(tape_offset_of(t, 50021), 2000);
		ck_assert_uint_eq(tape_offset_of(t, 80000), 100000);
		ck_assert_uint_eq(tape_offset_of(t, 999999), 200000);
		tape_close(t);
	}
}
END_TEST

TEST_MAIN_FIXTURE("record/tape", setup, teardown, packed_and_raw_read_alike, dropped_while_it_is_read,
	a_packer_killed_anywhere_loses_nothing, twins_become_one, two_packers_at_once_are_one,
	damage_is_said_and_skipped, a_file_of_an_unknown_kind_is_left_alone, times_are_found_raw_and_packed)
