/* SPDX-License-Identifier: ISC */
/*
 * The emulator by itself, for tests in other languages. Lines on stdin: "new ROWS COLS", "feed LEN" and
 * LEN bytes, "size ROWS COLS"; "show", "paint", "live" and "replies" are answered by a line of JSON: the
 * screen as it stands; what paints it anew, what a view was given since, what the program was answered
 * (these three in base64).
 */
#include <stdio.h>
#include <unistd.h>

#include "base/util.h"
#include "place/shim/paint.h"

#define OUT_MAX (32u << 20)

static struct screen *screen;
static struct buf live, replies;

static void on_reply(void *arg, const void *data, size_t len)
{
	buf_append(arg, data, len);
}

static void put_color(const struct screen_color *c)
{
	if (c->kind == COLOR_DEFAULT)
		printf("\"-\"");
	else if (c->kind == COLOR_INDEX)
		printf("\"%d\"", c->r);
	else
		printf("\"#%02x%02x%02x\"", c->r, c->g, c->b);
}

static void put_cell(const struct screen_cell *c)
{
	int i;

	printf("[\"");
	for (i = 0; i < SCREEN_CELL_CHARS && c->chars[i]; i++) {
		uint32_t ch = c->chars[i];

		if (ch >= 0x10000)
			printf("\\u%04x\\u%04x", 0xd800 + ((ch - 0x10000) >> 10), 0xdc00 + ((ch - 0x10000) & 0x3ff));
		else
			printf("\\u%04x", ch);
	}
	printf("\",%d,%d,%d,", c->width, c->attr.flags, c->attr.underline);
	put_color(&c->attr.fg);
	printf(",");
	put_color(&c->attr.bg);
	printf(",");
	put_color(&c->attr.us);
	printf("]");
}

static void put_base64(const struct buf *b)
{
	cleanup_free char *text = base64_encode(b->len ? (const void *)buf_data(b) : "", b->len);

	printf("\"%s\"\n", text);
}

/* Titles hold no control bytes; what JSON escapes is written as such. */
static void put_string(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else
			putchar(*s);
	putchar('"');
}

static void show(void)
{
	const struct modes *m = screen_modes(screen);
	struct screen_cell c;
	int rows, cols, row, col, i;

	screen_size(screen, &rows, &cols);
	printf("{\"cells\":[");
	for (row = 0; row < rows; row++) {
		printf("%s[", row ? "," : "");
		for (col = 0; col < cols; col++) {
			screen_cell(screen, row, col, &c);
			printf("%s", col ? "," : "");
			put_cell(&c);
		}
		printf("]");
	}
	screen_cursor(screen, &row, &col);
	printf("],\"cursor\":[%d,%d],\"wrap\":%d,\"alternate\":%d,\"insert\":%d,\"pending\":%zu,", row, col,
		screen_wrap_pending(screen), m->alternate, m->insert, screen_pending(screen));
	printf("\"region\":[%d,%d],\"title\":", m->top, m->bottom ? m->bottom : rows);
	put_string(m->title);
	printf(",\"tabs\":[");
	for (col = i = 0; col < cols; col++)
		if (screen_tabs(screen, col))
			printf("%s%d", i++ ? "," : "", col);
	printf("],\"modes\":[");
	for (i = col = 0; i < MODE_COUNT; i++)
		if (modes_is_set(m, (enum mode_id)i))
			printf("%s%d", col++ ? "," : "", modes_number((enum mode_id)i));
	printf("]}\n");
}

static void feed(size_t len)
{
	cleanup_free char *data = xcalloc(1, len + 1);

	if (fread(data, 1, len, stdin) != len)
		exit(1);
	screen_feed(screen, data, len, &live);
}

static void paint(void)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	paint_full(screen, &out);
	put_base64(&out);
	buf_finish(&out);
}

static void restart(int rows, int cols)
{
	const struct screen_ops ops = {.reply = on_reply};

	screen_destroy(screen);
	screen = screen_create(rows, cols, &ops, &replies);
	buf_clear(&live);
	buf_clear(&replies);
}

int main(void)
{
	char line[64];
	size_t len;
	int rows, cols;

	buf_init(&live, OUT_MAX);
	buf_init(&replies, OUT_MAX);
	restart(24, 80);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "new %d %d", &rows, &cols) == 2) {
			restart(rows, cols);
		} else if (sscanf(line, "size %d %d", &rows, &cols) == 2) {
			screen_resize(screen, rows, cols);
		} else if (sscanf(line, "feed %zu", &len) == 1 && len <= OUT_MAX) {
			feed(len);
		} else if (strcmp(line, "show\n") == 0) {
			show();
		} else if (strcmp(line, "paint\n") == 0) {
			paint();
		} else if (strcmp(line, "live\n") == 0) {
			put_base64(&live);
			buf_clear(&live);
		} else if (strcmp(line, "replies\n") == 0) {
			put_base64(&replies);
			buf_clear(&replies);
		} else {
			return 2;
		}
		fflush(stdout);
	}
	screen_destroy(screen);
	buf_finish(&live);
	buf_finish(&replies);
	return 0;
}
