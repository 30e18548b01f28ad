/* SPDX-License-Identifier: ISC */
/*
 * Where a shell stands, by the marks it prints about its prompt.
 *
 * OSC 133 is FinalTerm's form, which iTerm2, kitty, WezTerm, foot and Windows Terminal read: A a prompt begins,
 * B it ends and a line is typed, C the line was taken and its output begins, D[;STATUS] it ended. OSC 633 is
 * VS Code's, the same letters. Each may have further fields (";aid=1"), which mean nothing here. Others' extra
 * letters (L, N, P, I, E...) are not of these four and change nothing: but N and P of the first form begin a
 * prompt like A (a continuation line's, or a right one, when k=s, c or r says so).
 *
 * Whatever runs in the terminal can print them. It lies about itself only.
 */
#include "place/shim/marks.h"

#include <string.h>

#include "base/util.h"

#define STATUS_MAX 255

/* The first field behind the letter, when it is a status. */
static bool read_status(const char *s, int *ret)
{
	int n = 0;

	if (*s++ != ';' || *s < '0' || *s > '9')
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (*s - '0');
		if (n > STATUS_MAX)
			return false;
	}
	if (*s && *s != ';')
		return false;
	*ret = n;
	return true;
}

/* A prompt of another kind than the first line's left one. */
static bool is_secondary(const char *fields)
{
	const char *k = strstr(fields, ";k=");

	return k && k[3] && strchr("scr", k[3]);
}

static void over(struct marks *m, bool known, int status)
{
	if (m->phase != MARK_RUNNING)
		return; /* an empty line, or none before it: the last command's status stays */
	m->ended++;
	m->exit_known = known;
	m->exit = known ? status : 0;
}

bool marks_apply(struct marks *m, const struct scan_token *t)
{
	const char *s = (const char *)t->data;
	int status = 0;
	bool known;

	if (t->kind != SCAN_OSC || t->len < 5 || (memcmp(s, "133;", 4) != 0 && memcmp(s, "633;", 4) != 0))
		return false;
	if (s[5] && s[5] != ';')
		return false;
	switch (s[4]) {
	case 'N':
	case 'P':
		if (s[0] == '6')
			return false; /* VS Code's P sets a property */
		/* fall through */
	case 'A':
		if (is_secondary(s + 5))
			return false;
		over(m, false, 0);
		m->prompts++;
		m->phase = MARK_PROMPT;
		return true;
	case 'B':
		over(m, false, 0);
		m->phase = MARK_INPUT;
		return true;
	case 'C':
		over(m, false, 0);
		m->begun++;
		m->phase = MARK_RUNNING;
		return true;
	case 'D':
		known = read_status(s + 5, &status);
		over(m, known, status);
		m->phase = MARK_DONE;
		return true;
	default:
		return false;
	}
}

static const char *const names[] = {[MARK_NONE] = "", [MARK_PROMPT] = "prompt", [MARK_INPUT] = "input",
	[MARK_RUNNING] = "running", [MARK_DONE] = "done"};

json_t *marks_json(const struct marks *m)
{
	json_t *o;

	if (m->phase == MARK_NONE)
		return NULL;
	o = json_pack("{s:s, s:I, s:I, s:I}", "phase", names[m->phase], "begun", (json_int_t)m->begun, "ended",
		(json_int_t)m->ended, "prompts", (json_int_t)m->prompts);
	json_object_set_new(o, "exit", m->exit_known ? json_integer(m->exit) : json_null());
	return o;
}

int marks_paint(const struct marks *m, struct buf *out)
{
	static const char letters[] = {[MARK_PROMPT] = 'A', [MARK_INPUT] = 'B', [MARK_RUNNING] = 'C', [MARK_DONE] = 'D'};
	int rc = 0;

	if (m->phase == MARK_NONE)
		return 0;
	if (m->exit_known)
		rc |= buf_printf(out, "\033]133;C\a\033]133;D;%d\a", m->exit);
	rc |= buf_printf(out, "\033]133;%c\a", letters[m->phase]);
	return rc ? -1 : 0;
}
