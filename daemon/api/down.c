/* SPDX-License-Identifier: ISC */
/*
 * down: the daemon ends, the agents go on. down --all: they are ended first, WAVE at a time, an instance after its
 * children, each with a deadline after which it is forced; then the egress program and the tmux servers, then the
 * daemon. Meanwhile nothing is started. A caller who goes away stops it: what is being ended ends, the rest and
 * the daemon go on.
 */
#include "base/idmap.h"
#include "base/log.h"
#include "daemon/api/api_int.h"

#define WAVE 8
#define END_MS 20000 /* the orderly end of a place has its own deadlines, below this (core/fleet_int.h) */

struct down {
	struct call *c;
	bool all, keep, force;
	size_t total, ended, under_way;
	struct idmap begun; /* by id: those under way or tried */
};

struct end {
	struct down *d;
	char id[ID_SIZE];
	struct loop_timer *timer;
};

static void pump(struct down *d);
static void ended_again(void *arg, const struct instance *in, const struct err *error);

static void down_free(struct down *d)
{
	idmap_finish(&d->begun);
	free(d);
}

static void tmux_ended(void *arg, const char *id, const struct err *e)
{
	struct down *d = arg;
	struct call *c = d->c;
	struct api *a = c->api;

	(void)id;
	if (e)
		log_warn("tmux", NULL, "a server did not end: %s", e->message);
	call_result(c, d->all ? json_pack("{s:I}", "ended", (json_int_t)d->ended) : NULL);
	a->down(a->down_arg);
	down_free(d);
}

/* What had ended before is not to run either, unless what runs is kept. */
static void nothing_wanted(struct down *d)
{
	struct fleet *f = d->c->w->fleet;

	for (size_t i = fleet_count(f); !d->keep && i-- > 0;) {
		struct instance *in = fleet_at(f, i);
		if (in->wanted && !fleet_active(f, in))
			fleet_end(f, in, false, false, ended_again, NULL);
	}
}

static void all_ended(struct down *d)
{
	struct world *w = d->c->w;

	nothing_wanted(d);
	egressctl_end(w->egress);
	if (w->panes)
		tmux_pool_end(w->panes, tmux_ended, d);
	else
		tmux_ended(d, NULL, NULL);
}

/* The daemon stays, and starts things again. */
static void given_up(struct down *d, const struct err *why)
{
	fleet_close(d->c->w->fleet, false);
	call_error(d->c, why);
	down_free(d);
}

static void over(struct down *d)
{
	struct fleet *f = d->c->w->fleet;
	struct err err = {0};
	size_t left = 0;

	for (size_t i = 0; i < fleet_count(f); i++)
		left += fleet_active(f, fleet_at(f, i));
	if (!left) {
		all_ended(d);
		return;
	}
	if (d->c->first_error.code) {
		given_up(d, &d->c->first_error);
		return;
	}
	err_set(&err, ERR_CANCELLED, "stopped: %zu of %zu ended, %zu go on", d->ended, d->total, left);
	given_up(d, &err);
}

static void ended(void *arg, const struct instance *in, const struct err *error)
{
	struct end *one = arg;
	struct down *d = one->d;
	char text[64];

	(void)in;
	if (error && !d->c->first_error.code)
		d->c->first_error = *error;
	d->ended += !error;
	d->under_way--;
	snprintf(text, sizeof(text), "%zu of %zu ended", d->ended, d->total);
	call_progress(d->c, one->id, "ended", text);
	loop_timer_free(one->timer);
	free(one);
	pump(d);
}

static void ended_again(void *arg, const struct instance *in, const struct err *error)
{
	(void)arg; /* the first request hears */
	(void)in;
	(void)error;
}

static void overdue(void *arg)
{
	struct end *one = arg;
	struct fleet *f = one->d->c->w->fleet;
	struct instance *in = fleet_get(f, one->id);

	log_warn("api", one->id, "it did not end in time: forced");
	if (in)
		fleet_end(f, in, true, one->d->keep, ended_again, NULL);
}

static void begin(struct down *d, struct instance *in)
{
	struct end *one = xcalloc(1, sizeof(*one));

	one->d = d;
	memcpy(one->id, in->id, ID_SIZE);
	one->timer = loop_timer_create(d->c->w->loop, overdue, one);
	loop_timer_start(one->timer, END_MS);
	idmap_put(&d->begun, in->id, in);
	d->under_way++;
	fleet_end(d->c->w->fleet, in, d->force, d->keep, ended, one);
}

/* The youngest first, so children before parents; those who only wait for their start count for no wave. */
static void pump(struct down *d)
{
	struct fleet *f = d->c->w->fleet;
	bool goes_on = d->c->client != NULL;

	for (size_t i = fleet_count(f); goes_on && i-- > 0;) {
		struct instance *in = fleet_at(f, i);
		if (!fleet_active(f, in) || idmap_get(&d->begun, in->id) || fleet_has_living_child(f, in))
			continue;
		if (in->state == ST_QUEUED || d->under_way < WAVE)
			begin(d, in);
	}
	if (!d->under_way)
		over(d);
}

void api_DOWN(struct call *c)
{
	struct fleet *f = c->w->fleet;
	struct down *d;
	struct err err = {0};

	if (!call_bool(c, "all")) {
		if (call_bool(c, "keep") || call_bool(c, "force")) {
			err_set(&err, ERR_PARAMS, "keep and force are about ending instances, so they need all");
			err_hint(&err, "without --all the agents go on, and are found again by the next daemon");
			call_error(c, &err);
			return;
		}
		call_result(c, NULL);
		c->api->down(c->api->down_arg);
		return;
	}
	if (fleet_closing(f, &err) < 0) {
		call_error(c, &err);
		return;
	}
	d = xcalloc(1, sizeof(*d));
	d->c = c;
	d->all = true;
	d->keep = call_bool(c, "keep");
	d->force = call_bool(c, "force");
	for (size_t i = 0; i < fleet_count(f); i++)
		d->total += fleet_active(f, fleet_at(f, i));
	fleet_close(f, true);
	pump(d);
}
