/* SPDX-License-Identifier: ISC */
/* Whether a restart policy starts an instance that ended again, and when: a pure decision. */
#ifndef DAEMON_CORE_BACKOFF_H
#define DAEMON_CORE_BACKOFF_H

#include "daemon/model/again.h"

/* How it came that it does not run. */
enum backoff_end {
	END_KILLED,     /* by the operator, or by who may */
	END_EXIT_OK,    /* its program ended with code 0 */
	END_EXIT_BAD,   /* ... with another one, or by a signal */
	END_NO_START,   /* its start failed */
	END_PLACE_LOST, /* its place died */
	END_REBOOT      /* it went with the host, or was put aside by `down --all --keep` */
};

enum backoff_word { BACKOFF_NO, BACKOFF_AT, BACKOFF_BRAKE };

/* Limits, all from core_settings; times in ms. */
struct backoff_rules {
	int64_t delay_ms, delay_most_ms; /* the first wait, doubling to the longest */
	int64_t calm_ms;                 /* after it ran so long, all is forgotten */
	int64_t window_ms, most;         /* more failures than that within the window are the brake */
};

/*
 * h: what is remembered, brought up to date; on BACKOFF_AT it waits until h->at_ms. now: the boot's clock, which
 * h is of. random: any number, for the jitter (an eighth more or less, so that what fell together does not
 * rise together).
 */
enum backoff_word backoff_decide(const struct backoff_rules *r, enum restart_policy policy, enum backoff_end end,
	struct again *h, int64_t now, uint32_t random);

#endif
