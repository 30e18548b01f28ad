/* SPDX-License-Identifier: ISC */
/* Lines of transcripts: real ones (shortened) of Claude Code 2.1.329, and ones that nobody should write. */
#include "daemon/agent/agent.h"

#include <sys/resource.h>

#include "base/buf.h"
#include "base/util.h"
#include "tests/unit/run.h"

#define ID "896f8f69-e15a-45cf-aca0-a0bbb590c223"
#define OTHER "64af780a-01cb-4a18-8dbb-793d92a62845"
#define HEAD "\"uuid\":\"6a0c053a-e87d-4354-b464-81283160ae6d\",\"timestamp\":\"2026-11-21T16:13:14.175Z\",\"sessionId\":\"" ID "\""
#define AT_MS INT64_C(1795277594175)

static const struct transcript_format *f;
static struct transcript_line l;

static void setup(void)
{
	f = agent_find("claude")->transcript;
}

static void teardown(void)
{
	f->finish(&l);
}

static void line(const char *text)
{
	struct err e = {0};
	f->finish(&l);
	ck_assert_msg(f->parse(text, strlen(text), &l, &e) == 0, "%s", e.message);
}

/* What a person is shown, as one JSON text. */
static char *shown(size_t max)
{
	json_t *a = f->entries(&l, max);
	char *s = json_dumps(a, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(a);
	return s;
}

static void is_shown(const char *want)
{
	cleanup_free char *s = shown(1000);
	ck_assert_str_eq(s, want);
}

START_TEST(a_prompt_with_its_time)
{
	const char *text = "{\"parentUuid\":null,\"isSidechain\":false,\"type\":\"user\",\"message\":{\"role\":\"user\","
			   "\"content\":\"say: hello\\ntwo\"}," HEAD "}";
	line(text);
	ck_assert(f->wanted(text, strlen(text)));
	ck_assert_int_eq(l.kind, TR_PROMPT);
	ck_assert_str_eq(l.text, "say: hello\ntwo");
	ck_assert_int_eq(l.time_ms, AT_MS);
	ck_assert_str_eq(l.conversation, ID);
	ck_assert(!l.own && !l.side && !l.has_usage);
	is_shown("[{\"kind\":\"prompt\",\"text\":\"say: hello\\ntwo\",\"time\":1795277594175,"
		 "\"uuid\":\"6a0c053a-e87d-4354-b464-81283160ae6d\"}]");
	line("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\"},"
	     "{\"type\":\"text\",\"text\":\"b\"}]}," HEAD "}");
	ck_assert_str_eq(l.text, "a\nb");
}
END_TEST

START_TEST(the_programs_own_words_are_nobodys)
{
	static const char *const own[] = {"<task-notification>x", "<command-name>/clear</command-name>", "[Request interrupted by user]"};
	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		cleanup_free char *s = xasprintf("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"%s\"}," HEAD "}", own[i]);
		line(s);
		ck_assert(l.kind == TR_PROMPT && l.own);
	}
	line("{\"type\":\"user\",\"isMeta\":true,\"message\":{\"role\":\"user\",\"content\":\"x\"}}");
	ck_assert(l.own);
	line("{\"type\":\"user\",\"isCompactSummary\":true,\"message\":{\"role\":\"user\",\"content\":\"the summary\"}}");
	ck_assert_int_eq(l.kind, TR_COMPACT);
	line("{\"type\":\"queue-operation\",\"operation\":\"enqueue\",\"content\":\"later\"," HEAD "}");
	ck_assert(l.kind == TR_QUEUED && !l.own && !strcmp(l.text, "later"));
	ck_assert(!l.used);
	line("{\"type\":\"attachment\",\"attachment\":{\"type\":\"queued_command\",\"prompt\":\"later\"}," HEAD "}");
	ck_assert(l.kind == TR_QUEUED && l.used);
}
END_TEST

