/* SPDX-License-Identifier: ISC */
/* wait: returns when the daemon says so. It changes nothing, so after a daemon that went away the next is asked. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"

#define AWAIT_MS (10 * 60 * INT64_C(1000)) /* for a daemon to come back, without a deadline of the caller's */
#define SIGNALLED 128

/* The time that is left for the next try; -1 when it is over. */
static int time_left(json_t *params, int64_t deadline, struct err *e)
{
	int64_t left = deadline - clock_mono_ms();

	if (deadline < 0)
		return 0;
	if (left <= 0)
		return err_set(e, ERR_TIMEOUT, "the time is over, and the daemon was away");
	json_object_set_new(params, "timeout", json_real((double)left / 1000));
	return 0;
}

static int wait_on(struct cli *c, json_t **ret, struct err *e)
{
	json_t *params = c->args.params;
	const json_t *timeout = json_object_get(params, "timeout");
	int64_t deadline = timeout ? clock_mono_ms() + (int64_t)(json_number_value(timeout) * 1000) : -1;

	while (cli_call(c, c->args.m->name, json_incref(params), -1, ret, e) < 0) {
		if (e->code != ERR_UNREACHABLE || !c->client || cli_stop)
			return -1;
		client_close(c->client);
		c->client = NULL;
		err_clear(e);
		cli_warn(c, "The daemon went away; waiting for it to come back.");
		if (daemon_await(c, deadline < 0 ? clock_mono_ms() + AWAIT_MS : deadline, e) < 0 ||
			time_left(params, deadline, e) < 0)
			return -1;
	}
	return 0;
}

/* What `--exit-code` makes of it. */
static int its_exit(const json_t *in)
{
	const json_t *ended = json_object_get(in, "exit");

	if (json_is_integer(json_object_get(ended, "signal")))
		return SIGNALLED + (int)jint(ended, "signal");
	if (json_is_integer(json_object_get(ended, "code")))
		return (int)jint(ended, "code");
	return EXIT_OURS;
}

int verb_wait(struct cli *c)
{
	struct err e = {0};
	json_t *in = NULL;
	int r = EXIT_DONE;

	cli_catch_signals();
	if (wait_on(c, &in, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, in);
	else
		writer_printf(&c->w, "%s\n", jstr(in, "state"));
	if (args_flag(&c->args, "exit_code") && (!strcmp(jstr(in, "state"), "exited") || !strcmp(jstr(in, "state"), "failed")))
		r = its_exit(in);
	json_decref(in);
	return r;
}
