/* SPDX-License-Identifier: ISC */
/* Core's port to places: their folders, their shims, what is made and cleared of them on disk. */
#include <dirent.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/world_int.h"

struct world_site {
	struct world_site *next, **at; /* at: what points to it */
	struct world *w;
	char place[ID_SIZE];
	char instance[ID_SIZE]; /* whose program was asked for here, or was found; "" before */
	struct shimctl *shim;
};

static struct world_site *site_get(struct world *w, const char *place)
{
	return idmap_get(&w->site_by_place, place);
}

static void on_hello(void *arg, json_t *hello)
{
	struct world_site *s = arg;
	struct world *w = s->w;
	char instance[ID_SIZE];
	const json_t *first = json_array_get(json_object_get(hello, "instances"), 0);
	const char *found = json_string_value(json_object_get(first, "id"));

	if (found && strlen(found) < ID_SIZE)
		snprintf(s->instance, ID_SIZE, "%s", found);
	memcpy(instance, s->instance, ID_SIZE);
	fleet_on_hello(w->fleet, s->place, hello); /* which may let go of the site */
	if (json_is_true(json_object_get(hello, "link")))
		logins_reach(w, instance);
}

static void on_event(void *arg, uint64_t seq, const char *type, json_t *ev)
{
	struct world_site *s = arg;
	struct world *w = s->w;
	char instance[ID_SIZE];

	if (!strcmp(type, "api")) {
		const char *inst = json_string_value(json_object_get(ev, "instance"));
		if (inst && s->w->on_api)
			s->w->on_api(s->w->api_arg, s->place, inst,
				json_integer_value(json_object_get(ev, "conn")), json_object_get(ev, "msg"));
		return;
	}
	if (!strcmp(type, "api_closed")) {
		if (s->w->on_api_closed)
			s->w->on_api_closed(s->w->api_arg, s->place,
				json_integer_value(json_object_get(ev, "conn")));
		return;
	}
	memcpy(instance, s->instance, ID_SIZE);
	if (!fleet_on_shim_event(w->fleet, s->place, seq, type, ev))
		return;
	if (!strcmp(type, "stranger") && w->on_stranger)
		w->on_stranger(w->api_arg, s->place, ev);
	else if (!strcmp(type, "link_up"))
		logins_reach(w, instance);
}

static void on_lost(void *arg, const struct err *why)
{
	struct world_site *s = arg;

	if (s->w->on_api_closed) /* another shim numbers its connections anew */
		s->w->on_api_closed(s->w->api_arg, s->place, -1);
	fleet_on_shim_lost(s->w->fleet, s->place, why);
}

static const struct shimctl_ops shim_ops = {
	.on_hello = on_hello, .on_event = on_event, .on_lost = on_lost};

static struct world_site *site_make(struct world *w, const char *place)
{
	struct world_site *s = site_get(w, place);
	cleanup_free char *dir = place_dir(w->layout, place);

	if (s)
		return s;
	s = xcalloc(1, sizeof(*s));
	s->w = w;
	snprintf(s->place, ID_SIZE, "%s", place);
	s->shim = shimctl_create(w->loop, dir, &shim_ops, s);
	s->next = w->sites;
	s->at = &w->sites;
	if (s->next)
		s->next->at = &s->next;
	w->sites = s;
	idmap_put(&w->site_by_place, s->place, s);
	return s;
}

struct making {
	struct world *w;
	char place[ID_SIZE], instance[ID_SIZE];
	char **allow;
	port_done_fn *done;
	void *arg;
};

static int write_place_json(struct world *w, const char *place, json_t *o, struct err *e)
{
	cleanup_free char *dir = place_dir(w->layout, place);
	cleanup_free char *path = xasprintf("%s/place.json", dir);
	cleanup_free char *text = json_dumps(o, JSON_INDENT(1));

	if (!text)
		return err_set(e, ERR_INTERNAL, "the description of place %s is not JSON", place);
	if (FAULT_ERROR("place.json", e) || file_replace(path, text, strlen(text), 0600, e) < 0)
		return -1;
	FAULT_POINT("place.json.written");
	return 0;
}

static void made(void *arg, json_t *o, const struct err *error)
{
	struct making *m = arg;
	const json_t *shim = json_object_get(o, "shim");
	struct err err = {0};

	if (o) /* the only ones whose terminals its guest may hold */
		json_object_set_new(o, "instances", json_pack("[s]", m->instance));
	if (error) {
		err = *error;
	} else if (write_place_json(m->w, m->place, o, &err) == 0 &&
		   json_is_string(json_object_get(o, "egress"))) {
		uid_t uid = (uid_t)json_integer_value(json_object_get(shim, "uid"));
		gid_t gid = (gid_t)json_integer_value(json_object_get(shim, "gid"));
		egressctl_add(m->w->egress, m->place, m->allow, uid, gid, &err);
	}
	if (!err.code)
		fleet_place_accel(m->w->fleet, m->place, json_string_value(json_object_get(o, "accel")));
	json_decref(o);
	m->done(m->arg, err.code ? &err : NULL);
	strv_free(m->allow);
	free(m);
}

static void w_place_make(void *ctx, struct place *p, const struct instance *in, port_done_fn *done,
	void *arg)
{
	struct world *w = ctx;
	cleanup_free char *dir = place_dir(w->layout, p->id);
	const struct driver *d = driver_find(in->driver);
	struct making *m;
	struct err err = {0};

	if (FAULT_ERROR("place.folder", &err) || dir_make(dir, 0700, &err) < 0) {
		done(arg, &err);
		return;
	}
	FAULT_POINT("place.folder.made");
	m = xcalloc(1, sizeof(*m));
	m->w = w;
	memcpy(m->place, p->id, ID_SIZE);
	memcpy(m->instance, in->id, ID_SIZE);
	m->allow = launch_allow(w, in);
	m->done = done;
	m->arg = arg;
	d->make(&w->env, p, in, made, m);
}

