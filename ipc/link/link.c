/* SPDX-License-Identifier: ISC */
/* The engine: streams, connections, time. See link.h. */
#include "ipc/link/link.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "ipc/link/link_int.h"


const struct link_stream_ops link_no_ops;

/* --- making and ending --- */

static uint64_t fresh(void)
{
	uint64_t v;

	do
		random_bytes(&v, sizeof(v));
	while (v == 0);
	return v;
}

struct link *link_create(const struct link_config *c, const struct link_ops *ops, void *arg)
{
	struct link *l = xcalloc(1, sizeof(*l));

	l->ops = *ops;
	l->arg = arg;
	l->side = c->side;
	l->place = xstrdup(c->place ? c->place : "");
	l->info = c->info ? c->info : json_object();
	l->ping_ms = c->ping_ms;
	l->ack_delay_ms = c->ack_delay_ms;
	l->max_streams = c->max_streams ? c->max_streams : LINK_STREAMS_MAX;
	l->epoch = fresh();
	l->next_id = c->side == LINK_SHIM ? 2 : 1;
	buf_init(&l->replies, REPLIES_MAX);
	return l;
}

void link_destroy(struct link *l)
{
	if (!l)
		return;
	while (l->first)
		stream_free(l->first);
	buf_finish(&l->replies);
	json_decref(l->info);
	free(l->place);
	free(l);
}

bool link_is_up(const struct link *l)
{
	return l->up;
}

void link_want_output(struct link *l)
{
	if (!l->connected || l->output_told || !(l->up || l->hello_due))
		return;
	l->output_told = true;
	if (l->ops.on_output)
		l->ops.on_output(l->arg);
}

static void deadline_changed(struct link *l)
{
	if (l->ops.on_deadline)
		l->ops.on_deadline(l->arg);
}

bool link_own_id(const struct link *l, uint32_t id)
{
	return (id & 1) == (l->side == LINK_GUEST);
}

/* Streams are freed when no callback can hold them any more. */
void link_leave(struct link *l)
{
	if (--l->depth > 0 || !l->sweep_due)
		return;
	l->sweep_due = false;
	for (struct link_stream *s = l->first, *next; s; s = next) {
		next = s->next;
		if (s->dead)
			stream_free(s);
	}
}

void link_stream_end(struct link_stream *s)
{
	struct link *l = s->link;

	if (s->dead)
		return;
	s->dead = true;
	s->ops = &link_no_ops;
	if (!link_own_id(l, s->id))
		l->npeer--;
	stream_drop_buffers(s);
	s->resetting = true; /* nothing is sent from it any more */
	s->reset_due = false;
	l->sweep_due = true;
	l->depth++;
	link_leave(l);
}

struct link_stream *link_stream_find(struct link *l, uint32_t id)
{
	struct link_stream *s = l->hash[id / 2 % HASH_SIZE];

	while (s && (s->id != id || s->dead))
		s = s->hash_next;
	return s;
}

