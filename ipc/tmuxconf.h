/* SPDX-License-Identifier: ISC */
/*
 * What may be taken over from a person's own tmux configuration: keys, colours, habits. Pure: text in,
 * commands out, and a reason for each line that is left.
 *
 * A list of what is taken rather than of what is not: nothing that runs a program, reads a file, is run by an
 * event or is expanded as a format gets through, as our servers stand between a person and what agents
 * print. Every value has a form of its own, so what comes out has no meaning to tmux but the one it shows.
 */
#ifndef IPC_TMUXCONF_H
#define IPC_TMUXCONF_H

#include <stdbool.h>
#include <stddef.h>

#define TMUXCONF_FILE_MAX (256 * 1024)
#define TMUXCONF_COMMANDS_MAX 1000 /* in a file; the rest is left, and said to be */
#define TMUXCONF_WORD_MAX 256

struct tmuxconf_left {
	int line;
	char *text, *why; /* owned */
};

struct tmuxconf {
	char ***commands; /* taken: vectors of words, in a vector that ends with NULL */
	size_t ncommands;
	struct tmuxconf_left *left;
	size_t nleft;
};

/* Never fails. Release with tmuxconf_finish. */
void tmuxconf_parse(const char *text, size_t len, struct tmuxconf *ret);
void tmuxconf_finish(struct tmuxconf *c);

/* tmuxconf_rules.c: judges one command. *ret (owned) becomes the words that say it to tmux; NULL with the
 * reason, a constant. */
char **tmuxconf_judge(char *const *words, const char **why);

#endif
