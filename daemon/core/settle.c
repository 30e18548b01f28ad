/* SPDX-License-Identifier: ISC */
/*
 * Hooks say what happened, a session file says what is. Each may overtake the other. So what the file contradicts is
 * believed after SETTLE_MS, when nothing else was reported meanwhile; after SETTLE_OLD_MS when the file's word is
 * older than the state, since then the file is probably about to change; and a question that was reported is never
 * answered by an older word. After an interrupt of ours the file is believed at once.
 */
#include "daemon/core/fleet_int.h"
#include "base/log.h"

#define SETTLE_MS 1000
#define SETTLE_OLD_MS 5000

static bool is_old(const struct unit *u)
{
	return u->session_ms < u->in->state_boot_ms;
}

static bool contradicts(const struct unit *u, struct agent_fact *f)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	memset(f, 0, sizeof(*f));
	if (!prog->session || !u->in->session || (u->step != STEP_LIVE && u->step != STEP_READY))
		return false;
	/* While a hook of ours waits for an answer the file may say busy: no question is doubted by an older word. */
	if (u->in->state == ST_WAITING && is_old(u))
		return false;
	prog->session(u->in, f);
	return f->has_state;
}

static void settle_now(void *arg)
{
	struct unit *u = arg;
	struct agent_fact f;

	if (!contradicts(u, &f))
		return;
	log_info("core", u->in->id, "its reports say %s%s%s, its session file says '%s': %s%s%s", state_name(u->in->state),
		u->in->reason ? "/" : "", u->in->reason ? u->in->reason : "", u->in->session, state_name(f.state),
		f.reason[0] ? "/" : "", f.reason);
	report_fact(u, &f);
}

void settle_word(struct unit *u, const char *word)
{
	u->session_ms = clock_boot_ms();
	if (u->in->session && !strcmp(u->in->session, word))
		return;
	free(u->in->session);
	u->in->session = xstrdup(word);
	unit_save(u);
}

void settle_look(struct unit *u)
{
	struct agent_fact f;
	bool old = is_old(u);

	if (!contradicts(u, &f)) {
		loop_timer_stop(u->settle);
		return;
	}
	if (!u->settle)
		u->settle = loop_timer_create(P(u->f)->loop, settle_now, u);
	loop_timer_start(u->settle, u->interrupted && !old ? 0 : old ? SETTLE_OLD_MS : SETTLE_MS);
}

void settle_forget(struct unit *u)
{
	loop_timer_stop(u->settle);
	free(take_ptr(u->in->session));
}
