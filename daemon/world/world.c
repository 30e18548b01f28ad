/* SPDX-License-Identifier: ISC */
/* The real rooms behind core's port, wired. Rooms only translate; decisions are core's. */
#include "base/log.h"
#include "base/util.h"
#include "ipc/tmuxconf.h"
#include "daemon/core/asks.h"
#include "daemon/core/attention.h"
#include "daemon/core/schedule.h"
#include "daemon/store/files.h"
#include "daemon/world/world_int.h"

#define PLACE_JSON_MAX (256 * 1024)
#define UNREAD_MAX 20
#define DAY_MS (24 * 3600 * INT64_C(1000))
#define MIB (1024 * INT64_C(1024))

/* ---- kinds ---- */

static const struct agent_program *w_agent(void *ctx, const char *name)
{
	(void)ctx;
	return agent_or_gone(name);
}

static bool w_isolated(void *ctx, const char *driver)
{
	const struct driver *d = driver_find(driver);

	(void)ctx;
	return d && d->flags & DRIVER_ISOLATED;
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
	s->default_cap.max_total = config_int(c, OPT_MAX_TOTAL);
	s->default_cap.max_memory = config_int(c, OPT_MAX_MEMORY);
	s->default_cap.max_disk = config_int(c, OPT_MAX_DISK);
	s->fleet_memory = config_int(c, OPT_FLEET_MEMORY);
	s->fleet_disk = config_int(c, OPT_FLEET_DISK);
	s->fleet_spawn_rate = config_int(c, OPT_FLEET_SPAWN_RATE);
	s->boot_retries = config_int(c, OPT_BOOT_RETRIES);
	s->stuck_after_ms = config_int(c, OPT_STUCK_AFTER) * 1000;
	s->attention_finished = config_int(c, OPT_ATTENTION_FINISHED);
	s->resume_limited = config_int(c, OPT_RESUME_LIMITED);
	s->start_timeout_ms = config_int(c, OPT_START_TIMEOUT) * 1000;
	s->again = (struct backoff_rules){.delay_ms = config_int(c, OPT_RESTART_DELAY),
		.delay_most_ms = config_int(c, OPT_RESTART_DELAY_MAX),
		.calm_ms = config_int(c, OPT_RESTART_CALM) * 1000,
		.window_ms = config_int(c, OPT_RESTART_WINDOW) * 1000,
		.most = config_int(c, OPT_RESTART_BRAKE)};
	s->prices = config_string(c, OPT_PRICES);
	s->transcript_max = config_int(c, OPT_TRANSCRIPT_MAX) * MIB;
	s->rows = config_int(c, OPT_ROWS);
	s->cols = config_int(c, OPT_COLS);
	s->max_starts = config_int(c, OPT_MAX_STARTS);
	s->max_queue = config_int(c, OPT_MAX_QUEUE);
	s->memory_reserve_mib = config_int(c, OPT_MEMORY_RESERVE);
	s->disk_reserve_mib = config_int(c, OPT_DISK_RESERVE);
	s->pressure_high = config_int(c, OPT_PRESSURE_HIGH);
	s->pressure_low = config_int(c, OPT_PRESSURE_LOW);
	s->approval_expiry_ms = config_int(c, OPT_APPROVAL_EXPIRY) * 1000;
	s->cores = host_cores(w->host_root);
}

/* What is taken of the user's own tmux configuration; `config check` says what is left of it. */
static void settings_of_tmux(struct world *w, struct tmuxconf *ret)
{
	const char *file = config_string(w->config, OPT_TMUX_CONF);
	cleanup_free char *text = NULL;
	struct err err = {0};
	size_t len;

	if (!file[0])
		return;
	if (file_read(file, TMUXCONF_FILE_MAX, &text, &len, &err) < 0) {
		log_warn("tmux", NULL, "tmux_conf: %s", err.message);
		return;
	}
	tmuxconf_parse(text, len, ret);
	log_info("tmux", NULL, "%zu settings of %s are taken, %zu are not", ret->ncommands, file, ret->nleft);
}

