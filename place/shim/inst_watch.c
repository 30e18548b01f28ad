/* SPDX-License-Identifier: ISC */
/* Texts that are waited for on an instance's screen, or as they scroll off it. Each wait is one of its own,
 * known by the number its caller gave it: the same text may be waited for by several. */
#include "base/util.h"
#include "place/shim/inst_int.h"
#include "place/shim/typing.h"

#define WATCH_MAX 256

void inst_watch_check(struct inst *i, const char *seen, size_t len)
{
	struct watch **at = &i->watches, *hit = NULL, *w;

	while ((w = *at)) {
		bool found = seen ? memmem(seen, len, w->text, strlen(w->text)) != NULL
				  : screen_contains(i->screen, w->text);

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
		w->fn(w->arg, i->offset, NULL);
		free(w->text);
		free(w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

void inst_watch_fail(struct inst *i, const struct err *why)
{
	struct watch *w;

	while ((w = i->watches)) {
		i->watches = w->next;
		w->fn(w->arg, i->offset, why);
		free(w->text);
		free(w);
	}
}

void inst_watch(struct inst *i, int64_t number, const char *text, inst_watch_fn *fn, void *arg)
{
	struct watch *w;
	struct err e = {0};
	size_t n = 0;

	for (w = i->watches; w; w = w->next)
		n++;
	if (screen_contains(i->screen, text)) {
		fn(arg, i->offset, NULL);
	} else if (i->state == INST_ENDED || n >= WATCH_MAX) {
		if (n >= WATCH_MAX)
			err_set(&e, ERR_BUSY, "%d texts are waited for already", WATCH_MAX);
		else
			err_set(&e, ERR_STATE, "the program in %s has ended", i->id);
		fn(arg, i->offset, &e);
	} else {
		w = xcalloc(1, sizeof(*w));
		*w = (struct watch){.next = i->watches, .number = number, .text = xstrdup(text), .fn = fn, .arg = arg};
		i->watches = w;
		screen_catch_lines(i->screen, true);
	}
}

void inst_unwatch(struct inst *i, int64_t number)
{
	struct err gone = {0};
	struct watch **at = &i->watches, *w;

	err_set(&gone, ERR_CANCELLED, "the wait was cancelled");
	while ((w = *at)) {
		if (w->number != number) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		w->fn(w->arg, i->offset, &gone);
		free(w->text);
		free(w);
	}
	screen_catch_lines(i->screen, i->watches != NULL);
}

void inst_daemon_gone(struct shim *s)
{
	struct err gone = {0};

	err_set(&gone, ERR_CANCELLED, "who waited is gone");
	for (struct inst *i = s->instances; i; i = i->next) {
		typing_detach(i->typing);
		inst_watch_fail(i, &gone);
		screen_catch_lines(i->screen, false);
	}
}
