/* SPDX-License-Identifier: ISC */
/*
 * The recorded bytes of a living instance, from its shim.
 *
 * Theory of operation. The daemon says where the shim listens; the bytes come straight from there, with
 * the offset of each. When that stream breaks without having ended, the shim was replaced, or is about to
 * be: the daemon is asked again (a restarted instance is in another place; one that ended has no shim, and
 * the rest is in the files), and the stream begun again at the next byte. When the daemon is away as well,
 * where the shim was last is tried until one of them is back; one that was away from the first is no
 * hindrance, as the places say whom they hold. What is waited on: the folder of the shim's
 * socket, and a look every LOOK_MS at what that cannot tell.
 */
#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/recording.h"
#include "ipc/link/shim_stream.h"
#include "ipc/rpc.h"

#define LOOK_MS 1000
/* A shim that is new answers when it knows what its place holds. */
#define ANSWER_MS 120000

enum end { END_DONE, END_LOST, END_FAILED };

struct following {
	struct cli *cli;
	bool follow;
	int losses; /* in a row */
	int64_t next; /* the offset of the next byte; -1: the first that is kept */
	recording_fn *fn;
	void *arg;
	struct source where;
};

/* What a stream's end says, if it is bad. */
static int fin_error(const struct frame *f, struct err *e)
{
	json_t *msg = frame_json(f), *error = json_object_get(msg, "error");
	int r = 0;

	if (json_is_object(error)) {
		err_from_json(error, e);
		r = -1;
	}
	json_decref(msg);
	return r;
}

/* "offset": what lies between was lost. */
static void on_ctl(struct following *f, const struct frame *frame)
{
	json_t *msg = frame_json(frame);
	const json_t *offset = json_object_get(msg, "offset");

	if (json_is_integer(offset) && json_integer_value(offset) >= f->next)
		f->next = json_integer_value(offset);
	json_decref(msg);
}

static enum end pump(struct following *f, struct shim_stream *s, struct err *e)
{
	for (bool ended = false;;) {
		struct frame frame;
		int got;
		while ((got = shim_stream_next(s, &frame)) > 0) {
			if (frame.type == FRAME_FIN)
				return fin_error(&frame, e) < 0 ? END_FAILED : END_DONE;
			if (frame.type == FRAME_CTL)
				on_ctl(f, &frame);
			if (frame.type != FRAME_DATA)
				continue;
			f->losses = 0;
			f->next += (int64_t)frame.len;
			if (f->fn(f->arg, (uint64_t)f->next - frame.len, frame.payload, frame.len) != 0)
				return END_DONE;
		}
		if (got < 0) {
			err_set(e, ERR_FAILED, "the stream of the terminal cannot be understood");
			return END_FAILED;
		}
		if (ended) {
			err_set(e, ERR_UNREACHABLE, "the place of the terminal went away");
			return END_LOST;
		}
		struct pollfd p = {.fd = shim_stream_fd(s), .events = POLLIN};
		if (client_poll(&p, 1, -1, &cli_stop, e) < 0)
			return cli_stop ? END_DONE : END_FAILED;
		ended = shim_stream_read(s) < 0;
	}
}

static enum end from_shim(struct following *f, struct err *e)
{
	json_t *hello = json_pack("{s:s, s:s, s:b}", "role", "follow", "instance", f->where.id, "follow", f->follow);
	struct shim_stream *s = NULL;
	json_t *result = NULL;

	if (f->next >= 0)
		json_object_set_new(hello, "since", json_integer(f->next));
	if (shim_stream_open(f->where.socket, hello, f->follow ? ANSWER_MS : STREAM_HELLO_MS, &s, &result, e) < 0)
		return e->code == ERR_UNREACHABLE || e->code == ERR_UNAVAILABLE ? END_LOST : END_FAILED;
	if (f->next < 0)
		f->next = jint(result, "first");
	json_decref(result);
	enum end x = pump(f, s, e);
	shim_stream_close(s);
	return x;
}

static enum end from_files(struct following *f, struct err *e)
{
	return recording_read(f->cli, f->where.dir, f->next, f->fn, f->arg, NULL, e) < 0 ? END_FAILED : END_DONE;
}

/* Where it is now. With the daemon away it stays where it was. */
static int look(struct following *f, bool again, struct err *e)
{
	struct source now = {0};

	if (again) { /* the connection may be to a daemon that is no more; another is not for us to start */
		client_close(f->cli->client);
		f->cli->client = NULL;
		f->cli->may_start = false;
	}
	if (source_find(f->cli, f->where.id ? f->where.id : json_string_value(json_object_get(f->cli->args.params, "id")), &now,
		    e) < 0)
		return again && e->code == ERR_UNREACHABLE ? 0 : -1;
	if (f->follow && !again && !f->cli->client && source_find_shim(f->cli, &now, e) < 0) {
		source_finish(&now);
		return -1;
	}
	/* Files that were found without a daemon say nothing about whether it still runs. */
	if (again && !f->cli->client) {
		source_finish(&now);
		return 0;
	}
	source_finish(&f->where);
	f->where = now;
	return 0;
}

static void rest(const struct following *f)
{
	cleanup_free char *copy = xstrdup(f->where.socket);
	cleanup_close int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd >= 0)
		inotify_add_watch(fd, dirname(copy), IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF);
	client_poll(&p, fd >= 0, clock_mono_ms() + LOOK_MS, &cli_stop, NULL);
}

int recording_follow(struct cli *c, const char *id, int64_t since, bool follow, recording_fn *fn, void *arg,
	struct err *e)
{
	struct following f = {.cli = c, .follow = follow, .next = since, .fn = fn, .arg = arg, .where.id = xstrdup(id)};
	enum end x = look(&f, false, e) < 0 ? END_FAILED : END_LOST;

	while (x == END_LOST && !cli_stop) {
		err_clear(e);
		x = f.where.socket ? from_shim(&f, e) : from_files(&f, e);
		if (x != END_LOST || cli_stop)
			break;
		if (++f.losses > 1 && !follow)
			break;
		if (f.losses == 2)
			cli_note(c, "The terminal's shim went away; waiting for it to come back.");
		if (f.losses > 1)
			rest(&f);
		struct err lost = *e;
		if (look(&f, true, e) < 0)
			x = END_FAILED;
		else
			*e = lost;
	}
	source_finish(&f.where);
	return cli_stop || x == END_DONE ? 0 : -1;
}
