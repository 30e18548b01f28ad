/* SPDX-License-Identifier: ISC */
/*
 * A unified diff. What both texts begin and end with is set aside; of the rest the longest common
 * subsequence of lines is found with a table, bounded by CELLS_MAX: past it the rest counts as replaced.
 */
#include "base/linediff.h"

#include "base/buf.h"
#include "base/util.h"

#define CELLS_MAX (1024 * 1024)
#define CONTEXT 3

struct line {
	const char *s;
	size_t len; /* without the newline */
	bool open;  /* the text ends without one */
};

struct lines {
	struct line *v;
	size_t n;
};

/* One line of the result: ' ', '-' or '+'. */
struct op {
	char kind;
	const struct line *line;
};

static struct lines split(const char *s)
{
	struct lines l = {0};
	size_t room = 1;

	for (const char *p = s; *p; p++)
		room += *p == '\n';
	l.v = xcalloc(room, sizeof(*l.v));
	while (*s) {
		const char *end = strchrnul(s, '\n');
		l.v[l.n++] = (struct line){s, (size_t)(end - s), !*end};
		s = *end ? end + 1 : end;
	}
	return l;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->len == b->len && a->open == b->open && !memcmp(a->s, b->s, a->len);
}

/* The middle parts, of n and m lines: ops behind *at. */
static void middle(const struct line *a, size_t n, const struct line *b, size_t m, struct op *ops, size_t *at)
{
	size_t i = 0, k = 0, w = m + 1;
	cleanup_free unsigned short *t = NULL;

	if (n && m && n < 0xffff && m < 0xffff && n * m <= CELLS_MAX) {
		t = xcalloc((n + 1) * w, sizeof(*t));
		for (size_t x = n; x-- > 0;)
			for (size_t y = m; y-- > 0;)
				t[x * w + y] = same(&a[x], &b[y]) ? (unsigned short)(t[(x + 1) * w + y + 1] + 1)
					: t[(x + 1) * w + y] >= t[x * w + y + 1] ? t[(x + 1) * w + y] : t[x * w + y + 1];
	}
	while (i < n || k < m) {
		if (t && i < n && k < m && same(&a[i], &b[k])) {
			ops[(*at)++] = (struct op){' ', &a[i++]};
			k++;
		} else if (i < n && (!t || k == m || t[(i + 1) * w + k] >= t[i * w + k + 1])) {
			ops[(*at)++] = (struct op){'-', &a[i++]};
		} else {
			ops[(*at)++] = (struct op){'+', &b[k++]};
		}
	}
}

static struct op *compare(const struct lines *a, const struct lines *b, size_t *ret_n)
{
	struct op *ops = xcalloc(a->n + b->n + 1, sizeof(*ops));
	size_t head = 0, tail = 0, n = 0;

	while (head < a->n && head < b->n && same(&a->v[head], &b->v[head]))
		head++;
	while (tail < a->n - head && tail < b->n - head && same(&a->v[a->n - tail - 1], &b->v[b->n - tail - 1]))
		tail++;
	for (size_t i = 0; i < head; i++)
		ops[n++] = (struct op){' ', &a->v[i]};
	middle(a->v + head, a->n - head - tail, b->v + head, b->n - head - tail, ops, &n);
	for (size_t i = a->n - tail; i < a->n; i++)
		ops[n++] = (struct op){' ', &a->v[i]};
	*ret_n = n;
	return ops;
}

/* Where the hunk that begins at op i ends: a run of more than two contexts' unchanged lines parts hunks. */
static size_t hunk_end(const struct op *ops, size_t n, size_t i)
{
	size_t end = i, calm = 0;

	for (; i < n && calm <= 2 * CONTEXT; i++) {
		calm = ops[i].kind == ' ' ? calm + 1 : 0;
		if (!calm)
			end = i + 1;
	}
	return end;
}

static int put_hunk(struct buf *out, const struct op *ops, size_t from, size_t to, size_t a, size_t b)
{
	size_t na = 0, nb = 0;

	for (size_t i = from; i < to; i++) {
		na += ops[i].kind != '+';
		nb += ops[i].kind != '-';
	}
	if (buf_printf(out, "@@ -%zu,%zu +%zu,%zu @@\n", na ? a + 1 : a, na, nb ? b + 1 : b, nb) < 0)
		return -1;
	for (size_t i = from; i < to; i++)
		if (buf_printf(out, "%c%.*s\n%s", ops[i].kind, (int)ops[i].line->len, ops[i].line->s,
			    ops[i].line->open ? "\\ No newline at end of file\n" : "") < 0)
			return -1;
	return 0;
}

char *line_diff(const char *before, const char *after, size_t max, bool *ret_cut)
{
	struct lines a = split(before), b = split(after);
	size_t n, ia = 0, ib = 0, at = 0;
	struct op *ops = compare(&a, &b, &n);
	struct buf out;

	*ret_cut = false;
	buf_init(&out, max);
	for (size_t i = 0; i < n && !*ret_cut;) {
		if (ops[i].kind == ' ') {
			i++;
			continue;
		}
		size_t from = i - at > CONTEXT ? i - CONTEXT : at, end = hunk_end(ops, n, i);
		size_t to = n - end > CONTEXT ? end + CONTEXT : n;
		for (; at < from; at++) { /* unchanged ones before it */
			ia++;
			ib++;
		}
		*ret_cut = put_hunk(&out, ops, from, to, ia, ib) < 0;
		for (; at < to; at++) {
			ia += ops[at].kind != '+';
			ib += ops[at].kind != '-';
		}
		i = to;
	}
	char *text = xstrndup(out.len ? (char *)buf_data(&out) : "", out.len);
	buf_finish(&out);
	free(ops);
	free(a.v);
	free(b.v);
	return text;
}
