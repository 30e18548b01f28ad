/* SPDX-License-Identifier: ISC */
/* Waits for room on the disk, and begins anew; see full.h. */
#include "daemon/full.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"

#define FIRST_MS 500
#define MOST_MS 10000
#define CHILDREN_MAX (1024 * 1024)
#define ROOM_FILE "room.tmp"

struct full {
	struct loop_timer *timer;
	const char *dir;
	int64_t pause_ms;
	void (*fn)(void *arg);
	void *arg;
};

int full_probe(const char *dir, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/" ROOM_FILE, dir);
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* Reserved, not only counted: a quota and what is kept for root are then known, too. */
	int why = fd < 0 ? errno : posix_fallocate(fd, 0, FULL_ROOM_BYTES);

	unlink(path);
	if (why != ENOSPC && why != EDQUOT && why != EFBIG)
		return 0;
	err_set(e, ERR_DISK, "no room on disk for %s: less than %d KiB are left", dir, FULL_ROOM_BYTES / 1024);
	return err_hint(e, "free some space on its file system; all goes on by itself then");
}

static void try_again(void *arg)
{
	struct full *f = arg;

	if (full_probe(f->dir, NULL) == 0) {
		f->fn(f->arg);
		return;
	}
	f->pause_ms = f->pause_ms * 2 < MOST_MS ? f->pause_ms * 2 : MOST_MS;
	loop_timer_start(f->timer, f->pause_ms);
}

struct full *full_watch(struct loop *l, const char *dir, int times, void (*fn)(void *arg), void *arg)
{
	struct full *f = xcalloc(1, sizeof(*f));

	f->dir = dir;
	f->fn = fn;
	f->arg = arg;
	f->pause_ms = FIRST_MS;
	while (times-- > 1 && f->pause_ms < MOST_MS)
		f->pause_ms *= 2;
	f->timer = loop_timer_create(l, try_again, f);
	loop_timer_start(f->timer, f->pause_ms);
	return f;
}

void full_destroy(struct full *f)
{
	if (!f)
		return;
	loop_timer_free(f->timer);
	free(f);
}

int full_execute(const char *name, bool waits, int times, struct err *e)
{
	char count[24];
	char *argv[] = {(char *)name, waits ? "--full" : "--was-full", count, NULL};

	str_fmt(count, sizeof(count), "%d", times < FULL_TIMES_MAX ? times : FULL_TIMES_MAX);
	signal(SIGUSR1, SIG_IGN); /* it would end the new one before that hears it */
	execv("/proc/self/exe", argv);
	return err_set_errno(e, ERR_IO, errno, "the daemon could not be executed anew");
}

static void reaped(void *arg, pid_t pid, struct proc_status st)
{
	(void)arg;
	log_debug("main", NULL, "%d of the time before the disk was full ended (%d)", (int)pid, st.code);
}

void full_reap(struct loop *l)
{
	cleanup_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
	cleanup_free char *text = NULL;
	char *at, *end;
	long pid;

	if (file_read(path, CHILDREN_MAX, &text, NULL, NULL) < 0)
		return;
	for (at = text; (pid = strtol(at, &end, 10)) > 0 && end != at; at = end)
		loop_child_watch(l, (pid_t)pid, reaped, NULL, NULL);
}
