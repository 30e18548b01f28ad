/* SPDX-License-Identifier: ISC */
/*
 * OpenCode as an agent. What this relies on is in docs/agents-opencode.md, tried by tests/e2e/test_opencode.py.
 *
 * It has no hooks: a plugin of ours (opencode_plugin.js) is one file in our own folder of the place, and is named in
 * the variable whose JSON OpenCode merges over its user's configuration. So nothing of theirs is changed, and
 * nothing listens.
 */
#include "daemon/agent/opencode.h"

#include "base/proc.h"
#include "base/util.h"
#include "daemon/agent/body.h"

#define PROMPT_ARG_MAX (128 * 1024 - 1) /* the kernel's limit of one argument (MAX_ARG_STRLEN) */
#define QUIET_MS 10000
#define DIALOG_QUIET_MS 250
#define CONFIG "OPENCODE_CONFIG_CONTENT"
#define TUI_CONFIG "OPENCODE_TUI_CONFIG"

static const char *const plugin[] = {
#include "daemon/agent/opencode_plugin.inc"
};

static const struct agent_ours ours[] = {
	{"--prompt", "use spawn's own --prompt for the first prompt"},
	{"--model", "use spawn's own --model PROVIDER/MODEL"},
	{"-m", "use spawn's own --model PROVIDER/MODEL"},
	{"--auto", "use spawn's own --permissions all"},
	{"--session", "use `tmux-claude restart` or fork to go on with a conversation"},
	{"-s", "use `tmux-claude restart` or fork to go on with a conversation"},
	{"--continue", "use `tmux-claude restart` to go on with a conversation"},
	{"-c", "use `tmux-claude restart` to go on with a conversation"},
	{"--fork", "use `tmux-claude fork`"},
	{"--pure", "leave it away: its state is told by a plugin"},
	{"--mini", "leave it away: its screen would not be known"},
	{"--port", "leave it away: a server of an agent is open to everybody on the machine"},
	{"--hostname", "leave it away: a server of an agent is open to everybody on the machine"},
	{"--mdns", "leave it away: a server of an agent is open to everybody on the machine"},
};

static json_t *given_config(const char *text, struct err *e)
{
	json_t *o = text && *text ? json_loads(text, 0, NULL) : json_object();
	json_t *list = json_object_get(o, "plugin");

	if (json_is_object(o) && (!list || json_is_array(list)))
		return o;
	json_decref(o);
	err_set(e, ERR_PARAMS, "the variable " CONFIG " holds no configuration of OpenCode that ours could be added to");
	return NULL;
}

static int opencode_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	/* All is made for it (add_machine_env and its like), but nobody has seen it reach its prompt there. */
	if (pl->isolated) {
		err_set(e, ERR_MISSING, "OpenCode does not run in a machine yet: it was not seen to reach its prompt in one");
		return err_hint(e, "use --driver host --agent opencode, or --agent codex --template agents in a machine");
	}
	if (json_object_get(in->env, TUI_CONFIG)) {
		err_set(e, ERR_PARAMS, "the variable " TUI_CONFIG " is ours here");
		return err_hint(e, "put it into ~/.config/opencode/tui.json");
	}
	json_t *given = given_config(json_string_value(json_object_get(in->env, CONFIG)), e);

	if (!given)
		return -1;
	json_decref(given);
	if (agent_check_ours(in, "OpenCode", ours, ARRAY_LEN(ours), e) < 0)
		return -1;
	if (in->argv && in->argv[0] && in->argv[0][0] != '-') {
		err_set(e, ERR_PARAMS, "'%.64s' is neither an option of OpenCode nor a prompt here", in->argv[0]);
		return err_hint(e, "use --prompt for the first prompt, --agent shell -- opencode ... for its other verbs");
	}
	if (in->model && !strchr(in->model, '/')) {
		err_set(e, ERR_PARAMS, "'%.64s' is no model of OpenCode", in->model);
		return err_hint(e, "it names them PROVIDER/MODEL (opencode models)");
	}
	return agent_check_there(pl, "OpenCode", "opencode", "opencode-ai", e);
}

