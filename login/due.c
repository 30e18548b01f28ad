/* SPDX-License-Identifier: ISC */
/* When a renewing login is to be renewed; see due.h. */
#include "login/due.h"

int64_t login_due_at(int64_t obtained_ms, int64_t expires_ms)
{
	int64_t ahead = (expires_ms - obtained_ms) / 4;

	if (expires_ms <= 0)
		return obtained_ms;
	if (ahead < 0)
		ahead = 0;
	return expires_ms - (ahead < RENEW_AHEAD_MAX_MS ? ahead : RENEW_AHEAD_MAX_MS);
}

int64_t login_look_at(const struct login *l, int64_t now_ms)
{
	/* A clock that stands before the time of its making says nothing of its end. */
	bool now = l->begun_ms || now_ms < l->obtained_ms;
	int64_t at = now ? now_ms : login_due_at(l->obtained_ms, l->expires_ms);

	if (l->failures && l->retry_ms > at && l->retry_ms <= now_ms + RENEW_PAUSE_MAX_MS)
		at = l->retry_ms; /* one further away is of a clock that stood elsewhere */
	return at;
}

int64_t renew_pause_ms(int64_t failures, int64_t retry_after_s)
{
	int64_t ms = RENEW_PAUSE_MS, asked = retry_after_s > 0 ? retry_after_s : 0;

	for (int64_t i = 1; i < failures && ms < RENEW_PAUSE_MAX_MS; i++)
		ms *= 2;
	asked = asked < RENEW_PAUSE_MAX_MS / 1000 ? asked * 1000 : RENEW_PAUSE_MAX_MS;
	ms = ms < RENEW_PAUSE_MAX_MS ? ms : RENEW_PAUSE_MAX_MS;
	return ms > asked ? ms : asked;
}
