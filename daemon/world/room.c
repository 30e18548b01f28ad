/* SPDX-License-Identifier: ISC */
/* Core's port to the host: what a start takes, what is left, who uses most, and the kernel's word of stalls. */
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/world_int.h"

#define ROOM_FRESH_MS 100 /* a herd measures once; what starts meanwhile is counted by core */

/*
 * What a program itself comes to use on the host beside what its place takes (in a VM it is in the VM's memory). Claude
 * Code 2.1 at its prompt was seen with 250 to 400 MiB resident, opencode with 880.
 */
static int64_t agent_mib(const char *agent)
{
	static const struct {
		const char *agent;
		int64_t mib;
	} known[] = {{"claude", 350}, {"opencode", 900}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (!strcmp(agent, known[i].agent))
			return known[i].mib;
	return 0;
}

static void w_start_need(void *ctx, const struct instance *in, struct start_need *ret)
{
	const struct driver *d = driver_find(in->driver);

	(void)ctx;
	if (!d)
		return;
	*ret = d->need;
	if (d->flags & DRIVER_SYSTEM) {
		ret->memory_mib += in->memory_mib;
		ret->tasks += in->cpus;
	} else {
		ret->memory_mib += agent_mib(in->agent);
	}
}

static void w_host_look(void *ctx, struct host_room *ret)
{
	struct world *w = ctx;
	int64_t now = clock_mono_ms();

	/* A test's host changes from one moment to the next. */
	if (!w->room_ms || now - w->room_ms >= ROOM_FRESH_MS || w->host_root[0]) {
		host_measure(w->host_root, w->layout->state_dir, &w->room);
		w->room_ms = now;
	}
	*ret = w->room;
}

static void w_memory_weigh(void *ctx, const struct memory_holder *held, size_t n, port_weighed_fn *fn, void *arg)
{
	weigh_begin(ctx, held, n, fn, arg);
}

void room_port(struct core_port *p)
{
	p->start_need = w_start_need;
	p->host_look = w_host_look;
	p->memory_weigh = w_memory_weigh;
}

static void on_pressure(void *arg)
{
	struct world *w = arg;

	w->room_ms = 0;
	fleet_on_pressure(w->fleet);
}

void room_init(struct world *w)
{
	w->watch = host_watch_create(w->loop, w->host_root, w->settings.pressure_high, on_pressure, w);
	if (!w->watch)
		log_info("host", NULL, "the kernel tells of no stalls of memory: they are seen when something is to start");
}

void room_finish(struct world *w)
{
	host_watch_free(w->watch);
	w->watch = NULL;
	weigh_finish(w);
}
