/* SPDX-License-Identifier: ISC */
/*
 * The queue of what agents ask a person for.
 *
 * A request is a report with a mark (`once`): it makes one row, however often it is told. Its hook waits with a call of its own
 * (fleet_ask_wait) over the same connection. An answer is written down first, and handed to whoever waits under the mark after
 * the commit: the same answer, to this call or to a later one, whichever daemon takes it. What nobody can answer any more is
 * withdrawn: the tool's later report says that it was answered at the terminal, its hook was ended (Esc or No there), its
 * turn or its program is over. A hook whose way to us broke is waited for (ASK_ALONE_MS).
 */
#include "daemon/core/asks_int.h"

#include "base/log.h"

#define ASK_ALONE_MS 20000 /* a shim was replaced, or the daemon: its hook connects again within this */
#define UNUSED_MAX 32      /* allowed ones whose tool was not reported yet */
#define AT_TERMINAL "it was answered at the terminal"
#define HOOK_GONE "it was answered No, interrupted or given up at the terminal"
#define TURN_OVER "its turn is over"
#define PROGRAM_OVER "its program has ended"

static void ask_arm(struct ask *k);

struct asks *asks_of(struct unit *u)
{
	if (!u->asks)
		u->asks = xcalloc(1, sizeof(*u->asks));
	return u->asks;
}

static void ask_free(struct ask *k)
{
	loop_timer_free(k->timer);
	approval_free(k->a);
	free(k);
}

static void ask_unlink(struct ask **list, int *n, struct ask *k)
{
	while (*list != k)
		list = &(*list)->next;
	*list = k->next;
	k->next = NULL;
	(*n)--;
}

static void ask_append(struct ask **list, int *n, struct ask *k)
{
	while (*list)
		list = &(*list)->next;
	*list = k;
	k->next = NULL;
	(*n)++;
}

static void put(struct ask *k)
{
	if (P(k->u->f)->approval_put)
		P(k->u->f)->approval_put(CTX(k->u->f), k->a);
}

static void tell(const struct ask *k, enum event_id type)
{
	const struct approval *a = k->a;

	P(k->u->f)->event_add(CTX(k->u->f), type, a->instance, k->u->in->place[0] ? k->u->in->place : NULL,
		json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?}", "approval", a->id, "kind", approval_kind_name(a->kind),
			"tool", a->tool, "status", approval_status_name(a->status), "about", a->about, "by", a->by,
			"reason", a->reason));
}

/* ---- settling ---- */

struct hand_over {
	struct hand_over *next;
	struct fleet *f;
	ask_wait_fn *fn; /* NULL: who waited is gone meanwhile */
	void *arg;
	char *output;
};

static void hand_over_now(void *arg, const struct err *error)
{
	struct hand_over *h = arg, **at = &h->f->handing;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	/* When it is not on disk the daemon ends, and the hook asks the next one. */
	if (!error && h->fn)
		h->fn(h->arg, h->output);
	free(h->output);
	free(h);
}

static void answer_waiter(struct ask *k)
{
	struct hand_over *h;

	if (!k->fn)
		return;
	h = xcalloc(1, sizeof(*h));
	h->f = k->u->f;
	h->next = h->f->handing;
	h->f->handing = h;
	h->fn = k->fn;
	h->arg = k->arg;
	h->output = xstrdup(k->a->output);
	k->fn = NULL;
	P(k->u->f)->after_commit(CTX(k->u->f), hand_over_now, h);
}

static bool waits_for_person(const struct instance *in)
{
	return in->state == ST_WAITING && in->reason && (!strcmp(in->reason, "permission") || !strcmp(in->reason, "answer"));
}

void asks_state_follows(struct unit *u)
{
	const struct ask *k = u->asks ? u->asks->open : NULL;

	if (!waits_for_person(u->in))
		return;
	u->interrupted = u->title_moved = false; /* what stood there belonged to the question */
	if (k)
		fleet_apply(u, ST_WAITING, k->a->kind == AK_PERMISSION ? "permission" : "answer", k->a->about);
	else
		fleet_apply(u, ST_WORKING, NULL, NULL);
}

