/* SPDX-License-Identifier: ISC */
/*
 * What Claude Code's hooks and terminal tell about its state. Bodies are untrusted: anything missing, of
 * another type or too long is survived. docs/agents.md, "Its state", is the table this follows.
 *
 * Reports are one process each and may overtake each other, so every row names the states it holds in;
 * elsewhere it says nothing.
 */
#include "daemon/agent/body.h"

#include "base/clock.h"
#include "base/util.h"

#define TITLE_AT_PROMPT "\xe2\x9c\xb3" /* U+2733 */

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

/* ---- tools ---- */

static bool asks_user(const char *tool)
{
	return is(tool, CLAUDE_TOOL_QUESTION) || is(tool, CLAUDE_TOOL_PLAN);
}

/* The part of a tool's input that says what it is about. */
static void input_summary(const json_t *input, char *out, size_t size)
{
	static const char *const keys[] = {"command", "file_path", "notebook_path", "url", "query",
		"pattern", "description", "prompt", "plan", "path", "skill"};
	const json_t *question = json_array_get(json_object_get(input, "questions"), 0);

	agent_text(out, size, body_text(question, "question"));
	for (size_t i = 0; !*out && i < ARRAY_LEN(keys); i++)
		agent_text(out, size, body_text(input, keys[i]));
	if (*out || !json_is_object(input) || !json_object_size(input))
		return;
	cleanup_free char *all = json_dumps(input, JSON_COMPACT);
	agent_text(out, size, all);
}

void claude_tool_detail(const json_t *body, char *out, size_t size)
{
	char what[AGENT_TEXT_MAX], whole[2 * AGENT_TEXT_MAX];
	const char *tool = body_text(body, "tool_name");

	input_summary(json_object_get(body, "tool_input"), what, sizeof(what));
	if (asks_user(tool) && *what)
		snprintf(whole, sizeof(whole), "%s", what);
	else
		snprintf(whole, sizeof(whole), "%.100s%s%s", tool, *what ? ": " : "", what);
	agent_text(out, size, whole);
}

static void asks(const json_t *body, struct agent_fact *f)
{
	char detail[AGENT_TEXT_MAX];
	claude_tool_detail(body, detail, sizeof(detail));
	fact_state(f, ST_WAITING, asks_user(body_text(body, "tool_name")) ? "answer" : "permission", detail);
}

static int on_tool(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	const char *tool = body_text(body, "tool_name");
	size_t len = strlen(tool);

	/* While one tool waits for permission a subagent's others may go on: the question stands. */
	if (in->state == ST_WAITING && *body_text(body, "agent_id") && len && in->detail &&
		(strncmp(in->detail, tool, len) != 0 || (in->detail[len] && in->detail[len] != ':')))
		return 0;
	if (!waits_for(in, "login"))
		fact_state(f, ST_WORKING, "", "");
	return 0;
}

static int on_pre_tool(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	if (!asks_user(body_text(body, "tool_name")))
		return on_tool(in, body, f);
	asks(body, f);
	return 0;
}

static int on_permission(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	(void)in;
	asks(body, f);
	return 0;
}

/* ---- the conversation ---- */

static int on_start(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	const char *source = body_text(body, "source");

	(void)in;
	fact_conversation(f, body, uuid_like);
	/* compact happens in the middle of a turn. */
	if (is(source, "compact"))
		return 0;
	fact_state(f, ST_IDLE, "", "");
	f->ready = !is(source, "clear");
	return 0;
}

/* The three others hold for the first SessionStart of a program alone. */
static bool first_start(const struct instance *in, const json_t *body)
{
	const char *source = body_text(body, "source");
	return (in->state == ST_STARTING || in->state == ST_WAITING) &&
	       !is(source, "clear") && !is(source, "compact");
}

static int on_start_prompt(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	if (!first_start(in, body))
		return on_start(in, body, f);
	/* UserPromptSubmit follows, and makes it ready. */
	fact_conversation(f, body, uuid_like);
	return 0;
}

static int on_start_command(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	if (!first_start(in, body))
		return on_start(in, body, f);
	on_start(in, body, f);
	f->prompt_delivered = true;
	return 0;
}

#define SHOWS_LOGIN "it shows its login; "

bool claude_login_idle(const struct instance *in)
{
	return waits_for(in, "login") && !(in->detail && str_starts(in->detail, SHOWS_LOGIN));
}

static int on_start_login(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	if (!first_start(in, body))
		return on_start(in, body, f);
	fact_conversation(f, body, uuid_like);
	fact_state(f, ST_WAITING, "login", SHOWS_LOGIN "attach and log in, or give one with "
							"`tmux-claude login` and start it again");
	f->prompt_held = true;
	return 0;
}

static int on_prompt(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	const char *prompt = body_text(body, "prompt");

	(void)in;
	fact_state(f, ST_WORKING, "", "");
	f->ready = true;
	/* The program's own: a background task ended. */
	if (str_starts(prompt, "<task-notification>"))
		return 0;
	f->prompt_delivered = true;
	agent_text(f->prompt_head, sizeof(f->prompt_head), prompt);
	return 0;
}

static int on_stop(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	size_t tasks = json_array_size(json_object_get(body, "background_tasks"));
	char detail[64];

	(void)in;
	f->turn_ended = true;
	f->said = body_text(body, "last_assistant_message");
	f->turn_goes_on = tasks > 0;
	if (tasks) {
		snprintf(detail, sizeof(detail), "%zu in the background", tasks);
		fact_state(f, ST_WORKING, "background", detail);
		return 0;
	}
	fact_state(f, ST_IDLE, "", f->said);
	return 0;
}

