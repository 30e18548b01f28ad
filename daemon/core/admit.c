/* SPDX-License-Identifier: ISC */
/*
 * Admission: what was accepted starts when its turn has come and the host has room for it.
 *
 * admit() puts a unit in line (line.h says in which order they go); pump() lets those ahead start while room.h
 * says that there is room. A start holds its slot, and what it may come to take of the host, from start_begin
 * until it stands, waits for a person, fails or was given up on by its deadline. What wakes the line:
 *
 *   a start ended, an instance ended           -> fleet_apply and friends (admit_look), after the commit
 *   a place that stood in the way is gone      -> place_gone comes back to admit()
 *   the kernel tells of a stall of memory      -> fleet_on_pressure
 *   nothing of ours: disk, ptys, files, memory -> a timer of AGAIN_MS, only while somebody waits for those
 *
 * A lane whose first does not fit the host lets the other lanes pass; nobody overtakes within a lane.
 *
 * On disk a waiting unit says once that it waits and why (and the head again when its reason changes); places
 * in line are computed when somebody reads, since they move with every start.
 */
#include "daemon/core/admit.h"

#include "base/log.h"

#define AGAIN_MS 1000    /* between looks at a host that lacks what has no event */
#define TELL_MS 500      /* between words about places in line to those who wait for a spawn */
#define NOTICE_MS 60000  /* between notices about memory, should its pressure come and go */
#define BIGGEST_TOLD 5

struct admission {
	struct line line;
	struct room_taken taken;
	struct pressure pressure;
	enum room_reason why; /* why the head waits */
	char why_text[ROOM_WHY_MAX];
	struct loop_timer *again, *tell;
	int64_t last_no, told_ms, noticed_ms;
	bool pumping, scheduled, tell_due;
};

static void pump(struct fleet *f);
static void tell_soon(struct fleet *f);

static struct unit *unit_of(struct line_entry *e)
{
	return container_of(e, struct unit, line);
}

static struct room_limits limits(const struct fleet *f)
{
	return (struct room_limits){.max_starts = f->set->max_starts, .cores = f->set->cores,
		.memory_reserve_mib = f->set->memory_reserve_mib, .disk_reserve_mib = f->set->disk_reserve_mib};
}

/* ---- the host ---- */

static void pressure_over(void *arg, const struct memory_use *use, size_t n)
{
	struct fleet *f = arg;
	json_t *list = json_array();
	char text[ERR_MESSAGE_MAX] = "the host is short of memory: new starts wait";
	size_t len = strlen(text);

	for (size_t i = 0; i < n && i < BIGGEST_TOLD; i++) {
		const struct unit *u = unit_find(f, use[i].id);
		if (!u)
			continue;
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s %s%s%s (%" PRId64 " MiB)",
			json_array_size(list) ? "," : "; the biggest are", use[i].id, u->in->name ? " " : "",
			u->in->name ? u->in->name : "", use[i].mib);
		json_array_append_new(list, json_pack("{s:s, s:s?, s:I}", "id", use[i].id, "name", u->in->name,
						    "mib", (json_int_t)use[i].mib));
		if (len >= sizeof(text) - 1)
			break;
	}
	log_warn("core", NULL, "%s", text);
	P(f)->event_add(CTX(f), EV_NOTICE, NULL, NULL,
		json_pack("{s:s, s:s, s:s, s:o}", "kind", "memory_pressure", "text", text, "hint",
			"tmux-claude kill ID gives its memory back", "biggest", list));
}

/* Who uses most is looked at only now, and by somebody else: it may take a while. */
static void pressure_notice(struct fleet *f)
{
	struct admission *a = f->admission;
	struct memory_holder *held;
	size_t n = 0;

	if (a->noticed_ms && clock_mono_ms() - a->noticed_ms < NOTICE_MS)
		return;
	a->noticed_ms = clock_mono_ms();
	held = xcalloc(f->site_by_id.count + 1, sizeof(*held));
	for (const struct site *s = f->sites; s; s = s->next) {
		if (!s->u || s->pl->holder_pid <= 0)
			continue;
		memcpy(held[n].id, s->u->in->id, ID_SIZE);
		held[n++].pid = s->pl->holder_pid;
	}
	if (P(f)->memory_weigh && n)
		P(f)->memory_weigh(CTX(f), held, n, pressure_over, f);
	else
		pressure_over(f, NULL, 0);
	free(held);
}

static void host_look(struct fleet *f, bool told, struct host_room *h)
{
	struct admission *a = f->admission;

	*h = (struct host_room){-1, -1, false, -1, -1, -1, -1, -1, -1};
	if (P(f)->host_look)
		P(f)->host_look(CTX(f), h);
	if (!pressure_seen(&a->pressure, f->set->pressure_high, f->set->pressure_low, h->stall, told, clock_mono_ms()))
		return;
	if (a->pressure.on)
		pressure_notice(f);
	else
		log_info("core", NULL, "the host is not short of memory any more");
}

