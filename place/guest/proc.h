/* SPDX-License-Identifier: ISC */
/* Programs with a terminal that outlive their shim. */
#ifndef PLACE_GUEST_PROC_H
#define PLACE_GUEST_PROC_H

#include "place/guest/guest.h"

#define PROC_ID_MAX 32
#define PROCS_MAX 64
#define PROC_KEEP_MAX LINK_OUT_MAX /* unacknowledged output; then the program waits */

/* {"kind":"run","proc","argv","env","cwd","user","rows","cols","files"} */
void proc_run(struct guest *g, struct link_stream *s, const json_t *what);
/* {"kind":"attach","proc","from"} */
void proc_attach(struct guest *g, struct link_stream *s, const json_t *what);
/* [{"proc","pid","first","next","exit"}], new reference. */
json_t *proc_list(struct guest *g);
/* Signals every program that runs, and what is in its session's foreground. */
void proc_signal_all(struct guest *g, int sig);
bool proc_any_unacknowledged(const struct guest *g); /* one runs, or its exit is not taken note of */
bool proc_owns(const struct guest *g, pid_t pid);
void proc_destroy_all(struct guest *g);

/* Says why something did not start, ends the stream, and lets it go when the peer does. */
void stream_fail(struct link_stream *s, const struct err *why);
/* Letters, digits, - and _; it becomes part of a path. */
bool proc_id_valid(const char *id);

#endif
