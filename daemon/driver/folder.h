/* SPDX-License-Identifier: ISC */
/* Which folders may be given to an agent. */
#ifndef DAEMON_DRIVER_FOLDER_H
#define DAEMON_DRIVER_FOLDER_H

#include <sys/stat.h>

#include "base/err.h"
#include "ipc/layout.h"

/* dir must be absolute and an existing folder; *ret_real is its path without links, owned. Refused
 * (ERR_DENIED): /, system folders, and any that holds or lies in our own state, config or templates. */
int folder_check(const struct layout *l, const char *dir, char **ret_real, struct err *e);
/* stat of a folder by a path in which nothing may be a link (it was resolved before; a place may have
 * swapped a part since). -1 with errno. */
int folder_stat(const char *real, struct stat *ret);
/* Something a person should be told about it (a whole HOME), or NULL. Static. */
const char *folder_warning(const char *real);

#endif
