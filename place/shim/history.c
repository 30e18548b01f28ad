/* SPDX-License-Identifier: ISC */
/*
 * What has scrolled off a screen. Nothing of it is held in memory: the recording's tail is fed to a
 * second emulator of the same size, whose lines are caught as they leave the top.
 */
#include "place/shim/history.h"

#include "base/util.h"

#define PIECE 65536
#define LEAD_MAX 4096 /* looked through for where a line begins, when the tail begins inside one */

struct caught {
	char **line; /* a ring */
	size_t max, count, next;
};

static void on_line(void *arg, const char *text, size_t len)
{
	struct caught *c = arg;

	free(c->line[c->next]);
	c->line[c->next] = xstrndup(text, len);
	c->next = (c->next + 1) % c->max;
	if (c->count < c->max)
		c->count++;
}

static size_t count_lines(const unsigned char *p, size_t len)
{
	size_t n = 0, i;

	for (i = 0; i < len; i++)
		n += p[i] == '\n';
	return n;
}

/* Was the alternate screen showing where the tail begins? The first switch in it tells; without one it
 * is as now. */
static bool began_alternate(const unsigned char *p, size_t len, bool now)
{
	static const char seq[] = "\033[?1049";
	const unsigned char *at = memmem(p, len, seq, sizeof(seq) - 1);

	if (!at || at + sizeof(seq) - 1 >= p + len)
		return now;
	return at[sizeof(seq) - 1] == 'l';
}

static int read_tail(struct record *r, size_t len, struct buf *tail, struct err *e)
{
	uint64_t end = record_end(r), at = record_first(r);

	if (end - at > len)
		at = end - len;
	for (;;) {
		unsigned char *p = buf_reserve(tail, PIECE);
		ssize_t n = p ? record_read(r, at, p, PIECE, &at, e) : 0;

		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		buf_added(tail, (size_t)n);
		at += (uint64_t)n;
	}
}

/* A tail that begins in the middle begins with rubbish: the rest of a sequence, half a line. */
static void skip_lead(struct buf *tail)
{
	size_t look = tail->len < LEAD_MAX ? tail->len : LEAD_MAX;
	const unsigned char *nl = look ? memchr(buf_data(tail), '\n', look) : NULL;
	const unsigned char *esc = look ? memchr(buf_data(tail), 0x1b, look) : NULL;

	if (nl)
		buf_consume(tail, (size_t)(nl - buf_data(tail)) + 1);
	else if (esc)
		buf_consume(tail, (size_t)(esc - buf_data(tail)));
}

/* A second emulator of the same size, fed with the tail. */
static struct screen *feed_tail(const struct buf *tail, const struct screen *now, const struct screen_ops *ops,
	void *arg)
{
	struct screen *scratch;
	int rows, cols;

	screen_size(now, &rows, &cols);
	scratch = screen_create(rows, cols, ops, arg);
	if (began_alternate(buf_data(tail), tail->len, screen_modes(now)->alternate))
		screen_feed(scratch, "\033[?1049h", 8, NULL);
	screen_feed(scratch, buf_data(tail), tail->len, NULL);
	return scratch;
}

int history_scratch(struct record *r, const struct screen *now, size_t len, const struct screen_ops *ops, void *arg,
	struct screen **ret, struct err *e)
{
	bool more = record_end(r) - record_first(r) > len;
	struct buf tail;

	buf_init(&tail, len + 2 * PIECE);
	if (read_tail(r, len, &tail, e) < 0) {
		buf_finish(&tail);
		return -1;
	}
	if (more || record_first(r) > 0)
		skip_lead(&tail);
	*ret = feed_tail(&tail, now, ops, arg);
	buf_finish(&tail);
	return more;
}

int history_text(struct record *r, const struct screen *now, int lines, struct buf *out, struct err *e)
{
	struct caught c = {.max = (size_t)(lines < 1 ? 1 : lines > HISTORY_LINES_MAX ? HISTORY_LINES_MAX : lines)};
	const struct screen_ops ops = {.line = on_line};
	struct buf tail, text;
	size_t i, want, have;
	int rc = 0;

	buf_init(&text, out->max);
	buf_init(&tail, HISTORY_TAIL + 2 * PIECE);
	rc = screen_text(now, &text);
	have = text.len ? count_lines(buf_data(&text), text.len) : 0;
	want = have < c.max ? c.max - have : 0;
	c.max = want ? want : 1;
	c.line = xcalloc(c.max, sizeof(*c.line));
	if (want && read_tail(r, HISTORY_TAIL, &tail, e) < 0) {
		rc = -1;
	} else if (want && tail.len) {
		if (record_end(r) - record_first(r) > tail.len || record_first(r) > 0)
			skip_lead(&tail);
		screen_destroy(feed_tail(&tail, now, &ops, &c));
		for (i = 0; i < c.count; i++)
			rc |= buf_printf(out, "%s\n", c.line[(c.next + c.max - c.count + i) % c.max]);
	}
	if (text.len)
		rc |= buf_append(out, buf_data(&text), text.len);
	for (i = 0; i < c.max; i++)
		free(c.line[i]);
	free(c.line);
	buf_finish(&tail);
	buf_finish(&text);
	return rc ? -1 : 0;
}

int history_tail(struct record *r, struct buf *tail, struct err *e)
{
	bool cut = record_end(r) - record_first(r) > HISTORY_TAIL;

	if (read_tail(r, HISTORY_TAIL, tail, e) < 0)
		return -1;
	if (cut)
		skip_lead(tail);
	return 0;
}
