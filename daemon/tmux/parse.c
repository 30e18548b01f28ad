/* SPDX-License-Identifier: ISC */
/* Parser of control-mode lines; parse.h has the theory. */
#include "daemon/tmux/parse.h"

#include <string.h>

/* A view of bytes that words are cut from. */
struct span {
	const char *p;
	size_t len;
};

static bool span_starts(struct span s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.len >= n && memcmp(s.p, prefix, n) == 0;
}

static bool span_is(struct span s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.p, word, s.len) == 0;
}

static struct span span_from(struct span s, size_t skip)
{
	return (struct span){s.p + skip, s.len - skip};
}

/* Cuts the first word and the one space behind it. */
static struct span span_word(struct span *s)
{
	const char *sp = memchr(s->p, ' ', s->len);
	struct span word = {s->p, sp != NULL ? (size_t)(sp - s->p) : s->len};

	*s = span_from(*s, sp != NULL ? word.len + 1 : s->len);
	return word;
}

/* Strict decimal of at most 9 digits. */
static bool span_number(struct span s, unsigned *ret)
{
	unsigned v = 0;

	if (s.len == 0 || s.len > 9)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s.p[i] - '0');
	}
	*ret = v;
	return true;
}

static bool span_digits(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.len > 0;
}

/* "TIME NUMBER FLAGS" and nothing else. */
static bool guard_parse(struct span s, unsigned *ret_flags)
{
	struct span rest = s;

	if (s.len >= TMUX_GUARD_MAX)
		return false;
	return span_digits(span_word(&rest)) && span_digits(span_word(&rest)) &&
	       span_number(rest, ret_flags);
}

static bool is_pane(struct span s)
{
	return s.len > 1 && s.p[0] == '%' && span_digits(span_from(s, 1));
}

static bool closes(const struct tmux_parser *p, struct span line, const char *word)
{
	size_t n = strlen(word);

	return span_starts(line, word) && line.len == n + p->guard_len &&
	       memcmp(line.p + n, p->guard, p->guard_len) == 0;
}

static void close_block(struct tmux_parser *p, struct tmux_event *ev, enum tmux_event_type type)
{
	ev->type = type;
	ev->flags = p->flags;
	p->in_block = false;
	p->last_len = 0;
}

static void line_in_block(struct tmux_parser *p, struct span line, struct tmux_event *ev)
{
	struct span rest = line;

	if (!ev->cut && closes(p, line, "%end ")) {
		close_block(p, ev, TMUX_EV_END);
		return;
	}
	if (!ev->cut && closes(p, line, "%error ")) {
		close_block(p, ev, TMUX_EV_ERROR);
		return;
	}
	if (p->pauses && !ev->cut) {
		struct span word = span_word(&rest);

		if ((span_is(word, "%pause") || span_is(word, "%continue")) && is_pane(rest)) {
			ev->type = TMUX_EV_NOTIFY;
			ev->name = word.p + 1;
			ev->name_len = word.len - 1;
			ev->text = rest.p;
			ev->text_len = rest.len;
			return;
		}
	}
	ev->type = TMUX_EV_BODY;
	ev->text = line.p;
	ev->text_len = line.len;
	p->last_len = 0;
	if (span_starts(line, "%exit") && line.len < sizeof(p->last)) {
		memcpy(p->last, line.p, line.len);
		p->last_len = line.len;
	}
}

static void output_event(struct span word, struct span rest, struct tmux_event *ev)
{
	struct span pane = span_word(&rest);

	/* "%extended-output %3 AGE ... : text": the words before the colon may become more. */
	if (span_is(word, "%extended-output")) {
		while (rest.len > 0 && !span_is(span_word(&rest), ":"))
			;
	}
	ev->type = TMUX_EV_OUTPUT;
	ev->name = pane.p;
	ev->name_len = pane.len;
	ev->text = rest.p;
	ev->text_len = rest.len;
}

static void line_outside(struct tmux_parser *p, struct span line, struct tmux_event *ev)
{
	struct span rest = line;
	struct span word = span_word(&rest);

	ev->type = TMUX_EV_TEXT;
	ev->text = line.p;
	ev->text_len = line.len;
	if (word.len < 2 || word.p[0] != '%')
		return;
	if (span_is(word, "%begin") && !ev->cut && guard_parse(rest, &p->flags)) {
		memcpy(p->guard, rest.p, rest.len);
		p->guard_len = rest.len;
		p->in_block = true;
		p->last_len = 0;
		ev->type = TMUX_EV_BEGIN;
		ev->flags = p->flags;
		ev->text_len = 0;
		return;
	}
	if (span_is(word, "%output") || span_is(word, "%extended-output")) {
		struct span peek = rest;

		if (is_pane(span_word(&peek))) {
			output_event(word, rest, ev);
			return;
		}
	}
	ev->type = span_is(word, "%exit") ? TMUX_EV_EXIT : TMUX_EV_NOTIFY;
	ev->name = word.p + 1;
	ev->name_len = word.len - 1;
	ev->text = rest.p;
	ev->text_len = rest.len;
}

/* Finds one line: false when it is not whole yet. *consumed includes the newline. */
static bool next_line(struct tmux_parser *p, const char *data, size_t len, size_t *consumed,
	struct span *ret, bool *ret_cut)
{
	const char *nl;
	size_t skip = 0;

	*consumed = 0;
	if (len == 0)
		return false;
	if (p->skipping) {
		nl = memchr(data, '\n', len);
		*consumed = nl != NULL ? (size_t)(nl - data) + 1 : len;
		if (nl == NULL)
			return false;
		p->skipping = false;
		skip = *consumed;
		if (skip == len)
			return false;
	}
	data += skip;
	len -= skip;
	nl = memchr(data, '\n', len <= TMUX_LINE_MAX ? len : TMUX_LINE_MAX + 1);
	if (nl == NULL && len <= TMUX_LINE_MAX)
		return false;
	*ret_cut = nl == NULL;
	*ret = (struct span){data, nl != NULL ? (size_t)(nl - data) : TMUX_LINE_MAX};
	*consumed = skip + ret->len + (nl != NULL ? 1 : 0);
	if (nl == NULL)
		p->skipping = true;
	return true;
}

bool tmux_parse_next(struct tmux_parser *p, const char *data, size_t len, size_t *consumed,
	struct tmux_event *ret)
{
	struct tmux_event ev = {0};
	struct span line;

	if (!next_line(p, data, len, consumed, &line, &ev.cut))
		return false;
	if (p->in_block)
		line_in_block(p, line, &ev);
	else
		line_outside(p, line, &ev);
	*ret = ev;
	return true;
}

void tmux_parse_exit_reason(const struct tmux_parser *p, const char *rest, size_t len,
	char out[TMUX_REASON_MAX])
{
	struct span line = {p->last, p->last_len};

	out[0] = '\0';
	if (!p->in_block)
		return;
	if (len > 0 && !p->skipping)
		line = (struct span){rest, len};
	if (!span_is(line, "%exit") && !span_starts(line, "%exit "))
		return;
	line = span_from(line, line.len > 5 ? 6 : 5);
	if (line.len >= TMUX_REASON_MAX)
		line.len = TMUX_REASON_MAX - 1;
	memcpy(out, line.p, line.len);
	out[line.len] = '\0';
}
