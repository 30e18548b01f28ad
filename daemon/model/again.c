/* SPDX-License-Identifier: ISC */
/* What a restart policy remembers: its names, to and from JSON, from one boot to the next. */
#include "daemon/model/again.h"

#include <string.h>

#include "base/util.h"

static const char *const policy_names[RESTART_POLICIES] = {
	[RESTART_NEVER] = "never",
	[RESTART_ON_FAILURE] = "on-failure",
	[RESTART_ALWAYS] = "always",
};

const char *restart_policy_name(enum restart_policy p)
{
	return p < RESTART_POLICIES ? policy_names[p] : "unknown";
}

int restart_policy_from_name(const char *s, enum restart_policy *ret)
{
	for (int i = 0; s && i < RESTART_POLICIES; i++) {
		if (strcmp(policy_names[i], s))
			continue;
		*ret = (enum restart_policy)i;
		return 0;
	}
	return -1;
}

json_t *again_to_json(const struct again *a)
{
	json_t *o, *failed;

	if (!a->waits && !a->tries && !a->started && !a->nfailed)
		return NULL;
	failed = json_array();
	for (int i = 0; i < a->nfailed; i++)
		json_array_append_new(failed, json_integer(a->failed_ms[i]));
	o = json_pack("{s:I, s:o, s:s, s:I, s:I}", "tries", (json_int_t)a->tries, "failed_ms", failed, "boot",
		a->boot, "boot_ms", (json_int_t)a->boot_ms, "wall_ms", (json_int_t)a->wall_ms);
	if (a->waits)
		json_object_set_new(o, "at_ms", json_integer(a->at_ms));
	if (a->started)
		json_object_set_new(o, "started_ms", json_integer(a->started_ms));
	return o;
}

static int64_t int_at(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

void again_from_json(struct again *a, const json_t *o)
{
	const json_t *failed = json_object_get(o, "failed_ms"), *v;
	const char *boot = json_string_value(json_object_get(o, "boot"));
	size_t i;

	memset(a, 0, sizeof(*a));
	if (!boot || !json_is_integer(json_object_get(o, "boot_ms")))
		return;
	str_fmt(a->boot, sizeof(a->boot), "%s", boot);
	a->boot_ms = int_at(o, "boot_ms");
	a->wall_ms = int_at(o, "wall_ms");
	a->tries = int_at(o, "tries") > 0 ? int_at(o, "tries") : 0;
	a->waits = json_is_integer(json_object_get(o, "at_ms"));
	a->at_ms = int_at(o, "at_ms");
	a->started = json_is_integer(json_object_get(o, "started_ms"));
	a->started_ms = int_at(o, "started_ms");
	json_array_foreach(failed, i, v)
		if (a->nfailed < AGAIN_FAILURES_MAX)
			a->failed_ms[a->nfailed++] = json_integer_value(v);
}

void again_rebase(struct again *a, const char *boot, int64_t boot_ms, int64_t wall_ms)
{
	int64_t away, shift;

	if (a->boot[0] && strcmp(a->boot, boot)) {
		away = wall_ms > a->wall_ms ? wall_ms - a->wall_ms : 0;
		shift = boot_ms - away - a->boot_ms;
		a->at_ms += shift;
		a->started_ms += shift;
		for (int i = 0; i < a->nfailed; i++)
			a->failed_ms[i] += shift;
	}
	str_fmt(a->boot, sizeof(a->boot), "%s", boot);
	a->boot_ms = boot_ms;
	a->wall_ms = wall_ms;
}
