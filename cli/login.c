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

#include "base/util.h"
#include "cli/cli.h"

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
		r = file_write_atomic(c->layout.login_file, text, strlen(text), 0600, e);
	explicit_bzero(text, strlen(text));
	free(text);
	json_decref(o);
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

static int show(struct cli *c, struct err *e)
{
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len;

	if (lstat(c->layout.login_file, &st) < 0 && errno == ENOENT) {
		answer(c, NULL, "No login is kept. Give one with `tmux-claude login`.");
		return 0;
	}
	if (file_read(c->layout.login_file, SECRET_MAX * 2, &text, &len, e) < 0)
		return -1;
	json_t *o = json_loadb(text, len, 0, NULL);
	explicit_bzero(text, len);
	const char *kind = strcmp(jstr(o, "kind"), "api_key") == 0 ? "api_key"
			   : strcmp(jstr(o, "kind"), "oauth_token") == 0 ? "oauth_token"
									 : NULL;
	if (!kind) {
		json_decref(o);
		err_set(e, ERR_FAILED, "%s does not hold a login", c->layout.login_file);
		return err_hint(e, "`tmux-claude login` replaces it");
	}
	cleanup_free char *line =
		xasprintf("%s is kept in %s%s.", strcmp(kind, "api_key") == 0 ? "An API key" : "A token",
			c->layout.login_file, st.st_mode & 077 ? ", which others may read: chmod 0600 it" : "");
	answer(c, kind, line);
	json_decref(o);
	return 0;
}

static int forget(struct cli *c, struct err *e)
{
	if (unlink(c->layout.login_file) < 0 && errno != ENOENT)
		return err_set_errno(e, ERR_IO, errno, "cannot remove %s", c->layout.login_file);
	answer(c, NULL, "No login is kept any more. Agents that run keep theirs.");
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
	const char *kind = api_key ? "api_key" : "oauth_token";
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
	if (args_flag(&c->args, "show") && args_flag(&c->args, "forget")) {
		err_set(&e, ERR_PARAMS, "--show and --forget exclude each other");
		return cli_fail_usage(c, &e);
	}
	if (args_flag(&c->args, "show")) {
		r = show(c, &e);
	} else if (args_flag(&c->args, "forget")) {
		r = forget(c, &e);
	} else {
		char *secret = xcalloc(1, SECRET_MAX);
		r = take(c, secret, &e);
		explicit_bzero(secret, SECRET_MAX);
		free(secret);
	}
	return r < 0 ? cli_fail(c, &e) : EXIT_DONE;
}
