/* SPDX-License-Identifier: ISC */
/* The real rooms behind core's port. Each function here only translates; decisions are core's. */
#include "daemon/world/world.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"

#define PLACE_JSON_MAX (256 * 1024)
#define PID_FILE_MAX 256
#define EVENTS_KEPT 500000 /* looked at when the daemon starts */

struct world_site {
	struct world_site *next;
	struct world *w;
	char place[ID_SIZE];
	struct shimctl *shim;
};

/* ---- store ---- */

static void check(struct world *w, int r, const struct err *e)
{
	if (r < 0)
		turn_failed(w->turn, e);
	else
		turn_touch(w->turn);
}

static void w_instance_put(void *ctx, const struct instance *i)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_instance_put(w->store, i, &err), &err);
}

static void w_instance_delete(void *ctx, const char *id)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_instance_delete(w->store, id, &err), &err);
}

static void w_place_put(void *ctx, const struct place *p)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_place_put(w->store, p, &err), &err);
}

static void w_place_delete(void *ctx, const char *id)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_place_delete(w->store, id, &err), &err);
}

static void w_prompt_put(void *ctx, const struct prompt *p)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_prompt_put(w->store, p, &err), &err);
}

static void w_intent_add(void *ctx, const char *kind, const char *key)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_intent_add(w->store, kind, key, &err), &err);
}

static void w_intent_done(void *ctx, const char *kind, const char *key)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_intent_done(w->store, kind, key, &err), &err);
}

/* The status line of an agent's pane. */
static void pane_state(struct world *w, const char *instance, const json_t *data)
{
	const char *to = json_string_value(json_object_get(data, "to"));
	const char *reason = json_string_value(json_object_get(data, "reason"));
	cleanup_free char *text = xasprintf("%s%s%s%s", to ? to : "", reason && *reason ? " (" : "",
		reason ? reason : "", reason && *reason ? ")" : "");

	tmux_pane_status(w->panes, instance, text);
}

static void w_event_add(void *ctx, enum event_id type, const char *instance, const char *place,
	json_t *data)
{
	struct world *w = ctx;

	if (type == EV_STATE && instance && w->panes)
		pane_state(w, instance, data);
	turn_event(w->turn, type, instance, place, data);
}

static bool w_id_used(void *ctx, const char *id)
{
	return store_id_used(((struct world *)ctx)->store, id);
}

static void w_after_commit(void *ctx, port_done_fn *fn, void *arg)
{
	turn_after(((struct world *)ctx)->turn, fn, arg);
}

/* ---- kinds ---- */

static const struct agent_program *w_agent(void *ctx, const char *name)
{
	(void)ctx;
	return agent_find(name);
}

static bool w_isolated(void *ctx, const char *driver)
{
	const struct driver *d = driver_find(driver);

	(void)ctx;
	return d && d->flags & DRIVER_ISOLATED;
}

/* ---- places ---- */

static struct world_site *site_get(struct world *w, const char *place)
{
	for (struct world_site *s = w->sites; s; s = s->next)
		if (!strcmp(s->place, place))
			return s;
	return NULL;
}

static void on_hello(void *arg, json_t *hello)
{
	struct world_site *s = arg;
	fleet_on_hello(s->w->fleet, s->place, hello);
}

static void on_event(void *arg, uint64_t seq, const char *type, json_t *ev)
{
	struct world_site *s = arg;

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
	fleet_on_shim_event(s->w->fleet, s->place, seq, type, ev);
}

static void on_lost(void *arg, const struct err *why)
{
	struct world_site *s = arg;
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
	w->sites = s;
	return s;
}

struct making {
	struct world *w;
	char place[ID_SIZE];
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
	return file_write_atomic(path, text, strlen(text), 0600, e);
}

static void made(void *arg, json_t *o, const struct err *error)
{
	struct making *m = arg;
	const json_t *shim = json_object_get(o, "shim");
	struct err err = {0};

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

	if (dir_make(dir, 0700, &err) < 0) {
		done(arg, &err);
		return;
	}
	m = xcalloc(1, sizeof(*m));
	m->w = w;
	memcpy(m->place, p->id, ID_SIZE);
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

	if (s) {
		shimctl_call(s->shim, method, params, ms, fn ? fn : nobody_asked, arg);
		return;
	}
	json_decref(params);
	err_set(&err, ERR_UNREACHABLE, "the place %s has no shim", place);
	if (fn)
		fn(arg, NULL, &err);
}

