/* SPDX-License-Identifier: ISC */
/* Denials: coalescing windows and the queue towards the daemon. */
#include "place/egress/denial.h"

#include "base/clock.h"
#include "base/util.h"

#define DENIALS_MAX 8192 /* records of all places; then the oldest goes */
#define REST "*"

struct record {
	struct record *next;
	struct denial d; /* strings owned */
	int64_t until;   /* end of its window */
	uint64_t more;   /* counted since it was told */
	bool acked;
	bool closed; /* its window ended */
};

struct denials {
	struct loop_timer *timer;
	struct record *first, **end; /* by seq, which is also by `until` of those open */
	size_t n;
	uint64_t seq;
	denial_fn *fn;
	void *arg;
};

static void free_record(struct record *r)
{
	free((char *)r->d.place);
	free((char *)r->d.host);
	free((char *)r->d.reason);
	free(r);
}

static void remove_at(struct denials *ds, struct record **at)
{
	struct record *r = *at;
	*at = r->next;
	if (ds->end == &r->next)
		ds->end = at;
	ds->n--;
	free_record(r);
}

static void start_timer(struct denials *ds)
{
	int64_t now = clock_mono_ms();
	for (struct record *r = ds->first; r; r = r->next) {
		if (r->closed)
			continue;
		if (!loop_timer_active(ds->timer))
			loop_timer_start(ds->timer, r->until > now ? r->until - now : 0);
		return;
	}
}

static void make(struct denials *ds, const char *place, const char *host, int port,
	const char *reason, uint64_t count)
{
	/* Made before the oldest goes: its strings may be the ones given. */
	struct record *r = xcalloc(1, sizeof(*r));
	r->d = (struct denial){.seq = ++ds->seq, .place = xstrdup(place), .host = xstrdup(host),
		.reason = xstrdup(reason), .port = port, .count = count};
	r->until = clock_mono_ms() + DENIAL_WINDOW_MS;
	if (ds->n == DENIALS_MAX)
		remove_at(ds, &ds->first);
	*ds->end = r;
	ds->end = &r->next;
	ds->n++;
	start_timer(ds);
	ds->fn(ds->arg, &r->d);
}

/* What was counted in a window becomes a record with a window of its own. */
void denials_expire(struct denials *ds)
{
	int64_t now = clock_mono_ms();
	for (struct record **at = &ds->first; *at;) {
		struct record *r = *at;
		if (!r->closed && r->until <= now) {
			r->closed = true;
			if (r->more > 0)
				make(ds, r->d.place, r->d.host, r->d.port, r->d.reason, r->more);
			/* make may have dropped the oldest, even r: begin again. */
			at = &ds->first;
			continue;
		}
		if (r->closed && r->acked)
			remove_at(ds, at);
		else
			at = &r->next;
	}
	start_timer(ds);
}

static void on_timer(void *arg)
{
	denials_expire(arg);
}

struct denials *denials_create(struct loop *l, denial_fn *fn, void *arg)
{
	struct denials *ds = xcalloc(1, sizeof(*ds));
	ds->timer = loop_timer_create(l, on_timer, ds);
	ds->end = &ds->first;
	ds->fn = fn;
	ds->arg = arg;
	return ds;
}

void denials_destroy(struct denials *ds)
{
	if (!ds)
		return;
	while (ds->first)
		remove_at(ds, &ds->first);
	loop_timer_free(ds->timer);
	free(ds);
}

void denials_add(struct denials *ds, const char *place, const char *host, int port,
	const char *reason)
{
	size_t kept = 0;
	struct record *same = NULL, *rest = NULL;
	for (struct record *r = ds->first; r; r = r->next) {
		if (strcmp(r->d.place, place) != 0)
			continue;
		bool is_rest = strcmp(r->d.host, REST) == 0;
		kept += !is_rest;
		if (r->closed)
			continue;
		if (is_rest)
			rest = r;
		else if (r->d.port == port && strcmp(r->d.host, host) == 0)
			same = r;
	}
	if (same)
		same->more++;
	else if (kept < DENIAL_PER_PLACE)
		make(ds, place, host, port, reason, 1);
	else if (rest)
		rest->more++;
	else
		make(ds, place, REST, 0, "more destinations than are kept one by one", 1);
}

void denials_ack(struct denials *ds, uint64_t seq)
{
	for (struct record **at = &ds->first; *at && (*at)->d.seq <= seq;) {
		(*at)->acked = true;
		if ((*at)->closed)
			remove_at(ds, at);
		else
			at = &(*at)->next;
	}
}

void denials_replay(struct denials *ds, denial_fn *fn, void *arg)
{
	for (struct record *r = ds->first; r; r = r->next)
		if (!r->acked)
			fn(arg, &r->d);
}
