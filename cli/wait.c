/* SPDX-License-Identifier: ISC */
/* wait: returns when the daemon says so. It changes nothing, so after a daemon that went away the next is asked. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"

#define SIGNALLED 128
#define WAIT_KEY_LEN 20

static int wait_on(struct cli *c, json_t **ret, struct err *e)
{
	json_t *params = c->args.params;
	const json_t *timeout = json_object_get(params, "timeout");
	int64_t deadline = timeout ? clock_mono_ms() + (int64_t)(json_number_value(timeout) * 1000) : -1;

	/* A text that is painted while no daemon is there is seen all the same: asked again under this key. */
	char key[WAIT_KEY_LEN + 1];

	random_id(key, WAIT_KEY_LEN);
	json_object_set_new(params, "key", json_string(key));
	while (cli_call(c, c->args.m->name, json_incref(params), -1, ret, e) < 0)
		if (cli_await_again(c, deadline, e) < 0)
			return -1;
	return 0;
}

/* Ids instead of names and selectors: after a daemon that was replaced the same ones are meant. */
static int settle(struct cli *c, struct err *e)
{
	json_t *params = c->args.params, *ask = json_copy(params), *rows = NULL, *in;
	bool alone = json_array_size(json_object_get(params, "ids")) == 1 && !selector_given(c);
	size_t i;

	json_object_set_new(ask, "resolve", json_true());
	if (cli_call(c, c->args.m->name, ask, -1, &rows, e) < 0)
		return -1;
	if (alone) {
		json_object_set_new(params, "id", json_string(jstr(json_array_get(rows, 0), "id")));
		json_object_del(params, "ids");
	} else {
		json_t *ids = json_array();
		json_array_foreach(rows, i, in)
			json_array_append_new(ids, json_string(jstr(in, "id")));
		selector_named(c, ids);
	}
	json_decref(rows);
	return 0;
}

/* What `--exit-code` makes of it. */
static int its_exit(const json_t *in)
{
	const json_t *ended = json_object_get(in, "exit");

	if (strcmp(jstr(in, "state"), "exited") != 0 && strcmp(jstr(in, "state"), "failed") != 0)
		return EXIT_DONE;
	if (json_is_integer(json_object_get(ended, "signal")))
		return SIGNALLED + (int)jint(ended, "signal");
	if (json_is_integer(json_object_get(ended, "code")))
		return (int)jint(ended, "code");
	return EXIT_OURS;
}

/* The first that is not 0. */
static int exit_of(const json_t *result)
{
	json_t *in;
	size_t i;
	int r = json_is_object(result) ? its_exit(result) : EXIT_DONE;

	json_array_foreach(result, i, in)
		if (r == EXIT_DONE)
			r = its_exit(in);
	return r;
}

int verb_wait(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;
	int r = EXIT_DONE;

	cli_catch_signals();
	if (settle(c, &e) < 0 || wait_on(c, &result, &e) < 0)
		return cli_fail(c, &e);
	if (!c->g.json && json_is_object(result))
		writer_printf(&c->w, "%s\n", jstr(result, "state"));
	else
		cli_result(c, R_INSTANCES, result);
	if (args_flag(&c->args, "exit_code"))
		r = exit_of(result);
	json_decref(result);
	return r;
}