struct link_stream *link_open(struct link *l, json_t *what, const struct link_stream_ops *ops,
	void *arg, struct err *e)
{
	cleanup_free char *text = json_dumps(what, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(what);
	if (len == 0 || len > LINK_CTL_MAX) {
		err_set(e, ERR_LIMIT, "a stream's description may be at most %d bytes, not %zu", LINK_CTL_MAX, len);
		return NULL;
	}
	if (l->nstreams - l->npeer >= LINK_STREAMS_MAX || l->next_id > UINT32_MAX - 2) {
		err_set(e, ERR_BUSY, "the link carries %d streams already", LINK_STREAMS_MAX);
		return NULL;
	}
	struct link_stream *s = stream_create(l, l->next_id);
	l->next_id += 2;
	l->opens_due = true;
	s->opened = true;
	link_accept(s, ops, arg);
	stream_queue(s, FRAME_OPEN, text, len);
	link_want_output(l);
	return s;
}

void link_accept(struct link_stream *s, const struct link_stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
	s->accepted = true;
}

int link_send(struct link_stream *s, const void *data, size_t len)
{
	if (len > link_room(s))
		return -1;
	if (len == 0)
		return 0;
	if (stream_queue(s, FRAME_DATA, data, len) < 0)
		return -1;
	link_want_output(s->link);
	return 0;
}

static int send_json(struct link_stream *s, enum frame_type type, json_t *msg)
{
	cleanup_free char *text = msg ? json_dumps(msg, JSON_COMPACT) : xstrdup("{}");
	size_t len = text ? strlen(text) : 0;

	json_decref(msg);
	if (len == 0 || len > LINK_CTL_MAX || s->json_bytes > LINK_CTL_MAX || s->fin_queued ||
		s->resetting || stream_queue(s, type, text, len) < 0)
		return -1;
	s->fin_queued = type == FRAME_FIN;
	link_want_output(s->link);
	return 0;
}

int link_send_ctl(struct link_stream *s, json_t *msg)
{
	return send_json(s, FRAME_CTL, msg);
}

int link_send_fin(struct link_stream *s, json_t *msg)
{
	return send_json(s, FRAME_FIN, msg);
}

void link_ack_due(struct link_stream *s)
{
	struct link *l = s->link;
	uint64_t at = stream_consumed(s);

	if (at == s->ack_sent && !s->closing)
		return;
	s->ack_due = l->acks_due = true;
	if (l->ack_delay_ms && at - s->ack_sent < LINK_WINDOW / 4 && !s->closing) {
		if (!l->ack_at) {
			l->ack_at = clock_mono_ms() + l->ack_delay_ms;
			deadline_changed(l);
		}
		return;
	}
	link_want_output(l);
}

static json_t *err_pack(const struct err *e)
{
	return json_pack("{s:s,s:s*,s:s*}", "code", err_code_name(e->code), "message", e->message,
		"hint", *e->hint ? e->hint : NULL);
}

void link_reset(struct link_stream *s, const struct err *why)
{
	struct link *l = s->link;

	if (s->dead || s->resetting)
		return;
	if (link_own_id(l, s->id) && s->sent_high == 0) {
		link_stream_end(s);
		return;
	}
	s->ops = &link_no_ops;
	s->resetting = s->reset_due = l->resets_due = true;
	s->outstanding = 0;
	stream_drop_buffers(s);
	if (why && why->code != ERR_NONE) {
		json_t *j = err_pack(why);
		s->reset_why = json_dumps(j, JSON_COMPACT);
		json_decref(j);
	}
	link_want_output(l);
}

void link_close(struct link_stream *s)
{
	if (!s || s->dead || s->resetting)
		return;
	if (!s->fin_received || !s->fin_queued) {
		link_reset(s, NULL);
		return;
	}
	s->ops = &link_no_ops;
	s->closing = true;
	s->outstanding = 0;
	s->nmarks = 0;
	link_ack_due(s);
}

/* --- the connection --- */

void link_connection_reset(struct link *l)
{
	l->up = false;
	l->nonce = fresh();
	l->peer_nonce = l->echoed = 0;
	l->hello_due = l->filler_due = false;
	l->pong_due = l->ping_due = false;
	l->ping_at = l->hello_at = l->ack_at = 0;
	buf_clear(&l->replies);
}

static void down(struct link *l, const char *reason)
{
	bool was = l->up;

	link_connection_reset(l);
	if (was && l->ops.on_down)
		l->ops.on_down(l->arg, reason);
}

static void say_hello(struct link *l)
{
	l->hello_due = true;
	l->filler_due = l->filler;
	l->hello_at = clock_mono_ms() + LINK_HELLO_RETRY_MS;
	deadline_changed(l);
	link_want_output(l);
}

void link_start_over(struct link *l, const char *reason)
{
	down(l, reason);
	if (l->connected)
		say_hello(l);
}

void link_connected(struct link *l, bool filler)
{
	l->depth++;
	down(l, "another connection took its place");
	l->connected = true;
	l->refused = false;
	l->filler = filler;
	l->output_told = false;
	l->heard_at = clock_mono_ms();
	say_hello(l);
	link_leave(l);
}

void link_disconnected(struct link *l, const char *reason)
{
	l->depth++;
	l->connected = l->output_told = false;
	down(l, reason);
	link_leave(l);
}

void link_tell_reset(struct link_stream *s, const struct err *why)
{
	const struct link_stream_ops *ops = s->ops;

	if (ops->on_reset && !s->resetting)
		ops->on_reset(s->arg, s, why);
	link_stream_end(s);
}

/* The peer is another program: what it and we had is gone. What we never sent it may still have. */
static void forget_peer(struct link *l)
{
	struct err why = { 0 };
	struct link_stream *last = l->tail;

	err_set(&why, ERR_UNAVAILABLE, "the other end of the link started anew");
	why.retryable = true;
	for (struct link_stream *s = l->first; s; s = s == last ? NULL : s->next)
		if (!s->dead && !(link_own_id(l, s->id) && s->sent_high == 0))
			link_tell_reset(s, &why);
	l->peer_high = 0;
}

void link_establish(struct link *l, uint64_t epoch, json_t *hello)
{
	bool known = l->peer_epoch == epoch;

	if (l->peer_epoch && !known)
		forget_peer(l);
	l->peer_epoch = epoch;
	l->up = true;
	l->ping_at = l->hello_at = 0;
	l->opens_due = l->acks_due = l->resets_due = true;
	for (struct link_stream *s = l->first; s; s = s->next) {
		if (s->dead)
			continue;
		stream_rewind(s);
		s->ack_due = s->recv > 0;
		s->reset_due = s->resetting;
	}
	if (l->ops.on_up)
		l->ops.on_up(l->arg, !known, hello);
	deadline_changed(l);
	link_want_output(l);
}

/* --- time --- */

int64_t link_deadline(const struct link *l)
{
	int64_t at = -1;

	if (!l->connected || l->refused)
		return -1;
	if (!l->up)
		return l->hello_at ? l->hello_at : -1;
	if (l->ping_ms)
		at = l->ping_at ? l->ping_at + LINK_DEAD_MS : l->heard_at + l->ping_ms;
	if (l->ack_at && (at < 0 || l->ack_at < at))
		at = l->ack_at;
	return at;
}

void link_tick(struct link *l)
{
	int64_t now = clock_mono_ms();

	if (!l->connected || l->refused)
		return;
	l->depth++;
	if (!l->up && l->hello_at && now >= l->hello_at) {
		say_hello(l);
	} else if (l->up) {
		if (l->ack_at && now >= l->ack_at) {
			l->ack_at = 0;
			link_want_output(l);
		}
		if (l->ping_ms && l->ping_at && now >= l->ping_at + LINK_DEAD_MS) {
			char why[64];
			snprintf(why, sizeof(why), "no answer for %d s", LINK_DEAD_MS / 1000);
			link_start_over(l, why);
		} else if (l->ping_ms && !l->ping_at && now >= l->heard_at + l->ping_ms) {
			l->ping_at = now;
			l->ping_due = true;
			link_want_output(l);
			deadline_changed(l);
		}
	}
	link_leave(l);
}
