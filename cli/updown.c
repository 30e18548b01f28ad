/* SPDX-License-Identifier: ISC */
/* up, down, status, version: the daemon itself. */
#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

#include "base/sock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

#define END_TIMEOUT_MS 30000
#define STATUS_TIMEOUT_MS 30000

static int status(struct cli *c, struct err *e)
{
	json_t *result = NULL;

	if (cli_call(c, "status", NULL, STATUS_TIMEOUT_MS, &result, e) < 0)
		return -1;
	cli_result(c, R_STATUS, result);
	json_decref(result);
	return 0;
}

struct steps {
	struct cli *c;
	bool terminal;
	unsigned long tenth; /* last told */
	char last[64];
};

/* A line that is written over on a terminal; else one for each tenth of the way. */
static void on_step(void *arg, const char *method, json_t *params)
{
	struct steps *s = arg;

	if (strcmp(method, "progress") != 0 || s->c->g.json)
		return;
	cleanup_free char *text = text_escape(jstr(params, "text"), false);
	cleanup_free char *who = text_escape(jstr(params, "instance"), false);
	unsigned long n = 0, of = 0, tenth;
	str_fmt(s->last, sizeof(s->last), "%s", text);
	tenth = sscanf(text, "%lu of %lu", &n, &of) == 2 && of ? n * 10 / of : 0;
	if (!s->terminal && tenth == s->tenth)
		return;
	s->tenth = tenth;
	fprintf(stderr, s->terminal ? "\r%s %s: %s\033[K" : "%s %s: %s\n", who, jstr(params, "stage"), text);
	fflush(stderr);
}

static void steps_begin(struct steps *s, struct cli *c)
{
	*s = (struct steps){.c = c, .terminal = isatty(2)};
	client_on_notify(c->client, on_step, s);
}

static void steps_end(const struct steps *s)
{
	if (s->last[0] && s->terminal)
		fputs("\r\033[K", stderr);
}

static void say_restored(struct cli *c, const json_t *result)
{
	const json_t *restored = json_object_get(result, "restored"), *left = json_object_get(result, "not_restored"), *in;
	size_t i;

	json_array_foreach(restored, i, in)
		writer_printf(&c->w, "started again: %s%s%s\n", jstr(in, "id"), *jstr(in, "name") ? " " : "", jstr(in, "name"));
	json_array_foreach(left, i, in)
		writer_printf(&c->w, "not started again: %s%s%s: %s%s%s\n", jstr(in, "id"), *jstr(in, "name") ? " " : "",
			jstr(in, "name"), jstr(in, "message"), *jstr(in, "hint") ? "; " : "", jstr(in, "hint"));
}

/* Starts what should be running; {} when that was not to be. */
static json_t *restore(struct cli *c, struct err *e)
{
	json_t *result = NULL, *params;
	struct steps s;

	if (json_is_true(json_object_get(c->args.local, "no_restore")))
		return json_object();
	params = json_pack("{s:b, s:b}", "progress", !c->g.json, "no_wait",
		json_is_true(json_object_get(c->args.local, "no_wait")));
	if (cli_connect(c, e) < 0) {
		json_decref(params);
		return NULL;
	}
	steps_begin(&s, c);
	int r = cli_call(c, "restore", params, -1, &result, e);
	steps_end(&s);
	client_on_notify(c->client, NULL, NULL);
	if (r < 0 && e->code == ERR_CANCELLED && cli_stop)
		err_hint(e, "the daemon goes on starting them: tmux-claude list shows how far it is");
	return r < 0 ? NULL : result;
}

