/* SPDX-License-Identifier: ISC */
/* What reports mean: real ones, recorded from Claude Code 2.1.329, and ones that nobody should send. */
#include "base/util.h"
#include "daemon/agent/agent.h"
#include "tests/unit/run.h"

#define REPORTS_MAX (256 * 1024)
#define TRACE_MAX 1024

static const struct agent_program *claude, *shell;
static struct instance *in;
static struct agent_fact fact; /* the last one */

static void setup(void)
{
	claude = agent_find("claude");
	shell = agent_find("shell");
	in = instance_new();
	in->state = ST_STARTING;
}

static void teardown(void)
{
	instance_free(in);
}

static void enter(enum inst_state s, const char *reason)
{
	in->state = s;
	free(in->reason);
	in->reason = reason && *reason ? xstrdup(reason) : NULL;
}

/* As core takes a fact over. */
static void take(void)
{
	if (!fact.has_state)
		return;
	enter(fact.state, fact.reason);
	free(in->detail);
	in->detail = fact.detail[0] ? xstrdup(fact.detail) : NULL;
}

static int tell(const char *event, const json_t *body)
{
	struct err e = {0};
	memset(&fact, 0, sizeof(fact));
	if (claude->report(in, event, body, &fact, &e)) {
		ck_assert(e.message[0]);
		return -1;
	}
	take();
	return 0;
}

static void must_tell(const char *event, const char *body)
{
	json_t *o = json_loads(body, 0, NULL);
	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(tell(event, o), 0);
	json_decref(o);
}

/* Replays a recording whose first SessionStart is called start; the states it goes through, as
 * "state/reason" words, each followed by + when a turn ended and ! when a prompt was delivered. */
static const char *replay(const char *name, const char *start)
{
	static char trace[TRACE_MAX];
	const char *src = getenv("TC_SRCDIR");
	cleanup_free char *path =
		xasprintf("%s/tests/unit/agent/reports/%s.json", src ? src : "..", name);
	cleanup_free char *text = NULL;
	struct err e = {0};
	size_t n, len = 0;
	json_t *row;

	ck_assert_msg(file_read(path, REPORTS_MAX, &text, NULL, &e) == 0, "%s", e.message);
	json_t *all = json_loads(text, 0, NULL);
	ck_assert(json_array_size(all) > 0);
	trace[0] = '\0';
	json_array_foreach(all, n, row) {
		const char *event = json_string_value(json_object_get(row, "event"));
		bool first = !strcmp(event, "SessionStart") && n == 0;
		ck_assert_int_eq(tell(first ? start : event, json_object_get(row, "body")), 0);
		len += (size_t)snprintf(trace + len, sizeof(trace) - len, "%s%s%s%s%s%s", len ? " " : "",
			state_name(in->state), in->reason ? "/" : "", in->reason ? in->reason : "",
			fact.turn_ended ? "+" : "", fact.prompt_delivered ? "!" : "");
	}
	json_decref(all);
	return trace;
}

START_TEST(test_two_turns_and_an_end)
{
	ck_assert_str_eq(replay("turn", "SessionStartPrompt"),
		"starting working! working working idle+ working! idle+ idle");
}
END_TEST

START_TEST(test_a_permission_is_asked_for_and_given)
{
	ck_assert_str_eq(replay("permission", "SessionStartPrompt"),
		"starting working! working waiting/permission working idle+");
}
END_TEST

START_TEST(test_a_late_notification_keeps_the_better_detail)
{
	ck_assert_str_eq(replay("notification", "SessionStartPrompt"),
		"starting working! working waiting/permission waiting/permission");
	ck_assert_str_eq(in->detail, "Write: /rig/work/a.txt");
}
END_TEST

START_TEST(test_a_question_waits_for_an_answer)
{
	ck_assert_str_eq(replay("question", "SessionStartPrompt"),
		"starting working! waiting/answer waiting/answer working idle+");
}
END_TEST

