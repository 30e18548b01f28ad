/* SPDX-License-Identifier: ISC */
/*
 * Handing a prompt to the shim, and what became of it.
 *
 * The text goes in numbered pieces, pipelined; the answer to the last says how much the terminal took. A
 * shim that dies with a text half typed takes that knowledge along: the prompt is `unknown` then. One that
 * outlives the daemon keeps it for as long as we may have to ask (`keep`; place/shim/typing.h): the next
 * daemon asks, and what was never handed over whole is handed over once more.
 */
#include "daemon/core/prompts.h"
#include "base/fault.h"

#define KILL_LINE_KEY "C-u" /* VKILL of a terminal, and of readline and zle */
#define ANSWER_MS 10000 /* behind an input's own deadline: the shim tells in time, or it is stuck */

struct type_tick {
	struct tick *tick;
	char key[KEY_SIZE];
	json_t *keep; /* the keys whose outcome is not on disk, as of this transaction; or NULL */
};

static struct type_tick *type_tick(const struct unit *u, const struct pending_prompt *pp)
{
	struct type_tick *t = xcalloc(1, sizeof(*t));

	t->tick = tick_new(u);
	memcpy(t->key, pp->p->key, KEY_SIZE);
	return t;
}

/* The prompt a late answer is about, or NULL when it is settled. */
static struct pending_prompt *type_take(void *arg)
{
	struct type_tick *t = arg;
	struct unit *u = tick_take(t->tick);
	struct pending_prompt *pp = u ? prompt_find(u, t->key) : NULL;

	json_decref(t->keep);
	free(t);
	return pp;
}

int type_lines(const struct prompt *p)
{
	int n = 1;

	for (size_t i = 0; i < p->len && n < CLEAR_LINES_MAX; i++)
		n += p->text[i] == '\n';
	return n;
}

/* Of these the shim keeps what it knows: a daemon after us may ask (place/shim/typing.h). */
static json_t *keys_open(const struct unit *u)
{
	json_t *keys = json_array();

	for (const struct pending_prompt *pp = u->raws; pp; pp = pp->next)
		if (pp->typed)
			json_array_append_new(keys, json_string(pp->p->key));
	for (const struct pending_prompt *pp = u->prompts; pp; pp = pp->next)
		if (pp->typed)
			json_array_append_new(keys, json_string(pp->p->key));
	return keys;
}

/* What an interrupt put back into the input line, or a shim that died left in it, must not stand before the
 * next prompt. Half a text is there whatever program reads it: the terminal's own key empties the line of
 * a canonical one, and of every shell. */
static void clear_left(struct unit *u)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);
	const char *key = prog->clear_key ? prog->clear_key : u->half_typed ? KILL_LINE_KEY : NULL;
	json_t *keys = json_array();

	for (int i = 0; key && i < 2 * u->left_lines - 1; i++)
		json_array_append_new(keys, json_string(key));
	u->left_lines = 0;
	u->half_typed = false;
	if (json_array_size(keys))
		P(u->f)->shim_call(CTX(u->f), u->in->place, "key",
			json_pack("{s:s, s:O}", "instance", u->in->id, "keys", keys), SHIM_CALL_MS, NULL, NULL);
	json_decref(keys);
}

bool type_reported(const struct unit *u, const struct prompt *p)
{
	const struct agent_program *prog = P(u->f)->agent(CTX(u->f), u->in->agent);

	return prog->reports && p->mode == PM_PASTE && (!prog->prompt_reported || prog->prompt_reported(p->text));
}

/* Will somebody tell that it was taken: the program, or the marks of its prompt? */
static bool told(const struct pending_prompt *pp)
{
	return pp->marked || type_reported(pp->u, pp->p);
}

/* ---- what became of it ---- */

static void lost_half_way(struct pending_prompt *pp)
{
	struct unit *u = pp->u;
	struct err err = {0};

	if (pp->p->mode == PM_PASTE) {
		u->left_lines = type_lines(pp->p);
		u->half_typed = true;
	}
	if (type_reported(u, pp->p)) { /* its report may come yet; then its transcript is asked */
		pp->again = true;
		pp->deadline = clock_mono_ms() + HALF_WAY_MS;
		prompts_arm(u);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE,
		"the shim of instance %s ended while the text was typed: none, some or all of it may have arrived",
		u->in->id);
	err_hint(&err, "look with tmux-claude read %s before sending again", u->in->id);
	prompt_settle(u, pp, PR_UNKNOWN, &err);
}

/* The error in the shim's answer: of a text that was begun, with how much of it was taken. */
static void read_error(const json_t *o, struct err *e)
{
	const char *code = json_string_value(json_object_get(o, "code"));
	const char *message = json_string_value(json_object_get(o, "message"));
	const char *hint = json_string_value(json_object_get(o, "hint"));

	err_set(e, code ? err_code_from_name(code) : ERR_FAILED, "%s", message ? message : "it failed");
	err_hint(e, "%s", hint ? hint : "");
	e->retryable = json_is_true(json_object_get(o, "retryable"));
}

