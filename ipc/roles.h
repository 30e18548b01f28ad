/* SPDX-License-Identifier: ISC */
/* Roles and the caps they bring along, as the options `roles` and `max_roles` write them. */
#ifndef IPC_ROLES_H
#define IPC_ROLES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* As names: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit. */
#define ROLE_NAME_MAX 63
bool role_valid(const char *s);

/* `roles`: "manager:depth=1 specialist:children=0,depth=0", a role that changes nothing stands alone. */
int roles_check(const char *table, struct err *e);
/* What the table says of a role's cap ("max_children", or "children"); -1 when it says nothing. *ret: -1 for
 * unlimited. */
int roles_cap(const char *table, const char *role, const char *cap, int64_t *ret);

/* `max_roles`: "reviewer=2 manager=1". */
int role_limits_check(const char *list, struct err *e);
/* Each in its order: calls fn. The list was checked. */
void role_limits_each(const char *list, void (*fn)(void *arg, const char *role, int64_t limit), void *arg);

#endif
