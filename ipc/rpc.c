/* SPDX-License-Identifier: ISC */
/* JSON-RPC 2.0 messages, one object a line: reading and writing them, no I/O. */
#include "ipc/rpc.h"

#include <string.h>

#include "base/util.h"
#include "ipc/jsonw.h"

/* Error objects on the wire: {"code": NUMBER, "message": S, "data": {"code": NAME, "hint": S,
 * "retryable": B}}: the number for JSON-RPC's sake, the name for ours. */

json_t *json_text(const char *s, size_t len)
{
	static const char replacement[] = "\xef\xbf\xbd";
	json_t *v;

	if (memchr(s, '\0', len) == NULL) {
		v = json_stringn(s, len);
		if (v)
			return v;
	}
	char *out = xcalloc(len * 3 + 1, 1);
	size_t o = 0;
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		if (c != 0 && i + n <= len && utf8_valid(s + i, n)) {
			memcpy(out + o, s + i, n);
			o += n;
			i += n;
		} else {
			memcpy(out + o, replacement, 3);
			o += 3;
			i++;
		}
	}
	v = json_stringn(out, o);
	free(out);
	return v ? v : json_string("");
}

/* jansson's own bound is 2048 levels of recursion; ours is small, and checked before it parses. */
static bool depth_ok(const char *line, size_t len)
{
	size_t depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > RPC_DEPTH_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth > 0) {
			depth--;
		}
	}
	return true;
}

static bool id_ok(const json_t *id)
{
	if (json_is_string(id))
		return json_string_length(id) <= RPC_ID_MAX;
	return json_is_integer(id) || json_is_null(id);
}

static int parse_call(struct rpc_msg *m, struct err *e)
{
	json_t *method = json_object_get(m->root, "method");
	json_t *params = json_object_get(m->root, "params");

	if (!json_is_string(method))
		return err_set(e, ERR_REQUEST, "\"method\" is not a string");
	if (json_string_length(method) > RPC_METHOD_MAX)
		return err_set(e, ERR_REQUEST, "\"method\" is longer than %d bytes", RPC_METHOD_MAX);
	if (json_is_null(params))
		params = NULL;
	if (params && !json_is_object(params)) {
		err_set(e, ERR_REQUEST, "\"params\" is not an object");
		return err_hint(e, "give arguments by name; positions are not supported");
	}
	m->method = json_string_value(method);
	m->params = params;
	m->kind = m->id ? RPC_REQUEST : RPC_NOTIFICATION;
	return 0;
}

static int parse_answer(struct rpc_msg *m, struct err *e)
{
	json_t *error = json_object_get(m->root, "error");

	m->result = json_object_get(m->root, "result");
	if (!m->id)
		return err_set(e, ERR_REQUEST, "the message has no \"method\", and no \"id\" as an answer has");
	if (error && m->result)
		return err_set(e, ERR_REQUEST, "the answer has both a \"result\" and an \"error\"");
	if (m->result) {
		m->kind = RPC_RESULT;
		return 0;
	}
	if (!json_is_object(error))
		return err_set(e, ERR_REQUEST,
			"the message has neither a \"method\" nor a \"result\" nor an \"error\" object");
	m->kind = RPC_ERROR;
	err_from_json(error, &m->error);
	return 0;
}

static int parse_root(struct rpc_msg *m, json_t **ret_id, struct err *e)
{
	if (json_is_array(m->root)) {
		err_set(e, ERR_REQUEST, "batches are not supported");
		return err_hint(e, "send one object a line; requests may be pipelined");
	}
	if (!json_is_object(m->root))
		return err_set(e, ERR_REQUEST, "the message is not a JSON object");

	json_t *id = json_object_get(m->root, "id");
	if (id && !id_ok(id))
		return err_set(e, ERR_REQUEST,
			"\"id\" is not an integer, null, or a string of at most %d bytes", RPC_ID_MAX);
	m->id = id;
	if (id)
		*ret_id = json_incref(id);

	const char *version = json_string_value(json_object_get(m->root, "jsonrpc"));
	if (!version || strcmp(version, "2.0") != 0)
		return err_set(e, ERR_REQUEST, "\"jsonrpc\" is not \"2.0\"");
	if (json_object_get(m->root, "method"))
		return parse_call(m, e);
	return parse_answer(m, e);
}

int rpc_parse(const char *line, size_t len, struct rpc_msg *ret, json_t **ret_id, struct err *e)
{
	struct rpc_msg m = {0};
	json_error_t why;

	*ret_id = NULL;
	if (len >= RPC_LINE_MAX)
		return err_set(e, ERR_LIMIT, "the message is longer than %d bytes", RPC_LINE_MAX);
	if (!utf8_valid(line, len))
		return err_set(e, ERR_PARSE, "the message is not valid UTF-8");
	if (!depth_ok(line, len))
		return err_set(e, ERR_PARSE, "the message is nested deeper than %d levels", RPC_DEPTH_MAX);
	m.root = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!m.root)
		return err_set(e, ERR_PARSE, "the message is not JSON: %.100s at byte %d", why.text,
			why.position);
	if (parse_root(&m, ret_id, e) < 0) {
		json_decref(m.root);
		return -1;
	}
	*ret = m;
	return 0;
}

void rpc_msg_finish(struct rpc_msg *m)
{
	json_decref(m->root);
	*m = (struct rpc_msg){0};
}

