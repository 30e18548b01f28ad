/* SPDX-License-Identifier: ISC */
/*
 * Searching what was seen in a terminal.
 *
 * Theory of operation. The recording goes through an emulator. After each of its moments the rows that
 * show are looked at, and every line that left at the top meanwhile. Of equal lines that match, so many are
 * new as show now, plus those that left, less those that showed before: so a line is told when it first
 * appears, and not again when it scrolls, leaves, or is painted where it stood. The two screens are
 * counted apart, as a program on the alternate one leaves the primary one as it is.
 */
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/play.h"
#include "place/shim/player.h"

#define TELL_MS 100
#define ROW_MAX (SCREEN_COLS_MAX * SCREEN_CELL_UTF8_MAX)
#define JOIN_ROOM (2 * ROW_MAX)
#define BUCKETS 4096 /* a power of two */

struct hit {
	struct hit *next, *alike; /* of the list; of the bucket */
	char *text;
	uint32_t hash;
	int before, now, left;
};

/* Lines in the order in which they were met: what left before what shows, from top to bottom. Found by
 * their text, as a step may bring tens of thousands. */
struct hits {
	struct hit *first, **end; /* end: NULL while there is none */
	struct hit *buckets[BUCKETS];
};

struct search {
	const char *text;
	regex_t regex;
	bool is_regex;
	struct player *player;
	struct hits hits[2]; /* of the primary and of the alternate screen */
	bool alternate;
	uint64_t seen; /* the screen's generation looked at last */
	struct buf row, leaving; /* lines, joined where text ran on */
};

static bool matches(const struct search *s, const char *line)
{
	return s->is_regex ? regexec(&s->regex, line, 0, NULL, 0) == 0 : strstr(line, s->text) != NULL;
}

static void hits_add(struct hits *l, struct hit *h)
{
	struct hit **bucket = &l->buckets[h->hash % BUCKETS];

	h->next = NULL;
	h->alike = *bucket;
	*bucket = h;
	*(l->end ? l->end : &l->first) = h;
	l->end = &h->next;
}

static struct hit *hit_get(struct hits *l, const char *text)
{
	uint32_t hash = 2166136261u; /* FNV-1a */
	struct hit *h;

	for (const char *p = text; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619u;
	for (h = l->buckets[hash % BUCKETS]; h; h = h->alike)
		if (h->hash == hash && strcmp(h->text, text) == 0)
			return h;
	h = xcalloc(1, sizeof(*h));
	h->text = xstrdup(text);
	h->hash = hash;
	hits_add(l, h);
	return h;
}

static void add_blanks(struct buf *b, int n)
{
	while (n-- > 0)
		buf_append(b, " ", 1);
}

static void on_line(void *arg, const char *text, size_t len)
{
	struct search *s = arg;
	int blanks;

	buf_append(&s->leaving, text, len);
	if (screen_row_goes_on(player_screen(s->player), false, -1, &blanks) && buf_room(&s->leaving) > JOIN_ROOM) {
		add_blanks(&s->leaving, blanks);
		return;
	}
	buf_append(&s->leaving, "", 1);
	if (matches(s, (const char *)buf_data(&s->leaving)))
		hit_get(&s->hits[0], (const char *)buf_data(&s->leaving))->left++;
	buf_clear(&s->leaving);
}

static void print(const struct walk_step *at, const char *line)
{
	json_t *o = json_pack("{s:I, s:o, s:s}", "offset", (json_int_t)at->offset, "ms",
		at->ms < 0 ? json_null() : json_integer(at->ms), "line", line);

	if (o)
		json_dumpf(o, stdout, JSON_COMPACT);
	json_decref(o);
	putchar('\n');
}

/* The list is taken off and empty. */
static struct hit *hits_take(struct hits *l)
{
	struct hit *h = l->first;

