/* SPDX-License-Identifier: ISC */
/* What our tmux servers are told at their start; conf.h names the records of the hooks. */
#include "daemon/tmux/conf.h"

#include "base/buf.h"
#include "base/util.h"

#define CONF_MAX 16384

/* remain-on-exit is set for our panes one by one: those that people open end as in any tmux.
 * exit-empty off: the server ends when we say so. status-interval 0: nothing in the line needs a
 * timer. set-clipboard off: an agent must not reach the clipboard of who looks at it. update-environment:
 * attaching brings nothing of the user's environment in. message-limit: the log keeps every command. */
static const char *const options[] = {
	"set-option -s exit-empty off",
	"set-option -s escape-time 10",
	"set-option -s focus-events on",
	"set-option -s set-clipboard off",
	"set-option -s message-limit 20",
	"set-option -s default-terminal tmux-256color",
	"set-option -g history-limit 200",
	"set-option -g destroy-unattached off",
	"set-option -g detach-on-destroy on",
	"set-option -g update-environment ''",
	"set-option -g set-titles on",
	"set-option -g set-titles-string '#{window_name} - tmux-claude'",
	"set-option -g status on",
	"set-option -g status-interval 0",
	"set-option -g status-left '[#{window_name}] '",
	"set-option -g status-left-length 66",
	"set-option -g status-right '#{" TMUX_STATE_OPTION "}'",
	"set-option -g status-right-length 80",
	"set-option -gw automatic-rename off",
	"set-option -gw allow-rename off",
	"set-option -g " TMUX_EV_OPTION " ''",
};

/* Each fires once per happening; what is told beside the letter is trusted only where it is matched
 * against what we know. */
static const struct {
	const char *hook, *record;
} hooks[] = {
	{"pane-died", "D #{hook_pane} #{pane_pid} #{pane_dead_status} #{pane_dead_signal}"},
	{"session-closed", "C #{hook_session_name}"},
	{"session-renamed", "R"},
	{"window-unlinked", "U #{hook_session_name}"},
	{"after-kill-pane", "K"},
	{"client-attached", "A"},
	{"client-detached", "A"},
	{"client-session-changed", "A"},
};

char *tmux_conf_text(void)
{
	struct buf b;
	char *text;

	buf_init(&b, CONF_MAX);
	buf_printf(&b, "# Written by tmux-claude at each start; changes are lost.\n");
	buf_printf(&b, "set-environment -gu LD_PRELOAD\n"); /* the server's own, see no_utmp.c */
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		buf_printf(&b, "%s\n", options[i]);
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		buf_printf(&b,
			"set-hook -g %s \"set-option -gaF " TMUX_EV_OPTION
			" '%s;' ; wait-for -S " TMUX_EV_CHANNEL "\"\n",
			hooks[i].hook, hooks[i].record);
	text = xstrndup((char *)buf_data(&b), b.len);
	buf_finish(&b);
	return text;
}

char **tmux_conf_env(char *const *from)
{
	static const char *const names[] = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG",
		"LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TMUX_CLAUDE_HOME", "XDG_RUNTIME_DIR",
		"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME",
		/* those that only builds with sanitizers look at */
		"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"};
	char **env = strv_new();

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = strv_env_get(from, names[i]);

		if (value != NULL)
			strv_env_set(&env, names[i], value);
	}
	if (strv_env_get(env, "PATH") == NULL)
		strv_env_set(&env, "PATH", "/usr/local/bin:/usr/bin:/bin");
	return env;
}
