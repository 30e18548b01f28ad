/* SPDX-License-Identifier: ISC */
/*
 * Cuts a terminal's byte stream into whole tokens.
 *
 * Theory of operation: one state per place a byte can stand in. Text is handed on in the longest runs
 * that the input holds, without copying; everything else is collected in `hold` until it is complete,
 * so that whoever listens never sees a part of a sequence, wherever the input was cut. A sequence
 * longer than `hold` is swallowed to its end and dropped (strings: handed on cut).
 *
 * Text is validated: a byte that is not UTF-8 becomes U+FFFD, and U+0080..U+009F disappear, because
 * terminals disagree whether they are controls (xterm takes C2 9B for CSI): a sequence must not be
 * smuggled past the filter in that form.
 */
#include "place/shim/scan.h"

#include <string.h>

#define ESC 0x1b
#define CAN 0x18
#define SUB 0x1a
#define BEL 0x07
#define DEL 0x7f
#define PARAM_VALUE_MAX 65535

void scan_init(struct scan *s)
{
	memset(s, 0, sizeof(*s));
}

size_t scan_pending(const struct scan *s)
{
	return s->state == SCAN_S_GROUND ? 0 : s->since;
}

int scan_param(const struct scan_token *t, int i, int def)
{
	if (i >= t->nparams || t->params[i].value == SCAN_PARAM_MISSING)
		return def;
	return t->params[i].value;
}

static void emit_text(const unsigned char *data, size_t len, scan_fn *fn, void *arg)
{
	struct scan_token t = {.kind = SCAN_TEXT, .data = data, .len = len};

	if (len > 0)
		fn(arg, &t);
}

static void emit_replacement(scan_fn *fn, void *arg)
{
	emit_text((const unsigned char *)"\xef\xbf\xbd", 3, fn, arg);
}

static void emit_c0(unsigned char c, scan_fn *fn, void *arg)
{
	struct scan_token t = {.kind = SCAN_C0, .final = c};

	fn(arg, &t);
}

static void begin(struct scan *s, enum scan_state state, unsigned char c)
{
	s->state = state;
	s->overflow = false;
	s->since = 1;
	s->len = 0;
	s->hold[s->len++] = c;
}

static void hold(struct scan *s, unsigned char c)
{
	if (s->len < SCAN_HOLD_MAX)
		s->hold[s->len++] = c;
	else
		s->overflow = true;
}

/* Splits "1;2:3;;4" into params; *ret_n is cut at SCAN_PARAMS_MAX. Returns where it stopped. */
static size_t parse_params(struct scan *s, size_t at, int *ret_n)
{
	int n = 0;
	bool colon = false;

	for (; at < s->len; at++) {
		unsigned char c = s->hold[at];
		bool digit = c >= '0' && c <= '9';

		if (!digit && c != ';' && c != ':')
			break;
		if (n == 0)
			s->params[n++] = (struct scan_param){SCAN_PARAM_MISSING, false};
		if (digit) {
			struct scan_param *p = &s->params[n - 1];

			if (p->value == SCAN_PARAM_MISSING)
				p->value = 0;
			p->value = p->value * 10 + (c - '0');
			if (p->value > PARAM_VALUE_MAX)
				p->value = PARAM_VALUE_MAX;
			continue;
		}
		colon = c == ':';
		if (n == SCAN_PARAMS_MAX) {
			s->overflow = true;
			break;
		}
		s->params[n++] = (struct scan_param){SCAN_PARAM_MISSING, colon};
	}
	*ret_n = n;
	return at;
}

static void emit_csi(struct scan *s, scan_fn *fn, void *arg)
{
	struct scan_token t = {.kind = SCAN_CSI, .data = s->hold, .len = s->len, .params = s->params};
	size_t at = 2;

	s->state = SCAN_S_GROUND;
	if (s->overflow)
		return;
	t.final = s->hold[s->len - 1];
	if (s->hold[at] >= '<' && s->hold[at] <= '?')
		t.leader = s->hold[at++];
	at = parse_params(s, at, &t.nparams);
	for (; at + 1 < s->len; at++) {
		unsigned char c = s->hold[at];

		if (c < 0x20 || c > 0x2f)
			return; /* a private marker in the middle: malformed */
		t.inter = c;
		t.inters++;
	}
	if (!s->overflow)
		fn(arg, &t);
}

static void emit_esc(struct scan *s, scan_fn *fn, void *arg)
{
	struct scan_token t = {.kind = SCAN_ESC, .data = s->hold, .len = s->len};

	s->state = SCAN_S_GROUND;
	if (s->overflow)
		return;
	t.final = s->hold[s->len - 1];
	if (s->len > 2) {
		t.inter = s->hold[s->len - 2];
		t.inters = (unsigned char)(s->len - 2 > 255 ? 255 : s->len - 2);
	}
	fn(arg, &t);
}

static void emit_string(struct scan *s, bool bel, scan_fn *fn, void *arg)
{
	struct scan_token t = {.kind = s->intro == ']' ? SCAN_OSC : SCAN_STRING, .data = s->hold,
		.len = s->len, .leader = s->intro, .bel = bel};

	s->state = SCAN_S_GROUND;
	s->hold[s->len] = '\0';
	if (s->overflow && t.kind == SCAN_OSC)
		return;
	fn(arg, &t);
}

