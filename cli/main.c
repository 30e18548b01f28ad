/* SPDX-License-Identifier: ISC */
/* tmux-claude: finds the verb in the table, reads its arguments by its row, runs it. */
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/help.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "ipc/rpc.h"

static int terminal_width(void)
{
	struct winsize ws;

	return ioctl(1, TIOCGWINSZ, &ws) == 0 ? ws.ws_col : 0;
}

static int no_verb(struct cli *c)
{
	struct err e = {0};

	err_set(&e, ERR_PARAMS, "there is no verb on the command line");
	err_hint(&e, "`tmux-claude --help` lists them");
	return cli_fail_usage(c, &e);
}

/* What is wrong with a command line is said as JSON when --json stands anywhere on it. */
static int wrong_usage(struct cli *c, char *const *argv, const struct err *e)
{
	for (; *argv && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0)
			c->g.json = c->w.json = true;
	return cli_fail_usage(c, e);
}

/* `help`, `help VERB`. */
static int help(struct cli *c, char *const *argv)
{
	struct err e = {0};
	int words;

	if (!argv[0]) {
		help_top(stdout, terminal_width());
		return EXIT_DONE;
	}
	const struct method_def *m = verb_find(argv, &words, &e);
	if (!m)
		return cli_fail_usage(c, &e);
	help_verb(stdout, m, terminal_width());
	return EXIT_DONE;
}

static int run_verb(struct cli *c, const struct method_def *m, char *const *argv)
{
	struct err e = {0};

	if (args_parse(m, argv, &c->g, &c->args, &e) < 0)
		return wrong_usage(c, argv, &e);
	if (c->g.help) {
		help_verb(stdout, m, terminal_width());
		return EXIT_DONE;
	}
	writer_init(&c->w, stdout, c->g.json);
	/* The text shares its line with the rest of the request, so the daemon's bound is met a little below. */
	if (args_read_stdin(&c->args, 0, RPC_LINE_MAX, &e) < 0)
		return cli_fail(c, &e);
	return verb_run(c);
}

static int run(struct cli *c, char *const *argv)
{
	struct err e = {0};
	int at = 0, words, r = 0;

	while (argv[at] && argv[at][0] == '-' && (r = globals_parse(argv, &at, &c->g, &e)) > 0)
		;
	writer_init(&c->w, stdout, c->g.json);
	if (r < 0)
		return wrong_usage(c, argv, &e);
	if (c->g.version) {
		printf("tmux-claude %s\n", PACKAGE_VERSION);
		return EXIT_DONE;
	}
	if (argv[at] && argv[at][0] == '-') {
		cleanup_free char *safe = text_escape(argv[at], false);
		err_set(&e, ERR_PARAMS, "there is no option '%.60s' before the verb", safe);
		err_hint(&e, "`tmux-claude --help` lists them; a verb's own stand behind it");
		return wrong_usage(c, argv, &e);
	}
	if (c->g.help || (argv[at] && strcmp(argv[at], "help") == 0))
		return help(c, argv + at + !(c->g.help));
	if (!argv[at])
		return no_verb(c);
	if (strcmp(argv[at], "view") == 0)
		return verb_view(c, argv + at + 1);
	if (strcmp(argv[at], "man-page") == 0) {
		help_man(stdout);
		return EXIT_DONE;
	}
	const struct method_def *m = verb_find(argv + at, &words, &e);
	if (!m)
		return wrong_usage(c, argv, &e);
	return run_verb(c, m, argv + at + words);
}

int main(int argc, char **argv)
{
	struct cli c = {0};
	struct err e = {0};

	(void)argc;
	signal(SIGPIPE, SIG_IGN);
	text_init();
	int code = run(&c, argv + (argv[0] ? 1 : 0));
	if (writer_finish(&c.w, &e) < 0 && code == EXIT_DONE)
		code = cli_fail(&c, &e);
	client_close(c.client);
	args_finish(&c.args);
	config_free(c.config);
	if (c.has_layout)
		layout_finish(&c.layout);
	return code;
}
