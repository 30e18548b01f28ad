/* SPDX-License-Identifier: ISC */
/*
 * Copies of conversations.
 *
 * Theory of operation. The copy's length on disk is what a new shim goes on from; nothing else is kept. With the length
 * goes a digest of the last bytes, and the guest says whether its file holds them there (place/guest/tail.c). It does
 * unless the file was cut, replaced or written anew. Then the whole of it is sent again, and of it only lines that the
 * copy does not have are appended: a copy never changes, so its offsets stay true, and each line is in it once. Where
 * the two stand from then on is in conversation-ID.map ({copy, source}: these offsets are of the same byte).
 *
 * The bound: all copies of an instance together take at most `max` bytes of the disk; beyond, the oldest bytes are
 * punched out of the oldest (they read as zeros; offsets stay). Where holes cannot be made copying ends, and that is
 * said. A write that fails leaves the bytes with the guest, and is tried again after RETRY_MS.
 */
#include "place/shim/tail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/util.h"
#include "place/shim/guest.h"
#include "place/shim/inst.h"

#define TELL_MS 100
#define RETRY_MS 5000
#define ANEW_MS 1000          /* before a file that was written anew is asked for; twice as long each time */
#define ANEW_MOST_MS 60000
#define LOOK_MS 10000         /* longer nobody waits for a look */
#define LOOKS_MAX 16          /* under way at once */
#define CHECK_BYTES 512
#define MAX_LEAST (64 * 1024)
#define MAX_DEFAULT (64 * 1024 * 1024)
#define PIECE 65536
#define LINE_MAX_BYTES (4 * 1024 * 1024) /* a longer one is taken as it is */
#define LINES_MAX (1 << 20)              /* of a copy that are known, when the file is sent again */
#define PUNCH_PART 16                    /* so much of the bound is made free at once */
#define ID_LEN_UUID 36
#define MAP_MAX 512

struct look {
	struct look *next;
	int64_t number;
	int waits; /* tails that have not answered */
	char instance[INST_ID_LEN + 1];
	struct loop_timer *deadline;
	tail_look_fn *fn;
	void *arg;
};

struct tail {
	struct tail *next;
	struct shim *shim;
	char instance[INST_ID_LEN + 1], conversation[ID_LEN_UUID + 1];
	char *root, *path;
	uint64_t max;
	int dir, fd; /* the instance's folder, the copy */
	uint64_t length;
	uint64_t copy, source; /* of the same byte: the file's offset of what is appended next follows */
	struct link_stream *stream;
	struct loop_timer *tell, *retry;
	size_t coming, kept; /* bytes that may be appended of what came; that there is room for */
	int64_t anew_ms;     /* the pause before the file is asked for anew */
	bool told_full, failing, changed;
	int64_t looked, asked; /* numbers of looks */
	/* While the file is sent again. */
	bool again;
	uint64_t at, until; /* of the file: so far it may be what is known */
	char last[CHECK_BYTES]; /* the file's bytes before `at` */
	size_t nlast;
	char check[SHA256_HEX]; /* of the file's `ncheck` bytes before `source` */
	size_t ncheck;
	uint64_t *known;
	size_t nknown, room;
	struct buf line;
};

static struct tail *tails; /* of this process: one place */
static struct look *looks;
static int64_t last_look;

static void open_stream(struct tail *t);

/* --- the copy --- */

static void copy_name(const struct tail *t, const char *ending, char *out, size_t size)
{
	snprintf(out, size, "conversation-%s.%s", t->conversation, ending);
}

