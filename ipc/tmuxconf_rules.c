/* SPDX-License-Identifier: ISC */
/* What is taken of a person's tmux configuration: options with the form of their values, and bindings. */
#include <ctype.h>
#include <string.h>

#include "base/util.h"
#include "ipc/tmuxconf.h"

enum form { F_CHOICE, F_NUMBER, F_KEY, F_STYLE, F_TEXT, F_FEATURES };

static const struct option_rule {
	const char *name, *scope;
	enum form form;
	const char *choices; /* of F_CHOICE, between blanks */
	int max;             /* of F_NUMBER */
} options[] = {
	{"prefix", "-gq", F_KEY, NULL, 0},
	{"prefix2", "-gq", F_KEY, NULL, 0},
	{"mode-keys", "-gwq", F_CHOICE, " vi emacs ", 0},
	{"status-keys", "-gq", F_CHOICE, " vi emacs ", 0},
	{"mouse", "-gq", F_CHOICE, " on off ", 0},
	{"status", "-gq", F_CHOICE, " on off ", 0},
	{"status-position", "-gq", F_CHOICE, " top bottom ", 0},
	{"status-justify", "-gq", F_CHOICE, " left centre right ", 0},
	{"status-style", "-gq", F_STYLE, NULL, 0},
	{"status-bg", "-gq", F_STYLE, NULL, 0},
	{"status-fg", "-gq", F_STYLE, NULL, 0},
	{"status-left-style", "-gq", F_STYLE, NULL, 0},
	{"status-right-style", "-gq", F_STYLE, NULL, 0},
	{"message-style", "-gq", F_STYLE, NULL, 0},
	{"message-command-style", "-gq", F_STYLE, NULL, 0},
	{"display-panes-colour", "-gq", F_STYLE, NULL, 0},
	{"display-panes-active-colour", "-gq", F_STYLE, NULL, 0},
	{"mode-style", "-gwq", F_STYLE, NULL, 0},
	{"copy-mode-match-style", "-gwq", F_STYLE, NULL, 0},
	{"copy-mode-current-match-style", "-gwq", F_STYLE, NULL, 0},
	{"copy-mode-mark-style", "-gwq", F_STYLE, NULL, 0},
	{"pane-border-style", "-gwq", F_STYLE, NULL, 0},
	{"pane-active-border-style", "-gwq", F_STYLE, NULL, 0},
	{"pane-border-lines", "-gwq", F_CHOICE, " single double heavy simple number ", 0},
	{"window-style", "-gwq", F_STYLE, NULL, 0},
	{"window-active-style", "-gwq", F_STYLE, NULL, 0},
	{"window-status-style", "-gwq", F_STYLE, NULL, 0},
	{"window-status-current-style", "-gwq", F_STYLE, NULL, 0},
	{"window-status-last-style", "-gwq", F_STYLE, NULL, 0},
	{"clock-mode-colour", "-gwq", F_STYLE, NULL, 0},
	{"clock-mode-style", "-gwq", F_CHOICE, " 12 24 ", 0},
	{"base-index", "-gq", F_NUMBER, NULL, 1000},
	{"pane-base-index", "-gwq", F_NUMBER, NULL, 1000},
	{"renumber-windows", "-gq", F_CHOICE, " on off ", 0},
	{"display-time", "-gq", F_NUMBER, NULL, 60000},
	{"display-panes-time", "-gq", F_NUMBER, NULL, 60000},
	{"repeat-time", "-gq", F_NUMBER, NULL, 10000},
	{"escape-time", "-sq", F_NUMBER, NULL, 1000},
	{"wrap-search", "-gwq", F_CHOICE, " on off ", 0},
	{"word-separators", "-gq", F_TEXT, NULL, 0},
	{"visual-bell", "-gq", F_CHOICE, " on off both ", 0},
	{"bell-action", "-gq", F_CHOICE, " any none current other ", 0},
	/* "on" would let what runs in panes reach the clipboard. */
	{"set-clipboard", "-sq", F_CHOICE, " external off ", 0},
	{"terminal-features", "-asq", F_FEATURES, NULL, 0},
	{"terminal-overrides", "-asq", F_FEATURES, NULL, 0},
};

/* Commands that a key may be bound to; flags as they may be given, words that may follow. */
static const struct command_rule {
	const char *name, *alias, *flags;
	int numbers;
} commands[] = {
	{"select-pane", "selectp", "LRUDlZt:", 0},
	{"resize-pane", "resizep", "LRUDZ", 1},
	{"swap-pane", "swapp", "UDdZ", 0},
	{"rotate-window", "rotatew", "UDZ", 0},
	{"split-window", "splitw", "hvbf", 0},
	{"new-window", "neww", "a", 0},
	{"select-window", "selectw", "lnpt:", 0},
	{"next-window", "next", "", 0},
	{"previous-window", "prev", "", 0},
	{"last-window", "last", "", 0},
	{"last-pane", "lastp", "Z", 0},
	{"next-layout", "nextl", "", 0},
	{"previous-layout", "prevl", "", 0},
	{"copy-mode", NULL, "ueM", 0},
	{"paste-buffer", "pasteb", "p", 0},
	{"send-prefix", NULL, "2", 0},
	{"detach-client", "detach", "", 0},
	{"display-panes", "displayp", "", 0},
	{"clock-mode", NULL, "", 0},
};

