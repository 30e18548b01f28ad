/* SPDX-License-Identifier: ISC */
/* label: changes labels of instances. */
#include "base/util.h"
#include "daemon/api/api_int.h"
#include "ipc/roles.h"

#define ROLE_SET ROLE_LABEL "="

/* More than a label: caps are counted by it. */
static int roles_valid(const json_t *changes, struct err *e)
{
	const json_t *change;
	size_t i;

	json_array_foreach(changes, i, change) {
		const char *s = json_string_value(change);
		if (str_starts(s, ROLE_SET) && role_check(s + strlen(ROLE_SET), e) < 0)
			return -1;
	}
	return 0;
}

void api_LABEL(struct call *c)
{
	const json_t *changes = json_object_get(c->params, "changes");
	struct err err = {0};
	json_t *rows;
	size_t n;
	cleanup_free struct instance **set = call_targets(c, FROM_ANY, &n);

	if (!set)
		return;
	if (roles_valid(changes, &err) < 0 || fleet_label(c->w->fleet, &c->who, set, n, changes, &err) < 0) {
		call_error(c, &err);
		return;
	}
	rows = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(rows, fleet_instance_json(c->w->fleet, set[i]));
	call_rows(c, rows);
	json_decref(rows);
}
