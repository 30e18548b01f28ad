/* SPDX-License-Identifier: ISC */
/*
 * Changes of files and folders of the place. One inotify descriptor for the whole program, made when it is needed: a
 * user may have 128 of them. Where none can be had, those who watch are called when the agent gives a sign of life
 * (watch_nudge), and a moment after.
 */
#ifndef PLACE_GUEST_WATCH_H
#define PLACE_GUEST_WATCH_H

#include "place/guest/guest.h"

struct watch;
struct watches;

/* Something about it may have changed. May free this watch, or any other. */
typedef void watch_fn(void *arg);
/* Watches a file (what is written to it, its removal) or a folder (what comes into it). NULL when it is not
 * there. */
struct watch *watch_add(struct guest *g, const char *path, bool folder, watch_fn *fn, void *arg);
void watch_free(struct watch *w); /* NULL ok */
/* A report came, or output: only those that the kernel tells nothing are called. */
void watch_nudge(struct guest *g);
void watches_destroy(struct guest *g);

#endif
