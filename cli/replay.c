/* SPDX-License-Identifier: ISC */
/*
 * replay: what an agent's terminal showed, in this one, as time went by.
 *
 * Theory of operation. A child (player.h) gives pieces with the time each came; a piece is shown when the
 * clock of the recording has come so far. That clock runs `speed` times as fast as ours, stands while
 * paused, and a pause longer than `idle` is passed over. A jump, and another size of this terminal, start the
 * child anew at that moment: it begins with a painting of what showed then. The child filters: nothing reaches
 * this terminal that a view would not have been given. The terminal is as it was before on every way out.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cast.h"
#include "cli/cli.h"
#include "cli/player.h"
#include "cli/recording.h"
#include "cli/term.h"
#include "cli/when.h"

#define JUMP_MS 10000
#define LEAP_MS 60000
#define KEYS_MAX 64
#define STATUS_MS 1000
#define SPEED_LEAST 0.0625
#define SPEED_MOST 4096.0

enum outcome { REPLAY_GOING, REPLAY_ENDED, REPLAY_LEFT, REPLAY_FAILED };

struct replay {
	const char *dir, *id;
	struct when_range range;
	struct player player;
	struct player_piece piece; /* not shown yet, when has_piece */
	bool has_piece, ended, paused;
	double speed, idle;
	int64_t base, from; /* at our clock `from` that of the recording stood at base */
	int64_t told;       /* our clock when the title was written last */
	int64_t painted;    /* time of the piece that a start or a jump begins with, -1: it has not come */
	int signals;
	struct err why;
};

static void put(const void *data, size_t len)
{
	(void)!write_all(STDOUT_FILENO, data, len);
}

static int64_t position(const struct replay *r)
{
	if (r->paused)
		return r->base;
	return r->base + (int64_t)((double)(clock_mono_ms() - r->from) * r->speed);
}

static void set_position(struct replay *r, int64_t ms)
{
	r->base = ms;
	r->from = clock_mono_ms();
}

/* The terminal's title says where we are: there is no row to spare. */
static void say(struct replay *r)
{
	int64_t at = position(r) - r->range.first_ms, all = r->range.last_ms - r->range.first_ms;
	char text[160];
	int n;

	at = at < 0 ? 0 : at > all ? all : at;
	n = snprintf(text, sizeof(text), "\033]2;%s%.6s %lld:%02lld / %lld:%02lld x%g\a", r->paused ? "[paused] " : "", r->id,
		(long long)at / 60000, (long long)at / 1000 % 60, (long long)all / 60000, (long long)all / 1000 % 60,
		r->speed);
	put(text, (size_t)n);
	r->told = clock_mono_ms();
}

static int start(struct replay *r, int64_t offset)
{
	int rows = 24, cols = 80;

	term_size(&rows, &cols);
	r->has_piece = r->ended = false;
	r->painted = -1;
	return player_start(&r->player, r->dir, offset, r->range.until, rows, cols, &r->why);
}

/* Shows what was there at a time of the recording, and goes on from it. */
static enum outcome jump(struct replay *r, int64_t ms)
{
	int64_t offset;

	ms = ms < r->range.first_ms ? r->range.first_ms : ms > r->range.last_ms ? r->range.last_ms : ms;
	offset = when_offset(r->dir, ms, &r->why);
	if (offset < 0)
		return REPLAY_FAILED;
	offset = offset < r->range.since ? r->range.since : offset;
	set_position(r, ms);
	put("\033[0m\033[2J", 8);
	return start(r, offset) < 0 ? REPLAY_FAILED : REPLAY_GOING;
}

static void set_speed(struct replay *r, double factor)
{
	double speed = r->speed * factor;

	set_position(r, position(r));
	if (speed >= SPEED_LEAST && speed <= SPEED_MOST)
		r->speed = speed;
}

static void show_piece(struct replay *r)
{
	if (r->piece.kind == PIECE_DATA)
		put(r->piece.data, r->piece.len);
	r->has_piece = false;
}

