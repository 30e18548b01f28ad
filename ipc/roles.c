/* SPDX-License-Identifier: ISC */
/* Reads the words of `roles` and `max_roles`. */
#include "ipc/roles.h"

#include <string.h>

#include "base/util.h"

#define LIMIT_MAX 1000000000
#define BLANKS " \t"

/* How a role's word calls them. */
static const char *const cap_words[] = {"children", "descendants", "depth", "rate", "total", "memory", "disk"};

bool role_valid(const char *s)
{
	static const char words[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t n = strlen(s);

	return n > 0 && n <= ROLE_NAME_MAX && strchr(words, s[0]) &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static int bad_role(const char *name, struct err *e)
{
	err_set(e, ERR_PARAMS, "'%.80s' is no role", name);
	return err_hint(e, "roles are 1 to 63 of a-z 0-9 . _ - and begin with a letter or digit");
}

static int limit_parse(const char *s, int64_t *ret)
{
	if (strcmp(s, "unlimited") == 0) {
		*ret = -1;
		return 0;
	}
	return str_to_i64(s, 0, LIMIT_MAX, ret);
}

static const char *cap_word(const char *name)
{
	const char *word = strncmp(name, "max_", 4) == 0 ? name + 4 : name;

	if (strcmp(word, "spawn_rate") == 0)
		word = "rate";
	for (size_t i = 0; i < ARRAY_LEN(cap_words); i++)
		if (strcmp(cap_words[i], word) == 0)
			return cap_words[i];
	return NULL;
}

/* Cuts one CAP=N at its '='. */
static int pair_parse(char *pair, const char **ret_cap, int64_t *ret, struct err *e)
{
	char *eq = strchr(pair, '=');

	if (eq)
		*eq = '\0';
	*ret_cap = cap_word(pair);
	if (!eq || !*ret_cap) {
		err_set(e, ERR_PARAMS, "'%.60s' is no cap", pair);
		return err_hint(e, "write CAP=N with CAP one of children, descendants, depth, rate, total, memory, disk");
	}
	if (limit_parse(eq + 1, ret) < 0)
		return err_set(e, ERR_PARAMS, "%s must be a whole number up to %d or unlimited, not '%.60s'", pair,
			LIMIT_MAX, eq + 1);
	return 0;
}

/* One word of the table: checks all its pairs; 1 when it says something of cap (NULL: none is looked for), then
 * *ret is that. */
static int word_read(char *word, const char *cap, int64_t *ret, struct err *e)
{
	char *colon = strchr(word, ':'), *save = NULL;
	int found = 0;

	for (char *p = colon ? strtok_r(colon + 1, ",", &save) : NULL; p; p = strtok_r(NULL, ",", &save)) {
		const char *this = NULL;
		int64_t n = 0;
		if (pair_parse(p, &this, &n, e) < 0)
			return -1;
		if (cap && strcmp(this, cap) == 0) {
			*ret = n;
			found = 1;
		}
	}
	return found;
}

int roles_check(const char *table, struct err *e)
{
	cleanup_free char *copy = xstrdup(table);
	char *save = NULL;

	for (char *w = strtok_r(copy, BLANKS, &save); w; w = strtok_r(NULL, BLANKS, &save)) {
		cleanup_free char *name = xstrndup(w, strcspn(w, ":"));
		if (!role_valid(name))
			return bad_role(name, e);
		if (word_read(w, NULL, NULL, e) < 0)
			return err_prefix(e, "%s", name);
	}
	return 0;
}

int roles_cap(const char *table, const char *role, const char *cap, int64_t *ret)
{
	cleanup_free char *copy = xstrdup(table);
	const char *word = cap_word(cap);
	size_t len = strlen(role);
	char *save = NULL;
	int found = 0;

	for (char *w = word ? strtok_r(copy, BLANKS, &save) : NULL; w; w = strtok_r(NULL, BLANKS, &save))
		if (strncmp(w, role, len) == 0 && w[len] == ':' && word_read(w, word, ret, NULL) == 1)
			found = 1;
	return found ? 0 : -1;
}

static int limit_word(char *w, int64_t *ret, struct err *e)
{
	char *eq = strchr(w, '=');

	if (eq)
		*eq = '\0';
	if (!role_valid(w))
		return bad_role(w, e);
	if (!eq || limit_parse(eq + 1, ret) < 0)
		return err_set(e, ERR_PARAMS, "write %s=N with N a whole number up to %d, or unlimited", w, LIMIT_MAX);
	return 0;
}

int role_limits_check(const char *list, struct err *e)
{
	cleanup_free char *copy = xstrdup(list);
	char *save = NULL;
	int64_t n;

	for (char *w = strtok_r(copy, BLANKS, &save); w; w = strtok_r(NULL, BLANKS, &save))
		if (limit_word(w, &n, e) < 0)
			return -1;
	return 0;
}

void role_limits_each(const char *list, void (*fn)(void *arg, const char *role, int64_t limit), void *arg)
{
	cleanup_free char *copy = xstrdup(list);
	char *save = NULL;
	int64_t n = 0;

	for (char *w = strtok_r(copy, BLANKS, &save); w; w = strtok_r(NULL, BLANKS, &save))
		if (limit_word(w, &n, NULL) == 0)
			fn(arg, w, n);
}
