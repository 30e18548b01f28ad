/* SPDX-License-Identifier: ISC */
/*
 * Claude Code as an agent: how it is started so that no dialog stands before its prompt, and so that
 * its hooks report to us. What this relies on is in docs/agents.md, tried by tests/e2e/test_claude_facts.
 *
 * Nothing of the user's is changed: our settings come by --settings from a file in our own folder of the
 * place. In a VM HOME is ours, there .claude.json is made when it is absent. Secrets go into the
 * environment only: an API key is handed over by an apiKeyHelper that prints a variable, since the key's
 * own variable would be asked about in a dialog. A renewing login is a file without a refresh token, which the program
 * reads again when it has changed: written anew while it runs, it goes on (docs/login.md).
 */
#include "daemon/agent/programs.h"

#include "base/proc.h"
#include "base/util.h"

#define DIALOG_QUIET_MS 250 /* docs/agents.md: keys in the first 150 ms of a dialog are dropped */
#define PROMPT_ARG_MAX (128 * 1024 - 1) /* the kernel's limit of one argument (MAX_ARG_STRLEN) */
#define HOOK_TIMEOUT_S 10
/* A request for permission waits for the operator (place/guest/hook.c waits a minute less); its dialog can be
 * answered meanwhile. */
#define ASK_EVENT "PermissionRequest"
#define ASK_TIMEOUT_S (7 * 24 * 3600 + 60)
#define KEY_VARIABLE "TMUX_CLAUDE_API_KEY"
#define QUIET_MS 10000

static const char *const hooks[] = {"UserPromptSubmit", "PreToolUse", "PostToolUse",
	"PostToolUseFailure", "PermissionRequest", "PermissionDenied", "Notification", "Stop",
	"StopFailure", "SubagentStart", "SubagentStop", "SessionEnd"};

/* Options that take from us what we need to start, follow or resume it; what to do instead. */
static const struct agent_ours ours[] = {
	{"--settings", "put your settings into the project's .claude/settings.json"},
	{"--session-id", "leave it away: each instance has a conversation of its own"},
	{"--resume", "use `tmux-claude restart` to go on with a conversation"},
	{"-r", "use `tmux-claude restart` to go on with a conversation"},
	{"--continue", "use `tmux-claude restart` to go on with a conversation"},
	{"-c", "use `tmux-claude restart` to go on with a conversation"},
	{"--fork-session", "leave it away"},
	{"--print", "use --agent shell -- claude -p ..."},
	{"-p", "use --agent shell -- claude -p ..."},
	{"--permission-mode", "use spawn's own --permissions"},
	{"--dangerously-skip-permissions", "use spawn's own --permissions all"},
	{"--model", "use spawn's own --model"},
	{"--", "use spawn's own --prompt for the first prompt"},
};

static const char *env_of(const struct instance *in, const char *key)
{
	return json_string_value(json_object_get(in->env, key));
}

static bool is_root(const struct agent_place *pl)
{
	return pl->user && !strcmp(pl->user, "root");
}

static int claude_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	if (agent_check_ours(in, "Claude Code", ours, ARRAY_LEN(ours), e) < 0)
		return -1;
	if (pl->isolated)
		return 0;
	cleanup_free char *found = proc_which(pl->program_path);
	if (found)
		return 0;
	err_set(e, ERR_MISSING, "Claude Code ('%.200s') was not found on this machine", pl->program_path);
	return err_hint(e, "npm install -g @anthropic-ai/claude-code, set claude_path in the config, or "
			   "use --driver qemu, whose template has it");
}

/* ---- settings ---- */

/* In a turn these follow each other: place/shim/events.h. Not where the tool is a question. */
static const char *step_words(const char *event)
{
	if (!strcmp(event, "PreToolUse"))
		return " step " CLAUDE_TOOL_QUESTION " " CLAUDE_TOOL_PLAN;
	return !strcmp(event, "PostToolUse") || !strcmp(event, "PostToolUseFailure") ? " step" : "";
}

static void add_hook(json_t *all, const char *name, const char *quoted, const char *event)
{
	cleanup_free char *command = xasprintf("%s hook %s%s", quoted, event, step_words(event));
	json_object_set_new(all, name, json_pack("[{s:[{s:s, s:i, s:s}]}]", "hooks", "type", "command",
					       "timeout", strcmp(name, ASK_EVENT) ? HOOK_TIMEOUT_S : ASK_TIMEOUT_S, "command", command));
}