/* ---- its configuration, over the user's ---- */

/* What does not change anything is done without a question, as it is by default. */
static json_t *permissions_asked(void)
{
	static const char *const allowed[] = {"read", "glob", "grep", "list", "lsp", "todowrite", "todoread", "question", "skill"};
	json_t *o = json_pack("{s:s}", "*", "ask");

	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		json_object_set_new(o, allowed[i], json_string("allow"));
	return o;
}

/* Where the plugin writes conversations: opencode_transcript's root. Owned. */
static char *lines_folder(char *const *env, const struct agent_place *pl)
{
	const char *data = strv_env_get(env, opencode_transcript.dir_env), *home = strv_env_get(env, "HOME");

	if (data && *data == '/')
		return xasprintf("%s/%s", data, opencode_transcript.below);
	return xasprintf("%s/%s/%s", home && *home == '/' ? home : pl->home, opencode_transcript.home_dir, opencode_transcript.below);
}

static char *config_text(const struct instance *in, const struct agent_place *pl, char *const *env, const char *file,
	const char *resumed, struct err *e)
{
	json_t *o = given_config(strv_env_get(env, CONFIG), e), *list;
	cleanup_free char *url = xasprintf("file://%s", file), *folder = lines_folder(env, pl);

	if (!o)
		return NULL;
	list = json_object_get(o, "plugin");
	if (!list)
		json_object_set_new(o, "plugin", list = json_array());
	json_array_append_new(list, json_pack("[s, {s:s, s:s, s:s}]", url, "guest", pl->guest_program, "folder", folder,
		"session", resumed ? resumed : ""));
	json_object_set_new(o, "autoupdate", json_false());
	if (in->permissions != PERM_ALL)
		json_object_set_new(o, "permission", permissions_asked());
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		err_set(e, ERR_PARAMS, "its configuration is not valid UTF-8");
	return text;
}

static char *plugin_text(void)
{
	size_t size = 1;
	char *text, *at;

	for (size_t i = 0; i < ARRAY_LEN(plugin); i++)
		size += strlen(plugin[i]);
	at = text = xcalloc(1, size);
	for (size_t i = 0; i < ARRAY_LEN(plugin); i++)
		at = stpcpy(at, plugin[i]);
	return text;
}

/* ---- command line ---- */

static void add_file(json_t *files, const char *path, const char *content, bool if_absent)
{
	json_array_append_new(files, json_pack("{s:s, s:i, s:s, s:b}", "path", path, "mode", 0600, "content", content,
		"if_absent", if_absent));
}

/*
 * It installs a package of its own (types for writers of plugins; none that ours needs) into the user's
 * configuration at its first start, and waits for that. In a machine without a way to the registry this takes
 * minutes: there it looks as if it was installed.
 */
static void add_installed(json_t *files, const struct agent_place *pl)
{
	cleanup_free char *lock = xasprintf("%s/.config/opencode/package-lock.json", pl->home);
	cleanup_free char *modules = xasprintf("%s/.config/opencode/node_modules/.tmux-claude", pl->home);

	add_file(files, lock, "{\"packages\":{\"\":{\"dependencies\":{\"@opencode-ai/plugin\":\"*\"}}}}\n", true);
	add_file(files, modules, "", true);
}

/* In a machine no host but the API's is asked for anything, and its database stands beside our lines, on the disk:
 * where a login would be kept is memory. */
static void add_machine_env(char ***env)
{
	static const char *const off[] = {"OPENCODE_DISABLE_MODELS_FETCH", "OPENCODE_DISABLE_LSP_DOWNLOAD",
		"OPENCODE_DISABLE_DEFAULT_PLUGINS"};

	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		strv_env_set(env, off[i], "1");
	strv_env_set(env, "OPENCODE_DB", "tmux-claude/opencode.db");
}