static enum outcome on_key(struct replay *r, char key)
{
	switch (key) {
	case 'q':
	case 3: /* C-c */
	case 4:
		return REPLAY_LEFT;
	case ' ':
		set_position(r, position(r));
		r->paused = !r->paused;
		break;
	case '+':
	case '=':
		set_speed(r, 2);
		break;
	case '-':
	case '_':
		set_speed(r, 0.5);
		break;
	case '.':
		if (!r->paused || !r->has_piece)
			break;
		set_position(r, r->piece.ms);
		show_piece(r);
		break;
	case 'C':
		return jump(r, position(r) + JUMP_MS);
	case 'D':
		return jump(r, position(r) - JUMP_MS);
	case 'A':
		return jump(r, position(r) + LEAP_MS);
	case 'B':
		return jump(r, position(r) - LEAP_MS);
	default:
		if (key < '0' || key > '9')
			return REPLAY_GOING;
		return jump(r, r->range.first_ms + (r->range.last_ms - r->range.first_ms) / 10 * (key - '0'));
	}
	return REPLAY_GOING;
}

/* Arrows come as ESC [ A or ESC O A, whole in one read. */
static enum outcome on_keys(struct replay *r)
{
	char keys[KEYS_MAX];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));
	enum outcome out = REPLAY_GOING;

	if (n <= 0)
		return REPLAY_LEFT;
	for (ssize_t i = 0; i < n && out == REPLAY_GOING; i++) {
		if (keys[i] == 0x1b && i + 2 < n && (keys[i + 1] == '[' || keys[i + 1] == 'O')) {
			i += 2;
			if (keys[i] >= 'A' && keys[i] <= 'D')
				out = on_key(r, keys[i]);
			while (i < n && (keys[i] < 0x40 || keys[i] > 0x7e))
				i++;
		} else if (keys[i] < 'A' || keys[i] > 'D') {
			out = on_key(r, keys[i]);
		}
	}
	if (out == REPLAY_GOING)
		say(r);
	return out;
}

static enum outcome on_signals(struct replay *r)
{
	int signo;

	while ((signo = term_signal(r->signals)) != 0) {
		if (signo == SIGWINCH)
			return jump(r, position(r));
		if (signo != SIGCONT)
			return REPLAY_LEFT;
	}
	return REPLAY_GOING;
}

/* Takes the next piece, or learns that there is none. */
static enum outcome fetch(struct replay *r)
{
	int got;

	while (!r->has_piece && !r->ended) {
		got = player_next(&r->player, &r->piece, &r->why);
		if (got < 0)
			return REPLAY_FAILED;
		if (got == 0)
			return REPLAY_GOING;
		if (r->piece.kind == PIECE_END)
			r->ended = true;
		else if (r->piece.kind == PIECE_DATA)
			r->has_piece = true;
	}
	if (r->has_piece && r->painted < 0)
		r->painted = r->piece.ms;
	return REPLAY_GOING;
}

/* Shows what is due; how long until the next is, -1: it must be read first, or nothing ever is. */
static int show_due(struct replay *r, enum outcome *out)
{
	*out = fetch(r);
	while (*out == REPLAY_GOING && r->has_piece) {
		int64_t wait = r->piece.ms - position(r);
		double ms = (double)wait / r->speed + 1;

		/* What showed where we jumped to is shown at once, however long nothing came before. */
		if (wait > 0 && r->piece.ms > r->painted) {
			if (r->paused)
				return -1;
			if (r->idle < 0 || wait <= (int64_t)(r->idle * 1000))
				return ms > STATUS_MS ? STATUS_MS : (int)ms;
			set_position(r, r->piece.ms - (int64_t)(r->idle * 1000));
			continue;
		}
		show_piece(r);
		*out = fetch(r);
	}
	if (*out == REPLAY_GOING && r->ended && !r->paused)
		*out = REPLAY_ENDED;
	return r->paused ? -1 : STATUS_MS;
}

static enum outcome turn(struct replay *r)
{
	enum outcome out;
	int wait = show_due(r, &out);
	struct pollfd p[] = {
		{.fd = STDIN_FILENO, .events = POLLIN},
		{.fd = r->signals, .events = POLLIN},
		{.fd = r->has_piece || r->ended ? -1 : r->player.fd, .events = POLLIN},
	};

	if (out != REPLAY_GOING)
		return out;
	if (clock_mono_ms() - r->told >= STATUS_MS && !r->paused)
		say(r);
	if (poll(p, ARRAY_LEN(p), wait) < 0)
		return REPLAY_GOING; /* interrupted */
	if (p[2].revents && player_read(&r->player, &r->why) < 0)
		return REPLAY_FAILED;
	if (p[1].revents)
		out = on_signals(r);
	if (out == REPLAY_GOING && p[0].revents)
		out = on_keys(r);
	return out;
}

