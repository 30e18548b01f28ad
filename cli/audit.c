/* SPDX-License-Identifier: ISC */
/* audit: who called what; with --follow goes on from the last row it printed, also with another daemon. */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

struct follower {
	struct cli *cli;
	json_int_t last; /* the newest row that was printed; -1: none */
	json_int_t left; /* how many may still be printed; -1: all */
};

/* Who: an instance, or the operator's program. */
static char *audit_who(const json_t *row)
{
	if (jstr(row, "instance")[0])
		return xasprintf("%s", jstr(row, "instance"));
	if (jstr(row, "place")[0])
		return xasprintf("place %s", jstr(row, "place"));
	return xasprintf("%s[%lld]", jstr(row, "program")[0] ? jstr(row, "program") : "uid", jstr(row, "program")[0]
		? (long long)jint(row, "pid") : (long long)jint(row, "uid"));
}

static void render_row(const struct writer *w, const json_t *row)
{
	bool refused = strcmp(jstr(row, "verdict"), "refused") == 0;
	cleanup_free char *raw = audit_who(row), *who = text_escape(raw, false);
	cleanup_free char *method = text_escape(jstr(row, "method"), false);
	cleanup_free char *verdict = text_escape(jstr(row, "verdict"), false);
	cleanup_free char *time = text_escape(jstr(row, "time"), false);
	const char *tell[] = {jstr(row, "code"), jstr(row, "reason")};
	const json_t *one;
	size_t i;

	fprintf(w->out, "%6lld  %s%s%s  %s%-16s%s  %-10s  %s%-7s%s", (long long)jint(row, "seq"),
		color_on(w->color, C_DIM), time, color_off(w->color, C_DIM), color_on(w->color, C_BOLD), who,
		color_off(w->color, C_BOLD), method, color_on(w->color, refused ? C_RED : C_NONE), verdict,
		color_off(w->color, refused ? C_RED : C_NONE));
	json_array_foreach(json_object_get(row, "targets"), i, one) {
		cleanup_free char *id = text_escape(json_string_value(one) ? json_string_value(one) : "", false);
		fprintf(w->out, " %s", id);
	}
	for (i = 0; i < ARRAY_LEN(tell); i++) {
		cleanup_free char *text = text_escape(tell[i], false);
		if (text[0])
			fprintf(w->out, "%s%s", i && tell[0][0] ? ": " : "  ", text);
	}
	if (jint(row, "count") > 1)
		fprintf(w->out, "  (%lld times)", (long long)jint(row, "count"));
	fputc('\n', w->out);
}

void render_audit(const struct writer *w, const json_t *result)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(result, "rows"), i, row)
		render_row(w, row);
}

static void print_row(struct follower *f, const json_t *row)
{
	f->last = jint(row, "seq");
	cli_print_line(f->cli, &f->left, row, render_row);
}

static void on_row(void *arg, const char *method, json_t *params)
{
	struct follower *f = arg;

	if (strcmp(method, "audit") == 0 && jint(params, "seq") > f->last)
		print_row(f, params);
}

/* The rows until now, and the promise of those that come. */
static int subscribe(struct follower *f, struct err *e)
{
	json_t *params = json_copy(f->cli->args.params), *result = NULL, *row;
	char since[24];
	size_t i;

	json_object_del(params, "limit");
	if (f->last >= 0) {
		str_fmt(since, sizeof(since), "%lld", (long long)f->last);
		json_object_set_new(params, "since", json_string(since));
	}
	if (cli_connect(f->cli, e) < 0) {
		json_decref(params);
		return -1;
	}
	client_on_notify(f->cli->client, on_row, f);
	if (cli_call(f->cli, "audit", params, -1, &result, e) < 0)
		return -1;
	json_array_foreach(json_object_get(result, "rows"), i, row)
		print_row(f, row);
	json_decref(result);
	return 0;
}

/* Until Ctrl-C, the end of the reader, or --limit. */
static int follow(struct follower *f, struct err *e)
{
	while (!cli_stop) {
		if (subscribe(f, e) == 0 && (cli_stop || client_pump(f->cli->client, -1, &cli_stop, e) == 0))
			continue;
		if (cli_stop || e->code == ERR_CANCELLED)
			return 0;
		if (e->code != ERR_UNREACHABLE)
			return -1;
		client_close(f->cli->client);
		f->cli->client = NULL;
		cli_note(f->cli, "The daemon went away; waiting for it to come back.");
		if (daemon_await(f->cli, -1, e) < 0)
			return cli_stop ? 0 : -1;
	}
	return 0;
}

int verb_audit(struct cli *c)
{
	struct follower f = {.cli = c, .last = -1, .left = -1};
	const json_t *limit = json_object_get(c->args.params, "limit");
	struct err e = {0};

	if (!args_flag(&c->args, "follow"))
		return cli_generic(c);
	cli_catch_signals();
	if (limit)
		f.left = json_integer_value(limit);
	return follow(&f, &e) < 0 ? cli_fail(c, &e) : EXIT_DONE;
}
