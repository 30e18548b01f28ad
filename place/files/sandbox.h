/* SPDX-License-Identifier: ISC */
/* Landlock: the kernel's own word that the process reaches nothing outside the folder. */
#ifndef FILES_SANDBOX_H
#define FILES_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

/* Restricts this process for good to what is below fd, and to no new TCP connections. 1 when in force, 0
 * when the kernel does not offer enough (what: says why; static), -1 with an error. */
int sandbox_enter(int fd, bool read_only, const char **what, struct err *e);

#endif