static int map_read(struct tail *t)
{
	char name[80], text[MAP_MAX + 1];

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

static void map_write(struct tail *t)
{
	char name[80], beside[88], text[MAP_MAX];
	int n = snprintf(text, sizeof(text), "{\"copy\":%llu,\"source\":%llu,\"check\":%zu,\"sha256\":\"%s\"}\n",
		(unsigned long long)t->copy, (unsigned long long)t->source, t->ncheck, t->check);

	copy_name(t, "map", name, sizeof(name));
	copy_name(t, "map.new", beside, sizeof(beside));
	cleanup_close int fd = openat(t->dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write_all(fd, text, (size_t)n) < 0 || renameat(t->dir, beside, t->dir, name) < 0)
		log_warn("tail", t->instance, "cannot note where its transcript stands: %s", strerror(errno));
}

static int copy_open(struct tail *t, struct err *e)
{
	char name[80];
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

static void on_tell(void *arg)
{
	struct tail *t = arg;

	events_mention(t->shim->events, "transcript",
		json_pack("{s:s, s:s, s:I}", "instance", t->instance, "conversation", t->conversation, "length",
			(json_int_t)t->length));
}

static void on_retry(void *arg)
{
	struct tail *t = arg;

	if (!t->stream)
		open_stream(t);
}

/* What the guest holds stays there. */
static void let_go(struct tail *t, bool retry)
{
	if (t->stream)
		link_reset(t->stream, NULL);
	t->stream = NULL;
	t->asked = t->looked; /* nobody answers */
	if (retry)
		loop_timer_start(t->retry, RETRY_MS);
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

/* All of it or, after an error, a part: the length says. */
static int append(struct tail *t, const void *data, size_t len)
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

/* --- when the file is sent again --- */

static uint64_t hash_of(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h ? h : 1;
}

static uint64_t *slot_of(const struct tail *t, uint64_t h)
{
	size_t i = h & (t->room - 1);

	while (t->known[i] && t->known[i] != h)
		i = (i + 1) & (t->room - 1);
	return &t->known[i];
}

static void know(struct tail *t, const void *line, size_t len)
{
	uint64_t h = hash_of(line, len);

	if (2 * (t->nknown + 1) > t->room) {
		uint64_t *old = t->known;
		size_t n = t->room;

		t->room = n ? 2 * n : 1024;
		t->known = xcalloc(t->room, sizeof(*t->known));
		for (size_t i = 0; i < n; i++)
			if (old[i])
				*slot_of(t, old[i]) = old[i];
		free(old);
	}
	uint64_t *s = slot_of(t, h);
	t->nknown += *s == 0;
	*s = h;
}

static void again_end(struct tail *t)
{
	t->again = false;
	free(t->known);
	t->known = NULL;
	t->nknown = t->room = 0;
	buf_finish(&t->line);
}

static void know_copy(struct tail *t)
{
	cleanup_free char *piece = xcalloc(1, PIECE);
	off_t first = lseek(t->fd, 0, SEEK_DATA); /* behind what was made free */
	uint64_t at = first > 0 ? (uint64_t)first : 0;
	ssize_t n;

	buf_init(&t->line, LINE_MAX_BYTES);
	while (t->nknown < LINES_MAX && (n = pread(t->fd, piece, PIECE, (off_t)at)) > 0) {
		const char *p = piece, *end = piece + n, *nl;
		while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
			if (buf_append(&t->line, p, (size_t)(nl + 1 - p)) == 0)
				know(t, buf_data(&t->line), t->line.len);
			buf_clear(&t->line);
			p = nl + 1;
		}
		if (buf_append(&t->line, p, (size_t)(end - p)) < 0)
			buf_clear(&t->line);
		at += (uint64_t)n;
	}
	buf_clear(&t->line);
}

/* A copy that ends within a line is brought to its end, so that what follows begins one. */
static int end_line(struct tail *t)
{
	char last = '\n';

	if (t->length > 0 && pread(t->fd, &last, 1, (off_t)(t->length - 1)) == 1 && last != '\n')
		return append(t, "\n", 1);
	return 0;
}

/* From here on the two go along: behind the same bytes, which were just appended. */
static void aligned(struct tail *t)
{
	t->copy = t->length;
	t->source = t->at;
	t->ncheck = t->nlast;
	sha256_hex(t->last, t->nlast, t->check);
	again_end(t);
	map_write(t);
}

/* size: of the file now. It may still be written: up to where it stood before, and further while its lines are known,
 * they are compared. */
static void again_begin(struct tail *t, uint64_t size)
{
	uint64_t before = t->source + (t->length - t->copy);

	again_end(t);
	t->again = true;
	t->at = 0;
	t->nlast = 0;
	t->until = size > before ? size : before;
	know_copy(t);
}

static void remember(struct tail *t, const char *data, size_t len)
{
	size_t keep = len >= CHECK_BYTES ? 0 : CHECK_BYTES - len, n = len < CHECK_BYTES ? len : CHECK_BYTES;

	if (keep > t->nlast)
		keep = t->nlast;
	memmove(t->last, t->last + t->nlast - keep, keep);
	memcpy(t->last + keep, data + len - n, n);
	t->nlast = keep + n;
}

/* *ret_new: it was not known. */
static int again_line(struct tail *t, bool *ret_new)
{
	const void *line = buf_data(&t->line);
	size_t len = t->line.len;
	int r = 0;

	if (!t->known || *slot_of(t, hash_of(line, len)) == 0) {
		r = end_line(t) < 0 || append(t, line, len) < 0 ? -1 : 0;
		if (r == 0 && t->nknown < LINES_MAX)
			know(t, line, len);
		*ret_new = true;
	}
	buf_clear(&t->line);
	return r;
}

/* Takes bytes of the file until both stand at the same line; returns how many. -1: they could not be kept. */
static ssize_t again_take(struct tail *t, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && t->again) {
		const char *nl = memchr(data + done, '\n', len - done);
		size_t n = nl ? (size_t)(nl + 1 - (data + done)) : len - done;
		bool new = false;

		remember(t, data + done, n);
		if (buf_append(&t->line, data + done, n) < 0) { /* too long to be compared */
			if (end_line(t) < 0 || append(t, buf_data(&t->line), t->line.len) < 0 || append(t, data + done, n) < 0)
				return -1;
			buf_clear(&t->line);
			new = true;
		} else if (nl && again_line(t, &new) < 0) {
			return -1;
		}
		done += n;
		t->at += n;
		if (new && t->at >= t->until)
			aligned(t);
	}
	return (ssize_t)done;
}

/* --- looks --- */

static json_t *lengths(const char *instance)
{
	json_t *a = json_array();

	for (struct tail *t = tails; t; t = t->next)
		if (strcmp(t->instance, instance) == 0)
			json_array_append_new(a, json_pack("{s:s, s:I}", "conversation", t->conversation, "length",
							 (json_int_t)t->length));
	return json_pack("{s:o}", "tails", a);
}

static bool look_waits(const struct look *k)
{
	for (const struct tail *t = tails; t; t = t->next)
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

static void looks_check(void)
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
	for (struct tail *t = tails; t; t = t->next) {
		if (strcmp(t->instance, instance) != 0)
			continue;
		if (!t->stream)
			open_stream(t);
		if (t->stream && link_send_ctl(t->stream, json_pack("{s:I}", "look", (json_int_t)k->number)) == 0)
			t->asked = k->number;
	}
	looks_check();
}

void tail_daemon_gone(struct shim *s)
{
	struct err e = {0};

	(void)s;
	err_set(&e, ERR_CANCELLED, "the daemon went away");
	while (looks)
		look_over(looks, &e);
}

/* --- the stream --- */

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct tail *t = arg;
	const char *p = data;
	ssize_t taken = 0;

	t->kept = 0;
	t->coming = len + t->line.len + 1;
	if (t->again)
		taken = again_take(t, p, len);
	if (taken < 0 || ((size_t)taken < len && append(t, p + taken, len - (size_t)taken) < 0)) {
		let_go(t, true);
		looks_check();
		return;
	}
	link_consumed(s, len);
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	const json_t *begun = json_object_get(msg, "tail");
	struct tail *t = arg;
	struct err e = {0};

	(void)s;
	if (json_get_bool(msg, "changed")) {
		t->changed = true;
	} else if (json_object_get(msg, "error") && !t->changed) {
		err_from_json(json_object_get(msg, "error"), &e);
		log_warn("tail", t->instance, "its transcript cannot be read: %s", e.message);
	} else if (begun && !json_get_bool(begun, "same")) {
		if (t->length > 0)
			log_info("tail", t->instance, "its transcript was written anew: only what is new of it is taken");
		int64_t size = json_get_int(begun, "size", 0);
		again_begin(t, size > 0 ? (uint64_t)size : 0);
	}
	if (json_is_integer(json_object_get(msg, "looked"))) {
		t->looked = json_get_int(msg, "looked", 0);
		looks_check();
	}
}

