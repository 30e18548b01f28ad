/* SPDX-License-Identifier: ISC */
/* The guest program's pure parts: request heads, the kernel's list of mounts, cut reports. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/util.h"
#include "place/guest/hook.h"
#include "place/guest/mount.h"
#include "place/guest/proc.h"
#include "place/guest/proxy.h"
#include "place/guest/spawn.h"
#include "place/guest/way.h"
#include "tests/unit/run.h"

static enum head_kind head(const char *text, struct head *h, struct buf *out)
{
	memset(h, 0, sizeof(*h));
	buf_clear(out);
	return head_http(text, strlen(text), h, out);
}

START_TEST(a_head_is_whole_or_waits)
{
	static const char text[] = "CONNECT [2001:DB8::1]:8443 HTTP/1.1\r\nHost: x\r\n\r\nrest";
	struct head h = { 0 };
	struct buf out;
	buf_init(&out, 4096);
	size_t whole = strlen(text) - 4;
	for (size_t n = 0; n < whole; n++) {
		char *copy = malloc(n + 1);
		memcpy(copy, text, n);
		ck_assert_int_eq(head_http(copy, n, &h, &out), HEAD_MORE);
		free(copy);
	}
	ck_assert_int_eq(head(text, &h, &out), HEAD_CONNECT);
	ck_assert_uint_eq(h.used, whole);
	ck_assert_str_eq(h.host, "2001:db8::1");
	ck_assert_int_eq(h.port, 8443);
	buf_finish(&out);
}
END_TEST

START_TEST(heads_that_make_no_sense_are_refused)
{
	static const char *const texts[] = {
		"\r\n\r\n", "CONNECT\r\n\r\n", "CONNECT x HTTP/1.1\r\n\r\n", "CONNECT x:0 HTTP/1.1\r\n\r\n",
		"CONNECT x:99999 HTTP/1.1\r\n\r\n", "CONNECT u@x:1 HTTP/1.1\r\n\r\n", "CONNECT x:1 HTTP/2\r\n\r\n",
		"CONNECT x:1 HTTP/1.1 y\r\n\r\n", "CONNECT 127.1:80 HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET https://x/ HTTP/1.1\r\n\r\n", "GET http:///x HTTP/1.1\r\n\r\n",
		"GET http://u:p@x/ HTTP/1.1\r\n\r\n", "GET http://x?y HTTP/1.1\r\n\r\n",
	};
	struct head h;
	struct buf out;
	buf_init(&out, 4096);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		ck_assert_msg(head(texts[i], &h, &out) == HEAD_BAD, "%s", texts[i]);
		ck_assert_int_ne(h.why[0], '\0');
	}
	char *large = malloc(PROXY_HEAD_MAX + 1);
	memset(large, 'x', PROXY_HEAD_MAX);
	large[PROXY_HEAD_MAX] = '\0';
	ck_assert_int_eq(head(large, &h, &out), HEAD_BAD);
	free(large);
	buf_finish(&out);
}
END_TEST

START_TEST(plain_requests_become_origin_form)
{
	struct head h;
	struct buf out;
	buf_init(&out, 4096);
	ck_assert_int_eq(head("GET HTTP://Web.example:8080 HTTP/1.0\n\n", &h, &out), HEAD_HTTP);
	buf_append(&out, "", 1);
	ck_assert_str_eq((char *)buf_data(&out),
		"GET / HTTP/1.0\r\nHost: Web.example:8080\r\nConnection: close\r\n\r\n");
	ck_assert_str_eq(h.host, "web.example");
	ck_assert_int_eq(h.port, 8080);
	ck_assert_int_eq(head("GET http://w/s HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		&h, &out), HEAD_HTTP);
	buf_append(&out, "", 1);
	ck_assert_str_eq((char *)buf_data(&out),
		"GET /s HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
	buf_finish(&out);
}
END_TEST

START_TEST(mounts_are_found_by_their_unescaped_path)
{
	static const char text[] =
		"22 1 254:0 / / rw,noatime - ext4 /dev/vda rw\n"
		"40 22 0:35 / /home/me/my\\040project rw - fuse.sshfs tmux-claude rw\n"
		"41 22 0:36 / /mnt/x rw shared:1 - fuse.sshfs tmux-claude rw\n"
		"42 22 0:37 / /mnt/x rw - tmpfs tmpfs rw\n"
		"broken\n";
	ck_assert(mountinfo_has(text, "/home/me/my project", "fuse"));
	ck_assert(!mountinfo_has(text, "/home/me", "fuse"));
	ck_assert(!mountinfo_has(text, "/mnt/x", "fuse")); /* something else stands over it */
	ck_assert(mountinfo_has(text, "/", "ext4"));
	ck_assert(!mountinfo_has("", "/", ""));
}
END_TEST

