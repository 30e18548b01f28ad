/* SPDX-License-Identifier: ISC */
/*
 * Claude Code's session file: what it says of itself where no hook does (Esc, a dialog, a retry, a shell in the
 * background). The guest program reports its changes as SessionFile; the row keeps the last word, and what
 * contradicts the hooks long enough (core/settle.c) is the file's to say. docs/agents.md has the table.
 */
#include "daemon/agent/programs.h"

#include "base/util.h"

/* The word that is kept: "busy", "waiting permission prompt". */
int claude_session_file(const json_t *body, struct agent_fact *f)
{
	const char *status = json_string_value(json_object_get(body, "status"));
	const char *what = json_string_value(json_object_get(body, "waitingFor"));
	char word[2 * AGENT_WORD_MAX];

	snprintf(word, sizeof(word), "%.16s%s%.40s", status ? status : "", what && *what ? " " : "", what ? what : "");
	agent_text(f->session, sizeof(f->session), word);
	return 0;
}

static void means(struct agent_fact *f, enum inst_state s, const char *reason, const char *detail)
{
	f->has_state = true;
	f->state = s;
	str_fmt(f->reason, sizeof(f->reason), "%s", reason);
	agent_text(f->detail, sizeof(f->detail), detail);
}

static bool because(const struct instance *in, const char *reason)
{
	return in->reason && !strcmp(in->reason, reason);
}

static void says_idle(const struct instance *in, struct agent_fact *f)
{
	if (in->state == ST_WORKING && because(in, "background"))
		means(f, ST_IDLE, "", "");
	else if (in->state == ST_WORKING || (in->state == ST_WAITING && (because(in, "permission") || because(in, "answer")))) {
		/* An Esc, or a dialog of its own that was closed: no hook tells. */
		means(f, ST_IDLE, "interrupted", "");
		f->turn_ended = f->turn_broken = in->state == ST_WORKING || because(in, "permission");
	}
}

/* At its prompt, beside a shell in the background: of a turn that no hook ended, that is its end. */
static void says_shell(const struct instance *in, struct agent_fact *f)
{
	if (in->state != ST_WORKING || because(in, "background"))
		return;
	means(f, ST_WORKING, "background", "a shell in the background");
	f->turn_ended = f->turn_broken = true;
}

static void says_waiting(const struct instance *in, const char *what, struct agent_fact *f)
{
	char detail[AGENT_TEXT_MAX];

	if (in->state != ST_WORKING && in->state != ST_IDLE && in->state != ST_STARTING)
		return;
	if (!strcmp(what, "permission prompt")) {
		means(f, ST_WAITING, "permission", what);
		return;
	}
	snprintf(detail, sizeof(detail), "%s; attach and look", *what ? what : "it waits for something");
	means(f, ST_WAITING, "answer", detail);
}

static void says_busy(const struct instance *in, struct agent_fact *f)
{
	/* Its menu of logins is a command that runs: that it waits for one ends with auth_success, or with a turn. */
	if (in->state == ST_WAITING && because(in, "login"))
		return;
	if (in->state == ST_IDLE || in->state == ST_WAITING || in->state == ST_LIMITED)
		means(f, ST_WORKING, "", "");
}

void claude_session(const struct instance *in, struct agent_fact *ret)
{
	const char *word = in->session ? in->session : "";

	if (!strcmp(word, "idle"))
		says_idle(in, ret);
	else if (!strcmp(word, "busy"))
		says_busy(in, ret);
	else if (!strcmp(word, "shell"))
		says_shell(in, ret);
	else if (str_starts(word, "waiting"))
		says_waiting(in, word[7] ? word + 8 : "", ret);
}
