/* SPDX-License-Identifier: ISC */
/* A shim played by a test: a link engine that records what its streams brought, and waits for it. */
#ifndef TESTS_GUEST_PROGRAM_HELP_H
#define TESTS_GUEST_PROGRAM_HELP_H

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/link/link_io.h"
#include "tests/unit/run.h"

#define WAIT_MS 20000
#define SEEN_MAX 64
#define SEEN_BYTES_MAX (16 * 1024 * 1024)

struct seen {
	struct shim_end *end;
	struct link_stream *s;
	json_t *what, *ctls, *fin; /* ctls: a list */
	struct buf data;
	bool reset, lazy; /* lazy: consumes nothing by itself */
	char why[ERR_MESSAGE_MAX];
};

struct shim_end {
	struct loop *loop;
	struct link_io *io;
	struct seen *seen[SEEN_MAX];
	int nseen;
	int ups, new_peers;
	/* Called for each stream that the guest opens, when set. */
	void (*opened)(struct shim_end *end, struct seen *x);
	void (*got)(struct shim_end *end, struct seen *x); /* after data or CTL */
};

static inline void seen_on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct seen *x = arg;
	ck_assert_int_eq(buf_append(&x->data, data, len), 0);
	if (!x->lazy)
		link_consumed(s, len);
	if (x->end->got)
		x->end->got(x->end, x);
}

static inline void seen_on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct seen *x = arg;
	(void)s;
	json_array_append(x->ctls, msg);
	if (x->end->got)
		x->end->got(x->end, x);
}

static inline void seen_on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct seen *x = arg;
	ck_assert_ptr_null(x->fin);
	x->fin = json_incref(msg);
	if (!link_fin_sent(s))
		link_send_fin(s, NULL);
}

static inline void seen_on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct seen *x = arg;
	(void)s;
	x->reset = true;
	x->s = NULL;
	snprintf(x->why, sizeof(x->why), "%s", why->message);
}

static const struct link_stream_ops seen_ops = { .on_data = seen_on_data, .on_ctl = seen_on_ctl,
	.on_fin = seen_on_fin, .on_reset = seen_on_reset };

static inline struct seen *seen_new(struct shim_end *e)
{
	struct seen *x = xcalloc(1, sizeof(*x));
	ck_assert_int_lt(e->nseen, SEEN_MAX);
	x->end = e;
	x->ctls = json_array();
	buf_init(&x->data, SEEN_BYTES_MAX);
	e->seen[e->nseen++] = x;
	return x;
}

static inline void end_on_open(void *arg, struct link_stream *s, json_t *what)
{
	struct shim_end *e = arg;
	struct seen *x = seen_new(e);
	x->s = s;
	x->what = json_incref(what);
	link_accept(s, &seen_ops, x);
	if (e->opened)
		e->opened(e, x);
}

static inline void end_on_up(void *arg, bool new_peer, json_t *hello)
{
	struct shim_end *e = arg;
	(void)hello;
	e->ups++;
	e->new_peers += new_peer;
}

static inline struct shim_end *end_create(struct loop *l)
{
	static const struct link_ops ops = { .on_up = end_on_up, .on_open = end_on_open };
	static const struct link_io_ops io_ops = { 0 };
	struct link_config c = { .side = LINK_SHIM, .place = "abcdef" };
	struct shim_end *e = xcalloc(1, sizeof(*e));
	e->loop = l;
	e->io = link_io_create(l, &c, &ops, e, &io_ops);
	return e;
}

/* As a shim that was killed: nothing is said to the other end. */
static inline void end_destroy(struct shim_end *e)
{
	link_io_destroy(e->io);
	for (int i = 0; i < e->nseen; i++) {
		struct seen *x = e->seen[i];
		json_decref(x->what);
		json_decref(x->ctls);
		json_decref(x->fin);
		buf_finish(&x->data);
		free(x);
	}
	free(e);
}

