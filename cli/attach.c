/* SPDX-License-Identifier: ISC */
/*
 * attach: shows agents to a person. The daemon says where, and with which words of tmux's; who is
 * somewhere else than in a tmux becomes a client of ours; in a tmux of their own they get the agent's
 * terminal in the pane they are in, as does who has no tmux.
 *
 * The tmux client is our child and not we ourselves: when its server ends under it, the agent and soon its
 * pane are still there, so the person is brought back; and when it is left, we can say what goes on. A tmux
 * that refuses this terminal is no such end: then it is the bare view, with tmux's own words.
 */
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/detach.h"
#include "cli/term.h"
#include "cli/view.h"

#define AGAIN_MAX 5       /* servers that end under us one after the other */
#define CALM_MS 10000     /* shown for so long: counted from the start again */
#define AFTERWARDS_MS 2000 /* for a word on what goes on */
#define MOMENT_MS 3000    /* a client that ends sooner, and says why, was refused */
#define PAUSE_MS 1000     /* the longest wait for the next server, before the daemon is asked again */
#define SAID_MAX 256

static volatile pid_t child;

static void pass_on(int signo)
{
	cli_stop = signo; /* not to be brought back */
	if (child > 0)
		kill(child, signo);
}

/* Waits for the client; stops and goes on with it, so that the shell knows. Its exit status. */
static int await_client(void)
{
	int status;

	for (;;) {
		if (waitpid(child, &status, WUNTRACED) < 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		if (WIFSTOPPED(status)) {
			raise(SIGSTOP);
			kill(child, SIGCONT);
			continue;
		}
		child = 0;
		return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

/* What tmux wrote to its standard error, on one line. */
static void take_said(int fd, char said[SAID_MAX])
{
	ssize_t n = pread(fd, said, SAID_MAX - 1, 0);

	said[n > 0 ? n : 0] = '\0';
	while (n > 0 && (unsigned char)said[n - 1] <= ' ')
		said[--n] = '\0';
	for (char *s = said; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			*s = ' ';
}

/* The client's exit status, and what it said. */
static int run_client(const char *program, const json_t *words, char said[SAID_MAX], struct err *e)
{
	/* A file and not a pipe: nobody reads while it runs, and a server that it starts may keep it. */
	cleanup_close int errors = memfd_create("tmux-said", MFD_CLOEXEC);
	cleanup_strv char **argv = strv_new();
	const json_t *w;
	size_t i;

	strv_push(&argv, program);
	json_array_foreach(words, i, w)
		strv_push(&argv, json_string_value(w));
	fflush(NULL);
	term_keep();
	child = fork();
	if (child < 0)
		return err_set_errno(e, ERR_FAILED, errno, "%s cannot be started", program);
	if (child == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		unsetenv("TMUX");
		unsetenv("TMUX_PANE");
		if (errors >= 0)
			dup2(errors, STDERR_FILENO);
		execv(program, argv);
		dprintf(STDERR_FILENO, "%s: %s", program, strerror(errno));
		_exit(127);
	}
	signal(SIGINT, SIG_IGN); /* the terminal is the client's */
	signal(SIGTERM, pass_on);
	signal(SIGHUP, pass_on);
	int status = await_client();
	cli_catch_signals();
	if (status != 0)
		term_reset(); /* a tmux server that was killed restored nothing */
	take_said(errors, said);
	return status;
}

/* The terminal itself, from its shim. */
static int bare(struct cli *c, const json_t *result, struct err *e)
{
	const char *key = config_string(c->config, OPT_DETACH_KEY);
	struct view_spec spec = {.socket = jstr(json_object_get(result, "stream"), "socket"),
		.instance = jstr(result, "instance"),
		.name = jstr(result, "name"),
		.bare = true,
		.read_only = args_flag(&c->args, "read_only"),
		.person = jint(result, "viewers") == 0,
		.detach = detach_key(key),
		.detach_name = key};

	if (spec.detach > 0)
		cli_note(c, "%s leaves; the agent goes on.", key);
	return view_run(&spec, e);
}

/* What the daemon needs to know of this terminal. */
static json_t *question(struct cli *c)
{
	json_t *params = json_copy(c->args.params);
	const char *no_color = getenv("NO_COLOR");
	int rows, cols;

	if (term_size(&rows, &cols)) {
		json_object_set_new(params, "rows", json_integer(rows));
		json_object_set_new(params, "cols", json_integer(cols));
	}
	if (no_color && no_color[0])
		json_object_set_new(params, "plain", json_true());
	return params;
}

static bool has_ended(const char *state)
{
	return strcmp(state, "exited") == 0 || strcmp(state, "failed") == 0 || strcmp(state, "lost") == 0;
}

/* One word on what goes on behind us, when there is somebody to say it. A shim tells the daemon of an end before
 * its views, but the daemon may read our question first: then it knows by the second. */
static void afterwards(struct cli *c, const char *instance)
{
	json_t *result = NULL;
	struct err e = {0};

	for (int i = 0; i < 2 && !has_ended(jstr(result, "state")); i++) {
		json_decref(result);
		result = NULL;
		if (!instance[0] || client_call(c->client, "show", json_pack("{s:s}", "id", instance), AFTERWARDS_MS,
					    &cli_stop, &result, &e) < 0)
			return;
	}
	const char *name = jstr(result, "name")[0] ? jstr(result, "name") : instance, *state = jstr(result, "state");
	if (has_ended(state))
		cli_note(c, "%s has ended (%s); `tmux-claude read %s` shows its last screen.", name, state, name);
	else
		cli_note(c, "%s goes on (%s).", name, state);
	json_decref(result);
}

/* Asks again, of the daemon that is there now. */
static int ask_again(struct cli *c, json_t **result, struct err *e)
{
	json_t *fresh = NULL;

	client_close(c->client);
	c->client = NULL;
	if (cli_call(c, "attach", question(c), -1, &fresh, e) < 0)
		return -1;
	json_decref(*result);
	*result = fresh;
	return 0;
}

/* Who listens there; 0: nobody. */
static pid_t server_pid(const char *socket)
{
	cleanup_close int fd = -1;
	struct ucred cred;

	return sock_connect(socket, &fd, NULL) == 0 && sock_peer(fd, &cred, NULL) == 0 ? cred.pid : 0;
}

/* Until another server than this one listens there, for PAUSE_MS at the most. */
static void await_server(const char *socket, pid_t server)
{
	int64_t deadline = clock_mono_ms() + PAUSE_MS;
	cleanup_free char *copy = xstrdup(socket);
	cleanup_close int notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct pollfd p = {.fd = notify, .events = POLLIN};
	char events[4096];
	pid_t now;

	if (notify >= 0)
		inotify_add_watch(notify, dirname(copy), IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
	while (((now = server_pid(socket)) == 0 || now == server) &&
		client_poll(&p, 1, deadline, &cli_stop, NULL) > 0)
		while (read(notify, events, sizeof(events)) > 0)
			;
}

/* tmux refused us: this terminal, or what we asked of it. To ask again is to be refused again. */
static int refused(struct cli *c, const char *said, const json_t *result, struct err *e)
{
	if (!json_is_string(json_object_get(result, "instance"))) {
		err_set(e, ERR_FAILED, "tmux refused: %s", said);
		return err_hint(e, "name one agent, with --bare: that needs no tmux");
	}
	cli_note(c, "tmux refused (%s): this is the agent's bare terminal.", said);
	return bare(c, result, e);
}

static int through_tmux(struct cli *c, const char *program, json_t **result, struct err *e)
{
	int tries = 0;

	for (;;) {
		const json_t *tmux = json_object_get(*result, "tmux");
		pid_t server = server_pid(jstr(tmux, "socket"));
		int64_t begun = clock_mono_ms();
		char said[SAID_MAX];

		if (!json_is_object(tmux) || access(jstr(tmux, "socket"), R_OK | W_OK) < 0) {
			cli_note(c, "tmux does not show this agent just now (%s): this is its bare terminal.",
				jstr(*result, "why")[0] ? jstr(*result, "why") : "its server is gone");
			return bare(c, *result, e);
		}
		int status = run_client(program, json_object_get(tmux, "argv"), said, e);
		int64_t lasted = clock_mono_ms() - begun;
		if (status < 0)
			return -1;
		if (cli_stop)
			_exit(EXIT_DONE); /* hung up or told to end: nobody reads a last word */
		if (status == 0) {
			afterwards(c, jstr(*result, "instance"));
			return EXIT_DONE;
		}
		bool same = server > 0 && server_pid(jstr(tmux, "socket")) == server;

		/* One that ends under its client says so on standard output. */
		if (same && said[0] && lasted < MOMENT_MS)
			return refused(c, said, *result, e);
		tries = lasted > CALM_MS ? 1 : tries + 1;
		if (tries > AGAIN_MAX)
			return err_set(e, ERR_UNAVAILABLE, "%s ended with status %d, %d times in a row%s%s", program,
				status, tries, said[0] ? ": " : "", said);
		cli_note(c, same ? "The tmux client ended; the agent did not. Attaching again."
				 : "The tmux server ended; the agent did not. Looking for it again.");
		if (lasted < MOMENT_MS || !same)
			await_server(jstr(tmux, "socket"), server);
		if (ask_again(c, result, e) < 0)
			return -1;
	}
}

static int attach(struct cli *c, json_t **result, struct err *e)
{
	bool one = json_is_string(json_object_get(*result, "instance")), inside = getenv("TMUX") != NULL;

	if (cli_config(c, e) < 0)
		return -1;
	cleanup_free char *program = proc_which(config_string(c->config, OPT_TMUX_PATH));
	if (one && (args_flag(&c->args, "bare") || (inside && !args_flag(&c->args, "nested"))))
		return bare(c, *result, e);
	if (!program && !one)
		return err_set(e, ERR_MISSING, "agents side by side need tmux, and %s is not found",
			config_string(c->config, OPT_TMUX_PATH));
	if (!program) {
		cli_note(c, "There is no tmux here: this is the agent's bare terminal.");
		return bare(c, *result, e);
	}
	if (inside)
		cli_note(c, "This is a tmux inside a tmux: type your prefix twice to reach the inner one.");
	return through_tmux(c, program, result, e);
}

static bool names_nobody(const struct cli *c)
{
	return !json_object_get(c->args.params, "ids") && !json_object_get(c->args.params, "label");
}

int verb_attach(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;

	if (names_nobody(c)) {
		err_set(&e, ERR_PARAMS, "attach needs an ID, or --label K=V");
		err_hint(&e, "`tmux-claude list` shows who is there");
		return cli_fail_usage(c, &e);
	}
	cli_catch_signals();
	if (cli_call(c, "attach", question(c), -1, &result, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json) {
		/* For programs: where to attach, instead of a terminal. */
		writer_json(&c->w, result);
		json_decref(result);
		return EXIT_DONE;
	}
	if (!isatty(0) || !isatty(1)) {
		json_decref(result);
		err_set(&e, ERR_FAILED, "attach needs a terminal on standard input and output");
		err_hint(&e, "`tmux-claude read` prints the screen instead");
		return cli_fail(c, &e);
	}
	int code = attach(c, &result, &e);
	json_decref(result);
	return code < 0 ? cli_fail(c, &e) : code;
}
