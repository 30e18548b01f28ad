/* SPDX-License-Identifier: ISC */
/* How an instance is shown, and many of them in pages. */
#include "daemon/core/admit.h"
#include "daemon/core/asks_int.h"
#include "daemon/core/usage.h"
#include "daemon/core/schedule.h"
#include "ipc/jsonw.h"
#include "ipc/rpc.h"

/* Keys are literals, and none of them the first of its object: a list of a thousand has forty thousand. */
#define put_string(w, key, s)           \
	do {                            \
		jsonw_next_key(w, key); \
		write_string(w, s);     \
	} while (0)
#define put_int(w, key, n)              \
	do {                            \
		jsonw_next_key(w, key); \
		jsonw_int(w, n);        \
	} while (0)
#define put_int_or_null(w, key, known, n) \
	do {                              \
		jsonw_next_key(w, key);   \
		if (known)                \
			jsonw_int(w, n);  \
		else                      \
			jsonw_null(w);    \
	} while (0)
#define put_limit(w, key, n)            \
	do {                            \
		jsonw_next_key(w, key); \
		write_limit(w, n);      \
	} while (0)
#define put_time(w, key, ms)            \
	do {                            \
		jsonw_next_key(w, key); \
		write_time(w, ms);      \
	} while (0)

static inline void write_string(struct jsonw *w, const char *s)
{
	if (s && *s)
		jsonw_string(w, s);
	else
		jsonw_null(w);
}

static void write_limit(struct jsonw *w, int64_t n)
{
	if (n == CAP_UNLIMITED)
		jsonw_string(w, "unlimited");
	else
		jsonw_int(w, n);
}

static void write_time(struct jsonw *w, int64_t ms)
{
	char t[CLOCK_ISO_MAX];

	jsonw_string(w, ms ? clock_iso(ms, t) : NULL);
}

static void put_vm(struct jsonw *w, const struct instance *in, const struct site *s)
{
	jsonw_next_key(w, "vm");
	if (!s || strcmp(in->driver, "host") == 0) {
		jsonw_string(w, NULL);
		return;
	}
	jsonw_open(w, '{');
	jsonw_key(w, "id");
	write_string(w, s->pl->id);
	put_string(w, "accel", s->pl->accel);
	put_string(w, "state", place_state_name(s->pl->state));
	put_string(w, "template", in->template_name);
	put_int(w, "cpus", in->cpus);
	put_int(w, "memory", in->memory_mib);
	put_int(w, "boot_ms", s->pl->boot_ms);
	jsonw_close(w, '}');
}

static void put_cap(struct jsonw *w, const struct unit *u)
{
	const struct instance *in = u->in;

	jsonw_next_key(w, "cap");
	jsonw_open(w, '{');
	jsonw_key(w, "max_children");
	write_limit(w, in->cap.max_children);
	put_int(w, "children", u->living_children);
	put_limit(w, "max_descendants", in->cap.max_descendants);
	put_int(w, "descendants", u->below.living);
	put_limit(w, "max_depth", in->cap.max_depth);
	put_int(w, "depth", tally_depth(&u->below));
	put_limit(w, "spawn_rate", in->cap.spawn_rate);
	put_limit(w, "max_total", in->cap.max_total);
	put_int(w, "total", in->spawned_total);
	put_limit(w, "max_memory", in->cap.max_memory);
	put_int(w, "memory", u->below.memory);
	put_limit(w, "max_disk", in->cap.max_disk);
	put_int(w, "disk", u->below.disk);
	jsonw_close(w, '}');
}

/* What only one instance shown whole says: how each cap stands, what it got less of than it asked for, what is to be sent
 * to it later. */
static void put_whole(struct jsonw *w, const struct unit *u)
{
	json_t *caps = caps_report(u->f, (struct unit *)u);

	jsonw_next_key(w, "caps");
	jsonw_json(w, caps);
	json_decref(caps);
	json_t *schedules = fleet_schedules_json(u->f, u->in);
	jsonw_next_key(w, "schedules");
	jsonw_json(w, schedules);
	json_decref(schedules);
	if (!u->in->narrowed || !json_array_size(u->in->narrowed))
		return;
	jsonw_next_key(w, "narrowed");
	jsonw_json(w, u->in->narrowed);
}

/* What a person is waited for; with the request that `approvals` shows whole and answers, when there is one. */
static void put_waiting(struct jsonw *w, const struct unit *u)
{
	const struct ask *k = u->asks ? u->asks->open : NULL;

	jsonw_next_key(w, "waiting");
	if (u->in->state != ST_WAITING) {
		jsonw_string(w, NULL);
		return;
	}
	jsonw_open(w, '{');
	jsonw_key(w, "for");
	write_string(w, u->in->reason);
	put_string(w, "about", k ? k->a->about : u->in->detail);
	put_string(w, "approval", k ? k->a->id : NULL);
	put_string(w, "kind", k ? approval_kind_name(k->a->kind) : NULL);
	put_string(w, "tool", k ? k->a->tool : NULL);
	jsonw_close(w, '}');
}

