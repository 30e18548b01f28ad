/* SPDX-License-Identifier: ISC */
/* Starting programs: argv array, exact descriptors, identity, no shell. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

#define PROC_FDS_MAX 32

struct proc_fd {
	int from; /* in this process */
	int to;   /* in the child */
};

/* Zeroed fields mean: inherit environment, folder, identity, session. Descriptors 0-2 not listed
 * become /dev/null; every other one not listed is closed. */
struct proc_spec {
	const char *file; /* searched in PATH when it has no slash; NULL: argv[0] */
	char *const *argv;
	char *const *envp; /* NULL: this process's */
	const char *cwd;
	struct proc_fd fds[PROC_FDS_MAX];
	size_t nfds;
	bool setsid;
	bool ctty;            /* after setsid make fd 0 the controlling terminal */
	bool drop;            /* become uid/gid, with no supplementary groups */
	uid_t uid;
	gid_t gid;
	int pdeathsig;        /* 0: none */
	bool no_new_privs;
	/* Called when the process is there and before it does anything: it goes on when this returned 0, and is
	 * ended otherwise; also when this process dies in it, at whatever point. So what is noted of it here (its
	 * pid; its start time stays the same) is noted of each that was ever executed. NULL: none. */
	int (*note)(void *arg, pid_t pid, struct err *e);
	void *note_arg;
};

void proc_spec_fd(struct proc_spec *s, int from, int to);
/* Returns 0 with *ret_pid when exec succeeded; -1 with why it did not (ERR_MISSING when the program
 * was not found, ERR_FAILED otherwise). The child starts with default signals and none blocked. */
int proc_spawn(const struct proc_spec *s, pid_t *ret_pid, struct err *e);
/* Finds a program: as given when it has a slash, in PATH otherwise. Owned, or NULL. */
char *proc_which(const char *name);

#endif
