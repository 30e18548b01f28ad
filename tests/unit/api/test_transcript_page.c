/* SPDX-License-Identifier: ISC */
/* Pages of conversations: none larger than an answer may be, nothing left out between them, the last ones are the last. */
#include "daemon/api/transcript_page.h"

#include "base/buf.h"
#include "base/util.h"
#include "daemon/agent/agent.h"
#include "tests/unit/run.h"

#define COPY_MAX (16 * 1024 * 1024)

static struct buf copy;

static void setup(void)
{
	buf_init(&copy, COPY_MAX);
}

static void teardown(void)
{
	buf_finish(&copy);
}

static int64_t read_copy(void *ctx, int64_t from, void *buf, size_t size)
{
	size_t left = copy.len - (size_t)from;

	(void)ctx;
	if (size > left)
		size = left;
	memcpy(buf, buf_data(&copy) + from, size);
	return (int64_t)size;
}

/* A reply: so many blocks of text, of so many bytes of this. */
static void reply(int blocks, size_t size, const char *of)
{
	cleanup_free char *text = xcalloc(1, size + 1);

	for (size_t i = 0; i + strlen(of) <= size; i += strlen(of))
		memcpy(text + i, of, strlen(of));
	ck_assert_int_eq(buf_printf(&copy, "{\"type\":\"assistant\",\"message\":{\"id\":\"m\",\"content\":["), 0);
	for (int i = 0; i < blocks; i++) {
		ck_assert_int_eq(buf_printf(&copy, "%s{\"type\":\"text\",\"text\":\"", i ? "," : ""), 0);
		ck_assert_int_eq(buf_append(&copy, text, strlen(text)), 0);
		ck_assert_int_eq(buf_printf(&copy, "\"}"), 0);
	}
	ck_assert_int_eq(buf_printf(&copy, "]}}\n"), 0);
}

static struct transcript_page page(int64_t since, size_t text_max)
{
	return (struct transcript_page){.format = agent_find("claude")->transcript, .conversation = "c", .text_max = text_max,
		.read = read_copy, .next = since};
}

static json_t *from(int64_t since, int64_t *next, bool *full)
{
	struct transcript_page p = page(since, 256 * 1024);
	json_t *all;

	transcript_page_from(&p, (int64_t)copy.len);
	*next = p.next;
	*full = p.full;
	all = transcript_page_take(&p);
	ck_assert_uint_le(json_dumpb(all, NULL, 0, JSON_COMPACT), TRANSCRIPT_PAGE_MAX);
	return all;
}

static json_t *last(size_t want)
{
	struct transcript_page p = page(0, 256 * 1024);
	json_t *all;

	transcript_page_last(&p, (int64_t)copy.len, want);
	ck_assert_int_eq(p.next, (int64_t)copy.len);
	all = transcript_page_take(&p);
	ck_assert_uint_le(json_dumpb(all, NULL, 0, JSON_COMPACT), TRANSCRIPT_PAGE_MAX);
	return all;
}

static int64_t at(const json_t *all, size_t i)
{
	return json_integer_value(json_object_get(json_array_get(all, i), "at"));
}

START_TEST(a_page_ends_before_what_does_not_fit)
{
	int64_t starts[8], next = 0;
	size_t seen = 0;
	bool full;

	for (int i = 0; i < 8; i++) {
		starts[i] = (int64_t)copy.len;
		reply(1, 200 * 1024, "x");
	}
	while (next < (int64_t)copy.len) {
		json_t *all = from(next, &next, &full);
		ck_assert_uint_gt(json_array_size(all), 0);
		for (size_t i = 0; i < json_array_size(all); i++) {
			ck_assert_int_eq(at(all, i), starts[seen++]);
			ck_assert_ptr_null(json_object_get(json_array_get(all, i), "cut"));
		}
		ck_assert(full == (next < (int64_t)copy.len));
		json_decref(all);
	}
	ck_assert_uint_eq(seen, 8);
}
END_TEST

START_TEST(one_line_that_fits_nowhere_is_cut)
{
	int64_t next;
	bool full;
	json_t *all;

	reply(10, 300 * 1024, "x"); /* ten texts of the most that is shown of one */
	reply(1, 10, "y");
	all = from(0, &next, &full);
	ck_assert_uint_ge(json_array_size(all), 10);
	ck_assert_int_eq(at(all, 0), at(all, 9));
	ck_assert_int_gt(json_integer_value(json_object_get(json_array_get(all, 0), "cut")), 200 * 1024);
	ck_assert_int_gt(next, 3000 * 1024);
	json_decref(all);
}
END_TEST

START_TEST(an_input_that_fits_nowhere_is_cut_and_said_so)
{
	int64_t next;
	bool full;
	json_t *all, *one;

	ck_assert_int_eq(buf_printf(&copy, "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"name\":\"Write\","
					   "\"input\":{"), 0);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(buf_printf(&copy, "%s\"k%d\":\"%020000d\"", i ? "," : "", i, 0), 0);
	ck_assert_int_eq(buf_printf(&copy, "}}]}}\n"), 0);
	all = from(0, &next, &full);
	one = json_array_get(all, 0);
	ck_assert_str_eq(json_string_value(json_object_get(one, "tool")), "Write");
	ck_assert_int_gt(json_integer_value(json_object_get(one, "cut")), 1000000);
	ck_assert_int_eq(next, (int64_t)copy.len);
	json_decref(all);
	/* What no cutting of texts makes small enough. */
	buf_clear(&copy);
	ck_assert_int_eq(buf_printf(&copy, "{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"name\":\"%01000000d\","
					   "\"input\":{}}]}}\n", 0), 0);
	reply(1, 10, "y");
	all = from(0, &next, &full);
	ck_assert_uint_eq(json_array_size(all), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(all, 0), "kind")), "note");
	json_decref(all);
}
END_TEST

START_TEST(the_last_are_the_last)
{
	int64_t starts[20];
	json_t *all;

	for (int i = 0; i < 20; i++) {
		starts[i] = (int64_t)copy.len;
		reply(1, 150 * 1024, "x");
	}
	all = last(3);
	ck_assert_uint_eq(json_array_size(all), 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(at(all, i), starts[17 + i]);
	json_decref(all);
	all = last(15); /* more than fit: the last of them */
	ck_assert_uint_eq(json_array_size(all), 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(at(all, i), starts[15 + i]);
	json_decref(all);
	for (int i = 0; i < 3000; i++)
		reply(1, 5, "y");
	all = last(1000);
	ck_assert_uint_eq(json_array_size(all), 1000);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(all, 0), "text")), "yyyyy");
	json_decref(all);
}
END_TEST

TEST_MAIN_FIXTURE("api/transcript_page", setup, teardown, a_page_ends_before_what_does_not_fit,
	one_line_that_fits_nowhere_is_cut, an_input_that_fits_nowhere_is_cut_and_said_so, the_last_are_the_last)
