/* SPDX-License-Identifier: ISC */
/*
 * One stream's records: what its sender keeps until it is acknowledged, and the receiver's count
 * of what was consumed.
 */
#include "ipc/link/link_int.h"

#include <string.h>

#include "base/util.h"

#define RECORD_DATA_MAX 65536     /* DATA is collected into records of up to this much */
#define OUT_BUF_MAX (16 * 1024 * 1024) /* out_max, messages and what the records' heads cost */
#define KEEP_EMPTY 4096           /* a buffer larger than this is given back when it is empty */

struct record_head {
	uint32_t len;
	uint8_t type;
} __attribute__((packed));
#define HEAD sizeof(struct record_head)

struct link_stream *stream_create(struct link *l, uint32_t id)
{
	struct link_stream *s = xcalloc(1, sizeof(*s));
	struct link_stream **h = &l->hash[id / 2 % HASH_SIZE];

	s->link = l;
	s->id = id;
	s->out_max = LINK_OUT_MAX;
	buf_init(&s->out, OUT_BUF_MAX);
	buf_init(&s->part, LINK_CTL_MAX);
	s->hash_next = *h;
	*h = s;
	s->prev = l->tail;
	if (l->tail)
		l->tail->next = s;
	else
		l->first = s;
	l->tail = s;
	l->nstreams++;
	return s;
}

void stream_drop_buffers(struct link_stream *s)
{
	buf_finish(&s->out);
	buf_finish(&s->part);
	s->pos = s->pos_part = s->acked_part = s->data_bytes = s->json_bytes = 0;
}

void stream_free(struct link_stream *s)
{
	struct link *l = s->link;
	struct link_stream **h = &l->hash[s->id / 2 % HASH_SIZE];

	while (*h != s)
		h = &(*h)->hash_next;
	*h = s->hash_next;
	if (s->prev)
		s->prev->next = s->next;
	else
		l->first = s->next;
	if (s->next)
		s->next->prev = s->prev;
	else
		l->tail = s->prev;
	if (l->turn == s)
		l->turn = s->next;
	l->nstreams--;
	stream_drop_buffers(s);
	free(s->reset_why);
	free(s);
}

static struct record_head head_at(const struct link_stream *s, size_t pos)
{
	struct record_head h;

	memcpy(&h, buf_data(&s->out) + pos, HEAD);
	return h;
}

/* Adds to the last record when that is DATA of which something is still to be sent: then nobody has
 * counted on its end yet. Returns how much it took. */
static size_t extend_last(struct link_stream *s, const void *data, size_t len)
{
	if (s->pos >= s->out.len)
		return 0;
	struct record_head h = head_at(s, s->last);
	if (h.type != FRAME_DATA || h.len >= RECORD_DATA_MAX)
		return 0;
	size_t n = RECORD_DATA_MAX - h.len;
	if (n > len)
		n = len;
	if (buf_append(&s->out, data, n) < 0)
		return 0;
	h.len += (uint32_t)n;
	memcpy(buf_data(&s->out) + s->last, &h, HEAD);
	return n;
}

static int add_record(struct link_stream *s, enum frame_type type, const void *data, size_t len)
{
	struct record_head h = { .len = (uint32_t)len, .type = (uint8_t)type };

	if (buf_room(&s->out) < HEAD + len)
		return -1;
	s->last = s->out.len;
	buf_append(&s->out, &h, HEAD);
	buf_append(&s->out, data, len);
	return 0;
}

int stream_queue(struct link_stream *s, enum frame_type type, const void *data, size_t len)
{
	const unsigned char *p = data;
	size_t left = len;

	if (len / RECORD_DATA_MAX * HEAD + 2 * HEAD + len > buf_room(&s->out))
		return -1;
	if (type == FRAME_DATA) {
		size_t n = extend_last(s, p, left);
		p += n;
		left -= n;
		s->data_bytes += len;
	} else {
		s->json_bytes += len;
	}
	while (left > 0) {
		size_t n = type == FRAME_DATA && left > RECORD_DATA_MAX ? RECORD_DATA_MAX : left;
		add_record(s, type, p, n);
		p += n;
		left -= n;
	}
	s->queued += len;
	return 0;
}

bool stream_next(const struct link_stream *s, size_t max, struct frame *ret)
{
	if (s->resetting || s->pos >= s->out.len)
		return false;
	uint64_t under_way = s->sent - s->acked;
	size_t window = under_way < LINK_WINDOW ? LINK_WINDOW - (size_t)under_way : 0;
	struct record_head h = head_at(s, s->pos);
	size_t n = h.len - s->pos_part;
	if (n > max)
		n = max;
	if (n > window)
		n = window;
	if (n == 0)
		return false;
	bool json = h.type != FRAME_DATA;
	*ret = (struct frame){ .type = h.type, .stream = s->id, .offset = s->sent,
		.flags = json && s->pos_part + n < h.len ? FRAME_MORE : 0,
		.payload = buf_data(&s->out) + s->pos + HEAD + s->pos_part, .len = n };
	return true;
}

