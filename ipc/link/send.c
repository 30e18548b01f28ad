/* SPDX-License-Identifier: ISC */
/* The engine's mouth: what goes out, in which order. See link.h. */
#include <inttypes.h>
#include <string.h>

#include "base/util.h"
#include "ipc/link/link_int.h"

#define QUANTUM (32 * 1024) /* one stream's share of a turn */

static const unsigned char filler[FRAME_MAX];

static void hex_set(json_t *o, const char *key, uint64_t v)
{
	char text[17];

	snprintf(text, sizeof(text), "%016" PRIx64, v);
	json_object_set_new(o, key, json_string(text));
}

static void pull_hello(struct link *l, struct buf *out)
{
	json_t *h = json_pack("{s:i,s:s,s:s,s:O}", "version", LINK_VERSION, "side",
		l->side == LINK_SHIM ? "shim" : "guest", "place", l->place, "info", l->info);
	hex_set(h, "epoch", l->epoch);
	hex_set(h, "nonce", l->nonce);
	if (l->peer_nonce)
		hex_set(h, "echo", l->peer_nonce);
	cleanup_free char *text = json_dumps(h, JSON_COMPACT);
	struct frame f = { .type = FRAME_HELLO, .payload = (unsigned char *)text, .len = strlen(text) };

	json_decref(h);
	if (l->filler_due)
		buf_append(out, filler, sizeof(filler));
	l->filler_due = l->hello_due = false;
	frame_append(out, &f);
	l->echoed = l->peer_nonce;
}

static void pull_acks(struct link *l, struct buf *out)
{
	l->acks_due = false;
	l->ack_at = 0;
	for (struct link_stream *s = l->first; s; s = s->next) {
		if (!s->ack_due || s->dead)
			continue;
		struct frame f = { .type = FRAME_ACK, .stream = s->id, .offset = stream_consumed(s) };
		if (!s->resetting && frame_append(out, &f) < 0) {
			l->acks_due = true;
			return;
		}
		s->ack_due = false;
		s->ack_sent = f.offset;
		link_maybe_over(s);
	}
}

static void pull_resets(struct link *l, struct buf *out)
{
	l->resets_due = false;
	for (struct link_stream *s = l->first; s; s = s->next) {
		if (!s->reset_due || s->dead)
			continue;
		struct frame f = { .type = FRAME_RESET, .stream = s->id,
			.payload = (unsigned char *)s->reset_why,
			.len = s->reset_why ? strlen(s->reset_why) : 0 };
		if (frame_append(out, &f) < 0) {
			l->resets_due = true;
			return;
		}
		s->reset_due = false;
	}
}

static bool pull_stream(struct link_stream *s, struct buf *out)
{
	struct frame f;

	if (!stream_next(s, QUANTUM, &f) || frame_append(out, &f) < 0)
		return false;
	stream_sent(s, &f);
	return true;
}

static bool open_waits(const struct link_stream *s)
{
	return link_own_id(s->link, s->id) && s->sent == 0 && !s->dead && !s->resetting;
}

/* OPENs go in the order of their ids, after a reconnect too: an id below the highest one seen means a stream that is over. */
static void pull_opens(struct link *l, struct buf *out, size_t target)
{
	for (struct link_stream *s = l->first; s; s = s->next) {
		if (!open_waits(s))
			continue;
		if (out->len >= target || !pull_stream(s, out))
			return;
	}
	l->opens_due = false;
}

static void pull_records(struct link *l, struct buf *out, size_t target)
{
	size_t idle = 0;

	while (out->len < target && idle <= l->nstreams && l->nstreams) {
		struct link_stream *s = l->turn ? l->turn : l->first;
		l->turn = s->next;
		if (!s->dead && !open_waits(s) && pull_stream(s, out))
			idle = 0;
		else
			idle++;
	}
}

bool link_pull(struct link *l, struct buf *out, size_t target)
{
	size_t before = out->len;

	l->output_told = false;
	if (!l->connected)
		return false;
	l->depth++;
	if (l->hello_due)
		pull_hello(l, out);
	if (l->up && out->len < target) {
		if (l->pong_due || l->ping_due) {
			struct frame f = { .type = FRAME_PONG, .offset = l->pong };
			if (l->pong_due)
				frame_append(out, &f);
			f.type = FRAME_PING;
			if (l->ping_due)
				frame_append(out, &f);
			l->pong_due = l->ping_due = false;
		}
		if (l->replies.len) {
			size_t n = l->replies.len / FRAME_HEADER, fit = buf_room(out) / FRAME_HEADER;
			n = (n < fit ? n : fit) * FRAME_HEADER;
			buf_append(out, buf_data(&l->replies), n);
			buf_consume(&l->replies, n);
		}
		if (l->acks_due)
			pull_acks(l, out);
		if (l->resets_due)
			pull_resets(l, out);
		if (l->opens_due)
			pull_opens(l, out, target);
		pull_records(l, out, target);
	}
	link_leave(l);
	return out->len > before;
}

