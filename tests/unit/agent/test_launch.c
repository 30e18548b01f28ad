/* SPDX-License-Identifier: ISC */
/* How agents are started: command line, environment, files, and what is refused. */
#include <sys/wait.h>

#include "base/util.h"
#include "daemon/agent/agent.h"
#include "tests/unit/run.h"

static struct instance *in;
static struct agent_place pl;
static struct agent_launch l;
static char **base;
static const struct agent_program *claude, *shell;

static void setup(void)
{
	claude = agent_find("claude");
	shell = agent_find("shell");
	in = instance_new();
	strcpy(in->id, "ab12cd");
	in->dir = xstrdup("/home/me/project");
	in->permissions = PERM_ALL;
	base = strv_new();
	strv_push(&base, "PATH=/usr/bin:/bin");
	pl = (struct agent_place){.isolated = true, .guest_program = "/usr/lib/tmux-claude/tmux-claude-guest",
		.run_dir = "/run/tmux-claude", .program_path = "claude", .user = "agent",
		.home = "/home/agent", .shell = "/bin/bash",
		.proxy_url = "http://127.0.0.1:3128", .login_kind = "oauth_token",
		.login_value = "sk-ant-oat01-secret"};
}

static void teardown(void)
{
	agent_launch_finish(&l);
	strv_free(base);
	instance_free(in);
}

static void launch(const struct agent_program *p)
{
	struct err e = {0};
	agent_launch_finish(&l);
	pl.base_env = base;
	ck_assert_msg(p->launch(in, &pl, &l, &e) == 0, "%s", e.message);
}

static char *joined(char *const *v)
{
	char *s = xstrdup("");
	for (; *v; v++) {
		char *longer = xasprintf("%s%s%s", s, *s ? " " : "", *v);
		free(s);
		s = longer;
	}
	return s;
}

static void argv_is(const char *want)
{
	cleanup_free char *got = joined(l.argv);
	ck_assert_str_eq(got, want);
}

static void env_is(const char *key, const char *want)
{
	const char *got = strv_env_get(l.env, key);
	ck_assert_msg(want ? got && !strcmp(got, want) : !got, "%s is %s", key, got ? got : "unset");
}

static const json_t *file(size_t n)
{
	return json_array_get(l.files, n);
}

static json_t *settings(void)
{
	json_t *o = json_loads(json_string_value(json_object_get(file(0), "content")), 0, NULL);
	ck_assert_ptr_nonnull(o);
	return o;
}

static char *hook_command(const char *event)
{
	json_t *o = settings();
	const json_t *hook = json_array_get(
		json_object_get(json_array_get(json_object_get(json_object_get(o, "hooks"), event), 0),
			"hooks"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(hook, "type")), "command");
	/* A request for permission waits for an answer, a week and a minute; the others never. */
	ck_assert_int_eq(json_integer_value(json_object_get(hook, "timeout")),
		strcmp(event, "PermissionRequest") ? 10 : 604860);
	char *command = xstrdup(json_string_value(json_object_get(hook, "command")));
	json_decref(o);
	return command;
}

START_TEST(test_agents_are_found_by_name)
{
	cleanup_free char *names = agent_names();
	ck_assert_str_eq(names, "claude, codex, opencode, shell");
	ck_assert_ptr_null(agent_find("claud"));
	ck_assert(claude->reports && !claude->argv_is_program);
	ck_assert(!shell->reports && shell->argv_is_program);
	ck_assert_str_eq(claude->interrupt_keys[0], "Escape");
	ck_assert_str_eq(shell->interrupt_keys[0], "C-c");
}
END_TEST

