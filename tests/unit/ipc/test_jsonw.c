/* SPDX-License-Identifier: ISC */
/* The writer of JSON text: what it writes reads back as what was given. */
#include "ipc/jsonw.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct buf text;
static struct jsonw w;

static void setup(void)
{
	buf_init(&text, 1 << 20);
	jsonw_init(&w, &text);
}

static void teardown(void)
{
	buf_finish(&text);
}

static json_t *read_back(void)
{
	json_error_t why;
	json_t *v = json_loadb((const char *)buf_data(&text), text.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
		&why);

	ck_assert_msg(v != NULL, "%s: %.*s", why.text, (int)text.len, (const char *)buf_data(&text));
	return v;
}

START_TEST(commas_and_levels_are_right)
{
	json_t *labels = json_pack("{s:s}", "a", "b"), *v;

	jsonw_open(&w, '{');
	jsonw_key(&w, "empty");
	jsonw_open(&w, '[');
	jsonw_close(&w, ']');
	jsonw_key(&w, "many");
	jsonw_open(&w, '[');
	jsonw_int(&w, 1);
	jsonw_open(&w, '{');
	jsonw_close(&w, '}');
	jsonw_string(&w, "x");
	jsonw_json(&w, labels);
	jsonw_json(&w, NULL);
	jsonw_close(&w, ']');
	jsonw_key(&w, "none");
	jsonw_string(&w, NULL);
	jsonw_close(&w, '}');
	v = json_pack("{s:[], s:[i, {}, s, {s:s}, n], s:n}", "empty", "many", 1, "x", "a", "b", "none");
	json_t *got = read_back();
	ck_assert(json_equal(got, v));
	json_decref(got);
	json_decref(v);
	json_decref(labels);
}
END_TEST

START_TEST(every_byte_of_a_string_reads_back)
{
	char all[260] = "";

	for (int c = 1; c < 128; c++)
		all[c - 1] = (char)c;
	strcat(all, "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	jsonw_string(&w, all);
	json_t *v = read_back();
	ck_assert_str_eq(json_string_value(v), all);
	json_decref(v);
}
END_TEST

/* Eight bytes are looked at together: each kind of byte at each place of strings around that length. */
START_TEST(a_byte_reads_back_wherever_it_stands)
{
	static const char *const odd[] = {"\"", "\\", "\x01", "\x1f", " ", "\x7f", "\xc2\x80", "\xc3\xbf", "!", "#", "[", "]",
		"\xf4\x8f\xbf\xbf"};
	char s[40];

	for (size_t k = 0; k < ARRAY_LEN(odd); k++) {
		for (size_t len = 0; len <= 25; len++) {
			for (size_t at = 0; at <= len; at++) {
				memset(s, 'a', len);
				memcpy(s + at, odd[k], strlen(odd[k]));
				memset(s + at + strlen(odd[k]), 'b', len - at);
				s[len + strlen(odd[k])] = '\0';
				buf_clear(&text);
				jsonw_init(&w, &text);
				jsonw_string(&w, s);
				json_t *v = read_back();
				ck_assert_str_eq(json_string_value(v), s);
				json_decref(v);
			}
		}
	}
}
END_TEST

START_TEST(values_are_written_as_jansson_does)
{
	static const char *const texts[] = {"{}", "{\"a\":\"b\"}", "{\"z\":\"\\\"q\\n\",\"a\\\"\":\"\"}",
		"{\"a\":\"x\",\"b\":1}", "{\"a\":\"x\\u0000y\"}", "{\"a\":{\"b\":\"c\"}}", "[\"a\",{},null,true,-1.5]", "true", "false",
		"null", "\"x\"", "12"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		json_t *v = json_loads(texts[i], JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
		cleanup_free char *whole = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		buf_clear(&text);
		jsonw_init(&w, &text);
		jsonw_open(&w, '[');
		jsonw_json(&w, v);
		jsonw_json(&w, v);
		jsonw_close(&w, ']');
		cleanup_free char *twice = xasprintf("[%s,%s]", whole, whole);
		ck_assert_uint_eq(text.len, strlen(twice));
		ck_assert_mem_eq(buf_data(&text), twice, text.len);
		json_decref(v);
	}
}
END_TEST

START_TEST(keys_that_are_literals)
{
	json_t *v, *want = json_pack("{s:i, s:n, s:s}", "a", 1, "b", "c", "x");

	jsonw_open(&w, '{');
	jsonw_key(&w, "a");
	jsonw_int(&w, 1);
	jsonw_next_key(&w, "b");
	jsonw_null(&w);
	jsonw_next_key(&w, "c");
	jsonw_string(&w, "x");
	jsonw_close(&w, '}');
	v = read_back();
	ck_assert(json_equal(v, want));
	json_decref(v);
	json_decref(want);
}
END_TEST

START_TEST(what_is_not_utf8_is_replaced)
{
	jsonw_string(&w, "a\xff\"z");
	json_t *v = read_back();
	ck_assert_str_eq(json_string_value(v), "a\xef\xbf\xbd\"z");
	json_decref(v);
}
END_TEST

START_TEST(integers_to_their_ends)
{
	static const int64_t n[] = {0, -1, 10, 99, INT64_MAX, INT64_MIN};
	json_t *v;

	jsonw_open(&w, '[');
	for (size_t i = 0; i < ARRAY_LEN(n); i++)
		jsonw_int(&w, n[i]);
	jsonw_close(&w, ']');
	v = read_back();
	for (size_t i = 0; i < ARRAY_LEN(n); i++)
		ck_assert_int_eq(json_integer_value(json_array_get(v, i)), n[i]);
	json_decref(v);
}
END_TEST

START_TEST(a_full_buffer_is_told)
{
	struct buf small;
	struct jsonw x;

	buf_init(&small, 8);
	jsonw_init(&x, &small);
	jsonw_string(&x, "123456");
	ck_assert(!x.full);
	jsonw_int(&x, 1);
	ck_assert(x.full);
	buf_finish(&small);
}
END_TEST

TEST_MAIN_FIXTURE("ipc/jsonw", setup, teardown, commas_and_levels_are_right,
	every_byte_of_a_string_reads_back, a_byte_reads_back_wherever_it_stands,
	values_are_written_as_jansson_does, keys_that_are_literals, what_is_not_utf8_is_replaced, integers_to_their_ends,
	a_full_buffer_is_told)
