/* SPDX-License-Identifier: ISC */
/* The tables as data, and one check of arguments that the daemon and the command line share. */
#include "ipc/schema.h"

#include <math.h>
#include <string.h>

#include "base/util.h"
#include "ipc/amount.h"
#include "ipc/roles.h"

/* The largest integer that every JSON reader keeps exact. */
#define INT_ARG_MAX (INT64_C(1) << 53)
#define COUNT_ARG_MAX 1000000
#define MIB_ARG_MAX 1000000000
#define SECONDS_ARG_MAX 1e9
#define RATE_SUFFIX "/minute"

#define METHOD(sym, name, who, flags, result, summary, description)                                \
	static const struct arg_def args_##sym[] = {
#define ARG(name, type, flags, short_opt, metavar, help)                                           \
	{name, type, flags, short_opt, metavar, help},
#define END                                                                                        \
	{                                                                                          \
		NULL, ARG_JSON, 0, 0, NULL, NULL                                                   \
	}                                                                                          \
	}                                                                                          \
	;
#include "ipc/methods.def"
#undef METHOD
#undef ARG
#undef END

#define METHOD(sym, name, who, flags, result, summary, description)                                \
	{METHOD_##sym, name, who, flags, result, summary, description, args_##sym},
#define ARG(...)
#define END
const struct method_def method_table[METHOD_COUNT] = {
#include "ipc/methods.def"
};
#undef METHOD
#undef ARG
#undef END

/* Whoever lets instances call a method says to whom they may do it. */
#define METHOD(sym, name, who, flags, result, summary, description)                                \
	_Static_assert(!((who) & P_INSTANCE) == !((who) & W_ALL) &&                                \
			       (!((who) & W_NOBODY) || ((who) & W_ALL) == W_NOBODY),               \
		name ": P_INSTANCE needs W_SELF, W_BELOW or W_NOBODY");
#define ARG(...)
#define END
#include "ipc/methods.def"
#undef METHOD
#undef ARG
#undef END

static const struct {
	const char *name, *help;
} event_table[EV_COUNT] = {
#define EVENT(sym, name, help) {name, help},
#include "ipc/events.def"
#undef EVENT
};

const struct method_def *method_find(const char *name)
{
	for (size_t i = 0; i < METHOD_COUNT; i++)
		if (strcmp(method_table[i].name, name) == 0)
			return &method_table[i];
	return NULL;
}

const struct arg_def *method_arg(const struct method_def *m, const char *name)
{
	for (const struct arg_def *a = m->args; a->name; a++)
		if (strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

const char *event_name(enum event_id id)
{
	return event_table[id].name;
}

const char *event_help(enum event_id id)
{
	return event_table[id].help;
}

static const char *json_kind(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int wrong_type(const struct arg_def *a, const json_t *v, const char *wanted, struct err *e)
{
	return err_set(e, ERR_PARAMS, "'%s' must be %s, not %s", a->name, wanted, json_kind(v));
}

static int bad_text(const struct arg_def *a, const char *got, const char *wanted, struct err *e)
{
	return err_set(e, ERR_PARAMS, "'%s' must be %s, not '%.60s'", a->name, wanted, got);
}

static int check_string(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	if (!json_is_string(v))
		return wrong_type(a, v, "a string", e);
	/* An embedded NUL cannot come from our parser, but a caller may have made the value itself. */
	if (strlen(json_string_value(v)) != json_string_length(v))
		return err_set(e, ERR_PARAMS, "'%s' contains a NUL character", a->name);
	*ret = json_incref((json_t *)v);
	return 0;
}

static int check_int(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	if (!json_is_integer(v))
		return wrong_type(a, v, "an integer", e);
	json_int_t n = json_integer_value(v);
	if (n < 0 || n > INT_ARG_MAX)
		return err_set(e, ERR_PARAMS, "'%s' must lie between 0 and 2^53, not %lld", a->name,
			(long long)n);
	*ret = json_incref((json_t *)v);
	return 0;
}

/* "unlimited", and where the row allows it "default". */
static bool count_word(const struct arg_def *a, const char *s, json_t **ret)
{
	if (strcmp(s, "unlimited") == 0)
		*ret = json_integer(-1);
	else if (a->flags & A_DEFAULT && strcmp(s, "default") == 0)
		*ret = json_integer(ARG_DEFAULT);
	else
		return false;
	return true;
}

static int check_count(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	int64_t max = a->type == ARG_MIB ? MIB_ARG_MAX : COUNT_ARG_MAX;
	char wanted[96];

	str_fmt(wanted, sizeof(wanted), "an integer from 0 to %lld or \"unlimited\"%s", (long long)max,
		a->flags & A_DEFAULT ? " or \"default\"" : "");
	if (json_is_string(v))
		return count_word(a, json_string_value(v), ret) ? 0 : bad_text(a, json_string_value(v), wanted, e);
	if (!json_is_integer(v))
		return wrong_type(a, v, wanted, e);
	json_int_t n = json_integer_value(v);
	if (n < 0 || n > max)
		return err_set(e, ERR_PARAMS, "'%s' must be %s, not %lld", a->name, wanted, (long long)n);
	*ret = json_integer(n);
	return 0;
}

static int check_counts(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	json_t *out, *item, *checked;
	const char *role;

	if (!json_is_object(v))
		return wrong_type(a, v, "an object of counts", e);
	if (json_object_size(v) > ROLE_LIMITS_MAX)
		return err_set(e, ERR_PARAMS, "'%s' names more than %d roles", a->name, ROLE_LIMITS_MAX);
	out = json_object();
	json_object_foreach((json_t *)v, role, item) {
		int64_t n;
		/* The command line gives all as strings. */
		bool digits = json_is_string(item) && str_to_i64(json_string_value(item), 0, COUNT_ARG_MAX, &n) == 0;
		json_t *number = digits ? json_integer(n) : json_incref(item);
		int r = role_valid(role) ? check_count(a, number, &checked, e)
					 : err_set(e, ERR_PARAMS, "'%s' names '%.60s', which is no role", a->name, role);
		json_decref(number);
		if (r < 0) {
			json_decref(out);
			return -1;
		}
		json_object_set_new(out, role, checked);
	}
	*ret = out;
	return 0;
}

static int check_rate(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	static const char wanted[] = "\"N/minute\" with N from 0 to 1000000, or \"unlimited\"";
	char digits[16];
	int64_t n;

	if (!json_is_string(v))
		return wrong_type(a, v, wanted, e);
	const char *s = json_string_value(v);
	if (count_word(a, s, ret))
		return 0;
	const char *slash = strchr(s, '/');
	if (!slash || strcmp(slash, RATE_SUFFIX) != 0 ||
		str_fmt(digits, sizeof(digits), "%.*s", (int)(slash - s), s) < 0 ||
		str_to_i64(digits, 0, COUNT_ARG_MAX, &n) < 0)
		return bad_text(a, s, wanted, e);
	*ret = json_integer(n);
	return 0;
}

static int check_seconds(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	if (!json_is_number(v))
		return wrong_type(a, v, "a number of seconds", e);
	double d = json_number_value(v);
	if (!isfinite(d) || d < 0 || d > SECONDS_ARG_MAX)
		return err_set(e, ERR_PARAMS, "'%s' must be a number of seconds from 0 to 10^9", a->name);
	*ret = json_incref((json_t *)v);
	return 0;
}

static const char *amount_form(const struct arg_def *a)
{
	return a->type == ARG_USD ? "an amount of dollars like 5 or 2.50, or \"unlimited\""
	     : a->type == ARG_TOKENS ? "a number of tokens like 500k or 2M, or \"unlimited\""
				     : "a time like 90m or 4h, or \"unlimited\"";
}

/* Numbers are taken as they would be written. */
static int check_amount(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	char text[64] = "";
	const char *s = json_string_value(v);
	int64_t n;

	if (!s && !json_is_number(v))
		return wrong_type(a, v, amount_form(a), e);
	if (!s && json_is_integer(v))
		str_fmt(text, sizeof(text), "%lld", (long long)json_integer_value(v));
	else if (!s)
		str_fmt(text, sizeof(text), "%.9f", json_real_value(v));
	s = s ? s : text;
	if (count_word(a, s, ret))
		return 0;
	if ((a->type == ARG_USD ? amount_usd(s, &n) : a->type == ARG_TOKENS ? amount_tokens(s, &n) : amount_span(s, &n)) < 0)
		return bad_text(a, s, amount_form(a), e);
	*ret = json_integer(n);
	return 0;
}

static int check_strings(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	size_t i;
	json_t *item, *same = NULL;

	if (!json_is_array(v))
		return wrong_type(a, v, "an array of strings", e);
	json_array_foreach(v, i, item) {
		if (!json_is_string(item))
			return err_set(e, ERR_PARAMS, "'%s' must hold strings only, not %s", a->name,
				json_kind(item));
		if (check_string(a, item, &same, e) < 0)
			return -1;
		json_decref(same);
	}
	if (i == 0 && (a->flags & (A_REQUIRED | A_OR_SELECT)))
		return err_set(e, ERR_PARAMS, "'%s' must not be empty", a->name);
	*ret = json_incref((json_t *)v);
	return 0;
}

static int check_kv(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	const char *key;
	json_t *item, *same = NULL;

	if (!json_is_object(v))
		return wrong_type(a, v, "an object of strings", e);
	json_object_foreach((json_t *)v, key, item) {
		if (key[0] == '\0' || strchr(key, '='))
			return err_set(e, ERR_PARAMS, "'%s' has a key that is empty or contains '='", a->name);
		if (!json_is_string(item))
			return err_set(e, ERR_PARAMS, "'%s' must give '%.60s' a string, not %s", a->name, key,
				json_kind(item));
		if (check_string(a, item, &same, e) < 0)
			return -1;
		json_decref(same);
	}
	*ret = json_incref((json_t *)v);
	return 0;
}

/* One string stands for an array of it. */
static int check_words(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	json_t *one = NULL;

	if (!json_is_string(v))
		return check_strings(a, v, ret, e);
	if (check_string(a, v, &one, e) < 0)
		return -1;
	*ret = json_pack("[o]", one);
	return 0;
}

static int check_labels(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	const char *key;
	json_t *item, *same = NULL;

	if (!json_is_object(v))
		return check_words(a, v, ret, e);
	if (check_kv(a, v, &same, e) < 0)
		return -1;
	json_decref(same);
	*ret = json_array();
	json_object_foreach((json_t *)v, key, item) {
		cleanup_free char *term = xasprintf("%s=%s", key, json_string_value(item));
		json_array_append_new(*ret, json_string(term));
	}
	return 0;
}

static int check_value(const struct arg_def *a, const json_t *v, json_t **ret, struct err *e)
{
	switch (a->type) {
	case ARG_STRING:
		return check_string(a, v, ret, e);
	case ARG_PATH:
		if (json_is_string(v) && json_string_value(v)[0] != '/')
			return bad_text(a, json_string_value(v), "an absolute path", e);
		return check_string(a, v, ret, e);
	case ARG_INT:
		return check_int(a, v, ret, e);
	case ARG_COUNT:
	case ARG_MIB:
		return check_count(a, v, ret, e);
	case ARG_COUNTS:
		return check_counts(a, v, ret, e);
	case ARG_RATE:
		return check_rate(a, v, ret, e);
	case ARG_USD:
	case ARG_TOKENS:
	case ARG_SPAN:
		return check_amount(a, v, ret, e);
	case ARG_SECONDS:
		return check_seconds(a, v, ret, e);
	case ARG_BOOL:
		if (!json_is_boolean(v))
			return wrong_type(a, v, "true or false", e);
		*ret = json_incref((json_t *)v);
		return 0;
	case ARG_STRINGS:
	case ARG_CHANGES:
	case ARG_ARGV:
		return check_strings(a, v, ret, e);
	case ARG_WORDS:
		return check_words(a, v, ret, e);
	case ARG_LABELS:
		return check_labels(a, v, ret, e);
	case ARG_KV:
		return check_kv(a, v, ret, e);
	case ARG_JSON:
		*ret = json_incref((json_t *)v);
		return 0;
	}
	return err_set(e, ERR_INTERNAL, "the table gives '%s' an unknown type", a->name);
}

int schema_check_arg(const struct arg_def *a, const json_t *value, json_t **ret, struct err *e)
{
	return check_value(a, value, ret, e);
}

/* Checks every key that was given; null means not given. */
static int check_given(const struct method_def *m, const json_t *params, json_t *out, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)params, key, value) {
		const struct arg_def *a = method_arg(m, key);
		json_t *checked = NULL;

		if (!a) {
			err_set(e, ERR_PARAMS, "%s takes no argument '%.60s'", m->name, key);
			return err_hint(e, "the arguments are listed by `tmux-claude help %s`", m->name);
		}
		if (a->flags & A_CLI)
			return err_set(e, ERR_PARAMS,
				"'%s' is an option of the command line, not an argument of %s", key, m->name);
		if (json_is_null(value) && a->type != ARG_JSON)
			continue;
		if (check_value(a, value, &checked, e) < 0)
			return err_prefix(e, "%s", m->name);
		json_object_set_new(out, key, checked);
	}
	return 0;
}

static bool selector_given(const json_t *given)
{
	static const char *const rows[] = {"label", "state", "parent"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (json_object_get(given, rows[i]))
			return true;
	return false;
}

bool schema_missing(const struct arg_def *a, const json_t *given)
{
	if (json_object_get(given, a->name))
		return false;
	return (a->flags & A_REQUIRED) || ((a->flags & A_OR_SELECT) && !selector_given(given) &&
							   !json_object_get(given, "id"));
}

int schema_check(const struct method_def *m, const json_t *params, json_t **ret, struct err *e)
{
	if (params && !json_is_object(params))
		return err_set(e, ERR_PARAMS, "%s: params must be an object, not %s", m->name,
			json_kind(params));

	json_t *out = json_object();
	if (params && check_given(m, params, out, e) < 0) {
		json_decref(out);
		return -1;
	}
	for (const struct arg_def *a = m->args; a->name; a++) {
		if (!(a->flags & A_CLI) && schema_missing(a, out)) {
			json_decref(out);
			return err_set(e, ERR_PARAMS, "%s needs '%s': %s", m->name, a->name, a->help);
		}
	}
	*ret = out;
	return 0;
}