int verb_up(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL, *restored;

	cli_catch_signals();
	if (c->g.socket || c->g.no_start) {
		err_set(&e, ERR_PARAMS, "up starts the daemon, and --socket and --no-start forbid that");
		err_hint(&e, "leave them out; TMUX_CLAUDE_HOME chooses another home");
		return cli_fail_usage(c, &e);
	}
	/* The first call may find a dying daemon, which starts another: one that changes nothing. */
	if (cli_call(c, "status", NULL, STATUS_TIMEOUT_MS, &result, &e) < 0)
		return cli_fail(c, &e);
	if (json_is_object(json_object_get(result, "read_only"))) {
		cli_result(c, R_STATUS, result); /* a damaged database: nothing is started by it */
		json_decref(result);
		return EXIT_DONE;
	}
	json_decref(result);
	result = NULL;
	/* The one that answered may have been dying all the same. */
	c->calls = 0;
	restored = restore(c, &e);
	c->calls = 0;
	if (!restored || cli_call(c, "status", NULL, STATUS_TIMEOUT_MS, &result, &e) < 0) {
		json_decref(restored);
		return cli_fail(c, &e);
	}
	if (c->g.json)
		json_object_update(result, restored);
	cli_result(c, R_STATUS, result);
	if (!c->g.json)
		say_restored(c, restored);
	json_decref(restored);
	json_decref(result);
	return EXIT_DONE;
}

int verb_status(struct cli *c)
{
	struct err e = {0};

	cli_catch_signals();
	return status(c, &e) < 0 ? cli_fail(c, &e) : EXIT_DONE;
}

/* A descriptor of the daemon's process, so that its end can be waited for. */
static int daemon_pidfd(struct cli *c, struct err *e)
{
	struct ucred peer;

	if (sock_peer(client_fd(c->client), &peer, e) < 0)
		return -1;
	int fd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
	if (fd < 0)
		return err_set_errno(e, ERR_FAILED, errno, "the daemon's process (pid %d) cannot be watched",
			(int)peer.pid);
	return fd;
}

int verb_down(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	cli_catch_signals();
	if (cli_connect(c, &e) < 0)
		return cli_fail(c, &e);
	cleanup_close int pidfd = daemon_pidfd(c, &e);
	if (pidfd < 0)
		return cli_fail(c, &e);
	struct steps s;
	bool all = json_is_true(json_object_get(c->args.params, "all"));
	steps_begin(&s, c);
	if (all)
		json_object_set_new(c->args.params, "progress", json_true());
	int r = cli_call_verb(c, &result, &e);
	steps_end(&s);
	if (r < 0 && all && e.code == ERR_CANCELLED && cli_stop) {
		err_set(&e, ERR_CANCELLED, "interrupted (%s): what is being ended ends, the others and the daemon go on",
			s.last[0] ? s.last : "none ended yet");
		err_hint(&e, "tmux-claude list shows what is left");
	}
	if (r < 0 || daemon_await_end(pidfd, END_TIMEOUT_MS, &e) < 0) {
		json_decref(result);
		return cli_fail(c, &e);
	}
	cli_result(c, R_EMPTY, result);
	json_decref(result);
	return EXIT_DONE;
}

int verb_version(struct cli *c)
{
	struct err e = {0};
	json_t *daemon = NULL, *o = json_pack("{s:s}", "version", PACKAGE_VERSION);

	/* The daemon's version when one runs, without starting one. */
	c->may_start = false;
	c->g.no_start = true;
	if (cli_call(c, "status", NULL, STATUS_TIMEOUT_MS, &daemon, &e) == 0)
		json_object_set_new(o, "daemon", json_string(jstr(daemon, "version")));
	else
		json_object_set_new(o, "daemon", json_null());
	if (c->g.json) {
		writer_json(&c->w, o);
	} else {
		writer_printf(&c->w, "tmux-claude %s\n", PACKAGE_VERSION);
		if (daemon && strcmp(jstr(daemon, "version"), PACKAGE_VERSION) != 0)
			writer_printf(&c->w, "the daemon that runs is of version %s: `tmux-claude down` and `up` "
					     "changes that\n",
				jstr(daemon, "version"));
	}
	json_decref(daemon);
	json_decref(o);
	return EXIT_DONE;
}