	if (h)
		memset(l, 0, sizeof(*l));
	return h;
}

/* Tells what is new among these lines; those that show no more are forgotten. */
static void settle(struct hits *l, const struct walk_step *at)
{
	struct hit *h = hits_take(l), *next;

	for (; h; h = next) {
		next = h->next;
		for (int fresh = h->now + h->left - h->before; fresh > 0; fresh--)
			print(at, h->text);
		h->before = h->now;
		h->now = h->left = 0;
		if (h->before > 0) {
			hits_add(l, h);
			continue;
		}
		free(h->text);
		free(h);
	}
}

static void forget(struct hits *l)
{
	struct hit *h = hits_take(l), *next;

	for (; h; h = next) {
		next = h->next;
		free(h->text);
		free(h);
	}
}

static void look(struct search *s, const struct walk_step *at)
{
	const struct screen *screen = player_screen(s->player);
	bool alternate = screen_modes(screen)->alternate;
	int rows, cols;

	if (screen_generation(screen) == s->seen && at->kind == WALK_DATA)
		return;
	s->seen = screen_generation(screen);
	if (alternate && !s->alternate)
		forget(&s->hits[1]);
	s->alternate = alternate;
	screen_size(screen, &rows, &cols);
	buf_clear(&s->row);
	if (!alternate && s->leaving.len) /* the rest of a line that has begun to leave */
		buf_append(&s->row, buf_data(&s->leaving), s->leaving.len);
	for (int row = 0; row < rows; row++) {
		int blanks;

		screen_row_text(screen, row, &s->row);
		if (screen_row_goes_on(screen, alternate, row, &blanks) && buf_room(&s->row) > JOIN_ROOM) {
			add_blanks(&s->row, blanks);
			continue;
		}
		buf_append(&s->row, "", 1);
		if (s->row.len > 1 && matches(s, (const char *)buf_data(&s->row)))
			hit_get(&s->hits[alternate], (const char *)buf_data(&s->row))->now++;
		buf_clear(&s->row);
	}
	if (alternate) /* what shows of the primary one stays as it was */
		for (struct hit *h = s->hits[0].first; h; h = h->next)
			h->now = h->before > h->left ? h->before - h->left : 0;
	settle(&s->hits[0], at);
	if (alternate)
		settle(&s->hits[1], at);
}

static int run(struct search *s, struct tape *t, const struct play_spec *spec, struct err *e)
{
	uint64_t since = spec->since >= 0 ? (uint64_t)spec->since : tape_first(t);
	uint64_t until = spec->until >= 0 && (uint64_t)spec->until < tape_end(t) ? (uint64_t)spec->until : tape_end(t);
	int64_t told = clock_mono_ms();
	struct walk_step step;
	bool whole;
	int r;

	if (tape_check(t, since, e) < 0 || player_to(s->player, since, e) < 0)
		return -1;
	while ((r = player_next(s->player, &step, NULL, &whole, e)) > 0 && step.offset < until) {
		look(s, &step);
		if (clock_mono_ms() - told < TELL_MS)
			continue;
		told = clock_mono_ms();
		printf("{\"at\":%llu,\"first\":%llu,\"end\":%llu}\n", (unsigned long long)step.offset, (unsigned long long)since,
			(unsigned long long)until);
		if (fflush(stdout) != 0)
			break;
	}
	return r < 0 ? -1 : 0;
}

static void on_damage(void *arg, const char *text)
{
	json_t *o = json_pack("{s:s}", "damage", text);

	(void)arg;
	json_dumpf(o, stdout, JSON_COMPACT);
	json_decref(o);
	putchar('\n');
}

int play_search(const struct play_spec *spec, const char *pattern, bool regex, bool any_case)
{
	const struct screen_ops ops = {.line = on_line};
	struct search s = {.text = pattern, .is_regex = regex};
	struct tape *t = NULL;
	struct err e = {0};
	int r;

	if (regex && regcomp(&s.regex, pattern, REG_EXTENDED | REG_NOSUB | (any_case ? REG_ICASE : 0)) != 0) {
		log_error("search", NULL, "the expression cannot be understood");
		return 2;
	}
	buf_init(&s.row, 4 * JOIN_ROOM);
	buf_init(&s.leaving, 2 * JOIN_ROOM);
	r = tape_open(AT_FDCWD, spec->dir, &t, &e);
	if (r == 0) {
		tape_on_damage(t, on_damage, NULL);
		s.player = player_create(t, 24, 80, &ops, &s);
		r = run(&s, t, spec, &e);
	}
	if (r < 0)
		log_error("search", NULL, "%s%s%s", e.message, e.hint[0] ? "; " : "", e.hint);
	player_destroy(s.player);
	tape_close(t);
	forget(&s.hits[0]);
	forget(&s.hits[1]);
	buf_finish(&s.row);
	buf_finish(&s.leaving);
	if (regex)
		regfree(&s.regex);
	return fflush(stdout) != 0 || r < 0;
}
