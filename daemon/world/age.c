/* SPDX-License-Identifier: ISC */
/* A clock that does not jump; see age.h. */
#include "daemon/world/age.h"

void age_init(struct age *a, int64_t last_ms, int64_t boot_ms, int64_t wall_ms)
{
	int64_t most = last_ms > 0 ? last_ms + AGE_BELIEVED_MS : wall_ms;

	*a = (struct age){.ahead = (wall_ms < most ? wall_ms : most) - boot_ms};
}

int64_t age_now(struct age *a, int64_t boot_ms, int64_t wall_ms)
{
	int64_t ahead = wall_ms - boot_ms;

	if (ahead <= a->ahead + AGE_STEP_MS) {
		a->ahead = ahead;
		a->since_ms = 0;
	} else if (!a->since_ms || ahead > a->doubted + AGE_STEP_MS || ahead < a->doubted - AGE_STEP_MS) {
		a->doubted = ahead;
		a->since_ms = boot_ms > 0 ? boot_ms : 1;
	} else if (boot_ms - a->since_ms >= AGE_BELIEVED_MS) {
		a->ahead = ahead;
		a->since_ms = 0;
	}
	return boot_ms + a->ahead;
}