int world_init(struct world *w, struct err *e)
{
	struct tmuxconf own = {0};
	cleanup_free char *no_utmp = layout_program("tmux-claude-no-utmp.so", NULL);
	struct tmux_limits limits = {.preload = no_utmp, .program = config_string(w->config, OPT_TMUX_PATH),
		.panes = (unsigned)config_int(w->config, OPT_PANES_PER_SERVER)};
	struct err err = {0};

	(void)e;
	w->host_root = getenv(HOST_ROOT_ENV) ?: "";
	settings_read(w);
	settings_of_tmux(w, &own);
	limits.settings = own.commands;
	w->env = (struct driver_env){.loop = w->loop, .layout = w->layout, .config = w->config,
		.template_dir = config_string(w->config, OPT_TEMPLATE_DIR)[0]
			? config_string(w->config, OPT_TEMPLATE_DIR) : w->layout->template_dir};
	w->port = (struct core_port){.ctx = w, .loop = w->loop,
		.agent = w_agent, .check = launch_check, .isolated = w_isolated,
		.setup_params = launch_setup_params, .run_params = launch_run_params};
	transcripts_port(&w->port);
	usage_port(&w->port);
	rows_port(&w->port);
	notices_port(&w->port);
	places_port(&w->port);
	panes_port(&w->port);
	room_port(&w->port);
	w->damage = store_damage(w->store);
	w->bus = bus_create(w->loop, w->store);
	w->turn = turn_create(w->loop, w->store, w->bus);
	turn_keep(w->turn, &(struct events_keep){.events = config_int(w->config, OPT_EVENTS_KEEP),
				   .age_ms = config_int(w->config, OPT_EVENTS_AGE) * DAY_MS,
				   .bytes = config_int(w->config, OPT_EVENTS_SIZE) * MIB});
	bus_patience(w->bus, config_int(w->config, OPT_SUBSCRIBER_PATIENCE) * 1000);
	/* Nothing of the world is listened to that could not be written down: it waits, or goes on by itself. */
	if (!w->damage)
		w->egress = egressctl_create(w->loop, w->layout, &egress_ops, w);
	w->fleet = fleet_create(&w->port, &w->settings);
	recordings_init(w);
	notices_init(w);
	sweeps_init(w);
	room_init(w);
	if (!w->damage && tmux_pool_create(w->loop, w->layout->tmux_dir, &limits, &world_pane_ops, w, &w->panes, &err) < 0)
		log_error("tmux", NULL, "agents run without panes: %s", err.message);
	tmuxconf_finish(&own);
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

static void load_spawn_time(void *arg, const struct spawn_time *t)
{
	fleet_load_spawn_time(((struct world *)arg)->fleet, t);
}

static void load_approval(void *arg, struct approval *a)
{
	fleet_load_approval(((struct world *)arg)->fleet, a);
}

static void load_grant(void *arg, struct grant *g)
{
	fleet_load_grant(((struct world *)arg)->fleet, g);
}

static void load_attention(void *arg, struct attention *a)
{
	fleet_load_attention(((struct world *)arg)->fleet, a);
}

static void load_schedule(void *arg, struct schedule *s)
{
	fleet_load_schedule(((struct world *)arg)->fleet, s);
}

static void load_transcript(void *arg, const struct transcript *t)
{
	fleet_load_transcript(((struct world *)arg)->fleet, t);
}

static void load_usage(void *arg, const struct usage_row *r)
{
	fleet_load_usage(((struct world *)arg)->fleet, r);
}

static void load_usage_state(void *arg, const struct usage_state *s)
{
	fleet_load_usage_state(((struct world *)arg)->fleet, s);
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

static void load_unread(void *arg, const struct err *why)
{
	struct world *w = arg;

	log_error("store", NULL, "%s", why->message);
	if (!w->unread)
		w->unread = json_array();
	if (json_array_size(w->unread) < UNREAD_MAX)
		json_array_append_new(w->unread, json_text(why->message, strlen(why->message)));
}

/* A database that is older than the world it finds: restored from a copy, or lost and made anew. */
static void know_restored(struct world *w)
{
	cleanup_free char *mark = store_meta_get(w->store, STORE_META_RESTORED);
	cleanup_strv char **folders = w->port.place_folders(w);
	json_t *o = mark ? json_loads(mark, 0, NULL) : NULL;

	w->settings.spare_unknown = (mark && !json_is_true(json_object_get(o, "end_unknown"))) ||
				    (store_fresh(w->store) && folders[0]);
	json_decref(o);
}

/* The mark stays until a start finds nothing that is not known. */
static void settle_restored(struct world *w)
{
	cleanup_free char *mark = store_meta_get(w->store, STORE_META_RESTORED);
	bool left = fleet_unknown(w->fleet)[0] != NULL;
	struct err err = {0};

	if ((left && mark) || (!left && !mark))
		return;
	if (left ? store_meta_set(w->store, STORE_META_RESTORED, "{}", &err) :
		   store_meta_delete(w->store, STORE_META_RESTORED, &err))
		turn_failed(w->turn, &err);
	turn_touch(w->turn);
}

int world_load(struct world *w, struct err *e)
{
	const struct store_load_ops ops = {.instance = load_instance, .place = load_place,
		.prompt = load_prompt, .intent = load_intent, .spawn_time = load_spawn_time, .approval = load_approval, .grant = load_grant, .schedule = load_schedule, .transcript = load_transcript, .attention = load_attention,
		.usage = load_usage, .usage_state = load_usage_state,
		.unread = load_unread};
	cleanup_free char *caps = store_meta_get(w->store, fleet_caps_key());

	if (store_load(w->store, &ops, w, e) < 0)
		return -1;
	fleet_load_caps(w->fleet, caps);
	backups_init(w);
	if (!w->damage && notices_load(w, e) < 0)
		return -1;
	if (w->damage)
		return 0; /* nothing is reconciled: it would be by half of the truth */
	know_restored(w);
	routes_again(w);
	/* Before anything asks for a pane: asking waits until what lives is found (by then the fleet is
	 * loaded, too). */
	if (w->panes)
		tmux_pool_adopt(w->panes, panes_found, w);
	logins_init(w);
	fleet_reconcile(w->fleet);
	settle_restored(w);
	return 0;
}

void world_finish(struct world *w)
{
	turn_flush(w->turn);
	backups_finish(w);
	logins_finish(w);
	recordings_finish(w);
	notices_finish(w);
	tmux_pool_destroy(w->panes);
	driver_finish();
	sweeps_finish(w);
	room_finish(w);
	places_finish(w);
	fleet_destroy(w->fleet);
	egressctl_destroy(w->egress);
	turn_destroy(w->turn);
	bus_destroy(w->bus);
	json_decref(w->unread);
}
