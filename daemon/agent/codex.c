/* SPDX-License-Identifier: ISC */
/*
 * OpenAI's Codex as an agent, on the host. What this relies on is in docs/agents-codex.md.
 *
 * Its hooks come with the command line (-c), so nothing of the user's is changed. Hooks want their user's
 * trust, kept as a digest of each: we give the digests of ours along, and of ours only. Where a version counts
 * them otherwise it asks at its start, which is then seen (waiting/answer).
 */
#include "daemon/agent/programs.h"

#include "base/sha256.h"
#include "base/util.h"

#define PROMPT_ARG_MAX (128 * 1024 - 1) /* the kernel's limit of one argument (MAX_ARG_STRLEN) */
#define HOOK_TIMEOUT_S 10
#define INTERRUPT_TIMEOUT_S 3 /* it allows no more, and digests that */
#define QUIET_MS 10000
#define DIALOG_QUIET_MS 250

static const struct {
	const char *event, *key;
	int timeout;
} hooks[] = {
	{"SessionStart", "session_start", HOOK_TIMEOUT_S},
	{"UserPromptSubmit", "user_prompt_submit", HOOK_TIMEOUT_S},
	{"PreToolUse", "pre_tool_use", HOOK_TIMEOUT_S},
	{"PostToolUse", "post_tool_use", HOOK_TIMEOUT_S},
	{"PermissionRequest", "permission_request", HOOK_TIMEOUT_S},
	{"SubagentStart", "subagent_start", HOOK_TIMEOUT_S},
	{"SubagentStop", "subagent_stop", HOOK_TIMEOUT_S},
	{"Stop", "stop", HOOK_TIMEOUT_S},
	{"Interrupt", "interrupt", INTERRUPT_TIMEOUT_S},
};

static const struct agent_ours ours[] = {
	{"--ask-for-approval", "use spawn's own --permissions"},
	{"-a", "use spawn's own --permissions"},
	{"--sandbox", "use spawn's own --permissions"},
	{"-s", "use spawn's own --permissions"},
	{"--dangerously-bypass-approvals-and-sandbox", "use spawn's own --permissions all"},
	{"--dangerously-bypass-hook-trust", "leave it away: our own hooks are trusted without it"},
	{"--model", "use spawn's own --model"},
	{"-m", "use spawn's own --model"},
	{"--cd", "use spawn's own --dir"},
	{"-C", "use spawn's own --dir"},
	{"--", "use spawn's own --prompt for the first prompt"},
};

static int codex_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	if (agent_check_ours(in, "Codex", ours, ARRAY_LEN(ours), e) < 0)
		return -1;
	if (in->argv && in->argv[0] && in->argv[0][0] != '-') {
		err_set(e, ERR_PARAMS, "'%.64s' is neither an option of Codex nor a prompt here", in->argv[0]);
		return err_hint(e, "use --prompt for the first prompt, --agent shell -- codex ... for its other verbs");
	}
	return agent_check_there(pl, "Codex", "codex", "@openai/codex", e);
}

/* ---- command line ---- */

static void add_config(char ***argv, const char *text)
{
	strv_push(argv, "-c");
	strv_push(argv, text);
}

/* A JSON string is a TOML one. */
static char *quoted(const char *s)
{
	json_t *j = json_string(s);
	char *text = json_dumps(j, JSON_ENCODE_ANY);

	json_decref(j);
	return text ? text : xstrdup("\"\"");
}

/* What Codex 0.169 takes for a hook's identity: its own JSON of it, keys in order. */
static void hook_digest(const char *key, const char *command, int timeout, char out[SHA256_HEX])
{
	json_t *o = json_pack("{s:s, s:[{s:b, s:s, s:i, s:s}]}", "event_name", key, "hooks", "async", 0, "command",
		command, "timeout", timeout, "type", "command");
	cleanup_free char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

	sha256_hex(text ? text : "", text ? strlen(text) : 0, out);
	json_decref(o);
}