static void put_exit(struct jsonw *w, const struct instance *in)
{
	jsonw_next_key(w, "exit");
	if (!in->exit.known) {
		jsonw_string(w, NULL);
		return;
	}
	jsonw_open(w, '{');
	jsonw_key(w, "code");
	if (in->exit.code >= 0)
		jsonw_int(w, in->exit.code);
	else
		jsonw_null(w);
	put_int_or_null(w, "signal", in->exit.signal != 0, in->exit.signal);
	jsonw_close(w, '}');
}

static void put_times(struct jsonw *w, const struct instance *in)
{
	jsonw_next_key(w, "times_ms");
	jsonw_open(w, '{');
	for (int st = 0; st < ST_COUNT; st++) {
		if (!in->time_in_state[st])
			continue;
		jsonw_key(w, state_name((enum inst_state)st));
		jsonw_int(w, in->time_in_state[st]);
	}
	jsonw_close(w, '}');
}

static void put_restart(struct jsonw *w, const struct instance *in)
{
	jsonw_next_key(w, "restart");
	jsonw_open(w, '{');
	jsonw_key(w, "policy");
	write_string(w, restart_policy_name(in->restart));
	put_int(w, "times", in->again.tries);
	put_int_or_null(w, "in_ms", again_waits(in), in->again.at_ms > clock_boot_ms() ? in->again.at_ms - clock_boot_ms() : 0);
	jsonw_close(w, '}');
	jsonw_next_key(w, "wanted");
	jsonw_json(w, in->wanted ? json_true() : json_false());
}

/* With nine digits behind the point, by hand: a list has two of them in each row. */
static void write_usd(struct jsonw *w, const struct usage_sum *s)
{
	int64_t fraction = s->n[US_COST] % USAGE_NANO;
	char text[10] = ".";

	if (s->n[US_UNPRICED] && !s->n[US_COST]) {
		jsonw_null(w);
		return;
	}
	jsonw_int(w, s->n[US_COST] / USAGE_NANO);
	for (int i = 9; i > 0; i--, fraction /= 10)
		text[i] = (char)('0' + fraction % 10);
	jsonw_raw(w, text, sizeof(text));
}

/* What it spent, and it with all below it; what holds it back. Nothing here is added up: the sums are kept. */
static void put_usage(struct jsonw *w, const struct unit *u)
{
	const struct usage_kept *k = u->usage;
	struct usage_sum tree;
	int64_t window;

	jsonw_next_key(w, "usage");
	if (!k) {
		jsonw_null(w);
		return;
	}
	tree = u->oldest_child || !usage_none(&k->sum[USAGE_GONE]) || !usage_none(&k->sum[USAGE_CARRIED]) ? usage_tree(u)
												       : k->sum[USAGE_OWN];
	window = k->window;
	jsonw_open(w, '{');
	jsonw_key(w, "tokens");
	jsonw_int(w, usage_tokens(&k->sum[USAGE_OWN]));
	jsonw_next_key(w, "cost_usd");
	write_usd(w, &k->sum[USAGE_OWN]);
	put_int(w, "turns", k->sum[USAGE_OWN].n[US_TURNS]);
	put_int(w, "tree_tokens", usage_tokens(&tree));
	jsonw_next_key(w, "tree_cost_usd");
	write_usd(w, &tree);
	put_int_or_null(w, "context", k->state.context, k->state.context);
	put_int_or_null(w, "context_window", window && k->state.context <= window, window);
	put_string(w, "model", k->state.model);
	put_string(w, "effort", k->state.effort);
	jsonw_close(w, '}');
}

static void put_held(struct jsonw *w, const struct unit *u)
{
	cleanup_free char *held = u->f->count ? fleet_budget_held(u->f, u->in) : NULL;

	put_string(w, "held", held);
}