static void add_words(char ***argv, const struct instance *in, const struct agent_place *pl, const char *session, bool branch)
{
	strv_push(argv, pl->program_path);
	if (session) {
		strv_push(argv, "--session");
		strv_push(argv, session);
	}
	if (branch)
		strv_push(argv, "--fork");
	if (in->permissions == PERM_ALL)
		strv_push(argv, "--auto");
	if (in->permissions == PERM_PLAN) {
		strv_push(argv, "--agent");
		strv_push(argv, "plan");
	}
	if (in->model) {
		strv_push(argv, "--model");
		strv_push(argv, in->model);
	}
	for (char *const *a = in->argv; a && *a; a++)
		strv_push(argv, *a);
	if (pl->prompt) {
		cleanup_free char *word = xasprintf("--prompt=%s", pl->prompt);
		strv_push(argv, word);
	}
}

static int opencode_launch(const struct instance *in, const struct agent_place *pl, struct agent_launch *ret, struct err *e)
{
	struct agent_launch l = {0};
	/* It writes its conversation down with the first prompt, and gives it its id then. */
	const char *resumed = in->conversation;
	bool branch = !resumed && in->branch_of;
	cleanup_free char *file = xasprintf("%s/%s.opencode.js", pl->run_dir, in->id), *text = plugin_text();
	cleanup_free char *keys = xasprintf("%s/%s.opencode-tui.json", pl->run_dir, in->id);

	if (pl->prompt && strlen(pl->prompt) > PROMPT_ARG_MAX - sizeof("--prompt=")) {
		err_set(e, ERR_LIMIT, "the first prompt has more than %d bytes", PROMPT_ARG_MAX);
		return err_hint(e, "put the text into a file of the folder and name it in the prompt");
	}
	l.env = agent_env(pl);
	if (pl->isolated)
		add_machine_env(&l.env);
	agent_env_user(&l.env, in);
	cleanup_free char *config = config_text(in, pl, l.env, file, resumed, e);
	if (!config) {
		agent_launch_finish(&l);
		return -1;
	}
	strv_env_set(&l.env, CONFIG, config);
	strv_env_set(&l.env, TUI_CONFIG, keys);
	l.files = json_array();
	add_file(l.files, file, text, false);
	add_file(l.files, keys, "{\"keybinds\":{\"session_interrupt\":\"escape,f12\"}}\n", false);
	if (pl->isolated)
		add_installed(l.files, pl);
	l.argv = strv_new();
	add_words(&l.argv, in, pl, branch ? in->branch_of : resumed, branch);
	if (resumed)
		str_fmt(l.conversation, sizeof(l.conversation), "%s", resumed);
	*ret = l;
	return 0;
}

/* It wants to be told twice, and takes two Escapes in one read for one key with Alt: so it gets a key of ours. */
static const char *const interrupt_keys[] = {"F12", "F12", NULL};
static const char *const kept[] = {"tmux-claude", "storage", "snapshot", "log", NULL};

const struct agent_program agent_opencode = {
	.name = "opencode",
	.summary = "OpenCode",
	.reports = true,
	.interrupt_keys = interrupt_keys,
	.asks_brackets = true,
	.dialog_quiet_ms = DIALOG_QUIET_MS,
	.private_dir = ".local/share/opencode",
	.private_keep = kept,
	.quiet_ms = QUIET_MS,
	.prompt_reported = agent_prompt_reported,
	.check = opencode_check,
	.launch = opencode_launch,
	.report = opencode_report,
	.activity = opencode_activity,
	.looks = opencode_looks,
	.transcript = &opencode_transcript,
	.ask = claude_ask,
	.ask_over = claude_ask_over,
	.ask_diff = claude_ask_diff,
	.verdict = claude_verdict,
};
