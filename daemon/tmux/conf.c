/* SPDX-License-Identifier: ISC */
/* What our tmux servers are told at their start; conf.h names the records of the hooks. */
#include "daemon/tmux/conf.h"

#include "base/buf.h"
#include "base/util.h"
#include "daemon/tmux/client.h"
#include "daemon/tmux/quote.h"

#define CONF_MAX 16384
#define SETTINGS_MAX (1024 * 1024) /* of a person's own; what does not fit is left out */

/*
 * The status line: who, in which state, how to leave. What the state option holds comes from outside, and
 * is told with every '#' doubled. Blanks part styles here, as a comma would end the branch of a format.
 * The state is the daemon's word: while no client of its own is on the hub, nobody knows better.
 */
#define STATE "#{" TMUX_STATE_OPTION "}"
#define IS(word, style, otherwise) "#{?#{m:" word "*," STATE "},#[" style "]," otherwise "}"
#define STATE_STYLE                                                                                \
	IS("waiting", "fg=yellow bold",                                                            \
		IS("working", "fg=cyan", IS("idle", "fg=green", IS("limited", "fg=magenta", IS("failed", "fg=red", "")))))
#define DAEMON_THERE "#{S:#{?#{==:#{session_name}," TMUX_HUB "},#{session_attached},}}"
#define STATE_OR_NOT(style, state) "#{?" DAEMON_THERE "," style state ",state not known: the daemon is away}"
/* What is too long would push out how to leave. */
#define STATE_CUT "#{=/#{e|-|:#{client_width},42}/...:" TMUX_STATE_OPTION "}"
#define LEFT(style) " #[bold]#{=/24/...:window_name}#[nobold]  " STATE_OR_NOT(style, STATE_CUT) " "
#define RIGHT                                                                                      \
	"#{?" TMUX_NOTE_OPTION ",#{" TMUX_NOTE_OPTION "}  ,}#{?#{>:#{window_panes},1},#{prefix} o next  ,}"    \
	"#{?client_prefix,#[reverse],}#{prefix}#[noreverse] d leaves "
#define BORDER(style)                                                                              \
	"#{?" TMUX_NAME_OPTION ", #{?pane_active,#[bold],}#{" TMUX_NAME_OPTION "}#[nobold] " STATE_OR_NOT(style, STATE) " ,}"
/* One window needs no list of windows. */
#define WINDOWS "#{?#{==:#{session_windows},1},,#I:#W#F }"

const struct tmux_setting tmux_conf_plain[] = {
	{"-q", "status-style", "reverse"},
	{"-q", "status-left", LEFT("")},
	{"-wq", "pane-border-format", BORDER("")},
	{"-wq", "pane-border-style", "default"},
	{"-wq", "pane-active-border-style", "bold"},
	{"-q", "message-style", "reverse"},
	{"-wq", "mode-style", "reverse"},
	{NULL, NULL, NULL},
};

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
	"set-option -g status-style 'bg=colour236 fg=colour252'",
	"set-option -g status-left '" LEFT(STATE_STYLE) "'",
	"set-option -g status-left-length 160",
	"set-option -g status-right '" RIGHT "'",
	"set-option -g status-right-length 40",
	"set-option -gw window-status-format '" WINDOWS "'",
	"set-option -gw window-status-current-format '" WINDOWS "'",
	"set-option -gw window-status-separator ''",
	"set-option -gw pane-border-format '" BORDER(STATE_STYLE) "'",
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

/* A person's own setting, each word quoted: it means what it says and nothing else. */
static void put_setting(struct buf *b, char *const *words)
{
	struct tmux_cmd cmd;

	tmux_cmd_init(&cmd);
	tmux_cmd_add(&cmd, words[0]);
	for (words++; *words != NULL; words++)
		tmux_cmd_arg(&cmd, *words);
	if (tmux_cmd_end(&cmd))
		buf_append(b, buf_data(&cmd.line), cmd.line.len);
	tmux_cmd_finish(&cmd);
}

char *tmux_conf_text(char **const *settings)
{
	struct buf b;
	char *text;

	buf_init(&b, CONF_MAX + SETTINGS_MAX);
	buf_printf(&b, "# Written by tmux-claude at each start; changes are lost.\n");
	buf_printf(&b, "set-environment -gu LD_PRELOAD\n"); /* the server's own, see no_utmp.c */
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		buf_printf(&b, "%s\n", options[i]);
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		buf_printf(&b,
			"set-hook -g %s \"set-option -gaF " TMUX_EV_OPTION
			" '%s;' ; wait-for -S " TMUX_EV_CHANNEL "\"\n",
			hooks[i].hook, hooks[i].record);
	for (; settings != NULL && *settings != NULL; settings++)
		put_setting(&b, *settings);
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
