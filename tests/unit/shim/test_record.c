/* SPDX-License-Identifier: ISC */
/* The recording: offsets that stay exact through rotation, torn tails, holes and reopening. */
#include "place/shim/record.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/shim-record-XXXXXX";

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	struct err e = {0};

	ck_assert_int_eq(tree_remove(dir, &e), 0);
}

static struct record *open_record(uint64_t max)
{
	struct record *r = NULL;
	struct err e = {0};
	int fd = open(dir, O_RDONLY | O_DIRECTORY);

	ck_assert_msg(record_open(fd, "abc123", max, &r, &e) == 0, "%s", e.message);
	close(fd);
	return r;
}

/* The byte that stands at an offset in these tests. */
static unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(offset * 131 >> 4);
}

static void append(struct record *r, size_t len)
{
	struct err e = {0};
	unsigned char *data = malloc(len ? len : 1);
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = byte_at(record_end(r) + i);
	ck_assert_msg(record_append(r, data, len, &e) == 0, "%s", e.message);
	free(data);
}

/* Everything from offset on, in odd pieces, is what was appended. */
static void check_from(struct record *r, uint64_t offset)
{
	struct err e = {0};
	unsigned char buf[777];
	uint64_t at;
	ssize_t n;

	while ((n = record_read(r, offset, buf, sizeof(buf), &at, &e)) > 0) {
		ck_assert_uint_ge(at, offset);
		for (ssize_t i = 0; i < n; i++)
			ck_assert_int_eq(buf[i], byte_at(at + (uint64_t)i));
		offset = at + (uint64_t)n;
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_eq(offset, record_end(r));
}

static uint64_t disk_use(void)
{
	char *path = xasprintf("%s/abc123", dir);
	DIR *d = opendir(path);
	const struct dirent *ent;
	uint64_t sum = 0;

	while ((ent = readdir(d))) {
		struct stat st;

		if (fstatat(dirfd(d), ent->d_name, &st, 0) == 0 && S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	closedir(d);
	free(path);
	return sum;
}

START_TEST(rotation_keeps_offsets_and_the_bound)
{
	struct record *r = open_record(8192);
	struct err e = {0};
	unsigned char c;
	uint64_t at;
	int i;

	for (i = 0; i < 300; i++) {
		append(r, (size_t)(i * 37 % 501));
		ck_assert_uint_le(disk_use(), 8192);
		if (i % 20 == 0)
			check_from(r, record_first(r));
	}
	append(r, 30000); /* more than the bound at once */
	ck_assert_uint_le(disk_use(), 8192);
	ck_assert_uint_ge(record_end(r) - record_first(r), 8192 / 2);
	check_from(r, record_first(r));
	check_from(r, record_end(r) - 3);
	ck_assert_int_eq(record_read(r, record_first(r) - 1, &c, 1, &at, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	char first[32];
	snprintf(first, sizeof(first), "%" PRIu64, record_first(r));
	ck_assert_ptr_nonnull(strstr(e.hint, first));
	ck_assert_int_eq(record_read(r, record_end(r) + 1, &c, 1, &at, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	record_close(r);
}
END_TEST

START_TEST(reopening_goes_on_where_the_disk_says)
{
	struct record *r = open_record(65536);
	uint64_t end, first;
	int i;

	for (i = 0; i < 50; i++) {
		append(r, 1733);
		end = record_end(r);
		first = record_first(r);
		record_close(r);
		r = open_record(65536);
		ck_assert_uint_eq(record_end(r), end);
		ck_assert_uint_eq(record_first(r), first);
	}
	check_from(r, record_first(r));
	record_close(r);
}
END_TEST

START_TEST(a_torn_tail_is_where_it_goes_on)
{
	struct record *r = open_record(65536);
	char *path = xasprintf("%s/abc123/term.0.rec", dir);

	append(r, 1000);
	record_close(r);
	/* The machine lost its power before the last bytes were on the disk. */
	ck_assert_int_eq(truncate(path, 900), 0);
	r = open_record(65536);
	ck_assert_uint_eq(record_end(r), 900);
	append(r, 500);
	check_from(r, 0);
	record_close(r);
	free(path);
}
END_TEST

START_TEST(a_hole_is_skipped_and_its_offsets_stay)
{
	struct record *r = open_record(65536);
	struct err e = {0};
	unsigned char buf[8];
	uint64_t at = 0;

	append(r, 100);
	ck_assert_int_eq(record_skip(r, 50, &e), -1);
	ck_assert_int_eq(record_skip(r, 250, &e), 0);
	ck_assert_int_eq(record_read(r, 100, buf, sizeof(buf), &at, &e), 0);
	append(r, 100);
	ck_assert_int_eq(record_read(r, 100, buf, sizeof(buf), &at, &e), 8);
	ck_assert_uint_eq(at, 250);
	record_close(r);
	r = open_record(65536);
	ck_assert_uint_eq(record_first(r), 0);
	ck_assert_uint_eq(record_end(r), 350);
	check_from(r, 0);
	record_close(r);
}
END_TEST

START_TEST(other_files_are_left_alone)
{
	struct record *r = open_record(65536);
	struct err e = {0};
	char *path = xasprintf("%s/abc123/term.00.rec", dir), *got;
	size_t len;

	ck_assert_int_eq(file_write_atomic(path, "x", 1, 0600, &e), 0);
	ck_assert_int_eq(record_put(r, "snap", "hello", 5, &e), 0);
	ck_assert_int_eq(record_put(r, "snap", "bye", 3, &e), 0);
	append(r, 10);
	record_close(r);
	r = open_record(65536);
	ck_assert_uint_eq(record_end(r), 10);
	ck_assert_int_eq(record_get(r, "snap", 100, &got, &len, &e), 0);
	ck_assert_str_eq(got, "bye");
	free(got);
	ck_assert_int_eq(record_get(r, "snap", 2, &got, &len, &e), -1);
	ck_assert_int_eq(record_get(r, "none", 2, &got, &len, &e), -1);
	record_close(r);
	free(path);
}
END_TEST

START_TEST(hostile_files_are_passed_over)
{
	struct record *r = open_record(65536);
	struct err e = {0};
	cleanup_free char *fifo = xasprintf("%s/abc123/term.json", dir);
	cleanup_free char *far = xasprintf("%s/abc123/term.18446744073709551614.rec", dir);
	char *data = NULL;
	size_t len = 0;

	append(r, 100);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(record_get(r, "term.json", 1000, &data, &len, &e), -1);
	record_close(r);
	ck_assert_int_eq(file_write_atomic(far, "0123456789", 10, 0600, &e), 0);
	r = open_record(65536);
	ck_assert_uint_eq(record_end(r), 100);
	check_from(r, 0);
	record_close(r);
}
END_TEST

START_TEST(sizes_without_output_are_bounded)
{
	struct record *r = open_record(65536);
	struct stat st;
	cleanup_free char *idx = xasprintf("%s/abc123/term.0.idx", dir);

	append(r, 10);
	for (int i = 0; i < 20000; i++)
		record_size(r, 24 + i % 2, 80);
	ck_assert_int_eq(stat(idx, &st), 0);
	ck_assert_int_gt(st.st_size, 100);
	ck_assert_int_le(st.st_size, 8192);
	append(r, 10);
	check_from(r, 0);
	record_close(r);
}
END_TEST

TEST_MAIN_FIXTURE("shim/record", setup, teardown, rotation_keeps_offsets_and_the_bound,
	reopening_goes_on_where_the_disk_says, a_torn_tail_is_where_it_goes_on,
	a_hole_is_skipped_and_its_offsets_stay, other_files_are_left_alone,
	hostile_files_are_passed_over, sizes_without_output_are_bounded)
