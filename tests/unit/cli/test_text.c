/* SPDX-License-Identifier: ISC */
/* What reaches a terminal: escaped, measured, cut; tables, trees; and the small helpers beside them. */
#include "cli/text.h"

#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "base/sha256.h"
#include "cli/suggest.h"
#include "cli/writer.h"
#include "tests/unit/run.h"

static void setup(void)
{
	setenv("LC_ALL", "C.UTF-8", 1);
	text_init();
}

static void escapes(const char *in, const char *want)
{
	cleanup_free char *got = text_escape(in, false);
	ck_assert_str_eq(got, want);
}

START_TEST(nothing_acts_on_the_terminal)
{
	escapes(NULL, "");
	escapes("plain \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x90\x99", "plain \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x90\x99");
	escapes("\033[31mred\033[0m", "\\x1b[31mred\\x1b[0m");
	escapes("a\nb\tc\rd", "a\\nb\\tc\\rd");
	escapes("\x7f\x01", "\\x7f\\x01");
	escapes("\xc2\x9b" "31m", "\\u{9b}31m");            /* a C1 control: CSI in one character */
	escapes("\xe2\x80\xae" "evil", "\\u{202e}evil"); /* right-to-left override */
	escapes("\xe2\x81\xa6", "\\u{2066}");
	escapes("\xff\xc3", "\\xff\\xc3");
	escapes("\xed\xa0\x80", "\\xed\\xa0\\x80");
	cleanup_free char *lines = text_escape("a\n\tb\r\n", true);
	ck_assert_str_eq(lines, "a\n\tb\\r\n");
}
END_TEST

START_TEST(widths_are_columns)
{
	ck_assert_uint_eq(text_width("abc"), 3);
	ck_assert_uint_eq(text_width("\xc3\xa4"), 1);
	ck_assert_uint_eq(text_width("\xe4\xb8\xad\xe6\x96\x87"), 4);
	ck_assert_uint_eq(text_width("e\xcc\x81"), 1); /* a combining accent */
	ck_assert_uint_eq(text_width(""), 0);
}
END_TEST

static void cuts(const char *in, size_t width, const char *want, const char *want_front)
{
	cleanup_free char *got = text_cut(in, width), *front = text_cut_front(in, width);
	ck_assert_str_eq(got, want);
	ck_assert_str_eq(front, want_front);
	ck_assert_uint_le(text_width(got), width);
	ck_assert_uint_le(text_width(front), width);
}

START_TEST(cuts_respect_characters)
{
	cuts("abcdef", 6, "abcdef", "abcdef");
	cuts("abcdef", 4, "abc\xe2\x80\xa6", "\xe2\x80\xa6" "def");
	cuts("abcdef", 1, "\xe2\x80\xa6", "\xe2\x80\xa6");
	cuts("abcdef", 0, "", "");
	cuts("\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97", 4, "\xe4\xb8\xad\xe2\x80\xa6", "\xe2\x80\xa6\xe5\xad\x97");
}
END_TEST

START_TEST(spans_and_times)
{
	char span[SPAN_MAX];
	ck_assert_str_eq(text_span(0, span), "0s");
	ck_assert_str_eq(text_span(-5, span), "0s");
	ck_assert_str_eq(text_span(59999, span), "59s");
	ck_assert_str_eq(text_span(60000, span), "1m");
	ck_assert_str_eq(text_span(2 * 3600000 + 5 * 60000, span), "2h05m");
	ck_assert_str_eq(text_span(INT64_C(6) * 86400000, span), "6d");
	ck_assert_int_eq(text_parse_time("1970-01-01T00:00:01.5Z"), 1500);
	ck_assert_int_eq(text_parse_time("2026-01-31T23:59:59.123Z"), 1769903999123);
	ck_assert_int_eq(text_parse_time("yesterday"), -1);
	ck_assert_int_eq(text_parse_time(NULL), -1);
	ck_assert_str_eq(text_since("1970-01-01T00:00:01Z", 4000, span), "3s");
	ck_assert_str_eq(text_since("1970-01-01T00:00:05Z", 4000, span), "0s");
	ck_assert_str_eq(text_since("", 4000, span), "");
}
END_TEST

START_TEST(suggestions_are_near)
{
	static const char *const words[] = {"spawn", "send", "show", NULL, "status", "restart"};
	ck_assert_str_eq(suggest("spwan", words, ARRAY_LEN(words)), "spawn");
	ck_assert_str_eq(suggest("stat", words, ARRAY_LEN(words)), "status");
	ck_assert_str_eq(suggest("sned", words, ARRAY_LEN(words)), "send");
	ck_assert_ptr_null(suggest("xyzzy", words, ARRAY_LEN(words)));
	ck_assert_ptr_null(suggest("", words, ARRAY_LEN(words)));
	ck_assert_uint_eq(edit_distance("", ""), 0);
	ck_assert_uint_eq(edit_distance("kitten", "sitting"), 3);
	ck_assert_uint_eq(edit_distance("ab", "ba"), 1);
}
END_TEST

