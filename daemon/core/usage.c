/* SPDX-License-Identifier: ISC */
/*
 * Theory of operation. A message of a model stands in several lines, each with its id and its figures so far: the last
 * hold. So what counts is the difference to what was counted of that message before; that is found among the recent
 * ones, or in the store. The difference goes into three rows (the message, its day and model, where the instance
 * stands) and into the sums of the instance and of all above it.
 *
 * Subagents write files of their own, which are not followed. But the program itself counts for a conversation, over all its runs
 * (`cost-state`, seen with 2.1.329), and writes that down when it ends: what is more there than its messages say is a
 * row of its own ("rest:CONVERSATION"). Of a branched conversation that total holds what was spent
 * before, so nothing is concluded from it.
 *
 * What was said before the instance was (inherited) was spent by another, and is not counted.
 */
#include "daemon/core/usage.h"

#include "daemon/core/budget.h"
#include "daemon/model/price.h"

#define REST "rest:"
#define OTHER_MODEL "other"
#define REST_MOST INT64_C(100000000000) /* tokens of a kind: more is nonsense */
#define COST_MOST (1000000 * USAGE_NANO) /* of one message */
#define TRIM_EVERY 64 /* messages */
#define DAY_MS INT64_C(86400000)

static struct usage_kept *kept(struct unit *u)
{
	if (!u->usage) {
		u->usage = xcalloc(1, sizeof(*u->usage));
		memcpy(u->usage->state.instance, u->in->id, ID_SIZE);
	}
	return u->usage;
}

static void state_put(struct unit *u)
{
	if (P(u->f)->usage_state_put)
		P(u->f)->usage_state_put(CTX(u->f), &kept(u)->state);
}

/* ---- the tree ---- */

static struct usage_sum own(const struct unit *u)
{
	struct usage_sum s = {0};

	for (int k = 0; u->usage && k < USAGE_KINDS; k++)
		usage_add(&s, &u->usage->sum[k], 1);
	return s;
}

struct usage_sum usage_tree(const struct unit *u)
{
	struct usage_sum s = own(u);

	if (u->usage)
		usage_add(&s, &u->usage->below, 1);
	return s;
}

static void carry(struct unit *u, const struct usage_sum *what, int sign)
{
	for (struct unit *a = u->up; a; a = a->up)
		usage_add(&kept(a)->below, what, sign);
}

void usage_hang(const struct unit *u, int sign)
{
	struct usage_sum s = usage_tree(u);

	if (!usage_none(&s))
		carry((struct unit *)u, &s, sign);
}

void usage_removed(struct unit *u)
{
	struct usage_sum below = {0}, gone = {0};
	const struct core_port *p = P(u->f);

	if (!u->usage || !p->usage_removed)
		return;
	p->usage_removed(CTX(u->f), u->in->id, u->up ? u->up->in->id : "");
	if (!u->up)
		return;
	/* Those below it become roots; what they spent so far was spent below its parent, too. */
	below = u->usage->below;
	usage_add(&below, &u->usage->sum[USAGE_CARRIED], 1);
	usage_add(&gone, &u->usage->sum[USAGE_OWN], 1);
	usage_add(&gone, &u->usage->sum[USAGE_GONE], 1);
	if (!usage_none(&below))
		p->usage_add(CTX(u->f), u->up->in->id, USAGE_CARRIED, 0, "", &below);
	usage_add(&kept(u->up)->sum[USAGE_GONE], &gone, 1);
	usage_add(&kept(u->up)->sum[USAGE_CARRIED], &below, 1);
	usage_add(&gone, &below, 1);
	carry(u->up, &gone, 1); /* leaving the tree takes as much away */
}

void usage_drop(struct unit *u)
{
	free(u->usage);
	u->usage = NULL;
}

/* ---- one message ---- */

/* A program may make up as many names as it likes, but not as many rows. */
static const char *model_kept(struct usage_kept *k, const char *model)
{
	if (!*model)
		return "";
	for (unsigned i = 0; i < k->nmodels; i++)
		if (!strcmp(k->models[i], model))
			return model;
	if (k->nmodels == USAGE_MODELS)
		return OTHER_MODEL;
	str_fmt(k->models[k->nmodels++], USAGE_WORD_MAX, "%s", model);
	return model;
}

static struct usage_message *recent(struct usage_kept *k, const char *message)
{
	for (unsigned i = 0; i < USAGE_RECENT && i < k->nrecent; i++)
		if (!strcmp(k->recent[i].message, message))
			return &k->recent[i];
	return NULL;
}

