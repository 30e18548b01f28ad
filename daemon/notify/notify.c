/* SPDX-License-Identifier: ISC */
/* When who is told what; see notify.h. */
#include "daemon/notify/notify.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/notify/channel.h"
#include "daemon/notify/run.h"
#include "ipc/hours.h"

#define EXIT_LATER 75 /* of tmux-claude-webhook */
#define LOOK_MOST_MS 60000 /* the wall clock may be set meanwhile */
#define STATUS_DEFAULT 20
#define STATUS_MOST 200

struct waiting {
	char key[ATTENTION_KEY_SIZE];
	int64_t due_ms; /* wall clock */
};

struct channel {
	struct notify *n;
	const struct channel_def *def;
	bool on;
	unsigned reasons;
	struct waiting *waiting; /* in the order in which they came */
	size_t nwaiting, room;
	struct notice *open; /* the one under way; NULL: none */
	struct notice **later; /* of an earlier daemon, and tests: behind it */
	size_t nlater;
	struct run *run;
	int64_t last_ms; /* monotonic: when the last was made; 0: none yet */
};

struct notify {
	struct loop *loop;
	struct store *store;
	const struct config *config;
	const struct notify_ops *ops;
	void *arg;
	struct hours quiet;
	struct channel channels[CH_COUNT];
	struct loop_timer *timer;
	unsigned made; /* since the last trimming */
};

static void arm(struct notify *n);
static void send_now(void *arg);

static void wrote(struct notify *n, int r, const struct err *e)
{
	n->ops->wrote(n->arg, r, e);
}

static void save(struct channel *ch)
{
	struct err err = {0};

	ch->open->changed_ms = clock_wall_ms();
	wrote(ch->n, store_notice_put(ch->n->store, ch->open, &err), &err);
}

/* ---- what waits ---- */

static void wait_add(struct channel *ch, const char *key, int64_t due_ms)
{
	if (ch->nwaiting == ch->room) {
		ch->room = ch->room ? 2 * ch->room : 16;
		ch->waiting = xrealloc(ch->waiting, ch->room * sizeof(*ch->waiting));
	}
	str_fmt(ch->waiting[ch->nwaiting].key, ATTENTION_KEY_SIZE, "%s", key);
	ch->waiting[ch->nwaiting++].due_ms = due_ms;
}

static bool wait_drop(struct channel *ch, const char *key)
{
	for (size_t i = 0; i < ch->nwaiting; i++) {
		if (strcmp(ch->waiting[i].key, key) != 0)
			continue;
		memmove(&ch->waiting[i], &ch->waiting[i + 1], (--ch->nwaiting - i) * sizeof(*ch->waiting));
		return true;
	}
	return false;
}

void notify_gone(struct notify *n, const char *key)
{
	struct err err = {0};
	bool any = false;

	for (int i = 0; i < CH_COUNT; i++)
		any |= wait_drop(&n->channels[i], key);
	if (any)
		wrote(n, store_notified_drop(n->store, key, &err), &err);
}

void notify_item(struct notify *n, const struct attention *a)
{
	int64_t due = clock_wall_ms() + config_int(n->config, OPT_NOTIFY_DELAY);
	struct err err = {0};

	if (a->acked_ms) {
		notify_gone(n, a->key);
		return;
	}
	for (int i = 0; i < CH_COUNT; i++) {
		struct channel *ch = &n->channels[i];
		if (!ch->on || !(ch->reasons & 1u << a->why) || store_notified(n->store, a->key, ch->def->name))
			continue;
		wrote(n, store_notified_put(n->store, a->key, ch->def->name, NULL, due, &err), &err);
		wait_add(ch, a->key, due);
	}
	arm(n);
}

/* ---- one notice ---- */

/* The row of a new one, to be sent after this turn's commit. said: what it says (ended). */
static struct notice *notice_make(struct channel *ch, struct said *said, bool test)
{
	struct notice *no = xcalloc(1, sizeof(*no));

	random_id(no->id, NOTICE_ID_SIZE - 1);
	str_fmt(no->channel, sizeof(no->channel), "%s", ch->def->name);
	no->created_ms = no->changed_ms = clock_wall_ms();
	no->body = said_body(said, no->id, ch->def->name, no->created_ms, test);
	ch->n->made++;
	return no;
}

