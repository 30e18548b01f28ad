/* SPDX-License-Identifier: ISC */
/* Programs that a file of the user's describes. */
#ifndef DAEMON_AGENT_CUSTOM_H
#define DAEMON_AGENT_CUSTOM_H

#include "daemon/agent/agent.h"

/* Where their files are: agents.d beside this file. Call once, at the start. */
void custom_folder(const char *config_file);
/* Reads NAME's file (again). ERR_NOT_FOUND when there is none. */
int custom_read(const char *name, struct err *e);
/* NULL: none, or none when it was last looked for: custom_read looks anew. */
const struct agent_program *custom_find(const char *name);
/* Stands for one whose file is gone while instances of it are known: it starts nothing. */
extern const struct agent_program agent_gone;

#endif