START_TEST(test_a_plan_waits_for_an_answer)
{
	ck_assert_str_eq(replay("plan", "SessionStartPrompt"),
		"starting working! waiting/answer waiting/answer");
	ck_assert_str_eq(in->detail, "ExitPlanMode"); /* the plan stands in a file of its own */
}
END_TEST

START_TEST(test_background_tasks_keep_it_working)
{
	ck_assert_str_eq(replay("background", "SessionStartPrompt"),
		"starting working! working working working/background+ working idle+");
}
END_TEST

START_TEST(test_a_subagent_keeps_it_working)
{
	ck_assert_str_eq(replay("subagent", "SessionStartPrompt"),
		"starting working! working working working working/background+ working working working "
		"working idle+");
}
END_TEST

START_TEST(test_no_login_is_waited_for)
{
	ck_assert_str_eq(replay("nologin", "SessionStartPrompt"), "starting working! waiting/login+");
	must_tell("Notification", "{\"notification_type\":\"auth_success\"}");
	ck_assert_int_eq(in->state, ST_IDLE);
	ck_assert(fact.ready);
}
END_TEST

START_TEST(test_the_login_menu_holds_the_first_prompt_back)
{
	ck_assert_str_eq(replay("login", "SessionStartNoLogin"), "waiting/login");
	ck_assert(fact.prompt_held);
	ck_assert(!fact.ready);
	must_tell("SessionStart", "{\"source\":\"clear\"}");
	ck_assert(!fact.prompt_held);
}
END_TEST

START_TEST(test_clear_begins_another_conversation)
{
	ck_assert_str_eq(replay("clear", "SessionStartPrompt"), "starting working! idle+ idle idle");
	ck_assert_uint_eq(strlen(fact.conversation), 36);
	ck_assert(!fact.ready);
}
END_TEST

START_TEST(test_the_first_start_by_how_it_was_started)
{
	static const char body[] =
		"{\"source\":\"startup\",\"session_id\":\"be0e21ef-393f-46b3-a2a3-a2e8e4528599\"}";
	must_tell("SessionStart", body);
	ck_assert(fact.ready && in->state == ST_IDLE && !fact.prompt_delivered);
	ck_assert_str_eq(fact.conversation, "be0e21ef-393f-46b3-a2a3-a2e8e4528599");
	enter(ST_STARTING, NULL);
	must_tell("SessionStartPrompt", body);
	ck_assert(!fact.ready && !fact.has_state);
	ck_assert_str_eq(fact.conversation, "be0e21ef-393f-46b3-a2a3-a2e8e4528599");
	must_tell("SessionStartCommand", body);
	ck_assert(fact.ready && fact.prompt_delivered);
	/* The same program's later ones are ordinary. */
	must_tell("SessionStartPrompt", "{\"source\":\"resume\"}");
	ck_assert(fact.ready && in->state == ST_IDLE);
	enter(ST_WORKING, NULL);
	must_tell("SessionStartPrompt", "{\"source\":\"compact\"}");
	ck_assert(!fact.has_state);
	must_tell("SessionStartNoLogin", "{\"source\":\"clear\"}");
	ck_assert(in->state == ST_IDLE && !fact.prompt_held);
}
END_TEST

START_TEST(test_failures_of_a_turn)
{
	enter(ST_WORKING, NULL);
	must_tell("StopFailure", "{\"error\":\"rate_limit\",\"last_assistant_message\":\"until 5pm\"}");
	ck_assert_int_eq(in->state, ST_LIMITED);
	ck_assert_str_eq(in->detail, "until 5pm");
	must_tell("UserPromptSubmit", "{\"prompt\":\"again\"}");
	ck_assert_int_eq(in->state, ST_WORKING);
	must_tell("StopFailure", "{\"error\":\"overloaded\"}");
	ck_assert_int_eq(in->state, ST_LIMITED);
	ck_assert_str_eq(in->reason, "overloaded");
	ck_assert(fact.turn_ended);
	enter(ST_WORKING, NULL);
	must_tell("StopFailure", "{\"error\":\"server_error\",\"last_assistant_message\":\"API Error: Connection refused "
				 "(ECONNREFUSED)\"}");
	ck_assert_str_eq(in->reason, "api_down");
	enter(ST_WORKING, NULL);
	must_tell("StopFailure", "{}");
	ck_assert_int_eq(in->state, ST_IDLE);
}
END_TEST