static inline struct seen *end_open(struct shim_end *e, json_t *what)
{
	struct seen *x = seen_new(e);
	struct err err = { 0 };
	x->s = link_open(link_io_link(e->io), what, &seen_ops, x, &err);
	ck_assert_msg(x->s != NULL, "%s", err.message);
	return x;
}

/* Turns the loop until cond holds. */
#define WAIT(l, cond)                                                                              \
	do {                                                                                       \
		int64_t wait_end = clock_mono_ms() + WAIT_MS;                                      \
		while (!(cond)) {                                                                  \
			ck_assert_msg(clock_mono_ms() < wait_end, "waited in vain for: %s", #cond); \
			loop_turn(l, 1000);                                                        \
		}                                                                                  \
	} while (0)

static inline bool seen_text(struct seen *x, const char *text)
{
	const void *data = buf_data(&x->data);
	return data && memmem(data, x->data.len, text, strlen(text)) != NULL;
}

/* The last CTL that has the member, or NULL. */
static inline json_t *seen_ctl(struct seen *x, const char *member)
{
	for (size_t i = json_array_size(x->ctls); i-- > 0;) {
		json_t *v = json_object_get(json_array_get(x->ctls, i), member);
		if (v)
			return v;
	}
	return NULL;
}

/* --- the real program --- */

struct program {
	struct loop *loop;
	char dir[64], sock[96];
	pid_t pid;
	bool ended;
	struct proc_status status;
};

static inline void program_on_end(void *arg, pid_t pid, struct proc_status st)
{
	struct program *p = arg;
	(void)pid;
	p->ended = true;
	p->status = st;
}

static inline const char *program_path(void)
{
	static char path[512];
	const char *dir = getenv("TC_BUILDDIR");
	snprintf(path, sizeof(path), "%s/tmux-claude-guest", dir ? dir : ".");
	return path;
}

static inline void program_start(struct program *p)
{
	struct err e = { 0 };
	int fd;
	memset(p, 0, sizeof(*p));
	signal(SIGPIPE, SIG_IGN);
	p->loop = loop_create(&e);
	snprintf(p->dir, sizeof(p->dir), "/tmp/tc-guest-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(p->dir));
	snprintf(p->sock, sizeof(p->sock), "%s/link.sock", p->dir);
	ck_assert_int_eq(sock_listen(p->sock, 0600, &fd, &e), 0);
	char *argv[] = { (char *)program_path(), (char *)"--listen", (char *)"10", (char *)"--place",
		(char *)"abcdef", (char *)"--run-dir", p->dir, NULL };
	struct proc_spec spec = { .argv = argv, .setsid = true, .pdeathsig = SIGTERM };
	proc_spec_fd(&spec, fd, 10);
	proc_spec_fd(&spec, STDERR_FILENO, STDERR_FILENO);
	ck_assert_msg(proc_spawn(&spec, &p->pid, &e) == 0, "%s", e.message);
	close(fd);
	loop_child_watch(p->loop, p->pid, program_on_end, p, &e);
}

static inline struct shim_end *program_connect(struct program *p)
{
	struct shim_end *e = end_create(p->loop);
	struct err err = { 0 };
	int fd;
	ck_assert_msg(sock_connect(p->sock, &fd, &err) == 0, "%s", err.message);
	link_io_attach(e->io, fd);
	return e;
}

/* Ends it the orderly way. */
static inline void program_stop(struct program *p)
{
	if (!p->ended)
		kill(p->pid, SIGTERM);
	WAIT(p->loop, p->ended);
	tree_remove(p->dir, NULL);
	loop_destroy(p->loop);
}

static inline json_t *control_ask(struct shim_end *e, struct seen **control, json_t *msg)
{
	static int64_t id;
	if (!*control)
		*control = end_open(e, json_pack("{s:s}", "kind", "control"));
	json_object_set_new(msg, "id", json_integer(++id));
	ck_assert_int_eq(link_send_ctl((*control)->s, msg), 0);
	size_t n = json_array_size((*control)->ctls);
	WAIT(e->loop, json_array_size((*control)->ctls) > n);
	return json_array_get((*control)->ctls, n);
}

#endif
