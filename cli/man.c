/* SPDX-License-Identifier: ISC */
/* The man page, made from the table: man(7) on standard output. */
#include <string.h>

#include "base/util.h"
#include "cli/help.h"
#include "cli/args.h"

/* Text with what troff would take for its own escaped. */
static void put(FILE *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool start = i == 0 || s[i - 1] == '\n';
		if (start && (s[i] == '.' || s[i] == '\''))
			fputs("\\&", out);
		if (s[i] == '\\')
			fputs("\\e", out);
		else if (s[i] == '-')
			fputs("\\-", out);
		else
			fputc(s[i], out);
	}
}

static void puts_escaped(FILE *out, const char *s)
{
	put(out, s, strlen(s));
}

static void option(FILE *out, const struct arg_def *a)
{
	cleanup_free char *name = option_words(a);

	fputs(".TP\n", out);
	if (a->flags & A_POS) {
		fprintf(out, "\\fI");
		puts_escaped(out, a->metavar);
		fprintf(out, "\\fR\n");
	} else {
		fputs("\\fB", out);
		if (a->short_opt)
			fprintf(out, "\\-%c\\fR, \\fB", a->short_opt);
		puts_escaped(out, name);
		fputs("\\fR", out);
		if (a->metavar) {
			fputs(" \\fI", out);
			puts_escaped(out, a->metavar);
			fputs("\\fR", out);
		}
		fputc('\n', out);
	}
	puts_escaped(out, a->help);
	fputc('\n', out);
}

static void verb(FILE *out, const struct method_def *m)
{
	static const char mark[] = "Examples:\n";
	cleanup_free char *usage = help_usage(m), *words = verb_words(m);
	const char *examples = m->description ? strstr(m->description, mark) : NULL;
	size_t len = examples ? (size_t)(examples - m->description) : 0;

	fputs(".SS \"", out);
	puts_escaped(out, words);
	fputs("\"\n.B ", out);
	puts_escaped(out, usage);
	fputs("\n.PP\n", out);
	puts_escaped(out, m->summary);
	fputs(".\n", out);
	if (len > 0)
		put(out, m->description, len);
	for (const struct arg_def *a = m->args; a->name; a++)
		if (!(a->flags & A_API) && a->type != ARG_JSON)
			option(out, a);
	if (examples) {
		fputs(".PP\n.nf\n", out);
		puts_escaped(out, examples + strlen(mark));
		fputs("\n.fi\n", out);
	}
}

void help_man(FILE *out)
{
	fputs(".TH TMUX\\-CLAUDE 1 \"\" \"tmux\\-claude " PACKAGE_VERSION "\" \"User Commands\"\n"
	      ".SH NAME\ntmux\\-claude \\- run coding agents, each in a VM of its own, seen through tmux\n"
	      ".SH SYNOPSIS\n.B tmux\\-claude\n[\\fB\\-\\-socket\\fR \\fIPATH\\fR] [\\fB\\-\\-json\\fR] "
	      "[\\fB\\-\\-no\\-start\\fR] \\fIVERB\\fR ...\n"
	      ".SH DESCRIPTION\n"
	      "Each agent runs in a place of its own, a VM unless told otherwise, and is seen through a tmux\n"
	      "pane. A daemon, which is started when it is needed, holds the fleet; agents outlive it.\n"
	      ".SH OPTIONS\nOf every verb:\n"
	      ".TP\n\\fB\\-\\-json\\fR\nThe result alone on standard output, as JSON; an error as an object "
	      "with code, message, hint and retryable.\n"
	      ".TP\n\\fB\\-\\-socket\\fR \\fIPATH\\fR\nThe daemon's socket; never starts a daemon.\n"
	      ".TP\n\\fB\\-\\-no\\-start\\fR\nDo not start the daemon when it does not run.\n"
	      ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nHelp, of the verb when one is named.\n"
	      ".SH VERBS\n",
		out);
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (!(method_table[i].flags & M_API))
			verb(out, &method_table[i]);
	fputs(".SH \"EXIT STATUS\"\n0 done, 1 refused or failed, 2 wrong usage, 3 the daemon cannot be "
	      "reached.\n\\fBexec\\fR returns the command's own status, 125 when the failure is ours.\n"
	      ".SH ENVIRONMENT\n"
	      ".TP\n.B TMUX_CLAUDE_HOME\nOne folder for everything: config, state, templates, sockets.\n"
	      ".TP\n.B TMUX_CLAUDE_SOCKET\nThe socket of the instance that the command runs in.\n"
	      ".TP\n.B TMUX_CLAUDE_\\fIOPTION\\fR\nAn option of the config file.\n"
	      ".TP\n.B NO_COLOR\nNo colours.\n"
	      ".SH FILES\n.TP\n.I ~/.config/tmux\\-claude/config\nThe options; "
	      "\\fBtmux\\-claude config show\\fR lists them.\n"
	      ".SH \"SEE ALSO\"\n.BR tmux (1)\n",
		out);
}
