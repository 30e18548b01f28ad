/* SPDX-License-Identifier: ISC */
/*
 * The last step before a program of an agent: into its folder, then exec.
 *
 * The folder may be a mount whose bytes pass through this very process (sshfs over the link). Were we to
 * look at it, or to wait for a child that does, nobody would be left to carry the answer. So the child
 * is ourselves again, in the role `enter`: started from the root file system at once, it goes into the
 * folder, finds the program and becomes it; what goes wrong comes back over a descriptor that exec closes.
 */
#ifndef GUEST_ENTER_H
#define GUEST_ENTER_H

#include "base/loop.h"

#define ENTER_FD 3 /* where the role says what went wrong */
#define ENTER_PROGRAM "/proc/self/exe"

/* The role: argv of `tmux-claude-guest enter FOLDER PROGRAM ARGV0 ...`. Returns only on failure. */
int enter_main(int argc, char **argv);

/* The waiting side. error NULL: the program runs. The object is gone when fn is called. */
typedef void enter_fn(void *arg, const struct err *error);
struct entering;
struct entering *entering_create(struct loop *l, int fd, enter_fn *fn, void *arg); /* takes fd over */
void entering_destroy(struct entering *n);
/* The child has ended, so all is said: calls fn now. */
void entering_settle(struct entering *n);

#endif
