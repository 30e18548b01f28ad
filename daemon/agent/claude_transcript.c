/* SPDX-License-Identifier: ISC */
/*
 * The transcripts of Claude Code: CONFIG/projects/<folder with all but letters and digits as ->/<conversation>.jsonl.
 * What is relied on was seen with 2.1.329 (docs/conversations.md); what is not known is passed over.
 *
 * A message of the model is written as one line per block, each with the same message.id and the same usage. A
 * branched conversation begins with the lines of the one it came from, with their times and uuids, under the new
 * sessionId; replies then name the old one in requestSessionId.
 */
#include "daemon/agent/transcript.h"

#include <ctype.h>

#include "base/buf.h"
#include "base/util.h"
#include "daemon/agent/body.h"
#include "daemon/agent/lines.h"

#define NANO 1e9
#define COST_MOST 1e9 /* dollars: more is nonsense */
#define MODELS_MOST 64
#define PASTED "<pasted_content"
#define PASTED_END "</pasted_content>"
#define MARK_MOST 1024 /* of such a mark */
#define HEAD_LOOK (64 * 1024) /* of a prompt: marks take much, what is compared little */

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

/* ---- where the files are ---- */

static bool claude_named(const json_t *body, const char *root, char conversation[TRANSCRIPT_ID_MAX],
	char path[TRANSCRIPT_PATH_MAX])
{
	const char *id = body_text(body, "session_id"), *file = body_text(body, "transcript_path"), *rest;
	size_t n = strlen(root);
	char name[UUID_LEN + 8];

	while (n > 1 && root[n - 1] == '/')
		n--;
	if (!uuid_like(id) || strncmp(file, root, n) != 0 || file[n] != '/')
		return false;
	rest = file + n + strspn(file + n, "/");
	str_fmt(name, sizeof(name), "/%s.jsonl", id);
	size_t len = strlen(rest);
	/* One folder, one file; no way out. */
	if (len >= TRANSCRIPT_PATH_MAX || len <= strlen(name) || strcmp(rest + len - strlen(name), name) != 0 ||
		memchr(rest, '/', len - strlen(name)) || str_starts(rest, "../") || str_starts(rest, "./"))
		return false;
	memcpy(path, rest, len + 1);
	str_fmt(conversation, TRANSCRIPT_ID_MAX, "%s", id);
	return true;
}

static bool claude_path(const char *dir, const char *conversation, char path[TRANSCRIPT_PATH_MAX])
{
	char folder[TRANSCRIPT_PATH_MAX];
	size_t n = 0;

	for (const char *p = dir; *p && n + 1 < sizeof(folder); p++)
		folder[n++] = isalnum((unsigned char)*p) ? *p : '-';
	folder[n] = '\0';
	/* Longer names it shortens by a hash of its own; any folder does, for it looks through all of them. */
	if (n > 200)
		folder[200] = '\0';
	return uuid_like(conversation) && str_fmt(path, TRANSCRIPT_PATH_MAX, "%s/%s.jsonl", folder, conversation) == 0;
}

/* ---- one line ---- */

/* Most bytes of a transcript are snapshots and results of tools: these are looked at for a person only. */
static bool claude_wanted(const char *line, size_t len)
{
	static const char *const words[] = {"\"type\":\"assistant\"", "\"role\":\"user\"", "\"type\":\"cost-state\"",
		"\"type\":\"queued_command\"", "\"operation\":\"enqueue\"", "\"compact_boundary\""};

	if (memmem(line, len, "\"type\":\"tool_result\"", 20) && !memmem(line, len, "\"type\":\"assistant\"", 18))
		return false;
	return tr_any(line, len, words, ARRAY_LEN(words));
}

static void take_usage(const json_t *u, struct transcript_line *l)
{
	if (!json_is_object(u))
		return;
	l->has_usage = true;
	l->usage = (struct transcript_usage){
		.input = tr_tokens(u, "input_tokens"),
		.output = tr_tokens(u, "output_tokens"),
		.cache_read = tr_tokens(u, "cache_read_input_tokens"),
		.cache_write = tr_tokens(u, "cache_creation_input_tokens"),
		.thinking = tr_tokens(json_object_get(u, "output_tokens_details"), "thinking_tokens"),
		.cache_write_1h = tr_tokens(json_object_get(u, "cache_creation"), "ephemeral_1h_input_tokens"),
		.web_searches = tr_tokens(json_object_get(u, "server_tool_use"), "web_search_requests"),
	};
}

