/* SPDX-License-Identifier: ISC */
/* The roles that agents run: reporting, and calling. */
#ifndef PLACE_GUEST_HOOK_H
#define PLACE_GUEST_HOOK_H

#include <jansson.h>

/* Reports EVENT with the JSON of standard input; always 0, within HOOK_MS. step: it is one (place/shim/events.h), unless
 * it is of one of these tools; NULL: it is none. */
int hook_main(const char *event, char *const *step);
/* Calls METHOD of the daemon's API as this instance and prints the result: 0, or 1 with the error on
 * stderr, 2 for wrong usage, 3 when nobody answers. */
int call_main(const char *method, const char *params);

/* Cuts texts and lists until the whole is at most max bytes as JSON. Public for tests. */
void report_shrink(json_t *body, size_t max);

#endif
