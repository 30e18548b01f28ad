/* SPDX-License-Identifier: ISC */
/* The registry of agent programs, and what they share: environment, text of untrusted reports. */
#include "daemon/agent/agent.h"

#include "base/proc.h"
#include "base/util.h"
#include "daemon/agent/custom.h"
#include "daemon/agent/programs.h"

static const struct agent_program *const programs[] = {
	&agent_claude,
	&agent_codex,
	&agent_opencode,
	&agent_shell,
};

const struct agent_program *agent_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!strcmp(programs[i]->name, name))
			return programs[i];
	return custom_find(name);
}

bool agent_builtin(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		if (!strcmp(programs[i]->name, name))
			return true;
	return false;
}

const struct agent_program *agent_or_gone(const char *name)
{
	const struct agent_program *p = agent_find(name);

	return p ? p : &agent_gone;
}

char *agent_names(void)
{
	char *all = NULL;
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		char *longer = xasprintf("%s%s%s", all ? all : "", all ? ", " : "", programs[i]->name);
		free(all);
		all = longer;
	}
	return all;
}

char *agent_shell_quote(const char *s)
{
	char *out = xcalloc(strlen(s) + 1, 4); /* ' becomes '\'' */
	char *at = stpcpy(out, "'");

	for (; *s; s++) {
		if (*s == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *s;
	}
	strcpy(at, "'");
	return out;
}

/* "--model", "--model=x"; of one letter also with what belongs to it: "-mx". */
static bool is_option(const char *word, size_t len, const char *option)
{
	bool letter = option[0] == '-' && option[1] != '-' && !option[2];

	return letter ? !strncmp(word, option, 2) : strlen(option) == len && !strncmp(word, option, len);
}

int agent_check_ours(const struct instance *in, const char *program, const struct agent_ours *ours, size_t n,
	struct err *e)
{
	for (char *const *a = in->argv; a && *a; a++) {
		size_t len = strcspn(*a, "=");
		for (size_t i = 0; i < n; i++) {
			if (!is_option(*a, len, ours[i].option))
				continue;
			err_set(e, ERR_PARAMS, "'%s' is not for the command line of %s here", ours[i].option, program);
			return err_hint(e, "%s", ours[i].instead);
		}
	}
	if (in->model && (!in->model[0] || in->model[0] == '-'))
		return err_set(e, ERR_PARAMS, "'%.64s' is no model's name", in->model);
	return 0;
}

int agent_check_there(const struct agent_place *pl, const char *title, const char *name, const char *package,
	struct err *e)
{
	if (pl->isolated)
		return 0;
	cleanup_free char *found = proc_which(pl->program_path);
	if (found)
		return 0;
	err_set(e, ERR_MISSING, "%s ('%.200s') was not found on this machine", title, pl->program_path);
	return err_hint(e, "npm install -g %s, or set %s_path in the config", package, name);
}

void agent_launch_finish(struct agent_launch *l)
{
	strv_free(l->argv);
	strv_free(l->env);
	json_decref(l->files);
	free(l->session);
	memset(l, 0, sizeof(*l));
}

void agent_text(char *out, size_t size, const char *text)
{
	str_line(out, size, text);
}

bool agent_prompt_reported(const char *text)
{
	return text[0] != '/' && text[0] != '!';
}

/* Variables by which an enclosing agent, tmux or daemon would be taken for this one. */
static bool foreign(const char *variable)
{
	static const char *const starts[] = {
		"TMUX=", "TMUX_", "CLAUDECODE=", "CLAUDE_CODE_", "CLAUDE_PID=", "CLAUDE_AGENT_",
		"LINES=", "COLUMNS=", "PWD=", "OLDPWD=", "STY=", "WINDOW=", "TERM_PROGRAM",
	};
	for (size_t i = 0; i < ARRAY_LEN(starts); i++)
		if (str_starts(variable, starts[i]))
			return true;
	return !strchr(variable, '=');
}

char **agent_env(const struct agent_place *pl)
{
	/* Programs differ in the case they look for; some take both and prefer the lower one. */
	static const char *const proxy[] = {"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"};
	static const char *const direct[] = {"NO_PROXY", "no_proxy"};
	char **env = strv_new();

	for (char *const *v = pl->base_env; v && *v; v++)
		if (!foreign(*v))
			strv_push(&env, *v);
	strv_env_set(&env, "HOME", pl->home);
	strv_env_set(&env, "USER", pl->user);
	strv_env_set(&env, "LOGNAME", pl->user);
	if (pl->shell)
		strv_env_set(&env, "SHELL", pl->shell);
	if (!strv_env_get(env, "LANG") && !strv_env_get(env, "LC_ALL"))
		strv_env_set(&env, "LANG", "C.UTF-8");
	strv_env_set(&env, "TERM", "xterm-256color");
	strv_env_set(&env, "COLORTERM", "truecolor");
	for (size_t i = 0; pl->proxy_url && i < ARRAY_LEN(proxy); i++)
		strv_env_set(&env, proxy[i], pl->proxy_url);
	for (size_t i = 0; pl->proxy_url && i < ARRAY_LEN(direct); i++)
		strv_env_set(&env, direct[i], "127.0.0.1,localhost,::1");
	return env;
}

void agent_env_user(char ***env, const struct instance *in)
{
	const char *key;
	json_t *value;

	json_object_foreach(in->env, key, value)
		strv_env_set(env, key, json_string_value(value));
}