static void add_hooks(char ***argv, const struct agent_place *pl)
{
	cleanup_free char *guest = agent_shell_quote(pl->guest_program), *trust = xstrdup("");

	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		cleanup_free char *command = xasprintf("%s hook %s", guest, hooks[i].event);
		cleanup_free char *text = quoted(command);
		cleanup_free char *hook = xasprintf("hooks.%s=[{hooks=[{type=\"command\",command=%s,timeout=%d}]}]",
			hooks[i].event, text, hooks[i].timeout);
		char digest[SHA256_HEX], *more;

		add_config(argv, hook);
		hook_digest(hooks[i].key, command, hooks[i].timeout, digest);
		more = xasprintf("%s%s\"/<session-flags>/config.toml:%s:0:0\"={trusted_hash=\"sha256:%s\"}", trust,
			i ? "," : "", hooks[i].key, digest);
		free(trust);
		trust = more;
	}
	cleanup_free char *state = xasprintf("hooks.state={%s}", trust);
	add_config(argv, state);
}

static void add_permissions(char ***argv, enum permissions p)
{
	if (p == PERM_ALL) {
		strv_push(argv, "--dangerously-bypass-approvals-and-sandbox");
		return;
	}
	strv_push(argv, "--ask-for-approval");
	strv_push(argv, "on-request");
	strv_push(argv, "--sandbox");
	strv_push(argv, p == PERM_PLAN ? "read-only" : "workspace-write");
}

static int codex_launch(const struct instance *in, const struct agent_place *pl, struct agent_launch *ret,
	struct err *e)
{
	struct agent_launch l = {0};
	/* It gives its conversation an id, and writes it down, with the first prompt: one that is known is there. */
	bool resume = in->conversation != NULL, branch = !resume && in->branch_of;

	if (pl->prompt && strlen(pl->prompt) > PROMPT_ARG_MAX) {
		err_set(e, ERR_LIMIT, "the first prompt has more than %d bytes", PROMPT_ARG_MAX);
		return err_hint(e, "put the text into a file of the folder and name it in the prompt");
	}
	l.files = json_array();
	l.argv = strv_new();
	strv_push(&l.argv, pl->program_path);
	/* Else it runs in a server of its own, outside the place, that all of the user's share. */
	strv_push(&l.argv, "--no-daemon");
	add_hooks(&l.argv, pl);
	add_config(&l.argv, "check_for_update_on_startup=false");
	add_permissions(&l.argv, in->permissions);
	if (in->model) {
		strv_push(&l.argv, "--model");
		strv_push(&l.argv, in->model);
	}
	for (char *const *a = in->argv; a && *a; a++)
		strv_push(&l.argv, *a);
	if (branch) {
		strv_push(&l.argv, "fork");
		strv_push(&l.argv, in->branch_of);
	}
	if (resume) {
		strv_push(&l.argv, "resume");
		strv_push(&l.argv, in->conversation);
		str_fmt(l.conversation, sizeof(l.conversation), "%s", in->conversation);
	}
	if (pl->prompt) {
		strv_push(&l.argv, "--");
		strv_push(&l.argv, pl->prompt);
	}
	l.env = agent_env(pl);
	agent_env_user(&l.env, in);
	*ret = l;
	return 0;
}

static const char *const interrupt_keys[] = {"Escape", NULL};

const struct agent_program agent_codex = {
	.name = "codex",
	.summary = "OpenAI's Codex (host driver)",
	.reports = true,
	.interrupt_keys = interrupt_keys,
	.asks_brackets = true,
	.dialog_quiet_ms = DIALOG_QUIET_MS,
	.quiet_ms = QUIET_MS,
	.prompt_reported = agent_prompt_reported,
	.check = codex_check,
	.launch = codex_launch,
	.report = codex_report,
	.activity = codex_activity,
	.looks = codex_looks,
	.transcript = &codex_transcript,
};
