/* SPDX-License-Identifier: ISC */
/* What a recording showed, as time went by. */
#include "place/shim/play.h"

#include <fcntl.h>

#include "base/log.h"
#include "base/util.h"
#include "ipc/link/frame.h"
#include "ipc/rpc.h"
#include "place/shim/paint.h"
#include "place/shim/player.h"

#define PAINT_MAX (8u * 1024 * 1024)
#define UNTIMED_BYTES_PER_MS 8 /* a recording that does not know its times plays at this rate */

struct play {
	const struct play_spec *spec;
	struct tape *tape;
	struct player *player;
	struct paint_clip clip;
	bool clipping;
	struct buf live, out;
	int64_t ms;
	bool gone; /* nobody reads */
};

static void flush(struct play *p)
{
	if (p->out.len && write_all(STDOUT_FILENO, buf_data(&p->out), p->out.len) < 0)
		p->gone = true;
	buf_clear(&p->out);
}

static void put_data(struct play *p, const unsigned char *data, size_t len)
{
	while (len > 0 && !p->gone) {
		struct frame f = {.type = FRAME_DATA, .stream = FRAME_STREAM_MAIN, .offset = (uint64_t)p->ms, .payload = data,
			.len = len < FRAME_PAYLOAD_MAX ? len : FRAME_PAYLOAD_MAX};

		frame_append(&p->out, &f);
		flush(p);
		data += f.len;
		len -= f.len;
	}
}

static void put_json(struct play *p, bool end, json_t *msg)
{
	if (end)
		frame_append_fin(&p->out, FRAME_STREAM_MAIN, msg);
	else
		frame_append_ctl(&p->out, FRAME_STREAM_MAIN, msg);
	json_decref(msg);
	flush(p);
}

static void on_damage(void *arg, const char *text)
{
	put_json(arg, false, json_pack("{s:s}", "damage", text));
}

static void paint(struct play *p, bool anew)
{
	struct buf b;

	buf_init(&b, PAINT_MAX);
	if (anew && p->clipping)
		paint_clip_size(&p->clip, p->spec->rows, p->spec->cols);
	if (p->clipping)
		paint_clipped(player_screen(p->player), &p->clip, &b);
	else
		paint_full(player_screen(p->player), &b);
	put_data(p, buf_data(&b), b.len);
	buf_finish(&b);
}

/* The terminal has another size, or is seen for the first time. */
static void on_size(struct play *p)
{
	int rows, cols;

	screen_size(player_screen(p->player), &rows, &cols);
	p->clipping = p->spec->rows > 0 && (rows != p->spec->rows || cols != p->spec->cols);
	put_json(p, false, json_pack("{s:[i, i], s:I}", "size", rows, cols, "ms", (json_int_t)p->ms));
}

static void set_time(struct play *p, const struct walk_step *s)
{
	int64_t ms = s->ms >= 0 ? s->ms : (int64_t)(s->offset - tape_first(p->tape)) / UNTIMED_BYTES_PER_MS;

	if (ms > p->ms)
		p->ms = ms;
}

static void show_step(struct play *p, const struct walk_step *s, bool whole)
{
	set_time(p, s);
	if (s->kind == WALK_GAP || s->gap)
		put_json(p, false, json_pack("{s:I, s:I}", "gap", (json_int_t)s->offset, "ms", (json_int_t)p->ms));
	if (s->kind == WALK_SIZE || (s->kind == WALK_KEY && !whole))
		on_size(p);
	if (s->kind == WALK_DATA && whole && !p->clipping)
		put_data(p, buf_data(&p->live), p->live.len);
	else if (s->kind == WALK_DATA && (p->clipping || !whole))
		paint(p, !whole);
	else if (!whole && (s->kind == WALK_KEY || p->spec->rows > 0))
		paint(p, true); /* who takes every size as it comes needs no painting for one */
}

static int play(struct play *p, struct err *e)
{
	uint64_t until = p->spec->until >= 0 ? (uint64_t)p->spec->until : UINT64_MAX;
	uint64_t since = p->spec->since >= 0 ? (uint64_t)p->spec->since : tape_first(p->tape);
	struct walk_step s = {0};
	int64_t began;
	bool whole;
	int r = 0;

	if (tape_check(p->tape, since, e) < 0 || player_to(p->player, since, e) < 0)
		return -1;
	began = tape_time_of(p->tape, since);
	set_time(p, &(struct walk_step){.ms = began, .offset = since});
	on_size(p);
	paint(p, true);
	while (!p->gone && (r = player_next(p->player, &s, &p->live, &whole, e)) > 0 && s.offset < until)
		show_step(p, &s, whole);
	return p->gone || r >= 0 ? 0 : -1;
}

int play_frames(const struct play_spec *spec)
{
	struct play p = {.spec = spec};
	struct err e = {0};
	int r;

	buf_init(&p.live, 8 * WALK_PIECE);
	buf_init(&p.out, 2 * FRAME_MAX);
	r = tape_open(AT_FDCWD, spec->dir, &p.tape, &e);
	if (r == 0) {
		tape_on_damage(p.tape, on_damage, &p);
		p.player = player_create(p.tape, spec->rows ? spec->rows : 24, spec->rows ? spec->cols : 80, NULL, NULL);
		screen_catch_lines(player_screen(p.player), false);
		r = play(&p, &e);
	}
	put_json(&p, true, r < 0 ? json_pack("{s:o}", "error", err_to_json(&e)) : json_object());
	paint_clip_finish(&p.clip);
	player_destroy(p.player);
	tape_close(p.tape);
	buf_finish(&p.live);
	buf_finish(&p.out);
	return r < 0;
}
