/* SPDX-License-Identifier: ISC */
/* Looks: who wants all that the files hold by now waits until each was asked and has answered. */
#include "place/shim/tail_int.h"

#include "base/util.h"

#define LOOK_MS 10000 /* longer nobody waits for one */
#define LOOKS_MAX 16  /* under way at once */

struct look {
	struct look *next;
	int64_t number;
	char instance[INST_ID_LEN + 1];
	struct loop_timer *deadline;
	tail_look_fn *fn;
	void *arg;
};

static struct look *looks;
static int64_t last_look;

static json_t *lengths(const char *instance)
{
	json_t *a = json_array();

	for (struct tail *t = shim_tails; t; t = t->next)
		if (strcmp(t->instance, instance) == 0)
			json_array_append_new(a, json_pack("{s:s, s:I}", "conversation", t->conversation, "length",
							 (json_int_t)t->length));
	return json_pack("{s:o}", "tails", a);
}

static bool look_waits(const struct look *k)
{
	for (const struct tail *t = shim_tails; t; t = t->next)
		if (strcmp(t->instance, k->instance) == 0 && t->asked >= k->number && t->looked < k->number)
			return true;
	return false;
}

static void look_over(struct look *k, const struct err *why)
{
	struct look **at = &looks;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	k->fn(k->arg, why ? NULL : lengths(k->instance), why);
	loop_timer_free(k->deadline);
	free(k);
}

static void on_look_overdue(void *arg)
{
	struct err e = {0};

	err_set(&e, ERR_TIMEOUT, "its place did not say within %d s how far its transcripts go", LOOK_MS / 1000);
	look_over(arg, &e);
}

static size_t looks_count(void)
{
	size_t n = 0;

	for (const struct look *k = looks; k; k = k->next)
		n++;
	return n;
}

void tail_looks_check(void)
{
	for (struct look **at = &looks; *at;) {
		struct look *k = *at;

		if (look_waits(k)) {
			at = &k->next;
			continue;
		}
		look_over(k, NULL);
		at = &looks;
	}
}

void tail_look(struct shim *s, const char *instance, tail_look_fn *fn, void *arg)
{
	struct err e = {0};

	if (looks_count() >= LOOKS_MAX) {
		err_set(&e, ERR_BUSY, "%d looks at transcripts of this place are under way", LOOKS_MAX);
		fn(arg, NULL, &e);
		return;
	}
	struct look *k = xcalloc(1, sizeof(*k));
	*k = (struct look){.next = looks, .number = ++last_look, .fn = fn, .arg = arg};
	str_fmt(k->instance, sizeof(k->instance), "%s", instance);
	k->deadline = loop_timer_create(s->loop, on_look_overdue, k);
	loop_timer_start(k->deadline, LOOK_MS);
	looks = k;
	for (struct tail *t = shim_tails; t; t = t->next) {
		if (strcmp(t->instance, instance) != 0)
			continue;
		if (!t->stream)
			tail_open_stream(t);
		if (t->stream && link_send_ctl(t->stream, json_pack("{s:I}", "look", (json_int_t)k->number)) == 0)
			t->asked = k->number;
	}
	tail_looks_check();
}

void tail_daemon_gone(struct shim *s)
{
	struct err e = {0};

	(void)s;
	err_set(&e, ERR_CANCELLED, "the daemon went away");
	while (looks)
		look_over(looks, &e);
}