static void w_shim_ack(void *ctx, const char *place, uint64_t seq)
{
	struct world_site *s = site_get(ctx, place);

	if (s)
		shimctl_ack(s->shim, seq);
}

static void w_shim_forget(void *ctx, const char *place)
{
	struct world *w = ctx;

	for (struct world_site **pp = &w->sites; *pp; pp = &(*pp)->next) {
		struct world_site *s = *pp;
		if (strcmp(s->place, place))
			continue;
		*pp = s->next;
		shimctl_destroy(s->shim);
		free(s);
		return;
	}
}

/* Kills the process a pid file names, if it is still that very process. */
static void kill_named(const char *dir, const char *file)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, file);
	cleanup_free char *text = NULL;
	json_t *o;
	pid_t pid;
	uint64_t start;
	const char *boot;

	if (file_read(path, PID_FILE_MAX, &text, NULL, NULL) < 0)
		return;
	o = json_loads(text, 0, NULL);
	pid = (pid_t)json_integer_value(json_object_get(o, "pid"));
	start = (uint64_t)json_integer_value(json_object_get(o, "start"));
	boot = json_string_value(json_object_get(o, "boot_id"));
	if (boot && strcmp(boot, boot_id()))
		start = 0; /* of another boot: whoever has that pid now is not it */
	json_decref(o);
	if (pid > 1 && start && proc_start_time(pid) == start)
		kill(pid, SIGKILL);
}

static void w_place_kill(void *ctx, const char *place)
{
	struct world *w = ctx;
	cleanup_free char *dir = place_dir(w->layout, place);

	kill_named(dir, "shim.pid"); /* first, so that it starts nothing again */
	kill_named(dir, "holder.pid");
}

