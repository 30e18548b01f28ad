/* SPDX-License-Identifier: ISC */
/* What models cost, and how much they can keep in mind. Known ones stand in price.c; the option `prices` goes before them. */
#ifndef DAEMON_MODEL_PRICE_H
#define DAEMON_MODEL_PRICE_H

#include "daemon/model/usage.h"
#include "ipc/prices.h"

#define PRICE_DATE "2026-10-24" /* when those of the table were looked up */

/* Sets cost and unpriced of sum by its tokens; list is the option, NULL or "" for none (it was checked). */
void price_message(const char *list, const char *model, struct usage_sum *sum);
/* The most tokens a model keeps in mind; 0: not known. */
int64_t price_window(const char *model);

#endif
