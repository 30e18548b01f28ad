/* SPDX-License-Identifier: ISC */
/*
 * A tmux configuration cut into commands and words, as tmux's own lexer does it (tmux(1), PARSING SYNTAX), as far
 * as that is needed for what is taken: what uses variables, blocks or conditions is left.
 */
#include "ipc/tmuxconf.h"

#include <string.h>

#include "base/util.h"

#define TEXT_MAX 120 /* of a line that is left, as it is said */
#define WORDS_MAX 32

struct lexer {
	const char *at, *end;
	int line;
	const char *why; /* the command cannot be read */
	char word[TMUXCONF_WORD_MAX + 1];
	size_t len;
	bool quoted; /* something of the word stood in quotes */
};

enum token { T_WORD, T_SEMICOLON, T_LINE, T_END };

static int peek(const struct lexer *x)
{
	return x->at < x->end ? (unsigned char)*x->at : -1;
}

static void add(struct lexer *x, char c)
{
	if (x->len < TMUXCONF_WORD_MAX)
		x->word[x->len++] = c;
	else
		x->why = "a word in it is too long";
}

/* Behind a backslash; a line that ends with one goes on. */
static void escaped(struct lexer *x, bool in_quotes)
{
	int c = peek(x);

	if (c < 0)
		return;
	x->at++;
	if (c == '\n')
		x->line++;
	else if (in_quotes && !strchr("\"\\$;#~", c))
		x->why = "it has an escape that is not taken";
	else
		add(x, (char)c);
}

static void quoted(struct lexer *x, char quote)
{
	int c;

	x->quoted = true;
	while ((c = peek(x)) >= 0 && c != quote) {
		x->at++;
		if (c == '\n') {
			x->line++;
			x->why = "a quote in it runs over lines";
		}
		if (quote == '"' && c == '\\')
			escaped(x, true);
		else if (quote == '"' && c == '$')
			x->why = "it uses a variable";
		else
			add(x, (char)c);
	}
	if (c < 0)
		x->why = "a quote in it has no end";
	else
		x->at++;
}

static void skip_comment(struct lexer *x)
{
	while (peek(x) >= 0 && peek(x) != '\n')
		x->at++;
}

static bool skip_blanks(struct lexer *x)
{
	for (;;) {
		int c = peek(x);

		if (c == ' ' || c == '\t' || c == '\r') {
			x->at++;
		} else if (c == '\\' && x->at + 1 < x->end && x->at[1] == '\n') {
			x->at += 2;
			x->line++;
		} else {
			return c >= 0;
		}
	}
}

static void plain(struct lexer *x, int c)
{
	x->at++;
	if (c == '\\')
		escaped(x, false);
	else if (c == '"' || c == '\'')
		quoted(x, (char)c);
	else if (c == '$' || (c == '~' && x->len == 0))
		x->why = "it uses a variable";
	else if ((c == '{' || c == '}') && x->len == 0)
		x->why = "it has a block of commands";
	else
		add(x, (char)c);
}

static enum token next(struct lexer *x)
{
	int c;

	x->len = 0;
	x->quoted = false;
	if (!skip_blanks(x))
		return T_END;
	c = peek(x);
	if (c == '#')
		skip_comment(x), c = peek(x);
	if (c < 0)
		return T_END;
	if (c == '\n' || c == ';') {
		x->at++;
		x->line += c == '\n';
		return c == '\n' ? T_LINE : T_SEMICOLON;
	}
	while ((c = peek(x)) >= 0 && (c == '\0' || !strchr(" \t\r\n;", c)))
		plain(x, c);
	x->word[x->len] = '\0';
	if (strlen(x->word) != x->len || !utf8_valid(x->word, x->len))
		x->why = "it is no text";
	return T_WORD;
}

static void leave(struct tmuxconf *c, int line, const char *from, size_t len, const char *why)
{
	struct tmuxconf_left *l;

	while (len > 0 && strchr(" \t\r\n", from[len - 1]))
		len--;
	if (len > TEXT_MAX)
		len = TEXT_MAX;
	while (len > 0 && !utf8_valid(from, len) && len > TEXT_MAX - 4)
		len--;
	c->left = xrealloc(c->left, (c->nleft + 1) * sizeof(*c->left));
	l = &c->left[c->nleft++];
	l->line = line;
	l->text = xstrndup(from, len);
	l->why = xstrdup(why);
}

static void take(struct tmuxconf *c, char **words)
{
	c->commands = xrealloc(c->commands, (c->ncommands + 2) * sizeof(*c->commands));
	c->commands[c->ncommands++] = words;
	c->commands[c->ncommands] = NULL;
}

/* Judges what was collected. */
static void finish(struct tmuxconf *c, struct lexer *x, char *const *words, int line, const char *from)
{
	const char *why = x->why;
	char **taken = NULL;

	if (!why && strv_len(words) > 0)
		taken = tmuxconf_judge(words, &why);
	if (taken)
		take(c, taken);
	else if (why)
		leave(c, line, from, (size_t)(x->at - from), why);
	x->why = NULL;
}

void tmuxconf_parse(const char *text, size_t len, struct tmuxconf *ret)
{
	struct lexer x = {.at = text, .end = text + len, .line = 1};
	enum token t = T_LINE;

	memset(ret, 0, sizeof(*ret));
	take(ret, NULL);
	ret->ncommands = 0;
	while (t != T_END) {
		cleanup_strv char **words = strv_new();
		int line;
		const char *from;

		skip_blanks(&x);
		from = x.at;
		line = x.line;
		if (ret->ncommands + ret->nleft >= TMUXCONF_COMMANDS_MAX) {
			leave(ret, line, from, 0, "the file has too many commands; from here on nothing was read");
			return;
		}
		while ((t = next(&x)) == T_WORD) {
			if (strv_len(words) >= WORDS_MAX)
				x.why = "it has too many words";
			else if (words[0] == NULL && !x.quoted && x.word[0] == '%')
				x.why = "it is a condition or a variable";
			else
				strv_push(&words, x.word);
		}
		finish(ret, &x, words, line, from);
	}
}

void tmuxconf_finish(struct tmuxconf *c)
{
	for (size_t i = 0; i < c->ncommands; i++)
		strv_free(c->commands[i]);
	for (size_t i = 0; i < c->nleft; i++) {
		free(c->left[i].text);
		free(c->left[i].why);
	}
	free(c->commands);
	free(c->left);
	memset(c, 0, sizeof(*c));
}