/* Of copy mode; none of those that give the selection to a program. */
static const char copy_commands[] =
	" append-selection append-selection-and-cancel back-to-indentation begin-selection bottom-line cancel "
	"clear-selection copy-end-of-line copy-end-of-line-and-cancel copy-line copy-line-and-cancel copy-selection "
	"copy-selection-and-cancel copy-selection-no-clear cursor-down cursor-down-and-cancel cursor-left cursor-right "
	"cursor-up end-of-line halfpage-down halfpage-down-and-cancel halfpage-up history-bottom history-top jump-again "
	"jump-reverse jump-to-mark middle-line next-matching-bracket next-paragraph next-space next-space-end next-word "
	"next-word-end other-end page-down page-down-and-cancel page-up previous-matching-bracket previous-paragraph "
	"previous-space previous-word rectangle-off rectangle-on rectangle-toggle scroll-down scroll-down-and-cancel "
	"scroll-up search-again search-reverse select-line select-word set-mark start-of-line stop-selection "
	"toggle-position top-line ";

static const char key_names[] =
	" Up Down Left Right Home End PageUp PPage PgUp PageDown NPage PgDn Enter Escape Tab BTab BSpace Space IC Insert "
	"DC Delete F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 F11 F12 "
	"MouseDown1Pane MouseDown2Pane MouseDown3Pane MouseUp1Pane MouseDrag1Pane MouseDragEnd1Pane WheelUpPane "
	"WheelDownPane DoubleClick1Pane TripleClick1Pane MouseDown1Status MouseDrag1Border ";

static bool listed(const char *word, const char *words)
{
	size_t n = strlen(word);

	if (n == 0 || strchr(word, ' '))
		return false;
	for (const char *w = words; (w = strstr(w, word)) != NULL; w++)
		if (w > words && w[-1] == ' ' && w[n] == ' ')
			return true;
	return false;
}

/* ---- values ---- */

static bool is_key(const char *s)
{
	if (s[0] == '^' && s[1] != '\0')
		s++;
	while ((s[0] == 'C' || s[0] == 'M' || s[0] == 'S') && s[1] == '-' && s[2] != '\0')
		s += 2;
	return (isgraph((unsigned char)s[0]) && s[1] == '\0') || listed(s, key_names);
}

static bool is_style(const char *s)
{
	for (; *s; s++) {
		if (*s == '#') {
			for (int i = 1; i <= 6; i++)
				if (!isxdigit((unsigned char)s[i]))
					return false;
			s += 6;
		} else if (!isalnum((unsigned char)*s) && !strchr("=, _-", *s)) {
			return false;
		}
	}
	return true;
}

/* Names and switches only: with '=' would come strings that are sent to the terminal. */
static bool is_features(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr(":*,-.", *s))
			return false;
	return true;
}

static bool is_text(const char *s)
{
	for (; *s; s++)
		if (!isprint((unsigned char)*s) || *s == '#')
			return false;
	return true;
}

static bool fits(const struct option_rule *r, const char *value)
{
	int64_t number;

	switch (r->form) {
	case F_CHOICE:
		return listed(value, r->choices);
	case F_NUMBER:
		return str_to_i64(value, 0, r->max, &number) == 0;
	case F_KEY:
		return is_key(value) || strcmp(value, "None") == 0;
	case F_STYLE:
		return is_style(value);
	case F_TEXT:
		return is_text(value);
	case F_FEATURES:
		return is_features(value);
	}
	return false;
}

/* ---- commands ---- */

static bool is_word(const char *word, const char *a, const char *b, const char *c, const char *d)
{
	return strcmp(word, a) == 0 || (b && strcmp(word, b) == 0) || (c && strcmp(word, c) == 0) ||
	       (d && strcmp(word, d) == 0);
}

static char **judge_set(char *const *w, const char **why)
{
	char **out;

	for (w++; *w && (*w)[0] == '-'; w++)
		if (strspn(*w + 1, "agoqsw") != strlen(*w + 1)) {
			*why = "only -a, -g, -o, -q, -s and -w of set-option are taken";
			return NULL;
		}
	if (!w[0] || !w[1] || w[2]) {
		*why = "it does not name one option and its value";
		return NULL;
	}
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, w[0]) != 0)
			continue;
		if (!fits(&options[i], w[1])) {
			*why = "this value of the option is not taken";
			return NULL;
		}
		out = strv_new();
		strv_push(&out, "set-option");
		strv_push(&out, options[i].scope);
		strv_push(&out, w[0]);
		strv_push(&out, w[1]);
		return out;
	}
	*why = "the option is none of those that are taken";
	return NULL;
}