START_TEST(test_idle_prompt_is_a_safety_net)
{
	static const char body[] = "{\"notification_type\":\"idle_prompt\"}";
	enter(ST_WORKING, NULL);
	must_tell("Notification", body);
	ck_assert_int_eq(in->state, ST_IDLE);
	enter(ST_WORKING, "background");
	must_tell("Notification", body);
	ck_assert_int_eq(in->state, ST_WORKING);
	enter(ST_WAITING, "permission");
	must_tell("Notification", body);
	ck_assert_int_eq(in->state, ST_IDLE);
	enter(ST_WAITING, "login");
	must_tell("Notification", body);
	ck_assert_int_eq(in->state, ST_WAITING);
}
END_TEST

START_TEST(test_a_subagents_tools_do_not_hide_a_question)
{
	enter(ST_WORKING, NULL);
	must_tell("PermissionRequest", "{\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"make\"}}");
	ck_assert_str_eq(in->detail, "Bash: make");
	must_tell("PostToolUse", "{\"agent_id\":\"a1\",\"tool_name\":\"Read\"}");
	ck_assert_int_eq(in->state, ST_WAITING);
	must_tell("PostToolUse", "{\"agent_id\":\"a1\",\"tool_name\":\"Bas\"}");
	ck_assert_int_eq(in->state, ST_WAITING);
	must_tell("PostToolUse", "{\"tool_name\":\"Bash\"}");
	ck_assert_int_eq(in->state, ST_WORKING);
}
END_TEST

START_TEST(test_late_reports_do_not_bring_back_the_dead)
{
	static const enum inst_state states[] = {ST_STOPPING, ST_EXITED, ST_FAILED, ST_QUEUED,
		ST_PROVISIONING, ST_LOST, ST_PAUSED, ST_ASLEEP};
	static const char *const events[] = {"SessionStart", "UserPromptSubmit", "PreToolUse",
		"PermissionRequest", "Stop", "StopFailure", "Notification", "SessionEnd"};
	for (size_t s = 0; s < ARRAY_LEN(states); s++) {
		for (size_t k = 0; k < ARRAY_LEN(events); k++) {
			enter(states[s], NULL);
			must_tell(events[k], "{\"notification_type\":\"permission_prompt\"}");
			ck_assert(!fact.has_state && !fact.ready && !fact.prompt_delivered);
		}
	}
	/* A tool's report from before the start was over says nothing either. */
	enter(ST_STARTING, NULL);
	must_tell("PreToolUse", "{\"tool_name\":\"Bash\"}");
	ck_assert(!fact.has_state);
}
END_TEST