static int on_stop_failure(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	const char *error = body_text(body, "error");
	const char *said = body_text(body, "last_assistant_message");

	f->turn_ended = f->turn_failed = true;
	f->said = said;
	agent_text(f->turn_error, sizeof(f->turn_error), *error ? error : "error");
	if (is(error, "authentication_failed") || is(error, "oauth_org_not_allowed") || is(error, "account_on_hold") ||
		is(error, "verification_required") || is(error, "cloud_credential_error")) {
		fact_state(f, ST_WAITING, "login", said);
	} else if (is(error, "rate_limit")) {
		/* A machine of ours has no zone of its own. */
		fact_state(f, ST_LIMITED, "rate_limit", said);
		f->limited_until_ms = claude_limit_until(said, in->vm_memory_mib ? "UTC" : NULL, clock_wall_ms());
	} else if (is(error, "overloaded") || is(error, "server_error")) {
		/* Its own retries are used up: 529, 500, or nobody there at all. */
		fact_state(f, ST_LIMITED, strstr(said, "(E") || strstr(said, "onnect") ? "api_down" : "overloaded", said);
	} else
		fact_state(f, ST_IDLE, *error ? error : "error", said);
	return 0;
}

static int on_notification(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	const char *type = body_text(body, "notification_type");
	const char *said = body_text(body, "message");

	if (is(type, "auth_success")) {
		if (waits_for(in, "login") || in->state == ST_STARTING) {
			fact_state(f, ST_IDLE, "", "");
			f->ready = true;
		}
	} else if (is(type, "idle_prompt")) {
		/* A safety net for Esc, which nothing reports; a background task's end is reported. */
		if ((in->state == ST_WORKING && !(in->reason && is(in->reason, "background"))) ||
			waits_for(in, "permission") || waits_for(in, "answer"))
			fact_state(f, ST_IDLE, "", "");
	} else if (in->state != ST_WAITING) {
		/* Six seconds late: only when the request itself was not heard. */
		if (is(type, "permission_prompt"))
			fact_state(f, ST_WAITING, "permission", said);
		else if (is(type, "elicitation_dialog") || is(type, "agent_needs_input"))
			fact_state(f, ST_WAITING, "answer", said);
	}
	return 0;
}

static int on_nothing(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	(void)in;
	(void)body;
	(void)f;
	return 0;
}

static int on_session_file(const struct instance *in, const json_t *body, struct agent_fact *f)
{
	(void)in;
	return claude_session_file(body, f);
}

static const struct {
	const char *event;
	unsigned states; /* in which it means something */
	int (*fn)(const struct instance *in, const json_t *body, struct agent_fact *f);
} rows[] = {
	{CLAUDE_START, FRESH, on_start},
	{CLAUDE_START_PROMPT, FRESH, on_start_prompt},
	{CLAUDE_START_COMMAND, FRESH, on_start_command},
	{CLAUDE_START_LOGIN, FRESH, on_start_login},
	{"UserPromptSubmit", FRESH, on_prompt},
	{"PreToolUse", LIVE, on_pre_tool},
	{"PostToolUse", LIVE, on_tool},
	{"PostToolUseFailure", LIVE, on_tool},
	{"PermissionDenied", LIVE, on_tool},
	{"PermissionRequest", LIVE, on_permission},
	{"SubagentStart", S(ST_IDLE) | S(ST_WORKING), on_tool},
	{"SubagentStop", S(ST_WORKING), on_tool},
	{"Notification", FRESH, on_notification},
	{"Stop", FRESH, on_stop},
	{"StopFailure", FRESH, on_stop_failure},
	{"SessionEnd", 0, on_nothing},
	{"PreCompact", 0, on_nothing},
	{"PostCompact", 0, on_nothing},
	{"SessionFile", LIVE | S(ST_STARTING), on_session_file},
};

int claude_report(const struct instance *in, const char *event, const json_t *body,
	struct agent_fact *ret, struct err *e)
{
	struct agent_fact f = {0};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!is(rows[i].event, event))
			continue;
		if (!json_is_object(body))
			return err_set(e, ERR_PARAMS, "the report %s has no object as its body", event);
		if (!(rows[i].states & S(in->state)))
			return 0;
		if (rows[i].fn(in, body, &f))
			return -1;
		*ret = f;
		return 0;
	}
	return err_set(e, ERR_PARAMS, "there is no report '%.64s'", event);
}

void claude_activity(const struct instance *in, const struct agent_activity *a,
	struct agent_fact *ret)
{
	/* Its session file tells of every Esc: the terminal is asked only where there is none. */
	bool seen = in->session != NULL;

	/* An Esc typed in a view. A slow machine may take seconds from the report of a prompt to the first
	 * title of its turn: what stands there until then says nothing. Outside tmux its title begins with this at its prompt, and moves every
	 * second in a turn; a question it asks (the same title) has been reported before that second is over. */
	if (!seen && !a->busy && a->title_moved && in->state == ST_WORKING && !(in->reason && is(in->reason, "background")) && a->title &&
		str_starts(a->title, TITLE_AT_PROMPT)) {
		fact_state(ret, ST_IDLE, "interrupted", "");
		ret->turn_ended = ret->turn_broken = true;
		return;
	}
	/* An Esc of ours: its terminal falls quiet. */
	if (!seen && !a->busy && a->interrupted &&
		(in->state == ST_WORKING || waits_for(in, "permission") || waits_for(in, "answer"))) {
		fact_state(ret, ST_IDLE, "interrupted", "");
		ret->turn_ended = ret->turn_broken = true;
		return;
	}
	/* Raw, silent, and its SessionStart never came: something stands before the prompt. */
	if (in->state == ST_STARTING && a->quiet && !a->busy && !a->canonical)
		fact_state(ret, ST_WAITING, "answer", "it shows a dialog before its prompt; attach and answer it");
}
