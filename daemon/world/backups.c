/* SPDX-License-Identifier: ISC */
/*
 * The daily copy of the database. `tmux-claude-db backup-auto` makes it, so the daemon never waits for it; it is a
 * child with a deadline, one at a time (the program holds a lock on the folder, for one that a daemon before left
 * behind). When the last one was stands in `meta` (daily.h says how its age is told). A failure is told once, and tried
 * again with growing pauses; what is told of it is the same after a restart, as it is kept with the rest.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/child.h"
#include "daemon/world/daily.h"
#include "daemon/world/world_int.h"

#define META_KEY "backup"
#define DAY_MS (24 * 3600 * INT64_C(1000))
#define CHILD_MS (30 * 60 * INT64_C(1000))
/* A start has better things to do: the first look is a 1440th of a day after it. Then at the latest each hour, as the
 * host's sleep does not count for timers. */
#define SETTLE_PART 1440
#define LOOK_MS (3600 * INT64_C(1000))
#define LATE_DAYS 2 /* older than that is worth a warning */
#define EVERY_ENV "TMUX_CLAUDE_BACKUP_EVERY" /* tests: milliseconds of a day */

struct backups {
	struct world *w;
	char *folder;
	int64_t keep, every_ms;
	struct daily daily;
	char *file;	/* the last copy; NULL: none */
	int64_t count;	/* automatic copies in the folder after that */
	char *why;	/* it failed since */
	struct loop_timer *timer;
	struct child *child;
};

static struct daily_moment this_moment(void)
{
	struct daily_moment m = {.boot_ms = clock_boot_ms(), .wall_ms = clock_wall_ms()};

	snprintf(m.boot, sizeof(m.boot), "%s", boot_id());
	return m;
}

/* ---- what is kept of it ---- */

static json_t *moment_json(const struct daily_moment *m)
{
	return json_pack("{s:s, s:I, s:I}", "boot", m->boot, "boot_ms", (json_int_t)m->boot_ms, "wall_ms",
		(json_int_t)m->wall_ms);
}

static void moment_read(const json_t *o, struct daily_moment *m)
{
	snprintf(m->boot, sizeof(m->boot), "%s", json_string_value(json_object_get(o, "boot")) ?: "");
	m->boot_ms = json_integer_value(json_object_get(o, "boot_ms"));
	m->wall_ms = json_integer_value(json_object_get(o, "wall_ms"));
}

static void keep(struct backups *b)
{
	json_t *o = json_pack("{s:o, s:o, s:I, s:s?, s:I, s:s?}", "done", moment_json(&b->daily.done), "tried",
		moment_json(&b->daily.tried), "failed", (json_int_t)b->daily.failed, "file", b->file, "count",
		(json_int_t)b->count, "why", b->why);
	cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	struct err err = {0};

	json_decref(o);
	if (store_meta_set(b->w->store, META_KEY, text ? text : "{}", &err) < 0)
		turn_failed(b->w->turn, &err);
	turn_touch(b->w->turn);
}

static void recall(struct backups *b)
{
	cleanup_free char *text = store_meta_get(b->w->store, META_KEY);
	json_t *o = text ? json_loads(text, 0, NULL) : NULL;

	moment_read(json_object_get(o, "done"), &b->daily.done);
	moment_read(json_object_get(o, "tried"), &b->daily.tried);
	b->daily.failed = json_integer_value(json_object_get(o, "failed"));
	b->count = json_integer_value(json_object_get(o, "count"));
	b->file = xstrdup(json_string_value(json_object_get(o, "file")));
	b->why = xstrdup(json_string_value(json_object_get(o, "why")));
	json_decref(o);
}

/* ---- making one ---- */

static void arm(struct backups *b, int64_t least_ms)
{
	struct daily_moment now = this_moment();
	int64_t wait = daily_wait(&b->daily, b->every_ms, &now);

	wait = wait < LOOK_MS ? wait : LOOK_MS;
	loop_timer_start(b->timer, wait > least_ms ? wait : least_ms);
}

static void made(struct backups *b, const json_t *o)
{
	b->daily = (struct daily){.done = this_moment()};
	free(b->file);
	b->file = xstrdup(json_string_value(json_object_get(o, "file")));
	b->count = json_integer_value(json_object_get(o, "count"));
	free(b->why);
	b->why = NULL;
	log_info("store", NULL, "the daily backup is %s", b->file);
}

