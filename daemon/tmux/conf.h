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

/* The text of the configuration file. Owned. What versions differ in is not in it. */
char *tmux_conf_text(void);
/* The environment of servers, and so of what runs in them: the caller's, without what is not for panes
 * (the caller's own tmux, keys and tokens). Owned vector. */
char **tmux_conf_env(char *const *from);

#endif
