/* SPDX-License-Identifier: ISC */
/* Notices: names, and letting go. */
#include "daemon/model/notice.h"

#include "base/util.h"

static const char *const statuses[NO_COUNT] = {[NO_PENDING] = "pending", [NO_SENDING] = "sending", [NO_BEGUN] = "begun",
	[NO_SENT] = "sent", [NO_FAILED] = "failed", [NO_UNKNOWN] = "unknown"};

void notice_free(struct notice *n)
{
	if (!n)
		return;
	free(n->body);
	free(n->error);
	free(n);
}

const char *notice_status_name(enum notice_status s)
{
	return statuses[s];
}

int notice_status_from_name(const char *s, enum notice_status *ret)
{
	for (int i = 0; i < NO_COUNT; i++) {
		if (strcmp(statuses[i], s) != 0)
			continue;
		*ret = (enum notice_status)i;
		return 0;
	}
	return -1;
}