static void begin(struct channel *ch, struct notice *no)
{
	ch->open = no;
	no->status = NO_SENDING;
	no->attempts++;
	save(ch);
	ch->n->ops->after(ch->n->arg, send_now, ch);
}

/* All that waits and still needs somebody goes into one. */
static void flush(struct channel *ch)
{
	struct notify *n = ch->n;
	struct said said;
	struct err err = {0};

	said_init(&said);
	for (size_t i = 0; i < ch->nwaiting; i++) {
		const char *name = NULL;
		const struct attention *a = n->ops->item(n->arg, ch->waiting[i].key, &name);
		if (a)
			said_add(&said, a, name);
	}
	if (!said.count) {
		json_decref(said.items);
		for (size_t i = 0; i < ch->nwaiting; i++)
			wrote(n, store_notified_drop(n->store, ch->waiting[i].key, &err), &err);
		ch->nwaiting = 0;
		return;
	}
	struct notice *no = notice_make(ch, &said, false);
	for (size_t i = 0; i < ch->nwaiting; i++)
		wrote(n, store_notified_put(n->store, ch->waiting[i].key, ch->def->name, no->id, ch->waiting[i].due_ms, &err), &err);
	ch->nwaiting = 0;
	ch->last_ms = clock_mono_ms();
	if (n->made >= 32) {
		n->made = 0;
		wrote(n, store_notices_trim(n->store, &err), &err);
	}
	begin(ch, no);
}

static void over(struct channel *ch, enum notice_status status, const char *why)
{
	struct notice *no = ch->open;

	free(no->error);
	no->error = why && *why ? xstrdup(why) : NULL;
	no->status = status;
	if (status == NO_FAILED)
		log_warn("notify", NULL, "%s: a notification could not be given: %.300s", ch->def->name, why ? why : "");
	FAULT_POINT("notify.over");
	save(ch);
	if (status != NO_PENDING)
		notice_free(take_ptr(ch->open));
	arm(ch->n);
}

/* It failed, and may go better later. */
static void again(struct channel *ch, const char *why)
{
	const struct config *c = ch->n->config;
	int64_t now = clock_wall_ms(), age = now - ch->open->created_ms;
	int64_t ms = retry_pause_ms(config_int(c, OPT_NOTIFY_RETRY), ch->open->attempts, age > 0 ? age : 0,
		config_int(c, OPT_NOTIFY_GIVE_UP) * 1000);

	if (!ch->def->posts || ms < 0) {
		over(ch, NO_FAILED, why);
		return;
	}
	ch->open->next_ms = now + ms;
	over(ch, NO_PENDING, why);
}

static void ran(void *arg, struct proc_status st, bool overdue, const char *said)
{
	struct channel *ch = arg;
	char why[NOTICE_TEXT_SIZE];

	ch->run = NULL;
	FAULT_POINT("notify.ran");
	if (!overdue && st.code == 0) {
		over(ch, NO_SENT, NULL);
		return;
	}
	if (overdue)
		str_fmt(why, sizeof(why), "it did not end in time and was killed%s%.300s", *said ? ": " : "", said);
	else if (st.signal)
		str_fmt(why, sizeof(why), "it was ended by signal %d%s%.300s", st.signal, *said ? ": " : "", said);
	else if (ch->def->posts)
		str_fmt(why, sizeof(why), "%.300s", *said ? said : "it failed");
	else
		str_fmt(why, sizeof(why), "it ended with %d%s%.300s", st.code, *said ? ": " : "", said);
	if (ch->def->posts && (overdue || st.signal || st.code == EXIT_LATER))
		again(ch, why);
	else
		over(ch, NO_FAILED, why);
}

static void ring(struct channel *ch)
{
	char text[NOTICE_TEXT_SIZE], bytes[RING_MAX];
	size_t len;

	said_text(ch->open->body, text);
	len = said_ring(config_string(ch->n->config, OPT_NOTIFY_TERMINAL), text, bytes);
	ch->n->ops->ring(ch->n->arg, bytes, len);
	over(ch, NO_SENT, NULL);
}

