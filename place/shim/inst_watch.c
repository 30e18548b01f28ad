/* SPDX-License-Identifier: ISC */
/*
 * Texts that are waited for on an instance's screen, or as they scroll off it. Each wait is one of its own,
 * known by the number its caller gave it: the same text may be waited for by several.
 *
 * One with a key outlives the daemon that asked: it is watched for KEPT_MS more, and what it saw is kept as long, so that
 * who asks again under that key (by the next daemon) missed nothing in between. What was seen is kept in any
 * case: the answer may have been lost with the daemon.
 */
#include "base/clock.h"
#include "base/util.h"
#include "place/shim/inst_int.h"
#include "place/shim/typing.h"

#define WATCH_MAX 256
#define SEEN_MAX 64
#define KEPT_MS (10 * 60 * INT64_C(1000))

static void watch_free(struct watch *w)
{
	free(w->key);
	free(w->text);
	free(w);
}

static bool over(const struct watch *w, int64_t now)
{
	return !w->fn && now > w->until_ms;
}

static struct watch *take_out(struct watch **list, struct watch *w)
{
	while (*list != w)
		list = &(*list)->next;
	*list = w->next;
	return w;
}

/* It was seen: with a key that is kept, the newest of them. */
static void keep_seen(struct inst *i, struct watch *w)
{
	struct watch **at = &i->seen;
	int64_t now = clock_mono_ms();

	w->fn = NULL;
	w->until_ms = now + KEPT_MS;
	if (!w->key) {
		watch_free(w);
		return;
	}
	w->next = i->seen;
	i->seen = w;
	for (int n = 0; *at; n++) {
		if (n < SEEN_MAX && !over(*at, now))
			at = &(*at)->next;
		else
			watch_free(take_out(at, *at));
	}
}

void inst_watch_check(struct inst *i, const char *seen, size_t len)
{
	struct watch **at = &i->watches, *hit = NULL, *w;
	int64_t now = clock_mono_ms();

	while ((w = *at)) {
		bool found = seen ? memmem(seen, len, w->text, strlen(w->text)) != NULL
				  : screen_contains(i->screen, w->text);

		if (over(w, now)) {
			watch_free(take_out(at, w));
			continue;
		}
		if (!found) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->next = hit;
		hit = w;
	}
	while ((w = hit)) {
		hit = w->next;
		w->offset = i->offset;
		if (w->fn)
			w->fn(w->arg, i->offset, NULL);
		keep_seen(i, w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

void inst_watch_fail(struct inst *i, const struct err *why)
{
	struct watch *w;

	while ((w = i->watches)) {
		i->watches = w->next;
		if (w->fn)
			w->fn(w->arg, i->offset, why);
		watch_free(w);
	}
}

void inst_watch_finish(struct inst *i)
{
	while (i->seen)
		watch_free(take_out(&i->seen, i->seen));
}

static struct watch *of_key(struct watch *list, const char *key, const char *text)
{
	while (list && !(key && list->key && !strcmp(list->key, key) && !strcmp(list->text, text)))
		list = list->next;
	return list;
}

/* Who asked before asks again: the one before is told so, if it is still there. */
static void take_up(struct inst *i, struct watch *w, int64_t number, inst_watch_fn *fn, void *arg)
{
	struct err e = {0};

	err_set(&e, ERR_CANCELLED, "the same wait was asked for again");
	if (w->fn)
		w->fn(w->arg, i->offset, &e);
	w->number = number;
	w->fn = fn;
	w->arg = arg;
}

/* 0, or -1 with why nothing more can be watched. */
static int may_watch(const struct inst *i, struct err *e)
{
	size_t n = 0;

	for (const struct watch *w = i->watches; w; w = w->next)
		n++;
	if (n >= WATCH_MAX)
		return err_set(e, ERR_BUSY, "%d texts are waited for already", WATCH_MAX);
	return i->state == INST_ENDED ? err_set(e, ERR_STATE, "the program in %s has ended", i->id) : 0;
}

void inst_watch(struct inst *i, int64_t number, const char *key, const char *text, inst_watch_fn *fn, void *arg)
{
	struct watch *w = of_key(i->seen, key, text);
	struct err e = {0};

	if (w && !over(w, clock_mono_ms())) {
		fn(arg, w->offset, NULL);
		return;
	}
	w = of_key(i->watches, key, text);
	if (w && !over(w, clock_mono_ms())) {
		take_up(i, w, number, fn, arg);
		return;
	}
	if (!screen_contains(i->screen, text) && may_watch(i, &e) < 0) {
		fn(arg, i->offset, &e);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct watch){.next = i->watches, .number = number, .key = xstrdup(key), .text = xstrdup(text), .fn = fn,
		.arg = arg};
	if (screen_contains(i->screen, text)) {
		w->offset = i->offset;
		keep_seen(i, w);
		fn(arg, i->offset, NULL);
		return;
	}
	i->watches = w;
	screen_catch_lines(i->screen, true);
}

void inst_unwatch(struct inst *i, int64_t number)
{
	struct err gone = {0};
	struct watch **at = &i->watches, *w;

	err_set(&gone, ERR_CANCELLED, "the wait was cancelled");
	while ((w = *at)) {
		if (!w->fn || w->number != number) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->fn(w->arg, i->offset, &gone);
		watch_free(w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

/* Those that may be asked for again go on. */
static void nobody_waits(struct inst *i, const struct err *why)
{
	struct watch **at = &i->watches, *w;
	int64_t now = clock_mono_ms();

	while ((w = *at)) {
		if (w->fn) {
			w->fn(w->arg, i->offset, why);
			w->fn = NULL;
			w->until_ms = now + KEPT_MS;
		}
		if (w->key && !over(w, now))
			at = &w->next;
		else
			watch_free(take_out(at, w));
	}
}

void inst_daemon_gone(struct shim *s)
{
	struct err gone = {0};

	err_set(&gone, ERR_CANCELLED, "who waited is gone");
	for (struct inst *i = s->instances; i; i = i->next) {
		typing_detach(i->typing);
		nobody_waits(i, &gone);
		screen_catch_lines(i->screen, i->watches != NULL);
	}
}
