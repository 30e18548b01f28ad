/* SPDX-License-Identifier: ISC */
/* What an ended terminal showed, from its recording alone. */
#include "place/shim/render.h"

#include <fcntl.h>
#include <jansson.h>

#include "base/log.h"
#include "base/util.h"
#include "place/shim/history.h"
#include "place/shim/player.h"

#define TEXT_MAX (900 * 1024) /* a JSON line of the daemon's holds it */
#define PIECE 65536

static int fail(const struct err *e)
{
	log_error("render", NULL, "%s%s%s", e->message, e->hint[0] ? "; " : "", e->hint);
	return 1;
}

static void on_damage(void *arg, const char *text)
{
	(void)arg;
	log_warn("render", NULL, "%s", text);
}

static int open_recording(const char *dir, struct tape **ret, struct err *e)
{
	if (tape_open(AT_FDCWD, dir, ret, e) < 0)
		return -1;
	tape_on_damage(*ret, on_damage, NULL);
	return 0;
}

static int print_screen(struct tape *t, const struct screen *s, int64_t lines, struct err *e)
{
	cleanup_free char *out = NULL;
	struct buf text;
	int rows, cols, row, col;
	json_t *o;

	buf_init(&text, TEXT_MAX);
	if (lines > HISTORY_LINES_MAX)
		lines = HISTORY_LINES_MAX;
	if ((lines > 0 ? history_text(t, s, (int)lines, &text, e) : screen_text(s, &text)) < 0 && !text.len) {
		buf_finish(&text);
		return e->code ? -1 : err_set(e, ERR_LIMIT, "the text is larger than %d bytes", TEXT_MAX);
	}
	screen_size(s, &rows, &cols);
	screen_cursor(s, &row, &col);
	o = json_pack("{s:s%, s:i, s:i, s:[i, i], s:s, s:b, s:I, s:I}", "text",
		text.len ? (const char *)buf_data(&text) : "", text.len, "rows", rows, "cols", cols, "cursor", row,
		col, "title", screen_modes(s)->title, "alternate", screen_modes(s)->alternate, "offset",
		(json_int_t)tape_end(t), "first", (json_int_t)tape_first(t));
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
	struct tape *t = NULL;
	struct player *p;
	struct err e = {0};
	int rc;

	if (open_recording(dir, &t, &e) < 0)
		return fail(&e);
	p = player_create(t, (int)(rows > SCREEN_ROWS_MAX ? SCREEN_ROWS_MAX : rows),
		(int)(cols > SCREEN_COLS_MAX ? SCREEN_COLS_MAX : cols), NULL, NULL);
	rc = player_to(p, tape_end(t), &e);
	if (rc == 0)
		rc = print_screen(t, player_screen(p), lines, &e);
	player_destroy(p);
	tape_close(t);
	return rc < 0 ? fail(&e) : 0;
}

int render_bytes(const char *dir, int64_t since)
{
	static unsigned char piece[PIECE];
	struct tape *t = NULL;
	struct err e = {0};
	uint64_t at;
	ssize_t n;

	if (open_recording(dir, &t, &e) < 0)
		return fail(&e);
	at = since < 0 ? tape_first(t) : (uint64_t)since;
	while ((n = tape_read(t, at, piece, sizeof(piece), &at, &e)) > 0) {
		if (write_all(STDOUT_FILENO, piece, (size_t)n) < 0)
			break;
		at += (uint64_t)n;
	}
	tape_close(t);
	return n < 0 && e.code ? fail(&e) : 0;
}
