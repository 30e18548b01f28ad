/* SPDX-License-Identifier: ISC */
/*
 * The conversations of OpenCode, as our plugin writes them down beside OpenCode's own database:
 * DATA/opencode/tmux-claude/SESSION.jsonl. Each part is one line, once; `assistant` closes a message with its usage.
 * What OpenCode goes on with is its database: from these lines nothing can be resumed.
 */
#include "daemon/agent/body.h"
#include "daemon/agent/opencode.h"

#include <math.h>

#include "base/util.h"
#include "daemon/agent/lines.h"

static bool opencode_named(const json_t *body, const char *root, char conversation[TRANSCRIPT_ID_MAX],
	char path[TRANSCRIPT_PATH_MAX])
{
	const char *id = body_text(body, "session_id"), *file = body_text(body, "transcript_path");
	char whole[2 * TRANSCRIPT_PATH_MAX];

	if (!opencode_session_id(id) || str_fmt(whole, sizeof(whole), "%s/%s.jsonl", root, id) < 0 || strcmp(whole, file) != 0)
		return false;
	str_fmt(path, TRANSCRIPT_PATH_MAX, "%s.jsonl", id);
	str_fmt(conversation, TRANSCRIPT_ID_MAX, "%s", id);
	return true;
}

static bool no_path(const char *dir, const char *conversation, char path[TRANSCRIPT_PATH_MAX])
{
	(void)dir;
	(void)conversation;
	(void)path;
	return false;
}

static bool opencode_wanted(const char *line, size_t len)
{
	static const char *const words[] = {"\"type\":\"user\"", "\"type\":\"assistant\"", "\"type\":\"compact\""};

	return tr_any(line, len, words, ARRAY_LEN(words));
}

static void take_usage(const json_t *doc, struct transcript_line *l)
{
	const json_t *t = json_object_get(doc, "tokens"), *cache = json_object_get(t, "cache");

	if (!json_is_object(t))
		return;
	l->has_usage = true;
	l->usage = (struct transcript_usage){
		.input = tr_tokens(t, "input"),
		.output = tr_tokens(t, "output") + tr_tokens(t, "reasoning"),
		.thinking = tr_tokens(t, "reasoning"),
		.cache_read = tr_tokens(cache, "read"),
		.cache_write = tr_tokens(cache, "write"),
	};
}

static void take_reply(const char *type, struct transcript_line *l)
{
	bool closes = !strcmp(type, "assistant");

	l->kind = TR_REPLY;
	tr_word(l->message, sizeof(l->message), body_text(l->doc, closes ? "id" : "message"));
	tr_word(l->model, sizeof(l->model), body_text(l->doc, "model"));
	l->error = closes && *body_text(l->doc, "error");
	if (closes)
		take_usage(l->doc, l);
}

static int opencode_parse(const char *line, size_t len, struct transcript_line *ret, struct err *e)
{
	struct transcript_line l = {0};

	if (tr_load(line, len, &l, e) < 0)
		return -1;
	const char *type = body_text(l.doc, "type"), *id = body_text(l.doc, "sessionID");
	double time = json_number_value(json_object_get(l.doc, "time"));

	if (opencode_session_id(id))
		str_fmt(l.conversation, sizeof(l.conversation), "%s", id);
	tr_word(l.uuid, sizeof(l.uuid), body_text(l.doc, "id"));
	l.time_ms = isfinite(time) && time > 0 && time < 1e15 ? (int64_t)time : 0;
	l.side = json_is_true(json_object_get(l.doc, "side"));
	if (!strcmp(type, "user")) {
		l.kind = TR_PROMPT;
		l.own = json_is_true(json_object_get(l.doc, "own"));
		l.text = xstrdup(body_text(l.doc, "text"));
	} else if (!strcmp(type, "compact")) {
		l.kind = TR_COMPACT;
	} else if (!strcmp(type, "result")) {
		l.kind = TR_RESULT;
	} else if (!strcmp(type, "assistant") || !strcmp(type, "text") || !strcmp(type, "reasoning") || !strcmp(type, "tool")) {
		take_reply(type, &l);
	}
	*ret = l;
	return 0;
}

static json_t *reply_entry(const struct transcript_line *l, size_t max)
{
	const char *type = body_text(l->doc, "type"), *error = body_text(l->doc, "error");

	if (!strcmp(type, "text") || !strcmp(type, "reasoning")) {
		json_t *o = tr_entry(l, strcmp(type, "text") ? "thinking" : "text");
		tr_text(o, body_text(l->doc, "text"), max);
		return o;
	}
	if (!strcmp(type, "tool"))
		return tr_tool(l, body_text(l->doc, "tool"), body_text(l->doc, "id"), json_object_get(l->doc, "input"), max);
	if (!*error)
		return NULL;
	json_t *o = tr_entry(l, "text");
	tr_text(o, error, max);
	json_object_set_new(o, "error", json_true());
	return o;
}

static json_t *result_entry(const struct transcript_line *l, size_t max)
{
	json_t *o = tr_result(l, body_text(l->doc, "call"), body_text(l->doc, "output"), max);

	if (json_is_true(json_object_get(l->doc, "error")))
		json_object_set_new(o, "error", json_true());
	return o;
}

static json_t *opencode_entries(const struct transcript_line *l, size_t max)
{
	return tr_entries(l, max, reply_entry, result_entry);
}

const struct transcript_format opencode_transcript = {
	.home_dir = ".local/share",
	.dir_env = "XDG_DATA_HOME",
	.below = "opencode/tmux-claude",
	.named = opencode_named,
	.path = no_path,
	.is_id = opencode_session_id,
	.wanted = opencode_wanted,
	.parse = opencode_parse,
	.entries = opencode_entries,
	.finish = tr_finish,
	.head = tr_head,
};
