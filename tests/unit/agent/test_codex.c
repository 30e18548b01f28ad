/* SPDX-License-Identifier: ISC */
/* Codex: its command line, what its reports, title and screen mean, and what is refused. */
#include "base/util.h"
#include "daemon/agent/codex.h"
#include "tests/unit/run.h"

static struct instance *in;
static struct agent_fact fact;
static const struct agent_program *codex;

static void setup(void)
{
	codex = agent_find("codex");
	in = instance_new();
	strcpy(in->id, "ab12cd");
	in->agent = xstrdup("codex");
	in->state = ST_STARTING;
}

static void teardown(void)
{
	instance_free(in);
}

static void take(void)
{
	if (!fact.has_state)
		return;
	in->state = fact.state;
	free(in->reason);
	in->reason = xstrdup(fact.reason[0] ? fact.reason : NULL);
}

static void tell(const char *event, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);
	struct err e = {0};

	memset(&fact, 0, sizeof(fact));
	ck_assert_msg(codex->report(in, event, o, &fact, &e) == 0, "%s", e.message);
	json_decref(o);
	take();
}

static void act(struct agent_activity a)
{
	memset(&fact, 0, sizeof(fact));
	codex->activity(in, &a, &fact);
	take();
}

START_TEST(test_a_session)
{
	act((struct agent_activity){.screen = "> Ask Codex to do anything"});
	ck_assert(in->state == ST_IDLE && fact.ready);
	tell("SessionStart", "{\"session_id\":\"01a1ff01-a344-72c1-8000-87eba63f1ac7\",\"source\":\"startup\"}");
	ck_assert_str_eq(fact.conversation, "01a1ff01-a344-72c1-8000-87eba63f1ac7");
	ck_assert(!fact.has_state);
	tell("UserPromptSubmit", "{\"prompt\":\"do\\nit\"}");
	ck_assert(in->state == ST_WORKING && fact.prompt_delivered);
	ck_assert_str_eq(fact.prompt_head, "do it");
	tell("PreToolUse", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	ck_assert_int_eq(in->state, ST_WORKING);
	tell("PermissionRequest", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	ck_assert_int_eq(in->state, ST_WAITING);
	ck_assert_str_eq(fact.detail, "Bash: make");
	tell("PostToolUse", "{}");
	ck_assert_int_eq(in->state, ST_WORKING);
	tell("Stop", "{\"last_assistant_message\":\"made\"}");
	ck_assert(in->state == ST_IDLE && fact.turn_ended);
	ck_assert_str_eq(fact.detail, "made");
}
END_TEST

START_TEST(test_interrupts_failures_and_dialogs)
{
	act((struct agent_activity){.quiet = true, .canonical = false});
	ck_assert(in->state == ST_WAITING && !strcmp(in->reason, "answer"));
	ck_assert(codex->looks(in));
	act((struct agent_activity){.screen = "Ask Codex to do anything"});
	ck_assert_int_eq(in->state, ST_IDLE);
	ck_assert(!codex->looks(in));
	tell("UserPromptSubmit", "{\"prompt\":\"x\"}");
	tell("Interrupt", "{}");
	ck_assert(in->state == ST_IDLE && !strcmp(in->reason, "interrupted"));
	tell("UserPromptSubmit", "{\"prompt\":\"x\"}");
	act((struct agent_activity){.title_moved = true, .title = "\xe2\xa0\x8b work"});
	ck_assert_int_eq(in->state, ST_WORKING);
	act((struct agent_activity){.title_moved = true, .title = "[ . ] Action Required | work"});
	ck_assert_int_eq(in->state, ST_WORKING);
	act((struct agent_activity){.title_moved = true, .title = "work"});
	ck_assert(in->state == ST_IDLE && fact.turn_ended);
}
END_TEST

START_TEST(test_malformed_reports)
{
	struct err e = {0};
	json_t *list = json_array(), *odd = json_loads("{\"session_id\":7,\"prompt\":[],\"tool_input\":\"x\"}", 0, NULL);

	ck_assert_int_lt(codex->report(in, "Stop", list, &fact, &e), 0);
	ck_assert_int_lt(codex->report(in, "Nonsense", odd, &fact, &e), 0);
	ck_assert_int_eq(codex->report(in, "SessionStart", odd, &fact, &e), 0);
	ck_assert_str_eq(fact.conversation, "");
	in->state = ST_EXITED;
	memset(&fact, 0, sizeof(fact));
	ck_assert_int_eq(codex->report(in, "UserPromptSubmit", odd, &fact, &e), 0);
	ck_assert(!fact.has_state);
	json_decref(list);
	json_decref(odd);
}
END_TEST

START_TEST(test_its_command_line)
{
	struct agent_place pl = {.guest_program = "/usr/lib/guest", .run_dir = "/run", .program_path = "codex", .user = "me",
		.home = "/home/me", .prompt = "-go"};
	struct agent_launch l;
	struct err e = {0};
	bool found = false;

	pl.guest_program = "/usr/lib/it's/guest";
	in->permissions = PERM_PLAN;
	ck_assert_int_eq(codex->launch(in, &pl, &l, &e), 0);
	ck_assert_str_eq(l.argv[1], "--no-daemon");
	int n = 0;
	while (l.argv[n])
		n++;
	ck_assert_str_eq(l.argv[n - 1], "-go");
	ck_assert_str_eq(l.argv[n - 2], "--");
	ck_assert_str_eq(l.argv[n - 3], "read-only");
	for (int i = 0; i < n; i++)
		found |= strstr(l.argv[i], "/<session-flags>/config.toml:stop:0:0\"={trusted_hash=\"sha256:") != NULL;
	ck_assert(found);
	agent_launch_finish(&l);
	in->conversation = xstrdup("01a1ff01-a344-72c1-8000-87eba63f1ac7");
	in->turns = 1;
	pl.resume = true;
	pl.prompt = NULL;
	ck_assert_int_eq(codex->launch(in, &pl, &l, &e), 0);
	for (n = 0; l.argv[n]; n++)
		;
	ck_assert_str_eq(l.argv[n - 2], "resume");
	ck_assert_str_eq(l.argv[n - 1], in->conversation);
	agent_launch_finish(&l);
}
END_TEST

/* In a machine: trusted, its key in a file of its own, which the folder's memory holds. */
START_TEST(test_in_a_machine)
{
	struct agent_place pl = {.guest_program = "/g", .run_dir = "/run", .program_path = "codex", .user = "agent", .home = "/home/agent",
		.isolated = true, .login_kind = "api_key", .login_value = "of-another-program"};
	struct agent_launch l;
	struct err e = {0};
	bool trust = false, url = false;

	in->dir = xstrdup("/srv/a \"b\"");
	in->env = json_pack("{s:s, s:s}", "OPENAI_API_KEY", "k\"1", "OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
	ck_assert_int_eq(codex->check(in, &pl, &e), 0);
	ck_assert_int_eq(codex->launch(in, &pl, &l, &e), 0);
	for (char **a = l.argv; *a; a++) {
		trust |= !strcmp(*a, "projects={\"/srv/a \\\"b\\\"\"={trust_level=\"trusted\"}}");
		url |= !strcmp(*a, "openai_base_url=\"http://127.0.0.1:9/v1\"");
		ck_assert_msg(!strstr(*a, "k\"1") && !strstr(*a, "of-another"), "a secret stands in its command line");
	}
	ck_assert(trust && url);
	const json_t *file = json_array_get(l.files, 0);
	ck_assert_int_eq(json_array_size(l.files), 1);
	ck_assert_str_eq(json_string_value(json_object_get(file, "path")), "/home/agent/.codex/auth.json");
	ck_assert_str_eq(json_string_value(json_object_get(file, "content")), "{\"OPENAI_API_KEY\":\"k\\\"1\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(file, "mode")), 0600);
	agent_launch_finish(&l);
	ck_assert_str_eq(codex->private_dir, ".codex");
	/* On the host all of this is the user's own. */
	pl.isolated = false;
	ck_assert_int_eq(codex->launch(in, &pl, &l, &e), 0);
	ck_assert_int_eq(json_array_size(l.files), 0);
	agent_launch_finish(&l);
}
END_TEST

START_TEST(test_words_that_are_ours)
{
	static const char *const bad[][2] = {{"-sdanger-full-access"}, {"--yolo"}, {"-c", "approval_policy=\"never\""},
		{"-csandbox_mode=\"danger-full-access\""}, {"--config=hooks.Stop=[]"}, {"--config", " hooks={}"}, {"--disable", "hooks"},
		{"--disable=codex_hooks"}, {"--remote=ws://x"}, {"--approve-for-me"}};
	static const char *const good[][2] = {{"-c", "model_provider=\"x\""}, {"-c"}, {"--config=hooksy=1"}, {"--search"}, {"--disable", "apps"}};
	struct agent_place pl = {.program_path = "/bin/sh"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char *argv[] = {(char *)bad[i][0], (char *)bad[i][1], NULL};
		struct err e = {0};
		in->argv = argv;
		ck_assert_msg(codex->check(in, &pl, &e) < 0 && e.code == ERR_PARAMS && *e.hint, "%s", bad[i][0]);
		in->argv = NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char *argv[] = {(char *)good[i][0], (char *)good[i][1], NULL};
		struct err e = {0};
		in->argv = argv;
		ck_assert_msg(codex->check(in, &pl, &e) == 0, "%s: %s", good[i][0], e.message);
		in->argv = NULL;
	}
}
END_TEST

/* Two tools at once, and a subagent beside: what they tell is not an answer, nor an end. */
START_TEST(test_others_beside_it)
{
	in->state = ST_WORKING;
	tell("PermissionRequest", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	tell("PreToolUse", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"ls\"}}");
	ck_assert_msg(in->state == ST_WAITING, "another tool's report ended the question");
	tell("Stop", "{\"agent_id\":\"s1\",\"last_assistant_message\":\"sub\"}");
	ck_assert_msg(in->state == ST_WAITING && !fact.turn_ended, "a subagent's end is its parent's");
	tell("SessionStart", "{\"agent_id\":\"s1\",\"session_id\":\"01a1ff01-a344-72c1-8000-87eba63f1ac7\"}");
	ck_assert_str_eq(fact.conversation, "");
}
END_TEST

static json_t *object(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(o);
	return o;
}

START_TEST(test_what_it_asks)
{
	json_t *q = object("{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\",\"description\":\"why\"}}");
	json_t *done = object("{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	json_t *patch = object("{\"tool_name\":\"apply_patch\",\"tool_input\":{\"command\":\"*** Begin Patch\"}}");
	json_t *odd = object("{\"tool_name\":\"AskUserQuestion\",\"tool_input\":{\"questions\":7}}");
	struct agent_ask a = {0}, b = {0};

	ck_assert(codex_ask("PermissionRequest", q, &a) && a.kind == AK_PERMISSION);
	ck_assert_int_eq(codex_ask_over("PostToolUse", done, &b), OVER_TOOL);
	ck_assert_str_eq(a.match, b.match);
	ck_assert_int_eq(codex_ask_over("Interrupt", done, &b), OVER_AGENT);
	ck_assert_ptr_null(codex_ask_diff(&a, NULL));
	ck_assert(codex_ask("PermissionRequest", patch, &a));
	char *diff = codex_ask_diff(&a, NULL);
	ck_assert_str_eq(diff, "*** Begin Patch");
	free(diff);
	ck_assert_msg(codex_ask("PermissionRequest", odd, &a) && a.kind == AK_PERMISSION, "a question that its hook could not answer");
	ck_assert(!codex_ask("PermissionRequest", json_null(), &a));
	json_decref(q);
	json_decref(done);
	json_decref(patch);
	json_decref(odd);
}
END_TEST

/* One line of many pieces is joined in one go. */
START_TEST(test_many_texts)
{
	json_t *content = json_array();
	struct transcript_line l = {0};
	struct err e = {0};

	for (int i = 0; i < 1200; i++)
		json_array_append_new(content, i % 2 ? json_pack("{s:s}", "text", "ab") : json_pack("{s:i}", "text", 7));
	json_t *line = json_pack("{s:s, s:{s:s, s:{s:s, s:o}}}", "type", "event_msg", "payload", "type", "item_completed", "item", "type",
		"UserMessage", "content", content);
	char *text = json_dumps(line, JSON_COMPACT);
	ck_assert_int_eq(codex_transcript.parse(text, strlen(text), &l, &e), 0);
	ck_assert_int_eq(strlen(l.text), 500 * 3 - 1);
	codex_transcript.finish(&l);
	free(text);
	json_decref(line);
}
END_TEST

TEST_MAIN_FIXTURE("agent/codex", setup, teardown, test_a_session, test_interrupts_failures_and_dialogs,
	test_malformed_reports, test_its_command_line, test_in_a_machine, test_words_that_are_ours, test_others_beside_it,
	test_what_it_asks, test_many_texts)
