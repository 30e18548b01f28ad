/* SPDX-License-Identifier: ISC */
/* send: the daemon returns when the text was delivered, or says why not. */
#include <string.h>

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
	if (send_all(c, &result, &e) < 0) {
		json_decref(result);
		if (e.code == ERR_CANCELLED && cli_stop)
			err_hint(&e, "the text may have been delivered all the same: look with `tmux-claude read`");
		return cli_fail(c, &e);
	}
	cli_result(c, R_SENT, result);
	json_decref(result);
	return EXIT_DONE;
}
