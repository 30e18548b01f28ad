/* SPDX-License-Identifier: ISC */
/* What an ended terminal showed, from its recording alone. */
#include "place/shim/render.h"

#include <fcntl.h>
#include <jansson.h>

#include "base/log.h"
#include "base/util.h"
#include "place/shim/history.h"

#define TEXT_MAX (900 * 1024) /* a JSON line of the daemon's holds it */
#define TAIL_MAX (HISTORY_TAIL + 65536 * 2)
#define PIECE 65536

static int fail(const struct err *e)
{
	log_error("render", NULL, "%s", e->message);
	return 1;
}

static int open_recording(const char *dir, struct record **ret, struct err *e)
{
	if (access(dir, F_OK) < 0) /* record_open would make it */
		return err_set(e, ERR_NOT_FOUND, "there is no recording at %s", dir);
	/* The bound only matters to who appends. */
	return record_open(AT_FDCWD, dir, UINT64_MAX / 2, ret, e);
}

static int print_screen(struct record *r, const struct screen *s, int64_t lines, struct err *e)
{
	cleanup_free char *out = NULL;
	struct buf text;
	int rows, cols, row, col;
	json_t *o;

	buf_init(&text, TEXT_MAX);
	if (lines > HISTORY_LINES_MAX)
		lines = HISTORY_LINES_MAX;
	if ((lines > 0 ? history_text(r, s, (int)lines, &text, e) : screen_text(s, &text)) < 0 && !text.len) {
		buf_finish(&text);
		return e->code ? -1 : err_set(e, ERR_LIMIT, "the text is larger than %d bytes", TEXT_MAX);
	}
	screen_size(s, &rows, &cols);
	screen_cursor(s, &row, &col);
	o = json_pack("{s:s%, s:i, s:i, s:[i, i], s:s, s:b, s:I, s:I}", "text",
		text.len ? (const char *)buf_data(&text) : "", text.len, "rows", rows, "cols", cols, "cursor", row,
		col, "title", screen_modes(s)->title, "alternate", screen_modes(s)->alternate, "offset",
		(json_int_t)record_end(r), "first", (json_int_t)record_first(r));
	buf_finish(&text);
	out = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	if (!out)
		return err_set(e, ERR_INTERNAL, "the screen's text is no JSON");
	puts(out);
	return 0;
}

int render_screen(const char *dir, int64_t lines, int64_t rows, int64_t cols)
{
	struct record *r = NULL;
	struct screen *s;
	struct buf tail;
	struct err e = {0};
	int rc;

	if (open_recording(dir, &r, &e) < 0)
		return fail(&e);
	s = screen_create((int)(rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : rows),
		(int)(cols > SCREEN_COLS_MAX ? SCREEN_COLS_MAX : cols), NULL, NULL);
	buf_init(&tail, TAIL_MAX);
	rc = history_tail(r, &tail, &e);
	if (rc == 0) {
		screen_feed(s, buf_data(&tail), tail.len, NULL);
		rc = print_screen(r, s, lines, &e);
	}
	buf_finish(&tail);
	screen_destroy(s);
	record_close(r);
	return rc < 0 ? fail(&e) : 0;
}

int render_bytes(const char *dir, int64_t since)
{
	static unsigned char piece[PIECE];
	struct record *r = NULL;
	struct err e = {0};
	uint64_t at;
	ssize_t n;

	if (open_recording(dir, &r, &e) < 0)
		return fail(&e);
	at = since < 0 ? record_first(r) : (uint64_t)since;
	while ((n = record_read(r, at, piece, sizeof(piece), &at, &e)) > 0) {
		if (write_all(STDOUT_FILENO, piece, (size_t)n) < 0)
			break;
		at += (uint64_t)n;
	}
	record_close(r);
	return n < 0 && e.code ? fail(&e) : 0;
}
