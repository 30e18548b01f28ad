/* SPDX-License-Identifier: ISC */
/*
 * What Codex's hooks, title and screen tell of its state. Bodies are untrusted. docs/agents-codex.md is the table
 * that this follows: unlike Claude Code it reports an interrupt, and no start before the first prompt.
 */
#include "daemon/agent/body.h"
#include "daemon/agent/codex.h"

#include "base/util.h"

#define AT_PROMPT "Ask Codex to do anything" /* what an empty input line shows */

/* "Bash: make install", of a tool's input. */
static void tool_detail(const json_t *body, char *out, size_t size)
{
	static const char *const keys[] = {"command", "file_path", "path", "question", "description"};
	const json_t *input = json_object_get(body, "tool_input");
	const char *what = "";
	char whole[2 * AGENT_TEXT_MAX];

	for (size_t i = 0; !*what && i < ARRAY_LEN(keys); i++)
		what = body_text(input, keys[i]);
	snprintf(whole, sizeof(whole), "%.100s%s%.600s", body_text(body, "tool_name"), *what ? ": " : "", what);
	agent_text(out, size, whole);
}

static void on_start(const json_t *body, struct agent_fact *f)
{
	fact_conversation(f, body, uuid_like);
}

static void on_prompt(const json_t *body, struct agent_fact *f)
{
	on_start(body, f);
	report_prompt(body, f);
}

static void on_permission(const json_t *body, struct agent_fact *f)
{
	char detail[AGENT_TEXT_MAX];

	tool_detail(body, detail, sizeof(detail));
	fact_state(f, ST_WAITING, "permission", detail);
}

static void on_pre_tool(const json_t *body, struct agent_fact *f)
{
	on_permission(body, f);
	if (!strcmp(body_text(body, "tool_name"), "request_user_input"))
		agent_text(f->reason, sizeof(f->reason), "answer");
	else
		fact_state(f, ST_WORKING, "", "");
}

static const struct report_row rows[] = {
	{"SessionStart", FRESH, on_start},
	{"UserPromptSubmit", FRESH, on_prompt},
	{"PreToolUse", S(ST_IDLE) | S(ST_WORKING) | S(ST_LIMITED), on_pre_tool}, /* one that waits has others beside it */
	{"PostToolUse", LIVE, report_work},
	{"PermissionRequest", LIVE, on_permission},
	{"SubagentStart", S(ST_IDLE) | S(ST_WORKING), report_work},
	{"SubagentStop", S(ST_WORKING), report_work},
	{"Stop", FRESH, report_stop},
	{"Interrupt", LIVE, report_interrupt},
};

/* What a subagent says of itself is not its parent's prompt, turn or conversation. */
static bool of_subagent(const char *event, const json_t *body)
{
	static const char *const whole[] = {"SessionStart", "UserPromptSubmit", "Stop", "Interrupt"};
	bool is = false;

	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		is = is || !strcmp(event, whole[i]);
	return is && *body_text(body, "agent_id");
}

int codex_report(const struct instance *in, const char *event, const json_t *body, struct agent_fact *ret,
	struct err *e)
{
	if (of_subagent(event, body))
		return 0;
	return report_by(rows, ARRAY_LEN(rows), in, event, body, ret, e);
}

/* Its title is the folder's name; in a turn a braille spinner stands before it, at a question "[ . ]". */
static bool title_at_prompt(const char *title)
{
	return title && *title && *title != '[' && !(title[0] == '\xe2' && ((unsigned char)title[1] & 0xfc) == 0xa0);
}

static bool dialog_at_start(const struct instance *in)
{
	return waits_for(in, "answer") && in->turns == 0;
}

bool codex_looks(const struct instance *in)
{
	return in->state == ST_STARTING || dialog_at_start(in);
}

void codex_activity(const struct instance *in, const struct agent_activity *a, struct agent_fact *ret)
{
	if (a->screen && codex_looks(in) && strstr(a->screen, AT_PROMPT)) {
		fact_state(ret, ST_IDLE, "", "");
		ret->ready = true;
	} else if (in->state == ST_STARTING && a->quiet && !a->screen && !a->busy && !a->canonical) {
		fact_state(ret, ST_WAITING, "answer", "it shows a dialog before its prompt; attach and answer it");
	} else if (in->state == ST_WORKING && !a->busy && a->title_moved && title_at_prompt(a->title)) {
		/* A turn that failed reports nothing. */
		fact_state(ret, ST_IDLE, "", "");
		ret->turn_ended = ret->turn_broken = true;
	}
}
