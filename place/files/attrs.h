/* SPDX-License-Identifier: ISC */
/* Attributes of files: answering and setting. */
#ifndef FILES_ATTRS_H
#define FILES_ATTRS_H

#include "place/files/serve.h"

void answer_attrs(struct server *s, const struct stat *st);
void answer_statvfs(struct server *s, int fd);
/* Sets mode (without setuid, setgid, sticky), owner (only to what it is) and times, but not the size. fd may
 * be O_PATH. Links are not followed. -1 with errno. */
int attrs_apply(int fd, const struct wire_attrs *a, bool never_executable);

#endif
