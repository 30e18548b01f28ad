/* SPDX-License-Identifier: ISC */
/* The login that the user gave with `tmux-claude login`: a file only they can read. */
#ifndef DAEMON_LOGIN_H
#define DAEMON_LOGIN_H

#include "base/err.h"

struct login {
	char *kind;  /* "oauth_token" or "api_key"; NULL when there is none */
	char *value; /* the secret; wiped by login_finish */
};

/* An absent file is no error: kind stays NULL. A file that others may read or that is not ours is
 * refused (ERR_DENIED), with what to do. */
int login_load(const char *path, struct login *ret, struct err *e);
void login_finish(struct login *l);

#endif
