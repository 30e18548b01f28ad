/* SPDX-License-Identifier: ISC */
/* Whether nothing moves for longer than is usual for an instance; said, never acted on. */
#ifndef DAEMON_CORE_STUCK_H
#define DAEMON_CORE_STUCK_H

#include "daemon/core/fleet_int.h"

#define PACE_STEPS 16 /* each twice as long as the one before: from under 1 s to 4.5 hours and more */

/* How often it was silent, while it worked, for how long, until something moved again. */
struct pace {
	int n[PACE_STEPS];
};

/* Pure. What is long ago fades: past PACE_MOST all counts are halved. */
void pace_note(struct pace *p, int64_t silent_ms);
/* Silence longer than this is unusual: some times what nine of ten were shorter than, from floor up; where too
 * little is known, PACE_UNKNOWN_MS, and never more than PACE_CEILING_MS. */
int64_t pace_limit_ms(const struct pace *p, int64_t floor_ms);
json_t *pace_to_json(const struct pace *p); /* new */
struct pace pace_from_json(const json_t *o); /* what cannot be is nothing */

#define PACE_MOST 256
#define PACE_FEW 8
#define PACE_TIMES 4
#define PACE_UNKNOWN_MS (30 * 60000)
#define PACE_CEILING_MS (6 * 3600000)

void stuck_moved(struct unit *u, int64_t ago_ms); /* something of it was reported, so long ago, or printed */
void stuck_turned(struct unit *u); /* it began to work, or ended it, whoever told */
void stuck_write(struct unit *u); /* into its row, which is about to be written */
void stuck_look(struct unit *u);  /* it was found again by a new daemon */

#endif