void ask_settle(struct ask *k, enum approval_status status, const char *by, const char *reason, json_t *output)
{
	struct unit *u = k->u;
	struct asks *s = u->asks;
	struct approval *a = k->a;

	a->status = status;
	a->changed_ms = clock_wall_ms();
	free(a->by);
	free(a->reason);
	free(a->output);
	a->by = xstrdup(by);
	a->reason = xstrdup(reason);
	a->output = output ? json_dumps(output, JSON_COMPACT) : NULL;
	json_decref(output);
	u->ask_settled_ms = clock_boot_ms();
	put(k);
	tell(k, status == AP_WITHDRAWN ? EV_APPROVAL_WITHDRAWN : EV_APPROVAL_ANSWERED);
	answer_waiter(k);
	loop_timer_stop(k->timer);
	ask_unlink(&s->open, &s->nopen, k);
	if (status == AP_APPROVED) {
		ask_append(&s->unused, &s->nunused, k);
		if (s->nunused > UNUSED_MAX) {
			k = s->unused;
			ask_unlink(&s->unused, &s->nunused, k);
			ask_free(k);
		}
	} else {
		ask_free(k);
	}
	attention_look(u);
}

static void withdraw(struct ask *k, const char *why)
{
	ask_settle(k, AP_WITHDRAWN, NULL, why, NULL);
}

/* ---- time ---- */

static void expire(struct ask *k)
{
	const struct agent_program *prog = P(k->u->f)->agent(CTX(k->u->f), k->u->in->agent);
	struct agent_verdict no = {.reason = "Nobody answered in time, so it was not allowed. Go on without it, or say what you need."};
	struct unit *u = k->u;
	struct err err = {0};

	ask_settle(k, AP_EXPIRED, NULL, "nobody answered in time", prog->verdict(k->a, &no, &err));
	asks_state_follows(u);
}

/* Its hook could connect again. */
static bool reachable(struct unit *u)
{
	const struct site *s = site_of(u);

	return s && s->connected && !site_being_found(u);
}

static void ask_due(void *arg)
{
	struct ask *k = arg;

	if (k->a->expires_boot_ms && clock_boot_ms() >= k->a->expires_boot_ms) {
		expire(k);
		return;
	}
	if (k->alone_ms && reachable(k->u) && clock_mono_ms() - k->alone_ms >= ASK_ALONE_MS) {
		withdraw(k, HOOK_GONE);
		return;
	}
	ask_arm(k);
}

static void ask_arm(struct ask *k)
{
	int64_t ms = INT64_MAX, left;

	if (k->alone_ms && reachable(k->u)) /* else from when there is a way to it: asks_reach */
		ms = k->alone_ms + ASK_ALONE_MS - clock_mono_ms();
	if (k->a->expires_boot_ms) {
		left = k->a->expires_boot_ms - clock_boot_ms();
		ms = left < ms ? left : ms;
	}
	if (!k->timer)
		k->timer = loop_timer_create(P(k->u->f)->loop, ask_due, k);
	if (ms == INT64_MAX)
		loop_timer_stop(k->timer);
	else
		loop_timer_start(k->timer, ms > 0 ? ms : 0);
}

void asks_reach(struct unit *u)
{
	for (struct ask *k = u->asks ? u->asks->open : NULL; k; k = k->next) {
		if (!k->alone_ms)
			continue;
		k->alone_ms = clock_mono_ms();
		ask_arm(k);
	}
}

void approval_fresh_id(struct fleet *f, char out[ID_SIZE])
{
	struct approval *taken;

	do {
		random_id(out, ID_LEN);
		taken = P(f)->approval_get ? P(f)->approval_get(CTX(f), out) : NULL;
		approval_free(taken);
	} while (taken);
}

/* ---- reports ---- */

static struct ask *find_once(struct unit *u, const char *once)
{
	struct ask *k = u->asks ? u->asks->open : NULL;

	while (k && strcmp(k->a->once, once) != 0)
		k = k->next;
	return k;
}

static char *args_text(const struct agent_ask *q, const char *whole_digest, struct approval *a)
{
	cleanup_free char *text = q->args ? json_dumps(q->args, JSON_COMPACT | JSON_SORT_KEYS) : xstrdup("{}");
	size_t len = text ? strlen(text) : 0, n = APPROVAL_ARGS_MAX;

	a->cut = q->cut;
	if (q->cut && whole_digest && strlen(whole_digest) == SHA256_HEX - 1 &&
		strspn(whole_digest, "0123456789abcdef") == SHA256_HEX - 1)
		memcpy(a->digest, whole_digest, SHA256_HEX);
	else if (!q->cut && text)
		sha256_hex(text, len, a->digest);
	if (len <= APPROVAL_ARGS_MAX)
		return xstrdup(text ? text : "{}");
	/* Too large to be kept: the beginning of the text, as a JSON string. */
	a->cut = true;
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	json_t *head = json_stringn(text, n);
	char *out = head ? json_dumps(head, JSON_ENCODE_ANY) : xstrdup("\"\"");
	json_decref(head);
	return out;
}

