/* SPDX-License-Identifier: ISC */
/*
 * What OpenCode's plugin reports, and what its screen shows before its first report. Bodies are untrusted. The words
 * are those of Claude Code's hooks where they mean the same; docs/agents-opencode.md is the table.
 */
#include "daemon/agent/body.h"
#include "daemon/agent/opencode.h"

#include "base/util.h"

#define AT_PROMPT "ctrl+p commands" /* the line below its input */
#define IN_TURN "esc interrupt"
#define SESSION "ses_"
#define SESSION_MAX 60

bool opencode_session_id(const char *id)
{
	size_t n = strlen(id);

	return str_starts(id, SESSION) && n > strlen(SESSION) && n < SESSION_MAX &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_") == n;
}

static void on_start(const json_t *body, struct agent_fact *f)
{
	fact_conversation(f, body, opencode_session_id);
}

static void on_prompt(const json_t *body, struct agent_fact *f)
{
	on_start(body, f);
	report_prompt(body, f);
}

static void on_retry(const json_t *body, struct agent_fact *f)
{
	fact_state(f, ST_WORKING, "retrying", body_text(body, "message"));
}

static void on_permission(const json_t *body, struct agent_fact *f)
{
	char detail[AGENT_TEXT_MAX];

	claude_tool_detail(body, detail, sizeof(detail));
	fact_state(f, ST_WAITING, strcmp(body_text(body, "tool_name"), "AskUserQuestion") ? "permission" : "answer", detail);
}

static void on_failure(const json_t *body, struct agent_fact *f)
{
	const char *error = body_text(body, "error");

	f->said = body_text(body, "message");
	agent_text(f->turn_error, sizeof(f->turn_error), *error ? error : "error");
	fact_state(f, ST_IDLE, f->turn_error, f->said);
	f->turn_ended = f->turn_failed = true;
}

static void on_nothing(const json_t *body, struct agent_fact *f)
{
	(void)body;
	(void)f;
}

static const struct report_row rows[] = {
	{"PluginStart", FRESH, on_nothing}, /* its session is read, its screen is not there yet */
	{"SessionStart", FRESH, on_start},
	{"UserPromptSubmit", FRESH, on_prompt},
	{"Working", LIVE, report_work},
	{"Retry", S(ST_WORKING), on_retry},
	{"PreToolUse", S(ST_IDLE) | S(ST_WORKING), report_work}, /* one that waits has others beside it */
	{"PostToolUse", LIVE, report_work},
	{"PostToolUseFailure", LIVE, report_work},
	{"PermissionRequest", LIVE, on_permission},
	{"Stop", FRESH, report_stop},
	{"StopFailure", FRESH, on_failure},
	{"Interrupt", LIVE, report_interrupt},
};

int opencode_report(const struct instance *in, const char *event, const json_t *body, struct agent_fact *ret,
	struct err *e)
{
	return report_by(rows, ARRAY_LEN(rows), in, event, body, ret, e);
}

static bool dialog_at_start(const struct instance *in)
{
	return waits_for(in, "answer") && in->turns == 0 && !in->conversation;
}

bool opencode_looks(const struct instance *in)
{
	return in->state == ST_STARTING || dialog_at_start(in);
}

void opencode_activity(const struct instance *in, const struct agent_activity *a, struct agent_fact *ret)
{
	/* With a prompt on its command line its turn begins on its own. */
	if (!a->screen || a->first_prompt || !opencode_looks(in))
		return;
	if (!strstr(a->screen, AT_PROMPT) || strstr(a->screen, IN_TURN))
		return;
	fact_state(ret, ST_IDLE, "", "");
	ret->ready = true;
}
