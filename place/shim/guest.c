/* SPDX-License-Identifier: ISC */
/*
 * The shim's end of the link.
 *
 * The link's socket is listened on by the holder: by QEMU on a descriptor it was handed, by the guest
 * program on a name it makes. So connecting is tried at once, then whenever something appears in the
 * place's folder (inotify), and after RETRY_MS when something is there that does not listen yet. A
 * connection that ends while the holder lives is made again the same way. The descriptor of inotify
 * lives only while there is no connection: a user may have 128 of them, and more places.
 *
 * The control stream is ours. Calls made before the guest is there wait in it. Each new guest (the
 * first one, and one that was booted anew) is asked what terminals it holds, and those that we do not
 * know are taken over: that is how a shim that replaces another finds its instances.
 */
#include "place/shim/guest.h"

#include <errno.h>
#include <sys/inotify.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/link/link_io.h"
#include "place/shim/api.h"
#include "place/shim/exec.h"
#include "place/shim/inst.h"
#include "place/shim/relay.h"

#define RETRY_MS 50
#define RETRY_MOST_MS 2000
#define PROCS_MS 30000
#define EPOCH_MAX 64
#define STRANGER_MS 500

struct call {
	struct call *next;
	struct guest *guest;
	int64_t id;
	guest_reply_fn *fn;
	void *arg;
	struct loop_timer *timer;
};

struct guest {
	struct shim *shim;
	struct link_io *io;
	struct link_stream *control;
	struct call *calls;
	int64_t stranger_ms; /* when one was told last */
	int64_t last_id;
	size_t ncalls;
	int inotify;
	struct loop_io *watch;
	struct loop_timer *retry;
	int64_t retry_ms;
	bool was_up, gone;
	bool ready;    /* up, and its terminals are known */
	json_t *up;    /* the link_up that is told when they are */
	void (*on_up)(struct shim *s);
};

/* --- calls --- */

static void call_end(struct call *c, const json_t *ok, const struct err *why)
{
	struct call **at = &c->guest->calls;

	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->guest->ncalls--;
	loop_timer_free(c->timer);
	c->fn(c->arg, ok, why);
	free(c);
}

static void fail_calls(struct guest *g, const struct err *why)
{
	while (g->calls)
		call_end(g->calls, NULL, why);
}

static void on_call_timer(void *arg)
{
	struct err e = {0};

	err_set(&e, ERR_TIMEOUT, "the program inside the place did not answer in time");
	call_end(arg, NULL, &e);
}

/* Somebody knocked at an instance's socket who is not of this place. The guest is not to be believed blindly: not
 * oftener than this, and of nobody but its own. */
static void take_stranger(struct guest *g, const json_t *what)
{
	const char *instance = json_get_text(what, "instance", "");
	int64_t now = clock_mono_ms(), count = json_get_int(what, "count", 1);

	if (!what || !inst_id_valid(instance) || !conf_has_instance(g->shim->conf, instance) ||
		(g->stranger_ms && now - g->stranger_ms < STRANGER_MS))
		return;
	g->stranger_ms = now;
	events_tell(g->shim->events, "stranger", json_pack("{s:s, s:I, s:I, s:I}", "instance", instance, "pid",
		(json_int_t)json_get_int(what, "pid", -1), "uid", (json_int_t)json_get_int(what, "uid", -1), "count",
		(json_int_t)(count > 0 ? count : 1)));
}

static void on_control_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct guest *g = arg;
	int64_t id = json_get_int(msg, "id", -1);
	struct err e = {0};
	struct call *c;

	(void)s;
	for (c = g->calls; c && c->id != id; c = c->next)
		;
	if (!c) {
		const char *text = json_get_text(msg, "text", NULL);

		/* A notification; what it has to say about a start is shown to who waits for it. */
		take_stranger(g, json_object_get(msg, "stranger"));
		if (text)
			shim_stage(g->shim, json_get_text(msg, "stage", "boot"), text);
		return;
	}
	if (json_object_get(msg, "error")) {
		err_from_json(json_object_get(msg, "error"), &e);
		call_end(c, NULL, &e);
	} else {
		call_end(c, json_object_get(msg, "ok"), NULL);
	}
}

static void on_control_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct guest *g = arg;
	struct err e = {0};

	(void)s;
	g->control = NULL;
	err_set(&e, ERR_UNAVAILABLE, "the program inside the place was lost: %s",
		why->message[0] ? why->message : "it started anew");
	fail_calls(g, &e);
}

static void on_control_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	link_consumed(s, len);
}

static void on_control_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct err e = {0};

	(void)msg;
	err_set(&e, ERR_UNAVAILABLE, "it ended its control stream");
	on_control_reset(arg, s, &e);
	link_reset(s, NULL);
}