START_TEST(test_claude_in_a_vm)
{
	strv_push(&base, "TMUX=/tmp/tmux-0/default,1,0");
	strv_push(&base, "CLAUDECODE=1");
	strv_push(&base, "CLAUDE_CODE_SESSION_ID=x");
	strv_push(&base, "TMUX_CLAUDE_SOCKET=/outer");
	launch(claude);
	ck_assert_uint_eq(strlen(l.conversation), 36);
	ck_assert_int_eq(l.conversation[14], '4'); /* a random one */
	cleanup_free char *want = xasprintf("claude --settings /run/tmux-claude/ab12cd.claude.json"
		" --session-id %s --dangerously-skip-permissions", l.conversation);
	argv_is(want);
	env_is("PATH", "/usr/bin:/bin");
	env_is("HOME", "/home/agent");
	env_is("USER", "agent");
	env_is("TERM", "xterm-256color");
	env_is("COLORTERM", "truecolor");
	env_is("LANG", "C.UTF-8");
	env_is("CLAUDE_CODE_SANDBOXED", "1");
	env_is("DISABLE_AUTOUPDATER", "1");
	env_is("DISABLE_TELEMETRY", "1");
	env_is("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
	env_is("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1");
	env_is("IS_SANDBOX", NULL);
	env_is("CLAUDE_CODE_OAUTH_TOKEN", "sk-ant-oat01-secret");
	env_is("ANTHROPIC_API_KEY", NULL);
	env_is("HTTPS_PROXY", "http://127.0.0.1:3128");
	env_is("https_proxy", "http://127.0.0.1:3128");
	env_is("NO_PROXY", "127.0.0.1,localhost,::1");
	env_is("TMUX", NULL);
	env_is("CLAUDECODE", NULL);
	env_is("CLAUDE_CODE_SESSION_ID", NULL);
	env_is("TMUX_CLAUDE_SOCKET", NULL);
	ck_assert_uint_eq(json_array_size(l.files), 2);
	ck_assert_int_eq(json_integer_value(json_object_get(file(0), "mode")), 0600);
	ck_assert_str_eq(json_string_value(json_object_get(file(1), "path")), "/home/agent/.claude.json");
	ck_assert(json_is_true(json_object_get(file(1), "if_absent")));
	ck_assert(!json_is_true(json_object_get(file(0), "if_absent")));
}
END_TEST

START_TEST(test_claude_on_the_host_leaves_the_users_things_alone)
{
	pl.isolated = false;
	pl.proxy_url = NULL;
	pl.login_kind = pl.login_value = NULL;
	in->permissions = PERM_ASK;
	in->model = xstrdup("opus");
	in->argv = strv_new();
	strv_push(&in->argv, "--add-dir");
	strv_push(&in->argv, "/x y");
	in->conversation = xstrdup("be0e21ef-393f-46b3-a2a3-a2e8e4528599");
	strv_push(&base, "HTTPS_PROXY=http://users.own:1");
	strv_push(&base, "CLAUDE_CONFIG_DIR=/home/me/.config/claude");
	strv_push(&base, "LANG=de_DE.UTF-8");
	launch(claude);
	argv_is("claude --settings /run/tmux-claude/ab12cd.claude.json --session-id "
		"be0e21ef-393f-46b3-a2a3-a2e8e4528599 --permission-mode default --model opus --add-dir /x y");
	env_is("CLAUDE_CODE_SANDBOXED", NULL);
	env_is("DISABLE_TELEMETRY", NULL);
	env_is("IS_SANDBOX", NULL);
	env_is("HTTPS_PROXY", "http://users.own:1");
	env_is("NO_PROXY", NULL);
	env_is("CLAUDE_CONFIG_DIR", "/home/me/.config/claude");
	env_is("LANG", "de_DE.UTF-8");
	ck_assert_uint_eq(json_array_size(l.files), 1);
	ck_assert_str_eq(l.conversation, in->conversation);
}
END_TEST

START_TEST(test_a_conversation_is_resumed_under_its_id)
{
	in->conversation = xstrdup("be0e21ef-393f-46b3-a2a3-a2e8e4528599");
	pl.resume = true;
	in->permissions = PERM_PLAN;
	launch(claude);
	ck_assert_str_eq(l.argv[3], "--session-id"); /* no turn of it was ever ended */
	in->turns = 1;
	launch(claude);
	argv_is("claude --settings /run/tmux-claude/ab12cd.claude.json --resume "
		"be0e21ef-393f-46b3-a2a3-a2e8e4528599 --permission-mode plan");
	free(in->conversation);
	in->conversation = NULL;
	launch(claude); /* nothing to resume */
	ck_assert_str_eq(l.argv[3], "--session-id");
}
END_TEST

START_TEST(test_a_branch_goes_on_under_an_id_of_its_own)
{
	in->branch_of = xstrdup("be0e21ef-393f-46b3-a2a3-a2e8e4528599");
	in->permissions = PERM_PLAN;
	launch(claude);
	ck_assert_str_eq(l.argv[3], "--resume");
	ck_assert_str_eq(l.argv[4], in->branch_of);
	ck_assert_str_eq(l.argv[5], "--fork-session");
	ck_assert_str_eq(l.argv[6], "--session-id");
	ck_assert_str_eq(l.argv[7], l.conversation);
	ck_assert_str_ne(l.conversation, in->branch_of);
	/* Once a turn of its own has ended it is a conversation like any other. */
	in->conversation = xstrdup(l.conversation);
	in->turns = 1;
	launch(claude);
	ck_assert_str_eq(l.argv[3], "--resume");
	ck_assert_str_eq(l.argv[4], in->conversation);
	ck_assert_str_eq(l.argv[5], "--permission-mode");
}
END_TEST

START_TEST(test_two_conversations_have_two_ids)
{
	char first[64];
	launch(claude);
	strcpy(first, l.conversation);
	launch(claude);
	ck_assert_str_ne(first, l.conversation);
}
END_TEST

START_TEST(test_the_first_prompt_is_the_last_argument)
{
	pl.prompt = "--help\n\tme \"now\" $(x)";
	launch(claude);
	size_t n = strv_len(l.argv);
	ck_assert_str_eq(l.argv[n - 2], "--");
	ck_assert_str_eq(l.argv[n - 1], pl.prompt);
	cleanup_free char *command = hook_command("SessionStart");
	ck_assert_str_eq(command, "'/usr/lib/tmux-claude/tmux-claude-guest' hook SessionStartPrompt");
	pl.prompt = "/init";
	launch(claude);
	cleanup_free char *other = hook_command("SessionStart");
	ck_assert_ptr_nonnull(strstr(other, " SessionStartCommand"));
	ck_assert(!claude->prompt_reported("/init"));
	ck_assert(!claude->prompt_reported("!ls"));
	ck_assert(claude->prompt_reported("fix it"));
}
END_TEST

START_TEST(test_a_prompt_longer_than_an_argument_may_be_is_refused)
{
	struct err e = {0};
	cleanup_free char *big = xcalloc(1, 128 * 1024 + 1);
	memset(big, 'x', 128 * 1024 - 1);
	pl.prompt = big;
	launch(claude);
	/* What fits here is what the kernel takes. */
	pid_t pid = fork();
	if (pid == 0) {
		execl("/bin/true", "true", big, (char *)NULL);
		_exit(9);
	}
	int st;
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert(WIFEXITED(st) && WEXITSTATUS(st) == 0);
	big[128 * 1024 - 1] = 'x';
	ck_assert_int_eq(claude->launch(in, &pl, &l, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert(e.hint[0]);
}
END_TEST

START_TEST(test_without_a_login_a_vm_shows_the_login)
{
	pl.login_kind = pl.login_value = NULL;
	pl.prompt = "fix it";
	launch(claude);
	ck_assert_str_eq(l.argv[strv_len(l.argv) - 1], "/login");
	cleanup_free char *command = hook_command("SessionStart");
	ck_assert_ptr_nonnull(strstr(command, " SessionStartNoLogin"));
	/* What the user gave by --env is a login too. */
	in->env = json_pack("{s:s}", "ANTHROPIC_AUTH_TOKEN", "t");
	launch(claude);
	ck_assert_str_eq(l.argv[strv_len(l.argv) - 1], "fix it");
	env_is("ANTHROPIC_AUTH_TOKEN", "t");
}
END_TEST

/* What the text does when /bin/sh runs it: its output, or the arguments of "hook". */
static char *run_sh(const char *command, char *const *env)
{
	int p[2];
	char out[512] = "";
	ck_assert_int_eq(pipe(p), 0);
	pid_t pid = fork();
	if (pid == 0) {
		dup2(p[1], 1);
		execle("/bin/sh", "sh", "-c", command, (char *)NULL, env);
		_exit(9);
	}
	close(p[1]);
	ssize_t n = read(p[0], out, sizeof(out) - 1);
	ck_assert_int_ge(n, 0);
	close(p[0]);
	waitpid(pid, NULL, 0);
	return xstrdup(out);
}

START_TEST(test_an_api_key_is_in_the_environment_alone)
{
	pl.login_kind = "api_key";
	pl.login_value = "sk-ant-api03-secret";
	launch(claude);
	env_is("ANTHROPIC_API_KEY", NULL);
	env_is("CLAUDE_CODE_OAUTH_TOKEN", NULL);
	cleanup_free char *files = json_dumps(l.files, 0);
	ck_assert_ptr_null(strstr(files, "sk-ant-api03-secret"));
	cleanup_free char *argv = joined(l.argv);
	ck_assert_ptr_null(strstr(argv, "sk-ant-api03-secret"));
	json_t *o = settings();
	cleanup_free char *said =
		run_sh(json_string_value(json_object_get(o, "apiKeyHelper")), l.env);
	ck_assert_str_eq(said, "sk-ant-api03-secret");
	json_decref(o);
}
END_TEST

START_TEST(test_hooks_survive_any_path_of_the_guest_program)
{
	char dir[] = "/tmp/tc-agent-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(dir));
	cleanup_free char *program = xasprintf("%s/it's $(here) \"x\"", dir);
	ck_assert_int_eq(file_write_atomic(program, "#!/bin/sh\necho \"$@\"\n", 20, 0755, NULL), 0);
	pl.guest_program = program;
	launch(claude);
	static const char *const events[] = {"UserPromptSubmit", "PreToolUse", "PostToolUse",
		"PostToolUseFailure", "PermissionRequest", "PermissionDenied", "Notification", "Stop",
		"StopFailure", "SubagentStart", "SubagentStop", "SessionEnd", "SessionStart"};
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		cleanup_free char *command = hook_command(events[i]);
		cleanup_free char *said = run_sh(command, base);
		const char *step = !strcmp(events[i], "PreToolUse") ? " step AskUserQuestion ExitPlanMode"
				   : strstr(events[i], "ToolUse") ? " step" : "";
		cleanup_free char *want = xasprintf("hook %s%s\n", events[i], step);
		ck_assert_str_eq(said, want);
	}
	json_t *o = settings();
	ck_assert(json_is_true(json_object_get(o, "skipDangerousModePermissionPrompt")));
	json_decref(o);
	tree_remove(dir, NULL);
}
END_TEST

START_TEST(test_root_that_skips_questions_says_it_is_confined)
{
	pl.user = "root";
	launch(claude);
	env_is("IS_SANDBOX", "1");
	in->permissions = PERM_ASK;
	launch(claude);
	env_is("IS_SANDBOX", NULL);
}
END_TEST

START_TEST(test_what_the_user_says_wins)
{
	in->env = json_pack("{s:s, s:s, s:s}", "TERM", "dumb", "DISABLE_TELEMETRY", "0", "X", "a=b");
	launch(claude);
	env_is("TERM", "dumb");
	env_is("DISABLE_TELEMETRY", "0");
	env_is("X", "a=b");
	launch(shell);
	env_is("X", "a=b");
}
END_TEST

static void must_refuse(const struct agent_program *p, enum err_code code)
{
	struct err e = {0};
	ck_assert_int_eq(p->check(in, &pl, &e), -1);
	ck_assert_msg(e.code == code, "%d %s", e.code, e.message);
	ck_assert(e.message[0]);
}

START_TEST(test_options_that_are_ours_are_refused)
{
	static const char *const bad[] = {"--settings", "--settings=/x", "--session-id", "--resume", "-r",
		"--continue", "-p", "--print", "--", "--permission-mode", "--dangerously-skip-permissions"};
	struct err e = {0};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		strv_free(in->argv);
		in->argv = strv_new();
		strv_push(&in->argv, "--verbose");
		strv_push(&in->argv, bad[i]);
		must_refuse(claude, ERR_PARAMS);
	}
	strv_free(in->argv);
	in->argv = strv_new();
	strv_push(&in->argv, "--print-nothing");
	ck_assert_msg(claude->check(in, &pl, &e) == 0, "%s", e.message);
	in->model = xstrdup("--oops");
	must_refuse(claude, ERR_PARAMS);
}
END_TEST

START_TEST(test_a_missing_claude_is_said_before_anything_is_made)
{
	struct err e = {0};
	pl.program_path = "/nowhere/claude";
	ck_assert_int_eq(claude->check(in, &pl, &e), 0); /* in a VM it is the template's */
	pl.isolated = false;
	must_refuse(claude, ERR_MISSING);
	pl.program_path = "sh";
	ck_assert_int_eq(claude->check(in, &pl, &e), 0);
}
END_TEST

START_TEST(test_a_shell_is_a_login_shell_or_what_was_given)
{
	struct err e = {0};
	launch(shell);
	argv_is("/bin/bash -l");
	env_is("TERM", "xterm-256color");
	ck_assert_uint_eq(json_array_size(l.files), 0);
	ck_assert_str_eq(l.conversation, "");
	pl.shell = NULL;
	launch(shell);
	argv_is("/bin/sh -l");
	in->argv = strv_new();
	strv_push(&in->argv, "no-such-program-here");
	launch(shell);
	argv_is("no-such-program-here");
	ck_assert_int_eq(shell->check(in, &pl, &e), 0);
	pl.isolated = false;
	must_refuse(shell, ERR_MISSING);
	free(in->argv[0]);
	in->argv[0] = xstrdup("true");
	ck_assert_int_eq(shell->check(in, &pl, &e), 0);
	free(in->argv[0]);
	in->argv[0] = xstrdup("");
	must_refuse(shell, ERR_PARAMS);
	/* A relative path is one from the agent's folder. */
	free(in->argv[0]);
	in->argv[0] = xstrdup("bin/true");
	must_refuse(shell, ERR_MISSING);
	free(in->dir);
	in->dir = xstrdup("/usr");
	ck_assert_int_eq(shell->check(in, &pl, &e), 0);
	in->model = xstrdup("opus");
	must_refuse(shell, ERR_PARAMS);
}
END_TEST

START_TEST(test_a_login_shell_is_told_to_mark_its_prompt)
{
	pl.shell_marks = true;
	launch(shell);
	argv_is("/bin/bash --rcfile /run/tmux-claude/ab12cd.bashrc -i");
	ck_assert_str_eq(json_string_value(json_object_get(file(0), "path")), "/run/tmux-claude/ab12cd.bashrc");
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(file(0), "content")), ". ~/.bash_profile"));
	pl.shell = "/usr/bin/fish";
	launch(shell);
	ck_assert_str_eq(l.argv[1], "-l");
	ck_assert_str_eq(l.argv[2], "-C");
	pl.shell = "/bin/dash";
	launch(shell);
	argv_is("/bin/dash -l");
	in->argv = strv_new();
	strv_push(&in->argv, "bash");
	launch(shell);
	argv_is("bash");
	ck_assert_uint_eq(json_array_size(l.files), 0);
}
END_TEST

TEST_MAIN_FIXTURE("agent/launch", setup, teardown, test_agents_are_found_by_name, test_claude_in_a_vm,
	test_claude_on_the_host_leaves_the_users_things_alone,
	test_a_conversation_is_resumed_under_its_id, test_a_branch_goes_on_under_an_id_of_its_own, test_two_conversations_have_two_ids,
	test_the_first_prompt_is_the_last_argument,
	test_a_prompt_longer_than_an_argument_may_be_is_refused,
	test_without_a_login_a_vm_shows_the_login, test_an_api_key_is_in_the_environment_alone,
	test_hooks_survive_any_path_of_the_guest_program,
	test_root_that_skips_questions_says_it_is_confined, test_what_the_user_says_wins,
	test_options_that_are_ours_are_refused, test_a_missing_claude_is_said_before_anything_is_made,
	test_a_shell_is_a_login_shell_or_what_was_given, test_a_login_shell_is_told_to_mark_its_prompt)