/* The guest has nothing more to say of it: it was written anew, or cannot be followed. */
static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct tail *t = arg;
	bool anew = t->changed;

	(void)msg;
	(void)s;
	t->changed = false;
	let_go(t, false);
	if (anew) { /* which its writer can do as often as it likes */
		t->anew_ms = !t->anew_ms ? ANEW_MS : 2 * t->anew_ms < ANEW_MOST_MS ? 2 * t->anew_ms : ANEW_MOST_MS;
		loop_timer_start(t->retry, t->anew_ms);
	}
	looks_check();
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct tail *t = arg;

	(void)s;
	(void)why;
	t->stream = NULL;
	t->asked = t->looked;
	looks_check();
}

static const struct link_stream_ops stream_ops = {.on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin, .on_reset = on_reset};

static json_t *check_of(const struct tail *t, uint64_t from)
{
	char bytes[CHECK_BYTES], hex[SHA256_HEX];
	uint64_t least = t->copy < t->length ? t->length - t->copy : 0;
	/* Before the map's byte the two need not be alike. */
	size_t n = t->copy > 0 || t->source > 0 ? (least < CHECK_BYTES ? (size_t)least : CHECK_BYTES)
						: (t->length < CHECK_BYTES ? (size_t)t->length : CHECK_BYTES);

	if (n > from)
		n = (size_t)from;
	if (least == 0 && t->ncheck > 0 && t->source == from) /* nothing came since the two stand at the same line */
		return json_pack("{s:I, s:s}", "len", (json_int_t)t->ncheck, "sha256", t->check);
	if (n == 0 || pread(t->fd, bytes, n, (off_t)(t->length - n)) != (ssize_t)n)
		return json_pack("{s:i}", "len", 0);
	sha256_hex(bytes, n, hex);
	return json_pack("{s:I, s:s}", "len", (json_int_t)n, "sha256", hex);
}

