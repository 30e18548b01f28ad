/* SPDX-License-Identifier: ISC */
/* Calls of ours: each has a deadline, and its owner hears once, from the loop. */
#include "base/clock.h"
#include "ipc/peer_int.h"

static void add_call(struct peer *p, int64_t id, int64_t ms, peer_reply_fn *fn, void *arg)
{
	struct call *c = xcalloc(1, sizeof(*c));
	struct call **bucket = &p->calls[id & (CALL_BUCKETS - 1)];

	*c = (struct call){.next = *bucket, .id = id, .fn = fn, .arg = arg};
	c->deadline = ms < 0 ? INT64_MAX : clock_mono_ms() + ms;
	*bucket = c;
	if (c->deadline < p->timer_at) {
		p->timer_at = c->deadline;
		loop_timer_start(p->timer, ms);
	}
}

static struct call *take_call(struct peer *p, int64_t id)
{
	for (struct call **at = &p->calls[id & (CALL_BUCKETS - 1)]; *at; at = &(*at)->next) {
		struct call *c = *at;
		if (c->id == id) {
			*at = c->next;
			return c;
		}
	}
	return NULL;
}

static struct call *take_any_call(struct peer *p, int64_t due)
{
	for (size_t b = 0; b < CALL_BUCKETS; b++)
		for (struct call *c = p->calls[b]; c; c = c->next)
			if (c->deadline <= due)
				return take_call(p, c->id);
	return NULL;
}

static void finish_call(struct call *c, json_t *result, const struct err *error)
{
	peer_reply_fn *fn = c->fn;
	void *arg = c->arg;

	free(c);
	fn(arg, result, error);
}

void calls_on_timer(void *arg)
{
	struct peer *p = arg;
	int64_t now = clock_mono_ms();
	struct call *c;

	peer_enter(p);
	while (!p->destroyed && (c = take_any_call(p, now))) {
		struct err e = {0};
		err_set(&e, ERR_TIMEOUT, "no answer came in time");
		finish_call(c, NULL, &e);
	}
	if (!peer_leave(p))
		return;
	p->timer_at = INT64_MAX;
	for (size_t b = 0; b < CALL_BUCKETS; b++)
		for (c = p->calls[b]; c; c = c->next)
			if (c->deadline < p->timer_at)
				p->timer_at = c->deadline;
	if (p->timer_at != INT64_MAX)
		loop_timer_start(p->timer, p->timer_at > now ? p->timer_at - now : 0);
}

static void fail_later(struct peer *p, peer_reply_fn *fn, void *arg, enum err_code code,
	const char *why)
{
	struct failed_call *f = xcalloc(1, sizeof(*f)), **end = &p->failed;

	*f = (struct failed_call){.fn = fn, .arg = arg};
	err_set(&f->error, code, "%s", why);
	while (*end)
		end = &(*end)->next;
	*end = f;
	loop_defer_schedule(p->defer);
}

void peer_call(struct peer *p, const char *method, json_t *params, int64_t ms, peer_reply_fn *fn,
	void *arg)
{
	peer_call_fd(p, method, params, -1, ms, fn, arg);
}

void peer_call_fd(struct peer *p, const char *method, json_t *params, int fd, int64_t ms,
	peer_reply_fn *fn, void *arg)
{
	int64_t n = ++p->next_id;
	json_t *id = json_integer(n);
	int r = rpc_write_request(&p->line, id, method, params);

	json_decref(id);
	json_decref(params);
	if (p->ended) {
		buf_clear(&p->line);
		fail_later(p, fn, arg, ERR_UNREACHABLE, "the connection is closed");
	} else if (r < 0) {
		fail_later(p, fn, arg, ERR_LIMIT, "the request is longer than 1 MiB");
	} else if (peer_send_line_fd(p, fd) < 0) {
		fail_later(p, fn, arg, ERR_UNREACHABLE, "the peer does not read what it is sent");
	} else {
		add_call(p, n, ms, fn, arg);
	}
}

void calls_answer(struct peer *p, struct rpc_msg *m)
{
	struct call *c = json_is_integer(m->id) ? take_call(p, json_integer_value(m->id)) : NULL;

	/* Unknown: an answer that came after its deadline. */
	if (!c)
		return;
	if (m->kind == RPC_RESULT)
		finish_call(c, m->result, NULL);
	else
		finish_call(c, NULL, &m->error);
}

void calls_tell_failed(struct peer *p)
{
	while (p->failed && !p->destroyed) {
		struct failed_call *f = p->failed;
		p->failed = f->next;
		f->fn(f->arg, NULL, &f->error);
		free(f);
	}
}

void calls_fail(struct peer *p, const struct err *e)
{
	struct call *c;

	while (!p->destroyed && (c = take_any_call(p, INT64_MAX)))
		finish_call(c, NULL, e);
}

void calls_drop(struct peer *p)
{
	struct call *c;

	while ((c = take_any_call(p, INT64_MAX)))
		free(c);
	while (p->failed) {
		struct failed_call *f = p->failed;
		p->failed = f->next;
		free(f);
	}
}

void peer_fail_calls(struct peer *p, const struct err *why)
{
	peer_enter(p);
	calls_tell_failed(p);
	calls_fail(p, why);
	peer_leave(p);
}