static void need_of(struct unit *u)
{
	memset(&u->need, 0, sizeof(u->need));
	if (P(u->f)->start_need)
		P(u->f)->start_need(CTX(u->f), u->in, &u->need);
}

/* ---- slots ---- */

/* From its first step until it stands. */
static bool starting(const struct unit *u)
{
	return u->step >= STEP_MAKE && u->step <= STEP_READY;
}

void admit_hold(struct unit *u)
{
	if (u->slot)
		return;
	u->slot = true;
	need_of(u);
	room_take(&u->f->admission->taken, &u->need);
}

static bool slot_give(struct unit *u)
{
	if (!u->slot)
		return false;
	u->slot = false;
	u->in->queue_no = 0; /* a later start of it joins at the end */
	room_give(&u->f->admission->taken, &u->need);
	return true;
}

/* ---- the line ---- */

static void pump_committed(void *arg, const struct err *error)
{
	struct fleet *f = arg;

	f->admission->scheduled = false;
	if (!error)
		pump(f);
}

static void pump_later(struct fleet *f)
{
	struct admission *a = f->admission;

	if (a->scheduled || !a->line.count)
		return;
	a->scheduled = true;
	P(f)->after_commit(CTX(f), pump_committed, f);
}

void admit_look(struct unit *u)
{
	struct admission *a = u->f->admission;
	bool moved = state_final(u->in->state); /* what it had of the host is free */

	if (u->line.lane && u->in->state != ST_QUEUED) {
		line_drop(&a->line, &u->line);
		moved = true;
	}
	if (!starting(u))
		moved |= slot_give(u);
	if (moved)
		pump_later(u->f);
}

void admit_drop(struct unit *u)
{
	bool waited = u->line.lane != NULL;

	line_drop(&u->f->admission->line, &u->line);
	if (slot_give(u) || waited)
		pump_later(u->f);
}

static void say_place(const struct unit *u, int64_t place, char *out, size_t size)
{
	snprintf(out, size, "place %" PRId64 " in line: %s", place, u->f->admission->why_text);
}

/* One durable word that it waits, and why; again for the head when that changes. */
static void note(struct unit *u, int64_t place)
{
	const char *reason = room_reason_name(u->f->admission->why);
	char text[ROOM_WHY_MAX + 40];

	if (!reason || (u->in->reason && !strcmp(u->in->reason, reason)))
		return;
	say_place(u, place, text, sizeof(text));
	fleet_apply(u, ST_QUEUED, reason, text);
}

static bool no_event_comes(enum room_reason r)
{
	return r != ROOM_YES && r != ROOM_STARTS;
}

static void look_again(void *arg)
{
	pump(arg);
}

/* What keeps the head where it is; the timer runs only while that has no event of its own. */
static void head_waits(struct fleet *f, enum room_reason why, const char *text)
{
	struct admission *a = f->admission;

	a->why = why;
	str_fmt(a->why_text, sizeof(a->why_text), "%s", text);
	if (!no_event_comes(why)) {
		loop_timer_stop(a->again);
		return;
	}
	if (!a->again)
		a->again = loop_timer_create(P(f)->loop, look_again, f);
	loop_timer_start(a->again, AGAIN_MS);
}

static void begin(struct unit *u)
{
	line_take(&u->f->admission->line, &u->line);
	admit_hold(u);
	start_begin(u);
}

/* The verdict on one; the host is measured once, and only when a start is free at all. */
static enum room_reason verdict(struct fleet *f, const struct start_need *n, struct host_room *h, bool *looked,
	char why[ROOM_WHY_MAX])
{
	struct admission *a = f->admission;
	const struct room_limits l = limits(f);
	const struct host_room unknown = {-1, -1, false, -1, -1, -1, -1, -1, -1};
	enum room_reason r;

	if (!*looked) {
		r = room_for(&l, &a->taken, &unknown, false, n, why);
		if (r == ROOM_STARTS)
			return r;
		host_look(f, false, h);
		*looked = true;
	}
	return room_for(&l, &a->taken, h, a->pressure.on, n, why);
}

/* It does not fit: do those behind it wait with it? */
static bool holds(struct unit *u)
{
	int64_t now = clock_mono_ms();

	if (!u->passed_ms)
		u->passed_ms = now > 0 ? now : 1;
	return room_holds(u->passed_ms, now);
}