static struct approval *approval_make(struct unit *u, const struct agent_ask *q, const char *once, const json_t *report)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct approval *a = xcalloc(1, sizeof(*a));
	int64_t ms = u->f->set->approval_expiry_ms;

	approval_fresh_id(u->f, a->id);
	memcpy(a->instance, u->in->id, ID_SIZE);
	str_fmt(a->once, sizeof(a->once), "%s", once);
	a->kind = q->kind;
	str_fmt(a->tool, sizeof(a->tool), "%s", q->tool);
	str_fmt(a->agent, sizeof(a->agent), "%s", q->agent);
	memcpy(a->match, q->match, sizeof(a->match));
	memcpy(a->subject, q->subject, sizeof(a->subject));
	a->about = xstrdup(q->about);
	a->args = args_text(q, json_string_value(json_object_get(report, "digest")), a);
	a->diff = prog->ask_diff ? prog->ask_diff(q, json_object_get(report, "file")) : NULL;
	a->cwd = q->cwd && strlen(q->cwd) < APPROVAL_REASON_MAX ? xstrdup(q->cwd) : NULL;
	a->created_ms = a->changed_ms = clock_wall_ms();
	a->boot = xstrdup(boot_id());
	a->expires_boot_ms = ms ? clock_boot_ms() + ms : 0;
	return a;
}

/* True: it was answered at once, by a grant. */
static bool asked(struct unit *u, const struct agent_ask *q, const json_t *report)
{
	const char *once = json_string_value(json_object_get(report, "once"));
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_verdict yes = {.allow = true};
	struct asks *s = asks_of(u);
	struct err err = {0};
	struct approval *known;
	struct grant *g;

	if (!once || strlen(once) >= APPROVAL_ONCE_SIZE || find_once(u, once))
		return false;
	known = P(u->f)->approval_once ? P(u->f)->approval_once(CTX(u->f), u->in->id, once) : NULL;
	if (known) { /* told again, to another daemon */
		bool allowed = known->status == AP_APPROVED;
		approval_free(known);
		return allowed;
	}
	if (s->nopen >= ASKS_MAX) {
		if (!s->full_told)
			log_warn("core", u->in->id, "it asks for more than %d things at once: what is more is left to its terminal",
				ASKS_MAX);
		s->full_told = true;
		return false;
	}
	s->full_told = false;
	struct ask *k = xcalloc(1, sizeof(*k));
	k->u = u;
	k->a = approval_make(u, q, once, report);
	k->alone_ms = clock_mono_ms();
	ask_append(&s->open, &s->nopen, k);
	put(k);
	tell(k, EV_APPROVAL_CREATED);
	g = grant_for(u, k->a);
	json_t *output = g ? prog->verdict(k->a, &yes, &err) : NULL;
	if (!output) {
		ask_arm(k);
		attention_look(u);
		return false;
	}
	g->uses++;
	P(u->f)->grant_put(CTX(u->f), g);
	cleanup_free char *by = xasprintf("grant %s", g->id);
	ask_settle(k, AP_APPROVED, by, NULL, output);
	return true;
}

/* The tool of this match was run: of an allowed request, that is the use it was allowed for; else it was answered
 * elsewhere. Questions and plans are not followed by match but by kind, which is in it. */
static void tool_done(struct unit *u, const char *match)
{
	struct asks *s = u->asks;
	struct ask *k;

	for (k = s->unused; k; k = k->next) {
		if (strcmp(k->a->match, match) != 0)
			continue;
		k->a->used_ms = clock_wall_ms();
		put(k);
		ask_unlink(&s->unused, &s->nunused, k);
		ask_free(k);
		return;
	}
	for (k = s->open; k; k = k->next) {
		if (strcmp(k->a->match, match) != 0)
			continue;
		withdraw(k, AT_TERMINAL);
		return;
	}
}

