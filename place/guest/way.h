/* SPDX-License-Identifier: ISC */
/* Ways to files that others name: none that leads to where this process would wait for itself. */
#ifndef PLACE_GUEST_WAY_H
#define PLACE_GUEST_WAY_H

#include "place/guest/guest.h"

/* Opens an absolute path: a descriptor, or -1 with errno. In a machine we are root and its agent is not, and this
 * process serves mounts: a way through a link or into such a mount is refused (ELOOP, EXDEV). Only its last part may be
 * a link, to an absolute path of which the same holds: what memory.c keeps on the disk is such a one. On a host the agent is
 * who we are, and its folders may be links. */
int way_open(const struct guest *g, const char *path, int flags);
/* Opens path below the folder: through no link, never out of it, and in a machine into no other file system. */
int way_open_below(const struct guest *g, int folder, const char *path, int flags);

#endif
