/* SPDX-License-Identifier: ISC */
/* What our tmux servers are told at their start: options, hooks, environment. */
#ifndef DAEMON_TMUX_CONF_H
#define DAEMON_TMUX_CONF_H

/* Hooks append records to the option, each ended by ';', and signal the channel:
 *   D %PANE PID STATUS SIGNAL    a pane's program ended (either of the last two is empty)
 *   C NAME                       a session ended
 *   anything else                something changed: list again */
#define TMUX_EV_OPTION "@tmux_claude_events"
#define TMUX_EV_CHANNEL "tmux_claude_events"
#define TMUX_ID_OPTION "@tmux_claude_id"       /* of a session that a person renamed */
#define TMUX_STATE_OPTION "@tmux_claude_state" /* of a session: shown in its status line */

#define TMUX_CONF_OPTION "@tmux_claude_conf"   /* a stamp of the text that is in force */

#define TMUX_PANE_OPTION "@tmux_claude_pane"   /* of our own pane in an agent's session: the id */
/* Of sessions that people have of their own (attach.h): */
#define TMUX_OWN "VIEW"                        /* their names begin so: never an agent's, which are lower case */
#define TMUX_VIEW_OPTION "@tmux_claude_view"   /* of a pane: the agent that it shows; it is told the state too */
#define TMUX_NAME_OPTION "@tmux_claude_name"   /* of a pane: the agent's name, for tiles */
#define TMUX_NOTE_OPTION "@tmux_claude_note"   /* of a session: said in its status line */

struct tmux_setting {
	const char *flag, *name, *value;
};
/* What a session needs whose status line is to have no colours. Ends with a NULL name. */
extern const struct tmux_setting tmux_conf_plain[];

/* The text of the configuration file; settings: of a person's own, may be NULL. Owned. What versions differ in is not in it. */
char *tmux_conf_text(char **const *settings);
/* The environment of servers, and so of what runs in them: the caller's, without what is not for panes
 * (the caller's own tmux, keys and tokens). Owned vector. */
char **tmux_conf_env(char *const *from);

#endif
