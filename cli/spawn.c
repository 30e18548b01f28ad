/* SPDX-License-Identifier: ISC */
/* spawn and restart: one long call, with a line for each stage on a terminal. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

struct progress {
	struct cli *cli;
	int64_t started_ms;
	char last[256]; /* the line before, as stages may repeat themselves */
	bool terminal;  /* whether anybody watches */
};

static void on_progress(void *arg, const char *method, json_t *params)
{
	struct progress *p = arg;
	char line[256];

	if (strcmp(method, "progress") != 0 || !p->terminal)
		return;
	cleanup_free char *stage = text_escape(jstr(params, "stage"), false);
	cleanup_free char *text = text_escape(jstr(params, "text"), false);
	cleanup_free char *cut = text_cut(text, 160);
	snprintf(line, sizeof(line), "%-8s %s", stage, cut);
	if (strcmp(line, p->last) == 0)
		return;
	strcpy(p->last, line);
	bool color = p->cli->w.color_err;
	fprintf(stderr, "%s%6.1fs%s  %s\n", color_on(color, C_DIM),
		(double)(clock_mono_ms() - p->started_ms) / 1000, color_off(color, C_DIM), line);
}

/* What a person should know of an instance that is not simply ready. */
static void say_state(struct cli *c, const json_t *in)
{
	const char *state = jstr(in, "state"), *reason = jstr(in, "reason");

	if (strcmp(state, "waiting") == 0 && strcmp(reason, "login") == 0) {
		cli_note(c, "It waits for a login. Give agents one with `tmux-claude login`, or log in by hand:");
		cli_note(c, "  tmux-claude attach %s", jstr(in, "id"));
	} else if (strcmp(state, "waiting") == 0) {
		cli_note(c, "It waits%s%s: look with `tmux-claude attach %s`", reason[0] ? " for: " : "", reason,
			jstr(in, "id"));
	}
}

static void say_one(struct cli *c, const json_t *in)
{
	writer_printf(&c->w, "%s\n", jstr(in, "id"));
	if (c->args.m->id == METHOD_SPAWN)
		say_narrowed(c, in);
	say_state(c, in);
}

static int start(struct cli *c, bool restart)
{
	struct progress p = {.cli = c, .terminal = !c->g.json && isatty(2)};
	struct err e = {0};
	json_t *in = NULL, *one;
	size_t i;

	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	p.started_ms = clock_mono_ms();
	client_on_notify(c->client, on_progress, &p);
	if (p.terminal)
		json_object_set_new(c->args.params, "progress", json_true());
	if (cli_call_verb(c, &in, &e) < 0) {
		/* Closing the connection is what cancels: main does that. */
		if (e.code == ERR_CANCELLED && cli_stop) {
			err_set(&e, ERR_CANCELLED, restart ? "interrupted; what was asked for goes on"
							   : "interrupted; what was begun is undone");
			err_hint(&e, "`tmux-claude list --all` shows what there is");
		}
		return cli_fail(c, &e);
	}
	if (c->g.json) {
		writer_json(&c->w, in);
	} else if (json_is_array(in)) {
		json_array_foreach(in, i, one)
			say_one(c, one);
	} else {
		say_one(c, in);
	}
	json_decref(in);
	return EXIT_DONE;
}

/* A whole home holds keys, logins and everything else of its user. */
static void warn_of_home(struct cli *c)
{
	const char *home = getenv("HOME"), *dir = jstr(c->args.params, "dir");
	cleanup_free char *a = home && *home ? realpath(home, NULL) : NULL;
	cleanup_free char *b = *dir ? realpath(dir, NULL) : NULL;

	if (a && b && !strcmp(a, b))
		cli_note(c, "This agent is given your whole home folder, keys and logins included; --dir names a smaller one.");
}

int verb_spawn(struct cli *c)
{
	struct err e = {0};

	cli_catch_signals();
	/* The daemon's current folder is not ours. */
	if (!json_object_get(c->args.params, "dir") && !json_object_get(c->args.params, "conversation")) {
		cleanup_free char *cwd = getcwd(NULL, 0);
		json_t *dir = cwd ? json_string(cwd) : NULL;
		if (!dir) {
			err_set(&e, ERR_PARAMS, "the current folder cannot be named");
			err_hint(&e, "give one with --dir");
			return cli_fail_usage(c, &e);
		}
		json_object_set_new(c->args.params, "dir", dir);
	}
	warn_of_home(c);
	return start(c, false);
}

int verb_fork(struct cli *c)
{
	cli_catch_signals();
	return start(c, false);
}

int verb_restart(struct cli *c)
{
	cli_catch_signals();
	return start(c, true);
}
