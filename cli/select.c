/* SPDX-License-Identifier: ISC */
/*
 * Selectors of verbs that take one instance: which one is asked for once, so that what follows (other calls, files,
 * a second try after the daemon came back) means the same one.
 */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"

static const char *const rows[] = {"label", "state", "parent"};

bool selector_given(const struct cli *c)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (json_object_get(c->args.params, rows[i]))
			return true;
	return false;
}

static json_t *selector_params(const struct cli *c)
{
	json_t *o = json_object();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (json_object_get(c->args.params, rows[i]))
			json_object_set(o, rows[i], json_object_get(c->args.params, rows[i]));
	return o;
}

void selector_named(struct cli *c, json_t *ids)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_object_del(c->args.params, rows[i]);
	json_object_set_new(c->args.params, "ids", ids);
}

int selector_settle(struct cli *c, struct err *e)
{
	const struct arg_def *a = method_arg(c->args.m, "id");
	json_t *params = c->args.params, *ask, *in = NULL;

	if (!a || !(a->flags & A_OR_SELECT) || c->args.m->id == METHOD_SHOW || !selector_given(c))
		return 0;
	ask = selector_params(c);
	if (json_object_get(params, "id"))
		json_object_set(ask, "id", json_object_get(params, "id"));
	if (cli_call(c, "show", ask, -1, &in, e) < 0)
		return -1;
	json_object_set_new(params, "id", json_string(jstr(in, "id")));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		json_object_del(params, rows[i]);
	json_decref(in);
	return 0;
}
