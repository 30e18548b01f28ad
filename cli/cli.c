/* SPDX-License-Identifier: ISC */
/* What the verbs share: the context of one run, calls to the daemon, errors and exit codes. */
#include "cli/cli.h"

#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/text.h"
#include "ipc/rpc.h"

#define AWAIT_MS (10 * 60 * INT64_C(1000)) /* for a daemon to come back, without a deadline of the caller's */

volatile int cli_stop;

static void on_signal(int signo)
{
	cli_stop = signo;
}

void cli_catch_signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

void cli_print_line(struct cli *c, json_int_t *left, const json_t *row,
	void (*render)(const struct writer *w, const json_t *row))
{
	if (*left == 0)
		return;
	if (*left > 0)
		--*left;
	if (c->g.json)
		writer_json_line(&c->w, row);
	else
		render(&c->w, row);
	fflush(c->w.out);
	if (*left == 0 || writer_broken(&c->w))
		cli_stop = 1;
}

static void say(struct cli *c, const char *label, enum color color, const char *text)
{
	cleanup_free char *safe = text_escape(text, true);

	fprintf(stderr, "%s%s%s %s\n", color_on(c->w.color_err, color), label,
		color_off(c->w.color_err, color), safe);
}

static int fail_with(struct cli *c, const struct err *e, int code)
{
	fflush(c->w.out);
	if (c->g.json) {
		json_t *o = json_object();
		json_object_set_new(o, "error", err_to_json(e));
		writer_json(&c->w, o);
		json_decref(o);
		return code;
	}
	say(c, "tmux-claude:", C_RED, e->message);
	if (e->hint[0])
		say(c, "hint:", C_CYAN, e->hint);
	return code;
}

int cli_fail(struct cli *c, const struct err *e)
{
	return fail_with(c, e, e->code == ERR_UNREACHABLE ? EXIT_DAEMON : EXIT_REFUSED);
}

int cli_fail_usage(struct cli *c, const struct err *e)
{
	return fail_with(c, e, EXIT_USAGE);
}

static void note(struct cli *c, const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	cleanup_free char *safe = text_escape(s, true);
	free(s);
	fflush(c->w.out);
	fprintf(stderr, "%s\n", safe);
}

void cli_note(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	if (c->g.json)
		return;
	va_start(ap, fmt);
	note(c, fmt, ap);
	va_end(ap);
}

void cli_warn(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(c, fmt, ap);
	va_end(ap);
}

int cli_layout(struct cli *c, struct err *e)
{
	if (c->has_layout)
		return 0;
	if (layout_init(&c->layout, e) < 0)
		return -1;
	c->has_layout = true;
	return 0;
}

int cli_config(struct cli *c, struct err *e)
{
	if (c->config)
		return 0;
	if (cli_layout(c, e) < 0)
		return -1;
	return config_load(c->layout.config_file, &c->config, e);
}

char *cli_template_dir(struct cli *c, struct err *e)
{
	if (cli_config(c, e) < 0)
		return NULL;
	const char *dir = config_string(c->config, OPT_TEMPLATE_DIR);
	return xstrdup(dir[0] ? dir : c->layout.template_dir);
}

/* --socket, then the socket of the instance we run in, then the usual one, which alone may be started. */
static int find_socket(struct cli *c, struct err *e)
{
	const char *own = getenv("TMUX_CLAUDE_SOCKET");

	if (c->socket)
		return 0;
	if (c->g.socket) {
		c->socket = c->g.socket;
	} else if (own && own[0]) {
		c->socket = own;
	} else {
		if (cli_layout(c, e) < 0)
			return -1;
		c->socket = c->layout.daemon_socket;
		c->may_start = !c->g.no_start && !(c->args.m && (c->args.m->flags & M_NOSTART));
	}
	return 0;
}

static int unreachable(struct cli *c, struct err *e)
{
	err_set(e, ERR_UNREACHABLE, "no daemon listens on %s", c->socket);
	if (c->g.socket)
		return err_hint(e, "check the path given with --socket");
	return err_hint(e, "start it with `tmux-claude up`");
}

int cli_connect(struct cli *c, struct err *e)
{
	struct err why = {0};

	if (c->client)
		return 0;
	if (find_socket(c, e) < 0)
		return -1;
	if (client_connect(c->socket, &c->client, &why) == 0)
		return 0;
	if (why.code != ERR_UNREACHABLE) {
		*e = why;
		return -1;
	}
	if (!c->may_start)
		return unreachable(c, e);
	return daemon_start(c, e);
}

/* A daemon that was killed still has connections accepted for it until it is all gone. When it cannot have done
 * what was asked, or that changes nothing, there is no daemon. */
static bool was_dying(const struct cli *c, const char *method, const struct err *why)
{
	return c->may_start && why->code == ERR_UNREACHABLE &&
	       (client_unheard(c->client) || strcmp(method, "status") == 0);
}

int cli_call(struct cli *c, const char *method, json_t *params, int64_t timeout_ms, json_t **ret,
	struct err *e)
{
	bool first = !c->calls++;
	struct err why = {0};
	int rc = -1;

	if (cli_connect(c, e) < 0)
		goto out;
	c->connected = true;
	rc = client_call(c->client, method, json_incref(params), timeout_ms, &cli_stop, ret, &why);
	if (rc == 0)
		goto out;
	*e = why;
	if (first && was_dying(c, method, &why)) {
		client_close(c->client);
		c->client = NULL;
		err_clear(e);
		rc = daemon_start(c, e);
		if (rc == 0)
			rc = client_call(c->client, method, json_incref(params), timeout_ms, &cli_stop, ret, e);
	}
out:
	json_decref(params);
	return rc;
}

int cli_call_verb(struct cli *c, json_t **ret, struct err *e)
{
	return cli_call(c, c->args.m->name, json_incref(c->args.params), -1, ret, e);
}

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

int cli_await_again(struct cli *c, int64_t deadline, struct err *e)
{
	if (e->code != ERR_UNREACHABLE || !c->connected || cli_stop)
		return -1;
	client_close(c->client);
	c->client = NULL;
	err_clear(e);
	cli_warn(c, "The daemon went away; waiting for it to come back.");
	if (daemon_await(c, deadline < 0 ? clock_mono_ms() + AWAIT_MS : deadline, e) < 0)
		return -1;
	return time_left(c->args.params, deadline, e);
}

void cli_result(struct cli *c, enum result_kind kind, const json_t *result)
{
	if (c->g.json)
		writer_json(&c->w, result);
	else
		render_result(&c->w, kind, result);
}

int cli_generic(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	cli_catch_signals();
	if (cli_call_verb(c, &result, &e) < 0)
		return cli_fail(c, &e);
	cli_result(c, c->args.m->result, result);
	json_decref(result);
	return EXIT_DONE;
}
