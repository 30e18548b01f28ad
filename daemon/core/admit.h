/* SPDX-License-Identifier: ISC */
/* Admission, as core's own files use it. */
#ifndef DAEMON_CORE_ADMIT_H
#define DAEMON_CORE_ADMIT_H

#include "daemon/core/fleet_int.h"
#include "daemon/core/room.h"

struct admission *admission_create(void);
void admission_destroy(struct admission *a); /* no unit is left */

/* May a start be asked for at all, and with no_queue: at once? in is not in the fleet yet. -1: refused. */
int admit_asked(struct fleet *f, const struct instance *in, bool no_queue, struct err *e);
/* Its state or step changed: out of the line when it waits no longer, its slot free when its start is over. */
void admit_look(struct unit *u);
/* The fleet is not being ended any more. */
void admit_open(struct fleet *f);
/* It is being dropped. */
void admit_drop(struct unit *u);
/* Its start is under way since before this daemon. */
void admit_hold(struct unit *u);
/* Those that an earlier daemon left waiting stand in line again, in their order. */
void admit_again(struct fleet *f);
/* What a waiting one says of itself; false when it does not wait in line. */
bool admit_shown(const struct unit *u, const char **ret_reason, char *text, size_t size);

#endif
