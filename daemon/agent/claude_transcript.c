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
#include "daemon/agent/agent.h"

#define UUID_LEN 36
#define NANO 1e9
#define COST_MOST 1e9 /* dollars: more is nonsense */
#define TOKENS_MOST INT64_C(1000000000) /* of one kind in a message: more is nonsense */
#define MODELS_MOST 64
#define PASTED "<pasted_content"
#define PASTED_END "</pasted_content>"
#define MARK_MOST 1024 /* of such a mark */
#define HEAD_LOOK (64 * 1024) /* of a prompt: marks take much, what is compared little */
#define BLOCKS_MOST 1000 /* of one line */

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static bool uuid_like(const char *s)
{
	return strlen(s) == UUID_LEN && strspn(s, "0123456789abcdefABCDEF-") == UUID_LEN;
}

/* Ids and names: one that is too long, or holds what is not printable, counts as absent. */
static void word(char *out, size_t size, const char *s)
{
	size_t n = strlen(s);

	*out = '\0';
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] <= ' ' || (unsigned char)s[i] >= 0x7f)
			return;
	if (n < size)
		memcpy(out, s, n + 1);
}

/* ---- where the files are ---- */

static bool claude_named(const json_t *body, const char *root, char conversation[TRANSCRIPT_ID_MAX],
	char path[TRANSCRIPT_PATH_MAX])
{
	const char *id = text_of(body, "session_id"), *file = text_of(body, "transcript_path"), *rest;
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
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(line, len, words[i], strlen(words[i])))
			return true;
	return false;
}

static int64_t tokens(const json_t *o, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(o, key));
	return n < 0 || n > TOKENS_MOST ? 0 : n;
}

static void take_usage(const json_t *u, struct transcript_line *l)
{
	if (!json_is_object(u))
		return;
	l->has_usage = true;
	l->usage = (struct transcript_usage){
		.input = tokens(u, "input_tokens"),
		.output = tokens(u, "output_tokens"),
		.cache_read = tokens(u, "cache_read_input_tokens"),
		.cache_write = tokens(u, "cache_creation_input_tokens"),
		.thinking = tokens(json_object_get(u, "output_tokens_details"), "thinking_tokens"),
		.cache_write_1h = tokens(json_object_get(u, "cache_creation"), "ephemeral_1h_input_tokens"),
		.web_searches = tokens(json_object_get(u, "server_tool_use"), "web_search_requests"),
	};
}

static void take_reply(const json_t *doc, struct transcript_line *l)
{
	const json_t *m = json_object_get(doc, "message");
	const char *asked = text_of(doc, "requestSessionId");

	if (!json_is_object(m))
		return;
	l->kind = TR_REPLY;
	word(l->message, sizeof(l->message), text_of(m, "id"));
	word(l->request, sizeof(l->request), text_of(doc, "requestId"));
	word(l->model, sizeof(l->model), text_of(m, "model"));
	word(l->effort, sizeof(l->effort), text_of(doc, "effort"));
	l->error = json_is_true(json_object_get(doc, "isApiErrorMessage"));
	if (uuid_like(asked) && !is(asked, l->conversation))
		word(l->origin, sizeof(l->origin), asked);
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
		const char *s = i < BLOCKS_MOST && is(text_of(b, "type"), "text") ? json_string_value(json_object_get(b, "text")) : NULL;
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
		if (is(text_of(b, "type"), type))
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
		l->usage.input += tokens(u, "inputTokens");
		l->usage.output += tokens(u, "outputTokens");
		l->usage.thinking += tokens(u, "thinkingTokens");
		l->usage.cache_read += tokens(u, "cacheReadInputTokens");
		l->usage.cache_write += tokens(u, "cacheCreationInputTokens");
		l->usage.cache_write_1h += tokens(u, "cacheCreationEphemeral1hInputTokens");
		l->usage.web_searches += tokens(u, "webSearchRequests");
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
	json_error_t why;

	if (len > TRANSCRIPT_LINE_MAX)
		return err_set(e, ERR_LIMIT, "it has more than %d bytes", TRANSCRIPT_LINE_MAX);
	l.doc = json_loadb(line, len, 0, &why);
	if (!json_is_object(l.doc)) {
		json_decref(l.doc);
		return err_set(e, ERR_PARAMS, "it is not a JSON object");
	}
	const char *type = text_of(l.doc, "type"), *id = text_of(l.doc, "sessionId");
	const json_t *att = json_object_get(l.doc, "attachment");

	if (uuid_like(id))
		word(l.conversation, sizeof(l.conversation), id);
	word(l.uuid, sizeof(l.uuid), text_of(l.doc, "uuid"));
	l.time_ms = transcript_time(json_string_value(json_object_get(l.doc, "timestamp")));
	l.side = json_is_true(json_object_get(l.doc, "isSidechain"));
	if (is(type, "assistant"))
		take_reply(l.doc, &l);
	else if (is(type, "user"))
		take_user(l.doc, &l);
	else if (is(type, "cost-state"))
		take_total(l.doc, &l);
	else if (is(type, "attachment") && is(text_of(att, "type"), "queued_command"))
		take_queued(json_object_get(att, "prompt"), true, &l);
	else if (is(type, "queue-operation") && is(text_of(l.doc, "operation"), "enqueue"))
		take_queued(json_object_get(l.doc, "content"), false, &l);
	else if (is(type, "system") && is(text_of(l.doc, "subtype"), "compact_boundary"))
		l.kind = TR_COMPACT;
	*ret = l;
	return 0;
}

