/* SPDX-License-Identifier: ISC */
/*
 * A text on its way to one instance (send) or to many at once (broadcast), and what its caller hears.
 *
 * Of a broadcast each instance has a row of its own, under a key of its own that follows from the caller's, so that the
 * same call again sends to nobody twice. What goes wrong with one is in its row of the answer, and stops no other.
 */
#include "daemon/api/api_int.h"

#define BROADCAST_MAX 4096 /* their answers have to fit into a line */
#define BROADCAST_KEY_MAX (KEY_MAX_LEN - 1 - ID_LEN)
#define HEAD_BYTES 160      /* of a text, in lists */
#define SHORT_BYTES 200     /* of what a row of a long answer says */

struct one {
	struct sending *of;
	char id[ID_SIZE];
	json_t *row;
	bool over;
};

struct sending {
	struct call *c;
	bool many, begun;
	size_t n, left;
	struct one one[];
};

/* ---- a prompt as JSON ---- */

json_t *text_head(const char *text, size_t len, size_t most)
{
	size_t keep = len < most ? len : most;

	while (keep > 0 && keep < len && ((unsigned char)text[keep] & 0xc0) == 0x80)
		keep--;
	return json_stringn(text, keep);
}

/* Why one that waits is not given now, when a budget is the reason. */
static void held_back(const struct call *c, const struct prompt *p, json_t *o)
{
	const struct instance *in = p->status == PR_QUEUED && p->mode == PM_PASTE ? fleet_get(c->w->fleet, p->instance) : NULL;
	cleanup_free char *held = in ? fleet_budget_held(c->w->fleet, in) : NULL;

	if (held)
		json_object_set_new(o, "reason", json_string(held));
}

json_t *prompt_json(const struct call *c, const struct prompt *p, size_t text_max)
{
	/* A key of the caller's own goes by the name it gave. */
	size_t own = c->who.instance ? strlen(c->who.instance) : 0;
	bool is_own = own && !strncmp(p->key, c->who.instance, own) && p->key[own] == '/';
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s, s:s?, s:s?, s:s?}", "key",
		is_own ? key_shown(p->key) : p->key, "instance", p->instance, "status", prompt_status_name(p->status),
		"mode", prompt_mode_name(p->mode), "way", prompt_way_name(p->way), "first", p->first, "digest", p->digest,
		"code", p->code ? err_code_name(p->code) : NULL, "reason",
		p->status == PR_DELIVERING ? NULL : p->reason, "hint", p->hint);

	held_back(c, p, o);
	json_object_set_new(o, "created_at", time_json(p->created_ms));
	json_object_set_new(o, "changed_at", time_json(p->changed_ms));
	json_object_set_new(o, "delivered_at", time_json(p->delivered_ms));
	if (p->len && (p->status == PR_QUEUED || p->status == PR_DELIVERING)) {
		json_object_set_new(o, "text", text_head(p->text, p->len, text_max));
		json_object_set_new(o, "bytes", json_integer((json_int_t)p->len));
	}
	json_object_set_new(o, "awaited", json_boolean(p->awaits));
	if (p->answer) {
		json_object_set_new(o, "answer", json_string(p->answer) ?: json_string(""));
		json_object_set_new(o, "answer_cut", json_boolean(p->answer_cut));
		json_object_set_new(o, "goes_on", json_boolean(p->goes_on));
	}
	return o;
}

/* ---- the answer ---- */

static void sending_free(struct sending *s)
{
	for (size_t i = 0; i < s->n; i++)
		json_decref(s->one[i].row);
	s->c->sending = NULL;
	free(s);
}

static void cut_member(json_t *row, const char *key, size_t most)
{
	const json_t *v = json_object_get(row, key);

	if (json_string_length(v) <= most)
		return;
	json_object_set_new(row, key, text_head(json_string_value(v), json_string_length(v), most));
	if (!strcmp(key, "answer"))
		json_object_set_new(row, "answer_cut", json_true());
}

/* As much of each as lets all of them fit into a line. */
static json_t *within_a_line(json_t *rows)
{
	static const char *const least[] = {"instance", "key", "status", "code"};
	size_t n = json_array_size(rows), i, share = LIST_PAGE_MAX / 8 / (n ? n : 1);
	json_t *row;

	if (json_dumpb(rows, NULL, 0, JSON_COMPACT) <= LIST_PAGE_MAX)
		return rows;
	json_array_foreach(rows, i, row) {
		cut_member(row, "answer", share);
		cut_member(row, "reason", SHORT_BYTES);
	}
	if (json_dumpb(rows, NULL, 0, JSON_COMPACT) <= LIST_PAGE_MAX)
		return rows;
	json_array_foreach(rows, i, row) {
		json_t *small = json_object();
		for (size_t k = 0; k < ARRAY_LEN(least); k++)
			if (json_object_get(row, least[k]))
				json_object_set(small, least[k], json_object_get(row, least[k]));
		json_array_set_new(rows, i, small);
	}
	return rows;
}

