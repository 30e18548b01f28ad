/* SPDX-License-Identifier: ISC */
/* The user's terminal while a view has it: raw, and as it was again on every way out. */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include <stdbool.h>

#include "base/err.h"

/* Makes standard input raw. From here on the terminal is restored at exit and on signals that end the
 * program (not on SIGKILL). painted: what is shown may have switched modes; they are reset, too. */
int term_raw(bool painted, struct err *e);
/* As it was before term_raw; may be called again and again. */
void term_restore(void);
/* Raw again, when somebody else had the terminal meanwhile. */
void term_again(void);
/* A descriptor to write to the terminal without ever waiting for it (it is one of its own, so that nothing
 * changes for those who share ours), or standard output itself where there can be none. */
int term_output(void);
/* For a program that is given the terminal: keeps how it is; makes it so again after that one was killed
 * and left it as it was. */
void term_keep(void);
void term_reset(void);
bool term_size(int *rows, int *cols);
/* A descriptor that becomes readable when a signal of interest came: SIGWINCH, SIGCONT, and those that end us.
 * term_signal returns the next one, or 0. */
int term_signal_fd(struct err *e);
int term_signal(int fd);

#endif