START_TEST(test_malformed_reports_are_survived)
{
	static const char *const bodies[] = {"{}", "{\"prompt\":7}", "{\"tool_name\":[]}",
		"{\"tool_name\":\"Bash\",\"tool_input\":7}", "{\"background_tasks\":\"x\"}",
		"{\"session_id\":\"../../etc/passwd\"}", "{\"session_id\":{}}", "{\"error\":[1]}",
		"{\"tool_name\":\"AskUserQuestion\",\"tool_input\":{\"questions\":{}}}",
		"{\"tool_name\":\"AskUserQuestion\",\"tool_input\":{\"questions\":[7]}}",
		"{\"notification_type\":null}", "{\"source\":0}"};
	static const char *const events[] = {"SessionStart", "SessionStartPrompt", "SessionStartCommand",
		"SessionStartNoLogin", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure",
		"PermissionRequest", "PermissionDenied", "Notification", "Stop", "StopFailure",
		"SubagentStart", "SubagentStop", "SessionEnd", "SessionFile", "PreCompact"};
	for (size_t b = 0; b < ARRAY_LEN(bodies); b++) {
		for (size_t k = 0; k < ARRAY_LEN(events); k++) {
			enter(ST_WORKING, NULL);
			must_tell(events[k], bodies[b]);
			ck_assert_str_eq(fact.conversation, "");
		}
	}
	for (size_t k = 0; k < ARRAY_LEN(events); k++) {
		json_t *list = json_array();
		ck_assert_int_eq(tell(events[k], NULL), -1);
		ck_assert_int_eq(tell(events[k], list), -1);
		json_decref(list);
	}
	json_t *o = json_object();
	ck_assert_int_eq(tell("NoSuchEvent", o), -1);
	ck_assert_int_eq(tell("", o), -1);
	json_decref(o);
}
END_TEST

START_TEST(test_long_texts_are_cut_at_a_character)
{
	char *long_text = xcalloc(1, 30001);
	for (int i = 0; i < 10000; i++)
		memcpy(long_text + 3 * i, "\xe2\x82\xac", 3);
	for (int shift = 0; shift < 3; shift++) {
		json_t *o = json_pack("{s:s+}", "prompt", &"ab"[2 - shift], long_text);
		enter(ST_IDLE, NULL);
		ck_assert_int_eq(tell("UserPromptSubmit", o), 0);
		size_t n = strlen(fact.prompt_head);
		ck_assert(n > AGENT_TEXT_MAX - 5 && n < AGENT_TEXT_MAX);
		ck_assert(utf8_valid(fact.prompt_head, n));
		json_decref(o);
	}
	free(long_text);
	enter(ST_WORKING, NULL);
	must_tell("Stop", "{\"last_assistant_message\":\"  two\\n\\nlines\\u001b[31m\\u0007 end \\n\"}");
	ck_assert_str_eq(in->detail, "two lines [31m end");
}
END_TEST

START_TEST(test_unknown_tools_show_their_input)
{
	enter(ST_WORKING, NULL);
	must_tell("PermissionRequest", "{\"tool_name\":\"mcp__x\",\"tool_input\":{\"n\":5}}");
	ck_assert_str_eq(in->detail, "mcp__x: {\"n\":5}");
	enter(ST_WORKING, NULL);
	must_tell("PermissionRequest", "{\"tool_name\":\"Odd\",\"tool_input\":{}}");
	ck_assert_str_eq(in->detail, "Odd");
}
END_TEST

/* What the file's word, kept in the row, says against the present state. */
static void file_says(const char *body)
{
	must_tell("SessionFile", body);
	ck_assert_msg(!fact.has_state, "the file alone moves nothing at once");
	free(in->session);
	in->session = xstrdup(fact.session[0] ? fact.session : NULL);
	memset(&fact, 0, sizeof(fact));
	claude->session(in, &fact);
	take();
}

