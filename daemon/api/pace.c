/* SPDX-License-Identifier: ISC */
/* How much of the fleet's history one instance may write; see pace.h. */
#include "daemon/api/pace.h"

#include <string.h>

#include "base/idmap.h"
#include "base/util.h"
#include "daemon/model/model.h"

/* It is known until when it would have all in hand again: later than now by what it owes. */
struct writer {
	struct writer *next;
	char id[ID_SIZE];
	int64_t full_at;
};

struct pace {
	struct idmap by_id;
	struct writer *writers;
};

#define EVENT_MS (1000 / PACE_PER_SECOND)

struct pace *pace_create(void)
{
	return xcalloc(1, sizeof(struct pace));
}

/* Those that have all in hand are as if they had never written. */
static void forget(struct pace *p, int64_t now)
{
	for (struct writer **at = &p->writers, *w; (w = *at);) {
		if (w->full_at > now) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		idmap_drop(&p->by_id, w->id);
		free(w);
	}
}

void pace_destroy(struct pace *p)
{
	if (!p)
		return;
	forget(p, INT64_MAX);
	idmap_finish(&p->by_id);
	free(p);
}

int64_t pace_wait(const struct pace *p, const char *id, int64_t now)
{
	const struct writer *w = idmap_get(&p->by_id, id);
	int64_t owed = w ? w->full_at - now - (PACE_BURST - 1) * EVENT_MS : 0;

	return owed > 0 ? owed : 0;
}

void pace_spent(struct pace *p, const char *id, int64_t events, int64_t now)
{
	struct writer *w = idmap_get(&p->by_id, id);

	if (events <= 0)
		return;
	if (!w) {
		forget(p, now);
		w = xcalloc(1, sizeof(*w));
		str_fmt(w->id, ID_SIZE, "%s", id);
		w->next = p->writers;
		p->writers = w;
		idmap_put(&p->by_id, w->id, w);
	}
	w->full_at = (w->full_at > now ? w->full_at : now) + events * EVENT_MS;
}
