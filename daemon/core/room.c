/* SPDX-License-Identifier: ISC */
/* Is there room for one more start? Verdicts over what was measured; nothing here measures. */
#include "daemon/core/room.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[] = {
	[ROOM_STARTS] = "starts",
	[ROOM_PRESSURE] = "pressure",
	[ROOM_MEMORY] = "memory",
	[ROOM_DISK] = "disk",
	[ROOM_PTYS] = "ptys",
	[ROOM_FDS] = "fds",
	[ROOM_PROCESSES] = "processes",
};

const char *room_reason_name(enum room_reason r)
{
	return names[r];
}

void room_take(struct room_taken *t, const struct start_need *n)
{
	t->starts++;
	t->sum.weight += n->weight;
	t->sum.memory_mib += n->memory_mib;
	t->sum.disk_mib += n->disk_mib;
	t->sum.ptys += n->ptys;
	t->sum.fds += n->fds;
	t->sum.files += n->files;
	t->sum.tasks += n->tasks;
}

void room_give(struct room_taken *t, const struct start_need *n)
{
	t->starts--;
	t->sum.weight -= n->weight;
	t->sum.memory_mib -= n->memory_mib;
	t->sum.disk_mib -= n->disk_mib;
	t->sum.ptys -= n->ptys;
	t->sum.fds -= n->fds;
	t->sum.files -= n->files;
	t->sum.tasks -= n->tasks;
}

/* Enough of one thing: what is left, less what those under way may take, covers need and reserve. */
static bool enough(int64_t left, int64_t taken, int64_t need, int64_t reserve)
{
	return left < 0 || need == 0 || left - taken >= need + reserve;
}

static bool starts_free(const struct room_limits *l, const struct room_taken *t, const struct start_need *n)
{
	int64_t cores = l->cores > 0 ? l->cores : 1;

	if (l->max_starts > 0)
		return t->starts < l->max_starts;
	return t->starts == 0 || t->sum.weight + n->weight <= cores * START_WEIGHT_CORE;
}

static int64_t beyond(int64_t left, int64_t taken)
{
	return left > taken ? left - taken : 0;
}

static enum room_reason lacking(const struct room_limits *l, const struct room_taken *t, const struct host_room *h,
	const struct start_need *n, char why[ROOM_WHY_MAX])
{
	if (!enough(h->memory_mib, t->sum.memory_mib, n->memory_mib, l->memory_reserve_mib)) {
		snprintf(why, ROOM_WHY_MAX, "it needs %" PRId64 " MiB of memory beside a reserve of %" PRId64
			", and %s has %" PRId64 " left", n->memory_mib, l->memory_reserve_mib,
			h->memory_group ? "our control group" : "the host",
			beyond(h->memory_mib, t->sum.memory_mib));
		return ROOM_MEMORY;
	}
	if (!enough(h->disk_mib, t->sum.disk_mib, n->disk_mib, l->disk_reserve_mib)) {
		snprintf(why, ROOM_WHY_MAX, "it needs %" PRId64 " MiB of disk beside a reserve of %" PRId64
			", and the state folder's has %" PRId64 " left", n->disk_mib, l->disk_reserve_mib,
			beyond(h->disk_mib, t->sum.disk_mib));
		return ROOM_DISK;
	}
	if (!enough(h->ptys, t->sum.ptys, n->ptys, 0)) {
		snprintf(why, ROOM_WHY_MAX, "it needs %" PRId64 " terminals (ptys), and the host has %" PRId64
			" left", n->ptys, beyond(h->ptys, t->sum.ptys));
		return ROOM_PTYS;
	}
	if (!enough(h->fds, t->sum.fds, n->fds, 0) || !enough(h->files, t->sum.files, n->files, 0)) {
		bool own = !enough(h->fds, t->sum.fds, n->fds, 0);
		snprintf(why, ROOM_WHY_MAX, "it needs %" PRId64 " open files, and %s may have %" PRId64 " more",
			own ? n->fds : n->files, own ? "the daemon" : "the host",
			beyond(own ? h->fds : h->files, own ? t->sum.fds : t->sum.files));
		return ROOM_FDS;
	}
	if (!enough(h->tasks, t->sum.tasks, n->tasks, 0)) {
		snprintf(why, ROOM_WHY_MAX, "it needs %" PRId64 " processes and threads, and there may be %" PRId64
			" more", n->tasks, beyond(h->tasks, t->sum.tasks));
		return ROOM_PROCESSES;
	}
	return ROOM_YES;
}

enum room_reason room_for(const struct room_limits *l, const struct room_taken *t, const struct host_room *h,
	bool pressure, const struct start_need *n, char why[ROOM_WHY_MAX])
{
	why[0] = '\0';
	if (!starts_free(l, t, n)) {
		snprintf(why, ROOM_WHY_MAX, "%" PRId64 " start%s under way", t->starts, t->starts == 1 ? " is" : "s are");
		return ROOM_STARTS;
	}
	if (pressure) {
		snprintf(why, ROOM_WHY_MAX, "the host is short of memory");
		return ROOM_PRESSURE;
	}
	return lacking(l, t, h, n, why);
}

bool room_holds(int64_t since, int64_t now)
{
	return since && (now - since) / ROOM_PATIENCE_MS % 2 == 1;
}

bool room_ever(const struct room_limits *l, const struct host_room *h, const struct start_need *n)
{
	return enough(h->memory_total_mib, 0, n->memory_mib, l->memory_reserve_mib);
}

bool pressure_seen(struct pressure *p, int64_t high, int64_t low, int64_t stall, bool told, int64_t now_ms)
{
	bool was = p->on;

	if (told || (high > 0 && stall >= high * 100)) {
		p->on = true;
		p->last_ms = now_ms;
		p->episodes += !was;
	} else if (p->on && stall > low * 100) {
		p->last_ms = now_ms;
	} else if (p->on && now_ms - p->last_ms >= PRESSURE_CALM_MS) {
		p->on = false;
	}
	return p->on != was;
}