START_TEST(a_reply_with_what_it_cost)
{
	line("{\"isSidechain\":true,\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"model\":\"claude-opus-5-5\",\"content\":[{\"type\":"
	     "\"text\",\"text\":\"wrote\"},{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"Bash\",\"input\":{\"command\":\"ls\"}}],\"usage\":"
	     "{\"input_tokens\":10,\"cache_creation_input_tokens\":7,\"cache_read_input_tokens\":3,\"output_tokens\":5,"
	     "\"output_tokens_details\":{\"thinking_tokens\":2},\"cache_creation\":{\"ephemeral_1h_input_tokens\":6}}},"
	     "\"requestId\":\"req_1\",\"effort\":\"medium\",\"requestSessionId\":\"" OTHER "\",\"type\":\"assistant\"," HEAD "}");
	ck_assert_int_eq(l.kind, TR_REPLY);
	ck_assert(l.side && l.has_usage && !l.error);
	ck_assert_str_eq(l.message, "msg_1");
	ck_assert_str_eq(l.request, "req_1");
	ck_assert_str_eq(l.model, "claude-opus-5-5");
	ck_assert_str_eq(l.effort, "medium");
	ck_assert_str_eq(l.origin, OTHER);
	ck_assert_int_eq(l.usage.input, 10);
	ck_assert_int_eq(l.usage.output, 5);
	ck_assert_int_eq(l.usage.cache_read, 3);
	ck_assert_int_eq(l.usage.cache_write, 7);
	ck_assert_int_eq(l.usage.cache_write_1h, 6);
	ck_assert_int_eq(l.usage.thinking, 2);
	json_t *a = f->entries(&l, 100);
	ck_assert_uint_eq(json_array_size(a), 2);
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(a, 1), "tool")), "Bash");
	json_decref(a);
	line("{\"type\":\"assistant\",\"message\":{\"usage\":{\"input_tokens\":-5,\"output_tokens\":\"9\",\"cache_read_input_tokens\":9e99}}}");
	ck_assert(l.has_usage && l.usage.input == 0 && l.usage.output == 0 && l.usage.cache_read == 0);
}
END_TEST

START_TEST(a_result_and_a_total)
{
	const char *text = "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":[{\"tool_use_id\":\"toolu_1\",\"type\":\"tool_result\","
			   "\"is_error\":true,\"content\":[{\"type\":\"text\",\"text\":\"no such file\"}]}]}," HEAD "}";
	line(text);
	ck_assert_int_eq(l.kind, TR_RESULT);
	ck_assert(!f->wanted(text, strlen(text)));
	is_shown("[{\"error\":true,\"kind\":\"result\",\"text\":\"no such file\",\"time\":1795277594175,\"tool_id\":\"toolu_1\","
		 "\"uuid\":\"6a0c053a-e87d-4354-b464-81283160ae6d\"}]");
	line("{\"type\":\"cost-state\",\"sessionId\":\"" ID "\",\"totalCostUSD\":0.00042,\"modelUsage\":{\"a\":{\"inputTokens\":30,"
	     "\"outputTokens\":15},\"b\":{\"inputTokens\":1}}}");
	ck_assert_int_eq(l.kind, TR_TOTAL);
	ck_assert_int_eq(l.cost_nano, 420000);
	ck_assert_int_eq(l.usage.input, 31);
	ck_assert_int_eq(l.usage.output, 15);
}
END_TEST

START_TEST(long_texts_are_cut_at_a_character)
{
	line("{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"aäöü\"}}");
	cleanup_free char *s = shown(4);
	ck_assert_str_eq(s, "[{\"cut\":4,\"kind\":\"prompt\",\"text\":\"aä\"}]");
	line("{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"tool_use\",\"name\":\"W\",\"id\":\"t\",\"input\":{\"a\":[\"abcdef\"],"
	     "\"b\":7}}]}}");
	cleanup_free char *t = shown(3);
	ck_assert_str_eq(t, "[{\"input\":{\"a\":[\"abc\"],\"b\":7},\"kind\":\"tool\",\"tool\":\"W\",\"tool_id\":\"t\"}]");
}
END_TEST

START_TEST(what_is_no_line_is_refused)
{
	static const char *const bad[] = {"", "{", "[1]", "nonsense", "{\"type\":\"user\",\"message\":{\"ro", "7", "\"x\"", "{}{}", "{\"a\":\"\xff\"}"};
	struct err e = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(f->parse(bad[i], strlen(bad[i]), &l, &e) < 0, "%s", bad[i]);
	cleanup_free char *huge = xcalloc(1, TRANSCRIPT_LINE_MAX + 2);
	memset(huge, ' ', TRANSCRIPT_LINE_MAX + 1);
	ck_assert_int_lt(f->parse(huge, TRANSCRIPT_LINE_MAX + 1, &l, &e), 0);
	/* Of other types than expected. */
	static const char *const odd[] = {"{}", "{\"type\":7}", "{\"type\":\"user\"}", "{\"type\":\"user\",\"message\":[]}",
		"{\"type\":\"assistant\",\"message\":\"x\"}", "{\"type\":\"assistant\",\"message\":{\"content\":{\"type\":\"text\"},\"usage\":[]}}",
		"{\"type\":\"user\",\"message\":{\"content\":[7,null,{\"type\":{}}]}}", "{\"type\":\"cost-state\",\"modelUsage\":[1]}",
		"{\"type\":\"attachment\",\"attachment\":{\"type\":\"queued_command\",\"prompt\":{}}}"};
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		line(odd[i]);
		cleanup_free char *s = shown(10);
		ck_assert_ptr_nonnull(s);
	}
}
END_TEST

START_TEST(a_file_is_named_below_its_root_alone)
{
	static const struct {
		const char *path;
		bool ok;
	} rows[] = {
		{"/h/.claude/projects/-src/" ID ".jsonl", true},
		{"/h/.claude/projects//-src/" ID ".jsonl", true},
		{"/h/.claude/projects/" ID ".jsonl", false},
		{"/h/.claude/projects/../" ID ".jsonl", false},
		{"/h/.claude/projects/a/../" ID ".jsonl", false},
		{"/h/.claude/projects/a/b/" ID ".jsonl", false},
		{"/h/.claude/projectsx/a/" ID ".jsonl", false},
		{"/h/.claude/projects/a/" OTHER ".jsonl", false},
		{"/h/.claude/projects/a/" ID ".jsonl/x", false},
		{"/etc/shadow", false},
		{"", false},
	};
	char id[TRANSCRIPT_ID_MAX], path[TRANSCRIPT_PATH_MAX];
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *body = json_pack("{s:s, s:s}", "session_id", ID, "transcript_path", rows[i].path);
		ck_assert_msg(f->named(body, "/h/.claude/projects/", id, path) == rows[i].ok, "%s", rows[i].path);
		json_decref(body);
	}
	json_t *body = json_pack("{s:s, s:s}", "session_id", ID, "transcript_path", "/p/-src-a/" ID ".jsonl");
	ck_assert(f->named(body, "/p", id, path));
	ck_assert_str_eq(id, ID);
	ck_assert_str_eq(path, "-src-a/" ID ".jsonl");
	json_decref(body);
	ck_assert(f->path("/home/me/a.b_c", ID, path));
	ck_assert_str_eq(path, "-home-me-a-b-c/" ID ".jsonl");
	ck_assert(!f->path("/x", "../../etc/passwd", path));
}
END_TEST

