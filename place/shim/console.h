/* SPDX-License-Identifier: ISC */
/* What the machine prints on its console, kept in console.log for people; bounded. */
#ifndef SHIM_CONSOLE_H
#define SHIM_CONSOLE_H

#include "base/loop.h"

#define CONSOLE_LOG_MAX (1024 * 1024) /* past it the log begins anew: the last words matter */

struct console;

/* Connects to the socket that the holder listens on, and opens the log: before privileges are dropped.
 * NULL (and a line in the shim's own log) when that cannot be; the place does without. */
struct console *console_create(struct loop *l, const char *socket, const char *log_path);
void console_destroy(struct console *c); /* NULL ok */

#endif