START_TEST(reports_are_cut_at_characters_until_they_fit)
{
	char *text = malloc(400001);
	for (size_t i = 0; i < 400000; i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[400000] = '\0';
	json_t *small = json_pack("{s:s}", "a", "b"), *copy = json_deep_copy(small);
	report_shrink(small, 1000);
	ck_assert(json_equal(small, copy));
	json_t *big = json_pack("{s:s, s:s, s:{s:[s, s]}}", "name", "Bash", "text", text, "deep", "list", text, text);
	ck_assert_ptr_nonnull(big);
	report_shrink(big, 10000);
	char *out = json_dumps(big, JSON_COMPACT);
	ck_assert_ptr_nonnull(out);
	ck_assert_uint_le(strlen(out), 10100);
	ck_assert_str_eq(json_string_value(json_object_get(big, "name")), "Bash");
	ck_assert(json_is_true(json_object_get(big, "truncated")));
	ck_assert_uint_gt(json_string_length(json_object_get(big, "text")), 100);
	json_t *many = json_object();
	for (int i = 0; i < 10000; i++) {
		char key[32];
		snprintf(key, sizeof(key), "key-%d", i);
		json_object_set_new(many, key, json_integer(i));
	}
	report_shrink(many, 10000);
	ck_assert_uint_eq(json_object_size(many), 1);
	free(out);
	free(text);
	json_decref(small);
	json_decref(copy);
	json_decref(big);
	json_decref(many);
}
END_TEST

START_TEST(names_of_signals_and_programs)
{
	ck_assert_int_eq(signal_number("TERM"), SIGTERM);
	ck_assert_int_eq(signal_number("SIGHUP"), SIGHUP);
	ck_assert_int_eq(signal_number("9"), SIGKILL);
	ck_assert_int_eq(signal_number("0"), 0);
	ck_assert_int_eq(signal_number("NOPE"), 0);
	ck_assert_int_eq(signal_number("999"), 0);
	ck_assert(proc_id_valid("abc123") && proc_id_valid("A-b_c"));
	ck_assert(!proc_id_valid("") && !proc_id_valid("a/b") && !proc_id_valid("..") &&
		  !proc_id_valid("0123456789012345678901234567890123"));
}
END_TEST

START_TEST(in_a_machine_no_way_leads_through_links)
{
	struct guest machine = { .machine = true }, host = { 0 };
	char root[] = "/tmp/tc-way-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(root));
	cleanup_free char *real = xasprintf("%s/real", root), *link = xasprintf("%s/link", root),
			  *file = xasprintf("%s/real/file", root), *dots = xasprintf("%s/real/../real", root);
	ck_assert_int_eq(mkdir(real, 0700), 0);
	ck_assert_int_eq(symlink("real", link), 0);
	cleanup_close int made = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	cleanup_close int folder = way_open(&machine, real, O_PATH | O_DIRECTORY);
	ck_assert_int_ge(made, 0);
	ck_assert_int_ge(folder, 0);
	ck_assert_int_lt(way_open(&machine, link, O_PATH | O_DIRECTORY), 0);
	ck_assert_int_eq(errno, ELOOP);
	ck_assert_int_lt(way_open(&machine, dots, O_PATH | O_DIRECTORY), 0);
	ck_assert_int_eq(errno, EXDEV);
	cleanup_free char *slashes = xasprintf("/%s//real/", root);
	cleanup_close int twice = way_open(&machine, slashes, O_PATH | O_DIRECTORY);
	ck_assert_int_ge(twice, 0);
	cleanup_free char *kept = xasprintf("%s/kept", root);
	ck_assert_int_eq(symlink(real, kept), 0);
	cleanup_close int linked = way_open(&machine, kept, O_PATH | O_DIRECTORY);
	ck_assert_int_ge(linked, 0);
	cleanup_close int over = way_open(&host, link, O_PATH | O_DIRECTORY);
	cleanup_close int below = way_open_below(&machine, folder, "file", O_RDONLY);
	ck_assert_int_ge(over, 0);
	ck_assert_int_ge(below, 0);
	/* /proc is another file system than /. */
	cleanup_close int top = way_open(&machine, "/", O_PATH | O_DIRECTORY);
	ck_assert_int_lt(way_open_below(&machine, top, "proc/self", O_PATH), 0);
	ck_assert_int_lt(way_open_below(&machine, top, "proc/version", O_RDONLY), 0);
	ck_assert_int_eq(errno, EXDEV);
	tree_remove(root, NULL);
}
END_TEST

TEST_MAIN("guest/parts", a_head_is_whole_or_waits, heads_that_make_no_sense_are_refused,
	plain_requests_become_origin_form, mounts_are_found_by_their_unescaped_path,
	reports_are_cut_at_characters_until_they_fit, names_of_signals_and_programs,
	in_a_machine_no_way_leads_through_links)
