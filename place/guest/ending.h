/* SPDX-License-Identifier: ISC */
/* The end of a place: programs are ended, exits told, then the machine or we ourselves go. */
#ifndef PLACE_GUEST_ENDING_H
#define PLACE_GUEST_ENDING_H

#include "place/guest/guest.h"

void ending_start(struct guest *g); /* again: no effect */
void ending_destroy(struct ending *x);
/* A child ended (or a link went): maybe that was the last thing to wait for. */
void ending_look(struct guest *g);

/* Reaps children that nobody waits for any more. Outside a machine also what our programs leave behind,
 * as nobody else would: we become its parent. */
struct reaper;
struct reaper *reaper_create(struct guest *g);
void reaper_destroy(struct reaper *r); /* NULL ok */

#endif
