/* SPDX-License-Identifier: ISC */
/* What is said about budgets and usage: events, refusals, and how they stand. */
#include "daemon/core/budget.h"
#include "daemon/core/usage.h"
#include "daemon/model/price.h"

void budget_tell(struct unit *holder, enum budget_kind k, const char *level, const struct unit *by)
{
	const struct budget *b = &holder->in->budget;

	P(holder->f)->event_add(CTX(holder->f), EV_BUDGET, holder->in->id, NULL,
		json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s}", "holder", holder->in->id, "cap", budget_name(k), "level", level,
			"count", budget_amount_json(k, budget_count(holder, k)), "limit",
			b->limit[k] ? budget_amount_json(k, b->limit[k]) : json_string("unlimited"), "action",
			budget_action_name(b->action), "by", by->in->id));
	attention_look(holder);
}

/* "budget_usd of instance ab12cd (lead) is used up: $5.01 of $5.00"; owned. */
static char *used_up(const struct unit *holder, enum budget_kind k)
{
	const char *name = holder->in->name;
	cleanup_free char *count = budget_amount_text(k, budget_count(holder, k));
	cleanup_free char *limit = budget_amount_text(k, holder->in->budget.limit[k]);

	return xasprintf("%s of instance %s%s%s%s is used up: %s of %s", budget_name(k), holder->in->id, name ? " (" : "",
		name ? name : "", name ? ")" : "", count, limit);
}

int budget_refuse(const struct unit *holder, enum budget_kind k, struct err *e)
{
	cleanup_free char *text = used_up(holder, k), *details = NULL;
	json_t *o = json_pack("{s:s, s:s, s:s?, s:o, s:o, s:b, s:n}", "cap", budget_name(k), "holder", holder->in->id,
		"holder_name", holder->in->name, "count", budget_amount_json(k, budget_count(holder, k)), "limit",
		budget_amount_json(k, holder->in->budget.limit[k]), "passes", 0, "retry_after_ms");

	err_set(e, ERR_CAP, "the %s", text);
	err_hint(e, "the operator may raise it: tmux-claude cap set %s --budget-%s ...", holder->in->id, budget_name(k) + strlen("budget_"));
	if (e)
		e->retryable = false;
	details = json_dumps(o, JSON_COMPACT);
	err_details(e, details);
	json_decref(o);
	return -1;
}

char *fleet_budget_held(struct fleet *f, const struct instance *in)
{
	enum budget_kind k;
	const struct unit *u = unit_find(f, in->id), *holder = u ? budget_holder(u, &k) : NULL;
	cleanup_free char *text = holder ? used_up(holder, k) : NULL;

	return holder ? xasprintf("it waits: the %s (tmux-claude cap set %s --budget-%s ... raises it)", text, holder->in->id,
				budget_name(k) + strlen("budget_"))
		      : NULL;
}

void budget_report(struct fleet *f, struct unit *u, json_t *list)
{
	(void)f;
	for (int i = 0; u && i < BUDGET_KINDS; i++) {
		enum budget_kind k = (enum budget_kind)i;
		const struct unit *by = NULL;
		int64_t left = 0;

		for (const struct unit *a = u; a; a = a->up) {
			int64_t limit = a->in->budget.limit[k], n = limit - budget_count(a, k);
			if (!limit || (by && left <= n))
				continue;
			by = a;
			left = n > 0 ? n : 0;
		}
		if (!by)
			continue;
		json_array_append_new(list,
			json_pack("{s:s, s:o, s:o, s:o, s:s, s:s?, s:s, s:s}", "cap", budget_name(k), "limit",
				u->in->budget.limit[k] ? budget_amount_json(k, u->in->budget.limit[k]) : json_string("unlimited"),
				"count", budget_amount_json(k, budget_count(u, k)), "left", budget_amount_json(k, left), "by",
				by->in->id, "by_name", by->in->name, "by_cap", budget_name(k), "action",
				budget_action_name(by->in->budget.action)));
	}
}

/* ---- usage ---- */

json_t *fleet_usage_json(struct fleet *f, const struct instance *in, bool tree)
{
	const struct unit *u = unit_find(f, in->id);
	const struct usage_state *st = u && u->usage ? &u->usage->state : NULL;
	struct usage_sum s = {0};
	json_t *o = json_object();
	int64_t window;

	if (tree && u)
		s = usage_tree(u);
	else if (st)
		s = u->usage->sum[USAGE_OWN];
	json_object_set_new(o, "known", json_boolean(u && usage_known(u)));
	usage_to_json(&s, o);
	json_object_set_new(o, "model", st && *st->model ? json_string(st->model) : in->model ? json_string(in->model) : json_null());
	json_object_set_new(o, "effort", st && *st->effort ? json_string(st->effort) : json_null());
	json_object_set_new(o, "context", st && st->context ? json_integer(st->context) : json_null());
	window = st && *st->model ? price_window(st->model) : 0;
	/* A model may be used with a window of another size: what is in it is in it. */
	json_object_set_new(o, "context_window", window && st->context <= window ? json_integer(window) : json_null());
	return o;
}
