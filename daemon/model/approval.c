/* SPDX-License-Identifier: ISC */
/* Approvals and grants: names, and how they are shown. */
#include "daemon/model/approval.h"

#include "base/clock.h"
#include "base/util.h"

static const char *const kinds[AK_COUNT] = {
	[AK_PERMISSION] = "permission", [AK_QUESTION] = "question", [AK_PLAN] = "plan"};
static const char *const statuses[AP_COUNT] = {[AP_PENDING] = "pending", [AP_APPROVED] = "approved",
	[AP_DENIED] = "denied", [AP_EXPIRED] = "expired", [AP_WITHDRAWN] = "withdrawn"};

void approval_free(struct approval *a)
{
	if (!a)
		return;
	free(a->about);
	free(a->args);
	free(a->diff);
	free(a->cwd);
	free(a->boot);
	free(a->by);
	free(a->reason);
	free(a->output);
	free(a);
}

struct approval *approval_copy(const struct approval *a)
{
	struct approval *c = xcalloc(1, sizeof(*c));

	*c = *a;
	c->about = xstrdup(a->about);
	c->args = xstrdup(a->args);
	c->diff = xstrdup(a->diff);
	c->cwd = xstrdup(a->cwd);
	c->boot = xstrdup(a->boot);
	c->by = xstrdup(a->by);
	c->reason = xstrdup(a->reason);
	c->output = xstrdup(a->output);
	return c;
}

void grant_free(struct grant *g)
{
	if (!g)
		return;
	free(g->about);
	free(g->boot);
	free(g->by);
	free(g);
}

const char *approval_kind_name(enum approval_kind k)
{
	return kinds[k];
}

const char *approval_status_name(enum approval_status s)
{
	return statuses[s];
}

int approval_kind_from_name(const char *s, enum approval_kind *ret)
{
	int i = name_find(kinds, AK_COUNT, s);

	if (i >= 0)
		*ret = (enum approval_kind)i;
	return i < 0 ? -1 : 0;
}

int approval_status_from_name(const char *s, enum approval_status *ret)
{
	int i = name_find(statuses, AP_COUNT, s);

	if (i >= 0)
		*ret = (enum approval_status)i;
	return i < 0 ? -1 : 0;
}

/* When a time of the boot's clock is by the wall's, as both stand now; 0: never, or of another boot. */
static int64_t boot_to_wall(const char *boot, int64_t boot_ms)
{
	if (!boot_ms || !boot || strcmp(boot, boot_id()) != 0)
		return 0;
	return clock_wall_ms() + boot_ms - clock_boot_ms();
}

static json_t *text_or_null(const char *s)
{
	json_t *j = s && *s ? json_string(s) : NULL;

	return j ? j : json_null();
}

json_t *approval_to_json(const struct approval *a, bool whole)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:o, s:o}", "id", a->id, "instance",
		a->instance, "kind", kinds[a->kind], "status", statuses[a->status], "tool", a->tool, "subagent",
		text_or_null(a->agent), "about", text_or_null(a->about), "cut", a->cut, "digest",
		text_or_null(a->digest), "by", text_or_null(a->by), "reason", text_or_null(a->reason));

	json_object_set_new(o, "created", time_json(a->created_ms));
	json_object_set_new(o, "changed", time_json(a->changed_ms));
	json_object_set_new(o, "expires", time_json(a->status == AP_PENDING ? boot_to_wall(a->boot, a->expires_boot_ms) : 0));
	json_object_set_new(o, "used", time_json(a->used_ms));
	if (!whole)
		return o;
	json_t *args = a->args ? json_loads(a->args, JSON_DECODE_ANY, NULL) : NULL;
	json_object_set_new(o, "arguments", args ? args : json_null());
	json_object_set_new(o, "diff", text_or_null(a->diff));
	json_object_set_new(o, "folder", text_or_null(a->cwd));
	return o;
}

json_t *grant_to_json(const struct grant *g)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:I}", "id", g->id, "instance", g->instance, "tool",
		g->tool, "scope", g->whole_tool ? "tool" : "same", "about", text_or_null(g->about), "by",
		text_or_null(g->by), "uses", (json_int_t)g->uses);

	json_object_set_new(o, "created", time_json(g->created_ms));
	json_object_set_new(o, "until", time_json(boot_to_wall(g->boot, g->until_boot_ms)));
	return o;
}