static void take_reply(const json_t *doc, struct transcript_line *l)
{
	const json_t *m = json_object_get(doc, "message");
	const char *asked = body_text(doc, "requestSessionId");

	if (!json_is_object(m))
		return;
	l->kind = TR_REPLY;
	tr_word(l->message, sizeof(l->message), body_text(m, "id"));
	tr_word(l->request, sizeof(l->request), body_text(doc, "requestId"));
	tr_word(l->model, sizeof(l->model), body_text(m, "model"));
	tr_word(l->effort, sizeof(l->effort), body_text(doc, "effort"));
	l->error = json_is_true(json_object_get(doc, "isApiErrorMessage"));
	if (uuid_like(asked) && !is(asked, l->conversation))
		tr_word(l->origin, sizeof(l->origin), asked);
	take_usage(json_object_get(m, "usage"), l);
}

/* The text blocks of a content, or the content itself, with line ends between them; owned, NULL: none. */
static char *joined(const json_t *content)
{
	const json_t *b;
	struct buf all;
	bool any = false;
	char *text;
	size_t i;

	if (json_is_string(content))
		return xstrdup(json_string_value(content));
	buf_init(&all, TRANSCRIPT_LINE_MAX + BLOCKS_MOST);
	json_array_foreach(content, i, b) {
		const char *s = i < BLOCKS_MOST && is(body_text(b, "type"), "text") ? json_string_value(json_object_get(b, "text")) : NULL;
		if (!s)
			continue;
		if ((any && buf_append(&all, "\n", 1) < 0) || buf_append(&all, s, strlen(s)) < 0)
			break; /* more than a line may hold: its head says enough */
		any = true;
	}
	text = any ? xstrndup(all.len ? (const char *)buf_data(&all) : "", all.len) : NULL;
	buf_finish(&all);
	return text;
}

static bool has_block(const json_t *content, const char *type)
{
	const json_t *b;
	size_t i;

	json_array_foreach(content, i, b)
		if (is(body_text(b, "type"), type))
			return true;
	return false;
}

/* Words that the program puts where a person's stand. */
static bool own_words(const char *text)
{
	static const char *const marks[] = {"<task-notification>", "<command-name>", "<command-message>", "<local-command-",
		"<bash-input>", "<bash-stdout>", "<bash-stderr>", "<system-reminder>", "[Request interrupted by user",
		"Caveat: The messages below"};

	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (str_starts(text, marks[i]))
			return true;
	return false;
}

static void take_user(const json_t *doc, struct transcript_line *l)
{
	const json_t *content = json_object_get(json_object_get(doc, "message"), "content");

	if (has_block(content, "tool_result")) {
		l->kind = TR_RESULT;
		return;
	}
	l->text = joined(content);
	if (!l->text && !has_block(content, "image"))
		return;
	if (json_is_true(json_object_get(doc, "isCompactSummary"))) {
		l->kind = TR_COMPACT;
		return;
	}
	l->kind = TR_PROMPT;
	l->own = json_is_true(json_object_get(doc, "isMeta")) || (l->text && own_words(l->text));
}

static void take_total(const json_t *doc, struct transcript_line *l)
{
	double cost = json_number_value(json_object_get(doc, "totalCostUSD"));
	const char *model;
	json_t *u;
	int n = 0;

	l->kind = TR_TOTAL;
	l->cost_nano = cost > 0 && cost < COST_MOST ? (int64_t)(cost * NANO + 0.5) : 0;
	json_object_foreach(json_object_get(doc, "modelUsage"), model, u) {
		if (++n > MODELS_MOST)
			break;
		l->has_usage = true;
		l->usage.input += tr_tokens(u, "inputTokens");
		l->usage.output += tr_tokens(u, "outputTokens");
		l->usage.thinking += tr_tokens(u, "thinkingTokens");
		l->usage.cache_read += tr_tokens(u, "cacheReadInputTokens");
		l->usage.cache_write += tr_tokens(u, "cacheCreationInputTokens");
		l->usage.cache_write_1h += tr_tokens(u, "cacheCreationEphemeral1hInputTokens");
		l->usage.web_searches += tr_tokens(u, "webSearchRequests");
	}
}

static void take_queued(const json_t *prompt, bool used, struct transcript_line *l)
{
	l->text = joined(prompt);
	if (!l->text)
		return;
	l->kind = TR_QUEUED;
	l->used = used;
	l->own = own_words(l->text);
}

