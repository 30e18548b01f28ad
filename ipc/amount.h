/* SPDX-License-Identifier: ISC */
/* Amounts as people write them. -1: it is none (or 0, or more than can be). */
#ifndef IPC_AMOUNT_H
#define IPC_AMOUNT_H

#include <stdint.h>

int amount_usd(const char *s, int64_t *ret_nano);  /* "5", "2.50", "$5": billionths of a dollar */
int amount_tokens(const char *s, int64_t *ret);    /* "2000000", "2M", "1.5M", "500k", "1G" */
int amount_span(const char *s, int64_t *ret_ms);   /* "4h", "90m", "1h30m", "2d", "30s", "30" (seconds) */

#endif
