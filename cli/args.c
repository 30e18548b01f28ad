/* SPDX-License-Identifier: ISC */
/*
 * The command line of one verb, read by its row in the table. Options and positionals may be mixed;
 * `--` ends the options: what follows is the ARGV of rows that have one, positionals otherwise.
 */
#include <string.h>

#include "base/util.h"
#include "cli/args_int.h"
#include "cli/help.h"
#include "cli/suggest.h"
#include "cli/text.h"

#define OPTIONS_MAX 64

static const char *const global_names[] = {"--json", "--no-start", "--socket", "--help", "--version"};

int globals_parse(char *const *argv, int *at, struct globals *g, struct err *e)
{
	const char *word = argv[*at];

	if (strcmp(word, "--json") == 0) {
		g->json = true;
	} else if (strcmp(word, "--no-start") == 0) {
		g->no_start = true;
	} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		g->help = true;
	} else if (strcmp(word, "--version") == 0) {
		g->version = true;
	} else if (strcmp(word, "--socket") == 0) {
		if (!argv[*at + 1])
			return err_set(e, ERR_PARAMS, "--socket needs a PATH");
		g->socket = argv[++*at];
	} else if (str_starts(word, "--socket=")) {
		g->socket = word + strlen("--socket=");
	} else {
		return 0;
	}
	if (g->socket && !g->socket[0])
		return err_set(e, ERR_PARAMS, "--socket needs a PATH");
	++*at;
	return 1;
}

/* One verb's command line while it is read. */
struct reader {
	const struct method_def *m;
	struct globals *g;
	char *const *argv;
	int at;
	json_t *params, *local;
	const struct arg_def *positional; /* the next one to be filled */
	struct err *e;
};

static bool on_command_line(const struct arg_def *a)
{
	return !(a->flags & A_API) && a->type != ARG_JSON;
}

static bool is_option(const struct arg_def *a)
{
	return on_command_line(a) && !(a->flags & A_POS);
}

static json_t *home_of(struct reader *r, const struct arg_def *a)
{
	return a->flags & A_CLI ? r->local : r->params;
}

static int give(struct reader *r, const struct arg_def *a, const char *s)
{
	json_t *home = home_of(r, a), *have = json_object_get(home, a->name), *v;

	if (a->type == ARG_KV || a->type == ARG_COUNTS) {
		if (!have) {
			json_object_set_new(home, a->name, json_object());
			have = json_object_get(home, a->name);
		}
		return arg_add_pair(a, have, s, r->e);
	}
	if (a->type == ARG_STRINGS || a->type == ARG_WORDS || a->type == ARG_LABELS || a->type == ARG_CHANGES ||
		a->type == ARG_ARGV) {
		v = arg_text(a, s, r->e);
		if (!v)
			return -1;
		if (!have)
			json_object_set_new(home, a->name, json_array());
		return json_array_append_new(json_object_get(home, a->name), v);
	}
	if (have && a->type != ARG_BOOL) {
		cleanup_free char *name = arg_called(a);
		return err_set(r->e, ERR_PARAMS, "%s is given twice", name);
	}
	v = arg_scalar(a, s, r->e);
	return v ? json_object_set_new(home, a->name, v) : -1;
}

static int unknown_option(struct reader *r, const char *word, size_t len)
{
	char *names[OPTIONS_MAX] = {0};
	size_t n = 0;
	cleanup_free char *given = xstrndup(word, len), *safe = text_escape(given, false);
	cleanup_free char *verb = verb_words(r->m);

	for (const struct arg_def *a = r->m->args; a->name && n < OPTIONS_MAX - ARRAY_LEN(global_names); a++)
		if (is_option(a))
			names[n++] = option_words(a);
	size_t own = n;
	for (size_t i = 0; i < ARRAY_LEN(global_names); i++)
		names[n++] = (char *)global_names[i];
	err_set(r->e, ERR_PARAMS, "%s has no option '%.60s'", verb, safe);
	const char *near = strlen(given) > 2 ? suggest(given, (const char *const *)names, n) : NULL;
	if (near)
		err_hint(r->e, "did you mean %s?", near);
	else
		err_hint(r->e, "`tmux-claude %s --help` lists them; a text that begins with - stands after --",
			verb);
	for (size_t i = 0; i < own; i++)
		free(names[i]);
	return -1;
}

static const struct arg_def *find_long(const struct method_def *m, const char *word, size_t len)
{
	for (const struct arg_def *a = m->args; a->name; a++) {
		cleanup_free char *name = option_words(a);
		if (is_option(a) && strlen(name) == len && strncmp(name, word, len) == 0)
			return a;
	}
	return NULL;
}

static const struct arg_def *find_short(const struct method_def *m, char c)
{
	for (const struct arg_def *a = m->args; a->name; a++)
		if (is_option(a) && a->short_opt == c)
			return a;
	return NULL;
}

/* The word after the option at r->at, which becomes the last word read. */
static const char *next_word(struct reader *r, const struct arg_def *a)
{
	if (r->argv[r->at + 1])
		return r->argv[++r->at];
	cleanup_free char *name = option_words(a);
	err_set(r->e, ERR_PARAMS, "%s needs a value: %s", name, a->metavar);
	return NULL;
}

static int read_long(struct reader *r)
{
	const char *word = r->argv[r->at], *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	const struct arg_def *a = find_long(r->m, word, len);

	if (!a)
		return unknown_option(r, word, len);
	if (a->type == ARG_BOOL) {
		if (eq)
			return err_set(r->e, ERR_PARAMS, "%.*s takes no value", (int)len, word);
		return give(r, a, "");
	}
	const char *value = eq ? eq + 1 : next_word(r, a);
	if (!value || give(r, a, value) < 0)
		return -1;
	/* It takes what follows, up to another option. */
	while (a->flags & A_REST && r->argv[r->at + 1] && !(r->argv[r->at + 1][0] == '-' && r->argv[r->at + 1][1]))
		if (give(r, a, r->argv[++r->at]) < 0)
			return -1;
	return 0;
}

