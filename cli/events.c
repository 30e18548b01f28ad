/* SPDX-License-Identifier: ISC */
/*
 * events: the past, then with --follow what comes.
 *
 * A subscription starts from the number of the last event that was printed (or passed over, with a filter: the daemon
 * says where it is), so that a daemon that went and came back loses none and repeats none. Numbers belong to one
 * database, whose name goes along. What was to be next and is not kept any more ends it, unless --from-first.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"

#define AWAIT_MS (10 * 60 * INT64_C(1000)) /* for a daemon that went away to come back */

struct follower {
	struct cli *cli;
	json_t *filter; /* parameters of both calls */
	char *fleet;    /* the database's name, once it was told */
	json_int_t last;
	json_int_t left; /* how many may still be printed; -1: all */
	bool away;      /* the daemon's absence was said */
	bool dropped;   /* we did not read fast enough: subscribe again */
	event_fn *fn;
	void *arg;
};

static void print_event(void *arg, const json_t *ev)
{
	struct follower *f = arg;

	cli_print_line(f->cli, &f->left, ev, render_event);
}

static void on_notice(void *arg, const char *method, json_t *params)
{
	struct follower *f = arg;
	json_int_t seq = jint(params, "seq");

	if (strcmp(method, "dropped") == 0) {
		f->dropped = true;
		cli_warn(f->cli, "%s; going on after event %" JSON_INTEGER_FORMAT ".", jstr(params, "message"), f->last);
		return;
	}
	if (seq <= f->last)
		return;
	if (strcmp(method, "event") == 0)
		f->fn(f->arg, params);
	else if (strcmp(method, "position") != 0)
		return;
	f->last = seq;
}

/* The parameters of a call that goes on where we are. */
static json_t *from_here(const struct follower *f)
{
	json_t *o = json_copy(f->filter);

	json_object_set_new(o, "since", json_integer(f->last));
	if (f->fleet)
		json_object_set_new(o, "fleet", json_string(f->fleet));
	return o;
}

static void note_fleet(struct follower *f, const json_t *answer)
{
	if (!f->fleet && jstr(answer, "fleet")[0])
		f->fleet = xstrdup(jstr(answer, "fleet"));
}

/* What was to be next is gone: with --from-first that is said, and the rest begins with the first that is kept. */
static int skip_gone(struct follower *f, const struct err *why, struct err *e)
{
	json_t *result = NULL;
	json_int_t first;

	if (why->code != ERR_GONE || !args_flag(&f->cli->args, "from_first")) {
		*e = *why;
		if (why->code == ERR_GONE)
			err_hint(e, "--from-first goes on with the first that is kept; `tmux-claude list` shows how things are");
		return -1;
	}
	if (cli_call(f->cli, "events", json_pack("{s:i}", "limit", 1), -1, &result, e) < 0)
		return -1;
	first = jint(result, "first");
	json_decref(result);
	cli_warn(f->cli, "Events %" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT " are not kept any more; going on with the next.",
		f->last + 1, first - 1);
	f->last = first - 1;
	return 0;
}

static int subscribe(struct follower *f, struct err *e)
{
	struct err why = {0};
	json_t *result = NULL;

	f->dropped = false;
	for (;;) {
		if (cli_connect(f->cli, e) < 0)
			return -1;
		client_on_notify(f->cli->client, on_notice, f);
		if (cli_call(f->cli, "subscribe", from_here(f), -1, &result, &why) == 0)
			break;
		if (skip_gone(f, &why, e) < 0)
			return -1;
		err_clear(&why);
	}
	note_fleet(f, result);
	json_decref(result);
	if (f->away)
		cli_warn(f->cli, "The daemon is back; going on after event %" JSON_INTEGER_FORMAT ".", f->last);
	f->away = false;
	return 0;
}