static void all_over(struct sending *s)
{
	struct call *c = s->c;
	json_t *rows;

	rows = json_array();
	for (size_t i = 0; i < s->n; i++)
		json_array_append(rows, s->one[i].row);
	sending_free(s);
	call_result(c, within_a_line(rows));
}

static void one_over(struct one *one, json_t *row)
{
	struct sending *s = one->of;

	one->over = true;
	one->row = row;
	if (--s->left == 0 && s->begun)
		all_over(s);
}

/* What is wrong is told in the row: of one that was refused, that is all there is. */
static void row_error(json_t *row, const struct err *e)
{
	json_object_set_new(row, "code", json_string(err_code_name(e->code)));
	json_object_set_new(row, "reason", json_string(e->message) ?: json_string("it failed"));
	if (e->hint[0])
		json_object_set_new(row, "hint", json_string(e->hint) ?: json_string(""));
	json_object_set_new(row, "ok", json_false());
}

static void sent(void *arg, const struct prompt *p, const struct err *error)
{
	struct one *one = arg;
	struct sending *s = one->of;
	struct call *c = s->c;
	json_t *row;

	if (!s->many) {
		sending_free(s);
		if (error)
			call_error(c, error);
		else
			call_result(c, prompt_json(c, p, HEAD_BYTES));
		return;
	}
	row = prompt_json(c, p, HEAD_BYTES);
	json_object_set_new(row, "ok", json_true());
	if (error)
		row_error(row, error);
	one_over(one, row);
}

/* ---- to each ---- */

/* Of a broadcast one that cannot take it at once has it in its queue. */
static void to_one(struct one *one, struct instance *in, const struct send_args *asked)
{
	struct sending *s = one->of;
	struct fleet *f = s->c->w->fleet;
	struct send_args a = *asked;
	char key[KEY_SIZE];
	struct err err = {0};
	json_t *row;

	a.done = sent;
	a.arg = one;
	if (s->many) {
		a.stays = a.until != UNTIL_ANSWERED || asked->stays;
		if (a.until == UNTIL_DELIVERED && a.way == PW_ORDER && !fleet_takes_prompt(f, in))
			a.until = UNTIL_QUEUED;
		if (a.key)
			str_fmt(key, sizeof(key), "%s:%s", asked->key, in->id);
		a.key = a.key ? key : NULL;
	}
	if (fleet_send(f, in, &a, &err) == 0)
		return;
	if (!s->many) {
		struct call *c = s->c;
		sending_free(s);
		call_error(c, &err);
		return;
	}
	row = json_pack("{s:s, s:s}", "instance", in->id, "status", "refused");
	row_error(row, &err);
	one_over(one, row);
}

void sending_begin(struct call *c, struct instance *const *set, size_t n, const struct send_args *a)
{
	bool many = c->method->id == METHOD_BROADCAST;
	struct sending *s;
	struct err err = {0};

	if (n > BROADCAST_MAX)
		err_set(&err, ERR_LIMIT, "%zu instances are more than the %d that one broadcast goes to", n, BROADCAST_MAX);
	else if (many && a->key && strlen(key_shown(a->key)) > BROADCAST_KEY_MAX)
		err_set(&err, ERR_PARAMS, "the key of a broadcast has at most %d characters", BROADCAST_KEY_MAX);
	if (err.code) {
		call_error(c, &err);
		return;
	}
	s = xcalloc(1, sizeof(*s) + n * sizeof(s->one[0]));
	s->c = c;
	s->many = many;
	s->n = s->left = n;
	c->sending = s;
	for (size_t i = 0; i < n; i++) {
		s->one[i].of = s;
		memcpy(s->one[i].id, set[i]->id, ID_SIZE);
	}
	for (size_t i = 0; i < n; i++)
		to_one(&s->one[i], set[i], a); /* of one instance this may be the end of s */
	if (!many)
		return;
	s->begun = true;
	if (s->left == 0)
		all_over(s);
}

bool sending_cancel(struct call *c)
{
	struct sending *s = c->sending;
	size_t left = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct instance *in = fleet_get(c->w->fleet, s->one[i].id);
		if (s->one[i].over)
			continue;
		if (in && fleet_send_forget(c->w->fleet, in, &s->one[i])) {
			s->one[i].over = true;
			s->left--;
		} else {
			left++; /* on its way: it is answered yet */
		}
	}
	if (left)
		return false;
	sending_free(s);
	return true;
}
