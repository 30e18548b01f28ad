/* SPDX-License-Identifier: ISC */
/*
 * The session file of one program.
 *
 * Theory of operation. The file itself is watched once it is there, since its folder is shared by all programs of
 * a user: each would hear of every other's changes. Until then the nearest folder above it that is there is. Every
 * event that says that what is watched moved starts the search anew.
 *
 * Claude Code 2.1.329 writes it in place, so it is read when a writer closed it; what is cut off then is written
 * again. Read is the file of this very process alone (`procStart`): one that was killed leaves its own behind, and
 * pids come again. Of its content only two words go on, since an agent may put there what it likes; links are not
 * followed, and nothing is looked at behind a mount that this process serves.
 *
 * One report is under way at a time, and none sooner than REPORT_MS after the one before: what changed meanwhile
 * is told last. A report whose stream was lost (another shim came) is told again.
 */
#include "place/guest/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "ipc/rpc.h"
#include "place/guest/mount.h"
#include "place/guest/way.h"

#define FILE_MAX (64 * 1024)
#define WORD_MAX 64
#define REPORT_MS 50
#define RETRY_MS 2000 /* when no stream can be opened */
#define LEVELS_MAX 16 /* folders above the file's */
#define LOOKS_MAX 8   /* what comes while we look makes us look again */
#define ONCE_LEN 16
#define OF_FILE (IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF)
#define OF_FOLDER (IN_CREATE | IN_MOVED_TO | IN_MOVE_SELF | IN_DELETE_SELF)

struct words {
	char status[WORD_MAX], waiting_for[WORD_MAX];
	int64_t at_ms; /* the program's own clock */
};

struct session {
	struct guest *guest;
	char *instance, *folder, *path;
	uint64_t born; /* of the process, in the kernel's ticks */
	int notify, watch;
	bool found; /* what is watched is the file */
	struct loop_io *io;
	struct loop_timer *timer;
	struct link_stream *stream; /* of the report that is under way */
	bool again;                 /* it was lost, or there is more to tell */
	bool failing;               /* no stream could be opened; said */
	int64_t told_ms;
	struct words now, told;
};

/* ---- telling ---- */

static void tell(struct session *s);

static void on_answer(void *arg, struct link_stream *stream, const void *data, size_t len)
{
	struct session *s = arg;

	(void)data;
	(void)len;
	s->stream = NULL;
	link_reset(stream, NULL);
	if (s->again)
		tell(s);
}

static void on_timer(void *arg)
{
	tell(arg);
}

static void on_lost(void *arg, struct link_stream *stream, const struct err *why)
{
	struct session *s = arg;

	(void)stream;
	(void)why;
	s->stream = NULL;
	s->again = true;
	loop_timer_start(s->timer, REPORT_MS);
}

static const struct link_stream_ops stream_ops = {.on_data = on_answer, .on_reset = on_lost};

static int send_report(struct session *s, struct err *e)
{
	char once[ONCE_LEN + 1];
	struct buf line;
	json_t *id = json_integer(1), *params;
	int r;

	random_id(once, ONCE_LEN);
	once[ONCE_LEN] = '\0';
	params = json_pack("{s:s, s:s, s:{s:s, s:s, s:I}}", "event", "SessionFile", "once", once, "body", "status",
		s->now.status, "waitingFor", s->now.waiting_for, "at_ms", (json_int_t)s->now.at_ms);
	buf_init(&line, RPC_LINE_MAX);
	r = params ? rpc_write_request(&line, id, "report", params) : -1;
	if (r == 0)
		s->stream = link_open(guest_link(s->guest), json_pack("{s:s, s:s}", "kind", "api", "instance", s->instance),
			&stream_ops, s, e);
	if (s->stream)
		link_send(s->stream, buf_data(&line), line.len);
	buf_finish(&line);
	json_decref(id);
	json_decref(params);
	return s->stream ? 0 : -1;
}

static void tell(struct session *s)
{
	int64_t wait = s->told_ms + REPORT_MS - clock_mono_ms();
	struct err e = {0};

	s->again = true;
	if (s->stream || loop_timer_active(s->timer))
		return;
	if (s->told_ms && wait > 0) {
		loop_timer_start(s->timer, wait);
		return;
	}
	s->told_ms = clock_mono_ms();
	s->again = false;
	if (send_report(s, &e) < 0) {
		if (!s->failing)
			log_warn("session", s->instance, "what its session file says cannot be told: %s; it is tried again", e.message);
		s->failing = s->again = true;
		loop_timer_start(s->timer, RETRY_MS);
		return;
	}
	s->failing = false;
	s->told = s->now;
}

/* ---- reading ---- */

/* A word of our own alphabet; anything else is no word. */
static void word(char *out, const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (!text || strspn(text, "abcdefghijklmnopqrstuvwxyz _-") != strlen(text) || strlen(text) >= WORD_MAX)
		text = "";
	str_fmt(out, WORD_MAX, "%s", text);
}

static bool of_this_process(const struct session *s, const json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "procStart"));
	int64_t born;

	return !text || str_to_i64(text, 0, INT64_MAX, &born) < 0 || !s->born || (uint64_t)born == s->born;
}