/* What a daemon that dies here has on disk is NO_SENDING. */
static void send_now(void *arg)
{
	struct channel *ch = arg;
	struct notify *n = ch->n;
	cleanup_strv char **argv = NULL;
	cleanup_free char *input = NULL;
	/* A post has its own time for an attempt, and says so; this is for one that does not. */
	int64_t ms = config_int(n->config, OPT_NOTIFY_TIMEOUT) * 1000 + (ch->def->posts ? 5000 : 0);
	struct err err = {0};

	FAULT_POINT("notify.send");
	if (!ch->def->program) {
		ring(ch);
		return;
	}
	if (ch->def->program(n->config, ch->open, &argv, &input, &err) == 0)
		ch->run = run_begin(n->loop, argv, input, ms, ran, ch, &err);
	if (!ch->run) {
		again(ch, err.message);
		return;
	}
	FAULT_POINT("notify.runs");
	ch->open->status = NO_BEGUN;
	save(ch);
	FAULT_POINT("notify.begun");
}

/* ---- time ---- */

/* In how many ms something is to be done on this channel; -1: nothing is. */
static int64_t due_in(const struct channel *ch, int64_t now)
{
	int64_t every = config_int(ch->n->config, OPT_NOTIFY_EVERY) * 1000, ms, gap;

	if (ch->open)
		return ch->open->status != NO_PENDING ? -1 : ch->open->next_ms > now ? ch->open->next_ms - now : 0;
	if (ch->nlater)
		return 0;
	if (!ch->on || !ch->nwaiting)
		return -1;
	ms = ch->waiting[0].due_ms - now;
	gap = ch->last_ms ? ch->last_ms + every - clock_mono_ms() : 0;
	if (gap > ms)
		ms = gap;
	if (ms <= 0)
		ms = hours_left_ms(&ch->n->quiet, now);
	return ms > 0 ? ms : 0;
}

static void work(struct channel *ch)
{
	if (ch->open) {
		begin(ch, ch->open);
	} else if (ch->nlater) {
		struct notice *no = ch->later[0];
		memmove(ch->later, ch->later + 1, --ch->nlater * sizeof(struct notice *));
		begin(ch, no);
	} else {
		flush(ch);
	}
}

/* The clock was set back: nothing waits longer than it ever would. */
static void clock_back(struct channel *ch, int64_t now)
{
	int64_t due = now + config_int(ch->n->config, OPT_NOTIFY_DELAY), next = now + RETRY_MOST_MS;

	if (ch->nwaiting && ch->waiting[0].due_ms > due)
		ch->waiting[0].due_ms = due;
	if (ch->open && ch->open->next_ms > next)
		ch->open->next_ms = next;
}

static void on_timer(void *arg)
{
	struct notify *n = arg;
	int64_t now = clock_wall_ms();

	for (int i = 0; i < CH_COUNT; i++) {
		clock_back(&n->channels[i], now);
		if (due_in(&n->channels[i], now) == 0)
			work(&n->channels[i]);
	}
	arm(n);
}

