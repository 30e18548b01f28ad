/* SPDX-License-Identifier: ISC */
/*
 * What is kept of terminals: the bound over all recordings of instances that have ended (option
 * record_total), and their removal. Each living one bounds its own (record_max). When one ends, those
 * ended longest ago give their recorded bytes up until the rest fits; term.json stays, so that an instance which
 * is restarted goes on in its offsets.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/world_int.h"

#define SETTLE_MS 3000 /* its last segment is packed meanwhile */
#define STATE_FILE "term.json"
/* A packer of the shim's may put two names into a folder that is being removed. */
#define REMOVE_TRIES 4

/* Goes once over the files of a recording; with drop removes them. Their size together. */
static uint64_t pass_over(int fd, bool drop)
{
	int again = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	const struct dirent *ent;
	uint64_t sum = 0;

	if (!d) {
		if (again >= 0)
			close(again);
		return 0;
	}
	while ((ent = readdir(d))) {
		struct stat st;

		if (!str_starts(ent->d_name, "term.") || strcmp(ent->d_name, STATE_FILE) == 0 ||
			fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		sum += (uint64_t)st.st_size;
		if (drop)
			unlinkat(fd, ent->d_name, 0);
	}
	closedir(d);
	return sum;
}

/* The size of an instance's recording, or 0; with drop it is removed. */
static uint64_t each_file(struct world *w, const char *instance, bool drop)
{
	cleanup_free char *path = xasprintf("%s/%s", w->layout->recordings_dir, instance);
	cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	uint64_t sum;

	if (fd < 0)
		return 0;
	sum = pass_over(fd, drop);
	if (drop) /* a packer may have put its file in place behind the first (record/pack.c) */
		pass_over(fd, true);
	return sum;
}

static int newest_first(const void *a, const void *b)
{
	const struct instance *x = *(const struct instance *const *)a, *y = *(const struct instance *const *)b;

	return x->state_since_ms != y->state_since_ms ? (x->state_since_ms < y->state_since_ms ? 1 : -1)
						      : strcmp(x->id, y->id);
}

static void keep_bound(void *arg)
{
	struct world *w = arg;
	uint64_t most = (uint64_t)config_int(w->config, OPT_RECORD_TOTAL) << 20, sum = 0;
	size_t n = 0, count = fleet_count(w->fleet);
	struct instance **ended = xcalloc(count + 1, sizeof(struct instance *));

	for (size_t i = 0; i < count; i++)
		if (!state_living(fleet_at(w->fleet, i)->state))
			ended[n++] = fleet_at(w->fleet, i);
	qsort(ended, n, sizeof(*ended), newest_first);
	for (size_t i = 0; i < n; i++) {
		uint64_t size = each_file(w, ended[i]->id, false);

		if (size == 0)
			continue;
		sum += size; /* past the bound for all older ones, too, however small they are */
		if (sum <= most)
			continue;
		each_file(w, ended[i]->id, true);
		log_info("record", ended[i]->id, "its recording (%llu bytes) is dropped: record_total is %llu MiB",
			(unsigned long long)size, (unsigned long long)most >> 20);
	}
	free(ended);
}

void recordings_init(struct world *w)
{
	w->recordings = loop_timer_create(w->loop, keep_bound, w);
}

void recordings_finish(struct world *w)
{
	loop_timer_free(w->recordings);
}

void recordings_ended(struct world *w)
{
	if (config_int(w->config, OPT_RECORD_TOTAL) > 0 && !loop_timer_active(w->recordings))
		loop_timer_start(w->recordings, SETTLE_MS);
}

void recordings_remove(struct world *w, const char *instance)
{
	cleanup_free char *dir = xasprintf("%s/%s", w->layout->recordings_dir, instance);
	struct err err = {0};
	int tries = REMOVE_TRIES;

	FAULT_POINT("recording.remove");
	while (tree_remove(dir, &err) < 0 && --tries > 0)
		err_clear(&err);
	if (tries == 0)
		log_error("record", instance, "its recording could not be removed: %s", err.message);
	FAULT_POINT("recording.removed");
}
