/* SPDX-License-Identifier: ISC */
/*
 * The line of those that wait for their start. Pure: it knows entries, numbers and parents, nothing else.
 *
 * What has no parent (the operator's own) goes first, in its order. The children of instances stand in a lane
 * for each parent, in their order; the lanes take turns, so that one that spawns a hundred does not keep
 * another's single one waiting. Joining, leaving and going ahead cost the same however long the line is.
 */
#ifndef DAEMON_CORE_LINE_H
#define DAEMON_CORE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idmap.h"

#define LINE_PARENT_MAX 8

struct line_lane;

/* Embedded in what waits; all zero: it does not. */
struct line_entry {
	struct line_entry *prev, *next; /* of its lane */
	struct line_lane *lane;         /* NULL: not in line */
	int64_t no;                     /* its place in its lane: lower ones go first */
	int64_t place;                  /* in the line from 1, as line_number found it */
};

struct line_lane {
	char parent[LINE_PARENT_MAX];
	struct line_lane *prev, *next; /* whose turn it is, and whose then */
	struct line_entry *first, *last;
	struct line_entry *cursor; /* of line_number */
	size_t count;
};

/* All zero is empty. */
struct line {
	struct line_lane own;             /* the operator's */
	struct line_lane *first, *last;   /* the others', in turn */
	struct idmap by_parent;
	size_t count;
	bool moved; /* since line_number */
};

void line_finish(struct line *l); /* the entries stay their owner's */
/* parent "": the operator's own. */
void line_add(struct line *l, struct line_entry *e, const char *parent, int64_t no);
void line_drop(struct line *l, struct line_entry *e); /* it waits no longer */
/* It goes ahead: out of the line, and its lane has had its turn. */
void line_take(struct line *l, struct line_entry *e);
/* Who is next; NULL when nobody waits. */
struct line_entry *line_head(const struct line *l);
/* Who would be next were nobody of e's lane there; e is the first of its lane. */
struct line_entry *line_behind(const struct line *l, const struct line_entry *e);
/* The place of a next child of parent, were it to join now. */
int64_t line_place_of_new(const struct line *l, const char *parent);
/* Gives each its place. Nothing is done when the line has not moved since. */
void line_number(struct line *l);
/* In the order of their places, after line_number: the first, and each one after another. */
void line_each(struct line *l, void (*fn)(void *arg, struct line_entry *e), void *arg);

#endif
