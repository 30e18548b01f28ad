/* SPDX-License-Identifier: ISC */
/*
 * login: keeps one secret for the agents in a file that only its owner can read, written whole or not
 * at all. It is read without echo, never from an argument, and never shown again.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/sign_in.h"
#include "login/account.h"

#define SECRET_MAX 16384
#define SECRET_MIN 8
#define API_KEY_PREFIX "sk-ant-api"

/* One line from fd, without its end. Wiped by the caller. */
static int read_line(int fd, char *out, size_t size, struct err *e)
{
	size_t n = 0;

	while (n + 1 < size) {
		ssize_t r = read(fd, out + n, 1);
		if (r < 0 && errno == EINTR && !cli_stop)
			continue;
		if (r < 0)
			return cli_stop ? err_set(e, ERR_CANCELLED, "interrupted; nothing was changed")
					: err_set_errno(e, ERR_IO, errno, "the login cannot be read");
		if (r == 0 || out[n] == '\n')
			break;
		n++;
	}
	while (n > 0 && (out[n - 1] == '\r' || out[n - 1] == ' '))
		n--;
	out[n] = '\0';
	if (n + 1 >= size)
		return err_set(e, ERR_LIMIT, "the login is longer than %zu bytes", size - 2);
	return 0;
}

static int read_hidden(const char *prompt, char *out, size_t size, struct err *e)
{
	struct termios was, hidden;
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC);

	if (tty < 0 || tcgetattr(tty, &was) < 0) {
		if (tty >= 0)
			close(tty);
		err_set(e, ERR_FAILED, "there is no terminal to ask for the login on");
		return err_hint(e, "give it on standard input: tmux-claude login < FILE");
	}
	hidden = was;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	fprintf(stderr, "%s", prompt);
	tcsetattr(tty, TCSAFLUSH, &hidden);
	int r = read_line(tty, out, size, e);
	tcsetattr(tty, TCSAFLUSH, &was);
	fputc('\n', stderr);
	close(tty);
	return r;
}

static int check_secret(const char *s, struct err *e)
{
	size_t n = strlen(s);

	if (n == 0)
		return err_set(e, ERR_PARAMS, "no login was given; nothing was changed");
	if (n < SECRET_MIN)
		return err_set(e, ERR_PARAMS, "that is too short for a token or a key");
	for (const char *p = s; *p; p++)
		if (*p <= ' ' || *p > '~')
			return err_set(e, ERR_PARAMS,
				"a token or key has no blanks and no characters beyond ASCII: nothing was kept");
	return 0;
}

static int keep(struct cli *c, const char *secret, const char *kind, struct err *e)
{
	cleanup_free char *dir = xstrdup(c->layout.login_file);
	json_t *o = json_pack("{s:s, s:s}", "kind", kind, "value", secret);
	char *text = json_dumps(o, JSON_COMPACT);
	int r;

	*strrchr(dir, '/') = '\0';
	r = dir_make(dir, 0700, e);
	if (r == 0)
		r = login_store(c->layout.login_file, text, e);
	explicit_bzero(text, strlen(text));
	free(text);
	login_wipe(o);
	return r;
}

static void answer(struct cli *c, const char *kind, const char *text)
{
	if (c->g.json) {
		json_t *o = json_pack("{s:b, s:s?}", "kept", kind != NULL, "kind", kind);
		writer_json(&c->w, o);
		json_decref(o);
		return;
	}
	writer_printf(&c->w, "%s\n", text);
}

static const char *name_of(const char *kind)
{
	return !strcmp(kind, LOGIN_API_KEY) ? "An API key" : !strcmp(kind, LOGIN_RENEWING) ? "A login that the daemon renews"
											: "A token";
}

/* {kept, kind, expires_at, gone, why}; the last three of a renewing one. */
static void show_json(struct cli *c, const struct login *l)
{
	char iso[CLOCK_ISO_MAX];
	json_t *o = json_pack("{s:b, s:s?}", "kept", l->kind != NULL, "kind", l->kind);

	if (l->kind && !strcmp(l->kind, LOGIN_RENEWING)) {
		json_object_set_new(o, "expires_at", json_string(clock_iso(l->expires_ms, iso)));
		json_object_set_new(o, "gone", json_boolean(l->gone));
		json_object_set_new(o, "why", l->why ? json_string(l->why) : json_null());
	}
	writer_json(&c->w, o);
	json_decref(o);
}

