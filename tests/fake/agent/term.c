/* SPDX-License-Identifier: ISC */
/*
 * The terminal. What comes in one read is taken for one thing, as the real one does: an Enter is one only when it is
 * alone in its read, else it is text. A dialog drops every key of its first DIALOG_DEAF_MS. Painting is in
 * synchronized updates on the alternate screen; in a turn a spinner is repainted and the title turns.
 */
#include "tests/fake/agent/fake.h"

#include <stdio.h>
#include <termios.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"

#define INPUT_MAX (1024 * 1024)
#define DIALOG_DEAF_MS 130
#define ESCAPE_MS 30 /* an ESC with nothing behind it is the key */
#define PASTE_ON "\x1b[200~"
#define PASTE_OFF "\x1b[201~"
#define ENTER "\x1b[?1049h\x1b[?25l\x1b[?1004h\x1b[c"
#define LEAVE "\x1b[?2004l\x1b[?1004l\x1b[?25h\x1b[?1049l"

struct term {
	struct fake *fake;
	struct termios before;
	bool raw, pasting, busy, turned;
	struct loop_io *io;
	struct loop_timer *spin, *title, *escape;
	struct buf line, tail; /* tail: a sequence that is not whole */
	char *dialog;
	int64_t dialog_ms;
	int glyph;
};

static void out(const char *text, size_t len)
{
	write_all(1, text, len);
}

static void put(const char *text)
{
	out(text, strlen(text));
}

/* ---- painting ---- */

static void paint_title(struct term *t)
{
	static const char *const marks[] = {"\xe2\x97\x90", "\xe2\x97\x91"};
	char text[64];

	str_fmt(text, sizeof(text), "\x1b]0;%s fake\x07", t->busy ? marks[t->turned] : "\xe2\x9c\xb3");
	put(text);
}

static void on_title(void *arg)
{
	struct term *t = arg;

	t->turned = !t->turned;
	paint_title(t);
	loop_timer_start(t->title, t->fake->knobs.title_ms);
}

static void on_spin(void *arg)
{
	static const char *const glyphs[] = {"\xc2\xb7", "\xe2\x9c\xa2", "\xe2\x9c\xb3", "\xe2\x9c\xb6", "\xe2\x9c\xbb", "\xe2\x9c\xbd"};
	struct term *t = arg;
	char text[128];

	t->glyph = (t->glyph + 1) % (int)ARRAY_LEN(glyphs);
	str_fmt(text, sizeof(text), "\x1b[?2026h\r\x1b[38;5;174m%s\x1b[39m Faking\xe2\x80\xa6 (esc to interrupt)\x1b[K\x1b[?2026l",
		glyphs[t->glyph]);
	put(text);
	loop_timer_start(t->spin, t->fake->knobs.spinner_ms);
}

static void paint_input(struct term *t)
{
	char text[256];

	str_fmt(text, sizeof(text), "\x1b[?2026h\r\x1b[K> %.*s\x1b[?2026l", (int)(t->line.len < 100 ? t->line.len : 100),
		t->line.len ? (const char *)buf_data(&t->line) : "");
	put(text);
}

void term_print(struct term *t, const char *text)
{
	put("\x1b[?2026h\r\x1b[K\xe2\x97\x8f ");
	for (const char *p = text; *p; p++)
		if (*p == '\n')
			put("\r\n  ");
		else
			out(p, 1);
	put("\r\n\x1b[?2026l");
	paint_input(t);
}

void term_busy(struct term *t, bool busy)
{
	const struct knobs *k = &t->fake->knobs;

	t->busy = busy;
	if (!busy) {
		loop_timer_stop(t->spin);
		loop_timer_stop(t->title);
		paint_input(t);
	} else {
		if (k->spinner_ms)
			on_spin(t);
		if (k->title_ms)
			loop_timer_start(t->title, k->title_ms);
	}
	paint_title(t);
}

void term_dialog(struct term *t, const char *text)
{
	free(t->dialog);
	t->dialog = xstrdup(text);
	t->dialog_ms = clock_mono_ms();
	if (!text)
		return;
	loop_timer_stop(t->spin);
	put("\x1b[?2026h\r\x1b[K");
	put(text);
	put("\r\n\x1b[?2026l");
}

void term_put_back(struct term *t, const char *text)
{
	buf_clear(&t->line);
	buf_append(&t->line, text, strlen(text));
	paint_input(t);
}

/* ---- keys ---- */

static void enter(struct term *t)
{
	cleanup_free char *text = xstrndup(t->line.len ? (const char *)buf_data(&t->line) : "", t->line.len);

	buf_clear(&t->line);
	paint_input(t);
	if (*text)
		turn_submit(t->fake->turn, text);
}

