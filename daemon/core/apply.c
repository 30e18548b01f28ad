/* SPDX-License-Identifier: ISC */
/*
 * The one function that changes an instance's state. It holds the table of legal moves, keeps the
 * time spent in each state, and writes row and event into the same transaction.
 */
#include "daemon/core/ack.h"
#include "daemon/core/admit.h"
#include "daemon/core/budget.h"
#include "daemon/core/limit.h"
#include "daemon/core/stuck.h"
#include "base/log.h"

#define B(s) (1u << (s))
#define RUNNING (B(ST_IDLE) | B(ST_WORKING) | B(ST_WAITING) | B(ST_LIMITED))
#define ENDS (B(ST_STOPPING) | B(ST_EXITED) | B(ST_FAILED) | B(ST_LOST))

/* From each state to which. Entering the same state again only renews reason and detail. */
static const unsigned moves[ST_COUNT] = {
	[ST_QUEUED] = B(ST_PROVISIONING) | B(ST_STOPPING) | B(ST_FAILED),
	[ST_PROVISIONING] = B(ST_STARTING) | B(ST_QUEUED) | ENDS,
	[ST_STARTING] = RUNNING | ENDS | B(ST_PROVISIONING) | B(ST_QUEUED),
	[ST_IDLE] = RUNNING | ENDS | B(ST_PAUSED) | B(ST_ASLEEP),
	[ST_WORKING] = RUNNING | ENDS | B(ST_PAUSED) | B(ST_ASLEEP),
	[ST_WAITING] = RUNNING | ENDS | B(ST_PAUSED) | B(ST_ASLEEP),
	[ST_LIMITED] = RUNNING | ENDS | B(ST_PAUSED) | B(ST_ASLEEP),
	[ST_PAUSED] = RUNNING | ENDS,
	[ST_ASLEEP] = RUNNING | ENDS | B(ST_PROVISIONING),
	[ST_STOPPING] = B(ST_EXITED) | B(ST_FAILED),
	[ST_EXITED] = B(ST_QUEUED),
	[ST_FAILED] = B(ST_QUEUED),
	[ST_LOST] = RUNNING | B(ST_STARTING) | B(ST_QUEUED) | B(ST_STOPPING) | B(ST_EXITED) | B(ST_FAILED),
};

bool move_legal(enum inst_state from, enum inst_state to)
{
	return moves[from] & B(to);
}

static void set_text(char **where, const char *text)
{
	char *copy = xstrdup(text);

	free(*where);
	*where = copy;
}

static bool same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

void state_stamp(struct instance *in)
{
	in->state_since_ms = clock_wall_ms();
	in->state_boot_ms = clock_boot_ms();
	if (!same(in->state_boot, boot_id()))
		set_text(&in->state_boot, boot_id());
}

/* How long it has been in its state: by the boot's clock, which nobody sets. Over a boot of the host there is the wall
 * clock alone; one that was set back meanwhile counts as no time. */
int64_t state_ms(const struct instance *in)
{
	int64_t ms = in->state_boot && same(in->state_boot, boot_id()) ? clock_boot_ms() - in->state_boot_ms
								       : clock_wall_ms() - in->state_since_ms;

	return ms > 0 ? ms : 0;
}

void unit_save(struct unit *u)
{
	struct site *s = site_of(u);

	tally_unit(u);
	stuck_write(u);
	P(u->f)->instance_put(CTX(u->f), u->in);
	if (s && s->seq_ahead)
		site_save(s); /* what its shim told before this is not heard again after it */
	if (s)
		ack_look(s);
}

void fleet_apply(struct unit *u, enum inst_state to, const char *reason, const char *detail)
{
	struct instance *in = u->in;
	enum inst_state from = in->state;

	if (from == to && same(in->reason, reason) && same(in->detail, detail))
		return;
	if (from != to && !move_legal(from, to)) {
		log_error("core", in->id, "illegal move from %s to %s (%s) refused: this is a bug",
			state_name(from), state_name(to), reason ? reason : "no reason");
		return;
	}
	if (from != to) {
		in->time_in_state[from] += state_ms(in);
		state_stamp(in);
	}
	if (to == ST_QUEUED && (state_final(from) || from == ST_LOST))
		in->queue_no = in->requeued = 0; /* a start of its own: at the end of the line */
	if (from == ST_LIMITED && to != ST_LIMITED)
		limit_left(u);
	in->state = to;
	if (state_living(from) != state_living(to))
		tree_lives(u, state_living(to));
	set_text(&in->reason, reason);
	set_text(&in->detail, detail);
	if ((from == ST_WORKING) != (to == ST_WORKING))
		stuck_turned(u);
	unit_save(u);
	P(u->f)->event_add(CTX(u->f), EV_STATE, in->id, in->place[0] ? in->place : NULL,
		tell_state(u, from));
	asks_state(u, to, reason);
	if (from != to)
		u->seen = false;
	attention_look(u);
	budget_state(u);
	waits_check(u);
	admit_look(u);
	if (to == ST_IDLE || to == ST_WORKING)
		prompts_next(u); /* it looks itself whether one may be given */
	schedules_moved(u->f);
}

void site_save(struct site *s)
{
	s->seq_ahead = false;
	if (!s->rowless)
		P(s->f)->place_put(CTX(s->f), s->pl);
}

void place_apply(struct site *s, enum place_state to, const char *reason)
{
	struct place *p = s->pl;

	if (p->state == to && !reason)
		return;
	p->state = to;
	if (s->u)
		tally_unit(s->u);
	site_save(s);
	P(s->f)->event_add(CTX(s->f), EV_PLACE_STATE, s->u ? s->u->in->id : NULL, p->id,
		json_pack("{s:s, s:s?, s:s?, s:I}", "state", place_state_name(to), "reason", reason,
			"accel", p->accel, "boot_ms", (json_int_t)p->boot_ms));
}
