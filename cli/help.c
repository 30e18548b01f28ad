/* SPDX-License-Identifier: ISC */
/* Help texts, made from the table. */
#include "cli/help.h"

#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/args.h"

#define USAGE_MAX 4096
#define WIDTH_MIN 60
#define WIDTH_MAX 100
#define HELP_COLUMN 30
#define VERB_COLUMN 21

static const struct group {
	const char *title;
	enum method_id ids[12];
	size_t n;
} groups[] = {
	{"Start and end agents",
		{METHOD_SPAWN, METHOD_FORK, METHOD_KILL, METHOD_RESTART, METHOD_SET, METHOD_RM, METHOD_RENAME, METHOD_LABEL}, 8},
	{"Work with them",
		{METHOD_SEND, METHOD_BROADCAST, METHOD_PROMPTS_LIST, METHOD_PROMPTS_SHOW, METHOD_PROMPTS_CANCEL, METHOD_READ,
			METHOD_WAIT, METHOD_ATTACH, METHOD_EXEC, METHOD_INTERRUPT},
		10},
	{"See what is sent later (send --at, --every, --when)",
		{METHOD_SCHEDULES_MAKE, METHOD_SCHEDULES_LIST, METHOD_SCHEDULES_SHOW, METHOD_SCHEDULES_CANCEL, METHOD_SCHEDULES_PAUSE,
			METHOD_SCHEDULES_RESUME},
		6},
	{"Answer what they ask",
		{METHOD_ATTENTION_LIST, METHOD_ATTENTION_ACK, METHOD_NOTIFY_STATUS, METHOD_NOTIFY_TEST, METHOD_APPROVALS_LIST, METHOD_APPROVALS_SHOW, METHOD_APPROVALS_APPROVE, METHOD_APPROVALS_DENY,
			METHOD_APPROVALS_LEAVE,
			METHOD_APPROVALS_ANSWER, METHOD_APPROVALS_GRANTS, METHOD_APPROVALS_REVOKE},
		12},
	{"Bound what they may spawn and spend", {METHOD_CAP_SHOW, METHOD_CAP_SET, METHOD_USAGE}, 3},
	{"Look at them", {METHOD_LIST, METHOD_SHOW, METHOD_TRANSCRIPT, METHOD_EVENTS, METHOD_AUDIT, METHOD_LOGS, METHOD_REPLAY}, 7},
	{"VM templates and the agents' login",
		{METHOD_TEMPLATE_BUILD, METHOD_TEMPLATE_LIST, METHOD_TEMPLATE_REMOVE, METHOD_LOGIN}, 4},
	{"The programs that run", {METHOD_AGENTS_LIST, METHOD_AGENTS_SHOW, METHOD_SHELL_INTEGRATION}, 3},
	{"The database", {METHOD_DB_PATH, METHOD_DB_CHECK, METHOD_DB_BACKUP, METHOD_DB_RESTORE}, 4},
	{"The daemon and this machine",
		{METHOD_UP, METHOD_DOWN, METHOD_STATUS, METHOD_DOCTOR, METHOD_CONFIG_SHOW,
			METHOD_CONFIG_CHECK, METHOD_VERSION},
		7},
};

const char *help_group(enum method_id id)
{
	for (size_t g = 0; g < ARRAY_LEN(groups); g++)
		for (size_t i = 0; i < groups[g].n; i++)
			if (groups[g].ids[i] == id)
				return groups[g].title;
	return NULL;
}

static bool shown(const struct arg_def *a)
{
	return !(a->flags & A_API) && a->type != ARG_JSON;
}

char *help_usage(const struct method_def *m)
{
	cleanup_free char *verb = verb_words(m);
	bool options = false;
	struct buf b;

	buf_init(&b, USAGE_MAX);
	buf_printf(&b, "tmux-claude %s", verb);
	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!shown(a) || (a->flags & A_POS))
			continue;
		cleanup_free char *name = option_words(a);
		if (a->flags & A_REQUIRED)
			buf_printf(&b, " %s %s", name, a->metavar);
		else
			options = true;
	}
	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!shown(a) || !(a->flags & A_POS) || a->type == ARG_ARGV)
			continue;
		buf_printf(&b, a->flags & (A_REQUIRED | A_OR_SELECT) ? " %s" : " [%s]", a->metavar);
	}
	if (options)
		buf_printf(&b, " [OPTION...]");
	for (const struct arg_def *a = m->args; a->name; a++)
		if (shown(a) && a->type == ARG_ARGV)
			buf_printf(&b, a->flags & A_REQUIRED ? " -- %s..." : " [-- %s...]", a->metavar);
	char *s = xstrndup((char *)buf_data(&b), b.len);
	buf_finish(&b);
	return s;
}

