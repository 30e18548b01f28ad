/* SPDX-License-Identifier: ISC */
/*
 * A file of the place that grows, as a stream.
 *
 * Theory of operation. The shim says which file (`path` below the folder `root`), how much of it it has (`from`) and
 * what the last `check.len` bytes of that are. While the file is not there, the deepest folder on the way to it that
 * is there is watched. When it is: `{"tail":{"from","same","size"}}` says from where its bytes follow: from `from` on, or,
 * where it is another file than the shim knows (shorter, or with other bytes there), from the beginning. Bytes follow as
 * they are written, never faster than the shim takes them. `{"look":N}` is answered `{"looked":N,"at"}` behind all bytes
 * that were in the file then (`at` null: there is none). A file that was cut, replaced or written anew ends the stream
 * with `{"changed":true}`, and the shim begins again.
 *
 * Which file that is was said by the agent, so the way from root to it goes through no link, and it is a regular file. What lies
 * behind a mount that this process serves is not looked at: it would wait for itself (place/guest/way.h).
 */
#include "place/guest/tail.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/sha256.h"
#include "base/util.h"
#include "place/guest/ending.h"
#include "place/guest/proc.h"
#include "place/guest/watch.h"
#include "place/guest/way.h"

#define PIECE 65536
#define BUDGET (4 * PIECE) /* of one turn */
#define CHECK_MAX 4096
#define LAST_MAX 64 /* bytes before the next, to see that the file is still the same */
#define PATH_BYTES_MAX 4096

struct tail {
	struct tail *next;
	struct guest *guest;
	struct link_stream *stream;
	char *root, *path;
	uint64_t from, pos;
	size_t check_len;
	char check[SHA256_HEX];
	int fd; /* -1: it is not there yet */
	struct watch *watch;
	struct loop_defer *again;
	char last[LAST_MAX];
	size_t nlast;
	bool at_end;
	int64_t look; /* the newest question; -1: none is open */
};

static void tail_free(struct tail *t)
{
	struct tail **at = &t->guest->tails;

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	watch_free(t->watch);
	loop_defer_free(t->again);
	if (t->fd >= 0)
		close(t->fd);
	free(t->root);
	free(t->path);
	free(t);
}

static void fail(struct tail *t, const struct err *why)
{
	struct link_stream *s = t->stream;

	tail_free(t);
	stream_fail(s, why);
}

static void changed(struct tail *t)
{
	struct link_stream *s = t->stream;
	struct err e = { 0 };

	tail_free(t);
	err_set(&e, ERR_STATE, "the file was cut, replaced or written anew");
	link_send_ctl(s, json_pack("{s:b}", "changed", 1));
	stream_fail(s, &e);
}

/* --- the file --- */