static bool is_target(const char *s)
{
	return strlen(s) <= 16 && strspn(s, ":.=+-!^$0123456789{}abcdefghijklmnopqrstuvwxyz") == strlen(s);
}

/* Flags and words as the rule has them. */
static bool command_fits(const struct command_rule *r, char *const *w)
{
	int numbers = 0;
	int64_t n;

	for (; *w; w++) {
		if ((*w)[0] == '-' && (*w)[1] == 't' && strstr(r->flags, "t:")) {
			const char *target = (*w)[2] ? *w + 2 : *++w;

			if (!target || !is_target(target))
				return false;
		} else if ((*w)[0] == '-' && (*w)[1]) {
			for (const char *f = *w + 1; *f; f++)
				if (!strchr(r->flags, *f) || *f == ':' || *f == 't')
					return false;
		} else if (numbers++ >= r->numbers || str_to_i64(*w, 0, 1000, &n) < 0) {
			return false;
		}
	}
	return true;
}

static bool copy_fits(char *const *w)
{
	int64_t n;

	if (*w && strcmp(*w, "-N") == 0 && w[1] && str_to_i64(w[1], 0, 1000, &n) == 0)
		w += 2;
	if (!*w || strcmp(*w, "-X") != 0)
		return false;
	w++;
	if (*w && strcmp(*w, "-N") == 0 && w[1] && str_to_i64(w[1], 0, 1000, &n) == 0)
		w += 2;
	return w[0] && !w[1] && listed(w[0], copy_commands);
}

static bool binding_fits(char *const *w, const char **why)
{
	*why = "what the key would do is not taken";
	if (!*w)
		return false;
	if (is_word(*w, "send-keys", "send", NULL, NULL)) {
		for (char *const *a = w + 1; *a; a++)
			if (strstr(*a, "pipe"))
				*why = "it would run a program";
		return copy_fits(w + 1);
	}
	if (is_word(*w, "run-shell", "run", "if-shell", "if") || is_word(*w, "source-file", "source", "pipe-pane", NULL))
		*why = "it would run a program or read a file";
	for (char *const *a = w; *a; a++)
		if (strcmp(*a, ";") == 0)
			*why = "of several commands on one key none is taken";
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (is_word(*w, commands[i].name, commands[i].alias, NULL, NULL))
			return command_fits(&commands[i], w + 1);
	return false;
}

static bool is_table(const char *s)
{
	return is_word(s, "root", "prefix", "copy-mode", "copy-mode-vi");
}

/* bind-key and unbind-key: -n, -r, -T table, -N note (dropped), then the key and what it does. */
static char **judge_bind(char *const *w, bool bind, const char **why)
{
	char **out = strv_new();

	strv_push(&out, bind ? "bind-key" : "unbind-key");
	for (w++; *w && (*w)[0] == '-' && (*w)[1]; w++) {
		if (strcmp(*w, "-n") == 0 || (bind && is_word(*w, "-r", "-nr", "-rn", NULL))) {
			strv_push(&out, *w);
		} else if (strcmp(*w, "-T") == 0 && w[1] && is_table(w[1])) {
			strv_push(&out, "-T");
			strv_push(&out, *++w);
		} else if (bind && strcmp(*w, "-N") == 0 && w[1]) {
			w++;
		} else {
			*why = strcmp(*w, "-T") == 0 ? "only keys of root, prefix and copy mode are taken"
						      : "this flag is not taken";
			strv_free(out);
			return NULL;
		}
	}
	*why = "it names no key that is known here";
	if (!*w || !is_key(*w) || (!bind && w[1]) || (bind && !binding_fits(w + 1, why))) {
		strv_free(out);
		return NULL;
	}
	for (; *w; w++)
		strv_push(&out, *w);
	return out;
}

char **tmuxconf_judge(char *const *w, const char **why)
{
	if (is_word(w[0], "set-option", "set", "set-window-option", "setw"))
		return judge_set(w, why);
	if (is_word(w[0], "bind-key", "bind", NULL, NULL))
		return judge_bind(w, true, why);
	if (is_word(w[0], "unbind-key", "unbind", NULL, NULL))
		return judge_bind(w, false, why);
	if (is_word(w[0], "run-shell", "run", "if-shell", "if") || is_word(w[0], "source-file", "source", NULL, NULL))
		*why = "it would run a program or read a file";
	else if (strcmp(w[0], "set-hook") == 0)
		*why = "it would be run by events";
	else
		*why = "only set-option, bind-key and unbind-key are taken";
	return NULL;
}
