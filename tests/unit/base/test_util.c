/* SPDX-License-Identifier: ISC */
/* Strings, vectors, parsing, encodings, ids, files. */
#include "base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "tests/unit/run.h"

static char dir[64];

static void setup(void)
{
	strcpy(dir, "/tmp/tc-util-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	struct err e = {0};
	ck_assert_msg(tree_remove(dir, &e) == 0, "%s", e.message);
	ck_assert_int_eq(access(dir, F_OK), -1);
}

static const char *in_dir(const char *name)
{
	static char path[4][4200];
	static int n;
	char *p = path[n++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return p;
}

START_TEST(vectors)
{
	cleanup_strv char **v = strv_new();
	ck_assert_uint_eq(strv_len(v), 0);
	strv_push(&v, "A=1");
	strv_pushf(&v, "B%d=%s", 2, "x");
	ck_assert_uint_eq(strv_len(v), 2);
	ck_assert_str_eq(strv_env_get(v, "A"), "1");
	ck_assert_str_eq(strv_env_get(v, "B2"), "x");
	ck_assert_ptr_null(strv_env_get(v, "B"));
	strv_env_set(&v, "A", "two=three");
	strv_env_set(&v, "C", "");
	ck_assert_uint_eq(strv_len(v), 3);
	ck_assert_str_eq(strv_env_get(v, "A"), "two=three");
	ck_assert_str_eq(strv_env_get(v, "C"), "");
	cleanup_strv char **w = strv_copy(v);
	ck_assert_str_eq(w[0], "A=two=three");
	ck_assert_ptr_ne(w[0], v[0]);
	ck_assert_ptr_null(w[3]);
	ck_assert_uint_eq(strv_len(NULL), 0);
	ck_assert_ptr_null(strv_env_get(NULL, "A"));
	strv_free(NULL);
}
END_TEST

START_TEST(numbers_are_strict)
{
	int64_t v = 77;
	const char *bad[] = {"", " 1", "+1", "1 ", "1x", "x", "0x10", "-", "9223372036854775808", "11", "-6"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(str_to_i64(bad[i], -5, 10, &v) == -1, "%s was taken", bad[i]);
	ck_assert_int_eq(str_to_i64(NULL, 0, 1, &v), -1);
	ck_assert_int_eq(v, 77);
	ck_assert_int_eq(str_to_i64("-5", -5, 10, &v), 0);
	ck_assert_int_eq(v, -5);
	ck_assert_int_eq(str_to_i64("9223372036854775807", 0, INT64_MAX, &v), 0);
	ck_assert(v == INT64_MAX);
}
END_TEST

START_TEST(str_fmt_reports_truncation)
{
	char out[4];
	ck_assert_int_eq(str_fmt(out, sizeof(out), "abc"), 0);
	ck_assert_int_eq(str_fmt(out, sizeof(out), "abcd"), -1);
	ck_assert(str_starts("abc", "ab") && str_starts("abc", "") && !str_starts("a", "ab"));
}
END_TEST

START_TEST(utf8)
{
	const char *good[] = {"", "a", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
		"\xed\x9f\xbf", "\xee\x80\x80"};
	const char *bad[] = {"\x80", "\xc3", "\xc0\xaf", "\xc1\x81", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xff", "\xe2\x28\xa1"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(utf8_valid(good[i], strlen(good[i])), "good %zu", i);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!utf8_valid(bad[i], strlen(bad[i])), "bad %zu", i);
	ck_assert(utf8_valid("a\0b", 3));
}
END_TEST

START_TEST(base64)
{
	const char *pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		size_t n = 99;
		cleanup_free char *enc = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		ck_assert_str_eq(enc, pairs[i][1]);
		cleanup_free unsigned char *dec = base64_decode(enc, &n);
		ck_assert_ptr_nonnull(dec);
		ck_assert_uint_eq(n, strlen(pairs[i][0]));
		ck_assert_mem_eq(dec, pairs[i][0], n);
	}
	const char *bad[] = {"A", "AA", "AAA", "AA=A", "====", "A===", "Zh==", "Zm9=", "Zm9v\n", "Zm 9", "Zg==Zg=="};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t n;
		ck_assert_msg(base64_decode(bad[i], &n) == NULL, "%s was taken", bad[i]);
	}
}
END_TEST

START_TEST(ids_look_right_and_differ)
{
	char a[33], b[33];
	random_id(a, 32);
	random_id(b, 32);
	ck_assert_uint_eq(strlen(a), 32);
	ck_assert_str_ne(a, b);
	ck_assert(a[0] >= 'a' && a[0] <= 'z');
	ck_assert_uint_eq(strspn(a, "abcdefghijklmnopqrstuvwxyz0123456789"), 32);
}
END_TEST

START_TEST(files_are_written_whole_and_read_back)
{
	struct err e = {0};
	const char *p = in_dir("f");
	ck_assert_int_eq(file_write_atomic(p, "hello\0x", 7, 0640, &e), 0);
	ck_assert_int_eq(file_write_atomic(p, "hallo\0x", 7, 0640, &e), 0);
	struct stat st;
	ck_assert_int_eq(stat(p, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	cleanup_free char *text = NULL;
	size_t len = 0;
	ck_assert_int_eq(file_read(p, 7, &text, &len, &e), 0);
	ck_assert_uint_eq(len, 7);
	ck_assert_str_eq(text, "hallo");
	char *none = (char *)"untouched";
	ck_assert_int_eq(file_read(p, 6, &none, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_str_eq(none, "untouched");
	ck_assert_int_eq(file_read(in_dir("absent"), 6, &none, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_int_eq(file_read(dir, 6, &none, NULL, &e), -1);
	ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
	ck_assert_int_eq(file_read(in_dir("fifo"), 6, &none, NULL, &e), -1);
	ck_assert_int_eq(file_write_atomic(in_dir("no/f"), "x", 1, 0600, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "No such file"));
}
END_TEST

START_TEST(a_failed_write_leaves_no_temporary_file)
{
	struct err e = {0};
	ck_assert_int_eq(mkdir(in_dir("d"), 0700), 0);
	ck_assert_int_eq(mkdir(in_dir("d/sub"), 0700), 0);
	ck_assert_int_eq(file_write_atomic(in_dir("d/sub"), "x", 1, 0600, &e), -1);
	ck_assert_int_eq(rmdir(in_dir("d/sub")), 0);
	ck_assert_int_eq(rmdir(in_dir("d")), 0); /* it was the only entry */
}
END_TEST

START_TEST(folders_are_made_with_their_parents)
{
	struct err e = {0};
	ck_assert_int_eq(dir_make(in_dir("a/b//c/"), 0700, &e), 0);
	ck_assert_int_eq(dir_make(in_dir("a/b/c"), 0700, &e), 0);
	ck_assert_int_eq(access(in_dir("a/b/c"), F_OK), 0);
	ck_assert_int_eq(file_write_atomic(in_dir("a/file"), "", 0, 0600, &e), 0);
	ck_assert_int_eq(dir_make(in_dir("a/file/x"), 0700, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "a/file"));
	ck_assert_int_eq(dir_make("", 0700, &e), -1);
	ck_assert_int_eq(dir_make("/", 0700, &e), 0);
}
END_TEST

START_TEST(removing_a_tree_does_not_follow_links)
{
	struct err e = {0};
	ck_assert_int_eq(dir_make(in_dir("keep"), 0700, &e), 0);
	ck_assert_int_eq(file_write_atomic(in_dir("keep/f"), "x", 1, 0600, &e), 0);
	ck_assert_int_eq(dir_make(in_dir("t/deep/er"), 0700, &e), 0);
	ck_assert_int_eq(symlink("../keep", in_dir("t/link")), 0);
	ck_assert_int_eq(symlink("keep", in_dir("toplink")), 0);
	ck_assert_int_eq(tree_remove(in_dir("t"), &e), 0);
	ck_assert_int_eq(access(in_dir("t"), F_OK), -1);
	ck_assert_int_eq(tree_remove(in_dir("toplink"), &e), 0);
	ck_assert_int_eq(access(in_dir("keep/f"), F_OK), 0);
	ck_assert_int_eq(tree_remove(in_dir("absent"), &e), 0);
}
END_TEST

START_TEST(descriptors)
{
	cleanup_close int fd = open("/dev/null", O_RDWR);
	ck_assert_int_eq(fd_set_nonblock(fd), 0);
	ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(fd_set_cloexec(fd, true), 0);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	ck_assert_int_eq(fd_set_cloexec(fd, false), 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), 0);
	int copy = fd, moved = take_fd(&copy);
	ck_assert_int_eq(moved, fd);
	ck_assert_int_eq(copy, -1);
}
END_TEST

START_TEST(a_process_is_named_by_its_start_time)
{
	ck_assert_uint_gt(proc_start_time(getpid()), 0);
	ck_assert_uint_eq(proc_start_time(getpid()), proc_start_time(getpid()));
	ck_assert_uint_le(proc_start_time(getppid()), proc_start_time(getpid()));
	ck_assert_uint_eq(proc_start_time(0x7ffffff0), 0);
	ck_assert_uint_gt(strlen(boot_id()), 6);
}
END_TEST

START_TEST(a_test_may_pretend_another_boot)
{
	setenv("TMUX_CLAUDE_TEST_BOOT_ID", "the next boot", 1); /* this test is a process of its own */
	ck_assert_str_eq(boot_id(), "the next boot");
}
END_TEST

TEST_MAIN_FIXTURE("base/util", setup, teardown, vectors, numbers_are_strict,
	str_fmt_reports_truncation, utf8, base64, ids_look_right_and_differ,
	files_are_written_whole_and_read_back, a_failed_write_leaves_no_temporary_file,
	folders_are_made_with_their_parents, removing_a_tree_does_not_follow_links, descriptors,
	a_process_is_named_by_its_start_time, a_test_may_pretend_another_boot)