static int claude_parse(const char *line, size_t len, struct transcript_line *ret, struct err *e)
{
	struct transcript_line l = {0};

	if (tr_load(line, len, &l, e) < 0)
		return -1;
	const char *type = body_text(l.doc, "type"), *id = body_text(l.doc, "sessionId");
	const json_t *att = json_object_get(l.doc, "attachment");

	if (uuid_like(id))
		tr_word(l.conversation, sizeof(l.conversation), id);
	tr_word(l.uuid, sizeof(l.uuid), body_text(l.doc, "uuid"));
	l.time_ms = transcript_time(json_string_value(json_object_get(l.doc, "timestamp")));
	l.side = json_is_true(json_object_get(l.doc, "isSidechain"));
	if (is(type, "assistant"))
		take_reply(l.doc, &l);
	else if (is(type, "user"))
		take_user(l.doc, &l);
	else if (is(type, "cost-state"))
		take_total(l.doc, &l);
	else if (is(type, "attachment") && is(body_text(att, "type"), "queued_command"))
		take_queued(json_object_get(att, "prompt"), true, &l);
	else if (is(type, "queue-operation") && is(body_text(l.doc, "operation"), "enqueue"))
		take_queued(json_object_get(l.doc, "content"), false, &l);
	else if (is(type, "system") && is(body_text(l.doc, "subtype"), "compact_boundary"))
		l.kind = TR_COMPACT;
	*ret = l;
	return 0;
}

/* ---- what is shown ---- */

static void reply_block(json_t *out, const struct transcript_line *l, const json_t *b, size_t max)
{
	const char *type = body_text(b, "type");
	json_t *o;

	if (is(type, "text")) {
		o = tr_entry(l, "text");
		tr_text(o, body_text(b, "text"), max);
	} else if (is(type, "thinking")) {
		if (!*body_text(b, "thinking"))
			return;
		o = tr_entry(l, "thinking");
		tr_text(o, body_text(b, "thinking"), max);
	} else if (is(type, "tool_use") || is(type, "server_tool_use")) {
		o = tr_tool(l, body_text(b, "name"), body_text(b, "id"), json_object_get(b, "input"), max);
	} else {
		return;
	}
	tr_message(o, l);
	json_array_append_new(out, o);
}

static void result_block(json_t *out, const struct transcript_line *l, const json_t *b, size_t max)
{
	if (!is(body_text(b, "type"), "tool_result"))
		return;
	cleanup_free char *text = joined(json_object_get(b, "content"));
	json_t *o = tr_result(l, body_text(b, "tool_use_id"),
		text ? text : has_block(json_object_get(b, "content"), "image") ? "[image]" : "", max);

	if (json_is_true(json_object_get(b, "is_error")))
		json_object_set_new(o, "error", json_true());
	json_array_append_new(out, o);
}

static json_t *claude_entries(const struct transcript_line *l, size_t max)
{
	const json_t *content = json_object_get(json_object_get(l->doc, "message"), "content"), *b;
	json_t *out = json_array(), *o;
	size_t i;

	switch (l->kind) {
	case TR_PROMPT:
	case TR_QUEUED:
	case TR_COMPACT:
		o = tr_entry(l, l->kind == TR_PROMPT ? "prompt" : l->kind == TR_QUEUED ? "queued" : "compact");
		tr_text(o, l->text ? l->text : l->kind == TR_PROMPT ? "[image]" : "", max);
		json_array_append_new(out, o);
		break;
	case TR_REPLY:
		json_array_foreach(content, i, b)
			if (i < BLOCKS_MOST)
				reply_block(out, l, b, max);
		break;
	case TR_RESULT:
		json_array_foreach(content, i, b)
			if (i < BLOCKS_MOST)
				result_block(out, l, b, max);
		break;
	case TR_TOTAL:
	case TR_OTHER:
		break;
	}
	return out;
}

static void claude_head(char out[TRANSCRIPT_HEAD_MAX], const char *text)
{
	char plain[4 * TRANSCRIPT_HEAD_MAX];
	size_t n = 0;
	const char *start = text ? text : "", *end;

	for (const char *p = start; *p && n + 1 < sizeof(plain) && p - start < HEAD_LOOK;) {
		if (str_starts(p, PASTED) && (end = memchr(p, '>', strnlen(p, MARK_MOST))))
			p = end + 1;
		else if (str_starts(p, PASTED_END))
			p += strlen(PASTED_END);
		else
			plain[n++] = *p++;
	}
	plain[n] = '\0';
	agent_text(out, TRANSCRIPT_HEAD_MAX, plain);
}

const struct transcript_format claude_transcript = {
	.home_dir = ".claude",
	.dir_env = "CLAUDE_CONFIG_DIR",
	.below = "projects",
	.running = "sessions",
	.named = claude_named,
	.path = claude_path,
	.wanted = claude_wanted,
	.parse = claude_parse,
	.entries = claude_entries,
	.finish = tr_finish,
	.head = claude_head,
};
