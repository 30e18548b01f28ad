/* SPDX-License-Identifier: ISC */
/* OpenCode: its command line and configuration, its plugin's reports, its screen, its lines; Codex's lines. */
#include "base/util.h"
#include "daemon/agent/codex.h"
#include "daemon/agent/opencode.h"
#include "tests/unit/run.h"

#define SESSION_ID "ses_e00582ea1ffe4XUqYh7iZCOrfD"

static struct instance *in;
static struct agent_fact fact;
static const struct agent_program *opencode;
static struct agent_place pl;

static void setup(void)
{
	opencode = agent_find("opencode");
	in = instance_new();
	strcpy(in->id, "ab12cd");
	in->agent = xstrdup("opencode");
	in->state = ST_STARTING;
	in->permissions = PERM_ASK;
	pl = (struct agent_place){.guest_program = "/usr/lib/guest", .run_dir = "/run", .program_path = "opencode", .user = "me",
		.home = "/home/me"};
}

static void teardown(void)
{
	instance_free(in);
}

static void tell(const char *event, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);
	struct err e = {0};

	memset(&fact, 0, sizeof(fact));
	ck_assert_msg(opencode->report(in, event, o, &fact, &e) == 0, "%s", e.message);
	json_decref(o);
	if (fact.has_state)
		in->state = fact.state;
}

START_TEST(test_a_turn)
{
	tell("SessionStart", "{\"session_id\":\"" SESSION_ID "\"}");
	ck_assert_str_eq(fact.conversation, SESSION_ID);
	ck_assert(!fact.has_state);
	tell("UserPromptSubmit", "{\"session_id\":\"" SESSION_ID "\",\"prompt\":\"do\\nit\"}");
	ck_assert(in->state == ST_WORKING && fact.ready && fact.prompt_delivered);
	ck_assert_str_eq(fact.prompt_head, "do it");
	tell("PermissionRequest", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	ck_assert(in->state == ST_WAITING);
	ck_assert_str_eq(fact.reason, "permission");
	ck_assert_str_eq(fact.detail, "Bash: make");
	tell("PreToolUse", "{\"tool_name\":\"Read\"}");
	ck_assert_msg(in->state == ST_WAITING, "another tool's report ended the question");
	tell("PostToolUse", "{\"tool_name\":\"Bash\"}");
	ck_assert(in->state == ST_WORKING);
	tell("Stop", "{\"last_assistant_message\":\"done\"}");
	ck_assert(in->state == ST_IDLE && fact.turn_ended && !fact.turn_failed);
	tell("Interrupt", "{}");
	ck_assert(fact.turn_broken);
	tell("StopFailure", "{\"error\":\"APIError\",\"message\":\"no\"}");
	ck_assert(fact.turn_failed);
	ck_assert_str_eq(fact.turn_error, "APIError");
}
END_TEST

START_TEST(test_bad_reports)
{
	static const char *const ids[] = {"", "ses_", "ses_../../x", "01a1ff01-a344-72c1-8000-87eba63f1ac7",
		"ses_012345678901234567890123456789012345678901234567890123456789"};
	struct err e = {0};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ck_assert_msg(!opencode_session_id(ids[i]), "%s", ids[i]);
	ck_assert_int_eq(opencode->report(in, "Nonsense", list, &fact, &e), -1);
	ck_assert_int_eq(opencode->report(in, "Stop", list, &fact, &e), -1);
	tell("Interrupt", "{}");
	ck_assert_msg(!fact.has_state, "it starts: nothing was to be interrupted");
	json_decref(list);
}
END_TEST

START_TEST(test_its_prompt_is_seen)
{
	struct agent_activity a = {.screen = "  esc interrupt   ctrl+p commands"};

	opencode->activity(in, &a, &fact);
	ck_assert(!fact.ready);
	a.screen = "   tab agents  ctrl+p commands";
	a.first_prompt = true;
	opencode->activity(in, &a, &fact);
	ck_assert_msg(!fact.ready, "its first prompt follows");
	a.first_prompt = false;
	opencode->activity(in, &a, &fact);
	ck_assert(fact.ready && fact.state == ST_IDLE);
}
END_TEST

static struct agent_launch launched(void)
{
	struct agent_launch l = {0};
	struct err e = {0};

	ck_assert_msg(opencode->launch(in, &pl, &l, &e) == 0, "%s", e.message);
	return l;
}

START_TEST(test_launch)
{
	char *base[] = {(char *)"OPENCODE_CONFIG_CONTENT={\"plugin\":[\"theirs\"],\"share\":\"disabled\"}", NULL};
	struct agent_launch l;
	json_t *config, *list;

	pl.base_env = base;
	l = launched();
	config = json_loads(strv_env_get(l.env, "OPENCODE_CONFIG_CONTENT"), 0, NULL);
	list = json_object_get(config, "plugin");
	ck_assert_str_eq(json_string_value(json_array_get(list, 0)), "theirs");
	ck_assert_str_eq(json_string_value(json_array_get(json_array_get(list, 1), 0)), "file:///run/ab12cd.opencode.js");
	ck_assert_str_eq(json_string_value(json_object_get(json_array_get(json_array_get(list, 1), 1), "folder")),
		"/home/me/.local/share/opencode/tmux-claude");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(config, "permission"), "*")), "ask");
	ck_assert_str_eq(json_string_value(json_object_get(config, "share")), "disabled");
	ck_assert_ptr_null(l.argv[1]);
	json_decref(config);
	agent_launch_finish(&l);

	/* A conversation that is known is gone on with, whether or not a turn of it ended. */
	in->conversation = xstrdup(SESSION_ID);
	in->permissions = PERM_ALL;
	pl.prompt = "-x";
	l = launched();
	ck_assert_str_eq(l.argv[1], "--session");
	ck_assert_str_eq(l.argv[2], SESSION_ID);
	ck_assert_str_eq(l.argv[3], "--auto");
	ck_assert_str_eq(l.argv[4], "--prompt=-x");
	ck_assert_str_eq(l.conversation, SESSION_ID);
	agent_launch_finish(&l);

	free(take_ptr(in->conversation));
	in->branch_of = xstrdup(SESSION_ID);
	l = launched();
	ck_assert_str_eq(l.argv[3], "--fork");
	ck_assert_str_eq(l.conversation, "");
	agent_launch_finish(&l);
}
END_TEST

