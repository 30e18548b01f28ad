/* SPDX-License-Identifier: ISC */
/* Calls about the daemon and its templates, and the verbs that the command line does itself. */
#include "base/fault.h"
#include "base/log.h"
#include "daemon/api/api_int.h"

/* ---- templates ---- */

void api_TEMPLATE_REMOVE(struct call *c)
{
	const char *name = call_str(c, "name");
	cleanup_free char *dir = NULL, *stamp = NULL;
	struct err err = {0};

	if (!name_valid(name)) {
		err_set(&err, ERR_PARAMS, "'%.64s' is no template's name", name);
		call_error(c, &err);
		return;
	}
	dir = xasprintf("%s/%s", c->w->env.template_dir, name);
	stamp = xasprintf("%s/template.json", dir);
	if (access(stamp, F_OK) < 0) {
		err_set(&err, ERR_NOT_FOUND, "there is no template '%s'", name);
		err_hint(&err, "tmux-claude template list shows those there are");
		call_error(c, &err);
		return;
	}
	for (size_t i = 0; i < fleet_count(c->w->fleet); i++) {
		const struct instance *in = fleet_at(c->w->fleet, i);
		const struct driver *d = driver_find(in->driver);
		if (!d || !(d->flags & DRIVER_SYSTEM) || strcmp(in->template_name, name) ||
			(state_final(in->state) && in->starts == 0))
			continue;
		err_set(&err, ERR_STATE, "the disk of instance %s stands on the template '%s'", in->id, name);
		err_hint(&err, "tmux-claude kill --rm %s (or rm) first", in->id);
		call_error(c, &err);
		return;
	}
	if (FAULT_ERROR("template.remove", &err) || tree_remove(dir, &err) < 0) {
		call_error(c, &err);
		return;
	}
	FAULT_POINT("template.removed");
	if (store_template_delete(c->w->store, name, &err) < 0)
		log_warn("store", NULL, "%s", err.message);
	turn_answer(c, NULL);
}

/* ---- what the command line does itself ---- */

#define LOCAL(sym)                                                                                 \
	void api_##sym(struct call *c)                                                             \
	{                                                                                          \
		struct err err = {0};                                                              \
		err_set(&err, ERR_METHOD, "%s is done by the command line, not by the daemon",     \
			c->method->name);                                                          \
		call_error(c, &err);                                                               \
	}
LOCAL(UP)
LOCAL(TEMPLATE_BUILD)
LOCAL(TEMPLATE_LIST)
LOCAL(LOGIN)
LOCAL(CONFIG_SHOW)
LOCAL(CONFIG_CHECK)
LOCAL(DOCTOR)
LOCAL(REPLAY)
LOCAL(VERSION)
LOCAL(AGENTS_LIST)
LOCAL(AGENTS_SHOW)
LOCAL(SHELL_INTEGRATION)
LOCAL(DB_PATH)
LOCAL(DB_CHECK)
LOCAL(DB_BACKUP)
LOCAL(DB_RESTORE)

void api_REPORT(struct call *c)
{
	struct err err = {0};

	/* The shim queues reports itself; one that comes here came another way. */
	err_set(&err, ERR_METHOD, "reports go through the place's own program");
	call_error(c, &err);
}