static void pump(struct fleet *f)
{
	struct admission *a = f->admission;
	struct line_entry *e = line_head(&a->line);
	enum room_reason why = ROOM_YES, r;
	char text[ROOM_WHY_MAX] = "", one[ROOM_WHY_MAX];
	struct host_room h;
	bool looked = false;

	if (a->pumping || f->closing) /* restarted when the fleet began to be ended: it is ended in the line */
		return;
	a->pumping = true;
	while (e) {
		r = verdict(f, &unit_of(e)->need, &h, &looked, one);
		if (r == ROOM_YES) {
			begin(unit_of(e));
			e = line_head(&a->line); /* what was passed may fit no better, but it is asked first */
			why = ROOM_YES;
			continue;
		}
		if (why == ROOM_YES) {
			why = r;
			memcpy(text, one, sizeof(text));
		}
		if (r == ROOM_STARTS || r == ROOM_PRESSURE || holds(unit_of(e)))
			break; /* that holds for everybody */
		e = line_behind(&a->line, e);
	}
	head_waits(f, why, text);
	e = line_head(&a->line);
	if (e)
		note(unit_of(e), 1);
	a->pumping = false;
	tell_soon(f);
}

void admit_open(struct fleet *f)
{
	pump_later(f);
}

void admit(struct unit *u)
{
	struct admission *a = u->f->admission;
	const struct site *s = site_of(u);
	int64_t place;

	if (u->line.lane || (s && s->pl->state != PL_DOWN && s->pl->state != PL_LOST))
		return; /* its place is being ended: place_gone comes back here */
	if (!u->in->queue_no)
		u->in->queue_no = ++a->last_no;
	else if (u->in->queue_no > a->last_no)
		a->last_no = u->in->queue_no;
	need_of(u);
	place = line_place_of_new(&a->line, u->in->parent);
	u->passed_ms = 0;
	line_add(&a->line, &u->line, u->in->parent, u->in->queue_no);
	if (a->pumping)
		return;
	pump(u->f);
	if (u->line.lane)
		note(u, place);
}

/* ---- at the daemon's start ---- */

void admit_again(struct fleet *f)
{
	struct admission *a = f->admission;

	/* Numbers first, so that nothing new goes ahead of them; nobody starts before all are in line. */
	for (size_t i = 0; i < f->count; i++)
		if (f->order[i]->in->queue_no > a->last_no)
			a->last_no = f->order[i]->in->queue_no;
	a->pumping = true;
	for (size_t i = 0; i < f->count; i++) {
		struct unit *u = f->order[i];
		cleanup_free char *missing = NULL;
		struct err err = {0};

		if (site_being_found(u) && (u->in->state == ST_PROVISIONING || u->in->state == ST_STARTING))
			admit_hold(u); /* until its shim tells what became of it */
		if (u->in->state != ST_QUEUED || again_waits(u->in))
			continue;
		u->resume = u->in->starts > 0;
		missing = fleet_env_missing(u->in);
		if (!missing) {
			admit(u);
			continue;
		}
		err_set(&err, ERR_UNAVAILABLE,
			"the values of --env %.300s are not known any more: they are kept in memory only, and the daemon was restarted while the instance waited for its start",
			missing);
		start_fail(u, &err);
	}
	a->pumping = false;
	pump(f);
}

/* ---- before a row is made ---- */

/* Nothing of ours could give it what the host lacks: waiting would be for ever. */
static bool hopeless(const struct fleet *f, enum room_reason r)
{
	if (r == ROOM_YES || r == ROOM_STARTS || r == ROOM_PRESSURE)
		return false;
	for (size_t i = 0; i < f->count; i++) {
		const struct unit *u = f->order[i];
		const struct site *s = site_of(u);
		bool ending = s && s->stopping;

		if (r == ROOM_DISK ? ending || starting(u) : ending || state_living(u->in->state))
			return false;
	}
	return true;
}

static const char *what_to_do(enum room_reason r)
{
	switch (r) {
	case ROOM_MEMORY:
		return "give it less with --memory, free memory on the host, or lower the option memory_reserve";
	case ROOM_DISK:
		return "free space where the state folder is (tmux-claude rm removes ended instances), or lower the option disk_reserve";
	case ROOM_PTYS:
		return "end what holds terminals, or raise kernel.pty.max (sysctl)";
	case ROOM_FDS:
		return "raise the limit of open files (ulimit -n, LimitNOFILE=, fs.file-max) and start the daemon again";
	case ROOM_PROCESSES:
		return "raise the limit of processes (ulimit -u, TasksMax=, kernel.pid_max)";
	case ROOM_YES:
	case ROOM_STARTS:
	case ROOM_PRESSURE:
		break;
	}
	return "try again later, or leave --no-queue away to wait in line";
}

