/* SPDX-License-Identifier: ISC */
/* Which verb the first words of a command line mean, and how verbs and options are written there. */
#include <string.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/args.h"
#include "cli/suggest.h"
#include "cli/text.h"

static bool is_verb(const struct method_def *m)
{
	return !(m->flags & M_API);
}

char *verb_words(const struct method_def *m)
{
	char *s = xstrdup(m->name);

	for (char *p = s; *p; p++)
		if (*p == '.')
			*p = ' ';
	return s;
}

char *option_words(const struct arg_def *a)
{
	char *s = xasprintf("--%s", a->name);

	for (char *p = s; *p; p++)
		if (*p == '_')
			*p = '-';
	return s;
}

static int no_such_verb(const char *word, struct err *e)
{
	const char *names[METHOD_COUNT + 1] = {"help"};
	size_t n = 1;

	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (is_verb(&method_table[i]))
			names[n++] = method_table[i].name;
	cleanup_free char *safe = text_escape(word, false);
	err_set(e, ERR_PARAMS, "there is no verb '%.60s'", safe);
	const char *near = suggest(word, names, n);
	if (!near)
		return err_hint(e, "`tmux-claude --help` lists them");
	cleanup_free char *words = xstrdup(near);
	for (char *p = words; *p; p++)
		*p = *p == '.' ? ' ' : *p;
	return err_hint(e, "did you mean `tmux-claude %s`?", words);
}

/* A first word that only begins verbs: `template`. */
static int incomplete_verb(const char *first, const char *second, struct err *e)
{
	struct buf list;
	const char *names[METHOD_COUNT];
	size_t n = 0, len = strlen(first);

	buf_init(&list, ERR_HINT_MAX);
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const char *name = method_table[i].name;
		if (strncmp(name, first, len) != 0 || name[len] != '.')
			continue;
		names[n] = name + len + 1;
		buf_printf(&list, "%s%s", n ? ", " : "", names[n]);
		n++;
	}
	buf_append(&list, "", 1);
	const char *near = second ? suggest(second, names, n) : NULL;
	if (second) {
		cleanup_free char *safe = text_escape(second, false);
		err_set(e, ERR_PARAMS, "there is no verb '%s %.60s'", first, safe);
	} else {
		err_set(e, ERR_PARAMS, "'%s' needs a second word", first);
	}
	if (near)
		err_hint(e, "did you mean `tmux-claude %s %s`?", first, near);
	else
		err_hint(e, "one of: %s", (char *)buf_data(&list));
	buf_finish(&list);
	return -1;
}

const struct method_def *verb_find(char *const *argv, int *ret_words, struct err *e)
{
	size_t len = strlen(argv[0]);
	bool family = false;
	const struct method_def *alone = NULL; /* whom the first word means without a second */

	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		if (!is_verb(m))
			continue;
		if (strcmp(m->name, argv[0]) == 0 && !strchr(m->name, '.')) {
			*ret_words = 1;
			return m;
		}
		if (len == 0 || strncmp(m->name, argv[0], len) != 0 || m->name[len] != '.')
			continue;
		family = true;
		if (m->flags & M_FAMILY)
			alone = m;
		if (argv[1] && strcmp(m->name + len + 1, argv[1]) == 0) {
			*ret_words = 2;
			return m;
		}
	}
	if (alone) {
		*ret_words = 1;
		return alone;
	}
	if (family)
		incomplete_verb(argv[0], argv[1] && argv[1][0] != '-' ? argv[1] : NULL, e);
	else
		no_such_verb(argv[0], e);
	return NULL;
}