START_TEST(test_the_session_file_tells_of_an_escape)
{
	enter(ST_WORKING, NULL);
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_IDLE);
	ck_assert_str_eq(in->reason, "interrupted");
	ck_assert(fact.turn_ended);
	file_says("{\"status\":\"busy\"}");
	ck_assert_int_eq(in->state, ST_WORKING);
	file_says("{\"status\":\"waiting\",\"waitingFor\":\"permission prompt\"}");
	ck_assert_str_eq(in->reason, "permission");
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_IDLE);
	file_says("{\"status\":\"waiting\",\"waitingFor\":\"dialog open\"}");
	ck_assert_str_eq(in->reason, "answer");
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_IDLE);
	enter(ST_WAITING, "login"); /* its menu runs as a command does, and asks as a dialog does */
	file_says("{\"status\":\"busy\"}");
	file_says("{\"status\":\"waiting\",\"waitingFor\":\"dialog open\"}");
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_WAITING);
	ck_assert_str_eq(in->reason, "login");
	enter(ST_WORKING, NULL);
	file_says("{\"status\":\"shell\"}");
	ck_assert_str_eq(in->reason, "background");
	ck_assert(fact.turn_ended && fact.turn_broken); /* else what was sent then would wait for its end for ever */
	file_says("{\"status\":\"shell\"}");
	ck_assert(!fact.has_state); /* once */
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_IDLE);
	enter(ST_STARTING, NULL);
	file_says("{\"status\":\"idle\"}");
	ck_assert_int_eq(in->state, ST_STARTING);
	enter(ST_LIMITED, "rate_limit");
	file_says("{\"status\":\"waiting\",\"waitingFor\":\"dialog open\"}");
	ck_assert_int_eq(in->state, ST_LIMITED);
	enter(ST_WORKING, NULL);
	file_says("{\"status\":\"nonsense\"}");
	ck_assert(!fact.has_state);
	file_says("{\"status\":7,\"waitingFor\":[]}");
	ck_assert(!fact.has_state);
}
END_TEST

static void act(const struct agent_program *p, struct agent_activity a)
{
	memset(&fact, 0, sizeof(fact));
	p->activity(in, &a, &fact);
	take();
}

START_TEST(test_silence_after_our_escape_is_idle)
{
	enter(ST_WORKING, NULL);
	act(claude, (struct agent_activity){.busy = false});
	ck_assert(!fact.has_state); /* silence alone is nothing: it thinks */
	act(claude, (struct agent_activity){.busy = true, .interrupted = true});
	ck_assert(!fact.has_state);
	act(claude, (struct agent_activity){.interrupted = true});
	ck_assert(in->state == ST_IDLE && fact.turn_ended);
}
END_TEST

START_TEST(test_a_title_at_its_prompt_is_idle)
{
	enter(ST_WORKING, NULL);
	act(claude, (struct agent_activity){.title = "\u25d0 Claude Code"});
	ck_assert(!fact.has_state);
	act(claude, (struct agent_activity){.busy = true, .title = "\u2733 Claude Code"});
	ck_assert(!fact.has_state);
	act(claude, (struct agent_activity){.title = "\u2733 Claude Code"});
	ck_assert_int_eq(in->state, ST_WORKING); /* it has not moved since the prompt: an old title */
	act(claude, (struct agent_activity){.title = "\u2733 Claude Code", .title_moved = true});
	ck_assert(in->state == ST_IDLE && fact.turn_ended);
	enter(ST_WORKING, "background");
	act(claude, (struct agent_activity){.title = "\u2733 Claude Code", .title_moved = true});
	ck_assert(!fact.has_state);
	enter(ST_WAITING, "permission");
	act(claude, (struct agent_activity){.title = "\u2733 Claude Code", .title_moved = true});
	ck_assert(!fact.has_state);
}
END_TEST

START_TEST(test_a_silent_raw_terminal_at_the_start_is_a_dialog)
{
	enter(ST_STARTING, NULL);
	act(claude, (struct agent_activity){.busy = false});
	ck_assert(!fact.has_state);
	act(claude, (struct agent_activity){.quiet = true, .canonical = true});
	ck_assert(!fact.has_state);
	act(claude, (struct agent_activity){.quiet = true});
	ck_assert(in->state == ST_WAITING && !strcmp(in->reason, "answer"));
	must_tell("SessionStartPrompt", "{\"source\":\"startup\"}"); /* answered */
	must_tell("UserPromptSubmit", "{\"prompt\":\"x\"}");
	ck_assert(in->state == ST_WORKING && fact.ready && fact.prompt_delivered);
}
END_TEST

