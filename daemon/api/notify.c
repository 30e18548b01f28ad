/* SPDX-License-Identifier: ISC */
/* Notifications, as they are looked at and tried (daemon/notify; docs/attention.md). */
#include "daemon/api/api_int.h"

static void answer(struct call *c)
{
	struct err err = {0};
	json_t *o = notify_status(c->w->notify, call_int(c, "limit", 0), &err);

	if (o)
		call_result(c, o);
	else
		call_error(c, &err);
}

void api_NOTIFY_STATUS(struct call *c)
{
	answer(c);
}

void api_NOTIFY_TEST(struct call *c)
{
	struct err err = {0};

	if (notify_test(c->w->notify, call_str(c, "channel"), &err) < 0)
		call_error(c, &err);
	else
		answer(c);
}
