/* SPDX-License-Identifier: ISC */
/* Finding what is asked for, and answering it: each once. */
#include "daemon/core/asks_int.h"

void fleet_asks_each(struct fleet *f, void (*fn)(void *arg, const struct approval *a), void *arg)
{
	for (size_t i = 0; i < f->count; i++)
		for (const struct ask *k = f->order[i]->asks ? f->order[i]->asks->open : NULL; k; k = k->next)
			fn(arg, k->a);
}

/* By id or unique beginning among the open ones. *ret_n: how many could be meant. */
static struct ask *find_open(struct fleet *f, const char *ref, int *ret_n)
{
	struct ask *found = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < f->count && *ref; i++) {
		for (struct ask *k = f->order[i]->asks ? f->order[i]->asks->open : NULL; k; k = k->next) {
			if (!strcmp(k->a->id, ref)) {
				*ret_n = 1;
				return k;
			}
			if (str_starts(k->a->id, ref)) {
				found = k;
				(*ret_n)++;
			}
		}
	}
	return *ret_n == 1 ? found : NULL;
}

struct approval *fleet_ask_find(struct fleet *f, const char *ref, struct err *e)
{
	int n;
	struct ask *k = find_open(f, ref, &n);
	struct approval *a;

	if (k)
		return approval_copy(k->a);
	a = P(f)->approval_get ? P(f)->approval_get(CTX(f), ref) : NULL;
	if (a)
		return a;
	if (n > 1) {
		err_set(e, ERR_AMBIGUOUS, "'%.32s' is the beginning of %d approvals", ref, n);
		err_hint(e, "give more of the id");
		return NULL;
	}
	err_set(e, ERR_NOT_FOUND, "there is no approval '%.32s'", ref);
	err_hint(e, "tmux-claude approvals list shows what is asked for");
	return NULL;
}

/* Why it cannot be answered any more. */
static int not_open(const struct approval *a, struct err *e)
{
	err_set(e, ERR_STATE, "approval %s is %s already%s%.200s%s%.80s", a->id, approval_status_name(a->status),
		a->reason ? ": " : "", a->reason ? a->reason : "", a->by ? ", by " : "", a->by ? a->by : "");
	return err_hint(e, "an answer counts once; the agent asks again when it needs to");
}

static int answerable(const struct ask *k, const struct ask_answer *w, struct err *e)
{
	const struct approval *a = k->a;
	bool rule = w->always || w->for_ms;

	if (w->verdict.allow && a->kind == AK_QUESTION && !w->question) {
		err_set(e, ERR_PARAMS, "%s is a question: it wants an answer", a->id);
		return err_hint(e, "tmux-claude approvals answer %s --choice 1", a->id);
	}
	if (w->question && a->kind == AK_PERMISSION) {
		err_set(e, ERR_PARAMS, "%s asks for permission: it is approved or denied", a->id);
		return err_hint(e, "tmux-claude approvals approve %s", a->id);
	}
	if (rule && a->kind != AK_PERMISSION)
		return err_set(e, ERR_PARAMS, "%s is a %s: it can be answered once only", a->id, approval_kind_name(a->kind));
	if (rule && a->cut && !w->whole_tool) {
		err_set(e, ERR_PARAMS, "the arguments of %s were cut: there is no telling what is the same", a->id);
		return err_hint(e, "approve it once, or with --scope tool");
	}
	if (rule && k->u->asks->ngrants >= GRANTS_MAX) {
		err_set(e, ERR_LIMIT, "instance %s has %d grants already", a->instance, GRANTS_MAX);
		return err_hint(e, "tmux-claude approvals grants %s; approvals revoke GRANT", a->instance);
	}
	return 0;
}

static int find_one(struct fleet *f, const char *ref, const struct ask_answer *w, struct ask **ret, json_t **output,
	struct err *e)
{
	int n;
	struct approval *a;

	*ret = find_open(f, ref, &n);
	/* A beginning that is one request's now may be another's when the answer comes. */
	if (*ret && strcmp((*ret)->a->id, ref) != 0) {
		*ret = NULL;
		err_set(e, ERR_PARAMS, "'%.32s' is the beginning of an approval's id only", ref);
		return err_hint(e, "an answer takes the whole id: tmux-claude approvals list shows it");
	}
	if (!*ret) {
		a = fleet_ask_find(f, ref, e);
		if (a)
			not_open(a, e);
		approval_free(a);
		return -1;
	}
	*output = NULL;
	if (w->leave)
		return 0;
	if (answerable(*ret, w, e) < 0)
		return -1;
	*output = P(f)->agent(CTX(f), (*ret)->u->in->agent)->verdict((*ret)->a, &w->verdict, e);
	return *output ? 0 : -1;
}

/* Its hook says nothing, so the dialog decides: until then the instance waits as it did. */
static void leave_one(struct ask *k, const struct ask_answer *w)
{
	struct unit *u = k->u;

	ask_settle(k, AP_WITHDRAWN, w->by, "it was left to the agent's own terminal", NULL);
	u->ask_settled_ms = 0; /* a person is needed there: want_terminal() */
	attention_look(u);
}

static void answer_one(struct ask *k, const struct ask_answer *w, json_t *output)
{
	struct unit *u = k->u;
	bool rule = w->verdict.allow && (w->always || w->for_ms);

	if (rule)
		grant_make(u, k->a, w);
	ask_settle(k, w->verdict.allow ? AP_APPROVED : AP_DENIED, w->by, w->verdict.reason, output);
	asks_state_follows(u);
}

int fleet_asks_answer(struct fleet *f, char *const *ids, const struct ask_answer *w, struct err *e)
{
	size_t n = strv_len(ids);
	cleanup_free struct ask **set = xcalloc(n + 1, sizeof(struct ask *));
	cleanup_free json_t **output = xcalloc(n + 1, sizeof(json_t *));

	for (size_t i = 0; i < n; i++) {
		bool twice = false;

		if (find_one(f, ids[i], w, &set[i], &output[i], e) < 0) {
			for (size_t k = 0; k < i; k++)
				json_decref(output[k]);
			return -1;
		}
		for (size_t k = 0; k < i; k++)
			twice = twice || set[k] == set[i];
		if (twice) {
			json_decref(output[i]);
			output[i] = NULL;
			set[i] = NULL;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (set[i] && w->leave)
			leave_one(set[i], w);
		else if (set[i])
			answer_one(set[i], w, output[i]);
	}
	return 0;
}