static void w_shim_start(void *ctx, const char *place)
{
	struct world *w = ctx;
	struct world_site *s = site_make(w, place);
	struct err err = {0};

	if (shimctl_start(s->shim, &err) < 0)
		fleet_on_shim_lost(w->fleet, place, &err);
}

/* The lists of allowed hosts of an adopted place; its program may be new, or have been away. */
static void w_shim_adopt(void *ctx, const char *place)
{
	shimctl_adopt(site_make(ctx, place)->shim);
}

static void nobody_asked(void *arg, json_t *result, const struct err *error)
{
	(void)arg; /* the answer to a call without fn */
	(void)result;
	(void)error;
}

static void w_shim_call(void *ctx, const char *place, const char *method, json_t *params, int64_t ms,
	port_reply_fn *fn, void *arg)
{
	struct world_site *s = site_get(ctx, place);
	struct err err = {0};

	if (s && !strcmp(method, "run"))
		snprintf(s->instance, ID_SIZE, "%s", json_string_value(json_object_get(params, "instance")) ?: "");
	if (s) {
		shimctl_call(s->shim, method, params, ms, fn ? fn : nobody_asked, arg);
		return;
	}
	json_decref(params);
	err_set(&err, ERR_UNREACHABLE, "the place %s has no shim", place);
	if (fn)
		fn(arg, NULL, &err);
}

static void w_shim_ack(void *ctx, const char *place, uint64_t seq, int64_t steps_wait_ms)
{
	struct world_site *s = site_get(ctx, place);

	if (s)
		shimctl_ack(s->shim, seq, steps_wait_ms);
}

static struct world_site *site_take(struct world *w, const char *place)
{
	struct world_site *s = idmap_drop(&w->site_by_place, place);

	if (!s)
		return NULL;
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	return s;
}

/* Whoever waits for an answer of its shim is told that none comes. */
static void w_shim_forget(void *ctx, const char *place)
{
	struct world_site *s = site_take(ctx, place);

	if (s)
		shimctl_drop(s->shim);
	free(s);
}

static void w_place_kill(void *ctx, const char *place, port_done_fn *done, void *arg)
{
	sweeps_add(ctx, place, done, arg);
}

static void w_place_clear(void *ctx, const char *place, bool keep_disk)
{
	struct world *w = ctx;
	cleanup_free char *dir = place_dir(w->layout, place);
	struct err err = {0};
	DIR *d;
	struct dirent *de;

	FAULT_POINT("place.clear");
	egressctl_remove(w->egress, place);
	if (!keep_disk) {
		if (tree_remove(dir, &err) < 0)
			log_error("place", place, "its folder could not be removed: %s", err.message);
		FAULT_POINT("place.removed");
		return;
	}
	/* What `restart` and `logs` need stays: the disk, what it was, what was said. */
	d = opendir(dir);
	while (d && (de = readdir(d))) {
		if (strstr(de->d_name, ".sock") || strstr(de->d_name, ".pid"))
			unlinkat(dirfd(d), de->d_name, 0);
	}
	if (d)
		closedir(d);
	FAULT_POINT("place.cleared");
}

static char **w_place_folders(void *ctx)
{
	struct world *w = ctx;
	char **names = strv_new();
	DIR *d = opendir(w->layout->places_dir);
	struct dirent *de;

	while (d && (de = readdir(d)))
		if (strlen(de->d_name) == ID_LEN && name_valid(de->d_name))
			strv_push(&names, de->d_name);
	if (d)
		closedir(d);
	return names;
}

static bool w_place_runs(void *ctx, const char *place)
{
	cleanup_free char *dir = place_dir(((struct world *)ctx)->layout, place);

	return place_dir_runs(dir);
}

static void w_recording_remove(void *ctx, const char *instance)
{
	recordings_remove(ctx, instance);
}

char *world_shim_socket(struct world *w, const char *place)
{
	cleanup_free char *dir = place_dir(w->layout, place);

	return xasprintf("%s/shim.sock", dir);
}

size_t world_api_pending(struct world *w, const char *place)
{
	struct world_site *s = site_get(w, place);

	return s && shimctl_connected(s->shim) ? shimctl_out_pending(s->shim) : 0;
}

void world_api_reply(struct world *w, const char *place, json_int_t conn, json_t *msg)
{
	struct world_site *s = site_get(w, place);

	if (s && shimctl_connected(s->shim))
		shimctl_api_reply(s->shim, conn, msg);
	else
		json_decref(msg);
}

void places_finish(struct world *w)
{
	while (w->sites) {
		struct world_site *s = site_take(w, w->sites->place);
		shimctl_destroy(s->shim);
		free(s);
	}
	idmap_finish(&w->site_by_place);
	shimctl_finish();
}

void places_port(struct core_port *p)
{
	p->place_make = w_place_make;
	p->shim_start = w_shim_start;
	p->shim_adopt = w_shim_adopt;
	p->shim_call = w_shim_call;
	p->shim_ack = w_shim_ack;
	p->shim_forget = w_shim_forget;
	p->place_kill = w_place_kill;
	p->place_clear = w_place_clear;
	p->place_folders = w_place_folders;
	p->place_runs = w_place_runs;
	p->recording_remove = w_recording_remove;
}
