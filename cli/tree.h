/* SPDX-License-Identifier: ISC */
/* Instances as a tree: children below their parents, with the lines that show it. */
#ifndef CLI_TREE_H
#define CLI_TREE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TREE_TOP SIZE_MAX

struct tree_row {
	json_t *in;   /* borrowed */
	size_t up;    /* the row of its parent, or TREE_TOP */
	size_t depth; /* 0 at the top */
	bool last;    /* of its parent's children */
};

/* All of the list, each once, depth first, brothers in the list's order. Who has no parent among them (it ended, was
 * left out, is removed) stands at the top; so does one of a ring, which only a damaged row could make. Owned: free. */
struct tree_row *tree_rows(const json_t *list, size_t *ret_n);
/* The lines before the row i, at most width columns of them, the nearest; owned. */
char *tree_branch(const struct tree_row *rows, size_t i, bool utf8, size_t width);
/* The rows as an array of copies with `depth`; new reference. */
json_t *tree_json(const struct tree_row *rows, size_t n);

#endif
