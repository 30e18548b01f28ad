/* SPDX-License-Identifier: ISC */
/*
 * Text on its way to a terminal: nothing that an agent named, titled or printed may move the cursor,
 * change colours or reorder what stands beside it.
 */
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Control characters, bidirectional overrides and bytes that are not UTF-8 as \n, \t, \xNN, \u{N};
 * with lines, \n and \t stay. NULL gives "". Owned. */
char *text_escape(const char *s, bool lines);
/* Columns that an escaped string takes. */
size_t text_width(const char *s);
/* At most width columns of it, with an ellipsis when something was cut. Owned. */
char *text_cut(const char *s, size_t width);
/* The last whole characters of it, with an ellipsis in front: for paths. Owned. */
char *text_cut_front(const char *s, size_t width);
/* "3s", "4m", "2h05m", "6d": a time span in five columns at most. */
#define SPAN_MAX 16
char *text_span(int64_t ms, char out[SPAN_MAX]);
/* Milliseconds since 1970 of "2026-01-31T23:59:59.123Z", or -1. */
int64_t text_parse_time(const char *iso);
/* For how long something is so that became it then; "" where that is no time. */
const char *text_since(const char *iso, int64_t now_ms, char out[SPAN_MAX]);
/* Must be called once, first thing: widths are those of UTF-8. */
void text_init(void);
/* Whether the user's locale shows UTF-8. */
bool text_utf8(void);

#endif