START_TEST(prompts_are_compared_by_their_words)
{
	char a[TRANSCRIPT_HEAD_MAX], b[TRANSCRIPT_HEAD_MAX];
	f->head(a, "one\ttwo\n\nthree ");
	f->head(b, "one    two\nthree");
	ck_assert_str_eq(a, b);
	f->head(b, "<pasted_content id=\"1\">one two</pasted_content> three");
	ck_assert_str_eq(a, b);
	ck_assert_int_eq(transcript_time("2026-11-21T16:13:14.175Z"), AT_MS);
	ck_assert_int_eq(transcript_time("2026-11-21T16:13:14Z"), AT_MS - 175);
	ck_assert_int_eq(transcript_time("yesterday"), 0);
	ck_assert_int_eq(transcript_time(NULL), 0);
}
END_TEST

/* One line of 4 MiB in a thousand blocks: copied anew for each, that were 2 GB. */
START_TEST(many_blocks_are_joined_once)
{
	const size_t size = TRANSCRIPT_LINE_MAX / 1000 - 64;
	struct buf b;
	struct err e = {0};
	char *block = xcalloc(1, size + 1);
	struct rusage before, after;

	memset(block, 'x', size);
	buf_init(&b, TRANSCRIPT_LINE_MAX);
	ck_assert_int_eq(buf_printf(&b, "{\"type\":\"user\"," HEAD ",\"message\":{\"role\":\"user\",\"content\":["), 0);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(buf_printf(&b, "%s{\"type\":\"text\",\"text\":\"", i ? "," : ""), 0);
		ck_assert_int_eq(buf_append(&b, block, size), 0);
		ck_assert_int_eq(buf_printf(&b, "\"}"), 0);
	}
	ck_assert_int_eq(buf_printf(&b, "]}}"), 0);
	json_t *alone = json_loadb((const char *)buf_data(&b), b.len, 0, NULL);
	ck_assert_ptr_nonnull(alone);
	json_decref(alone);
	getrusage(RUSAGE_SELF, &before);
	ck_assert_int_eq(f->parse((const char *)buf_data(&b), b.len, &l, &e), 0);
	getrusage(RUSAGE_SELF, &after);
	ck_assert_uint_eq(strlen(l.text), 1000 * (size + 1) - 1);
	ck_assert_int_eq(l.text[size], '\n');
	/* Touching 2 GB of fresh memory faults half a million pages in; once 4 MiB and its parsing some thousand. */
	ck_assert_int_lt(after.ru_minflt - before.ru_minflt, 50000);
	buf_finish(&b);
	free(block);
}
END_TEST

TEST_MAIN_FIXTURE("agent/transcript", setup, teardown, many_blocks_are_joined_once, a_prompt_with_its_time, the_programs_own_words_are_nobodys,
	a_reply_with_what_it_cost, a_result_and_a_total, long_texts_are_cut_at_a_character, what_is_no_line_is_refused,
	a_file_is_named_below_its_root_alone, prompts_are_compared_by_their_words)