START_TEST(test_a_shell_is_idle_in_front_and_silent)
{
	enter(ST_WORKING, NULL);
	act(shell, (struct agent_activity){.busy = false, .foreground = true});
	ck_assert_int_eq(in->state, ST_IDLE);
	act(shell, (struct agent_activity){.busy = false, .foreground = true});
	ck_assert(!fact.has_state); /* nothing new */
	act(shell, (struct agent_activity){.busy = false, .foreground = false});
	ck_assert_int_eq(in->state, ST_WORKING); /* a silent command runs */
	act(shell, (struct agent_activity){.busy = true, .foreground = true});
	ck_assert_int_eq(in->state, ST_WORKING);
	enter(ST_EXITED, NULL);
	act(shell, (struct agent_activity){.foreground = true});
	ck_assert(!fact.has_state);
}
END_TEST

START_TEST(test_a_shell_says_where_its_prompt_stands)
{
	struct agent_marks prompt = {.phase = PHASE_INPUT, .commands = true};
	struct agent_marks runs = {.phase = PHASE_RUNNING, .commands = true, .began = true};
	struct agent_marks over = {.phase = PHASE_PROMPT, .commands = true, .ended = true, .exit_known = true, .exit = 3};

	enter(ST_WORKING, NULL);
	act(shell, (struct agent_activity){.busy = true, .foreground = false, .marks = prompt});
	ck_assert_int_eq(in->state, ST_IDLE); /* at once */
	act(shell, (struct agent_activity){.foreground = true, .canonical = true, .marks = runs});
	ck_assert_int_eq(in->state, ST_WORKING); /* however silent */
	ck_assert(fact.prompt_delivered && !fact.turn_ended);
	act(shell, (struct agent_activity){.busy = true, .foreground = true, .marks = over});
	ck_assert_int_eq(in->state, ST_IDLE);
	ck_assert(fact.turn_ended && !fact.prompt_delivered);
	ck_assert_str_eq(in->detail, "exit 3");
	/* One that began and ended unseen. */
	over.began = over.prompted = true;
	over.exit = 0;
	act(shell, (struct agent_activity){.busy = true, .foreground = true, .marks = over});
	ck_assert(fact.turn_ended && fact.prompt_delivered);
	ck_assert_str_eq(in->detail, "exit 0");
	/* It marks its prompts only. */
	prompt.commands = false;
	act(shell, (struct agent_activity){.foreground = false, .marks = prompt});
	ck_assert_int_eq(in->state, ST_WORKING);
	/* Another line editor took its place. */
	runs.began = false;
	act(shell, (struct agent_activity){.foreground = true, .canonical = false, .marks = runs});
	ck_assert_int_eq(in->state, ST_IDLE);
}
END_TEST

TEST_MAIN_FIXTURE("agent/report", setup, teardown, test_a_title_at_its_prompt_is_idle,
	test_two_turns_and_an_end,
	test_a_permission_is_asked_for_and_given, test_a_late_notification_keeps_the_better_detail,
	test_a_question_waits_for_an_answer, test_a_plan_waits_for_an_answer,
	test_background_tasks_keep_it_working, test_a_subagent_keeps_it_working,
	test_no_login_is_waited_for, test_the_login_menu_holds_the_first_prompt_back,
	test_clear_begins_another_conversation, test_the_first_start_by_how_it_was_started,
	test_failures_of_a_turn, test_idle_prompt_is_a_safety_net,
	test_a_subagents_tools_do_not_hide_a_question, test_late_reports_do_not_bring_back_the_dead,
	test_malformed_reports_are_survived, test_long_texts_are_cut_at_a_character,
	test_unknown_tools_show_their_input, test_the_session_file_tells_of_an_escape,
	test_silence_after_our_escape_is_idle, test_a_silent_raw_terminal_at_the_start_is_a_dialog,
	test_a_shell_is_idle_in_front_and_silent, test_a_shell_says_where_its_prompt_stands)
