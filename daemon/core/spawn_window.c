/* SPDX-License-Identifier: ISC */
/*
 * The sliding window that the rate of spawns is counted over. Each spawn is a row, so neither a crash nor
 * the removal of a child empties it; in memory each holder has its own list, the fleet that of all.
 *
 * Time is CLOCK_BOOTTIME: setting the wall clock neither frees a slot nor blocks one, and the host's sleep
 * counts. A row of an earlier boot has no place on this boot's clock; the wall clock says how long ago it
 * was, but never less than this boot is up, and a wall clock that went back says nothing.
 */
#include "daemon/core/fleet_int.h"

static void window_add(struct spawn_window *w, int64_t at)
{
	size_t i;

	if (w->first && w->first + w->n == w->room) {
		memmove(w->at, w->at + w->first, w->n * sizeof(int64_t));
		w->first = 0;
	}
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 8;
		w->at = xrealloc(w->at, w->room * sizeof(int64_t));
	}
	for (i = w->first + w->n; i > w->first && w->at[i - 1] > at; i--)
		w->at[i] = w->at[i - 1];
	w->at[i] = at;
	w->n++;
}

static void forget_old(struct spawn_window *w, int64_t now)
{
	while (w->n && w->at[w->first] <= now - RATE_WINDOW_MS) {
		w->first++;
		w->n--;
	}
	if (!w->n)
		w->first = 0;
}

int64_t window_count(struct spawn_window *w, int64_t limit, int64_t *ret_wait_ms)
{
	int64_t now = clock_boot_ms(), n;

	forget_old(w, now);
	n = (int64_t)w->n;
	if (ret_wait_ms) {
		*ret_wait_ms = 0;
		if (limit == 0)
			*ret_wait_ms = -1;
		else if (limit != CAP_UNLIMITED && n >= limit)
			*ret_wait_ms = w->at[w->first + (size_t)(n - limit)] + RATE_WINDOW_MS - now;
	}
	return n;
}

void window_finish(struct spawn_window *w)
{
	free(w->at);
	*w = (struct spawn_window){0};
}

void spawn_note(struct fleet *f, struct unit *parent)
{
	struct spawn_time t = {.boot = boot_id(), .boot_ms = clock_boot_ms(), .wall_ms = clock_wall_ms()};

	/* What is too old goes here too, so that what nobody asks for does not grow. */
	forget_old(&f->spawned, t.boot_ms);
	window_add(&f->spawned, t.boot_ms);
	if (parent) {
		memcpy(t.holder, parent->in->id, ID_SIZE);
		forget_old(&parent->spawned, t.boot_ms);
		window_add(&parent->spawned, t.boot_ms);
	}
	P(f)->spawn_time_add(CTX(f), &t, RATE_WINDOW_MS);
}

void fleet_load_spawn_time(struct fleet *f, const struct spawn_time *t)
{
	int64_t now = clock_boot_ms(), at = t->boot_ms, age;
	struct unit *u = unit_find(f, t->holder);

	if (strcmp(t->boot, boot_id()) != 0 || at > now) {
		age = clock_wall_ms() - t->wall_ms;
		at = now - (age > now ? age : now);
	}
	if (at <= now - RATE_WINDOW_MS)
		return;
	window_add(&f->spawned, at);
	if (u)
		window_add(&u->spawned, at);
}

void spawns_settle(struct fleet *f)
{
	/* By then each of another boot is too old, whatever the wall clock says. */
	if (clock_boot_ms() > RATE_WINDOW_MS)
		P(f)->spawn_times_other(CTX(f), boot_id());
}
