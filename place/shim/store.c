/* SPDX-License-Identifier: ISC */
/*
 * What cells refer to by number: characters of several code points, and hyperlinks. Nobody counts
 * references: when a table is full, what no cell refers to any more is collected.
 */
#include "place/shim/screen_int.h"

#include "base/util.h"

#define CLUSTERS_FIRST 64
/* What tmux (3.3a) keeps of one character: beyond it marks are dropped there, so here too. */
#define CLUSTER_BYTES 21

typedef void cell_fn(void *arg, struct cell *c);

static void each_cell(struct screen *s, cell_fn *fn, void *arg)
{
	int k, row, col;

	for (k = 0; k < 2; k++)
		for (row = 0; row < s->grid[k].rows; row++) {
			struct row *r = cells_row(&s->grid[k], row);

			for (col = 0; col < r->used; col++)
				fn(arg, &r->cell[col]);
		}
}

size_t cluster_get(const struct screen *s, const struct cell *c, uint32_t ret[SCREEN_CELL_CHARS])
{
	size_t n = 0;

	memset(ret, 0, SCREEN_CELL_CHARS * sizeof(*ret));
	if (c->flags & CELL_CLUSTER) {
		memcpy(ret, s->clusters.v[c->ch], sizeof(*s->clusters.v));
		while (n < SCREEN_CELL_CHARS && ret[n])
			n++;
	} else if (c->ch) {
		ret[n++] = c->ch;
	}
	return n;
}

static void move_cluster(void *arg, struct cell *c)
{
	struct screen *s = arg;
	struct clusters *k = &s->clusters;

	if (!(c->flags & CELL_CLUSTER))
		return;
	/* The new table grows behind the old one. */
	memcpy(k->v[k->size + k->count], k->v[c->ch], sizeof(*k->v));
	c->ch = k->count++;
}

static void collect_clusters(struct screen *s)
{
	struct clusters *k = &s->clusters;

	k->v = xrealloc(k->v, 2 * (size_t)k->size * sizeof(*k->v));
	k->count = 0;
	each_cell(s, move_cluster, s);
	memmove(k->v, k->v + k->size, (size_t)k->count * sizeof(*k->v));
	if (k->count > k->size / 2)
		k->size *= 2;
	k->v = xrealloc(k->v, (size_t)k->size * sizeof(*k->v));
}

bool cluster_add(struct screen *s, struct cell *c, uint32_t ch)
{
	struct clusters *k = &s->clusters;
	uint32_t chars[SCREEN_CELL_CHARS];
	size_t n = cluster_get(s, c, chars), i, bytes = 0;
	char utf8[4];

	/* A mark on a blank stands on a space. */
	if (n == 0)
		chars[n++] = ' ';
	for (i = 0; i < n; i++)
		bytes += screen_utf8(chars[i], utf8);
	if (n == SCREEN_CELL_CHARS || bytes + screen_utf8(ch, utf8) > CLUSTER_BYTES)
		return false;
	chars[n] = ch;
	if (!(c->flags & CELL_CLUSTER)) {
		if (k->size == 0) {
			k->size = CLUSTERS_FIRST;
			k->v = xcalloc(k->size, sizeof(*k->v));
		} else if (k->count == k->size) {
			collect_clusters(s);
		}
		c->ch = k->count++;
		c->flags |= CELL_CLUSTER;
	}
	memcpy(k->v[c->ch], chars, sizeof(chars));
	return true;
}

static void mark_link(void *arg, struct cell *c)
{
	((unsigned char *)arg)[c->link] = 1;
}

static void collect_links(struct screen *s)
{
	unsigned char used[LINKS_MAX] = {0};
	size_t i;

	each_cell(s, mark_link, used);
	for (i = 0; i < 2; i++)
		used[s->saved[i].pen.link] = 1;
	for (i = 1; i < LINKS_MAX; i++) {
		if (used[i] || !s->links.text[i])
			continue;
		s->links.bytes -= strlen(s->links.text[i]);
		free(s->links.text[i]);
		s->links.text[i] = NULL;
	}
}

uint16_t link_number(struct screen *s, const char *text)
{
	struct links *l = &s->links;
	size_t len = strlen(text), i, empty = 0;
	int tries;

	for (tries = 0; tries < 2; tries++) {
		for (i = 1; i < LINKS_MAX; i++) {
			if (!l->text[i])
				empty = empty ? empty : i;
			else if (strcmp(l->text[i], text) == 0)
				return (uint16_t)i;
		}
		if (empty && l->bytes + len <= LINKS_BYTES_MAX)
			break;
		if (tries == 1)
			return 0; /* too many at once: text without a link */
		collect_links(s);
	}
	l->used = true;
	l->text[empty] = xstrdup(text);
	l->bytes += len;
	return (uint16_t)empty;
}

void store_finish(struct screen *s)
{
	size_t i;

	free(s->clusters.v);
	for (i = 0; i < LINKS_MAX; i++)
		free(s->links.text[i]);
}