static void w_place_clear(void *ctx, const char *place, bool keep_disk)
{
	struct world *w = ctx;
	cleanup_free char *dir = place_dir(w->layout, place);
	struct err err = {0};
	DIR *d;
	struct dirent *de;

	egressctl_remove(w->egress, place);
	if (!keep_disk) {
		if (tree_remove(dir, &err) < 0)
			log_error("place", place, "its folder could not be removed: %s", err.message);
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

static void w_recording_remove(void *ctx, const char *instance)
{
	struct world *w = ctx;
	cleanup_free char *dir = xasprintf("%s/%s", w->layout->recordings_dir, instance);
	struct err err = {0};

	if (tree_remove(dir, &err) < 0)
		log_error("place", instance, "its recording could not be removed: %s", err.message);
}

char *world_shim_socket(struct world *w, const char *place)
{
	cleanup_free char *dir = place_dir(w->layout, place);

	return xasprintf("%s/shim.sock", dir);
}

void world_api_reply(struct world *w, const char *place, json_int_t conn, json_t *msg)
{
	struct world_site *s = site_get(w, place);

	if (s && shimctl_connected(s->shim))
		shimctl_api_reply(s->shim, conn, msg);
	else
		json_decref(msg);
}

/* ---- panes ---- */


static void pane_opened(void *arg, const char *id, const struct err *e)
{
	struct world *w = arg;

	if (e && e->code != ERR_CANCELLED) {
		log_error("tmux", id, "its pane could not be opened: %s", e->message);
		fleet_on_pane(w->fleet, id, false, "failed");
	}
}

int world_pane_open(struct world *w, const struct instance *in, tmux_done_fn *fn, void *arg)
{
	cleanup_free char *cli = layout_program("tmux-claude", NULL);
	cleanup_free char *sock = world_shim_socket(w, in->place);
	char *argv[] = {cli, "view", "--shim", sock, (char *)in->id, NULL};
	struct tmux_pane_spec spec = {.id = in->id,
		.title = in->name ? in->name : in->id,
		.argv = argv,
		.rows = in->rows,
		.cols = in->cols};
	struct err err = {0};

	if (!w->panes || !cli)
		return -1;
	if (tmux_pane_open(w->panes, &spec, fn, arg, &err) == 0) {
		tmux_pane_status(w->panes, in->id, state_name(in->state));
		return 0;
	}
	log_error("tmux", in->id, "its pane could not be opened: %s", err.message);
	return -1;
}

static void w_pane_open(void *ctx, const struct instance *in)
{
	world_pane_open(ctx, in, pane_opened, ctx);
}

static void w_pane_close(void *ctx, const char *instance)
{
	struct world *w = ctx;

	if (w->panes)
		tmux_pane_close(w->panes, instance, NULL, NULL);
}

static void w_pane_rename(void *ctx, const char *instance, const char *name)
{
	struct world *w = ctx;

	if (w->panes)
		tmux_pane_rename(w->panes, instance, name);
}

static void pane_died(void *arg, const char *id, struct proc_status st, bool again)
{
	struct world *w = arg;

	(void)st;
	if (!again)
		fleet_on_pane(w->fleet, id, false, "ended");
}

static void pane_lost(void *arg, const char *id, const char *why, bool again)
{
	struct world *w = arg;

	log_info("tmux", id, "its pane is gone (%s)%s", why, again ? ", bringing it back" : "");
	fleet_on_pane(w->fleet, id, false, "lost");
}

static void pane_back(void *arg, const char *id)
{
	struct world *w = arg;

	fleet_on_pane(w->fleet, id, true, "back");
}

static const struct tmux_pool_ops pane_ops = {
	.on_died = pane_died, .on_lost = pane_lost, .on_back = pane_back};

/* Panes found at the start: those of nobody living are closed; the living ask for theirs again. */
static void panes_found(void *arg, const struct tmux_found *found, size_t n)
{
	struct world *w = arg;

	for (size_t i = 0; i < n; i++) {
		struct instance *in = fleet_get(w->fleet, found[i].id);
		if (!in || !state_living(in->state))
			tmux_pane_close(w->panes, found[i].id, NULL, NULL);
	}
}

/* ---- egress ---- */

struct denied_ack {
	struct world *w;
	uint64_t seq;
};

static void denied_durable(void *arg, const struct err *error)
{
	struct denied_ack *a = arg;

	if (!error)
		egressctl_ack(a->w->egress, a->seq);
	free(a);
}

static void on_denied(void *arg, uint64_t seq, const char *place, json_t *data)
{
	struct world *w = arg;
	struct denied_ack *a = xcalloc(1, sizeof(*a));

	a->w = w;
	a->seq = seq;
	fleet_on_denied(w->fleet, place, data);
	turn_after(w->turn, denied_durable, a);
}

static const struct egressctl_ops egress_ops = {.on_denied = on_denied};

/* ---- wiring ---- */

static void settings_read(struct world *w)
{
	const struct config *c = w->config;
	struct core_settings *s = &w->settings;

	s->max_instances = config_int(c, OPT_MAX_INSTANCES);
	s->default_cap.max_children = config_int(c, OPT_MAX_CHILDREN);
	s->default_cap.max_descendants = config_int(c, OPT_MAX_DESCENDANTS);
	s->default_cap.max_depth = config_int(c, OPT_MAX_DEPTH);
	s->default_cap.spawn_rate = config_int(c, OPT_SPAWN_RATE);
	s->boot_retries = config_int(c, OPT_BOOT_RETRIES);
	s->start_timeout_ms = config_int(c, OPT_START_TIMEOUT) * 1000;
	s->rows = config_int(c, OPT_ROWS);
	s->cols = config_int(c, OPT_COLS);
}

int world_init(struct world *w, struct err *e)
{
	struct tmux_limits limits = {.program = config_string(w->config, OPT_TMUX_PATH),
		.panes = (unsigned)config_int(w->config, OPT_PANES_PER_SERVER)};
	struct err err = {0};

	(void)e;
	settings_read(w);
	w->env = (struct driver_env){.loop = w->loop, .layout = w->layout, .config = w->config,
		.template_dir = config_string(w->config, OPT_TEMPLATE_DIR)[0]
			? config_string(w->config, OPT_TEMPLATE_DIR) : w->layout->template_dir};
	w->port = (struct core_port){.ctx = w, .loop = w->loop,
		.instance_put = w_instance_put, .instance_delete = w_instance_delete,
		.place_put = w_place_put, .place_delete = w_place_delete,
		.prompt_put = w_prompt_put,
		.intent_add = w_intent_add, .intent_done = w_intent_done,
		.event_add = w_event_add, .id_used = w_id_used, .after_commit = w_after_commit,
		.agent = w_agent, .check = launch_check, .isolated = w_isolated,
		.place_make = w_place_make, .shim_start = w_shim_start, .shim_adopt = w_shim_adopt,
		.shim_call = w_shim_call, .shim_ack = w_shim_ack, .shim_forget = w_shim_forget,
		.place_kill = w_place_kill, .place_clear = w_place_clear,
		.setup_params = launch_setup_params, .run_params = launch_run_params,
		.place_folders = w_place_folders,
		.pane_open = w_pane_open, .pane_close = w_pane_close, .pane_rename = w_pane_rename,
		.recording_remove = w_recording_remove};
	w->bus = bus_create(w->loop, w->store);
	w->turn = turn_create(w->loop, w->store, w->bus);
	w->egress = egressctl_create(w->loop, w->layout, &egress_ops, w);
	w->fleet = fleet_create(&w->port, &w->settings);
	if (tmux_pool_create(w->loop, w->layout->tmux_dir, &limits, &pane_ops, w, &w->panes, &err) < 0)
		log_error("tmux", NULL, "agents run without panes: %s", err.message);
	return 0;
}

static void load_instance(void *arg, struct instance *i)
{
	fleet_load_instance(((struct world *)arg)->fleet, i);
}

static void load_place(void *arg, struct place *p)
{
	fleet_load_place(((struct world *)arg)->fleet, p);
}

static void load_prompt(void *arg, struct prompt *p)
{
	fleet_load_prompt(((struct world *)arg)->fleet, p);
}

static void load_intent(void *arg, const struct intent *in)
{
	fleet_load_intent(((struct world *)arg)->fleet, in);
}

/* The egress program may be newer than the places: every living one is told again. */
static void routes_again(struct world *w)
{
	struct err err = {0};

	for (size_t i = 0; i < fleet_count(w->fleet); i++) {
		struct instance *in = fleet_at(w->fleet, i);
		const struct driver *d = driver_find(in->driver);
		cleanup_free char *dir = place_dir(w->layout, in->place);
		cleanup_free char *path = xasprintf("%s/place.json", dir);
		cleanup_free char *text = NULL;
		cleanup_strv char **allow = NULL;
		json_t *o;
		if (!d || !(d->flags & DRIVER_EGRESS) || !state_living(in->state) || !in->place[0] ||
			file_read(path, PLACE_JSON_MAX, &text, NULL, &err) < 0)
			continue;
		o = json_loads(text, 0, NULL);
		allow = launch_allow(w, in);
		egressctl_add(w->egress, in->place, allow,
			(uid_t)json_integer_value(json_object_get(json_object_get(o, "shim"), "uid")),
			(gid_t)json_integer_value(json_object_get(json_object_get(o, "shim"), "gid")), &err);
		json_decref(o);
	}
}

int world_load(struct world *w, struct err *e)
{
	const struct store_load_ops ops = {.instance = load_instance, .place = load_place,
		.prompt = load_prompt, .intent = load_intent};

	if (store_events_trim(w->store, EVENTS_KEPT, e) < 0 || store_load(w->store, &ops, w, e) < 0)
		return -1;
	routes_again(w);
	/* Before anything asks for a pane: asking waits until what lives is found (by then the fleet is
	 * loaded, too). */
	if (w->panes)
		tmux_pool_adopt(w->panes, panes_found, w);
	fleet_reconcile(w->fleet);
	return 0;
}

void world_finish(struct world *w)
{
	turn_flush(w->turn);
	tmux_pool_destroy(w->panes);
	driver_finish();
	while (w->sites)
		w_shim_forget(w, w->sites->place);
	shimctl_finish();
	fleet_destroy(w->fleet);
	egressctl_destroy(w->egress);
	turn_destroy(w->turn);
	bus_destroy(w->bus);
}