static int play(struct replay *r, struct err *e)
{
	enum outcome out = REPLAY_GOING;

	r->signals = term_signal_fd(e);
	if (r->signals < 0)
		return -1;
	if (term_raw(true, e) < 0) {
		close(r->signals);
		return -1;
	}
	player_init(&r->player);
	set_position(r, r->range.since_ms);
	put("\033[?1049h\033[H\033[2J", 15);
	say(r);
	if (start(r, r->range.since) < 0)
		out = REPLAY_FAILED;
	while (out == REPLAY_GOING)
		out = turn(r);
	player_stop(&r->player);
	buf_finish(&r->player.in);
	if (out == REPLAY_ENDED) /* its last screen stays, as an agent's does */
		put("\033[0m\r\n", 6);
	put("\033]2;\a", 5);
	term_restore();
	close(r->signals);
	if (out != REPLAY_FAILED)
		return 0;
	*e = r->why;
	return -1;
}

static int export_cast(struct cli *c, const struct source *where, const struct when_range *range, double idle, struct err *e)
{
	const char *path = args_string(&c->args, "export");
	const json_t *version = json_object_get(c->args.local, "cast_version");
	cleanup_free char *title = xasprintf("tmux-claude %s", where->id);
	cleanup_free char *unfinished = NULL;
	struct cast_spec spec = {.dir = where->dir, .title = title, .since = range->since, .until = range->until, .idle = idle,
		.version = version ? (int)json_integer_value(version) : 2};
	bool to_stdout = strcmp(path, "-") == 0;
	int gaps = 0;

	unfinished = xasprintf("%s.part", path);
	FILE *out = to_stdout ? c->w.out : fopen(unfinished, "we");
	if (!out)
		return err_set_errno(e, ERR_IO, errno, "cannot write %s", unfinished);
	int r = cast_write(&spec, out, &gaps, e);
	if (!to_stdout) {
		bool failed = ferror(out) != 0;
		failed |= fclose(out) != 0;
		if (r == 0 && (failed || rename(unfinished, path) < 0))
			r = err_set_errno(e, ERR_IO, errno, "cannot write %s", path);
		if (r != 0)
			unlink(unfinished);
	}
	if (r == 0 && gaps)
		cli_note(c, "%d gaps: bytes of the recording are missing there.", gaps);
	return r;
}

static int replay(struct cli *c, struct err *e)
{
	const json_t *speed = json_object_get(c->args.local, "speed"), *idle = json_object_get(c->args.local, "idle");
	struct replay r = {.speed = speed ? json_number_value(speed) : 1, .idle = idle ? json_number_value(idle) : -1};
	struct source where = {0};
	int x = -1;

	if (source_find(c, jstr(c->args.params, "id"), &where, e) < 0)
		return -1;
	r.dir = where.dir;
	r.id = where.id;
	if (when_read(where.dir, args_string(&c->args, "since"), args_string(&c->args, "until"), &r.range, e) == 0) {
		if (args_string(&c->args, "export"))
			x = export_cast(c, &where, &r.range, r.idle, e);
		else
			x = play(&r, e);
	}
	source_finish(&where);
	return x;
}

int verb_replay(struct cli *c)
{
	const json_t *speed = json_object_get(c->args.local, "speed"), *version = json_object_get(c->args.local, "cast_version");
	bool exported = args_string(&c->args, "export");
	struct err e = {0};

	if (speed && (json_number_value(speed) < SPEED_LEAST || json_number_value(speed) > SPEED_MOST))
		err_set(&e, ERR_PARAMS, "--speed is from %g to %g", SPEED_LEAST, SPEED_MOST);
	else if (version && json_integer_value(version) != 2 && json_integer_value(version) != 3)
		err_set(&e, ERR_PARAMS, "--cast-version is 2 or 3");
	if (e.code)
		return cli_fail_usage(c, &e);
	if (!exported && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		err_set(&e, ERR_PARAMS, "a replay needs a terminal");
		err_hint(&e, "--export FILE writes an asciicast, `read --raw` the bytes");
		return cli_fail(c, &e);
	}
	if (exported)
		cli_catch_signals();
	int r = replay(c, &e);
	if (r < 0)
		return cli_fail(c, &e);
	if (r == 0 && c->g.json && !(exported && strcmp(args_string(&c->args, "export"), "-") == 0))
		writer_json_line(&c->w, json_object());
	return r > 0 ? 128 + cli_stop : EXIT_DONE;
}
