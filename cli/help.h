/* SPDX-License-Identifier: ISC */
/* Help texts, made from the table. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "ipc/schema.h"

/* "tmux-claude send [OPTION...] ID TEXT|-"; owned. */
char *help_usage(const struct method_def *m);
void help_verb(FILE *out, const struct method_def *m, int width);
void help_top(FILE *out, int width);
void help_man(FILE *out); /* man(7), from the same rows */
/* The heading a verb stands under in the top-level help, or NULL (a test looks for that). */
const char *help_group(enum method_id id);

#endif
