/* SPDX-License-Identifier: ISC */
/* Codex: its command line, what its reports, title and screen mean, and what is refused. */
#include "base/util.h"
#include "daemon/agent/agent.h"
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
	pl.isolated = true;
	ck_assert_int_lt(codex->check(in, &pl, &e), 0);
	ck_assert_int_eq(e.code, ERR_MISSING);
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

TEST_MAIN_FIXTURE("agent/codex", setup, teardown, test_a_session, test_interrupts_failures_and_dialogs,
	test_malformed_reports, test_its_command_line)
