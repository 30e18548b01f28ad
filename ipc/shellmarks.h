/* SPDX-License-Identifier: ISC */
/* What makes a shell print marks about its prompt (OSC 133): lines for its rc file. docs/shells.md. */
#ifndef IPC_SHELLMARKS_H
#define IPC_SHELLMARKS_H

#include <stdbool.h>

/* "bash", "zsh" or "fish": the lines; NULL for others. May be read twice by the same shell. */
const char *shellmarks_lines(const char *shell);
/* A whole file for `bash --rcfile`: what a login shell reads, then the lines. */
const char *shellmarks_bash_login(void);

#endif