static char *settings_text(const struct agent_place *pl, const char *start_event, bool key_helper)
{
	cleanup_free char *quoted = agent_shell_quote(pl->guest_program);
	json_t *o = json_object(), *all = json_object();

	add_hook(all, CLAUDE_START, quoted, start_event);
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		add_hook(all, hooks[i], quoted, hooks[i]);
	json_object_set_new(o, "skipDangerousModePermissionPrompt", json_true());
	if (key_helper)
		json_object_set_new(o, "apiKeyHelper", json_string("printf %s \"$" KEY_VARIABLE "\""));
	json_object_set_new(o, "hooks", all);
	char *text = json_dumps(o, JSON_INDENT(1));
	json_decref(o);
	return text;
}

static void add_file(json_t *files, const char *path, const char *content, bool if_absent)
{
	json_t *f = json_pack("{s:s, s:i, s:s}", "path", path, "mode", 0600, "content", content);
	if (if_absent)
		json_object_set_new(f, "if_absent", json_true());
	json_array_append_new(files, f);
}

/* ---- environment ---- */

/* What the user gave with --env; another provider of the models counts as well. */
static bool own_login(const struct instance *in)
{
	static const char *const keys[] = {"CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_AUTH_TOKEN",
		"ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
		"CLAUDE_CODE_USE_FOUNDRY"};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (env_of(in, keys[i]))
			return true;
		for (char *const *name = in->env_names; name && *name; name++) /* of a daemon before this one */
			if (!strcmp(*name, keys[i]))
				return true;
	}
	return false;
}

static bool has_login(const struct instance *in, const struct agent_place *pl)
{
	return pl->login_kind || own_login(in);
}

static bool renewing(const struct agent_place *pl)
{
	return pl->login_kind && !strcmp(pl->login_kind, "oauth");
}

/* On the host the user's own login in their HOME is not touched, and not used. */
static char *login_folder(const struct instance *in, const struct agent_place *pl)
{
	return pl->isolated ? xasprintf("%s/.claude", pl->home) : xasprintf("%s/%s.login", pl->run_dir, in->id);
}

static void claude_login_files(const struct instance *in, const struct agent_place *pl, json_t *files)
{
	cleanup_free char *folder = login_folder(in, pl);
	cleanup_free char *path = xasprintf("%s/.credentials.json", folder);

	if (renewing(pl) && pl->login_file && !own_login(in))
		add_file(files, path, pl->login_file, false);
}

static bool by_helper(const struct agent_place *pl)
{
	return pl->login_kind && !strcmp(pl->login_kind, "api_key");
}

