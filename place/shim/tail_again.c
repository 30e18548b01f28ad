/* SPDX-License-Identifier: ISC */
/* A file that was written anew is sent again from its beginning: only lines that the copy does not have are taken. */
#include "place/shim/tail_int.h"

#include <unistd.h>

#include "base/util.h"

#define PIECE 65536
#define LINE_MAX_BYTES (4 * 1024 * 1024) /* a longer one is taken as it is */
#define LINES_MAX (1 << 20)              /* of a copy that are known */

static uint64_t hash_of(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h ? h : 1;
}

static uint64_t *slot_of(const struct tail *t, uint64_t h)
{
	size_t i = h & (t->room - 1);

	while (t->known[i] && t->known[i] != h)
		i = (i + 1) & (t->room - 1);
	return &t->known[i];
}

static void know(struct tail *t, const void *line, size_t len)
{
	uint64_t h = hash_of(line, len);

	if (2 * (t->nknown + 1) > t->room) {
		uint64_t *old = t->known;
		size_t n = t->room;

		t->room = n ? 2 * n : 1024;
		t->known = xcalloc(t->room, sizeof(*t->known));
		for (size_t i = 0; i < n; i++)
			if (old[i])
				*slot_of(t, old[i]) = old[i];
		free(old);
	}
	uint64_t *s = slot_of(t, h);
	t->nknown += *s == 0;
	*s = h;
}

void tail_again_end(struct tail *t)
{
	t->again = false;
	free(t->known);
	t->known = NULL;
	t->nknown = t->room = 0;
	buf_finish(&t->line);
}

static void know_copy(struct tail *t)
{
	cleanup_free char *piece = xcalloc(1, PIECE);
	off_t first = lseek(t->fd, 0, SEEK_DATA); /* behind what was made free */
	uint64_t at = first > 0 ? (uint64_t)first : 0;
	ssize_t n;

	buf_init(&t->line, LINE_MAX_BYTES);
	while (t->nknown < LINES_MAX && (n = pread(t->fd, piece, PIECE, (off_t)at)) > 0) {
		const char *p = piece, *end = piece + n, *nl;
		while ((nl = memchr(p, '\n', (size_t)(end - p)))) {
			if (buf_append(&t->line, p, (size_t)(nl + 1 - p)) == 0)
				know(t, buf_data(&t->line), t->line.len);
			buf_clear(&t->line);
			p = nl + 1;
		}
		if (buf_append(&t->line, p, (size_t)(end - p)) < 0)
			buf_clear(&t->line);
		at += (uint64_t)n;
	}
	buf_clear(&t->line);
}

/* A copy that ends within a line is brought to its end, so that what follows begins one. */
static int end_line(struct tail *t)
{
	char last = '\n';

	if (t->length > 0 && pread(t->fd, &last, 1, (off_t)(t->length - 1)) == 1 && last != '\n')
		return tail_append(t, "\n", 1);
	return 0;
}

/* From here on the two go along: behind the same bytes, which were just appended. */
static void aligned(struct tail *t)
{
	t->copy = t->length;
	t->source = t->at;
	t->ncheck = t->nlast;
	sha256_hex(t->last, t->nlast, t->check);
	tail_again_end(t);
	tail_map_write(t);
}

void tail_again_begin(struct tail *t, uint64_t size)
{
	uint64_t before = t->source + (t->length - t->copy);

	tail_again_end(t);
	t->again = true;
	t->at = 0;
	t->nlast = 0;
	t->until = size > before ? size : before;
	know_copy(t);
}

static void remember(struct tail *t, const char *data, size_t len)
{
	size_t keep = len >= CHECK_BYTES ? 0 : CHECK_BYTES - len, n = len < CHECK_BYTES ? len : CHECK_BYTES;

	if (keep > t->nlast)
		keep = t->nlast;
	memmove(t->last, t->last + t->nlast - keep, keep);
	memcpy(t->last + keep, data + len - n, n);
	t->nlast = keep + n;
}

/* *ret_new: it was not known. */
static int again_line(struct tail *t, bool *ret_new)
{
	const void *line = buf_data(&t->line);
	size_t len = t->line.len;
	int r = 0;

	if (!t->known || *slot_of(t, hash_of(line, len)) == 0) {
		r = end_line(t) < 0 || tail_append(t, line, len) < 0 ? -1 : 0;
		if (r == 0 && t->nknown < LINES_MAX)
			know(t, line, len);
		*ret_new = true;
	}
	buf_clear(&t->line);
	return r;
}

ssize_t tail_again_take(struct tail *t, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && t->again) {
		const char *nl = memchr(data + done, '\n', len - done);
		size_t n = nl ? (size_t)(nl + 1 - (data + done)) : len - done;
		bool new = false;

		remember(t, data + done, n);
		if (buf_append(&t->line, data + done, n) < 0) { /* too long to be compared */
			if (end_line(t) < 0 || tail_append(t, buf_data(&t->line), t->line.len) < 0 || tail_append(t, data + done, n) < 0)
				return -1;
			buf_clear(&t->line);
			new = true;
		} else if (nl && again_line(t, &new) < 0) {
			return -1;
		}
		done += n;
		t->at += n;
		if (new && t->at >= t->until)
			aligned(t);
	}
	return (ssize_t)done;
}