/* The shim tells that it took nothing, for a reason that may pass. */
static bool nothing_typed(const json_t *result, const struct err *why)
{
	const json_t *taken = json_object_get(result, "taken");

	return why->retryable && json_is_integer(taken) && json_integer_value(taken) == 0;
}

static void typed_done(void *arg, json_t *result, const struct err *error)
{
	struct pending_prompt *pp = type_take(arg);
	struct err err = {0};

	if (!pp || !pp->typing)
		return;
	pp->typing = false;
	pp->typed_ms = clock_mono_ms();
	if (error && (error->code == ERR_UNREACHABLE || error->code == ERR_TIMEOUT || error->code == ERR_CANCELLED)) {
		lost_half_way(pp);
		return;
	}
	if (!error && json_is_object(json_object_get(result, "error"))) {
		read_error(json_object_get(result, "error"), &err);
		error = &err;
	} else if (error && (error->code == ERR_BUSY || error->code == ERR_UNAVAILABLE)) {
		prompt_again(pp, BUSY_PAUSE_MS); /* refused: nothing of it was typed */
		return;
	}
	if (error) {
		pp->p->untyped = nothing_typed(result, error);
		prompt_settle(pp->u, pp, PR_FAILED, error);
	} else if (!told(pp)) {
		prompt_settle(pp->u, pp, PR_DELIVERED, NULL);
	} else {
		/* Typed for a daemon that died: it may not have come to the second Enter, which does nothing at a prompt. */
		pp->again = pp->again && !prompt_at(pp->u->in);
		prompts_arm(pp->u);
	}
}

/* ---- handing over ---- */

/* Would JSON's escapes make it longer than base64 does? */
static bool escapes(const char *p, size_t len)
{
	size_t more = 0;

	for (size_t i = 0; i < len; i++)
		more += p[i] == '\0' ? len : (unsigned char)p[i] < 0x20 ? 5 : p[i] == '"' || p[i] == '\\';
	return more > len / 3;
}

/* One piece of the text; bytes that are no text go as base64. */
static json_t *piece(const struct pending_prompt *pp, size_t at, size_t len, int part)
{
	const char *p = pp->p->text + at;
	json_t *o = json_pack("{s:s, s:s, s:i}", "instance", pp->u->in->id, "key", pp->p->key, "part", part);
	json_t *text = escapes(p, len) ? NULL : json_stringn(p, len);

	if (text) {
		json_object_set_new(o, "text", text);
	} else {
		cleanup_free char *data = base64_encode(p, len);
		json_object_set_new(o, "data", json_string(data));
	}
	return o;
}