/* Prints words from column on, wrapped at width; the first line already stands at column. */
static void wrapped(FILE *out, const char *text, int column, int width)
{
	int at = column;

	for (const char *p = text; *p;) {
		int len = (int)strcspn(p, " ");
		if (at > column && at + 1 + len > width) {
			fprintf(out, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", len, p);
		at += len;
		p += len;
		p += strspn(p, " ");
	}
	fputc('\n', out);
}

static void entry(FILE *out, const char *left, const char *text, int column, int width)
{
	int n = (int)strlen(left);

	fputs(left, out);
	if (n + 2 > column) {
		fputc('\n', out);
		n = 0;
	}
	fprintf(out, "%*s", column - n, "");
	wrapped(out, text, column, width);
}

static int usable(int width)
{
	if (width <= 0)
		return 80;
	return width < WIDTH_MIN ? WIDTH_MIN : width > WIDTH_MAX ? WIDTH_MAX : width;
}

static void print_option(FILE *out, const struct arg_def *a, int width)
{
	cleanup_free char *name = option_words(a);
	char shorts[8] = "    ";

	if (a->short_opt)
		str_fmt(shorts, sizeof(shorts), "-%c, ", a->short_opt);
	cleanup_free char *left = xasprintf("  %s%s%s%s", shorts, name, a->metavar ? " " : "",
		a->metavar ? a->metavar : "");
	entry(out, left, a->help, HELP_COLUMN, width);
}

static void print_arguments(FILE *out, const struct method_def *m, int width)
{
	bool any = false;

	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!shown(a) || !(a->flags & A_POS))
			continue;
		if (!any)
			fputs("\nArguments:\n", out);
		any = true;
		cleanup_free char *left =
			xasprintf("  %s%s", a->metavar, a->type == ARG_ARGV ? "..." : "");
		entry(out, left, a->help, HELP_COLUMN, width);
	}
	any = false;
	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!shown(a) || (a->flags & A_POS))
			continue;
		if (!any)
			fputs("\nOptions:\n", out);
		any = true;
		print_option(out, a, width);
	}
}

static void print_everywhere(FILE *out, int width)
{
	entry(out, "      --json", "the result alone on standard output, as JSON", HELP_COLUMN, width);
	entry(out, "      --socket PATH", "the daemon's socket; never starts a daemon", HELP_COLUMN, width);
	entry(out, "      --no-start", "do not start the daemon when it does not run", HELP_COLUMN, width);
	entry(out, "  -h, --help", "this text", HELP_COLUMN, width);
}

void help_verb(FILE *out, const struct method_def *m, int width)
{
	static const char mark[] = "Examples:\n";
	cleanup_free char *usage = help_usage(m);
	const char *examples = m->description ? strstr(m->description, mark) : NULL;
	size_t len = examples ? (size_t)(examples - m->description)
			      : m->description ? strlen(m->description)
					       : 0;

	width = usable(width);
	fprintf(out, "usage: %s\n\n%s.\n", usage, m->summary);
	if (len > 0) {
		cleanup_free char *text = xstrndup(m->description, len);
		for (char *p = text; *p; p++)
			*p = *p == '\n' ? ' ' : *p;
		fputc('\n', out);
		wrapped(out, text, 0, width);
	}
	print_arguments(out, m, width);
	fputs("\nOf every verb:\n", out);
	print_everywhere(out, width);
	if (examples)
		fprintf(out, "\n%s\n", examples);
}

void help_top(FILE *out, int width)
{
	width = usable(width);
	fputs("usage: tmux-claude [--socket PATH] [--json] [--no-start] VERB ...\n\n"
	      "Runs coding agents, each in a VM of its own, each seen through a tmux pane.\n",
		out);
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		fprintf(out, "\n%s:\n", groups[g].title);
		for (size_t i = 0; i < groups[g].n; i++) {
			const struct method_def *m = &method_table[groups[g].ids[i]];
			cleanup_free char *verb = verb_words(m), *left = xasprintf("  %s", verb);
			entry(out, left, m->summary, VERB_COLUMN, width);
		}
	}
	fputs("\nOptions:\n", out);
	print_everywhere(out, width);
	entry(out, "      --version", "the version", HELP_COLUMN, width);
	fputs("\nExamples:\n"
	      "  tmux-claude spawn fixer --prompt 'make the tests pass'\n"
	      "  tmux-claude attach fixer\n"
	      "  tmux-claude list --tree\n\n"
	      "`tmux-claude VERB --help` says more of each. Exit status: 0 done, 1 refused or failed,\n"
	      "2 wrong usage, 3 the daemon cannot be reached.\n",
		out);
}
