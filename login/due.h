/* SPDX-License-Identifier: ISC */
/* When a renewing login is to be renewed, and how long a failure waits; pure. */
#ifndef LOGIN_DUE_H
#define LOGIN_DUE_H

#include "login/account.h"

#define RENEW_DEADLINE_MS 60000                  /* of one question */
#define RENEW_PAUSE_MS 5000                      /* after a first failure, then doubled */
#define RENEW_PAUSE_MAX_MS (15 * 60 * INT64_C(1000))
#define RENEW_AHEAD_MAX_MS (3600 * INT64_C(1000))

/* Wall clock: a quarter of its time ahead of its end, an hour at most. */
int64_t login_due_at(int64_t obtained_ms, int64_t expires_ms);
/* The same with what is known of failures, of a renewal that was cut off, and of a clock that was set. */
int64_t login_look_at(const struct login *l, int64_t now_ms);
/* The pause after so many failures in a row; retry_after_s: what the server asked for. */
int64_t renew_pause_ms(int64_t failures, int64_t retry_after_s);

#endif