/* ---- what is shown ---- */

/* The head of a text, cut at a character. */
static void put_text(json_t *o, const char *text, size_t max)
{
	size_t len = strlen(text), n = len;

	if (len > max) {
		for (n = max; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--)
			;
		json_object_set_new(o, "cut", json_integer((json_int_t)(len - n)));
	}
	json_object_set_new(o, "text", json_stringn(text, n));
}

static json_t *entry_of(const struct transcript_line *l, const char *kind)
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

/* A tool's input with every long text in it cut; so deep, no deeper. */
static json_t *shortened(const json_t *j, size_t max, int depth)
{
	const char *key;
	json_t *v, *out;
	size_t i;

	if (json_is_string(j) && json_string_length(j) > max) {
		json_t *cut = json_object();
		put_text(cut, json_string_value(j), max);
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

static void reply_block(json_t *out, const struct transcript_line *l, const json_t *b, size_t max)
{
	const char *type = text_of(b, "type");
	json_t *o;

	if (is(type, "text")) {
		o = entry_of(l, "text");
		put_text(o, text_of(b, "text"), max);
	} else if (is(type, "thinking")) {
		if (!*text_of(b, "thinking"))
			return;
		o = entry_of(l, "thinking");
		put_text(o, text_of(b, "thinking"), max);
	} else if (is(type, "tool_use") || is(type, "server_tool_use")) {
		o = entry_of(l, "tool");
		json_object_set_new(o, "tool", json_string(text_of(b, "name")));
		json_object_set_new(o, "tool_id", json_string(text_of(b, "id")));
		json_object_set_new(o, "input", shortened(json_object_get(b, "input"), max, 16) ?: json_null());
	} else {
		return;
	}
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
	json_array_append_new(out, o);
}

static void result_block(json_t *out, const struct transcript_line *l, const json_t *b, size_t max)
{
	if (!is(text_of(b, "type"), "tool_result"))
		return;
	cleanup_free char *text = joined(json_object_get(b, "content"));
	json_t *o = entry_of(l, "result");

	json_object_set_new(o, "tool_id", json_string(text_of(b, "tool_use_id")));
	put_text(o, text ? text : has_block(json_object_get(b, "content"), "image") ? "[image]" : "", max);
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
		o = entry_of(l, l->kind == TR_PROMPT ? "prompt" : l->kind == TR_QUEUED ? "queued" : "compact");
		put_text(o, l->text ? l->text : l->kind == TR_PROMPT ? "[image]" : "", max);
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

static void claude_finish(struct transcript_line *l)
{
	free(l->text);
	json_decref(l->doc);
	memset(l, 0, sizeof(*l));
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
	.finish = claude_finish,
	.head = claude_head,
};
