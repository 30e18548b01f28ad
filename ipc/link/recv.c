/* SPDX-License-Identifier: ISC */
/* The engine's ears: frames to hellos, records, acknowledgements and resets. See link.h. */
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "ipc/link/link_int.h"

static uint64_t hex_get(json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	char *end;

	if (!s || strlen(s) != 16)
		return 0;
	uint64_t v = strtoull(s, &end, 16);
	return *end ? 0 : v;
}

static void take_hello(struct link *l, const struct frame *f)
{
	json_t *h = frame_json(f);
	const char *side = json_string_value(json_object_get(h, "side"));
	json_int_t version = json_integer_value(json_object_get(h, "version"));
	uint64_t epoch = hex_get(h, "epoch"), nonce = hex_get(h, "nonce"), echo = hex_get(h, "echo");

	if (!side || strcmp(side, l->side == LINK_SHIM ? "guest" : "shim") != 0 || !epoch || !nonce)
		goto out; /* not from a peer of ours (our own words come back, for one) */
	if (version != LINK_VERSION) {
		char why[128];
		snprintf(why, sizeof(why), "the other end speaks version %" JSON_INTEGER_FORMAT
			" of the link, this one version %d", version, LINK_VERSION);
		if (!l->refused && l->ops.on_down)
			l->ops.on_down(l->arg, why);
		l->refused = true;
		link_connection_reset(l);
		goto out;
	}
	if (l->up && echo == l->nonce && nonce == l->peer_nonce)
		goto out; /* said twice */
	/* It started over: what it sends until it knows our next nonce is not for us. */
	if (l->up && echo != l->nonce)
		link_start_over(l, "the other end connected again");
	l->peer_nonce = nonce;
	if (l->echoed != nonce) {
		l->hello_due = true;
		link_want_output(l);
	}
	if (echo == l->nonce)
		link_establish(l, epoch, h);
	else if (l->echoed == nonce) {
		/* It has not heard us although we answered: say it again. */
		l->hello_due = true;
		link_want_output(l);
	}
out:
	json_decref(h);
}

static void reply(struct link *l, enum frame_type type, uint32_t id, uint64_t offset)
{
	struct frame f = { .type = type, .stream = id, .offset = offset };

	if (frame_append(&l->replies, &f) < 0)
		link_start_over(l, "the other end sends without end for streams that are gone");
	link_want_output(l);
}

static void violation(struct link_stream *s, const char *what)
{
	struct err why = { 0 };
	const struct link_stream_ops *ops = s->ops;

	err_set(&why, ERR_IO, "the other end of the link broke its rules: %s", what);
	if (ops->on_reset)
		ops->on_reset(s->arg, s, &why);
	link_reset(s, &why);
}

static struct link_stream *peer_opens(struct link *l, const struct frame *f)
{
	if (l->npeer >= l->max_streams) {
		l->peer_high = f->stream;
		reply(l, FRAME_RESET, f->stream, RESET_FULL);
		return NULL;
	}
	struct link_stream *s = stream_create(l, f->stream);
	s->ops = &link_no_ops;
	l->npeer++;
	l->peer_high = f->stream;
	return s;
}

/* A record for a stream we do not have: a late resend of one that is over, or nonsense. */
static void take_stray(struct link *l, const struct frame *f)
{
	bool was = link_own_id(l, f->stream) ? f->stream < l->next_id : f->stream <= l->peer_high;

	if (was)
		reply(l, FRAME_ACK, f->stream, f->offset + f->len);
	else
		reply(l, FRAME_RESET, f->stream, 0);
}

static void deliver_json(struct link_stream *s, enum frame_type type)
{
	struct link *l = s->link;
	json_t *j = json_loadb((char *)buf_data(&s->part), s->part.len, JSON_REJECT_DUPLICATES, NULL);

	buf_finish(&s->part);
	s->part_type = 0;
	if (!json_is_object(j)) {
		json_decref(j);
		violation(s, "a message that is no JSON object");
		return;
	}
	if (type == FRAME_OPEN) {
		s->opened = true;
		if (l->ops.on_open)
			l->ops.on_open(l->arg, s, j);
		if (!s->accepted)
			link_reset(s, NULL);
	} else if (type == FRAME_FIN) {
		s->fin_received = true;
		if (s->ops->on_fin)
			s->ops->on_fin(s->arg, s, j);
		else if (s->fin_queued)
			link_close(s);
	} else if (s->ops->on_ctl) {
		s->ops->on_ctl(s->arg, s, j);
	}
	json_decref(j);
}

