/* SPDX-License-Identifier: ISC */
/*
 * The transcripts of Codex: CODEX_HOME/sessions/Y/M/D/rollout-TIME-UUID.jsonl, lines {timestamp, type, payload}. What is
 * relied on was seen with 0.169.0 (docs/agents-codex.md): what was said stands in event_msg lines of item_completed,
 * tools and their results in response_item lines, the tokens of each answer in token_usage_record lines.
 */
#include "daemon/agent/body.h"
#include "daemon/agent/codex.h"

#include "base/util.h"
#include "daemon/agent/lines.h"

#define BELOW "/sessions/"

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

/* What follows the root. A resumed one is named by where its links lead (in a machine `sessions` is one, to its disk); it
 * is opened below the root all the same. */
static const char *below_root(const char *file, const char *root)
{
	size_t n = strlen(root);
	const char *at;

	if (!strncmp(file, root, n) && file[n] == '/')
		return file + n + 1;
	at = strstr(file, BELOW);
	return at ? at + strlen(BELOW) : NULL;
}

static bool codex_named(const json_t *body, const char *root, char conversation[TRANSCRIPT_ID_MAX],
	char path[TRANSCRIPT_PATH_MAX])
{
	const char *id = body_text(body, "session_id"), *rest = below_root(body_text(body, "transcript_path"), root);
	char ending[UUID_LEN + 16];
	size_t len;

	if (!uuid_like(id) || !rest)
		return false;
	len = strlen(rest);
	str_fmt(ending, sizeof(ending), "-%s.jsonl", id);
	/* Folders of digits, one file; no way out. */
	if (len >= TRANSCRIPT_PATH_MAX || len <= strlen(ending) || !is(rest + len - strlen(ending), ending) ||
		strspn(rest, "0123456789/") != (size_t)(strrchr(rest, '/') ? strrchr(rest, '/') - rest + 1 : 0))
		return false;
	memcpy(path, rest, len + 1);
	str_fmt(conversation, TRANSCRIPT_ID_MAX, "%s", id);
	return true;
}

/* It looks through all of them, whatever their date. */
static bool codex_path(const char *dir, const char *conversation, char path[TRANSCRIPT_PATH_MAX])
{
	(void)dir;
	return uuid_like(conversation) && str_fmt(path, TRANSCRIPT_PATH_MAX,
		"2026/01/01/rollout-2026-01-01T00-00-00-%s.jsonl", conversation) == 0;
}

static bool codex_wanted(const char *line, size_t len)
{
	static const char *const words[] = {"\"item_completed\"", "\"token_usage_record\"", "\"compacted\""};

	return tr_any(line, len, words, ARRAY_LEN(words));
}

/* The texts of a content, one below the other; owned, NULL: there is none. */
static char *joined(const json_t *content)
{
	size_t size = 0, i;
	char *text, *at;
	const json_t *b;

	json_array_foreach(content, i, b)
		if (i < BLOCKS_MOST && json_is_string(json_object_get(b, "text")))
			size += strlen(body_text(b, "text")) + 1;
	if (!size)
		return NULL;
	at = text = xcalloc(1, size);
	json_array_foreach(content, i, b) {
		if (i >= BLOCKS_MOST || !json_is_string(json_object_get(b, "text")))
			continue;
		if (at != text)
			*at++ = '\n';
		at = stpcpy(at, body_text(b, "text"));
	}
	return text;
}

static void take_item(const json_t *payload, struct transcript_line *l)
{
	const json_t *item = json_object_get(payload, "item");
	const char *type = body_text(item, "type");

	tr_word(l->uuid, sizeof(l->uuid), body_text(item, "id"));
	if (is(type, "UserMessage"))
		l->kind = TR_PROMPT;
	else if (is(type, "AgentMessage"))
		l->kind = TR_REPLY;
	else
		return;
	l->text = joined(json_object_get(item, "content"));
}

static void take_response(const json_t *payload, struct transcript_line *l)
{
	const char *type = body_text(payload, "type");

	if (is(type, "function_call") || is(type, "custom_tool_call") || is(type, "local_shell_call"))
		l->kind = TR_REPLY;
	else if (is(type, "function_call_output") || is(type, "custom_tool_call_output"))
		l->kind = TR_RESULT;
	tr_word(l->uuid, sizeof(l->uuid), body_text(payload, "id"));
}

static void take_usage(const json_t *payload, struct transcript_line *l)
{
	const json_t *u = json_object_get(payload, "usage");
	int64_t cached = tr_tokens(u, "cached_input_tokens"), all = tr_tokens(u, "input_tokens");

	l->kind = TR_REPLY;
	l->has_usage = true;
	tr_word(l->message, sizeof(l->message), body_text(payload, "response_id"));
	l->usage = (struct transcript_usage){
		.input = all > cached ? all - cached : 0, /* it counts the cached ones in */
		.output = tr_tokens(u, "output_tokens"),
		.cache_read = cached,
		.cache_write = tr_tokens(u, "cache_write_input_tokens"),
		.thinking = tr_tokens(u, "reasoning_output_tokens"),
	};
}

static int codex_parse(const char *line, size_t len, struct transcript_line *ret, struct err *e)
{
	struct transcript_line l = {0};

	if (tr_load(line, len, &l, e) < 0)
		return -1;
	const json_t *payload = json_object_get(l.doc, "payload");
	const char *type = body_text(l.doc, "type");

	l.time_ms = transcript_time(json_string_value(json_object_get(l.doc, "timestamp")));
	if (is(type, "event_msg") && is(body_text(payload, "type"), "item_completed"))
		take_item(payload, &l);
	else if (is(type, "response_item"))
		take_response(payload, &l);
	else if (is(type, "token_usage_record"))
		take_usage(payload, &l);
	else if (is(type, "compacted"))
		l.kind = TR_COMPACT;
	*ret = l;
	return 0;
}

static json_t *call_entry(const struct transcript_line *l, const json_t *payload, size_t max)
{
	const char *args = body_text(payload, "arguments");
	json_t *input = *args ? json_loads(args, JSON_DECODE_ANY, NULL) : NULL, *o;

	if (!input)
		input = json_string(*args ? args : body_text(payload, "input"));
	o = tr_tool(l, body_text(payload, "name"), body_text(payload, "call_id"), input, max);
	json_decref(input);
	return o;
}

static json_t *reply_entry(const struct transcript_line *l, size_t max)
{
	if (!l->text)
		return l->has_usage ? NULL : call_entry(l, json_object_get(l->doc, "payload"), max);
	json_t *o = tr_entry(l, "text");
	tr_text(o, l->text, max);
	return o;
}

static json_t *result_entry(const struct transcript_line *l, size_t max)
{
	const json_t *payload = json_object_get(l->doc, "payload"), *output = json_object_get(payload, "output");
	cleanup_free char *text = json_is_array(output) ? joined(output) : NULL;

	return tr_result(l, body_text(payload, "call_id"), text ? text : body_text(payload, "output"), max);
}

static json_t *codex_entries(const struct transcript_line *l, size_t max)
{
	return tr_entries(l, max, reply_entry, result_entry);
}

const struct transcript_format codex_transcript = {
	.home_dir = ".codex",
	.dir_env = "CODEX_HOME",
	.below = "sessions",
	.named = codex_named,
	.path = codex_path,
	.wanted = codex_wanted,
	.parse = codex_parse,
	.entries = codex_entries,
	.finish = tr_finish,
	.head = tr_head,
};