static void dialog_key(struct term *t, char key)
{
	if (clock_mono_ms() - t->dialog_ms < DIALOG_DEAF_MS)
		return;
	if (key == '\r' || key == '1' || key == 'y')
		turn_choose(t->fake->turn, true);
	else if (key == '\x1b' || key == '3' || key == 'n')
		turn_choose(t->fake->turn, false);
}

static void escape(struct term *t)
{
	if (t->dialog)
		dialog_key(t, '\x1b');
	else
		turn_escape(t->fake->turn);
}

static void on_escape(void *arg)
{
	struct term *t = arg;

	buf_clear(&t->tail);
	escape(t);
}

static void key(struct term *t, char c)
{
	if (t->dialog)
		dialog_key(t, c);
	else if (c == 0x15) /* C-u */
		buf_clear(&t->line);
	else if (c == 0x7f && t->line.len)
		buf_truncate(&t->line, t->line.len - 1);
	else if (c == '\r')
		buf_append(&t->line, "\n", 1);
	else if ((unsigned char)c >= 0x20 || c == '\n' || c == '\t')
		buf_append(&t->line, &c, 1);
}

/* The length of the control sequence at p, 0 while it is not whole. */
static size_t sequence(const char *p, size_t len)
{
	size_t n = 2;

	if (len < 2)
		return 0;
	if (p[1] != '[')
		return 1;
	while (n < len && (unsigned char)p[n] < 0x40)
		n++;
	return n < len ? n + 1 : 0;
}

static size_t one(struct term *t, const char *p, size_t len)
{
	size_t n;

	if (*p != '\x1b') {
		if (t->pasting && !t->dialog) {
			const char *end = memchr(p, '\x1b', len);
			n = end ? (size_t)(end - p) : len;
			for (size_t i = 0; i < n; i++)
				buf_append(&t->line, p[i] == '\r' ? "\n" : p + i, 1);
			return n;
		}
		key(t, *p);
		return 1;
	}
	n = sequence(p, len);
	if (n == strlen(PASTE_ON) && !memcmp(p, PASTE_ON, n))
		t->pasting = true;
	else if (n == strlen(PASTE_OFF) && !memcmp(p, PASTE_OFF, n))
		t->pasting = false;
	else if (n == 1)
		escape(t);
	return n; /* others (focus, answers to queries) are nothing to us */
}

/* Reports of the terminal alone (that it lost the focus), which are no keys. */
static bool no_text(const char *p, size_t len)
{
	size_t n = 0;

	for (; len > 0; p += n, len -= n) {
		n = *p == '\x1b' ? sequence(p, len) : 0;
		if (n < 3 || (n == strlen(PASTE_ON) && !memcmp(p, PASTE_ON, n)))
			return false;
	}
	return true;
}

static void on_input(void *arg, int fd, unsigned events)
{
	char bytes[65536];
	struct term *t = arg;
	ssize_t got = read(fd, bytes, sizeof(bytes));
	size_t n;

	(void)events;
	if (got <= 0) {
		loop_io_set(t->io, 0);
		fake_end(t->fake, 129, "other");
		return;
	}
	loop_timer_stop(t->escape);
	bool alone = *bytes == '\r' && !t->pasting && !t->tail.len && !t->dialog && no_text(bytes + 1, (size_t)got - 1);
	if (alone)
		enter(t);
	buf_append(&t->tail, bytes + alone, (size_t)got - alone);
	while (t->tail.len && (n = one(t, (const char *)buf_data(&t->tail), t->tail.len)) > 0)
		buf_consume(&t->tail, n);
	if (t->tail.len == 1)
		loop_timer_start(t->escape, ESCAPE_MS);
	if (!t->dialog && !t->busy)
		paint_input(t);
}

void term_ready(struct term *t)
{
	put("\x1b[?2004h");
	paint_title(t);
	paint_input(t);
}

struct term *term_create(struct fake *f)
{
	struct term *t = xcalloc(1, sizeof(*t));
	struct termios raw;

	t->fake = f;
	buf_init(&t->line, INPUT_MAX);
	buf_init(&t->tail, INPUT_MAX);
	t->raw = tcgetattr(0, &t->before) == 0;
	raw = t->before;
	cfmakeraw(&raw);
	if (t->raw)
		tcsetattr(0, TCSANOW, &raw);
	t->spin = loop_timer_create(f->loop, on_spin, t);
	t->title = loop_timer_create(f->loop, on_title, t);
	t->escape = loop_timer_create(f->loop, on_escape, t);
	t->io = loop_io_add(f->loop, 0, LOOP_READ, on_input, t);
	put(ENTER);
	return t;
}

void term_destroy(struct term *t)
{
	put(LEAVE);
	if (t->raw)
		tcsetattr(0, TCSANOW, &t->before);
	loop_io_free(t->io);
	loop_timer_free(t->spin);
	loop_timer_free(t->title);
	loop_timer_free(t->escape);
	buf_finish(&t->line);
	buf_finish(&t->tail);
	free(t->dialog);
	free(t);
}
