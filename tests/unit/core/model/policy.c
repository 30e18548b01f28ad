/* SPDX-License-Identifier: ISC */
/*
 * What starts again, by the model: from events alone (what each policy said, when) and from what was asked for.
 * Times are those that really passed (time_true), which no clock of the daemon's is.
 */
#include <inttypes.h>

#include "tests/unit/core/model/model.h"

#define ROUNDING_MS 2

static const struct backoff_rules rules = {.delay_ms = 1000, .delay_most_ms = 60000, .calm_ms = 120000,
	.window_ms = 200000, .most = 4};

void policy_rules(struct backoff_rules *ret)
{
	*ret = rules;
}

static const char *word(const json_t *data, const char *key)
{
	const char *s = json_string_value(json_object_get(data, key));

	return s ? s : "";
}

static void policy_read(struct m_inst *m, const json_t *data)
{
	if (restart_policy_from_name(word(data, "restart"), &m->policy) < 0)
		sim_fail("%s has a restart policy '%s'", m->id, word(data, "restart"));
}

void policy_created(struct m_inst *m, const json_t *data)
{
	policy_read(m, data);
	snprintf(m->parent, ID_SIZE, "%s", word(data, "parent"));
	if (model_loud)
		printf("      %s is a child of %s\n", m->id, m->parent[0] ? m->parent : "nobody");
	for (struct m_inst *a = m; a->parent[0];) {
		a = model_inst(a->parent);
		if (a->removed) /* who was below it has nobody above any more (docs/caps.md) */
			break;
		a->total++;
	}
}

void policy_set(struct m_inst *m, const json_t *data)
{
	policy_read(m, data);
	m->sets++;
	m->nfails_own = 0;
}

/* Somebody vouched for it, or nobody wants it any more: what its policy remembers is gone. */
void policy_forget(struct m_inst *m)
{
	m->nfails_own = 0;
}

void policy_rebooted(bool clock_lies)
{
	struct m_inst *all;
	size_t n = model_insts_all(&all);

	for (size_t i = 0; i < n; i++) {
		struct m_inst *m = &all[i];
		if (!m->jumped && !clock_lies)
			continue;
		/* The wall clock says how long the host was away: never longer than the wait was. */
		m->time_jumped = true;
		m->nfails = m->nfails_own = 0;
		m->window_unsure = true;
		m->due_first = 0;
		m->due = time_true() + m->wait_ms;
	}
}

/* ---- its ends and starts ---- */

static bool closed_now(void)
{
	return sim.closed && model_last_seq() > sim.closed_seq;
}

static void ended(struct m_inst *m, enum inst_state to, const json_t *data)
{
	const char *reason = word(data, "reason");
	const json_t *code = json_object_get(json_object_get(data, "exit"), "code");

	m->last_end = M_BAD;
	if (!strcmp(reason, "host_reboot") || !strcmp(reason, "down"))
		m->last_end = M_ASIDE;
	else if (to == ST_EXITED && !strcmp(reason, "exited") && json_is_integer(code) && !json_integer_value(code))
		m->last_end = M_OK;
	else if (to == ST_EXITED && strcmp(reason, "exited"))
		m->last_end = M_ASKED;
	m->waits = false;
	if (m->started && time_true() - m->started >= rules.calm_ms)
		m->nfails_own = 0;
	m->started = 0;
	m->end_closed = sim.closed;
	m->sets = 0;
	m->kills_then = m->kills;
}

/* An ended one is queued again because somebody asked, once for each time, or because its policy says so. */
static void asked(struct m_inst *m, const char *from)
{
	if (++m->begun > m->restarts + m->ups)
		sim_fail("%s is started again from %s for the %d. time, and nobody asked for that (%d restarts, %d ups)",
			m->id, from, m->begun, m->restarts, m->ups);
}

static void waits_no_more(struct m_inst *m, const json_t *data)
{
	m->waits = false;
	if (!word(data, "detail")[0]) {
		asked(m, "its wait");
		return;
	}
	if (m->policy == RESTART_NEVER)
		sim_fail("%s is started by its policy, which is never", m->id);
	if (time_true() + ROUNDING_MS < m->due_first)
		sim_fail("%s is started by its policy %" PRId64 " ms too early", m->id, m->due_first - time_true());
}

static void queued(struct m_inst *m, enum inst_state from, const json_t *data)
{
	const char *reason = word(data, "reason");

	if (from == ST_PROVISIONING || from == ST_STARTING)
		return; /* undone: the same start once more */
	if (from == ST_QUEUED) {
		if (m->waits && !strcmp(reason, "restart"))
			waits_no_more(m, data);
		return;
	}
	if (closed_now() && !strcmp(reason, "backoff"))
		sim_fail("%s is to be started by its policy while the fleet is being ended", m->id);
	m->end_told = false;
	if (strcmp(reason, "backoff")) {
		asked(m, state_name(from));
		return;
	}
	if (m->policy == RESTART_NEVER)
		sim_fail("%s waits for its policy, which is never", m->id);
	if (m->last_end == M_OK && m->policy == RESTART_ON_FAILURE)
		sim_fail("%s ended with code 0, its policy is on-failure, and it is started again", m->id);
	if (m->last_end == M_ASKED)
		sim_fail("%s was ended by request, and its policy starts it again", m->id);
	m->waits = true;
}