/* The byte after ESC: what it opens, or a whole two-byte sequence. */
static void on_esc(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	if (s->len == 1 && c == '[') {
		hold(s, c);
		s->state = SCAN_S_CSI;
	} else if (s->len == 1 && (c == ']' || c == 'P' || c == '_' || c == '^' || c == 'X')) {
		s->intro = c;
		s->len = 0;
		s->state = SCAN_S_STRING;
	} else if (c >= 0x20 && c <= 0x2f) {
		hold(s, c);
	} else if (c >= 0x30 && c <= 0x7e) {
		hold(s, c);
		emit_esc(s, fn, arg);
	} else if (c >= 0x80) {
		s->state = SCAN_S_GROUND;
	}
}

static void on_csi(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	if (c >= 0x20 && c <= 0x3f) {
		hold(s, c);
	} else if (c >= 0x40 && c <= 0x7e) {
		hold(s, c);
		emit_csi(s, fn, arg);
	} else if (c >= 0x80) {
		s->state = SCAN_S_GROUND;
	}
}

/* A byte within an escape or control sequence; controls act at once, as on a real terminal. */
static void on_sequence(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	s->since++;
	if (c == ESC)
		begin(s, SCAN_S_ESC, c);
	else if (c == CAN || c == SUB)
		s->state = SCAN_S_GROUND;
	else if (c < 0x20)
		emit_c0(c, fn, arg);
	else if (c == DEL)
		return;
	else if (s->state == SCAN_S_ESC)
		on_esc(s, c, fn, arg);
	else
		on_csi(s, c, fn, arg);
}

static void on_string(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	s->since++;
	if (s->state == SCAN_S_STRING_ESC) {
		if (c == '\\') {
			emit_string(s, false, fn, arg);
			return;
		}
		begin(s, SCAN_S_ESC, ESC);
		on_sequence(s, c, fn, arg);
	} else if (c == ESC) {
		s->state = SCAN_S_STRING_ESC;
	} else if (c == CAN || c == SUB) {
		s->state = SCAN_S_GROUND;
	} else if (c == BEL && s->intro == ']') {
		emit_string(s, true, fn, arg);
	} else {
		hold(s, c);
	}
}

/* Starts a multi-byte character at lead byte c: 0, or -1 when c cannot lead one. The bounds of the
 * second byte exclude overlong forms, surrogates and what is above U+10FFFF. */
static int utf8_begin(struct scan *s, unsigned char c)
{
	s->utf8_lo = 0x80;
	s->utf8_hi = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		s->utf8_need = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		s->utf8_need = 2;
		if (c == 0xe0)
			s->utf8_lo = 0xa0;
		else if (c == 0xed)
			s->utf8_hi = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		s->utf8_need = 3;
		if (c == 0xf0)
			s->utf8_lo = 0x90;
		else if (c == 0xf4)
			s->utf8_hi = 0x8f;
	} else {
		return -1;
	}
	return 0;
}

/* Continues a character whose beginning is in hold. Returns false when c does not belong to it. */
static bool on_utf8(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	if (c < s->utf8_lo || c > s->utf8_hi) {
		s->state = SCAN_S_GROUND;
		emit_replacement(fn, arg);
		return false;
	}
	s->since++;
	hold(s, c);
	s->utf8_lo = 0x80;
	s->utf8_hi = 0xbf;
	if (--s->utf8_need > 0)
		return true;
	s->state = SCAN_S_GROUND;
	if (s->hold[0] != 0xc2 || c >= 0xa0)
		emit_text(s->hold, s->len, fn, arg);
	return true;
}

/* The length of the run of whole, valid, printable characters at p. */
static size_t text_run(const unsigned char *p, size_t len)
{
	struct scan probe;
	size_t i = 0;

	while (i < len) {
		size_t k;

		while (i < len && p[i] >= 0x20 && p[i] < DEL)
			i++;
		if (i == len || p[i] < 0x80 || utf8_begin(&probe, p[i]) < 0)
			break;
		if (i + probe.utf8_need >= len || (p[i] == 0xc2 && p[i + 1] < 0xa0))
			break;
		if (p[i + 1] < probe.utf8_lo || p[i + 1] > probe.utf8_hi)
			break;
		for (k = 2; k <= probe.utf8_need; k++)
			if ((p[i + k] & 0xc0) != 0x80)
				return i;
		i += (size_t)probe.utf8_need + 1;
	}
	return i;
}

static void on_ground(struct scan *s, unsigned char c, scan_fn *fn, void *arg)
{
	if (c == ESC) {
		begin(s, SCAN_S_ESC, c);
	} else if (c < 0x20) {
		emit_c0(c, fn, arg);
	} else if (c >= 0x80) {
		if (utf8_begin(s, c) < 0)
			emit_replacement(fn, arg);
		else
			begin(s, SCAN_S_UTF8, c);
	}
}

void scan_feed(struct scan *s, const void *data, size_t len, scan_fn *fn, void *arg)
{
	const unsigned char *p = data;
	size_t i = 0;

	while (i < len) {
		switch (s->state) {
		case SCAN_S_GROUND: {
			size_t run = text_run(p + i, len - i);

			emit_text(p + i, run, fn, arg);
			i += run;
			if (i < len)
				on_ground(s, p[i++], fn, arg);
			break;
		}
		case SCAN_S_UTF8:
			if (on_utf8(s, p[i], fn, arg))
				i++;
			break;
		case SCAN_S_ESC:
		case SCAN_S_CSI:
			on_sequence(s, p[i++], fn, arg);
			break;
		case SCAN_S_STRING:
		case SCAN_S_STRING_ESC:
			on_string(s, p[i++], fn, arg);
			break;
		}
	}
}