/* In a machine its database is on the disk, what it logs in with is not. */
START_TEST(test_in_a_machine)
{
	struct agent_launch l;
	bool keeps = false;

	pl.isolated = true;
	pl.home = "/home/agent";
	pl.login_kind = "api_key";
	pl.login_value = "of-another-program";
	struct err e = {0};
	ck_assert(opencode->check(in, &pl, &e) < 0 && e.code == ERR_MISSING && *e.hint);
	l = launched();
	ck_assert_str_eq(strv_env_get(l.env, "OPENCODE_DB"), "tmux-claude/opencode.db");
	for (char **v = l.env; *v; v++)
		ck_assert_msg(!strstr(*v, "of-another"), "%s", *v);
	for (const char *const *k = opencode->private_keep; *k; k++)
		keeps |= str_starts("tmux-claude/opencode.db", *k);
	ck_assert(keeps);
	ck_assert_str_eq(opencode->private_dir, ".local/share/opencode");
	agent_launch_finish(&l);
	in->env = json_pack("{s:s}", "OPENCODE_DB", "/else");
	l = launched();
	ck_assert_str_eq(strv_env_get(l.env, "OPENCODE_DB"), "/else");
	agent_launch_finish(&l);
}
END_TEST

START_TEST(test_refused)
{
	static const char *const bad[] = {"--port=1", "--session", "--fork", "--auto", "run", "--pure"};
	struct err e = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *argv[] = {(char *)bad[i], NULL};
		in->argv = argv;
		ck_assert_msg(opencode->check(in, &pl, &e) < 0 && e.code == ERR_PARAMS, "%s", bad[i]);
		in->argv = NULL;
	}
	in->model = xstrdup("sonnet");
	ck_assert(opencode->check(in, &pl, &e) < 0 && e.code == ERR_PARAMS);
	free(take_ptr(in->model));
	in->env = json_pack("{s:s}", "OPENCODE_CONFIG_CONTENT", "[");
	ck_assert(opencode->check(in, &pl, &e) < 0 && e.code == ERR_PARAMS);
}
END_TEST

/* ---- lines ---- */

static struct transcript_line parsed(const struct transcript_format *f, const char *text)
{
	struct transcript_line l = {0};
	struct err e = {0};

	ck_assert_msg(f->parse(text, strlen(text), &l, &e) == 0, "%s", e.message);
	return l;
}

static void one_entry(const struct transcript_format *f, const char *text, const char *kind, const char *key, const char *value)
{
	struct transcript_line l = parsed(f, text);
	json_t *all = f->entries(&l, 1000), *o = json_array_get(all, 0);

	ck_assert_int_eq(json_array_size(all), 1);
	ck_assert_str_eq(json_string_value(json_object_get(o, "kind")), kind);
	ck_assert_str_eq(json_string_value(json_object_get(o, key)), value);
	json_decref(all);
	f->finish(&l);
}

START_TEST(test_lines)
{
	const struct transcript_format *f = &opencode_transcript;
	struct transcript_line l = parsed(f, "{\"type\":\"assistant\",\"id\":\"msg_1\",\"time\":1795290551111,\"tokens\":"
					     "{\"input\":10,\"output\":5,\"reasoning\":2,\"cache\":{\"read\":3,\"write\":4}}}");
	struct err e = {0};

	ck_assert(l.kind == TR_REPLY && l.has_usage && l.time_ms == 1795290551111);
	ck_assert_int_eq(l.usage.input, 10);
	ck_assert_int_eq(l.usage.output, 7);
	ck_assert_int_eq(l.usage.cache_read, 3);
	f->finish(&l);
	one_entry(f, "{\"type\":\"user\",\"id\":\"m\",\"text\":\"hi\"}", "prompt", "text", "hi");
	one_entry(f, "{\"type\":\"text\",\"id\":\"p\",\"text\":\"yes\"}", "text", "text", "yes");
	one_entry(f, "{\"type\":\"tool\",\"id\":\"c\",\"tool\":\"bash\",\"input\":{}}", "tool", "tool", "bash");
	one_entry(f, "{\"type\":\"result\",\"call\":\"c\",\"output\":\"out\"}", "result", "text", "out");
	ck_assert_int_eq(f->parse("[]", 2, &l, &e), -1);
	ck_assert_int_eq(f->parse("{\"type\":\"us", 11, &l, &e), -1);
}
END_TEST

