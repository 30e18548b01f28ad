/* SPDX-License-Identifier: ISC */
/*
 * Where verbs put their results: text for people, JSON for programs. A verb hands over values; what
 * they look like is decided here. Everything that goes out as text is escaped here too.
 */
#ifndef CLI_WRITER_H
#define CLI_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/err.h"

enum color { C_NONE, C_DIM, C_BOLD, C_RED, C_GREEN, C_YELLOW, C_BLUE, C_MAGENTA, C_CYAN, C_COUNT };

struct writer {
	FILE *out;
	bool json;    /* the result alone, as JSON */
	bool color;   /* out is a terminal, and NO_COLOR is not set */
	int width;    /* columns of the terminal; 0: not one, nothing is cut */
	bool color_err;
};

void writer_init(struct writer *w, FILE *out, bool json);
/* One JSON value and a newline: indented on a terminal, else on one line. */
void writer_json(const struct writer *w, const json_t *value);
/* One JSON value on one line, flushed: streams. */
void writer_json_line(const struct writer *w, const json_t *value);
/* Escaped text in a colour. */
void writer_text(const struct writer *w, enum color c, const char *s);
void writer_printf(const struct writer *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* "name:   value", escaped. */
void writer_field(const struct writer *w, const char *name, enum color c, const char *value);
/* The same in no colour, where there is a value. */
void writer_field_if(const struct writer *w, const char *name, const char *value);
/* Starts and ends a colour around what the caller prints. */
const char *color_on(bool colors, enum color c);
const char *color_off(bool colors, enum color c);
/* Flushes; 0, or -1 when the output could not be written (EPIPE is no error: the reader had enough). */
int writer_finish(struct writer *w, struct err *e);
/* True when the reader of a stream is gone. */
bool writer_broken(const struct writer *w);

/* A table of cells, laid out when it is written. */
struct table;
enum { T_RIGHT = 1, T_FLEX = 2, T_PATH = 4, T_HIDE_EMPTY = 8 }; /* right-aligned; may be cut; from the front */

struct table_title {
	const char *title;
	unsigned flags;
};

struct table *table_create(void);
void table_destroy(struct table *t);
void table_column(struct table *t, const char *title, unsigned flags);
/* A table with these columns. */
struct table *table_of(const struct table_title *titles, size_t n);
void table_row(struct table *t);
/* The next cell of the row; NULL is empty. */
void table_cell(struct table *t, enum color c, const char *s);
void table_cellf(struct table *t, enum color c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_write(const struct table *t, const struct writer *w);

#endif
