/* SPDX-License-Identifier: ISC */
/* The copy of a conversation on the disk: where it stands, its bound, what is appended. tail.c has the theory. */
#include "place/shim/tail_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"

#define PUNCH_PART 16 /* so much of the bound is made free at once */
#define MAP_MAX 512

static void copy_name(const struct tail *t, const char *ending, char *out, size_t size)
{
	str_fmt(out, size, "conversation-%s.%s", t->conversation, ending);
}

static int map_read(struct tail *t)
{
	char name[NAME_SIZE], text[MAP_MAX + 1];

	copy_name(t, "map", name, sizeof(name));
	cleanup_close int fd = openat(t->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t n = fd < 0 ? 0 : read(fd, text, MAP_MAX);
	if (n <= 0)
		return 0;
	json_t *o = json_loadb(text, (size_t)n, 0, NULL);
	int64_t copy = json_get_int(o, "copy", -1), source = json_get_int(o, "source", -1), ncheck = json_get_int(o, "check", 0);
	if (copy >= 0 && source >= 0 && (uint64_t)copy <= t->length) {
		t->copy = (uint64_t)copy;
		t->source = (uint64_t)source;
		t->ncheck = ncheck > 0 && ncheck <= CHECK_BYTES && ncheck <= source ? (size_t)ncheck : 0;
		str_fmt(t->check, sizeof(t->check), "%s", json_get_text(o, "sha256", ""));
	} /* else all is sent again, and found to be known */
	json_decref(o);
	return 0;
}

void tail_map_write(struct tail *t)
{
	char name[NAME_SIZE], beside[88], text[MAP_MAX];
	int n = snprintf(text, sizeof(text), "{\"copy\":%llu,\"source\":%llu,\"check\":%zu,\"sha256\":\"%s\"}\n",
		(unsigned long long)t->copy, (unsigned long long)t->source, t->ncheck, t->check);

	copy_name(t, "map", name, sizeof(name));
	copy_name(t, "map.new", beside, sizeof(beside));
	cleanup_close int fd = openat(t->dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_all(fd, text, (size_t)n) < 0 || renameat(t->dir, beside, t->dir, name) < 0)
		log_warn("tail", t->instance, "cannot note where its transcript stands: %s", strerror(errno));
}

int tail_copy_open(struct tail *t, struct err *e)
{
	char name[NAME_SIZE];
	struct stat st;

	copy_name(t, "jsonl", name, sizeof(name));
	t->dir = openat(t->shim->recordings, t->instance, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (t->dir < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the folder of instance %s", t->instance);
	t->fd = openat(t->dir, name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (t->fd < 0 || fstat(t->fd, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_IO, "%s is no plain file", name);
	t->length = (uint64_t)st.st_size;
	return map_read(t);
}

/* What the copies of the instance take on the disk; *ret_oldest: the name of the one that was begun first and has
 * something to give (owned, or NULL). */
static uint64_t copies_take(const struct tail *t, char **ret_oldest)
{
	int again = openat(t->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	const struct dirent *ent;
	int64_t oldest = INT64_MAX;
	uint64_t sum = 0;

	*ret_oldest = NULL;
	while (d && (ent = readdir(d))) {
		struct stat st;
		size_t len = strlen(ent->d_name);

		if (!str_starts(ent->d_name, "conversation-") || len < 6 || strcmp(ent->d_name + len - 6, ".jsonl") != 0 ||
			fstatat(t->dir, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		sum += (uint64_t)st.st_blocks * 512;
		if (st.st_blocks > 16 && st.st_mtim.tv_sec < oldest) {
			oldest = st.st_mtim.tv_sec;
			free(*ret_oldest);
			*ret_oldest = xstrdup(ent->d_name);
		}
	}
	if (d)
		closedir(d);
	else if (again >= 0)
		close(again);
	return sum;
}

/* Frees so many of the oldest bytes of one copy. */
static int punch(const struct tail *t, const char *name, uint64_t bytes)
{
	cleanup_close int fd = openat(t->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	off_t first = lseek(fd, 0, SEEK_DATA);
	if (first < 0)
		return -1;
	/* The last bytes stay: by them it is told what the file is. */
	off_t most = st.st_size - first - CHECK_BYTES;
	off_t n = (off_t)bytes < most ? (off_t)bytes : most;
	/* Whole blocks go; less would free nothing, and be tried for ever. */
	n -= (first + n) % 4096;
	if (n <= 0)
		return -1;
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, first, n) < 0)
		return -1;
	/* It is as old as before: the oldest is found by that. */
	const struct timespec as_before[2] = {st.st_atim, st.st_mtim};
	if (futimens(fd, as_before) < 0)
		log_warn("tail", t->instance, "the time of %s cannot be set back: %s", name, strerror(errno));
	return 0;
}

/* Makes room for len more bytes; false when there is none to be had. */
static bool keep_bound(struct tail *t, size_t len)
{
	cleanup_free char *oldest = NULL;
	uint64_t sum = copies_take(t, &oldest);

	if (sum + len <= t->max)
		return true;
	if (!t->told_full) {
		log_warn("tail", t->instance, "its transcripts reached their bound (%llu bytes, option transcript_max): the oldest go",
			(unsigned long long)t->max);
		t->told_full = true;
	}
	if (oldest && punch(t, oldest, sum + len - t->max + t->max / PUNCH_PART) == 0)
		return true;
	if (!t->failing)
		log_error("tail", t->instance, "its transcript is not copied further: the bound is met, and the oldest bytes cannot be freed (%s)",
			strerror(errno));
	t->failing = true;
	return false;
}

void tail_on_tell(void *arg)
{
	struct tail *t = arg;

	events_mention(t->shim->events, "transcript",
		json_pack("{s:s, s:s, s:I}", "instance", t->instance, "conversation", t->conversation, "length",
			(json_int_t)t->length));
}

/* The folder is looked through once for all that came; where lines may be known, for a part at a time. */
static bool has_room(struct tail *t, size_t len)
{
	if (len > t->kept) {
		size_t part = t->again && t->coming > t->max / PUNCH_PART ? (size_t)(t->max / PUNCH_PART) : t->coming;
		size_t want = part > len ? part : len;

		if (!keep_bound(t, want))
			return false;
		t->kept = want;
	}
	t->kept -= len;
	return true;
}

int tail_append(struct tail *t, const void *data, size_t len)
{
	const char *p = data;

	if (!has_room(t, len))
		return -1;
	FAULT_POINT("tail.append");
	while (len > 0) {
		ssize_t n = write(t->fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (!t->failing)
				log_error("tail", t->instance, "its transcript cannot be copied: %s; it is tried again", strerror(errno));
			t->failing = true;
			return -1;
		}
		p += n;
		len -= (size_t)n;
		t->length += (uint64_t)n;
	}
	t->failing = false;
	t->anew_ms = 0;
	if (!loop_timer_active(t->tell))
		loop_timer_start(t->tell, TELL_MS);
	FAULT_POINT("tail.appended");
	return 0;
}
