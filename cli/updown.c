/* SPDX-License-Identifier: ISC */
/* up, down, status, version: the daemon itself. */
#include <errno.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>

#include "base/sock.h"
#include "base/util.h"
#include "cli/cli.h"

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

int verb_up(struct cli *c)
{
	struct err e = {0};

	cli_catch_signals();
	if (c->g.socket || c->g.no_start) {
		err_set(&e, ERR_PARAMS, "up starts the daemon, and --socket and --no-start forbid that");
		err_hint(&e, "leave them out; TMUX_CLAUDE_HOME chooses another home");
		return cli_fail_usage(c, &e);
	}
	return status(c, &e) < 0 ? cli_fail(c, &e) : EXIT_DONE;
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
	if (json_is_true(json_object_get(c->args.params, "all")) && isatty(2))
		cli_note(c, "Every agent is ended; this may take some seconds.");
	if (cli_call_verb(c, &result, &e) < 0 || daemon_await_end(pidfd, END_TIMEOUT_MS, &e) < 0) {
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