static void put_instance(struct jsonw *w, const struct unit *u, bool whole)
{
	const struct instance *in = u->in;
	const struct site *s = site_of(u);
	const char *reason = in->reason;
	char line[ERR_HINT_MAX];
	bool waits = admit_shown(u, &reason, line, sizeof(line));
	char again[AGAIN_TEXT_MAX];

	if (again_waits(in))
		again_say(in, clock_boot_ms(), again, sizeof(again));
	jsonw_open(w, '{');
	jsonw_key(w, "id");
	write_string(w, in->id);
	put_string(w, "name", in->name);
	put_string(w, "parent", in->parent);
	put_string(w, "driver", in->driver);
	put_string(w, "agent", in->agent);
	put_string(w, "state", state_name(in->state));
	put_string(w, "reason", reason);
	put_string(w, "detail", again_waits(in) ? again : waits ? line : in->detail);
	if (waits)
		put_int(w, "line", u->line.place);
	put_string(w, "dir", in->dir);
	put_string(w, "pane", in->has_pane ? in->id : NULL);
	put_vm(w, in, s);
	put_string(w, "place", in->place);
	put_cap(w, u);
	if (whole)
		put_whole(w, u);
	put_string(w, "role", instance_role(in));
	jsonw_next_key(w, "labels");
	jsonw_json(w, in->labels);
	put_time(w, "created_at", in->created_ms);
	put_time(w, "state_since", in->state_since_ms);
	put_time(w, "limited_until", in->limited_until_ms);
	put_time(w, "stuck_since", in->stuck_ms);
	put_waiting(w, u);
	put_exit(w, in);
	put_int_or_null(w, "pid", in->pid != 0, in->pid);
	put_int_or_null(w, "place_pid", s && s->pl->holder_pid, s ? s->pl->holder_pid : 0);
	put_int_or_null(w, "shim_pid", s && s->pl->shim_pid && state_living(in->state),
		s ? s->pl->shim_pid : 0);
	put_string(w, "template", in->template_name);
	put_string(w, "model", in->model);
	put_string(w, "permissions", permissions_name(in->permissions));
	put_string(w, "conversation", in->conversation);
	put_string(w, "title", u->title);
	put_int_or_null(w, "last_exit", u->marks.exit_known, u->marks.exit);
	put_int(w, "starts", in->starts);
	put_times(w, in);
	put_usage(w, u);
	put_held(w, u);
	put_restart(w, in);
	jsonw_close(w, '}');
}

int fleet_instance_write(struct fleet *f, const struct instance *in, struct buf *out)
{
	const struct unit gone = {.f = f, .in = (struct instance *)in}, *u = unit_find(f, in->id);
	struct jsonw w;

	jsonw_init(&w, out);
	put_instance(&w, u ? u : &gone, true);
	return w.full ? -1 : 0;
}

json_t *fleet_instance_json(struct fleet *f, const struct instance *in)
{
	struct buf text;
	json_t *o = NULL;

	buf_init(&text, RPC_LINE_MAX);
	if (fleet_instance_write(f, in, &text) == 0)
		o = json_loadb((const char *)buf_data(&text), text.len, 0, NULL);
	buf_finish(&text);
	return o ? o : json_object();
}

/* ---- pages ---- */

static int by_age(const struct instance *in, int64_t created_ms, const char *id)
{
	if (in->created_ms != created_ms)
		return in->created_ms < created_ms ? -1 : 1;
	return strcmp(in->id, id);
}

/* The place in the order after the one a cursor names: that instance, or where it stood. */
static int page_start(const struct fleet *f, const char *cursor, size_t *ret, struct err *e)
{
	char id[ID_SIZE];
	int64_t created;
	int used = 0;
	size_t i;

	if (sscanf(cursor, "%" SCNd64 ".%6[a-z0-9]%n", &created, id, &used) != 2 || cursor[used])
		return err_set(e, ERR_PARAMS, "'%.40s' is no cursor of a list", cursor);
	for (i = 0; i < f->count; i++) {
		if (strcmp(f->order[i]->in->id, id) != 0)
			continue;
		*ret = i + 1;
		return 0;
	}
	for (i = 0; i < f->count && by_age(f->order[i]->in, created, id) <= 0; i++)
		;
	*ret = i;
	return 0;
}

int fleet_list(struct fleet *f, struct fleet_page *p, struct buf *out, struct err *e)
{
	const struct instance *last = NULL;
	struct jsonw w;
	size_t i = 0;
	int64_t n = 0;

	p->next[0] = '\0';
	if (p->after && page_start(f, p->after, &i, e) < 0)
		return -1;
	jsonw_init(&w, out);
	jsonw_open(&w, '[');
	for (; i < f->count; i++) {
		struct unit *u = f->order[i];
		size_t before = out->len;
		bool comma = w.comma;
		if (!p->want(p->arg, u->in))
			continue;
		if (n < p->limit)
			put_instance(&w, u, false);
		if (n == p->limit || w.full || out->len >= p->max) {
			buf_truncate(out, before);
			w.comma = comma;
			w.full = false;
			break;
		}
		last = u->in;
		n++;
	}
	jsonw_close(&w, ']');
	if (i < f->count && !last)
		return err_set(e, ERR_LIMIT, "instance %s alone is longer than a page", f->order[i]->in->id);
	if (i < f->count)
		str_fmt(p->next, sizeof(p->next), "%" PRId64 ".%s", last->created_ms, last->id);
	return 0;
}
