/* SPDX-License-Identifier: ISC */
/*
 * An event that changed something is acknowledged when that is on disk, with its number in the place's row. Most
 * reports change nothing: an agent that works uses one tool after the other. A row, a commit and an answer for each
 * would be what a fleet of a thousand costs. So a report that calls itself a step and wrote nothing is not written at
 * all, and acknowledged with others after ACK_WAIT_MS. What a shim tells again after a crash of ours is then what
 * changed nothing since its instance's row was last written (unit_save writes the number, too): it changes nothing again.
 *
 * For the same reason steps may wait in the shim for company, while each acknowledgement says so: only here is known
 * whether one would change something. The shim takes back what it was allowed by itself when it tells anything but a
 * step, and is told so when the instance changed otherwise.
 */
#include "daemon/core/ack.h"
#include "daemon/core/asks_int.h"

#include "base/clock.h"
#include "base/util.h"

#define ACK_WAIT_MS 4000 /* the shim keeps them so long, and asks for an answer (`now`) when they become too many */
#define ACK_STEP_MS 250
#define ACK_STEPS_MS 10000 /* a step may wait so long */

struct ack_tick {
	struct fleet *f;
	char place[ID_SIZE];
};

static bool runs(const struct loop_timer *t)
{
	return t && loop_timer_active(t);
}

/* Whatever a tool's report could change, and what only its moment settles, is not there. */
static bool nothing_to_change(const struct unit *u)
{
	const struct instance *in = u ? u->in : NULL;

	return u && u->step == STEP_LIVE && in->state == ST_WORKING && !in->reason && !in->detail && !in->stuck_ms &&
	       !u->interrupted && !u->resumed_ms && !(u->asks && (u->asks->open || u->asks->unused)) &&
	       !runs(u->settle) && !runs(u->broken);
}

/* Never so long that its silence could be called unusual. */
static int64_t steps_wait_ms(const struct unit *u)
{
	int64_t floor = u ? u->f->set->stuck_after_ms : 0;

	if (!nothing_to_change(u))
		return 0;
	return floor > 0 && floor / 8 < ACK_STEPS_MS ? floor / 8 : ACK_STEPS_MS;
}

static void ack_committed(void *arg, const struct err *error)
{
	struct ack_tick *t = arg;
	struct site *s = site_find(t->f, t->place);

	/* Of a shim that was replaced meanwhile it is nothing. */
	if (s && !error && s->ack_seq && s->ack_seq <= s->pl->shim_seq) {
		int64_t ms = steps_wait_ms(s->u);
		s->steps_wait = ms > 0;
		P(t->f)->shim_ack(CTX(t->f), t->place, s->ack_seq, ms);
	}
	if (s)
		s->ack_seq = 0;
	free(t);
}

void ack_drop(struct site *s)
{
	if (!s->owed_at)
		return;
	*s->owed_at = s->owed_next;
	if (s->owed_next)
		s->owed_next->owed_at = s->owed_at;
	else
		s->f->owed_last = s->owed_at;
	s->owed_at = NULL;
	s->owed_next = NULL;
}

void ack_later(struct site *s)
{
	bool due = s->ack_seq;
	struct ack_tick *t;

	ack_drop(s);
	s->ack_seq = s->pl->shim_seq;
	if (due || !s->ack_seq)
		return;
	t = xcalloc(1, sizeof(*t));
	t->f = s->f;
	memcpy(t->place, s->pl->id, ID_SIZE);
	P(s->f)->after_commit(CTX(s->f), ack_committed, t);
}

void ack_look(struct site *s)
{
	if (s->steps_wait)
		ack_later(s);
}

static void on_timer(void *arg)
{
	struct fleet *f = arg;
	int64_t now = clock_mono_ms();

	while (f->owed && now - f->owed->owed_ms >= ACK_WAIT_MS)
		ack_later(f->owed);
	if (f->owed)
		loop_timer_start(f->owed_timer, ACK_STEP_MS);
}

/* In the order in which they are due. */
static void owe(struct site *s)
{
	struct fleet *f = s->f;

	if (s->owed_at)
		return;
	if (!f->owed_timer)
		f->owed_timer = loop_timer_create(P(f)->loop, on_timer, f);
	if (!f->owed) {
		f->owed_last = &f->owed;
		loop_timer_start(f->owed_timer, ACK_WAIT_MS);
	}
	s->owed_ms = clock_mono_ms();
	s->owed_at = f->owed_last;
	*f->owed_last = s;
	f->owed_last = &s->owed_next;
}

uint64_t ack_mark(const struct fleet *f, const json_t *ev)
{
	bool step = json_is_true(json_object_get(json_object_get(ev, "body"), "step"));

	return P(f)->writes && step && !json_is_true(json_object_get(ev, "now")) ? P(f)->writes(CTX(f)) : ACK_NOW;
}

void ack_event(struct fleet *f, const char *place, uint64_t mark)
{
	struct site *s = site_find(f, place);

	if (!s)
		return;
	if (mark != ACK_NOW && P(f)->writes(CTX(f)) == mark) {
		owe(s);
		return;
	}
	if (s->seq_ahead)
		site_save(s);
	ack_later(s);
}
