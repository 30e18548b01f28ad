/* SPDX-License-Identifier: ISC */
/* Giving the fleet a renewing login of its own; cli/login.c keeps the others. */
#ifndef CLI_SIGN_IN_H
#define CLI_SIGN_IN_H

#include "cli/cli.h"

/* Takes (not copies) a sign-in of Claude Code's from file; refused where a Claude Code goes on using it. */
int sign_in_import(struct cli *c, const char *file, struct err *e);
/* Has Claude Code sign in, in a folder of its own that is removed after, and takes what it wrote. */
int sign_in_run(struct cli *c, struct err *e);

#endif
