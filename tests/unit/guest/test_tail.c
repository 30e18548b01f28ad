/* SPDX-License-Identifier: ISC */
/* Files that grow, as the real guest program follows them for a shim played by the test. */
#include <fcntl.h>

#include "base/sha256.h"
#include "tests/unit/guest/program_help.h"

static char root[] = "/tmp/tc-tail-XXXXXX";

static char *in_root(const char *path)
{
	return xasprintf("%s/%s", root, path);
}

static void put(const char *path, const char *text, int flags)
{
	cleanup_free char *whole = in_root(path);
	cleanup_close int fd = open(whole, O_WRONLY | O_CREAT | flags, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write_all(fd, text, strlen(text)), 0);
}

static void folder(const char *path)
{
	cleanup_free char *whole = in_root(path);
	ck_assert_int_eq(mkdir(whole, 0700), 0);
}

static struct seen *follow(struct shim_end *e, const char *path, int from, const char *before)
{
	char hex[SHA256_HEX];
	sha256_hex(before, strlen(before), hex);
	return end_open(e, json_pack("{s:s, s:s, s:s, s:i, s:{s:i, s:s}}", "kind", "tail", "root", root, "path", path, "from",
				   from, "check", "len", (int)strlen(before), "sha256", hex));
}

static bool seen_is(const struct seen *x, const char *text)
{
	return x->data.len == strlen(text) && memcmp(buf_data(&x->data), text, x->data.len) == 0;
}

static bool same(struct seen *x)
{
	return json_is_true(json_object_get(seen_ctl(x, "tail"), "same"));
}

static struct program p;
static struct shim_end *e;

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(root));
	program_start(&p);
	e = program_connect(&p);
}

static void teardown(void)
{
	end_destroy(e);
	program_stop(&p);
	tree_remove(root, NULL);
}

START_TEST(what_is_there_and_what_is_written_comes)
{
	put("a.jsonl", "one\n", 0);
	struct seen *x = follow(e, "a.jsonl", 0, "");
	WAIT(p.loop, seen_is(x, "one\n"));
	ck_assert(same(x));
	put("a.jsonl", "two\n", O_APPEND);
	WAIT(p.loop, seen_is(x, "one\ntwo\n"));
	link_send_ctl(x->s, json_pack("{s:i}", "look", 7));
	WAIT(p.loop, json_integer_value(seen_ctl(x, "looked")) == 7);
	/* Another goes on behind what it has. */
	struct seen *y = follow(e, "a.jsonl", 4, "one\n");
	WAIT(p.loop, seen_is(y, "two\n"));
	ck_assert(same(y));
}
END_TEST

START_TEST(a_file_that_is_not_there_yet_is_waited_for)
{
	struct seen *x = follow(e, "way/to/a.jsonl", 0, "");
	link_send_ctl(x->s, json_pack("{s:i}", "look", 1));
	WAIT(p.loop, seen_ctl(x, "looked"));
	folder("way");
	folder("way/to");
	put("way/to/a.jsonl", "here\n", 0);
	WAIT(p.loop, seen_is(x, "here\n"));
}
END_TEST

START_TEST(another_file_comes_whole)
{
	put("a.jsonl", "other words\n", 0);
	struct seen *x = follow(e, "a.jsonl", 4, "one\n"), *y = follow(e, "a.jsonl", 4000, "one\n");
	WAIT(p.loop, seen_is(x, "other words\n") && seen_is(y, "other words\n"));
	ck_assert(!same(x) && !same(y));
	/* A beginning of which nothing is told may be any. */
	x = follow(e, "a.jsonl", 4, "");
	WAIT(p.loop, seen_is(x, "other words\n"));
	ck_assert(!same(x));
	/* Cut while it is followed, written anew, replaced, removed. */
	put("a.jsonl", "x\n", O_TRUNC);
	WAIT(p.loop, x->fin && seen_ctl(x, "changed"));
	put("b.jsonl", "same length!\n", 0);
	x = follow(e, "b.jsonl", 0, "");
	WAIT(p.loop, seen_is(x, "same length!\n"));
	cleanup_free char *from = in_root("c.jsonl"), *to = in_root("b.jsonl");
	put("c.jsonl", "Other length, and longer\n", 0);
	ck_assert_int_eq(rename(from, to), 0);
	WAIT(p.loop, x->fin && seen_ctl(x, "changed"));
	x = follow(e, "b.jsonl", 0, "");
	WAIT(p.loop, seen_is(x, "Other length, and longer\n"));
	ck_assert_int_eq(unlink(to), 0);
	WAIT(p.loop, x->fin && seen_ctl(x, "changed"));
}
END_TEST

START_TEST(nothing_is_followed_elsewhere)
{
	cleanup_free char *link = in_root("link.jsonl"), *dir = in_root("dir"), *fifo = in_root("fifo");
	folder("out");
	put("out/secret", "secret\n", 0);
	ck_assert_int_eq(symlink("out/secret", link), 0);
	ck_assert_int_eq(symlink("out", dir), 0);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	static const char *const bad[] = {"link.jsonl", "dir/secret", "fifo", "out", "../secret", "out/../../secret", "/etc/passwd", ""};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct seen *x = follow(e, bad[i], 0, "");
		WAIT(p.loop, x->fin);
		ck_assert_msg(json_is_object(json_object_get(x->fin, "error")), "%s", bad[i]);
		ck_assert_uint_eq(x->data.len, 0);
		link_close(x->s);
	}
	struct seen *x = end_open(e, json_pack("{s:s, s:s, s:s, s:i, s:{s:i}}", "kind", "tail", "root", root, "path", "out/secret",
					   "from", 2, "check", "len", 70000));
	WAIT(p.loop, x->fin);
}
END_TEST

START_TEST(a_large_file_comes_as_fast_as_it_is_taken)
{
	size_t size = 3 * 1024 * 1024;
	cleanup_free char *text = xcalloc(1, size + 1);
	for (size_t i = 0; i < size; i++)
		text[i] = (char)('a' + i * 31 % 23);
	put("big", text, 0);
	struct seen *x = follow(e, "big", 0, "");
	WAIT(p.loop, x->data.len == size);
	ck_assert_int_eq(memcmp(buf_data(&x->data), text, size), 0);
	put("big", "tail", O_APPEND);
	WAIT(p.loop, x->data.len == size + 4);
}
END_TEST

TEST_MAIN_FIXTURE("guest/tail", setup, teardown, what_is_there_and_what_is_written_comes, a_file_that_is_not_there_yet_is_waited_for,
	another_file_comes_whole, nothing_is_followed_elsewhere, a_large_file_comes_as_fast_as_it_is_taken)
