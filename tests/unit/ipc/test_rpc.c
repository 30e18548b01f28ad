/* SPDX-License-Identifier: ISC */
/* Messages: what is accepted, what is refused and with which id it is answered, what is written. */
#include "ipc/rpc.h"

#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static int parse(const char *line, struct rpc_msg *m, json_t **id, struct err *e)
{
	return rpc_parse(line, strlen(line), m, id, e);
}

static void refused(const char *line, enum err_code code, const char *id_text)
{
	struct rpc_msg m = {0};
	struct err e = {0};
	json_t *id = (json_t *)1;

	ck_assert_msg(parse(line, &m, &id, &e) == -1, "accepted: %s", line);
	ck_assert_msg(e.code == code, "%s: %s, %s", line, err_code_name(e.code), e.message);
	ck_assert(e.message[0]);
	ck_assert_ptr_null(m.root);
	if (!id_text) {
		ck_assert_ptr_null(id);
		return;
	}
	ck_assert_ptr_nonnull(id);
	cleanup_free char *text = json_dumps(id, JSON_ENCODE_ANY);
	ck_assert_str_eq(text, id_text);
	json_decref(id);
}

START_TEST(malformed_json_is_a_parse_error)
{
	static const char *const bad[] = {"", "{", "x", "{\"jsonrpc\":\"2.0\",}", "{'a':1}", "{} {}",
		"{\"a\":1,\"a\":2}", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"b\":1,\"b\":1}}",
		"\"\xff\"", "{\"\xc0\xaf\":1}", "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\t\"}",
		"{\"a\":1e999}", "{\"a\":99999999999999999999}", "nul"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused(bad[i], ERR_PARSE, NULL);
	struct rpc_msg m = {0};
	struct err e = {0};
	json_t *id = NULL;
	ck_assert_int_eq(rpc_parse("{}\0", 3, &m, &id, &e), -1);
	ck_assert_int_eq(e.code, ERR_PARSE);
}
END_TEST

START_TEST(batches_and_other_shapes_are_refused)
{
	refused("[]", ERR_REQUEST, NULL);
	refused("[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"list\"}]", ERR_REQUEST, NULL);
	refused("1", ERR_REQUEST, NULL);
	refused("null", ERR_REQUEST, NULL);
	refused("{}", ERR_REQUEST, NULL);
	refused("{\"id\":1,\"method\":\"a\"}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"1.0\",\"id\":\"q\",\"method\":\"a\"}", ERR_REQUEST, "\"q\"");
	refused("{\"jsonrpc\":2.0,\"id\":1,\"method\":\"a\"}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":[1]}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":\"x\"}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"id\":1}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"result\":1}", ERR_REQUEST, NULL);
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"error\":{}}", ERR_REQUEST, "1");
	refused("{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":\"bad\"}", ERR_REQUEST, "1");
}
END_TEST

START_TEST(bad_ids_are_refused)
{
	static const char *const bad[] = {"1.5", "true", "[]", "{}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		cleanup_free char *line =
			xasprintf("{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"a\"}", bad[i]);
		refused(line, ERR_REQUEST, NULL);
	}
	char big[RPC_ID_MAX + 2];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	cleanup_free char *line = xasprintf("{\"jsonrpc\":\"2.0\",\"id\":\"%s\",\"method\":\"a\"}", big);
	refused(line, ERR_REQUEST, NULL);
}
END_TEST

/* n levels of nesting in the parameters of a request. */
static char *nested(size_t n, const char *open, const char *close)
{
	struct buf b;
	buf_init(&b, RPC_LINE_MAX);
	buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"a\",\"params\":{\"x\":");
	for (size_t i = 0; i < n - 2; i++)
		buf_printf(&b, "%s", open);
	buf_printf(&b, "1");
	for (size_t i = 0; i < n - 2; i++)
		buf_printf(&b, "%s", close);
	buf_append(&b, "}}", 3);
	char *s = xstrdup((char *)buf_data(&b));
	buf_finish(&b);
	return s;
}