struct line {
	struct buf *out;
	size_t len;
};

static int line_append(const char *data, size_t len, void *arg)
{
	struct line *l = arg;

	l->len += len;
	if (l->len >= RPC_LINE_MAX)
		return -1;
	return buf_append(l->out, data, len);
}

/* Appends obj (stolen) and a newline, or nothing at all. */
static int write_line(struct buf *out, json_t *obj)
{
	struct line l = {.out = out};
	size_t before = out->len;
	int r = json_dump_callback(obj, line_append, &l, JSON_COMPACT);

	if (r == 0)
		r = buf_append(out, "\n", 1);
	if (r < 0)
		out->len = before;
	json_decref(obj);
	return r < 0 ? -1 : 0;
}

static json_t *new_message(json_t *id)
{
	json_t *o = json_object();

	json_object_set_new(o, "jsonrpc", json_string("2.0"));
	if (id)
		json_object_set(o, "id", id);
	return o;
}

static int write_call(struct buf *out, json_t *id, const char *method, json_t *params)
{
	json_t *o = new_message(id);

	json_object_set_new(o, "method", json_string(method));
	if (params)
		json_object_set(o, "params", params);
	return write_line(out, o);
}

int rpc_write_request(struct buf *out, json_t *id, const char *method, json_t *params)
{
	return write_call(out, id, method, params);
}

int rpc_write_notification(struct buf *out, const char *method, json_t *params)
{
	return write_call(out, NULL, method, params);
}

int rpc_write_result(struct buf *out, json_t *id, json_t *result)
{
	json_t *o = new_message(id);

	if (!id)
		json_object_set_new(o, "id", json_null());
	json_object_set(o, "result", result);
	return write_line(out, o);
}

int rpc_write_result_head(struct buf *out, json_t *id, size_t len)
{
	size_t before = out->len;
	struct jsonw w;

	jsonw_init(&w, out);
	jsonw_open(&w, '{');
	jsonw_key(&w, "jsonrpc");
	jsonw_string(&w, "2.0");
	jsonw_key(&w, "id");
	jsonw_json(&w, id);
	jsonw_key(&w, "result");
	if (w.full || out->len - before + len + strlen(RPC_RESULT_TAIL) > RPC_LINE_MAX) {
		buf_truncate(out, before);
		return -1;
	}
	return 0;
}

static void put_details(json_t *o, const struct err *e)
{
	json_t *details = e->details[0] ? json_loads(e->details, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (details)
		json_object_set_new(o, "details", details);
}

int rpc_write_error(struct buf *out, json_t *id, const struct err *error)
{
	json_t *o = new_message(id), *wire = json_object(), *data = json_object();

	if (!id)
		json_object_set_new(o, "id", json_null());
	json_object_set_new(data, "code", json_string(err_code_name(error->code)));
	json_object_set_new(data, "hint", json_text(error->hint, strlen(error->hint)));
	json_object_set_new(data, "retryable", json_boolean(error->retryable));
	put_details(data, error);
	json_object_set_new(wire, "code", json_integer(err_code_number(error->code)));
	json_object_set_new(wire, "message", json_text(error->message, strlen(error->message)));
	json_object_set_new(wire, "data", data);
	json_object_set_new(o, "error", wire);
	return write_line(out, o);
}

json_t *err_to_json(const struct err *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "code", json_string(err_code_name(e->code)));
	json_object_set_new(o, "message", json_text(e->message, strlen(e->message)));
	json_object_set_new(o, "hint", json_text(e->hint, strlen(e->hint)));
	json_object_set_new(o, "retryable", json_boolean(e->retryable));
	put_details(o, e);
	return o;
}

static enum err_code code_from_number(json_int_t number)
{
	for (int c = ERR_NONE + 1; c < ERR_CODE_COUNT; c++)
		if (err_code_number((enum err_code)c) == number)
			return (enum err_code)c;
	return ERR_INTERNAL;
}

void err_from_json(const json_t *o, struct err *e)
{
	const json_t *data = json_object_get(o, "data");
	const json_t *from = json_is_object(data) ? data : o;
	const char *name = json_string_value(json_object_get(from, "code"));
	const json_t *number = json_object_get(o, "code");
	const char *message = json_string_value(json_object_get(o, "message"));
	const char *hint = json_string_value(json_object_get(from, "hint"));
	const json_t *retryable = json_object_get(from, "retryable"), *details = json_object_get(from, "details");
	enum err_code code = ERR_INTERNAL;

	if (name)
		code = err_code_from_name(name);
	else if (json_is_integer(number))
		code = code_from_number(json_integer_value(number));
	err_set(e, code, "%s", message && message[0] ? message : "the peer gave no reason");
	if (hint && hint[0])
		err_hint(e, "%s", hint);
	if (e && json_is_boolean(retryable))
		e->retryable = json_is_true(retryable);
	if (json_is_object(details)) {
		char *text = json_dumps(details, JSON_COMPACT);
		err_details(e, text);
		free(text);
	}
}

int rpc_next_line(const struct buf *in, const char **line, size_t *len)
{
	const char *data = (const char *)buf_data(in);
	const char *nl = in->len ? memchr(data, '\n', in->len) : NULL;

	if (!nl)
		return buf_room(in) == 0 ? -1 : 0;
	*line = data;
	*len = (size_t)(nl - data);
	return 1;
}
