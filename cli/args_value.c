/* SPDX-License-Identifier: ISC */
/* The value of one argument: a word of the command line in the form that is sent. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/args_int.h"
#include "cli/text.h"

char *arg_called(const struct arg_def *a)
{
	return a->flags & A_POS ? xstrdup(a->metavar) : option_words(a);
}

json_t *arg_text(const struct arg_def *a, const char *s, struct err *e)
{
	cleanup_free char *name = arg_called(a);
	json_t *v = json_string(s);

	if (!v)
		err_set(e, ERR_PARAMS, "the value of %s is not valid UTF-8", name);
	return v;
}

static json_t *bad(const struct arg_def *a, const char *got, const char *wanted, struct err *e)
{
	cleanup_free char *name = arg_called(a), *safe = text_escape(got, false);

	err_set(e, ERR_PARAMS, "%s must be %s, not '%.60s'", name, wanted, safe);
	return NULL;
}

static json_t *path_value(const struct arg_def *a, const char *s, struct err *e)
{
	if (s[0] == '/')
		return arg_text(a, s, e);
	if (s[0] == '\0')
		return bad(a, s, "a path", e);
	cleanup_free char *cwd = getcwd(NULL, 0);
	if (!cwd) {
		err_set_errno(e, ERR_PARAMS, errno, "the current folder is unknown");
		return NULL;
	}
	while (str_starts(s, "./"))
		s += 2 + strspn(s + 2, "/");
	cleanup_free char *whole = strcmp(s, ".") == 0 || s[0] == '\0' ? xstrdup(cwd)
				   : strcmp(cwd, "/") == 0		? xasprintf("/%s", s)
									: xasprintf("%s/%s", cwd, s);
	return arg_text(a, whole, e);
}

json_t *arg_scalar(const struct arg_def *a, const char *s, struct err *e)
{
	json_t *checked;
	int64_t n;
	char *end;

	switch (a->type) {
	case ARG_STRING:
	case ARG_STRINGS:
	case ARG_WORDS:
	case ARG_LABELS:
	case ARG_CHANGES:
	case ARG_ARGV:
	case ARG_JSON:
	case ARG_KV:
	case ARG_COUNTS:
		return arg_text(a, s, e);
	case ARG_PATH:
		return path_value(a, s, e);
	case ARG_INT:
		if (str_to_i64(s, 0, INT64_C(1) << 53, &n) < 0)
			return bad(a, s, "a whole number", e);
		return json_integer(n);
	case ARG_COUNT:
	case ARG_MIB: {
		json_t *v = str_to_i64(s, 0, INT64_C(1) << 53, &n) == 0 ? json_integer(n) : arg_text(a, s, e);
		if (v && schema_check_arg(a, v, &checked, NULL) == 0) {
			json_decref(checked);
			return v;
		}
		if (!v)
			return NULL;
		json_decref(v);
		return bad(a, s, a->type == ARG_MIB ? "a whole number of MiB up to 1000000000, or 'unlimited'"
						    : "a whole number up to 1000000, or 'unlimited'", e);
	}
	case ARG_RATE: {
		json_t *v = arg_text(a, s, e);
		if (!v)
			return NULL;
		if (schema_check_arg(a, v, &checked, NULL) < 0) {
			json_decref(v);
			return bad(a, s, "N/minute (for example 10/minute), or 'unlimited'", e);
		}
		json_decref(checked);
		return v;
	}
	case ARG_USD:
	case ARG_TOKENS:
	case ARG_SPAN: {
		json_t *v = arg_text(a, s, e);
		if (!v)
			return NULL;
		if (schema_check_arg(a, v, &checked, NULL) < 0) {
			json_decref(v);
			return bad(a, s, a->type == ARG_USD ? "an amount of dollars (for example 5 or 2.50), or 'unlimited'"
				      : a->type == ARG_TOKENS ? "a number of tokens (for example 500k or 2M), or 'unlimited'"
							      : "a time (for example 90m or 4h), or 'unlimited'", e);
		}
		json_decref(checked);
		return v;
	}
	case ARG_SECONDS: {
		double d = strtod(s, &end);
		if (end == s || *end || strspn(s, "0123456789.") != strlen(s) || !isfinite(d) || d > 1e9)
			return bad(a, s, "a number of seconds", e);
		return json_real(d);
	}
	case ARG_BOOL:
		break;
	}
	return json_true();
}

int arg_add_pair(const struct arg_def *a, json_t *map, const char *s, struct err *e)
{
	const char *eq = strchr(s, '=');

	if (!eq || eq == s) {
		bad(a, s, "K=V", e);
		return -1;
	}
	cleanup_free char *key = xstrndup(s, (size_t)(eq - s));
	if (!utf8_valid(key, strlen(key))) {
		json_decref(arg_text(a, "\xff", e));
		return -1;
	}
	if (json_object_get(map, key)) {
		cleanup_free char *name = arg_called(a);
		return err_set(e, ERR_PARAMS, "%s gives '%.60s' a second time", name, key);
	}
	json_t *v = arg_text(a, eq + 1, e), *checked;
	if (!v)
		return -1;
	json_object_set_new(map, key, v);
	if (a->type == ARG_COUNTS && schema_check_arg(a, map, &checked, NULL) < 0) {
		bad(a, s, "ROLE=N with N a whole number or 'unlimited'", e);
		return -1;
	}
	if (a->type == ARG_COUNTS)
		json_decref(checked);
	return 0;
}
