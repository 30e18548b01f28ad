/* SPDX-License-Identifier: ISC */
/*
 * Agent programs of the user's own: `name = value` lines, as in the config file. Words stand apart by blanks; quotes
 * hold them together. A pattern between slashes is a regular expression; back-references are refused, since with
 * them matching may take for ever, and what is matched is an agent's to choose.
 */
#include "ipc/agentconf.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>

#include "base/util.h"

#define NAMES_MAX 256
#define PATTERN_MAX 1024
#define SCREEN_MATCH_MAX (64 * 1024)

const struct agent_builtin agent_builtins[] = {
	{"claude", "Claude Code", "claude_path"},
	{"codex", "OpenAI's Codex", "codex_path"},
	{"opencode", "OpenCode", "opencode_path"},
	{"shell", "a login shell, or any program given after --", NULL},
};
const int agent_builtins_count = ARRAY_LEN(agent_builtins);

int agentconf_name_check(const char *name, struct err *e)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

	if (!n || name[n] || n > 31 || name[0] == '-')
		return err_set(e, ERR_PARAMS, "'%.64s' is no agent's name: 1 to 31 of a-z 0-9 _ -", name);
	for (size_t i = 0; i < ARRAY_LEN(agent_builtins); i++)
		if (!strcmp(agent_builtins[i].name, name))
			return err_set(e, ERR_PARAMS, "'%s' is built in, a file cannot take its place", name);
	return 0;
}

/* ---- values ---- */

int conf_words(const char *s, char ***ret, struct err *e)
{
	cleanup_strv char **v = strv_new();
	int n = 0;

	while (*s) {
		char quote = 0;
		s += strspn(s, " \t");
		if (!*s)
			break;
		if (++n > AGENTCONF_WORDS)
			return err_set(e, ERR_LIMIT, "more than %d words", AGENTCONF_WORDS);
		cleanup_free char *word = xcalloc(strlen(s) + 1, 1);
		char *to = word;
		for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
			if (quote ? *s == quote : *s == '"' || *s == '\'')
				quote = quote ? 0 : *s;
			else if (*s == '\\' && quote != '\'' && s[1])
				*to++ = *++s;
			else
				*to++ = *s;
		}
		if (quote)
			return err_set(e, ERR_PARAMS, "a %c is not closed", quote);
		strv_push(&v, word);
	}
	if (!n)
		return err_set(e, ERR_PARAMS, "the value is empty");
	strv_free(*ret);
	*ret = take_ptr(v);
	return 0;
}

static bool back_reference(const char *s)
{
	for (; *s; s++)
		if (*s == '\\' && s[1] && isdigit((unsigned char)*++s))
			return true;
	return false;
}

static int pattern(const char *s, struct agent_pattern *ret, struct err *e)
{
	size_t n = strlen(s);
	char why[128];
	int r;

	if (!n || n > PATTERN_MAX)
		return err_set(e, ERR_PARAMS, "the pattern is empty, or longer than %d bytes", PATTERN_MAX);
	if (n < 3 || s[0] != '/' || s[n - 1] != '/') {
		ret->text = xstrdup(s);
		return 0;
	}
	cleanup_free char *re = xasprintf("%.*s", (int)n - 2, s + 1);
	if (back_reference(re))
		return err_set(e, ERR_PARAMS, "a back-reference is not allowed in a pattern");
	r = regcomp(&ret->re, re, REG_EXTENDED | REG_NOSUB | REG_NEWLINE);
	if (r) {
		regerror(r, NULL, why, sizeof(why));
		return err_set(e, ERR_PARAMS, "the regular expression is wrong: %s", why);
	}
	ret->text = take_ptr(re);
	ret->regex = true;
	return 0;
}

bool agent_pattern_in(const struct agent_pattern *p, const char *screen)
{
	if (!p->text)
		return false;
	if (!p->regex)
		return strstr(screen, p->text) != NULL;
	cleanup_free char *bounded = strndup(screen, SCREEN_MATCH_MAX);
	return bounded && regexec(&p->re, bounded, 0, NULL, 0) == 0;
}

static int idle(struct agentconf *c, const char *s, struct err *e)
{
	if (!strcmp(s, "quiet"))
		c->idle = IDLE_QUIET;
	else if (!strcmp(s, "ready"))
		c->idle = IDLE_READY;
	else if (!strcmp(s, "marks"))
		c->idle = IDLE_MARKS;
	else if (str_starts(s, "title ") && s[6]) {
		c->idle = IDLE_TITLE;
		c->idle_title = xstrdup(s + 6);
	} else {
		return err_set(e, ERR_PARAMS, "idle is one of: quiet, ready, marks, title PREFIX");
	}
	return 0;
}

static int environment(struct agentconf *c, const char *s, struct err *e)
{
	const char *eq = strchr(s, '=');

	if (!eq || eq == s || strcspn(s, " \t") < (size_t)(eq - s))
		return err_set(e, ERR_PARAMS, "env is NAME=VALUE");
	strv_push(&c->env, s);
	return 0;
}

/* ---- lines ---- */

enum key { K_SUMMARY, K_ARGV, K_RESUME, K_MODEL, K_ALL, K_ASK, K_PLAN, K_INTERRUPT, K_READY, K_BUSY, K_IDLE, K_ENV, K_COUNT };
static const char *const keys[K_COUNT] = {"summary", "argv", "resume", "model", "all", "ask", "plan", "interrupt", "ready",
	"busy", "idle", "env"};

