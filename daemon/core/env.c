/* SPDX-License-Identifier: ISC */
/*
 * The environment that --env gave an instance. It may hold secrets, so its values live in this process and
 * in the place only; on disk are the names. A daemon that was restarted says which values are missing
 * before it starts a program again without them, rather than start one that cannot log in.
 */
#include "daemon/core/fleet_int.h"

void env_note_names(struct instance *in)
{
	const char *name;
	json_t *v;

	json_object_foreach(in->env, name, v) {
		bool known = false;
		for (char **n = in->env_names; n && *n && !known; n++)
			known = !strcmp(*n, name);
		if (!in->env_names)
			in->env_names = strv_new();
		if (!known)
			strv_push(&in->env_names, name);
	}
}

char *fleet_env_missing(const struct instance *in)
{
	char *list = NULL;

	for (char **n = in->env_names; n && *n; n++) {
		char *more;
		if (json_object_get(in->env, *n))
			continue;
		more = xasprintf("%s%s%s", list ? list : "", list ? ", " : "", *n);
		free(list);
		list = more;
	}
	return list;
}

int env_again(struct instance *in, const struct restart_args *a, struct err *e)
{
	cleanup_free char *missing = NULL;

	if (a->env && !in->env)
		in->env = json_object();
	if (a->env)
		json_object_update(in->env, (json_t *)a->env);
	env_note_names(in);
	missing = fleet_env_missing(in);
	if (!missing)
		return 0;
	if (a->without_env) {
		strv_free(in->env_names);
		in->env_names = NULL;
		env_note_names(in);
		return 0;
	}
	err_set(e, ERR_STATE, "the values of --env %.300s are not known any more: they are kept in memory only, and the daemon was restarted",
		missing);
	return err_hint(e, "give them again with --env NAME=VALUE, or go on without them with --without-env");
}
