/* SPDX-License-Identifier: ISC */
/*
 * Budgets: what an instance and all below it may spend (docs/usage.md). A budget counts for its holder; whoever is at
 * or below a holder whose budget is used up is held by it, so all that is asked here goes up the tree.
 */
#ifndef DAEMON_CORE_BUDGET_H
#define DAEMON_CORE_BUDGET_H

#include "daemon/core/fleet_int.h"

/* What stands against a holder's budget. */
int64_t budget_count(const struct unit *holder, enum budget_kind k);
/* The nearest at or above u whose budget is used up and is not only to warn; NULL: none. ret_kind may be NULL. */
const struct unit *budget_holder(const struct unit *u, enum budget_kind *ret_kind);
bool budget_holds(const struct unit *u); /* it is given nothing */

/* What happened; each looks at u and all above it. */
void budget_spent(struct unit *u);
void budget_state(struct unit *u);   /* it entered a state: its time may run now, or no more */
void budget_changed(struct unit *u); /* its own was set: what was held may go on */
void budgets_begin(struct fleet *f); /* after loading and reconciling: what an earlier daemon did not finish */

/* For caps. again: u itself is started again, else something below u (NULL: below nobody). */
int budget_reserve(struct fleet *f, struct unit *u, bool again, struct err *e);
int budget_check_lower(const struct unit *u, const struct cap_change *c, struct err *e);
void budget_set(struct unit *u, const struct cap_change *c, json_t *before, json_t *after);

/* budget_say.c */
void budget_report(struct fleet *f, struct unit *u, json_t *list); /* entries of cap.show: of those that bind u */
int budget_refuse(const struct unit *holder, enum budget_kind k, struct err *e); /* -1 */
void budget_tell(struct unit *holder, enum budget_kind k, const char *level, const struct unit *by);

#endif