static int take(struct agentconf *c, enum key k, const char *value, struct err *e)
{
	switch (k) {
	case K_SUMMARY:
		c->summary = xstrdup(value);
		return 0;
	case K_ARGV:
		return conf_words(value, &c->argv, e);
	case K_RESUME:
		return conf_words(value, &c->resume, e);
	case K_MODEL:
		return conf_words(value, &c->model, e);
	case K_ALL:
	case K_ASK:
	case K_PLAN:
		return conf_words(value, &c->permissions[k - K_ALL], e);
	case K_INTERRUPT:
		return conf_words(value, &c->interrupt, e);
	case K_READY:
		return pattern(value, &c->ready, e);
	case K_BUSY:
		return pattern(value, &c->busy, e);
	case K_IDLE:
		return idle(c, value, e);
	case K_ENV:
		return environment(c, value, e);
	case K_COUNT:
		break;
	}
	return -1;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n && strchr(" \t\r", s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

static int line(struct agentconf *c, char *s, unsigned *seen, struct err *e)
{
	char *eq, *name;
	int k = 0;

	s = trim(s);
	if (!*s || *s == '#')
		return 0;
	eq = strchr(s, '=');
	if (!eq)
		return err_set(e, ERR_PARAMS, "'%.60s' has no '='", s);
	*eq = '\0';
	name = trim(s);
	while (k < K_COUNT && strcmp(keys[k], name) != 0)
		k++;
	if (k == K_COUNT)
		return err_set(e, ERR_PARAMS, "there is no '%.60s' here", name);
	if (seen[k]++ && k != K_ENV)
		return err_set(e, ERR_PARAMS, "%s is set a second time", name);
	s = trim(eq + 1);
	for (const char *p = s; *p; p++)
		if (iscntrl((unsigned char)*p) && *p != '\t')
			return err_set(e, ERR_PARAMS, "the value contains a control character");
	return take(c, (enum key)k, s, e) < 0 ? err_prefix(e, "%s", name) : 0;
}

int agentconf_parse(const char *name, char *text, struct agentconf **ret, struct err *e)
{
	struct agentconf *c = xcalloc(1, sizeof(*c));
	unsigned seen[K_COUNT] = {0};
	int number = 1, r = 0;

	c->name = xstrdup(name);
	c->env = strv_new();
	for (char *at = text, *next; r == 0 && at; at = next, number++) {
		next = strchr(at, '\n');
		if (next)
			*next++ = '\0';
		r = line(c, at, seen, e);
		if (r < 0)
			err_prefix(e, "line %d", number);
	}
	if (r == 0 && !c->argv)
		r = err_set(e, ERR_PARAMS, "line %d: argv is missing: what is to be run?", number - 1);
	if (r == 0 && c->idle == IDLE_READY && !c->ready.text)
		r = err_set(e, ERR_PARAMS, "line %d: idle = ready wants a pattern `ready`", number - 1);
	if (r < 0) {
		agentconf_free(c);
		return -1;
	}
	if (c->ready.text && !seen[K_IDLE])
		c->idle = IDLE_READY;
	if (!c->interrupt) {
		c->interrupt = strv_new();
		strv_push(&c->interrupt, "C-c");
	}
	*ret = c;
	return 0;
}

static void pattern_free(struct agent_pattern *p)
{
	if (p->regex)
		regfree(&p->re);
	free(p->text);
}

void agentconf_free(struct agentconf *c)
{
	if (!c)
		return;
	free(c->name);
	free(c->summary);
	free(c->idle_title);
	strv_free(c->argv);
	strv_free(c->resume);
	strv_free(c->env);
	strv_free(c->model);
	strv_free(c->interrupt);
	for (size_t i = 0; i < ARRAY_LEN(c->permissions); i++)
		strv_free(c->permissions[i]);
	pattern_free(&c->ready);
	pattern_free(&c->busy);
	free(c);
}

/* ---- files ---- */

char *agentconf_dir(const char *config_file)
{
	const char *slash = strrchr(config_file, '/');

	return xasprintf("%.*s/" AGENTCONF_DIR, slash ? (int)(slash - config_file) : 1, slash ? config_file : ".");
}

int agentconf_load(const char *dir, const char *name, struct agentconf **ret, struct err *e)
{
	cleanup_free char *file = xasprintf("%s/%s.conf", dir, name), *text = NULL;
	struct stat st;
	size_t len;

	if (agentconf_name_check(name, e) < 0)
		return err_prefix(e, "%s", file);
	if (stat(file, &st) < 0)
		return err_set(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO, "cannot read %s", file);
	/* Who may write it decides what we run. */
	if ((st.st_uid != geteuid() && st.st_uid != 0) || st.st_mode & 022) {
		err_set(e, ERR_DENIED, "%s is another's, or may be written by others", file);
		return err_hint(e, "chown it to yourself, chmod go-w");
	}
	if (file_read(file, AGENTCONF_MAX, &text, &len, e) < 0)
		return -1;
	if (strlen(text) != len || !utf8_valid(text, len))
		return err_set(e, ERR_PARAMS, "%s is not a text file in UTF-8", file);
	return agentconf_parse(name, text, ret, e) < 0 ? err_prefix(e, "%s", file) : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

char **agentconf_names(const char *dir)
{
	char **v = strv_new();
	DIR *d = opendir(dir);
	size_t n = 0;

	for (struct dirent *f; d && n < NAMES_MAX && (f = readdir(d));) {
		size_t len = strlen(f->d_name);
		if (f->d_name[0] == '.' || len < 6 || strcmp(f->d_name + len - 5, ".conf") != 0)
			continue;
		cleanup_free char *name = xasprintf("%.*s", (int)len - 5, f->d_name);
		strv_push(&v, name);
		n++;
	}
	if (d)
		closedir(d);
	qsort(v, n, sizeof(*v), by_name);
	return v;
}