static const struct link_stream_ops control_ops = {.on_data = on_control_data, .on_ctl = on_control_ctl,
	.on_fin = on_control_fin, .on_reset = on_control_reset};

static int need_control(struct guest *g, struct err *e)
{
	if (!g->control)
		g->control = link_open(guest_link(g), json_pack("{s:s}", "kind", "control"), &control_ops, g, e);
	return g->control ? 0 : -1;
}

void guest_call(struct guest *g, const char *op, json_t *params, int64_t ms, guest_reply_fn *fn, void *arg)
{
	json_t *msg = params ? params : json_object();
	struct err e = {0};
	struct call *c;

	if (g->gone)
		err_set(&e, ERR_UNAVAILABLE, "the place has ended");
	else if (g->ncalls >= GUEST_CALLS_MAX)
		err_set(&e, ERR_BUSY, "%d calls wait for the place already", GUEST_CALLS_MAX);
	if (e.code || need_control(g, &e) < 0) {
		json_decref(msg);
		fn(arg, NULL, &e);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	*c = (struct call){.next = g->calls, .guest = g, .id = ++g->last_id, .fn = fn, .arg = arg};
	c->timer = loop_timer_create(g->shim->loop, on_call_timer, c);
	loop_timer_start(c->timer, ms);
	g->calls = c;
	g->ncalls++;
	json_object_set_new(msg, "id", json_integer(c->id));
	json_object_set_new(msg, "op", json_string(op));
	if (link_send_ctl(g->control, msg) < 0) {
		err_set(&e, ERR_LIMIT, "the call \"%s\" is too large, or too much waits for the place", op);
		call_end(c, NULL, &e);
	}
}

/* --- connecting --- */

static void on_inotify(void *arg, int fd, unsigned events);

static void watch_stop(struct guest *g)
{
	loop_io_free(g->watch);
	g->watch = NULL;
	if (g->inotify >= 0)
		close(take_fd(&g->inotify));
}

/* Before a look, so that nothing is missed in between. False: there is none to be had, look by time. */
static bool watch_start(struct guest *g)
{
	if (g->watch)
		return true;
	g->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (g->inotify >= 0 && inotify_add_watch(g->inotify, ".", IN_CREATE | IN_MOVED_TO | IN_ATTRIB) >= 0) {
		g->watch = loop_io_add(g->shim->loop, g->inotify, LOOP_READ, on_inotify, g);
		return true;
	}
	watch_stop(g);
	return false;
}

static void try_connect(struct guest *g)
{
	struct err e = {0};
	bool watched;
	int fd;

	if (g->gone || link_io_attached(g->io))
		return;
	watched = watch_start(g);
	FAULT_POINT("link.connect");
	if (sock_connect(g->shim->conf->link, &fd, &e) == 0) {
		FAULT_POINT("link.connected");
		loop_timer_stop(g->retry);
		watch_stop(g);
		/* QEMU's end stays open when the guest behind it goes: old bytes may come first. */
		if (strcmp(g->shim->conf->driver, "host") == 0)
			link_io_attach(g->io, fd);
		else
			link_io_attach_shared(g->io, fd);
		return;
	}
	if (!watched || access(g->shim->conf->link, F_OK) == 0) {
		loop_timer_start(g->retry, g->retry_ms);
		g->retry_ms = g->retry_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : g->retry_ms * 2;
	}
}

static void on_retry(void *arg)
{
	try_connect(arg);
}

static void on_inotify(void *arg, int fd, unsigned events)
{
	char buf[4096];
	struct guest *g = arg;

	(void)events;
	while (read(fd, buf, sizeof(buf)) > 0)
		;
	g->retry_ms = RETRY_MS;
	try_connect(g);
}

static void on_end(void *arg, const char *reason)
{
	struct guest *g = arg;

	(void)reason;
	link_io_detach(g->io);
	g->retry_ms = RETRY_MS;
	if (!g->gone)
		loop_timer_start(g->retry, g->retry_ms);
}

/* --- the link's callbacks --- */

/* From now on the list of instances is complete: only now is the daemon told. */
static void ready(struct guest *g)
{
	g->ready = true;
	FAULT_POINT("link.up");
	events_tell(g->shim->events, "link_up", g->up);
	g->up = NULL;
	if (!g->was_up)
		g->on_up(g->shim);
	g->was_up = true;
}

static void on_procs(void *arg, const json_t *ok, const struct err *why)
{
	struct guest *g = arg;
	const json_t *entry;
	json_t *held = json_array();
	struct err e = {0};
	size_t i;

	if (why)
		log_warn("guest", NULL, "cannot ask what it holds: %s", why->message);
	if (why && why->code == ERR_TIMEOUT && !g->gone) {
		/* A machine that was stopped answers when it goes on; until then nothing is known. */
		json_decref(held);
		guest_call(g, "procs", NULL, PROCS_MS, on_procs, g);
		return;
	}
	json_array_foreach(ok, i, entry) {
		if (inst_adopt(g->shim, entry, &e) < 0)
			log_warn("guest", NULL, "cannot take a terminal over: %s", e.message);
		else
			json_array_append_new(held, json_pack("{s:s, s:I}", "id", json_get_text(entry, "proc", ""),
							    "pid", (json_int_t)json_get_int(entry, "pid", 0)));
	}
	/* Now the daemon knows what is not there any more, too. */
	if (why)
		json_decref(held);
	else
		events_tell(g->shim->events, "adopted", json_pack("{s:o}", "instances", held));
	if (g->up && link_is_up(guest_link(g)))
		ready(g);
}

/* Is it another guest than the one this place had last, whichever shim talked to it? Remembered in a
 * file, as the link only knows what this process has seen. */
static bool is_new_guest(struct shim *s, const char *epoch)
{
	char before[EPOCH_MAX + 1] = "";
	size_t len = strlen(epoch);

	if (pread(s->epoch, before, EPOCH_MAX, 0) > 0 && strcmp(before, epoch) == 0)
		return false;
	if (ftruncate(s->epoch, 0) < 0 || pwrite(s->epoch, epoch, len, 0) != (ssize_t)len)
		log_warn("guest", NULL, "cannot remember which guest this is: %s", strerror(errno));
	return true;
}

static void on_link_up(void *arg, bool new_peer, json_t *hello)
{
	struct guest *g = arg;
	const json_t *info = json_object_get(hello, "info");

	log_info("link", NULL, "up%s", new_peer ? ", with a guest that is new to us" : "");
	json_decref(g->up);
	g->up = json_pack("{s:s, s:I, s:b}", "guest_version", json_get_text(info, "version", ""), "boot_ms",
		(json_int_t)json_get_int(info, "boot_ms", 0), "new_guest",
		new_peer && is_new_guest(g->shim, json_get_text(hello, "epoch", "")));
	if (new_peer)
		guest_call(g, "procs", NULL, PROCS_MS, on_procs, g);
	else
		ready(g);
}

static void on_link_down(void *arg, const char *reason)
{
	struct guest *g = arg;

	log_info("link", NULL, "down: %s", reason);
	json_decref(g->up);
	g->up = NULL;
	if (!g->ready)
		return; /* its coming up was not told yet */
	g->ready = false;
	events_tell(g->shim->events, "link_down", json_pack("{s:s}", "reason", reason));
}

static void on_link_open(void *arg, struct link_stream *s, json_t *what)
{
	struct guest *g = arg;
	const char *kind = json_get_text(what, "kind", "");
	struct err e = {0};

	if (strcmp(kind, "api") == 0) {
		api_open(g->shim, s, what);
	} else if (strcmp(kind, "egress") == 0) {
		relay_egress(g->shim, s, what);
	} else if (strcmp(kind, "files") == 0) {
		relay_files(g->shim, s, what);
	} else if (strcmp(kind, "stderr") == 0) {
		exec_stderr(g->shim, s, what);
	} else {
		err_set(&e, ERR_METHOD, "streams of that kind are not known here");
		link_reset(s, &e);
	}
}

static const struct link_ops link_ops = {
	.on_up = on_link_up, .on_down = on_link_down, .on_open = on_link_open};
static const struct link_io_ops io_ops = {.on_end = on_end};

struct guest *guest_create(struct shim *s, void (*on_up)(struct shim *s))
{
	struct link_config config = {.side = LINK_SHIM, .place = s->conf->place,
		.info = json_pack("{s:i}", "version", SHIM_VERSION), .ping_ms = LINK_PING_MS};
	struct guest *g = xcalloc(1, sizeof(*g));

	g->shim = s;
	g->on_up = on_up;
	g->retry_ms = RETRY_MS;
	g->retry = loop_timer_create(s->loop, on_retry, g);
	g->io = link_io_create(s->loop, &config, &link_ops, g, &io_ops);
	g->inotify = -1;
	loop_timer_start(g->retry, 0);
	return g;
}

void guest_destroy(struct guest *g)
{
	struct err e = {0};

	if (!g)
		return;
	err_set(&e, ERR_CANCELLED, "the shim ends");
	fail_calls(g, &e);
	watch_stop(g);
	loop_timer_free(g->retry);
	link_io_destroy(g->io);
	json_decref(g->up);
	free(g);
}

struct link *guest_link(struct guest *g)
{
	return link_io_link(g->io);
}

bool guest_is_up(const struct guest *g)
{
	return g->ready;
}

void guest_gone(struct guest *g)
{
	struct err e = {0};

	g->gone = true;
	loop_timer_stop(g->retry);
	watch_stop(g);
	err_set(&e, ERR_UNAVAILABLE, "the place has ended");
	fail_calls(g, &e);
	link_io_detach(g->io);
}