/* The folder's own way may go over links on a host, the file's never. */
static int open_file(const struct session *s, int flags)
{
	cleanup_close int folder = way_open(s->guest, s->folder, O_PATH | O_DIRECTORY);

	return folder < 0 ? -1 : way_open_below(s->guest, folder, strrchr(s->path, '/') + 1, flags);
}

static void read_file(struct session *s)
{
	char text[FILE_MAX];
	struct stat st;
	struct words w = {0};
	size_t len = 0;
	ssize_t n = 1;
	cleanup_close int fd = open_file(s, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size >= FILE_MAX)
		return;
	while (len < sizeof(text) && n > 0) {
		n = read(fd, text + len, sizeof(text) - len);
		len += n > 0 ? (size_t)n : 0;
	}
	json_t *o = json_loadb(text, len, 0, NULL);
	if (json_is_object(o) && of_this_process(s, o)) {
		word(w.status, o, "status");
		word(w.waiting_for, o, "waitingFor");
		w.at_ms = jget_int(o, "statusUpdatedAt", 0);
	}
	json_decref(o);
	if (!w.status[0] || (!strcmp(w.status, s->now.status) && !strcmp(w.waiting_for, s->now.waiting_for)))
		return;
	s->now = w;
	tell(s);
}

/* ---- watching ---- */

static bool watch(struct session *s, const char *path, bool file)
{
	cleanup_close int fd = file ? open_file(s, O_PATH) : way_open(s->guest, path, O_PATH | O_DIRECTORY);
	char name[48];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || (file ? !S_ISREG(st.st_mode) : !S_ISDIR(st.st_mode)))
		return false;
	str_fmt(name, sizeof(name), "/proc/self/fd/%d", fd);
	s->watch = inotify_add_watch(s->notify, name, file ? OF_FILE : OF_FOLDER);
	return s->watch >= 0;
}

static bool is_there(const struct session *s, const char *path)
{
	cleanup_close int fd = strcmp(path, s->path) == 0 ? open_file(s, O_PATH) : way_open(s->guest, path, O_PATH);

	return fd >= 0;
}

/* Watches the nearest above the file, and the file when it is there. True: nothing came meanwhile. */
static bool look_once(struct session *s)
{
	cleanup_free char *path = xstrdup(s->path), *below = NULL;

	if (s->watch >= 0)
		inotify_rm_watch(s->notify, s->watch);
	s->watch = -1;
	s->found = watch(s, path, true);
	for (int i = 0; !s->found && i < LEVELS_MAX; i++) {
		char *slash = strrchr(path, '/');

		free(below);
		below = xstrdup(path);
		if (!slash)
			return true;
		slash[slash == path] = '\0';
		if (watch(s, path, false))
			return !is_there(s, below);
	}
	return true;
}

static void look(struct session *s)
{
	for (int i = 0; i < LOOKS_MAX && !look_once(s); i++)
		;
	if (s->found)
		read_file(s);
}

static void on_notify(void *arg, int fd, unsigned events)
{
	char text[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	struct session *s = arg;
	bool moved = false, written = false;
	ssize_t n;

	(void)events;
	while ((n = read(fd, text, sizeof(text))) > 0) {
		for (char *p = text; p < text + n;) {
			const struct inotify_event *ev = (const void *)p;

			p += sizeof(*ev) + ev->len;
			if (ev->mask & IN_Q_OVERFLOW)
				moved = true;
			if (ev->wd != s->watch) /* of a watch that was taken back */
				continue;
			written |= ev->mask & IN_CLOSE_WRITE;
			moved |= !s->found || (ev->mask & ~(uint32_t)IN_CLOSE_WRITE);
		}
	}
	if (moved)
		look(s);
	else if (written)
		read_file(s);
}

struct session *session_create(struct guest *g, const char *instance, const char *folder, pid_t pid)
{
	struct session *s;
	int fd;

	if (folder[0] != '/' || mounts_cover(g, folder)) {
		log_warn("session", instance, "its session file in %s is not watched: it lies in a mounted folder", folder);
		return NULL;
	}
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0) {
		log_warn("session", instance, "its session file is not watched: %s (fs.inotify.max_user_instances)",
			strerror(errno));
		return NULL;
	}
	s = xcalloc(1, sizeof(*s));
	*s = (struct session){.guest = g, .instance = xstrdup(instance), .folder = xstrdup(folder), .notify = fd, .watch = -1,
		.path = xasprintf("%s/%d.json", folder, (int)pid), .born = proc_start_time(pid)};
	s->timer = loop_timer_create(g->loop, on_timer, s);
	s->io = loop_io_add(g->loop, fd, LOOP_READ, on_notify, s);
	look(s);
	return s;
}

void session_destroy(struct session *s)
{
	if (!s)
		return;
	if (s->stream)
		link_reset(s->stream, NULL);
	loop_io_free(s->io);
	loop_timer_free(s->timer);
	close(s->notify);
	free(s->instance);
	free(s->folder);
	free(s->path);
	free(s);
}