int admit_asked(struct fleet *f, const struct instance *in, bool no_queue, struct err *e)
{
	struct admission *a = f->admission;
	const struct room_limits l = limits(f);
	struct start_need n = {0};
	struct host_room h;
	char why[ROOM_WHY_MAX];
	bool looked = false, behind;
	enum room_reason r;

	behind = in->parent[0] ? a->line.count > 0 : a->line.own.count > 0;
	if (f->set->max_queue > 0 && (int64_t)a->line.count >= f->set->max_queue) {
		err_set(e, ERR_BUSY, "%zu starts wait in line already", a->line.count);
		return err_hint(e, "try again when some of them have started; the option max_queue is the bound");
	}
	if (P(f)->start_need)
		P(f)->start_need(CTX(f), in, &n);
	r = verdict(f, &n, &h, &looked, why);
	if (looked && !room_ever(&l, &h, &n)) {
		err_set(e, ERR_UNAVAILABLE, "it would never start here: it needs %" PRId64 " MiB of memory beside a reserve of %" PRId64
			", and %s has %" PRId64 " in all", n.memory_mib, l.memory_reserve_mib,
			h.memory_group ? "our control group" : "the host", h.memory_total_mib);
		e->retryable = false;
		return err_hint(e, "%s", what_to_do(ROOM_MEMORY));
	}
	if (hopeless(f, r)) {
		err_set(e, r == ROOM_DISK ? ERR_DISK : ERR_UNAVAILABLE, "it cannot start (%s): %s", room_reason_name(r), why);
		return err_hint(e, "%s", what_to_do(r));
	}
	if (!no_queue || (r == ROOM_YES && !behind))
		return 0;
	if (r == ROOM_YES)
		err_set(e, ERR_BUSY, "it would have to wait in line: %zu others do", a->line.count);
	else
		err_set(e, ERR_BUSY, "it would have to wait (%s): %s", room_reason_name(r), why);
	return err_hint(e, "%s", what_to_do(ROOM_STARTS));
}

/* ---- telling ---- */

bool admit_shown(const struct unit *u, const char **ret_reason, char *text, size_t size)
{
	struct admission *a = u->f->admission;

	if (!a || !u->line.lane || !room_reason_name(a->why))
		return false;
	line_number(&a->line);
	*ret_reason = room_reason_name(a->why);
	say_place(u, u->line.place, text, size);
	return true;
}

static void tell_one(void *arg, struct line_entry *e)
{
	struct unit *u = unit_of(e);
	char text[ROOM_WHY_MAX + 40];

	(void)arg;
	if (!u->progress || (u->told_place == e->place && u->told_why == (int)u->f->admission->why))
		return;
	u->told_place = e->place;
	u->told_why = (int)u->f->admission->why;
	say_place(u, e->place, text, sizeof(text));
	start_stage(u, "queued", text);
}

static void tell_now(void *arg)
{
	struct fleet *f = arg;
	struct admission *a = f->admission;

	a->told_ms = clock_mono_ms();
	line_number(&a->line);
	line_each(&a->line, tell_one, NULL);
}

static void tell_committed(void *arg, const struct err *error)
{
	struct fleet *f = arg;
	struct admission *a = f->admission;
	int64_t since = clock_mono_ms() - a->told_ms;

	a->tell_due = false;
	if (error || !a->line.count)
		return;
	if (!a->told_ms || since >= TELL_MS) {
		tell_now(f);
		return;
	}
	if (!a->tell)
		a->tell = loop_timer_create(P(f)->loop, tell_now, f);
	if (!loop_timer_active(a->tell))
		loop_timer_start(a->tell, TELL_MS - since);
}

/* Not before what they are told is on disk. */
static void tell_soon(struct fleet *f)
{
	struct admission *a = f->admission;

	if (!a->line.count || a->tell_due)
		return;
	a->tell_due = true;
	P(f)->after_commit(CTX(f), tell_committed, f);
}

void fleet_on_pressure(struct fleet *f)
{
	struct host_room h;

	host_look(f, true, &h);
	if (f->admission->line.count)
		pump(f);
}

json_t *fleet_admission_json(struct fleet *f)
{
	struct admission *a = f->admission;
	struct line_entry *e = line_head(&a->line);
	struct host_room h;
	json_t *o;

	host_look(f, false, &h);
	o = json_pack("{s:b, s:I, s:I}", "pressure", a->pressure.on, "waiting", (json_int_t)a->line.count, "starting",
		(json_int_t)a->taken.starts);
	json_object_set_new(o, "head", e ? json_pack("{s:s, s:s?, s:s}", "id", unit_of(e)->in->id, "reason",
						   room_reason_name(a->why), "detail", a->why_text)
					 : json_null());
	return o;
}

struct admission *admission_create(void)
{
	return xcalloc(1, sizeof(struct admission));
}

void admission_destroy(struct admission *a)
{
	if (!a)
		return;
	loop_timer_free(a->again);
	loop_timer_free(a->tell);
	line_finish(&a->line);
	free(a);
}