static void show_text(struct cli *c, const struct login *l)
{
	char iso[CLOCK_ISO_MAX];

	if (!l->kind) {
		writer_printf(&c->w, "No login is kept. Give one with `tmux-claude login`.\n");
		return;
	}
	writer_printf(&c->w, "%s is kept in %s.\n", name_of(l->kind), c->layout.login_file);
	if (l->gone)
		writer_printf(&c->w, "It is good no more: %s.\n", l->why ? l->why : "");
	else if (!strcmp(l->kind, LOGIN_RENEWING))
		writer_printf(&c->w, "What agents have of it is good until %s%s%s.\n", clock_iso(l->expires_ms, iso),
			l->why ? "; its last renewal failed: " : "", l->why ? l->why : "");
}

static int show(struct cli *c, struct err *e)
{
	struct login l = {0};

	if (login_load(c->layout.login_file, &l, e) < 0)
		return -1;
	if (c->g.json)
		show_json(c, &l);
	else
		show_text(c, &l);
	login_finish(&l);
	return 0;
}

static int forget(struct cli *c, struct err *e)
{
	if (access(c->layout.login_file, F_OK) == 0 && login_store(c->layout.login_file, NULL, e) < 0)
		return -1;
	answer(c, NULL, "No login is kept any more. Agents that run keep theirs.");
	return 0;
}

/* A renewing login of the fleet's own. */
static int sign_in(struct cli *c, struct err *e)
{
	const char *file = args_string(&c->args, "import");

	if (file ? sign_in_import(c, file, e) < 0 : sign_in_run(c, e) < 0)
		return -1;
	answer(c, LOGIN_RENEWING, "The login is kept. The daemon renews it, for all agents alike.");
	return 0;
}

static int take(struct cli *c, char *secret, struct err *e)
{
	bool api_key = args_flag(&c->args, "api_key");
	int r = isatty(0) ? read_hidden(api_key ? "API key (not shown): "
						: "Token of `claude setup-token` (not shown): ",
				    secret, SECRET_MAX, e)
			  : read_line(0, secret, SECRET_MAX, e);

	if (r < 0 || check_secret(secret, e) < 0)
		return -1;
	/* Its beginning says it, whatever was typed. */
	if (str_starts(secret, API_KEY_PREFIX))
		api_key = true;
	const char *kind = api_key ? LOGIN_API_KEY : LOGIN_TOKEN;
	if (keep(c, secret, kind, e) < 0)
		return -1;
	cleanup_free char *line = xasprintf("%s is kept in %s for the agents that are started from now on.",
		api_key ? "The API key" : "The token", c->layout.login_file);
	answer(c, kind, line);
	return 0;
}

int verb_login(struct cli *c)
{
	struct err e = {0};
	int r;

	cli_catch_signals();
	if (cli_layout(c, &e) < 0)
		return cli_fail(c, &e);
	int ways = args_flag(&c->args, "show") + args_flag(&c->args, "forget") + args_flag(&c->args, "subscription") +
		   (args_string(&c->args, "import") != NULL) + args_flag(&c->args, "api_key");
	if (ways > 1) {
		err_set(&e, ERR_PARAMS, "--show, --forget, --subscription, --import and --api-key exclude each other");
		return cli_fail_usage(c, &e);
	}
	if (args_flag(&c->args, "show")) {
		r = show(c, &e);
	} else if (args_flag(&c->args, "forget")) {
		r = forget(c, &e);
	} else if (args_flag(&c->args, "subscription") || args_string(&c->args, "import")) {
		r = sign_in(c, &e);
	} else {
		char *secret = xcalloc(1, SECRET_MAX);
		r = take(c, secret, &e);
		explicit_bzero(secret, SECRET_MAX);
		free(secret);
	}
	return r < 0 ? cli_fail(c, &e) : EXIT_DONE;
}