static void take_json(struct link_stream *s, const struct frame *f, const unsigned char *p, size_t n)
{
	bool more = f->flags & FRAME_MORE;

	if ((s->part_type && s->part_type != f->type) || (f->type == FRAME_OPEN) == s->opened) {
		violation(s, "a message out of order");
		return;
	}
	if (buf_append(&s->part, p, n) < 0) {
		violation(s, "a message that is too large");
		return;
	}
	s->part_type = f->type;
	s->recv += n;
	stream_note_json(s, n);
	if (f->type == FRAME_FIN && !more)
		s->fin_len = n;
	if (!more)
		deliver_json(s, f->type);
	if (!s->dead && !s->resetting)
		link_ack_due(s);
}

static void take_data(struct link_stream *s, const unsigned char *p, size_t n)
{
	if (s->part_type || !s->opened) {
		violation(s, "bytes out of order");
		return;
	}
	s->recv += n;
	s->data_recv += n;
	s->outstanding += n;
	if (s->ops->on_data)
		s->ops->on_data(s->arg, s, p, n);
	else
		link_consumed(s, n);
}

static void take_record(struct link *l, const struct frame *f)
{
	struct link_stream *s = link_stream_find(l, f->stream);

	if (!s && f->type == FRAME_OPEN && f->offset == 0 && !link_own_id(l, f->stream) &&
		f->stream > l->peer_high)
		s = peer_opens(l, f);
	else if (!s)
		take_stray(l, f);
	if (!s || s->resetting)
		return;
	if (f->offset > s->recv) {
		violation(s, "a gap");
		return;
	}
	if (s->recv - f->offset >= f->len) { /* all of it was here before; maybe the ACK got lost */
		s->ack_due = l->acks_due = true;
		link_want_output(l);
		return;
	}
	size_t had = (size_t)(s->recv - f->offset);
	if (s->fin_received) {
		violation(s, "more after the end");
		return;
	}
	if (f->offset + f->len - s->ack_sent > LINK_WINDOW) {
		violation(s, "more than the window");
		return;
	}
	if (f->type == FRAME_DATA)
		take_data(s, f->payload + had, f->len - had);
	else
		take_json(s, f, f->payload + had, f->len - had);
}

void link_maybe_over(struct link_stream *s)
{
	if (s->closing && !s->ack_due && stream_out_done(s))
		link_stream_end(s);
}

static void take_ack(struct link *l, const struct frame *f)
{
	struct link_stream *s = link_stream_find(l, f->stream);

	if (!s || s->resetting || f->offset <= s->acked)
		return;
	if (stream_acked(s, f->offset) < 0) {
		violation(s, "an acknowledgement of what was not sent");
		return;
	}
	if (s->ops->on_acked)
		s->ops->on_acked(s->arg, s);
	if (!s->dead)
		link_maybe_over(s);
	link_want_output(l); /* the window moved */
}

static void take_reset(struct link *l, const struct frame *f)
{
	struct link_stream *s = link_stream_find(l, f->stream);
	struct err why = { 0 };

	if (f->offset != RESET_CONFIRM)
		reply(l, FRAME_RESET, f->stream, RESET_CONFIRM);
	if (!s)
		return;
	json_t *j = frame_json(f);
	const char *message = json_string_value(json_object_get(j, "message"));
	const char *hint = json_string_value(json_object_get(j, "hint"));
	const char *code = json_string_value(json_object_get(j, "code"));
	if (f->offset == RESET_FULL)
		err_set(&why, ERR_BUSY, "the other end of the link has too many streams open");
	else
		err_set(&why, code ? err_code_from_name(code) : ERR_CANCELLED, "%s",
			message ? message : "the other end closed the stream");
	why.retryable = err_code_retryable(why.code);
	if (hint)
		err_hint(&why, "%s", hint);
	json_decref(j);
	link_tell_reset(s, &why);
}

static void take(struct link *l, const struct frame *f)
{
	switch (f->type) {
	case FRAME_HELLO:
		take_hello(l, f);
		break;
	case FRAME_OPEN:
	case FRAME_DATA:
	case FRAME_CTL:
	case FRAME_FIN:
		take_record(l, f);
		break;
	case FRAME_ACK:
		take_ack(l, f);
		break;
	case FRAME_RESET:
		take_reset(l, f);
		break;
	case FRAME_PING:
		l->pong = f->offset;
		l->pong_due = true;
		link_want_output(l);
		break;
	case FRAME_PONG:
		break; /* that something came is all we wanted to know */
	}
}

void link_input(struct link *l, struct buf *in)
{
	l->depth++;
	l->heard_at = clock_mono_ms();
	l->ping_at = 0;
	while (in->len > 0 && l->connected) {
		struct frame f;
		size_t used;
		enum frame_result r = frame_parse(buf_data(in), in->len, &f, &used);

		if (r == FRAME_WAIT)
			break;
		if (r == FRAME_OK) {
			if (l->up || f.type == FRAME_HELLO)
				take(l, &f);
			buf_consume(in, used);
			continue;
		}
		if (l->up)
			link_start_over(l, "bytes came that are no frame");
		buf_consume(in, frame_scan(buf_data(in), in->len, 1));
	}
	link_leave(l);
}