/* What was counted of it before: 0 figures when nothing was. Its day and model stay as they were first. */
static struct usage_message *counted(struct unit *u, struct usage_message *m)
{
	struct usage_kept *k = kept(u);
	struct usage_message *r = recent(k, m->message), old;

	if (r)
		return r;
	r = &k->recent[k->nrecent++ % USAGE_RECENT];
	*r = *m;
	memset(&r->sum, 0, sizeof(r->sum));
	if (P(u->f)->usage_get && P(u->f)->usage_get(CTX(u->f), u->in->id, m->message, &old)) {
		r->day = old.day;
		memcpy(r->model, old.model, sizeof(r->model));
		r->sum = old.sum;
	}
	return r;
}

static void count(struct unit *u, struct usage_message *m)
{
	struct usage_message *was = counted(u, m);
	struct usage_sum delta = usage_delta(&m->sum, &was->sum);
	const struct core_port *p = P(u->f);

	if (usage_none(&delta))
		return;
	m->day = was->day;
	memcpy(m->model, was->model, sizeof(m->model));
	was->sum = m->sum;
	p->usage_put(CTX(u->f), m);
	p->usage_add(CTX(u->f), u->in->id, USAGE_OWN, m->day, m->model, &delta);
	usage_add(&kept(u)->sum[USAGE_OWN], &delta, 1);
	carry(u, &delta, 1);
}

/* The place's clock may be anything, and every day is a row: it is one of the instance's life, or today. */
static int64_t moment(const struct unit *u, int64_t said_ms)
{
	int64_t now = clock_wall_ms();

	return said_ms > u->in->created_ms - DAY_MS && said_ms < now + DAY_MS ? said_ms : now;
}

static int64_t most(int64_t n, int64_t most)
{
	return n < 0 || n > most ? 0 : n;
}

static struct usage_sum figures(const struct transcript_usage *t, int64_t bound)
{
	struct usage_sum s = {.n = {[US_INPUT] = most(t->input, bound), [US_OUTPUT] = most(t->output, bound),
				      [US_CACHE_READ] = most(t->cache_read, bound), [US_CACHE_WRITE] = most(t->cache_write, bound),
				      [US_CACHE_WRITE_1H] = most(t->cache_write_1h, bound), [US_THINKING] = most(t->thinking, bound),
				      [US_WEB_SEARCHES] = most(t->web_searches, bound)}};

	return s;
}

static void spend(struct unit *u, const struct agent_spent *sp)
{
	struct usage_kept *k = kept(u);
	struct usage_message m = {.turn = k->state.begun, .time_ms = moment(u, sp->time_ms), .side = sp->side};

	m.sum = figures(&sp->usage, USAGE_MESSAGE_MOST);
	if (!usage_tokens(&m.sum) || !*sp->message || !P(u->f)->usage_put)
		return; /* a failure that is shown as a reply, or nothing of use */
	m.sum.n[US_MESSAGES] = 1;
	memcpy(m.instance, u->in->id, ID_SIZE);
	str_fmt(m.message, sizeof(m.message), "%s", sp->message);
	str_fmt(m.conversation, sizeof(m.conversation), "%s", sp->conversation);
	str_fmt(m.model, sizeof(m.model), "%s", model_kept(k, sp->model));
	str_fmt(m.effort, sizeof(m.effort), "%s", sp->effort);
	m.day = usage_day(m.time_ms);
	if (sp->cost_nano >= 0)
		m.sum.n[US_COST] = most(sp->cost_nano, COST_MOST);
	else
		price_message(u->f->set->prices, sp->model, &m.sum);
	if (!sp->side) {
		int64_t about = usage_tokens(&m.sum);
		k->state.context = sp->context ? most(sp->context, USAGE_MESSAGE_MOST) : about;
		if (strcmp(k->state.model, m.model) != 0)
			k->window = price_window(m.model);
		memcpy(k->state.model, m.model, sizeof(k->state.model));
		memcpy(k->state.effort, m.effort, sizeof(k->state.effort));
	}
	count(u, &m);
	state_put(u);
	if (k->nrecent % TRIM_EVERY == 0)
		P(u->f)->usage_trim(CTX(u->f), u->in->id);
	budget_spent(u);
}

