/* SPDX-License-Identifier: ISC */
/* What models cost by the option `prices`: MODEL=IN,OUT,CACHE_WRITE,CACHE_READ[,CACHE_WRITE_1H], dollars for a million tokens. */
#ifndef IPC_PRICES_H
#define IPC_PRICES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Billionths of a dollar a token: thousandths of a dollar for a million. */
struct price {
	int64_t input, output, cache_write, cache_write_1h, cache_read;
};

int prices_check(const char *list, struct err *e);
/* list was checked; NULL or "": none. A bad word is passed over. */
bool prices_find(const char *list, const char *model, struct price *ret);

#endif
