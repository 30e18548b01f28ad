/* SPDX-License-Identifier: ISC */
/* Instances as a tree: without recursion, in time linear in their number, and whatever the rows say. */
#include "cli/tree.h"

#include <string.h>

#include "base/buf.h"
#include "base/idmap.h"
#include "base/util.h"
#include "cli/cli.h"

#define ARM 3        /* columns of one level */
#define BRANCH_MAX 65536

struct node {
	json_t *in;
	struct node *up, *first, *last_child, *next;
	size_t row;
	bool done;
};

static struct node *nodes_of(const json_t *list, struct idmap *by_id)
{
	struct node *nodes = xcalloc(json_array_size(list) + 1, sizeof(*nodes));
	json_t *in;
	size_t i;

	json_array_foreach(list, i, in) {
		nodes[i].in = in;
		if (!idmap_get(by_id, jstr(in, "id")))
			idmap_put(by_id, jstr(in, "id"), &nodes[i]);
	}
	json_array_foreach(list, i, in) {
		struct node *n = &nodes[i], *up = idmap_get(by_id, jstr(in, "parent"));
		if (!up || up == n)
			continue;
		n->up = up;
		*(up->last_child ? &up->last_child->next : &up->first) = n;
		up->last_child = n;
	}
	return nodes;
}

struct walk {
	struct tree_row *rows;
	size_t n;
};

/* The rows of top and all below it. Who was met before (a ring) is passed over. */
static void walk_from(struct walk *w, struct node *top)
{
	struct node *at = top;

	for (;;) {
		if (!at->done) {
			at->done = true;
			at->row = w->n;
			w->rows[w->n++] = (struct tree_row){.in = at->in, .up = at == top ? TREE_TOP : at->up->row,
				.depth = at == top ? 0 : w->rows[at->up->row].depth + 1, .last = !at->next};
			if (at->first) {
				at = at->first;
				continue;
			}
		}
		while (at != top && !at->next)
			at = at->up;
		if (at == top)
			return;
		at = at->next;
	}
}

struct tree_row *tree_rows(const json_t *list, size_t *ret_n)
{
	size_t n = json_array_size(list);
	struct walk w = {.rows = xcalloc(n + 1, sizeof(*w.rows))};
	struct idmap by_id = {0};
	struct node *nodes = nodes_of(list, &by_id);

	for (size_t i = 0; i < n; i++)
		if (!nodes[i].up)
			walk_from(&w, &nodes[i]);
	for (size_t i = 0; w.n < n && i < n; i++)
		if (!nodes[i].done) /* on a ring, or below one */
			walk_from(&w, &nodes[i]);
	idmap_finish(&by_id);
	free(nodes);
	*ret_n = w.n;
	return w.rows;
}

char *tree_branch(const struct tree_row *rows, size_t i, bool utf8, size_t width)
{
	static const char *const arms[2][4] = {{"|- ", "`- ", "|  ", "~"},
		{"\xe2\x94\x9c\xe2\x94\x80 ", "\xe2\x94\x94\xe2\x94\x80 ", "\xe2\x94\x82  ", "\xe2\x80\xa6"}};
	const char *const *arm = arms[utf8];
	size_t depth = rows[i].depth, shown = depth, fits = width > ARM ? (width - 1) / ARM : 1;
	cleanup_free const char **level = NULL;
	struct buf text;
	char *out;

	if (depth * ARM > width)
		shown = fits < depth ? fits : depth;
	level = xcalloc(shown + 1, sizeof(*level));
	for (size_t at = i, d = shown; d > 0; at = rows[at].up, d--)
		level[d - 1] = d == shown ? arm[rows[at].last] : rows[at].last ? "   " : arm[2];
	buf_init(&text, BRANCH_MAX);
	if (shown < depth)
		buf_printf(&text, "%s", arm[3]);
	for (size_t d = 0; d < shown; d++)
		buf_printf(&text, "%s", level[d]);
	out = xstrndup(text.len ? (const char *)buf_data(&text) : "", text.len);
	buf_finish(&text);
	return out;
}

json_t *tree_json(const struct tree_row *rows, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *o = json_copy(rows[i].in);
		json_object_set_new(o, "depth", json_integer((json_int_t)rows[i].depth));
		json_array_append_new(list, o);
	}
	return list;
}