/* What its program counted of the whole conversation, and its messages do not say. */
static void spend_rest(struct unit *u, const struct transcript_line *l)
{
	struct usage_message m = {.turn = kept(u)->state.begun, .time_ms = clock_wall_ms(), .side = true};
	struct usage_sum seen, total = figures(&l->usage, REST_MOST);

	memcpy(m.instance, u->in->id, ID_SIZE);
	if (u->in->branch_from || !l->has_usage || !P(u->f)->usage_conversation ||
		str_fmt(m.message, sizeof(m.message), REST "%s", l->conversation) ||
		!P(u->f)->usage_conversation(CTX(u->f), u->in->id, l->conversation, m.message, &seen))
		return;
	m.sum = usage_delta(&total, &seen);
	m.sum.n[US_COST] = m.sum.n[US_UNPRICED] = m.sum.n[US_MESSAGES] = 0;
	for (int i = 0; i < US_FIELDS; i++)
		m.sum.n[i] = m.sum.n[i] < 0 ? 0 : m.sum.n[i];
	if (!usage_tokens(&m.sum) && !recent(kept(u), m.message))
		return;
	str_fmt(m.conversation, sizeof(m.conversation), "%s", l->conversation);
	str_fmt(m.model, sizeof(m.model), "%s", model_kept(kept(u), l->model));
	m.day = usage_day(m.time_ms);
	price_message(u->f->set->prices, l->model, &m.sum);
	if (m.sum.n[US_UNPRICED] && l->cost_nano > seen.n[US_COST]) { /* several models: its own word for the cost */
		m.sum.n[US_COST] = l->cost_nano - seen.n[US_COST];
		m.sum.n[US_UNPRICED] = 0;
	}
	count(u, &m);
	budget_spent(u);
}

void usage_line(struct unit *u, const struct transcript_line *l, bool inherited)
{
	struct agent_spent sp = {.time_ms = l->time_ms, .side = l->side, .usage = l->usage, .cost_nano = -1};

	if (inherited)
		return;
	switch (l->kind) {
	case TR_PROMPT:
		if (l->own || l->side)
			break;
		kept(u)->state.begun++;
		state_put(u);
		break;
	case TR_REPLY:
		if (!l->has_usage)
			break;
		memcpy(sp.message, l->message, sizeof(sp.message));
		memcpy(sp.conversation, l->conversation, sizeof(sp.conversation));
		memcpy(sp.model, l->model, sizeof(sp.model));
		memcpy(sp.effort, l->effort, sizeof(sp.effort));
		spend(u, &sp);
		break;
	case TR_TOTAL:
		spend_rest(u, l);
		break;
	case TR_QUEUED:
	case TR_RESULT:
	case TR_COMPACT:
	case TR_OTHER:
		break;
	}
}

void usage_report(struct unit *u, const char *event, const json_t *body)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	struct agent_spent sp[AGENT_SPENT_MAX];
	size_t n;

	if (!prog->spent)
		return;
	memset(sp, 0, sizeof(sp));
	n = prog->spent(event, body, sp, AGENT_SPENT_MAX);
	for (size_t i = 0; i < n && i < AGENT_SPENT_MAX; i++)
		spend(u, &sp[i]);
}

void usage_turn_ended(struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const struct usage_sum one = {.n = {[US_TURNS] = 1}};
	struct usage_kept *k = kept(u);

	if (!P(u->f)->usage_put)
		return;
	P(u->f)->usage_add(CTX(u->f), u->in->id, USAGE_OWN, usage_day(clock_wall_ms()), k->state.model, &one);
	usage_add(&k->sum[USAGE_OWN], &one, 1);
	carry(u, &one, 1);
	if (!prog->transcript) { /* nothing else tells of turns that begin */
		k->state.begun++;
		state_put(u);
	}
	budget_spent(u);
}

bool usage_known(const struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return prog && (prog->spent || prog->transcript);
}

/* ---- after a start ---- */

void fleet_load_usage(struct fleet *f, const struct usage_row *r)
{
	struct unit *u = unit_find(f, r->instance);

	if (!u || (int)r->kind < 0 || r->kind >= USAGE_KINDS)
		return; /* of nobody any more */
	usage_add(&kept(u)->sum[r->kind], &r->sum, 1);
	carry(u, &r->sum, 1);
}

void fleet_load_usage_state(struct fleet *f, const struct usage_state *s)
{
	struct unit *u = unit_find(f, s->instance);

	if (u)
		kept(u)->state = *s;
	if (u)
		u->usage->window = price_window(s->model);
}
