/* SPDX-License-Identifier: ISC */
/* A view of an agent's terminal: what a tmux pane runs, and what a person's own terminal can show. */
#ifndef CLI_VIEW_H
#define CLI_VIEW_H

#include <stdbool.h>

#include "base/err.h"

struct view_spec {
	const char *socket, *instance;
	bool read_only;
	/* In a person's own terminal: what it shows is kept above, and the keys to leave work. */
	bool bare;
	const char *name;   /* bare: the agent's, for the title */
	bool person;        /* nobody else looks: the terminal takes this view's size at once */
	int detach;         /* bare: the key that leaves, see detach_key; 0: none */
	const char *detach_name;
};

/* Runs until the agent ended, the person left, or nobody could be reached: an exit code, or -1. */
int view_run(const struct view_spec *spec, struct err *e);

#endif