/* Until Ctrl-C, the end of the reader, or --limit. */
static int follow(struct follower *f, struct err *e)
{
	while (!cli_stop) {
		err_clear(e);
		if (subscribe(f, e) == 0 && client_pump(f->cli->client, -1, &cli_stop, e) == 0)
			continue;
		if (cli_stop || e->code == ERR_CANCELLED)
			return 0;
		if (e->code != ERR_UNREACHABLE)
			return -1;
		client_close(f->cli->client);
		f->cli->client = NULL;
		if (f->dropped)
			continue;
		if (!f->away)
			cli_warn(f->cli, "The daemon went away; waiting for it to come back.");
		f->away = true;
		if (daemon_await(f->cli, clock_mono_ms() + AWAIT_MS, e) < 0)
			return cli_stop ? 0 : -1;
	}
	return 0;
}

int events_follow(struct cli *c, const json_t *filter, json_int_t since, const char *fleet, event_fn *fn, void *arg, struct err *e)
{
	struct follower f = {.cli = c, .left = -1, .last = since, .fn = fn, .arg = arg, .filter = json_deep_copy(filter),
		.fleet = fleet && *fleet ? xstrdup(fleet) : NULL};
	int r = follow(&f, e);

	json_decref(f.filter);
	free(f.fleet);
	return r;
}

/* What happened before: the last ones, or with --since all from there on, page by page. */
static int past(struct follower *f, struct err *e)
{
	const json_t *since = json_object_get(f->filter, "since");
	json_t *result = NULL, *ev;
	json_int_t last;
	size_t i;

	if (since) {
		f->last = json_integer_value(since);
		json_object_del(f->filter, "since");
		return 0; /* the subscription begins there */
	}
	json_t *params = json_copy(f->filter);
	if (f->left >= 0)
		json_object_set_new(params, "limit", json_integer(f->left));
	if (cli_call(f->cli, "events", params, -1, &result, e) < 0)
		return -1;
	json_array_foreach(json_object_get(result, "events"), i, ev)
		print_event(f, ev);
	last = jint(result, "last");
	note_fleet(f, result);
	json_decref(result);
	f->last = last;
	return 0;
}

/* Without --follow: what an answer has no room for comes with the next. */
static int pages(struct cli *c)
{
	json_t *params = json_deep_copy(c->args.params), *all = json_array(), *page = NULL;
	const json_t *limit = json_object_get(params, "limit");
	json_int_t most = limit ? json_integer_value(limit) : -1;
	bool since = json_object_get(params, "since");
	struct err e = {0};

	cli_catch_signals();
	for (;;) {
		json_decref(page);
		page = NULL;
		if (most >= 0)
			json_object_set_new(params, "limit", json_integer(most - (json_int_t)json_array_size(all)));
		if (cli_call(c, "events", json_deep_copy(params), -1, &page, &e) < 0) {
			json_decref(all);
			json_decref(params);
			return cli_fail(c, &e);
		}
		json_array_extend(all, json_object_get(page, "events"));
		if (!since || jint(page, "next") >= jint(page, "last") ||
			(most >= 0 && (json_int_t)json_array_size(all) >= most))
			break;
		json_object_set(params, "since", json_object_get(page, "next"));
	}
	json_object_set_new(page, "events", all);
	cli_result(c, c->args.m->result, page);
	json_decref(page);
	json_decref(params);
	return EXIT_DONE;
}

int verb_events(struct cli *c)
{
	struct follower f = {.cli = c, .left = -1, .fn = print_event, .arg = &f};
	const json_t *limit = json_object_get(c->args.params, "limit");
	struct err e = {0};
	int r;

	if (!args_flag(&c->args, "follow"))
		return pages(c);
	cli_catch_signals();
	if (limit)
		f.left = json_integer_value(limit);
	f.filter = json_deep_copy(c->args.params);
	json_object_del(f.filter, "limit");
	r = past(&f, &e) < 0 || follow(&f, &e) < 0 ? cli_fail(c, &e) : EXIT_DONE;
	json_decref(f.filter);
	free(f.fleet);
	return r;
}