/* 0 with *ret, -1 with errno; ENOENT: not there yet. */
static int open_file(const struct tail *t, int *ret)
{
	struct stat st;
	cleanup_close int root = way_open(t->guest, t->root, O_PATH | O_DIRECTORY);

	if (root < 0)
		return -1;
	cleanup_close int fd = way_open_below(t->guest, root, t->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	*ret = take_fd(&fd);
	return 0;
}

/* Is what the shim has the beginning of it? */
static bool is_same(const struct tail *t)
{
	char bytes[CHECK_MAX], hex[SHA256_HEX];
	struct stat st;

	if (fstat(t->fd, &st) < 0 || (uint64_t)st.st_size < t->from)
		return false;
	if (t->check_len == 0)
		return t->from == 0;
	if (pread(t->fd, bytes, t->check_len, (off_t)(t->from - t->check_len)) != (ssize_t)t->check_len)
		return false;
	sha256_hex(bytes, t->check_len, hex);
	return strcmp(hex, t->check) == 0;
}

static void remember(struct tail *t, const char *data, size_t len)
{
	size_t keep = len >= LAST_MAX ? 0 : LAST_MAX - len;

	if (keep > t->nlast)
		keep = t->nlast;
	memmove(t->last, t->last + t->nlast - keep, keep);
	t->nlast = keep + (len > LAST_MAX ? LAST_MAX : len);
	memcpy(t->last + keep, data + len - (t->nlast - keep), t->nlast - keep);
}

/* Nothing that was told of it is otherwise now. */
static bool is_still_same(const struct tail *t)
{
	char now[LAST_MAX];
	struct stat st, path;
	int other = -1;

	if (fstat(t->fd, &st) < 0 || (uint64_t)st.st_size < t->pos)
		return false;
	if (t->nlast && (pread(t->fd, now, t->nlast, (off_t)(t->pos - t->nlast)) != (ssize_t)t->nlast ||
				memcmp(now, t->last, t->nlast) != 0))
		return false;
	if (open_file(t, &other) < 0)
		return false;
	bool same = fstat(other, &path) == 0 && path.st_ino == st.st_ino && path.st_dev == st.st_dev;
	close(other);
	return same;
}

static void answer_look(struct tail *t)
{
	if (t->look < 0 || !t->at_end)
		return;
	link_send_ctl(t->stream, json_pack("{s:I, s:o}", "looked", (json_int_t)t->look, "at",
		t->fd < 0 ? json_null() : json_integer((json_int_t)t->pos)));
	t->look = -1;
}

/* Sends what is there and has room. */
static void pump(struct tail *t)
{
	static char piece[PIECE];
	size_t sent = 0;

	t->at_end = false;
	while (t->fd >= 0) {
		size_t room = link_room(t->stream);
		if (room == 0)
			return; /* goes on when the shim took some */
		if (sent >= BUDGET) {
			loop_defer_schedule(t->again);
			return;
		}
		ssize_t n = pread(t->fd, piece, room < PIECE ? room : PIECE, (off_t)t->pos);
		if (n <= 0)
			break;
		link_send(t->stream, piece, (size_t)n);
		remember(t, piece, (size_t)n);
		t->pos += (uint64_t)n;
		sent += (size_t)n;
	}
	t->at_end = true;
	answer_look(t);
}

static void on_again(void *arg)
{
	pump(arg);
}

static void on_change(void *arg);

/* What is watched is what was found, whatever leads there now. */
static void watch_fd(struct tail *t, int fd, bool folder)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	watch_free(t->watch);
	t->watch = watch_add(t->guest, name, folder, on_change, t);
}

static int open_folder(const struct tail *t, const char *way)
{
	size_t n = strlen(t->root);

	if (strlen(way) <= n)
		return way_open(t->guest, way, O_PATH | O_DIRECTORY);
	cleanup_close int root = way_open(t->guest, t->root, O_PATH | O_DIRECTORY);
	return root < 0 ? -1 : way_open_below(t->guest, root, way + n + 1, O_PATH | O_DIRECTORY);
}

/* The deepest folder on the way that is there. It is watched before it is looked again, so that nothing is missed. */
static void watch_way(struct tail *t)
{
	cleanup_free char *way = xasprintf("%s/%s", t->root, t->path);
	char *slash;

	watch_free(t->watch);
	t->watch = NULL;
	while (!t->watch && (slash = strrchr(way, '/')) && slash > way) {
		*slash = '\0';
		cleanup_close int fd = open_folder(t, way);
		if (fd >= 0)
			watch_fd(t, fd, true);
	}
}

static void found(struct tail *t)
{
	struct stat st = { 0 };
	bool same = is_same(t);

	watch_fd(t, t->fd, false);
	t->pos = same ? t->from : 0;
	if (same && t->check_len) {
		char bytes[LAST_MAX];
		size_t n = t->check_len < LAST_MAX ? t->check_len : LAST_MAX;
		if (pread(t->fd, bytes, n, (off_t)(t->pos - n)) == (ssize_t)n)
			remember(t, bytes, n);
	}
	fstat(t->fd, &st);
	link_send_ctl(t->stream, json_pack("{s:{s:I, s:b, s:I}}", "tail", "from", (json_int_t)t->pos, "same", same, "size",
		(json_int_t)st.st_size));
	pump(t);
}

