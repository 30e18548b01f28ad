/* SPDX-License-Identifier: ISC */
/*
 * OpenAI's Codex as an agent. What this relies on is in docs/agents-codex.md.
 *
 * Its hooks come with the command line (-c), so nothing of the user's is changed. Hooks want their user's
 * trust, kept as a digest of each: we give the digests of ours along, and of ours only. Where a version counts
 * them otherwise it asks at its start, which is then seen (waiting/answer).
 *
 * In a machine nothing of the user's is there: a key that is given by --env becomes the file of its login, in a folder
 * whose new files live in memory, and the address of the API a word of its command line.
 */
#include "daemon/agent/codex.h"

#include "base/sha256.h"
#include "base/util.h"

#define PROMPT_ARG_MAX (128 * 1024 - 1) /* the kernel's limit of one argument (MAX_ARG_STRLEN) */
#define HOOK_TIMEOUT_S 10
/* A request for permission waits for the operator; place/guest/hook.c waits a minute less. */
#define ASK_TIMEOUT_S (7 * 24 * 3600 + 60)
#define KEY_VARIABLE "OPENAI_API_KEY"
#define URL_VARIABLE "OPENAI_BASE_URL"
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
	{"PermissionRequest", "permission_request", ASK_TIMEOUT_S},
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
	{"--approve-for-me", "use spawn's own --permissions"},
	{"--full-auto", "use spawn's own --permissions"},
	{"--yolo", "use spawn's own --permissions all"},
	{"--dangerously-bypass-approvals-and-sandbox", "use spawn's own --permissions all"},
	{"--dangerously-bypass-hook-trust", "leave it away: our own hooks are trusted without it"},
	{"--model", "use spawn's own --model"},
	{"-m", "use spawn's own --model"},
	{"--cd", "use spawn's own --dir"},
	{"-C", "use spawn's own --dir"},
	{"--remote", "leave it away: what runs in a server of its own tells us nothing"},
	{"--remote-auth-token-env", "leave it away: what runs in a server of its own tells us nothing"},
	{"--", "use spawn's own --prompt for the first prompt"},
};

/* By -c or --config: what is asked, and who is told. */
static const char *const ours_config[] = {"hooks", "features.hooks", "features.codex_hooks", "approval_policy",
	"approvals_reviewer", "sandbox_mode", "sandbox_workspace_write", "default_permissions", "permissions"};

/* The value of such an option at a; NULL: it is none. */
static const char *value_of(char *const *a, const char *letter, const char *name)
{
	size_t len = strlen(name);

	if (!strcmp(*a, name) || (letter && !strcmp(*a, letter)))
		return a[1] ? a[1] : "";
	if (!strncmp(*a, name, len) && (*a)[len] == '=')
		return *a + len + 1;
	return letter && str_starts(*a, letter) ? *a + strlen(letter) : NULL;
}

/* Does it set this key, or something below it? */
static bool sets(const char *setting, const char *key)
{
	size_t len = strlen(key);

	setting += strspn(setting, " \t");
	return !strncmp(setting, key, len) && strchr(" \t=.", setting[len]);
}

static int check_config(const struct instance *in, struct err *e)
{
	for (char *const *a = in->argv; a && *a; a++) {
		const char *set = value_of(a, "-c", "--config"), *feature = value_of(a, NULL, "--disable");
		bool mine = feature && strstr(feature, "hooks");

		for (size_t i = 0; set && i < ARRAY_LEN(ours_config); i++)
			mine |= sets(set, ours_config[i]);
		if (!mine)
			continue;
		err_set(e, ERR_PARAMS, "'%.64s' is not for the command line of Codex here", set ? set : feature);
		return err_hint(e, "use spawn's own --permissions; hooks of your own go into ~/.codex/config.toml");
	}
	return 0;
}

static int codex_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	if (agent_check_ours(in, "Codex", ours, ARRAY_LEN(ours), e) < 0 || check_config(in, e) < 0)
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

static const char *env_of(const struct instance *in, const char *key)
{
	return json_string_value(json_object_get(in->env, key));
}

/* What a user of the host has in their own configuration. */
static void add_machine(char ***argv, json_t *files, const struct instance *in, const struct agent_place *pl)
{
	const char *key = env_of(in, KEY_VARIABLE), *url = env_of(in, URL_VARIABLE);
	cleanup_free char *dir = quoted(in->dir), *trust = xasprintf("projects={%s={trust_level=\"trusted\"}}", dir);

	add_config(argv, trust);
	/* They ask hosts for things that nobody there waits for, and a prompt is held until they have. */
	add_config(argv, "features.plugins=false");
	add_config(argv, "features.apps=false");
	add_config(argv, "analytics.enabled=false");
	if (url) {
		cleanup_free char *text = quoted(url), *word = xasprintf("openai_base_url=%s", text);
		add_config(argv, word);
	}
	if (key && !env_of(in, codex_transcript.dir_env)) {
		cleanup_free char *path = xasprintf("%s/.codex/auth.json", pl->home);
		json_t *auth = json_pack("{s:s}", KEY_VARIABLE, key);
		cleanup_free char *text = json_dumps(auth, JSON_COMPACT);

		json_decref(auth);
		if (text)
			json_array_append_new(files, json_pack("{s:s, s:i, s:s}", "path", path, "mode", 0600, "content", text));
	}
}

static void add_conversation(char ***argv, const char *verb, const char *id)
{
	strv_push(argv, verb);
	strv_push(argv, id);
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
	if (pl->isolated)
		add_machine(&l.argv, l.files, in, pl);
	if (in->model) {
		strv_push(&l.argv, "--model");
		strv_push(&l.argv, in->model);
	}
	for (char *const *a = in->argv; a && *a; a++)
		strv_push(&l.argv, *a);
	if (branch)
		add_conversation(&l.argv, "fork", in->branch_of);
	if (resume) {
		add_conversation(&l.argv, "resume", in->conversation);
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

static const char *const kept[] = {"sessions", NULL};
static const char *const interrupt_keys[] = {"Escape", NULL};

const struct agent_program agent_codex = {
	.name = "codex",
	.summary = "OpenAI's Codex",
	.reports = true,
	.interrupt_keys = interrupt_keys,
	.asks_brackets = true,
	.dialog_quiet_ms = DIALOG_QUIET_MS,
	.private_dir = ".codex",
	.private_keep = kept,
	.quiet_ms = QUIET_MS,
	.prompt_reported = agent_prompt_reported,
	.check = codex_check,
	.launch = codex_launch,
	.report = codex_report,
	.activity = codex_activity,
	.looks = codex_looks,
	.transcript = &codex_transcript,
	.ask = codex_ask,
	.ask_over = codex_ask_over,
	.ask_diff = codex_ask_diff,
	.verdict = claude_verdict,
};
