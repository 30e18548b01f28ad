/* SPDX-License-Identifier: ISC */
/*
 * What a program says of itself in a file: FOLDER/PID.json with a status, as Claude Code keeps one. Its changes
 * are reported as a hook would report them, as event SessionFile.
 */
#ifndef PLACE_GUEST_SESSION_H
#define PLACE_GUEST_SESSION_H

#include "place/guest/guest.h"

struct session;

/* folder need not be there yet. NULL when it cannot be watched; the log says why. */
struct session *session_create(struct guest *g, const char *instance, const char *folder, pid_t pid);
void session_destroy(struct session *s); /* NULL ok */

#endif
