/* SPDX-License-Identifier: ISC */
/*
 * events: the past, then with --follow what comes. The number of the last event that was printed is
 * what the next subscription starts from, so that a daemon that went and came back loses none and
 * repeats none.
 */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"

struct follower {
	struct cli *cli;
	json_int_t last;
	json_int_t left; /* how many may still be printed; -1: all */
};

static void print_event(struct follower *f, const json_t *ev)
{
	if (f->left == 0)
		return;
	if (f->left > 0)
		f->left--;
	if (f->cli->g.json)
		writer_json_line(&f->cli->w, ev);
	else
		render_event(&f->cli->w, ev);
	fflush(f->cli->w.out);
	if (f->left == 0 || writer_broken(&f->cli->w))
		cli_stop = 1;
}

static void on_event(void *arg, const char *method, json_t *params)
{
	struct follower *f = arg;
	json_int_t seq = jint(params, "seq");

	if (strcmp(method, "event") != 0 || seq <= f->last)
		return;
	f->last = seq;
	print_event(f, params);
}

static int subscribe(struct follower *f, struct err *e)
{
	json_t *result = NULL;

	if (cli_connect(f->cli, e) < 0)
		return -1;
	client_on_notify(f->cli->client, on_event, f);
	if (cli_call(f->cli, "subscribe", json_pack("{s:I}", "since", f->last), -1, &result, e) < 0)
		return -1;
	json_decref(result);
	return 0;
}

/* Until Ctrl-C, the end of the reader, or --limit. */
static int follow(struct follower *f, struct err *e)
{
	while (!cli_stop) {
		if (subscribe(f, e) == 0 && client_pump(f->cli->client, -1, &cli_stop, e) == 0)
			continue;
		if (cli_stop || e->code == ERR_CANCELLED)
			return 0;
		if (e->code != ERR_UNREACHABLE)
			return -1;
		client_close(f->cli->client);
		f->cli->client = NULL;
		cli_note(f->cli, "The daemon went away; waiting for it to come back.");
		if (daemon_await(f->cli, e) < 0)
			return cli_stop ? 0 : -1;
	}
	return 0;
}

/* What happened before: printed, unless --since leaves that to the subscription. */
static int past(struct follower *f, struct err *e)
{
	const json_t *since = json_object_get(f->cli->args.params, "since");
	json_t *result = NULL, *ev;
	size_t i;

	if (since) {
		f->last = json_integer_value(since);
		return 0;
	}
	if (cli_call(f->cli, "events", json_object(), -1, &result, e) < 0)
		return -1;
	json_array_foreach(json_object_get(result, "events"), i, ev)
		print_event(f, ev);
	f->last = jint(result, "last");
	json_decref(result);
	return 0;
}

int verb_events(struct cli *c)
{
	struct follower f = {.cli = c, .left = -1};
	const json_t *limit = json_object_get(c->args.params, "limit");
	struct err e = {0};

	if (!args_flag(&c->args, "follow"))
		return cli_generic(c);
	cli_catch_signals();
	if (limit)
		f.left = json_integer_value(limit);
	if (past(&f, &e) < 0 || follow(&f, &e) < 0)
		return cli_fail(c, &e);
	return EXIT_DONE;
}
