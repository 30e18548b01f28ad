/* SPDX-License-Identifier: ISC */
/* What differs between versions of tmux, in one table. */
#ifndef DAEMON_TMUX_VERSION_H
#define DAEMON_TMUX_VERSION_H

#include <stdbool.h>

#include "base/err.h"

#define TMUX_VERSION_MAX 16

struct tmux_version {
	char text[TMUX_VERSION_MAX]; /* "3.3a", "next-3.6", "master" */
	/* Ended programs' panes can stay (remain-on-exit): 3.2a crashes on it under control mode. */
	bool dead_panes;
};

/* Reads what `tmux -V` prints ("tmux 3.3a\n"). ERR_VERSION when it is older than 3.2a. */
int tmux_version_parse(const char *said, struct tmux_version *ret, struct err *e);
/* Runs `program -V`, waiting at most a few seconds: at daemon start only. */
int tmux_version_ask(const char *program, char *const *env, struct tmux_version *ret,
	struct err *e);

#endif