START_TEST(test_where_lines_are)
{
	char id[TRANSCRIPT_ID_MAX], path[TRANSCRIPT_PATH_MAX];
	json_t *o = json_pack("{s:s, s:s}", "session_id", SESSION_ID, "transcript_path", "/d/" SESSION_ID ".jsonl");

	ck_assert(opencode_transcript.named(o, "/d", id, path));
	ck_assert_str_eq(path, SESSION_ID ".jsonl");
	json_object_set_new(o, "transcript_path", json_string("/d/../" SESSION_ID ".jsonl"));
	ck_assert(!opencode_transcript.named(o, "/d", id, path));
	json_decref(o);
}
END_TEST

#define UUID "01a1ffd3-0aae-7da3-8edd-7c0ce855ae1e"

START_TEST(test_codex_lines)
{
	const struct transcript_format *f = &codex_transcript;
	struct transcript_line l = parsed(f, "{\"timestamp\":\"2026-11-21T20:36:23.831Z\",\"type\":\"token_usage_record\",\"payload\":"
					     "{\"response_id\":\"r1\",\"usage\":{\"input_tokens\":10,\"cached_input_tokens\":4,"
					     "\"output_tokens\":5,\"reasoning_output_tokens\":1}}}");

	ck_assert(l.kind == TR_REPLY && l.has_usage && l.usage.input == 6 && l.usage.cache_read == 4 && l.usage.output == 5);
	ck_assert_str_eq(l.message, "r1");
	f->finish(&l);
	one_entry(f, "{\"type\":\"event_msg\",\"payload\":{\"type\":\"item_completed\",\"item\":{\"type\":\"UserMessage\",\"id\":\"u\","
		     "\"content\":[{\"type\":\"text\",\"text\":\"hi\"}]}}}", "prompt", "text", "hi");
	one_entry(f, "{\"type\":\"event_msg\",\"payload\":{\"type\":\"item_completed\",\"item\":{\"type\":\"AgentMessage\",\"id\":\"u\","
		     "\"content\":[{\"type\":\"Text\",\"text\":\"yes\"}]}}}", "text", "text", "yes");
	one_entry(f, "{\"type\":\"response_item\",\"payload\":{\"type\":\"function_call\",\"name\":\"exec_command\",\"call_id\":\"c\","
		     "\"arguments\":\"{\\\"cmd\\\":\\\"ls\\\"}\"}}", "tool", "tool", "exec_command");
	one_entry(f, "{\"type\":\"response_item\",\"payload\":{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"o\"}}",
		"result", "text", "o");
}
END_TEST

START_TEST(test_where_codex_lines_are)
{
	static const char *const bad[] = {"/s/../rollout-2026-" UUID ".jsonl", "/s/2026/../x-" UUID ".jsonl", "/t/2026/r-" UUID ".jsonl",
		"/s/2026/11/21/rollout.jsonl", "/x/sessions/../../2026/r-" UUID ".jsonl"};
	char id[TRANSCRIPT_ID_MAX], path[TRANSCRIPT_PATH_MAX];
	json_t *o = json_pack("{s:s, s:s}", "session_id", UUID, "transcript_path", "/s/2026/11/21/rollout-2026-11-21T20-36-23-" UUID ".jsonl");

	ck_assert(codex_transcript.named(o, "/s", id, path));
	ck_assert_str_eq(path, "2026/11/21/rollout-2026-11-21T20-36-23-" UUID ".jsonl");
	/* In a machine, resumed. */
	json_object_set_new(o, "transcript_path", json_string("/run/tmux-claude.disk-0/sessions/2026/11/21/rollout-x-" UUID ".jsonl"));
	ck_assert(codex_transcript.named(o, "/home/agent/.codex/sessions", id, path));
	ck_assert_str_eq(path, "2026/11/21/rollout-x-" UUID ".jsonl");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		json_object_set_new(o, "transcript_path", json_string(bad[i]));
		ck_assert_msg(!codex_transcript.named(o, "/s", id, path), "%s", bad[i]);
	}
	json_decref(o);
	ck_assert(codex_transcript.path("/x", UUID, path));
}
END_TEST

TEST_MAIN_FIXTURE("agent/opencode", setup, teardown, test_a_turn, test_bad_reports, test_its_prompt_is_seen, test_launch, test_in_a_machine, test_refused, test_lines,
	test_where_lines_are, test_codex_lines, test_where_codex_lines_are)