static void arm(struct notify *n)
{
	int64_t now = clock_wall_ms(), least = -1;

	for (int i = 0; i < CH_COUNT; i++) {
		int64_t ms = due_in(&n->channels[i], now);
		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	if (least < 0)
		loop_timer_stop(n->timer);
	else
		loop_timer_start(n->timer, least < LOOK_MOST_MS ? least : LOOK_MOST_MS);
}

/* ---- life ---- */

static struct channel *channel_find(struct notify *n, const char *name)
{
	for (int i = 0; i < CH_COUNT; i++)
		if (!strcmp(n->channels[i].def->name, name))
			return &n->channels[i];
	return NULL;
}

struct notify *notify_create(struct loop *l, struct store *s, const struct config *c, const struct notify_ops *ops, void *arg)
{
	struct notify *n = xcalloc(1, sizeof(*n));

	n->loop = l;
	n->store = s;
	n->config = c;
	n->ops = ops;
	n->arg = arg;
	hours_parse(config_string(c, OPT_NOTIFY_QUIET), &n->quiet, NULL); /* config_load checked it */
	n->timer = loop_timer_create(l, on_timer, n);
	for (int i = 0; i < CH_COUNT; i++) {
		struct channel *ch = &n->channels[i];
		ch->n = n;
		ch->def = &channel_defs[i];
		ch->on = ch->def->on(c);
		ch->reasons = channel_reasons(c, ch->def);
	}
	return n;
}

static void later_add(struct channel *ch, struct notice *no)
{
	ch->later = xrealloc(ch->later, (ch->nlater + 1) * sizeof(struct notice *));
	ch->later[ch->nlater++] = no;
}

/* What became of it is not known: see the head of notify.h. */
static void load_open(void *arg, struct notice *no)
{
	struct notify *n = arg;
	struct channel *ch = channel_find(n, no->channel);
	struct err err = {0};

	if (ch && ch->on && (no->status != NO_BEGUN || ch->def->posts)) {
		later_add(ch, no);
		return;
	}
	no->status = no->status == NO_BEGUN ? NO_UNKNOWN : NO_FAILED;
	no->error = no->error ? no->error
			      : xstrdup(no->status == NO_UNKNOWN ? "the daemon ended before it heard" : "its channel is off now");
	wrote(n, store_notice_put(n->store, no, &err), &err);
	notice_free(no);
}

static void load_waiting(void *arg, const char *key, const char *channel, int64_t due_ms)
{
	struct channel *ch = channel_find(arg, channel);

	if (ch)
		wait_add(ch, key, due_ms);
}

int notify_load(struct notify *n, struct err *e)
{
	if (store_notices(n->store, true, INT64_MAX, load_open, n, e) < 0 || store_notified_waiting(n->store, load_waiting, n, e) < 0)
		return -1;
	arm(n);
	return 0;
}

void notify_destroy(struct notify *n)
{
	if (!n)
		return;
	for (int i = 0; i < CH_COUNT; i++) {
		struct channel *ch = &n->channels[i];
		run_leave(ch->run);
		notice_free(ch->open);
		while (ch->nlater)
			notice_free(ch->later[--ch->nlater]);
		free(ch->later);
		free(ch->waiting);
	}
	loop_timer_free(n->timer);
	free(n);
}

int notify_test(struct notify *n, const char *channel, struct err *e)
{
	struct channel *only = channel ? channel_find(n, channel) : NULL;
	int any = 0;

	if (channel && !only) {
		err_set(e, ERR_PARAMS, "there is no channel '%.32s'", channel);
		return err_hint(e, "terminal, desktop, command or webhook");
	}
	for (int i = 0; i < CH_COUNT; i++) {
		struct channel *ch = &n->channels[i];
		struct said said;
		if (!ch->on || (only && ch != only))
			continue;
		said_init(&said);
		later_add(ch, notice_make(ch, &said, true));
		any++;
	}
	if (!any) {
		err_set(e, ERR_STATE, channel ? "the channel %s is off" : "all channels are off%.0s", channel ? channel : "");
		return err_hint(e, "the options notify_... turn them on: tmux-claude config show");
	}
	arm(n);
	return 0;
}

/* ---- how it stands ---- */

static json_t *channel_json(const struct channel *ch, const struct config *c)
{
	json_t *o = json_pack("{s:s, s:b, s:o, s:I, s:s?, s:s?}", "channel", ch->def->name, "on", ch->on, "reasons", json_array(),
		"waiting", (json_int_t)ch->nwaiting, "what", ch->on ? ch->def->what(c) : NULL, "open",
		ch->open ? ch->open->id : NULL);

	for (int w = 0; w < AT_COUNT; w++)
		if (ch->on && ch->reasons & 1u << w)
			json_array_append_new(json_object_get(o, "reasons"), json_string(attention_why_name((enum attention_why)w)));
	return o;
}

static void notice_add(void *arg, struct notice *no)
{
	json_array_append_new(arg, said_notice(no));
	notice_free(no);
}

json_t *notify_status(const struct notify *n, int64_t limit, struct err *e)
{
	json_t *notices = json_array(), *channels;

	if (limit < 1 || limit > STATUS_MOST)
		limit = limit < 1 ? STATUS_DEFAULT : STATUS_MOST;
	if (store_notices(n->store, false, limit, notice_add, notices, e) < 0) {
		json_decref(notices);
		return NULL;
	}
	channels = json_array();
	for (int i = 0; i < CH_COUNT; i++)
		json_array_append_new(channels, channel_json(&n->channels[i], n->config));
	return json_pack("{s:o, s:o}", "channels", channels, "notices", notices);
}
