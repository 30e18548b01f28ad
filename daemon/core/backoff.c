/* SPDX-License-Identifier: ISC */
/* Whether a restart policy starts an instance that ended again, and when: a pure decision. */
#include "daemon/core/backoff.h"

#include <string.h>

static void forget(struct again *h)
{
	h->waits = h->started = false;
	h->at_ms = h->started_ms = h->tries = 0;
	h->nfailed = 0;
}

/* How many failures the window holds, this one included. */
static int count_failure(const struct backoff_rules *r, struct again *h, int64_t now)
{
	int kept = 0;

	for (int i = 0; i < h->nfailed; i++)
		if (h->failed_ms[i] > now - r->window_ms && h->failed_ms[i] <= now)
			h->failed_ms[kept++] = h->failed_ms[i];
	if (kept == AGAIN_FAILURES_MAX) {
		memmove(h->failed_ms, h->failed_ms + 1, sizeof(h->failed_ms) - sizeof(h->failed_ms[0]));
		kept--;
	}
	h->failed_ms[kept++] = now;
	h->nfailed = kept;
	return kept;
}

static int64_t delay(const struct backoff_rules *r, int64_t tries, uint32_t random)
{
	int64_t ms = r->delay_ms, eighth;

	for (int64_t i = 0; i < tries && ms < r->delay_most_ms; i++)
		ms *= 2;
	if (ms > r->delay_most_ms)
		ms = r->delay_most_ms;
	eighth = ms / 8;
	return ms - eighth + (int64_t)(random % (uint32_t)(2 * eighth + 1));
}

enum backoff_word backoff_decide(const struct backoff_rules *r, enum restart_policy policy, enum backoff_end end,
	struct again *h, int64_t now, uint32_t random)
{
	bool failed = end == END_EXIT_BAD || end == END_NO_START || end == END_PLACE_LOST;

	if (policy == RESTART_NEVER || end == END_KILLED ||
		(end == END_EXIT_OK && policy == RESTART_ON_FAILURE)) {
		forget(h);
		return BACKOFF_NO;
	}
	if (h->started && now - h->started_ms >= r->calm_ms)
		forget(h);
	h->waits = h->started = false;
	if (failed && count_failure(r, h, now) > r->most)
		return BACKOFF_BRAKE;
	h->waits = true;
	h->at_ms = now;
	if (end == END_REBOOT) /* nothing of its own went wrong */
		return BACKOFF_AT;
	h->at_ms += delay(r, h->tries, random);
	h->tries++;
	return BACKOFF_AT;
}
