/* SPDX-License-Identifier: ISC */
/* send and broadcast: the daemon returns when the text was delivered, or answered, or says why not. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/help.h"

#define KEY_LEN 32

/* Text of several pieces: each but the last is answered when the daemon has it. */
static int send_pieces(struct cli *c, const char *member, const char *text, size_t len, json_t **ret, struct err *e)
{
	bool base64 = strcmp(member, "data") == 0;
	char random[KEY_LEN + 1];
	size_t at = 0, n, unit = base64 ? SEND_PART / 4 * 4 : SEND_PART;
	int part = 0;

	random_id(random, KEY_LEN);
	while (at < len) {
		json_t *o = json_copy(c->args.params);

		n = len - at < unit ? len - at : unit;
		while (!base64 && at + n < len && ((unsigned char)text[at + n] & 0xc0) == 0x80)
			n--;
		json_object_set_new(o, member, json_stringn(text + at, n));
		if (!json_object_get(o, "key"))
			json_object_set_new(o, "key", json_string(random));
		json_object_set_new(o, "part", json_integer(part++));
		at += n;
		if (at < len)
			json_object_set_new(o, "more", json_true());
		json_decref(*ret);
		*ret = NULL;
		if (cli_call(c, "send", o, -1, ret, e) < 0)
			return -1;
	}
	return 0;
}

static int send_all(struct cli *c, json_t **ret, struct err *e)
{
	static const char *const members[] = {"text", "data"};

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		json_t *v = json_object_get(c->args.params, members[i]);

		if (json_string_length(v) > SEND_PART)
			return send_pieces(c, members[i], json_string_value(v), json_string_length(v), ret, e);
	}
	return cli_call_verb(c, ret, e);
}

/* An answer is waited for over daemons that come and go: the same text under the same key is not sent again. */
static int send_on(struct cli *c, json_t **ret, struct err *e)
{
	json_t *params = c->args.params;
	const json_t *timeout = json_object_get(params, "timeout");
	int64_t deadline = timeout ? clock_mono_ms() + (int64_t)(json_number_value(timeout) * 1000) : -1;

	if (!json_is_true(json_object_get(c->args.params, "wait")))
		return send_all(c, ret, e);
	if (!json_object_get(params, "key")) {
		char random[KEY_LEN + 1];
		random_id(random, KEY_LEN);
		json_object_set_new(params, "key", json_string(random));
	}
	while (send_all(c, ret, e) < 0)
		if (cli_await_again(c, deadline, e) < 0)
			return -1;
	return 0;
}

/* What it said, as text; of one that said nothing, nothing. */
static void say_answer(struct cli *c, const json_t *prompt)
{
	const char *said = jstr(prompt, "answer");

	if (said[0]) {
		writer_text(&c->w, C_NONE, said);
		if (said[strlen(said) - 1] != '\n')
			fputc('\n', c->w.out);
	}
	if (json_is_true(json_object_get(prompt, "answer_cut")))
		cli_warn(c, "It said more than is kept; tmux-claude read %s shows it.", jstr(prompt, "instance"));
}

static int sent(struct cli *c, json_t *result)
{
	if (c->g.json)
		writer_json(&c->w, result);
	else if (json_is_true(json_object_get(c->args.params, "wait")))
		say_answer(c, result);
	else
		cli_result(c, R_SENT, result);
	json_decref(result);
	return EXIT_DONE;
}

int verb_send(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	if (!json_object_get(c->args.params, "text") && !json_object_get(c->args.params, "data") &&
		!json_object_get(c->args.params, "keys")) {
		cleanup_free char *usage = help_usage(c->args.m);
		err_set(&e, ERR_PARAMS, "send needs TEXT or --keys: what to type");
		err_hint(&e, "%s", usage);
		return cli_fail_usage(c, &e);
	}
	cli_catch_signals();
	if (schedule_asked(c))
		return schedule_make(c);
	if (send_on(c, &result, &e) == 0)
		return sent(c, result);
	json_decref(result);
	if (e.code == ERR_CANCELLED && cli_stop)
		err_hint(&e, "the text may have been delivered all the same: look with `tmux-claude prompts`");
	return cli_fail(c, &e);
}

/* ---- broadcast ---- */

/* Ids instead of names and selectors: a retry means the same ones. */
static int settle(struct cli *c, struct err *e)
{
	json_t *params = c->args.params, *ask = json_copy(params), *rows = NULL, *ids = json_array(), *in;
	size_t i;

	json_object_set_new(ask, "resolve", json_true());
	json_object_set_new(ask, "text", json_string("-"));
	if (cli_call(c, c->args.m->name, ask, -1, &rows, e) < 0) {
		json_decref(ids);
		return -1;
	}
	json_array_foreach(rows, i, in)
		json_array_append_new(ids, json_string(jstr(in, "id")));
	json_decref(rows);
	selector_named(c, ids);
	return 0;
}

static void told_one(struct cli *c, const json_t *p)
{
	const char *said = jstr(p, "answer"), *why = jstr(p, "reason");
	bool ok = json_is_true(json_object_get(p, "ok"));

	writer_printf(&c->w, "%s  ", jstr(p, "instance"));
	writer_text(&c->w, ok ? C_NONE : C_RED, jstr(p, "status"));
	if (!ok && why[0])
		writer_printf(&c->w, "  %s", why);
	fputc('\n', c->w.out);
	if (said[0])
		say_answer(c, p);
}

int verb_broadcast(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL, *p;
	int r = EXIT_DONE;
	size_t i;

	cli_catch_signals();
	if (settle(c, &e) < 0 || send_on(c, &result, &e) < 0) {
		json_decref(result);
		return cli_fail(c, &e);
	}
	json_array_foreach(result, i, p) {
		if (!json_is_true(json_object_get(p, "ok")))
			r = EXIT_REFUSED;
		if (!c->g.json)
			told_one(c, p);
	}
	if (c->g.json)
		writer_json(&c->w, result);
	json_decref(result);
	return r;
}