START_TEST(nesting_is_bounded)
{
	struct rpc_msg m;
	struct err e = {0};
	json_t *id;
	cleanup_free char *most = nested(RPC_DEPTH_MAX, "[", "]");
	cleanup_free char *more = nested(RPC_DEPTH_MAX + 1, "[", "]");
	cleanup_free char *objects = nested(RPC_DEPTH_MAX + 1, "{\"a\":", "}");
	cleanup_free char *huge = nested(300000, "[", "]");

	ck_assert_int_eq(parse(most, &m, &id, &e), 0);
	json_decref(id);
	rpc_msg_finish(&m);
	refused(more, ERR_PARSE, NULL);
	refused(objects, ERR_PARSE, NULL);
	refused(huge, ERR_PARSE, NULL);
	/* Brackets in strings are not nesting. */
	struct buf b;
	buf_init(&b, RPC_LINE_MAX);
	buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"method\":\"a\",\"params\":{\"x\":\"\\\"");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "[{");
	buf_printf(&b, "\"}}");
	ck_assert_int_eq(rpc_parse((char *)buf_data(&b), b.len, &m, &id, &e), 0);
	rpc_msg_finish(&m);
	buf_finish(&b);
}
END_TEST

START_TEST(too_long_is_refused)
{
	char *line = xcalloc(RPC_LINE_MAX, 1);
	struct rpc_msg m;
	struct err e = {0};
	json_t *id;

	memset(line, ' ', RPC_LINE_MAX);
	line[0] = '{';
	line[1] = '}';
	ck_assert_int_eq(rpc_parse(line, RPC_LINE_MAX, &m, &id, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert_int_eq(rpc_parse(line, RPC_LINE_MAX - 1, &m, &id, &e), -1);
	ck_assert_int_eq(e.code, ERR_REQUEST);
	free(line);
}
END_TEST

START_TEST(each_kind_is_told_apart)
{
	struct rpc_msg m;
	struct err e = {0};
	json_t *id;

	ck_assert_int_eq(parse("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"a\",\"params\":null}", &m, &id,
				 &e),
		0);
	ck_assert_int_eq(m.kind, RPC_REQUEST);
	ck_assert_ptr_null(m.params);
	ck_assert(json_is_null(m.id));
	json_decref(id);
	rpc_msg_finish(&m);

	ck_assert_int_eq(parse("{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":{\"seq\":1}}\r", &m, &id,
				 &e),
		0);
	ck_assert_int_eq(m.kind, RPC_NOTIFICATION);
	ck_assert_str_eq(m.method, "event");
	ck_assert_int_eq(json_integer_value(json_object_get(m.params, "seq")), 1);
	ck_assert_ptr_null(id);
	rpc_msg_finish(&m);

	ck_assert_int_eq(parse("{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":null}", &m, &id, &e), 0);
	ck_assert_int_eq(m.kind, RPC_RESULT);
	ck_assert(json_is_null(m.result));
	json_decref(id);
	rpc_msg_finish(&m);
}
END_TEST

START_TEST(errors_make_the_round_trip)
{
	struct buf b;
	struct rpc_msg m;
	struct err e = {0}, in = {0};
	const char *line;
	json_t *id, *seven = json_integer(7);
	size_t len;

	err_set(&in, ERR_CAP, "the fleet holds 100 of 100 instances \xf0\x9f\x90\x99");
	err_hint(&in, "raise max_instances");
	buf_init(&b, 4096);
	ck_assert_int_eq(rpc_write_error(&b, seven, &in), 0);
	ck_assert_int_eq(rpc_next_line(&b, &line, &len), 1);
	ck_assert_uint_eq(len + 1, b.len);
	ck_assert_int_eq(rpc_parse(line, len, &m, &id, &e), 0);
	ck_assert_int_eq(m.kind, RPC_ERROR);
	ck_assert_int_eq(m.error.code, ERR_CAP);
	ck_assert(m.error.retryable);
	ck_assert_str_eq(m.error.message, in.message);
	ck_assert_str_eq(m.error.hint, in.hint);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(m.root, "error"), "code")),
		1005);
	json_decref(id);
	rpc_msg_finish(&m);

	json_t *o = err_to_json(&in);
	struct err back = {0};
	err_from_json(o, &back);
	ck_assert_int_eq(back.code, in.code);
	ck_assert_int_eq(back.retryable, in.retryable);
	ck_assert_str_eq(back.message, in.message);
	ck_assert_str_eq(back.hint, in.hint);
	json_decref(o);
	json_decref(seven);
	buf_finish(&b);
}
END_TEST

START_TEST(foreign_errors_are_understood)
{
	struct err e = {0};
	json_t *o = json_pack("{s:i,s:s}", "code", -32601, "message", "Method not found");
	err_from_json(o, &e);
	ck_assert_int_eq(e.code, ERR_METHOD);
	json_decref(o);
	o = json_pack("{s:s}", "code", "no_such_code");
	err_from_json(o, &e);
	ck_assert_int_eq(e.code, ERR_INTERNAL);
	ck_assert(e.message[0]);
	json_decref(o);
	o = json_object();
	err_from_json(o, &e);
	ck_assert_int_eq(e.code, ERR_INTERNAL);
	json_decref(o);
}
END_TEST

START_TEST(a_cut_message_is_still_valid_utf8)
{
	struct err e = {0};
	struct buf b;
	const char *line;
	size_t len;
	char text[ERR_MESSAGE_MAX * 2];

	/* Two-byte characters at odd offsets: the message's bound falls inside one of them. */
	text[0] = 'x';
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	text[sizeof(text) - 1] = '\0';
	err_set(&e, ERR_FAILED, "%s", text);
	buf_init(&b, 65536);
	ck_assert_int_eq(rpc_write_error(&b, NULL, &e), 0);
	ck_assert_int_eq(rpc_next_line(&b, &line, &len), 1);
	ck_assert(utf8_valid(line, len));
	buf_finish(&b);
}
END_TEST

START_TEST(text_that_is_not_utf8_is_replaced)
{
	json_t *v = json_text("a\xff\xc3\xa4\0\xf0\x9f", 7);
	ck_assert_str_eq(json_string_value(v),
		"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	json_decref(v);
	v = json_text("", 0);
	ck_assert_str_eq(json_string_value(v), "");
	json_decref(v);
}
END_TEST

START_TEST(a_line_that_does_not_fit_leaves_nothing)
{
	struct buf b;
	json_t *big = json_object();
	char *text = xcalloc(RPC_LINE_MAX + 1, 1);

	memset(text, 'x', RPC_LINE_MAX);
	json_object_set_new(big, "text", json_string(text));
	buf_init(&b, 16 * RPC_LINE_MAX);
	buf_append(&b, "kept", 4);
	ck_assert_int_eq(rpc_write_notification(&b, "event", big), -1);
	ck_assert_uint_eq(b.len, 4);
	buf_finish(&b);
	buf_init(&b, 20);
	buf_append(&b, "kept", 4);
	ck_assert_int_eq(rpc_write_notification(&b, "event", NULL), -1);
	ck_assert_uint_eq(b.len, 4);
	buf_finish(&b);
	json_decref(big);
	free(text);
}
END_TEST

START_TEST(lines_come_whole_at_every_split)
{
	static const char stream[] = "{\"a\":1}\n\n{\"b\":\"\xc3\xa4\"}\n";
	for (size_t cut = 0; cut < sizeof(stream); cut++) {
		struct buf b;
		const char *line;
		size_t len, lines = 0, bytes = 0;

		buf_init(&b, 64);
		buf_append(&b, stream, cut);
		for (int part = 0; part < 2; part++) {
			while (rpc_next_line(&b, &line, &len) == 1) {
				ck_assert_ptr_null(memchr(line, '\n', len));
				lines++;
				bytes += len + 1;
				buf_consume(&b, len + 1);
			}
			if (part == 0)
				buf_append(&b, stream + cut, sizeof(stream) - 1 - cut);
		}
		ck_assert_uint_eq(lines, 3);
		ck_assert_uint_eq(bytes, sizeof(stream) - 1);
		ck_assert_int_eq(rpc_next_line(&b, &line, &len), 0);
		buf_finish(&b);
	}
	struct buf full;
	const char *line;
	size_t len;
	buf_init(&full, 4);
	buf_append(&full, "abcd", 4);
	ck_assert_int_eq(rpc_next_line(&full, &line, &len), -1);
	buf_finish(&full);
}
END_TEST

TEST_MAIN("ipc/rpc", malformed_json_is_a_parse_error, batches_and_other_shapes_are_refused,
	bad_ids_are_refused, nesting_is_bounded, too_long_is_refused, each_kind_is_told_apart,
	errors_make_the_round_trip, foreign_errors_are_understood, a_cut_message_is_still_valid_utf8,
	text_that_is_not_utf8_is_replaced, a_line_that_does_not_fit_leaves_nothing,
	lines_come_whole_at_every_split)