START_TEST(sha256_is_sha256)
{
	char hex[SHA256_HEX], million[1000];
	sha256_hex("", 0, hex);
	ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex("abc", 3, hex);
	ck_assert_str_eq(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
	ck_assert_str_eq(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	/* Around the padding's boundaries the length alone decides: every one differs. */
	char last[SHA256_HEX] = "";
	memset(million, 'a', sizeof(million));
	for (size_t n = 50; n < 130; n++) {
		sha256_hex(million, n, hex);
		ck_assert_str_ne(hex, last);
		strcpy(last, hex);
	}
}
END_TEST

static char *table_text(const struct table *t, int width, bool color)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct writer w = {.out = f, .width = width, .color = color};
	table_write(t, &w);
	fclose(f);
	return text;
}

START_TEST(tables_fit_the_terminal)
{
	struct table *t = table_create();
	table_column(t, "ID", 0);
	table_column(t, "EMPTY", T_HIDE_EMPTY);
	table_column(t, "N", T_RIGHT);
	table_column(t, "FOLDER", T_FLEX | T_PATH);
	table_column(t, "WHAT", T_FLEX);
	table_row(t);
	table_cell(t, C_BOLD, "a1");
	table_cell(t, C_NONE, NULL);
	table_cell(t, C_NONE, "7");
	table_cell(t, C_NONE, "/home/somebody/src/project");
	table_cell(t, C_NONE, "\xe4\xb8\xad\xe6\x96\x87 \033[2J and a long title that goes on");
	table_row(t);
	table_cell(t, C_NONE, "b2");
	cleanup_free char *whole = table_text(t, 0, false), *cut = table_text(t, 50, false);
	ck_assert(strstr(whole, "a1  7  /home/somebody/src/project  \xe4\xb8\xad\xe6\x96\x87 \\x1b[2J and a long"));
	ck_assert_ptr_null(strstr(whole, "EMPTY"));
	ck_assert_ptr_null(strchr(whole, '\033'));
	ck_assert(strstr(cut, "project  "));
	cleanup_free char *colored = table_text(t, 0, true);
	ck_assert(strstr(colored, "\033[1ma1\033[0m"));
	for (char *line = strtok(cut, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_uint_le(text_width(line), 50);
	table_destroy(t);
}
END_TEST

static json_t *instance(const char *id, const char *parent, const char *state)
{
	return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:s, s:s, s:{s:i, s:i, s:s}, s:s}", "id", id, "parent",
		parent, "state", state, "agent", "shell", "driver", "host", "dir", "/d", "title", "t\033]0;x\a",
		"cap", "children", parent ? 0 : 2, "descendants", 0, "max_children", "unlimited", "state_since",
		"1970-01-01T00:00:10Z");
}

/* Not inlined: gcc 12 then takes the stream's buffer for a local. */
static __attribute__((noinline)) char *instances_text(json_t *list, bool tree)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct writer w = {.out = f};
	if (tree)
		render_tree(&w, list, SIZE_MAX, 20000);
	else
		render_instances(&w, list, 20000);
	fclose(f);
	return text;
}

START_TEST(the_tree_shows_children_below_their_parents)
{
	json_t *list = json_array();
	json_array_append_new(list, instance("aaaaaa", NULL, "idle"));
	json_array_append_new(list, instance("cccccc", "bbbbbb", "working"));
	json_array_append_new(list, instance("bbbbbb", "aaaaaa", "waiting"));
	json_array_append_new(list, instance("dddddd", "aaaaaa", "idle"));
	json_array_append_new(list, instance("orphan", "gonexx", "idle"));
	json_array_append_new(list, instance("selfie", "selfie", "idle"));
	cleanup_free char *tree = instances_text(list, true), *flat = instances_text(list, false);
	char *a = strstr(tree, "\naaaaaa"), *b = strstr(tree, "\n\xe2\x94\x9c\xe2\x94\x80 bbbbbb"),
	     *c = strstr(tree, "\n\xe2\x94\x82  \xe2\x94\x94\xe2\x94\x80 cccccc"),
	     *d = strstr(tree, "\n\xe2\x94\x94\xe2\x94\x80 dddddd");
	ck_assert(a && b && c && d && a < b && b < c && c < d);
	ck_assert(strstr(tree, "\norphan") && strstr(tree, "gonexx") && strstr(tree, "\nselfie"));
	ck_assert(strstr(flat, "2/unlimited") && strstr(flat, "10s"));
	ck_assert_ptr_null(strchr(flat, '\033'));
	json_decref(list);
}
END_TEST

START_TEST(every_result_renders_what_it_is_given_even_nothing)
{
	for (int kind = R_EMPTY; kind <= R_DOCTOR; kind++) {
		char *text;
		size_t len;
		FILE *f = open_memstream(&text, &len);
		struct writer w = {.out = f};
		json_t *o = json_object(), *a = json_array(), *in = instance("aaaaaa", NULL, "exited");
		render_result(&w, (enum result_kind)kind, o);
		render_result(&w, (enum result_kind)kind, a);
		render_result(&w, (enum result_kind)kind, in);
		fclose(f);
		ck_assert_ptr_null(strchr(text, '\033'));
		free(text);
		json_decref(o);
		json_decref(a);
		json_decref(in);
	}
}
END_TEST

TEST_MAIN_FIXTURE("cli/text", setup, NULL, nothing_acts_on_the_terminal, widths_are_columns,
	cuts_respect_characters, spans_and_times, suggestions_are_near, sha256_is_sha256,
	tables_fit_the_terminal, the_tree_shows_children_below_their_parents,
	every_result_renders_what_it_is_given_even_nothing)
