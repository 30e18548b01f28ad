/* SPDX-License-Identifier: ISC */
/* When what is done once a day is due again; see daily.h. Pure. */
#include "daemon/world/daily.h"

#include <string.h>

#define AGAIN_PART 96 /* of a day: a quarter of an hour */
#define AGAIN_MOST_PART 4

int64_t daily_age(const struct daily_moment *m, const struct daily_moment *now)
{
	int64_t age = now->wall_ms - m->wall_ms;

	if (!m->boot[0])
		return INT64_MAX;
	if (!strcmp(m->boot, now->boot))
		return now->boot_ms > m->boot_ms ? now->boot_ms - m->boot_ms : 0;
	return age > now->boot_ms ? age : now->boot_ms;
}

static int64_t left(int64_t pause_ms, const struct daily_moment *since, const struct daily_moment *now)
{
	int64_t age = daily_age(since, now);

	return age >= pause_ms ? 0 : pause_ms - age;
}

int64_t daily_wait(const struct daily *d, int64_t every_ms, const struct daily_moment *now)
{
	int64_t wait = left(every_ms, &d->done, now), pause = every_ms / AGAIN_PART, again;

	if (d->failed <= 0)
		return wait;
	for (int64_t n = d->failed; n > 1 && pause < every_ms / AGAIN_MOST_PART; n--)
		pause *= 2;
	again = left(pause < every_ms / AGAIN_MOST_PART ? pause : every_ms / AGAIN_MOST_PART, &d->tried, now);
	return again > wait ? again : wait;
}