static size_t cut(const char *p, size_t len)
{
	size_t n = SEND_PART;

	if (len <= SEND_PART)
		return len;
	while (n > SEND_PART - 4 && ((unsigned char)p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

int64_t type_quiet_ms(const struct unit *u)
{
	return u->in->state == ST_WAITING ? P(u->f)->agent(CTX(u->f), u->in->agent)->dialog_quiet_ms : 0;
}

/* How it is to be typed. */
static void manner(const struct pending_prompt *pp, json_t *o)
{
	const struct agent_program *prog = P(pp->u->f)->agent(CTX(pp->u->f), pp->u->in->agent);
	bool paste = pp->p->mode == PM_PASTE;
	int64_t left = pp->deadline - clock_mono_ms();

	json_object_set_new(o, "mode", json_string(paste ? "paste" : "raw"));
	json_object_set_new(o, "enter", json_boolean(paste));
	json_object_set_new(o, "whole", json_boolean(!prog->small_pastes));
	json_object_set_new(o, "expect_brackets", json_boolean(paste && prog->asks_brackets));
	if (!paste)
		json_object_set_new(o, "quiet_ms", json_integer(type_quiet_ms(pp->u)));
	json_object_set_new(o, "deadline_ms", json_integer(left > 1 ? left : 1));
}

static void call(struct pending_prompt *pp, json_t *params, bool last)
{
	struct unit *u = pp->u;
	int64_t left = pp->deadline - clock_mono_ms();

	FAULT_POINT("input.send");
	P(u->f)->shim_call(CTX(u->f), u->in->place, "input", params, (left > 0 ? left : 0) + ANSWER_MS,
		last ? typed_done : NULL, last ? type_tick(u, pp) : NULL);
	FAULT_POINT("input.sent");
}

static void hand_over(struct pending_prompt *pp, json_t *keep)
{
	size_t at = 0, n, len = pp->p->len;
	int part = 0;
	json_t *o;

	if (pp->p->mode == PM_KEYS) {
		o = json_pack("{s:s, s:s, s:o}", "instance", pp->u->in->id, "key", pp->p->key, "keys",
			json_loads(pp->p->text, 0, NULL));
		manner(pp, o);
		json_object_set(o, "keep", keep);
		call(pp, o, true);
		return;
	}
	do {
		n = cut(pp->p->text + at, len - at);
		o = piece(pp, at, n, part++);
		at += n;
		if (at < len) {
			json_object_set_new(o, "more", json_true());
		} else {
			manner(pp, o);
			json_object_set(o, "keep", keep);
		}
		call(pp, o, at == len); /* of the last the answer may come at once, and end pp */
	} while (at < len);
}

bool type_interrupts(const struct pending_prompt *pp)
{
	const struct agent_program *prog = P(pp->u->f)->agent(CTX(pp->u->f), pp->u->in->agent);
	json_t *keys = pp->p->mode == PM_KEYS ? json_loads(pp->p->text, 0, NULL) : NULL;
	size_t n = 0, same = 0;

	for (; prog->interrupt_keys[n]; n++) {
		const char *key = json_string_value(json_array_get(keys, n));
		same += key && !strcmp(key, prog->interrupt_keys[n]);
	}
	bool is = n > 0 && same == n && json_array_size(keys) == n;
	json_decref(keys);
	return is;
}

static void type_go(void *arg, const struct err *error)
{
	json_t *keep = json_incref(((struct type_tick *)arg)->keep);
	struct pending_prompt *pp = type_take(arg);

	if (!pp || error || !pp->typing) {
		json_decref(keep);
		return;
	}
	if (pp->p->mode == PM_PASTE) {
		pp->marked = marks_tell(pp->u);
		clear_left(pp->u);
		/* What joined a turn may be put back together with what began it. */
		pp->u->last_lines = type_lines(pp->p) + (pp->u->awaited ? pp->u->last_lines : 0);
		if (pp->u->last_lines > CLEAR_LINES_MAX)
			pp->u->last_lines = CLEAR_LINES_MAX;
	} else if (type_interrupts(pp)) {
		prompt_interrupted(pp->u);
	}
	hand_over(pp, keep);
	json_decref(keep);
}

void type_later(struct unit *u, struct pending_prompt *pp)
{
	struct type_tick *t = type_tick(u, pp);

	t->keep = keys_open(u);
	P(u->f)->after_commit(CTX(u->f), type_go, t);
}

/* ---- after a daemon that died ---- */

static void asked_done(void *arg, json_t *result, const struct err *error)
{
	struct pending_prompt *pp;

	if (error && (error->code == ERR_BUSY || error->code == ERR_UNAVAILABLE)) { /* asked for once more */
		pp = type_take(arg);
		if (!pp)
			return;
		pp->typing = false;
		pp->ask = true;
		pp->u->busy_until = clock_mono_ms() + BUSY_PAUSE_MS;
		prompts_arm(pp->u);
		return;
	}
	/* It reads as the answer to the input itself, unless the shim never had that. */
	if (!error || error->code != ERR_NOT_FOUND) {
		typed_done(arg, result, error);
		return;
	}
	pp = type_take(arg);
	if (pp)
		prompt_again(pp, 0);
}

char *type_shim_word(const struct unit *u)
{
	return xasprintf("shim %" PRId64, site_of(u)->pl->shim_pid);
}

/* Does the shim of an earlier daemon live, and was it the one that was given this prompt? Another shim
 * would say that it never had it. */
static bool handed_to_it(const struct unit *u, const struct pending_prompt *pp)
{
	cleanup_free char *word = type_shim_word(u);

	return site_of(u)->same_shim && pp->p->reason && !strcmp(pp->p->reason, word);
}

static void ask(struct unit *u, struct pending_prompt *pp)
{
	pp->ask = false;
	if (pp->deadline == INT64_MAX) { /* its place was away */
		pp->deadline = clock_mono_ms() + u->f->set->start_timeout_ms;
		prompts_arm(u);
	}
	if (!handed_to_it(u, pp)) {
		if (!told(pp)) /* else its report tells, or the deadline */
			lost_half_way(pp);
		return;
	}
	pp->typing = true;
	P(u->f)->shim_call(CTX(u->f), u->in->place, "typed",
		json_pack("{s:s, s:s}", "instance", u->in->id, "key", pp->p->key),
		u->f->set->start_timeout_ms + ANSWER_MS, asked_done, type_tick(u, pp));
}

void type_ask(struct unit *u)
{
	struct pending_prompt *pp = u->raws;

	while (pp && !u->busy_until) {
		bool due = pp->ask;

		if (due)
			ask(u, pp);
		pp = due ? u->raws : pp->next; /* it may be settled, and others with it */
	}
	if (u->prompts && u->prompts->ask && !u->busy_until)
		ask(u, u->prompts);
}