static int read_shorts(struct reader *r)
{
	const char *word = r->argv[r->at];

	for (const char *p = word + 1; *p; p++) {
		const struct arg_def *a = find_short(r->m, *p);
		if (!a)
			return unknown_option(r, word, strlen(word));
		if (a->type == ARG_BOOL) {
			if (give(r, a, "") < 0)
				return -1;
			continue;
		}
		const char *value = p[1] ? p + 1 : next_word(r, a);
		return value ? give(r, a, value) : -1;
	}
	return 0;
}

static const struct arg_def *next_positional(const struct arg_def *a)
{
	while (a->name && (!(a->flags & A_POS) || a->type == ARG_ARGV || !on_command_line(a)))
		a++;
	return a->name ? a : NULL;
}

static const struct arg_def *argv_arg(const struct method_def *m)
{
	for (const struct arg_def *a = m->args; a->name; a++)
		if (a->type == ARG_ARGV && on_command_line(a))
			return a;
	return NULL;
}

/* `label ID... K=V K-`: a word that changes a label is told from one that names by its looks. */
static const struct arg_def *by_its_looks(const struct method_def *m, const char *word)
{
	const struct arg_def *a = m->args;

	while (a->name && a->type != ARG_CHANGES)
		a++;
	return a->name && (strchr(word, '=') || (word[0] && word[strlen(word) - 1] == '-')) ? a : NULL;
}

static int read_positional(struct reader *r, const char *word)
{
	const struct arg_def *change = by_its_looks(r->m, word), *a = change ? change : r->positional;

	if (!a) {
		cleanup_free char *verb = verb_words(r->m), *usage = help_usage(r->m);
		cleanup_free char *safe = text_escape(word, false);
		err_set(r->e, ERR_PARAMS, "%s has no use for '%.60s'", verb, safe);
		if (argv_arg(r->m))
			return err_hint(r->e, "a command stands after --: %s", usage);
		return err_hint(r->e, "%s%s", usage,
			method_arg(r->m, "text") ? "; put a text of several words in quotes" : "");
	}
	if (give(r, a, word) < 0)
		return -1;
	if (!(a->flags & A_REST))
		r->positional = next_positional(a + 1);
	return 0;
}

static int read_rest(struct reader *r)
{
	const struct arg_def *argv = argv_arg(r->m);

	for (; r->argv[r->at]; r->at++) {
		int x = argv ? give(r, argv, r->argv[r->at]) : read_positional(r, r->argv[r->at]);
		if (x < 0)
			return -1;
	}
	return 0;
}

static int read_all(struct reader *r)
{
	while (r->argv[r->at]) {
		const char *word = r->argv[r->at];
		int x = 0;
		if (strcmp(word, "--") == 0) {
			r->at++;
			return read_rest(r);
		}
		if (word[0] == '-' && word[1]) {
			x = globals_parse(r->argv, &r->at, r->g, r->e);
			if (x > 0)
				continue;
			if (x == 0)
				x = word[1] == '-' ? read_long(r) : read_shorts(r);
		} else {
			x = read_positional(r, word);
		}
		if (x < 0)
			return -1;
		r->at++;
	}
	return 0;
}

/* `rename -l role=lead NAME`: with a selector the first word is what stands behind the ID. */
static void make_room(struct reader *r)
{
	const struct arg_def *id = next_positional(r->m->args), *next = id ? next_positional(id + 1) : NULL;
	json_t *word = id ? json_object_get(r->params, id->name) : NULL;

	if (!next || !word || !(id->flags & A_OR_SELECT) || id->type != ARG_STRING || next->type == ARG_ARGV ||
		json_object_get(home_of(r, next), next->name))
		return;
	json_incref(word);
	json_object_del(r->params, id->name);
	if (schema_missing(id, r->params)) /* without a selector it is the ID */
		json_object_set(r->params, id->name, word);
	else
		json_object_set(home_of(r, next), next->name, word);
	json_decref(word);
}

static int check_missing(struct reader *r)
{
	for (const struct arg_def *a = r->m->args; a->name; a++) {
		if (!on_command_line(a) || !schema_missing(a, home_of(r, a)))
			continue;
		cleanup_free char *verb = verb_words(r->m), *usage = help_usage(r->m);
		cleanup_free char *name = arg_called(a);
		err_set(r->e, ERR_PARAMS, "%s needs %s: %s%s", verb, name, a->help,
			a->flags & A_OR_SELECT ? " (or --label, --state, --parent)" : "");
		return err_hint(r->e, "%s", usage);
	}
	return 0;
}

int args_parse(const struct method_def *m, char *const *argv, struct globals *g, struct args *ret,
	struct err *e)
{
	struct reader r = {.m = m, .g = g, .argv = argv, .e = e};

	r.params = json_object();
	r.local = json_object();
	r.positional = next_positional(m->args);
	if (read_all(&r) < 0 || (make_room(&r), !g->help && check_missing(&r) < 0)) {
		json_decref(r.params);
		json_decref(r.local);
		return -1;
	}
	*ret = (struct args){.m = m, .params = r.params, .local = r.local};
	return 0;
}

void args_finish(struct args *a)
{
	json_decref(a->params);
	json_decref(a->local);
	*a = (struct args){0};
}

bool args_flag(const struct args *a, const char *name)
{
	return json_is_true(json_object_get(a->local, name));
}

const char *args_string(const struct args *a, const char *name)
{
	return json_string_value(json_object_get(a->local, name));
}
