/* SPDX-License-Identifier: ISC */
/* Which function runs which verb. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

#include "cli/cli.h"

/* Runs the verb of c->args. */
int verb_run(struct cli *c);
/* `view ID`, which tmux's panes run: no row in the table, as people do not type it. */
int verb_view(struct cli *c, char *const *argv);

#endif