static char **claude_env(const struct instance *in, const struct agent_place *pl)
{
	/* In a VM: trust its folder; no host but the API's is asked for. On the host these are the user's. */
	static const char *const in_vm[] = {"CLAUDE_CODE_SANDBOXED", "DISABLE_AUTOUPDATER",
		"CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "DISABLE_TELEMETRY",
		"DISABLE_ERROR_REPORTING", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"};
	char **env = agent_env(pl);

	for (size_t i = 0; pl->isolated && i < ARRAY_LEN(in_vm); i++)
		strv_env_set(&env, in_vm[i], "1");
	/* It refuses to skip its questions as root unless told that root is confined. On the host the user
	 * must have typed `--permissions all`: then it is their word. */
	if (in->permissions == PERM_ALL && is_root(pl))
		strv_env_set(&env, "IS_SANDBOX", "1");
	if (by_helper(pl))
		strv_env_set(&env, KEY_VARIABLE, pl->login_value);
	else if (pl->login_kind && !renewing(pl))
		strv_env_set(&env, "CLAUDE_CODE_OAUTH_TOKEN", pl->login_value);
	if (renewing(pl) && !own_login(in)) {
		cleanup_free char *folder = login_folder(in, pl);
		strv_env_set(&env, "CLAUDE_SECURESTORAGE_CONFIG_DIR", folder);
	}
	agent_env_user(&env, in);
	return env;
}

/* Where it says its state, in PID.json; NULL when that cannot be known. */
static char *session_folder(char *const *env, const struct agent_place *pl)
{
	const char *config = strv_env_get(env, "CLAUDE_CONFIG_DIR"), *home = strv_env_get(env, "HOME");

	if (config && *config)
		return *config == '/' ? xasprintf("%s/sessions", config) : NULL;
	if (!home || *home != '/')
		home = pl->home;
	return home && *home == '/' ? xasprintf("%s/.claude/sessions", home) : NULL;
}

/* ---- command line ---- */

static void new_uuid(char out[UUID_LEN + 1])
{
	unsigned char b[16];
	random_bytes(b, sizeof(b));
	b[6] = (b[6] & 0x0f) | 0x40; /* version 4 */
	b[8] = (b[8] & 0x3f) | 0x80; /* variant 1 */
	snprintf(out, UUID_LEN + 1,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
		b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static void add_permissions(char ***argv, enum permissions p)
{
	switch (p) {
	case PERM_ALL:
		strv_push(argv, "--dangerously-skip-permissions");
		return;
	case PERM_ASK:
		strv_push(argv, "--permission-mode");
		strv_push(argv, "default");
		return;
	case PERM_PLAN:
		strv_push(argv, "--permission-mode");
		strv_push(argv, "plan");
		return;
	}
}

static int claude_launch(const struct instance *in, const struct agent_place *pl,
	struct agent_launch *ret, struct err *e)
{
	struct agent_launch l = {0};
	const char *start_event = CLAUDE_START, *prompt = pl->prompt;
	/* A conversation is written down at the end of its first turn: before, --resume would not find it,
	 * and its id may be used again. An adopted one has turns from the beginning. */
	bool resume = in->conversation && in->turns > 0;
	bool branch = !resume && in->branch_of;

	if (prompt && strlen(prompt) > PROMPT_ARG_MAX) {
		err_set(e, ERR_LIMIT, "the first prompt has more than %d bytes", PROMPT_ARG_MAX);
		return err_hint(e, "put the text into a file of the folder and name it in the prompt");
	}
	/* Its login menu is asked for; the prompt waits until it is idle (agent_fact.prompt_held). On the
	 * host the login is the user's own affair, in their HOME. */
	if (pl->isolated && !has_login(in, pl)) {
		prompt = "/login";
		start_event = CLAUDE_START_LOGIN;
	} else if (prompt) {
		start_event = agent_prompt_reported(prompt) ? CLAUDE_START_PROMPT : CLAUDE_START_COMMAND;
	}
	if (in->conversation)
		str_fmt(l.conversation, sizeof(l.conversation), "%s", in->conversation);
	else
		new_uuid(l.conversation);

	cleanup_free char *settings = xasprintf("%s/%s.claude.json", pl->run_dir, in->id);
	cleanup_free char *text = settings_text(pl, start_event, by_helper(pl));
	l.files = json_array();
	add_file(l.files, settings, text, false);
	claude_login_files(in, pl, l.files);
	if (pl->isolated) {
		cleanup_free char *path = xasprintf("%s/.claude.json", pl->home);
		add_file(l.files, path, "{\"hasCompletedOnboarding\":true}\n", true);
	}
	l.argv = strv_new();
	strv_push(&l.argv, pl->program_path);
	strv_push(&l.argv, "--settings");
	strv_push(&l.argv, settings);
	if (branch) {
		strv_push(&l.argv, "--resume");
		strv_push(&l.argv, in->branch_of);
		strv_push(&l.argv, "--fork-session");
	}
	strv_push(&l.argv, resume ? "--resume" : "--session-id");
	strv_push(&l.argv, l.conversation);
	add_permissions(&l.argv, in->permissions);
	if (in->model) {
		strv_push(&l.argv, "--model");
		strv_push(&l.argv, in->model);
	}
	for (char *const *a = in->argv; a && *a; a++)
		strv_push(&l.argv, *a);
	if (prompt) {
		strv_push(&l.argv, "--");
		strv_push(&l.argv, prompt);
	}
	l.env = claude_env(in, pl);
	l.session = session_folder(l.env, pl);
	*ret = l;
	return 0;
}

static const char *const kept[] = {"projects", NULL};
static const char *const interrupt_keys[] = {"Escape", NULL};

const struct agent_program agent_claude = {
	.name = "claude",
	.summary = "Claude Code",
	.reports = true,
	.interrupt_keys = interrupt_keys,
	.small_pastes = true,
	.asks_brackets = true,
	.dialog_quiet_ms = DIALOG_QUIET_MS,
	.clear_key = "C-u",
	.private_dir = ".claude",
	.private_keep = kept,
	.quiet_ms = QUIET_MS,
	.prompt_reported = agent_prompt_reported,
	.check = claude_check,
	.launch = claude_launch,
	.report = claude_report,
	.activity = claude_activity,
	.session = claude_session,
	.login_files = claude_login_files,
	.login_idle = claude_login_idle,
	.transcript = &claude_transcript,
	.ask = claude_ask,
	.ask_over = claude_ask_over,
	.ask_diff = claude_ask_diff,
	.verdict = claude_verdict,
};