/* agent NULL: of all. */
static void turn_over(struct unit *u, const char *agent, const char *why)
{
	struct asks *s = u->asks;

	for (struct ask *k = s->open, *next; k; k = next) {
		next = k->next;
		if (!agent || !strcmp(k->a->agent, agent))
			withdraw(k, why);
	}
	for (struct ask *k = s->unused, *next; k; k = next) {
		next = k->next;
		if (agent && strcmp(k->a->agent, agent) != 0)
			continue;
		ask_unlink(&s->unused, &s->nunused, k);
		ask_free(k);
	}
}

bool asks_report(struct unit *u, const char *event, const json_t *report)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const json_t *body = json_object_get(report, "body");
	struct agent_ask q = {0};

	if (!prog->ask || (u->step != STEP_READY && u->step != STEP_LIVE && u->step != STEP_RUN))
		return false;
	if (prog->ask(event, body, &q))
		return asked(u, &q, report);
	if (!u->asks || !(u->asks->open || u->asks->unused))
		return false;
	switch (prog->ask_over(event, body, &q)) {
	case OVER_NONE:
		break;
	case OVER_TOOL:
		tool_done(u, q.match);
		break;
	case OVER_AGENT:
		turn_over(u, q.agent, TURN_OVER);
		break;
	case OVER_ALL:
		turn_over(u, NULL, TURN_OVER);
		break;
	}
	return false;
}

void asks_state(struct unit *u, enum inst_state to, const char *reason)
{
	bool over = state_final(to) || to == ST_QUEUED || to == ST_STOPPING ||
		    (to == ST_LOST && !(reason && !strcmp(reason, "no_answer")));

	if (!over || !u->asks)
		return;
	turn_over(u, NULL, PROGRAM_OVER);
	grants_end(u, "the instance ended");
}

void asks_drop(struct unit *u)
{
	struct asks *s = u->asks;

	if (!s)
		return;
	for (struct ask *k; (k = s->open);) {
		ask_unlink(&s->open, &s->nopen, k);
		ask_free(k);
	}
	for (struct ask *k; (k = s->unused);) {
		ask_unlink(&s->unused, &s->nunused, k);
		ask_free(k);
	}
	for (size_t i = 0; i < s->ngrants; i++)
		grant_free(s->grants[i]);
	free(s->grants);
	free(s);
	u->asks = NULL;
}

/* ---- who waits ---- */

void fleet_ask_wait(struct fleet *f, struct instance *in, const char *once, ask_wait_fn *fn, void *arg)
{
	struct unit *u = unit_find(f, in->id);
	struct ask *k = find_once(u, once);
	struct approval *a;
	ask_wait_fn *old;

	if (!k) { /* it was answered already, or is none of ours */
		a = P(f)->approval_once ? P(f)->approval_once(CTX(f), in->id, once) : NULL;
		fn(arg, a ? a->output : NULL);
		approval_free(a);
		return;
	}
	old = k->fn;
	k->fn = fn;
	k->alone_ms = 0;
	ask_arm(k);
	if (old) { /* the same hook, over a connection that it gave up */
		void *old_arg = k->arg;
		k->arg = arg;
		old(old_arg, NULL);
		return;
	}
	k->arg = arg;
}

void fleet_ask_gone(struct fleet *f, const char *instance, void *arg, bool place_lost)
{
	struct unit *u = unit_find(f, instance);
	struct ask *k = u && u->asks ? u->asks->open : NULL;

	for (struct hand_over *h = f->handing; h; h = h->next)
		if (h->arg == arg)
			h->fn = NULL;
	while (k && !(k->fn && k->arg == arg))
		k = k->next;
	if (!k)
		return;
	k->fn = NULL;
	if (!place_lost) {
		withdraw(k, HOOK_GONE);
		return;
	}
	k->alone_ms = clock_mono_ms();
	ask_arm(k);
}

void fleet_load_approval(struct fleet *f, struct approval *a)
{
	struct unit *u = unit_find(f, a->instance);
	struct ask *k = xcalloc(1, sizeof(*k));

	k->a = a;
	if (!u) { /* its instance was removed without it: nothing can come of it */
		ask_free(k);
		return;
	}
	k->u = u;
	if (!a->boot || strcmp(a->boot, boot_id()) != 0)
		a->expires_boot_ms = 0; /* of an earlier boot: it is withdrawn with its program */
	k->alone_ms = clock_mono_ms();
	ask_append(&asks_of(u)->open, &asks_of(u)->nopen, k);
	ask_arm(k);
}

