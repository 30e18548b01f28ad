/* SPDX-License-Identifier: ISC */
/*
 * An event that changed something is acknowledged when that is on disk, with its number in the place's row. Most
 * reports change nothing: an agent that works uses one tool after the other. A row, a commit and an answer for each
 * would be what a fleet of a thousand costs. So these are not written at all, and acknowledged together after
 * ACK_WAIT_MS. What a shim tells again after a crash of ours is then what changed nothing since its instance's row was
 * last written (unit_save writes the number, too): it changes nothing again.
 */
#include "daemon/core/ack.h"

#include "base/clock.h"
#include "base/util.h"

#define ACK_WAIT_MS 4000 /* the shim keeps them so long; they may be large */
#define ACK_STEP_MS 250

struct ack_tick {
	struct fleet *f;
	char place[ID_SIZE];
	uint64_t seq;
};

static void ack_committed(void *arg, const struct err *error)
{
	struct ack_tick *t = arg;

	if (!error)
		P(t->f)->shim_ack(CTX(t->f), t->place, t->seq);
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

void ack_later(struct site *s, uint64_t seq)
{
	struct ack_tick *t = xcalloc(1, sizeof(*t));

	ack_drop(s);
	t->f = s->f;
	t->seq = seq;
	memcpy(t->place, s->pl->id, ID_SIZE);
	P(s->f)->after_commit(CTX(s->f), ack_committed, t);
}

static void on_timer(void *arg)
{
	struct fleet *f = arg;
	int64_t now = clock_mono_ms();

	while (f->owed && now - f->owed->owed_ms >= ACK_WAIT_MS)
		ack_later(f->owed, f->owed->pl->shim_seq);
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

uint64_t ack_mark(const struct fleet *f)
{
	return P(f)->writes ? P(f)->writes(CTX(f)) : 0;
}

void ack_event(struct fleet *f, const char *place, uint64_t seq, uint64_t mark)
{
	struct site *s = site_find(f, place);

	if (!s)
		return;
	if (P(f)->writes && P(f)->writes(CTX(f)) == mark) {
		owe(s);
		return;
	}
	if (s->seq_ahead)
		site_save(s);
	ack_later(s, seq);
}