/* False: it failed, and is freed. */
static bool find(struct tail *t)
{
	struct err e = { 0 };

	for (int tries = 0; tries < 2; tries++) { /* the second time the way is watched */
		if (open_file(t, &t->fd) == 0) {
			found(t);
			return true;
		}
		if (errno != ENOENT) {
			err_set_errno(&e, ERR_DENIED, errno, "%.200s below %.200s is no plain file, or a link or a mount leads there", t->path, t->root);
			fail(t, &e);
			return false;
		}
		if (tries == 0)
			watch_way(t);
	}
	t->at_end = true;
	answer_look(t);
	return true;
}

static void on_change(void *arg)
{
	struct tail *t = arg;

	if (t->fd < 0)
		find(t);
	else if (!is_still_same(t))
		changed(t);
	else
		pump(t);
}

/* --- the stream --- */

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct tail *t = arg;

	(void)s;
	if (!json_is_integer(json_object_get(msg, "look")))
		return;
	t->look = jget_int(msg, "look", 0);
	on_change(t);
}

static void on_acked(void *arg, struct link_stream *s)
{
	struct tail *t = arg;
	struct guest *g = t->guest;

	(void)s;
	if (!t->at_end)
		pump(t);
	if (g->ending)
		ending_look(g);
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	(void)msg;
	tail_free(arg);
	link_reset(s, NULL);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct guest *g = ((struct tail *)arg)->guest;

	(void)s;
	(void)why;
	tail_free(arg);
	if (g->ending)
		ending_look(g);
}

static const struct link_stream_ops stream_ops = { .on_ctl = on_ctl, .on_acked = on_acked, .on_fin = on_fin,
	.on_reset = on_reset };

static int parse(struct tail *t, const json_t *what, struct err *e)
{
	const char *root = jget_text(what, "root", ""), *path = jget_text(what, "path", "");
	const json_t *check = json_object_get(what, "check");
	int64_t from = jget_int(what, "from", 0), len = jget_int(check, "len", 0);

	if (*root != '/' || !*path || *path == '/' || strlen(root) + strlen(path) >= PATH_BYTES_MAX)
		return err_set(e, ERR_PARAMS, "\"root\" and \"path\" do not name a file");
	if (from < 0 || len < 0 || len > CHECK_MAX || len > from)
		return err_set(e, ERR_PARAMS, "\"from\" or \"check\" is impossible");
	t->root = xstrdup(root);
	t->path = xstrdup(path);
	t->from = (uint64_t)from;
	t->check_len = (size_t)len;
	return str_fmt(t->check, sizeof(t->check), "%s", jget_text(check, "sha256", ""))
		? err_set(e, ERR_PARAMS, "\"check\" is impossible") : 0;
}

void tail_open(struct guest *g, struct link_stream *s, const json_t *what)
{
	struct err e = { 0 };
	struct tail *t;
	size_t n = 0;

	for (t = g->tails; t; t = t->next)
		n++;
	t = xcalloc(1, sizeof(*t));
	*t = (struct tail){ .next = g->tails, .guest = g, .stream = s, .fd = -1, .look = -1 };
	t->again = loop_defer_create(g->loop, on_again, t);
	g->tails = t;
	if (n >= TAILS_MAX)
		err_set(&e, ERR_LIMIT, "%d files are followed already", TAILS_MAX);
	if (e.code || parse(t, what, &e) < 0) {
		fail(t, &e);
		return;
	}
	link_set_out_max(s, LINK_WINDOW);
	link_accept(s, &stream_ops, t);
	find(t);
}

bool tails_settle(struct guest *g)
{
	bool busy = false;

	for (struct tail *t = g->tails; t; t = t->next) {
		pump(t);
		busy = busy || !t->at_end || link_acked(t->stream) < link_queued(t->stream);
	}
	return busy;
}

void tails_destroy(struct guest *g)
{
	while (g->tails)
		tail_free(g->tails);
}