static void failed(struct backups *b, const char *why, const char *hint)
{
	char text[ERR_MESSAGE_MAX];

	b->daily.tried = this_moment();
	b->daily.failed++;
	free(b->why);
	b->why = xstrdup(why);
	if (b->daily.failed > 1) {
		log_debug("store", NULL, "the daily backup failed again: %s", why);
		return;
	}
	str_fmt(text, sizeof(text), "the daily backup of the database failed, it is tried again: %.300s", why);
	log_warn("store", NULL, "%s; %s", text, hint);
	turn_event(b->w->turn, EV_NOTICE, NULL, NULL,
		json_pack("{s:s, s:s, s:s}", "kind", "backup", "text", text, "hint", hint));
}

static void over(void *arg, const char *text, struct proc_status st)
{
	struct backups *b = arg;
	json_t *o = json_loads(text, 0, NULL), *error = json_object_get(o, "error");
	char end[ERR_MESSAGE_MAX];

	b->child = NULL;
	str_fmt(end, sizeof(end), st.signal ? "it was ended by signal %d" : "it ended with code %d", st.signal ?: st.code);
	if (json_object_get(o, "file") && st.code == 0)
		made(b, o);
	else
		failed(b, json_string_value(json_object_get(error, "message")) ?: end,
			json_string_value(json_object_get(error, "hint")) ?: "tmux-claude db check says whether the database is sound");
	json_decref(o);
	keep(b);
	arm(b, b->every_ms / SETTLE_PART);
}

static void begin(struct backups *b)
{
	char count[24];
	char *argv[] = {"tmux-claude-db", "backup-auto", b->w->layout->db_file, b->folder, count, NULL};
	struct err err = {0};

	str_fmt(count, sizeof(count), "%lld", (long long)b->keep);
	b->child = child_begin(b->w->loop, argv[0], argv, CHILD_MS, over, b, &err);
	if (b->child)
		return;
	failed(b, err.message, err.hint);
	keep(b);
	arm(b, b->every_ms / SETTLE_PART);
}

static void look(void *arg)
{
	struct backups *b = arg;
	struct daily_moment now = this_moment();

	if (daily_wait(&b->daily, b->every_ms, &now) > 0)
		arm(b, 0);
	else
		begin(b);
}

/* ---- the rest ---- */

void backups_init(struct world *w)
{
	struct backups *b = xcalloc(1, sizeof(*b));
	const char *every = getenv(EVERY_ENV);

	w->backups = b;
	b->w = w;
	b->folder = xasprintf("%s/backups", w->layout->state_dir);
	b->keep = config_int(w->config, OPT_BACKUPS);
	if (!every || str_to_i64(every, SETTLE_PART, DAY_MS, &b->every_ms) < 0)
		b->every_ms = DAY_MS;
	recall(b);
	if (b->keep == 0 || w->damage)
		return;
	b->timer = loop_timer_create(w->loop, look, b);
	arm(b, b->every_ms / SETTLE_PART);
}

void backups_finish(struct world *w)
{
	struct backups *b = w->backups;

	if (!b)
		return;
	child_kill(b->child);
	loop_timer_free(b->timer);
	free(b->folder);
	free(b->file);
	free(b->why);
	free(b);
	w->backups = NULL;
}

static json_t *tell(const struct backups *b)
{
	struct daily_moment now = this_moment();
	const struct daily_moment *done = &b->daily.done;
	char iso[CLOCK_ISO_MAX];
	json_t *last = json_null(), *bad = json_null();

	if (done->boot[0])
		last = json_pack("{s:s?, s:s, s:I, s:b}", "file", b->file, "time", clock_iso(done->wall_ms, iso), "age_ms",
			(json_int_t)daily_age(done, &now), "late", daily_age(done, &now) > LATE_DAYS * b->every_ms);
	if (b->daily.failed > 0)
		bad = json_pack("{s:I, s:s?}", "times", (json_int_t)b->daily.failed, "text", b->why);
	return json_pack("{s:I, s:s, s:I, s:o, s:o, s:o}", "keep", (json_int_t)b->keep, "folder", b->folder, "count",
		(json_int_t)b->count, "last", last, "failed", bad, "next_ms",
		b->timer ? json_integer(daily_wait(&b->daily, b->every_ms, &now)) : json_null());
}

json_t *backups_json(const struct world *w)
{
	return w->backups ? tell(w->backups) : json_null(); /* NULL: not loaded yet */
}
