/* SPDX-License-Identifier: ISC */
/*
 * A loop whose time stands still until the test moves it: linked in place of base/loop.c, so that a run of
 * the model test depends on nothing but its list of operations. Also the random source and the boot id.
 */
#include "base/alarm.h"
#include "base/clock.h"
#include "tests/unit/core/model/sim.h"

#define RANDOM_LETTERS 26
#define BOOT_BEGINS_MS 3000 /* the clock of a boot when the daemon comes */
#define BOOT_TAKES_MS 45000

struct loop {
	int unused;
};

struct loop_timer {
	struct loop_timer *next;
	loop_timer_fn *fn;
	void *arg;
	bool active;
	int64_t due;
	uint64_t order; /* of its start: equal deadlines fire in that order */
};

struct loop_defer {
	struct loop_defer *next;
	loop_timer_fn *fn;
	void *arg;
	bool scheduled;
};

static struct loop the_loop;
static struct loop_timer *timers;
static struct loop_defer *deferred, **deferred_last = &deferred;
static int64_t mono_ms, wall_offset_ms, before_ms; /* before_ms: of the boots before this one */
static uint64_t order, ids;
static char boot[40];

static int64_t mono_now(void)
{
	return mono_ms;
}

static int64_t wall_now(void)
{
	return mono_ms + wall_offset_ms;
}

static void new_boot_id(void)
{
	static int n;

	snprintf(boot, sizeof(boot), "00000000-0000-0000-0000-%012d", ++n);
}

void time_begin(uint64_t seed)
{
	mono_ms = 1000000;
	before_ms = 0;
	wall_offset_ms = 1790000000000;
	ids = seed * 2654435761u + 12345;
	new_boot_id();
	clock_set_source(mono_now, wall_now);
}

void time_jump_wall(int64_t ms)
{
	wall_offset_ms += ms;
}

/* Nothing waits on the loop then: the daemon died with the host. */
void time_new_boot(void)
{
	int64_t passed = mono_ms - BOOT_BEGINS_MS + BOOT_TAKES_MS;

	new_boot_id();
	before_ms += passed;
	wall_offset_ms += passed;
	mono_ms = BOOT_BEGINS_MS;
}

int64_t time_true(void)
{
	return before_ms + mono_ms;
}

/* The daemon died: nobody waits for anything any more. What they were is not freed: nor would a crash. */
void loop_forget(void)
{
	timers = NULL;
	deferred = NULL;
	deferred_last = &deferred;
}

bool loop_work(void)
{
	struct loop_defer *d = deferred;

	if (!d)
		return false;
	deferred = d->next;
	if (!deferred)
		deferred_last = &deferred;
	d->scheduled = false;
	d->fn(d->arg);
	return true;
}

static struct loop_timer *soonest(void)
{
	struct loop_timer *s = NULL;

	for (struct loop_timer *t = timers; t; t = t->next)
		if (t->active && (!s || t->due < s->due || (t->due == s->due && t->order < s->order)))
			s = t;
	return s;
}

int64_t time_to_timer(void)
{
	const struct loop_timer *t = soonest();

	return !t ? -1 : t->due > mono_ms ? t->due - mono_ms : 0;
}

bool time_step(int64_t until)
{
	struct loop_timer *t = soonest();

	if (!t || t->due > until) {
		if (until > mono_ms)
			mono_ms = until;
		return false;
	}
	if (t->due > mono_ms)
		mono_ms = t->due;
	t->active = false;
	t->fn(t->arg);
	return true;
}

struct loop *loop_create(struct err *e)
{
	(void)e;
	return &the_loop;
}

void loop_destroy(struct loop *l)
{
	(void)l;
}

struct loop_timer *loop_timer_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	(void)l;
	t->fn = fn;
	t->arg = arg;
	t->next = timers;
	timers = t;
	return t;
}

void loop_timer_start(struct loop_timer *t, int64_t ms)
{
	t->active = true;
	t->due = mono_ms + (ms > 0 ? ms : 0);
	t->order = ++order;
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t)
		t->active = false;
}

int loop_timer_active(const struct loop_timer *t)
{
	return t && t->active;
}

void loop_timer_free(struct loop_timer *t)
{
	struct loop_timer **at = &timers;

	if (!t)
		return;
	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	free(t);
}

struct loop_defer *loop_defer_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct loop_defer *d = xcalloc(1, sizeof(*d));

	(void)l;
	d->fn = fn;
	d->arg = arg;
	return d;
}

void loop_defer_schedule(struct loop_defer *d)
{
	if (d->scheduled)
		return;
	d->scheduled = true;
	d->next = NULL;
	*deferred_last = d;
	deferred_last = &d->next;
}

void loop_defer_free(struct loop_defer *d)
{
	struct loop_defer **at = &deferred;

	if (!d)
		return;
	for (; *at; at = &(*at)->next) {
		if (*at != d)
			continue;
		*at = d->next;
		if (!d->next)
			deferred_last = at;
		break;
	}
	free(d);
}

/* ---- wrapped by the linker (base/util.c, base/file.c) ---- */

void __wrap_random_id(char *out, size_t n);
void __wrap_random_bytes(void *out, size_t n);
const char *__wrap_boot_id(void);

void __wrap_random_id(char *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ids = ids * 6364136223846793005u + 1442695040888963407u;
		out[i] = (char)('a' + (ids >> 33) % RANDOM_LETTERS);
	}
	out[n] = '\0';
}

void __wrap_random_bytes(void *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		ids = ids * 6364136223846793005u + 1442695040888963407u;
		((unsigned char *)out)[i] = (unsigned char)(ids >> 33);
	}
}

const char *__wrap_boot_id(void)
{
	return boot;
}

/* ---- the alarm: the model's clocks are not set, so a timer it is ---- */

struct alarm *alarm_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	return (struct alarm *)loop_timer_create(l, fn, arg);
}

void alarm_at(struct alarm *a, int64_t wall_ms)
{
	int64_t left = wall_ms - clock_wall_ms();

	if (!wall_ms)
		loop_timer_stop((struct loop_timer *)a);
	else
		loop_timer_start((struct loop_timer *)a, left > 0 ? left : 0);
}

void alarm_destroy(struct alarm *a)
{
	if (a)
		loop_timer_free((struct loop_timer *)a);
}