void stream_sent(struct link_stream *s, const struct frame *f)
{
	struct record_head h = head_at(s, s->pos);

	s->sent += f->len;
	if (s->sent > s->sent_high)
		s->sent_high = s->sent;
	s->pos_part += f->len;
	if (s->pos_part == h.len) {
		s->pos += HEAD + h.len;
		s->pos_part = 0;
	}
}

void stream_rewind(struct link_stream *s)
{
	s->sent = s->acked;
	s->pos = 0;
	s->pos_part = s->acked_part;
}

int stream_acked(struct link_stream *s, uint64_t offset)
{
	if (offset > s->sent_high)
		return -1;
	while (s->acked < offset) {
		struct record_head h = head_at(s, 0);
		size_t n = h.len - s->acked_part;
		if (n > offset - s->acked)
			n = (size_t)(offset - s->acked);
		s->acked += n;
		s->acked_part += n;
		*(h.type == FRAME_DATA ? &s->data_bytes : &s->json_bytes) -= n;
		if (s->acked_part < h.len)
			break;
		size_t gone = HEAD + h.len;
		buf_consume(&s->out, gone);
		s->acked_part = 0;
		s->pos = s->pos >= gone ? s->pos - gone : 0;
		s->last = s->last >= gone ? s->last - gone : 0;
	}
	/* After a reconnect the peer may have more than we sent again. */
	if (s->sent < s->acked)
		stream_rewind(s);
	if (s->out.len == 0 && s->out.cap > KEEP_EMPTY)
		buf_finish(&s->out);
	return 0;
}

bool stream_out_done(const struct link_stream *s)
{
	return s->acked == s->queued;
}

void stream_note_json(struct link_stream *s, size_t len)
{
	if (s->outstanding == 0) {
		s->nmarks = 0;
		return;
	}
	struct ctl_mark *last = s->nmarks ? &s->marks[s->nmarks - 1] : NULL;
	/* No mark left: the last one moves behind, its bytes count a little later. */
	if (last && (last->data_before == s->data_recv || s->nmarks == CTL_MARKS)) {
		last->data_before = s->data_recv;
		last->len += len;
		return;
	}
	s->marks[s->nmarks++] = (struct ctl_mark){ .data_before = s->data_recv, .len = len };
}

uint64_t stream_consumed(const struct link_stream *s)
{
	uint64_t data_done = s->data_recv - s->outstanding, at = s->recv - s->outstanding;

	for (size_t i = 0; i < s->nmarks; i++)
		if (s->marks[i].data_before > data_done)
			at -= s->marks[i].len;
	if (!s->closing)
		at -= s->fin_len;
	return at > s->ack_sent ? at : s->ack_sent;
}

void link_consumed(struct link_stream *s, size_t n)
{
	if (n > s->outstanding)
		n = s->outstanding;
	s->outstanding -= n;
	uint64_t done = s->data_recv - s->outstanding;
	size_t keep = 0;
	for (size_t i = 0; i < s->nmarks; i++)
		if (s->marks[i].data_before > done)
			s->marks[keep++] = s->marks[i];
	s->nmarks = keep;
	link_ack_due(s);
}

void link_unacked(const struct link_stream *s,
	void (*fn)(void *arg, const void *data, size_t len), void *arg)
{
	size_t skip = s->acked_part;

	for (size_t at = 0; at < s->out.len;) {
		struct record_head h = head_at(s, at);
		if (h.type == FRAME_DATA)
			fn(arg, buf_data(&s->out) + at + HEAD + skip, h.len - skip);
		skip = 0;
		at += HEAD + h.len;
	}
}

size_t link_unacked_len(const struct link_stream *s)
{
	return s->data_bytes;
}

uint32_t link_id(const struct link_stream *s)
{
	return s->id;
}

size_t link_room(const struct link_stream *s)
{
	return s->fin_queued || s->resetting || s->data_bytes >= s->out_max
		       ? 0 : s->out_max - s->data_bytes;
}

void link_set_out_max(struct link_stream *s, size_t max)
{
	s->out_max = max < LINK_OUT_MAX * 4 ? max : LINK_OUT_MAX * 4;
}

bool link_fin_sent(const struct link_stream *s)
{
	return s->fin_queued;
}

bool link_fin_received(const struct link_stream *s)
{
	return s->fin_received;
}

uint64_t link_queued(const struct link_stream *s)
{
	return s->queued;
}

uint64_t link_acked(const struct link_stream *s)
{
	return s->acked;
}
