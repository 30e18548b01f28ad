/* SPDX-License-Identifier: ISC */
/*
 * An instance's recording, and what a new shim needs to stand where the old one stood.
 *
 * State file (term.json): where the running program's bytes begin, the size, and every SNAPSHOT_EVERY
 * bytes a painting of the screen with its offset: a new shim paints that, feeds the recording from there,
 * and has every mode, however long ago it was set.
 */
#include "base/log.h"
#include "base/util.h"
#include "place/shim/inst_int.h"
#include "place/shim/paint.h"

#define STATE_FILE "term.json"
#define STATE_MAX (16 * 1024 * 1024)
#define PAINT_MAX (8 * 1024 * 1024)
#define RESTORE_TAIL (1024 * 1024) /* fed when there is no snapshot */
#define PIECE 16384

void inst_record_bytes(struct inst *i, const void *data, size_t len)
{
	struct err e = {0};
	uint64_t want = i->offset;

	if (record_end(i->record) < want)
		record_skip(i->record, want, &e);
	if (record_append(i->record, data, len, &e) == 0) {
		if (i->record_failed)
			log_info("record", i->id, "recording goes on at offset %llu", (unsigned long long)want);
		i->record_failed = false;
	} else if (!i->record_failed) {
		/* The agent must not stop for it: these bytes are a hole in the recording. */
		log_error("record", i->id, "%s; output is not recorded until there is room", e.message);
		i->record_failed = true;
	}
	i->offset += len;
}

/* Offsets go on even when nothing of what had them is kept any more. */
void inst_record_floor(struct inst *i)
{
	cleanup_free char *text = NULL;
	struct err e = {0};
	int64_t end = -1;
	json_t *o;
	size_t len;

	if (record_get(i->record, STATE_FILE, STATE_MAX, &text, &len, &e) < 0)
		return;
	o = json_loadb(text, len, 0, NULL);
	end = json_get_int(o, "offset", -1);
	json_decref(o);
	if (end > 0 && (uint64_t)end > record_end(i->record) && record_first(i->record) == record_end(i->record))
		record_skip(i->record, (uint64_t)end, &e);
}

/* For a segment that begins: the screen, then what of the last bytes is no whole sequence yet. */
bool inst_record_key(void *arg, struct buf *out, int *rows, int *cols)
{
	const struct inst *i = arg;
	size_t pending = i->screen ? screen_pending(i->screen) : 0;
	uint64_t at = record_end(i->record) - pending;

	if (!i->screen)
		return false;
	screen_size(i->screen, rows, cols);
	if (i->offset < pending || i->offset != record_end(i->record) || paint_snapshot(i->screen, out) < 0)
		return false;
	while (pending > 0) {
		struct err e = {0};
		unsigned char *to = buf_reserve(out, pending);
		ssize_t n = to ? record_read(i->record, at, to, pending, &at, &e) : -1;

		if (n <= 0)
			return false;
		buf_added(out, (size_t)n);
		at += (uint64_t)n;
		pending -= (size_t)n;
	}
	return true;
}

void inst_save(struct inst *i)
{
	struct err e = {0};
	struct buf paint;
	json_t *o;
	char *b64 = NULL, *text;
	int rows, cols;

	buf_init(&paint, PAINT_MAX);
	if (paint_snapshot(i->screen, &paint) == 0)
		b64 = base64_encode(buf_data(&paint), paint.len);
	screen_size(i->screen, &rows, &cols);
	o = json_pack("{s:i, s:I, s:i, s:i, s:I, s:s?}", "version", 1, "base", (json_int_t)i->base, "rows",
		rows, "cols", cols, "offset", (json_int_t)(i->offset - screen_pending(i->screen)), "paint",
		b64);
	text = json_dumps(o, JSON_COMPACT);
	if (record_put(i->record, STATE_FILE, text, strlen(text), &e) < 0)
		log_warn("record", i->id, "%s", e.message);
	i->snapshot_at = i->offset;
	free(text);
	json_decref(o);
	free(b64);
	buf_finish(&paint);
}

static void feed_recorded(struct inst *i, uint64_t from)
{
	char *buf = xcalloc(1, PIECE);
	struct err e = {0};
	ssize_t n;

	while ((n = record_read(i->record, from, buf, PIECE, &from, &e)) > 0) {
		screen_feed(i->screen, buf, (size_t)n, NULL);
		from += (uint64_t)n;
	}
	if (n < 0)
		log_warn("record", i->id, "the screen is not whole: %s", e.message);
	free(buf);
}

/* Makes the screen and brings it to where it stood at the recording's end. */
void inst_restore(struct inst *i, uint64_t guest_next)
{
	cleanup_free char *text = NULL;
	cleanup_free unsigned char *paint = NULL;
	uint64_t first = record_first(i->record), end = record_end(i->record), from;
	json_t *o = NULL;
	struct err e = {0};
	size_t len;

	if (record_get(i->record, STATE_FILE, STATE_MAX, &text, &len, &e) == 0)
		o = json_loadb(text, len, 0, NULL);
	i->base = (uint64_t)json_get_int(o, "base", guest_next >= end ? 0 : (int64_t)end);
	i->screen = screen_create((int)json_get_int(o, "rows", 24), (int)json_get_int(o, "cols", 80), &inst_screen_ops, i);
	i->restoring = true;
	from = (uint64_t)json_get_int(o, "offset", -1);
	paint = json_get_text(o, "paint", NULL) ? base64_decode(json_get_text(o, "paint", ""), &len) : NULL;
	if (paint && from <= end && from >= first) {
		screen_feed(i->screen, paint, len, NULL);
	} else {
		from = i->base > first ? i->base : first;
		from = end > from && end - from > RESTORE_TAIL ? end - RESTORE_TAIL : from;
	}
	if (from < end)
		feed_recorded(i, from);
	i->restoring = false;
	json_decref(o);
}