static void open_stream(struct tail *t)
{
	uint64_t from = t->source + (t->length - t->copy);
	struct err e = {0};

	again_end(t);
	loop_timer_stop(t->retry);
	t->changed = false;
	t->stream = link_open(guest_link(t->shim->guest),
		json_pack("{s:s, s:s, s:s, s:I, s:o}", "kind", "tail", "root", t->root, "path", t->path, "from", (json_int_t)from,
			"check", check_of(t, from)),
		&stream_ops, t, &e);
	if (!t->stream) {
		log_warn("tail", t->instance, "its transcript cannot be followed: %s; it is tried again", e.message);
		loop_timer_start(t->retry, RETRY_MS);
	}
	FAULT_POINT("tail.opened");
}

/* --- life --- */

static void destroy(struct tail *t)
{
	struct tail **at = &tails;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	again_end(t);
	loop_timer_free(t->tell);
	loop_timer_free(t->retry);
	if (t->fd >= 0)
		close(t->fd);
	if (t->dir >= 0)
		close(t->dir);
	free(t->root);
	free(t->path);
	free(t);
}

/* The oldest of an instance that has too many is let go. */
static void make_room(const char *instance)
{
	struct tail *oldest = NULL;
	size_t n = 0;

	for (struct tail *t = tails; t; t = t->next) /* the newest first */
		if (strcmp(t->instance, instance) == 0) {
			oldest = t;
			n++;
		}
	if (n < TAILS_OF_INSTANCE)
		return;
	let_go(oldest, false);
	destroy(oldest);
	looks_check();
}

static bool conversation_valid(const char *id)
{
	return strlen(id) == ID_LEN_UUID && strspn(id, "0123456789abcdefABCDEF-") == ID_LEN_UUID;
}

static int parse(struct shim *s, const json_t *params, struct tail *t, struct err *e)
{
	const char *id = json_need_text(params, "instance", e), *conversation = id ? json_need_text(params, "conversation", e) : NULL;
	const char *root = conversation ? json_need_text(params, "root", e) : NULL, *path = root ? json_need_text(params, "path", e) : NULL;
	int64_t max = json_get_int(params, "max", MAX_DEFAULT);

	if (!path)
		return -1;
	if (!inst_id_valid(id) || !conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "place.json does not name the instance %.20s", id);
	if (!conversation_valid(conversation))
		return err_set(e, ERR_PARAMS, "\"%.80s\" is no conversation's id", conversation);
	memcpy(t->instance, id, INST_ID_LEN);
	memcpy(t->conversation, conversation, ID_LEN_UUID);
	t->root = xstrdup(root);
	t->path = xstrdup(path);
	t->max = max < MAX_LEAST ? MAX_LEAST : (uint64_t)max;
	return 0;
}

int tail_follow(struct shim *s, const json_t *params, uint64_t *ret_length, struct err *e)
{
	struct tail *t = xcalloc(1, sizeof(*t)), *old;

	t->shim = s;
	t->dir = t->fd = -1;
	if (parse(s, params, t, e) < 0) {
		destroy(t);
		return -1;
	}
	for (old = tails; old && (strcmp(old->instance, t->instance) != 0 || strcmp(old->conversation, t->conversation) != 0); old = old->next)
		;
	if (old && strcmp(old->root, t->root) == 0 && strcmp(old->path, t->path) == 0) {
		destroy(t);
		if (!old->stream)
			open_stream(old);
		*ret_length = old->length;
		return 0;
	}
	if (old) {
		let_go(old, false);
		destroy(old);
	}
	make_room(t->instance);
	if (copy_open(t, e) < 0) {
		destroy(t);
		return -1;
	}
	t->tell = loop_timer_create(s->loop, on_tell, t);
	t->retry = loop_timer_create(s->loop, on_retry, t);
	t->next = tails;
	tails = t;
	open_stream(t);
	*ret_length = t->length;
	return 0;
}

void tail_tell_all(struct shim *s)
{
	(void)s;
	for (struct tail *t = tails; t; t = t->next)
		on_tell(t);
}

void tail_destroy_all(struct shim *s)
{
	tail_daemon_gone(s);
	while (tails) {
		tails->stream = NULL; /* the link goes as a whole */
		destroy(tails);
	}
}
