/* SPDX-License-Identifier: ISC */
/* A timer of the kernel's on the wall clock, which tells when the clock was set. */
#include "base/alarm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define UNWATCHED_MS 60000 /* without a timer of the kernel's: how often the clock is looked at */

struct alarm {
	int fd;
	struct loop_io *io;
	struct loop_timer *timer; /* when there is no such descriptor */
	int wrong_fd; /* tells when a test sets the clock, which the kernel's timer knows nothing of; -1 none */
	struct loop_io *wrong_io;
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

static void on_set_wrong(void *arg, int fd, unsigned events)
{
	char seen[sizeof(struct inotify_event) * 16] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct alarm *a = arg;

	(void)events;
	while (read(fd, seen, sizeof(seen)) > 0)
		;
	a->fn(a->arg);
}

static void watch_a_test(struct alarm *a, struct loop *l)
{
	const char *file = clock_wrong_file();

	a->wrong_fd = file ? inotify_init1(IN_NONBLOCK | IN_CLOEXEC) : -1;
	if (a->wrong_fd >= 0 && inotify_add_watch(a->wrong_fd, file, IN_CLOSE_WRITE) >= 0)
		a->wrong_io = loop_io_add(l, a->wrong_fd, LOOP_READ, on_set_wrong, a);
}

struct alarm *alarm_create(struct loop *l, loop_timer_fn *fn, void *arg)
{
	struct alarm *a = xcalloc(1, sizeof(*a));

	*a = (struct alarm){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC), .fn = fn, .arg = arg};
	if (a->fd >= 0)
		a->io = loop_io_add(l, a->fd, LOOP_READ, on_time, a);
	else
		a->timer = loop_timer_create(l, on_timer, a);
	watch_a_test(a, l);
	return a;
}

void alarm_at(struct alarm *a, int64_t wall_ms)
{
	int64_t left = wall_ms - clock_wall_ms(), real = wall_ms ? wall_ms - clock_wrong_ms() : 0;

	if (wall_ms && real < 1) /* before 1970 is now; 0 would be never */
		real = 1;
	struct itimerspec when = {.it_value = {.tv_sec = real / 1000, .tv_nsec = real % 1000 * 1000000}};

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
	loop_io_free(a->wrong_io);
	if (a->wrong_fd >= 0)
		close(a->wrong_fd);
	loop_timer_free(a->timer);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}
