/* SPDX-License-Identifier: ISC */
/* Quoting for tmux's command parser; quote.h has the rules. */
#include "daemon/tmux/quote.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "daemon/tmux/parse.h"

void tmux_cmd_init(struct tmux_cmd *c)
{
	memset(c, 0, sizeof(*c));
	buf_init(&c->line, TMUX_LINE_MAX);
}

void tmux_cmd_finish(struct tmux_cmd *c)
{
	buf_finish(&c->line);
}

static void put(struct tmux_cmd *c, const void *data, size_t len)
{
	if (!c->failed && buf_append(&c->line, data, len) < 0)
		c->failed = true;
}

static bool must_escape(unsigned char b)
{
	return b < 32 || b == 127 || b == 255 || b == '"' || b == '\\' || b == '$' || b == '~';
}

static void put_quoted(struct tmux_cmd *c, const char *arg, bool format)
{
	size_t plain = 0, len = strlen(arg);

	put(c, " \"", 2);
	for (size_t i = 0; i < len; i++) {
		unsigned char b = (unsigned char)arg[i];
		char esc[4] = {'\\', (char)('0' + (b >> 6)), (char)('0' + (b >> 3 & 7)),
			(char)('0' + (b & 7))};

		if (!must_escape(b) && !(format && b == '#'))
			continue;
		put(c, arg + plain, i - plain);
		plain = i + 1;
		if (b == '#')
			put(c, "##", 2);
		else
			put(c, esc, sizeof(esc));
	}
	put(c, arg + plain, len - plain);
	put(c, "\"", 1);
}

void tmux_cmd_add(struct tmux_cmd *c, const char *literal)
{
	if (c->commands++ > 0)
		put(c, " ; ", 3);
	put(c, literal, strlen(literal));
}

void tmux_cmd_word(struct tmux_cmd *c, const char *literal)
{
	put(c, " ", 1);
	put(c, literal, strlen(literal));
}

void tmux_cmd_arg(struct tmux_cmd *c, const char *arg)
{
	put_quoted(c, arg, false);
}

void tmux_cmd_argf(struct tmux_cmd *c, const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		abort();
	va_end(ap);
	tmux_cmd_arg(c, s);
	free(s);
}

void tmux_cmd_format_arg(struct tmux_cmd *c, const char *arg)
{
	put_quoted(c, arg, true);
}

bool tmux_argv_ok(char *const *argv)
{
	if (argv == NULL || argv[0] == NULL || argv[0][0] == '\0')
		return false;
	return argv[1] != NULL || (strchr(argv[0], '=') == NULL && argv[0][0] != '-');
}

bool tmux_cmd_argv(struct tmux_cmd *c, char *const *argv)
{
	tmux_cmd_word(c, "--");
	if (!tmux_argv_ok(argv)) {
		c->failed = true;
		return false;
	}
	if (argv[1] == NULL)
		tmux_cmd_arg(c, "env");
	for (size_t i = 0; argv[i] != NULL; i++)
		tmux_cmd_arg(c, argv[i]);
	return !c->failed;
}

bool tmux_cmd_end(struct tmux_cmd *c)
{
	put(c, "\n", 1);
	return !c->failed && c->commands > 0;
}
