/* SPDX-License-Identifier: ISC */
/* Starting programs in the place: what was asked for, as whom, with or without a terminal. */
#ifndef PLACE_GUEST_SPAWN_H
#define PLACE_GUEST_SPAWN_H

#include "place/guest/guest.h"

#define SPAWN_STRINGS_MAX 4096 /* arguments, and variables */
#define SPAWN_ROWS_MAX 1000

struct spawn {
	char **argv, **env;
	char *cwd;
	bool user; /* as the agent; else as we are */
	int rows, cols;
};

/* Reads argv, env, cwd, user, rows and cols of a run or exec. An env without PATH, or none, is laid
 * over the agent's. instance (may be NULL) adds TMUX_CLAUDE_INSTANCE and TMUX_CLAUDE_SOCKET. */
int spawn_parse(struct guest *g, const json_t *what, const char *instance, struct spawn *ret,
	struct err *e);
void spawn_finish(struct spawn *s);

/* With a new terminal. *ret_slave is an end of it that keeps it open until the caller closes it. */
/* *ret_said: where a start that goes on (enter.h) tells its end; -1: the program runs. The same below. */
int spawn_tty(struct guest *g, const struct spawn *s, int *ret_master, int *ret_slave, pid_t *ret_pid,
	int *ret_said, struct err *e);
/* With pipes; ret_fds: our ends (non-blocking) of stdin, stdout, stderr. */
int spawn_pipes(struct guest *g, const struct spawn *s, int ret_fds[3], pid_t *ret_pid, int *ret_said,
	struct err *e);

/* "TERM", "SIGTERM" or "15"; 0 when there is no such signal. */
int signal_number(const char *name);
/* Sends a CTL's {"signal","group"} to a program: to the foreground of its terminal (master >= 0) or
 * its process group when group is set, else to it alone. */
void spawn_signal(const json_t *msg, pid_t pid, int master, bool group_default);

#endif
