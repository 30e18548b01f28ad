/* SPDX-License-Identifier: ISC */
/* What the formats of transcripts share: bounded words and numbers, entries. Every line is untrusted. */
#include "daemon/agent/lines.h"

#include "base/util.h"
#include "daemon/agent/agent.h"

#define TOKENS_MOST INT64_C(1000000000) /* of one kind in a message: more is nonsense */
#define DEPTH_MOST 16 /* of a tool's input */

int tr_load(const char *line, size_t len, struct transcript_line *l, struct err *e)
{
	json_t *doc;

	if (len > TRANSCRIPT_LINE_MAX)
		return err_set(e, ERR_LIMIT, "it has more than %d bytes", TRANSCRIPT_LINE_MAX);
	doc = json_loadb(line, len, 0, NULL);
	if (!json_is_object(doc)) {
		json_decref(doc);
		return err_set(e, ERR_PARAMS, "it is not a JSON object");
	}
	l->doc = doc;
	return 0;
}

void tr_finish(struct transcript_line *l)
{
	free(l->text);
	json_decref(l->doc);
	memset(l, 0, sizeof(*l));
}

void tr_word(char *out, size_t size, const char *s)
{
	size_t n = strlen(s);

	*out = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f)
			return;
	if (n < size)
		memcpy(out, s, n + 1);
}

bool tr_any(const char *line, size_t len, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memmem(line, len, words[i], strlen(words[i])))
			return true;
	return false;
}

int64_t tr_tokens(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));

	return n < 0 || n > TOKENS_MOST ? 0 : n;
}

void tr_head(char out[TRANSCRIPT_HEAD_MAX], const char *text)
{
	agent_text(out, TRANSCRIPT_HEAD_MAX, text);
}

/* ---- what is shown ---- */

json_t *tr_entry(const struct transcript_line *l, const char *kind)
{
	json_t *o = json_pack("{s:s}", "kind", kind);

	if (l->time_ms)
		json_object_set_new(o, "time", json_integer(l->time_ms));
	if (*l->uuid)
		json_object_set_new(o, "uuid", json_string(l->uuid));
	if (l->side)
		json_object_set_new(o, "side", json_true());
	if (l->own)
		json_object_set_new(o, "own", json_true());
	return o;
}

void tr_text(json_t *o, const char *text, size_t max)
{
	size_t len = strlen(text), n = len;

	if (len > max) {
		for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
		json_object_set_new(o, "cut", json_integer((json_int_t)(len - n)));
	}
	json_object_set_new(o, "text", json_stringn(text, n));
}

/* A tool's input with every long text in it cut; so deep, no deeper. */
static json_t *shortened(const json_t *j, size_t max, int depth)
{
	const char *key;
	json_t *v, *out;
	size_t i;

	if (json_is_string(j) && json_string_length(j) > max) {
		json_t *cut = json_object();
		tr_text(cut, json_string_value(j), max);
		out = json_incref(json_object_get(cut, "text"));
		json_decref(cut);
		return out;
	}
	if (!json_is_object(j) && !json_is_array(j))
		return json_incref((json_t *)j);
	if (depth == 0)
		return json_null();
	out = json_is_object(j) ? json_object() : json_array();
	json_object_foreach((json_t *)j, key, v)
		if (json_object_size(out) < BLOCKS_MOST)
			json_object_set_new(out, key, shortened(v, max, depth - 1));
	json_array_foreach(j, i, v)
		if (i < BLOCKS_MOST)
			json_array_append_new(out, shortened(v, max, depth - 1));
	return out;
}

json_t *tr_tool(const struct transcript_line *l, const char *tool, const char *id, const json_t *input, size_t max)
{
	json_t *o = tr_entry(l, "tool");

	json_object_set_new(o, "tool", json_string(tool));
	json_object_set_new(o, "tool_id", json_string(id));
	json_object_set_new(o, "input", shortened(input, max, DEPTH_MOST) ?: json_null());
	return o;
}

json_t *tr_result(const struct transcript_line *l, const char *tool_id, const char *text, size_t max)
{
	json_t *o = tr_entry(l, "result");

	json_object_set_new(o, "tool_id", json_string(tool_id));
	tr_text(o, text, max);
	return o;
}

void tr_message(json_t *o, const struct transcript_line *l)
{
	if (*l->message)
		json_object_set_new(o, "message", json_string(l->message));
	if (*l->model)
		json_object_set_new(o, "model", json_string(l->model));
	if (l->error)
		json_object_set_new(o, "error", json_true());
	if (l->has_usage)
		json_object_set_new(o, "usage", json_pack("{s:I, s:I, s:I, s:I}", "input", (json_int_t)l->usage.input,
			"output", (json_int_t)l->usage.output, "cache_read", (json_int_t)l->usage.cache_read, "cache_write",
			(json_int_t)l->usage.cache_write));
}

json_t *tr_entries(const struct transcript_line *l, size_t max, tr_entry_fn reply, tr_entry_fn result)
{
	json_t *out = json_array(), *o = NULL;

	switch (l->kind) {
	case TR_PROMPT:
	case TR_QUEUED:
	case TR_COMPACT:
		o = tr_entry(l, l->kind == TR_COMPACT ? "compact" : "prompt");
		tr_text(o, l->text ? l->text : "", max);
		break;
	case TR_REPLY:
		o = reply(l, max);
		if (o)
			tr_message(o, l);
		break;
	case TR_RESULT:
		o = result(l, max);
		break;
	case TR_TOTAL:
	case TR_OTHER:
		break;
	}
	if (o)
		json_array_append_new(out, o);
	return out;
}