void policy_state(struct m_inst *m, enum inst_state from, enum inst_state to, const json_t *data)
{
	switch (to) {
	case ST_QUEUED:
		queued(m, from, data);
		break;
	case ST_STARTING:
		if (from != to)
			m->started = time_true();
		break;
	case ST_EXITED:
	case ST_FAILED:
	case ST_LOST:
		if (from != to)
			ended(m, to, data);
		snprintf(m->reason, sizeof(m->reason), "%s", word(data, "reason"));
		break;
	case ST_PROVISIONING:
		if (from == ST_QUEUED && closed_now())
			sim_fail("%s is started while the fleet is being ended", m->id);
		break;
	case ST_IDLE:
	case ST_WORKING:
	case ST_WAITING:
	case ST_LIMITED:
	case ST_PAUSED:
	case ST_ASLEEP:
	case ST_STOPPING:
	case ST_COUNT:
		break;
	}
}

/* ---- what its policy says ---- */

static int within(const int64_t *fails, int n)
{
	int count = 0;

	for (int i = 0; i < n; i++)
		count += fails[i] > time_true() - rules.window_ms;
	return count;
}

static void failed_again(struct m_inst *m)
{
	if (m->nfails == M_FAILS || m->nfails_own == M_FAILS)
		sim_fail("%s fails more than %d times", m->id, M_FAILS);
	m->fails[m->nfails++] = m->fails_own[m->nfails_own++] = time_true();
}

static void check_delay(const struct m_inst *m, int64_t times, int64_t ms)
{
	int64_t want = rules.delay_ms;

	for (int64_t i = 1; i < times && want < rules.delay_most_ms; i++)
		want *= 2;
	if (want > rules.delay_most_ms)
		want = rules.delay_most_ms;
	if (ms < want - want / 8 || ms > want + want / 8)
		sim_fail("%s waits %" PRId64 " ms before its %" PRId64 ". start, and %" PRId64 " is right", m->id, ms,
			times, want);
}

void policy_says(struct m_inst *m, const json_t *data)
{
	const char *verdict = word(data, "verdict");
	int64_t ms = json_integer_value(json_object_get(data, "in_ms"));
	bool waits = !strcmp(verdict, "waits"), brake = !strcmp(verdict, "brake");

	if (!strcmp(verdict, "env_missing")) {
		m->waits = false;
		if (!m->env || m->env_of >= sim.generation)
			sim_fail("%s is not started for want of values of --env, and none is missing", m->id);
		return;
	}
	if (m->last_end == M_BAD)
		failed_again(m);
	if (brake && !m->window_unsure && within(m->fails, m->nfails) <= rules.most)
		sim_fail("%s is braked after %d failures within the window", m->id, within(m->fails, m->nfails));
	if (waits && m->last_end == M_BAD && within(m->fails_own, m->nfails_own) > rules.most)
		sim_fail("%s failed %d times within the window, and is not braked", m->id,
			within(m->fails_own, m->nfails_own));
	if (!waits)
		return;
	if (!m->waits)
		sim_fail("the policy of %s waits, and it is %s", m->id, state_name(m->state));
	if (m->last_end == M_ASIDE ? ms : false)
		sim_fail("%s went with the host, and waits %" PRId64 " ms", m->id, ms);
	if (m->last_end != M_ASIDE && ms)
		check_delay(m, json_integer_value(json_object_get(data, "times")), ms);
	m->wait_ms = ms;
	m->due = m->due_first = time_true() + ms;
}

/* ---- when nothing more happens ---- */

static bool lacks_values(const struct instance *in)
{
	cleanup_free char *missing = fleet_env_missing(in);

	return missing != NULL;
}

static bool stays(const struct m_inst *m, const struct instance *in)
{
	const char *reason = in->reason ? in->reason : "";

	if (m->policy == RESTART_NEVER || m->sets || m->end_closed)
		return true;
	if (!strcmp(reason, "brake"))
		return true;
	if (!strcmp(reason, "env_missing"))
		return lacks_values(in);
	if (!strcmp(reason, "killed") || !strcmp(reason, "cancelled") || in->state == ST_FAILED)
		return m->kills || m->cancels;
	if (!strcmp(reason, "down"))
		return m->kills || m->downs;
	return m->last_end == M_OK && m->policy == RESTART_ON_FAILURE;
}

static void check_wanted(const struct m_inst *m, const struct instance *in)
{
	const char *reason = in->reason ? in->reason : "";

	if (!state_final(in->state) && in->state != ST_LOST && !in->wanted)
		sim_fail("%s is %s, and not wanted", in->id, state_name(in->state));
	if (in->state == ST_EXITED && !strcmp(reason, "down") && !in->wanted && m->kills == m->kills_then && !m->sets)
		sim_fail("%s was put aside, and is not wanted", in->id);
	if (!in->wanted)
		return;
	if (m->end_told)
		sim_fail("%s was told killed, and is wanted", in->id);
	if (in->state == ST_EXITED && !strcmp(reason, "killed"))
		sim_fail("%s was killed, and is wanted", in->id);
	if (in->state == ST_EXITED && !strcmp(reason, "exited") && !m->end_closed)
		sim_fail("%s ended by itself, and is wanted", in->id);
}

void policy_settled(const struct m_inst *m, const struct instance *in)
{
	if (in->restart != m->policy)
		sim_fail("the policy of %s is %s, by the events %s", in->id, restart_policy_name(in->restart),
			restart_policy_name(m->policy));
	if (m->waits || fleet_waits_again(in))
		sim_fail("%s still waits to be started again, by %s; it was due %" PRId64 " ms ago", in->id,
			fleet_waits_again(in) ? "its row" : "the events", time_true() - m->due);
	if (in->spawned_total != m->total)
		sim_fail("%s counts %" PRId64 " ever spawned below it, there were %" PRId64, in->id, in->spawned_total,
			m->total);
	if ((state_final(in->state) || in->state == ST_LOST) && !stays(m, in))
		sim_fail("%s is %s (%s), and its policy %s would start it again", in->id, state_name(in->state),
			in->reason ? in->reason : "-", restart_policy_name(m->policy));
	check_wanted(m, in);
}
