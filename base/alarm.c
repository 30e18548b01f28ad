/* SPDX-License-Identifier: ISC */
/* A timer of the kernel's on the wall clock, which tells when the clock was set. */
#include "base/alarm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define UNWATCHED_MS 60000 /* without a timer of the kernel's: how often the clock is looked at */

struct alarm {
	int fd;
	struct loop_io *io;
	struct loop_timer *timer; /* when there is no such descriptor */
	loop_timer_fn *fn;
	void *arg;
};

static void on_time(void *arg, int fd, unsigned events)
{
	struct alarm *a = arg;
	uint64_t times;

	(void)events;
	if (read(fd, &times, sizeof(times)) < 0 && errno != ECANCELED)
		return;
	a->fn(a->arg);
}

static void on_timer(void *arg)
{
	struct alarm *a = arg;

	a->fn(a->arg);
}

struct alarm *alarm_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct alarm *a = xcalloc(1, sizeof(*a));

	*a = (struct alarm){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC), .fn = fn, .arg = arg};
	if (a->fd >= 0)
		a->io = loop_io_add(l, a->fd, LOOP_READ, on_time, a);
	else
		a->timer = loop_timer_create(l, on_timer, a);
	return a;
}

void alarm_at(struct alarm *a, int64_t wall_ms)
{
	struct itimerspec when = {.it_value = {.tv_sec = wall_ms / 1000, .tv_nsec = wall_ms % 1000 * 1000000}};
	int64_t left = wall_ms - clock_wall_ms();

	if (a->fd >= 0)
		timerfd_settime(a->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &when, NULL);
	else if (!wall_ms)
		loop_timer_stop(a->timer);
	else
		loop_timer_start(a->timer, left < 0 ? 0 : left > UNWATCHED_MS ? UNWATCHED_MS : left);
}

void alarm_destroy(struct alarm *a)
{
	if (!a)
		return;
	loop_io_free(a->io);
	loop_timer_free(a->timer);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}
