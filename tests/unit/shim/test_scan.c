/* SPDX-License-Identifier: ISC */
/* The token cutter: whole sequences whatever the cut, bad UTF-8, strings without an end. */
#include "place/shim/scan.h"

#include <string.h>

#include "base/buf.h"
#include "tests/unit/run.h"

struct seen {
	struct buf out;
	bool in_text; /* runs of text may be cut anywhere: they are joined */
};

/* Writes tokens down: "text" C(xx) E(..) [leader inter final params] O(..) S?(..). */
static void describe(void *arg, const struct scan_token *t)
{
	struct seen *s = arg;
	struct buf *out = &s->out;
	int i;

	if (s->in_text != (t->kind == SCAN_TEXT))
		buf_append(out, "\"", 1);
	s->in_text = t->kind == SCAN_TEXT;
	switch (t->kind) {
	case SCAN_TEXT:
		buf_append(out, t->data, t->len);
		break;
	case SCAN_C0:
		buf_printf(out, "C(%02x)", t->final);
		break;
	case SCAN_ESC:
		buf_printf(out, "E(%.*s)", (int)t->len - 1, (const char *)t->data + 1);
		break;
	case SCAN_CSI:
		buf_printf(out, "[%.1s%.1s%c", (const char *)&t->leader, (const char *)&t->inter,
			t->final);
		for (i = 0; i < t->nparams; i++)
			buf_printf(out, "%s%d", t->params[i].colon ? ":" : " ", t->params[i].value);
		buf_append(out, "]", 1);
		break;
	case SCAN_OSC:
		buf_printf(out, "O%s(%s)", t->bel ? "b" : "", (const char *)t->data);
		break;
	case SCAN_STRING:
		buf_printf(out, "S%c(%s)", t->leader, (const char *)t->data);
		break;
	}
}

static char *finish(struct seen *s)
{
	char *text;

	if (s->in_text)
		buf_append(&s->out, "\"", 1);
	buf_append(&s->out, "", 1);
	text = strdup((const char *)buf_data(&s->out));
	buf_finish(&s->out);
	return text;
}

/* Tokens of data cut at a and b. */
static char *tokens(const char *data, size_t len, size_t a, size_t b)
{
	struct scan *scan = malloc(sizeof(*scan));
	struct seen s = {.in_text = false};

	buf_init(&s.out, 1 << 20);
	scan_init(scan);
	scan_feed(scan, data, a, describe, &s);
	scan_feed(scan, data + a, b - a, describe, &s);
	scan_feed(scan, data + b, len - b, describe, &s);
	free(scan);
	return finish(&s);
}

static void check(const char *data, size_t len, const char *want)
{
	size_t a, b;

	for (a = 0; a <= len; a++) {
		for (b = a; b <= len; b++) {
			char *got = tokens(data, len, a, b);

			ck_assert_msg(strcmp(got, want) == 0, "cut at %zu, %zu:\n got %s\nwant %s", a, b,
				got, want);
			free(got);
		}
	}
}
#define CHECK(data, want) check(data, sizeof(data) - 1, want)

START_TEST(sequences_arrive_whole)
{
	CHECK("hi\033[1;31mred\033[m", "\"hi\"[m 1 31]\"red\"[m]");
	CHECK("\033[?1049h\033[>4;2m\033[ q\033[!p", "[?h 1049][>m 4 2][ q][!p]");
	CHECK("\033[38:2::1:2:3;4:3m", "[m 38:2:-1:1:2:3 4:3]");
	CHECK("\033[;5H", "[H -1 5]");
	CHECK("\033(0\0337\033=", "E((0)E(7)E(=)");
	CHECK("a\r\n\tb", "\"a\"C(0d)C(0a)C(09)\"b\"");
	CHECK("\033]0;t\303\251\a\033]11;?\033\\x", "Ob(0;t\303\251)O(11;?)\"x\"");
	CHECK("\033Pq#1\033\\\033_Gx\033\\.", "SP(q#1)S_(Gx)\".\"");
}
END_TEST

START_TEST(controls_act_within_sequences_and_others_end_them)
{
	CHECK("\033[1\r;2m", "C(0d)[m 1 2]");
	CHECK("\033[1\030x", "\"x\"");
	CHECK("\033[1\033[2J", "[J 2]");
	CHECK("\033]0;abc\033[2J", "[J 2]");
	CHECK("\033P\032y", "\"y\"");
	CHECK("\033[<1?2m.", "\".\""); /* a private marker in the middle */
}
END_TEST

START_TEST(invalid_text_is_replaced)
{
	CHECK("a\377b", "\"a\357\277\275b\"");
	CHECK("\303(", "\"\357\277\275(\"");
	CHECK("\300\200", "\"\357\277\275\357\277\275\"");     /* overlong */
	CHECK("\355\240\200", "\"\357\277\275\357\277\275\357\277\275\""); /* surrogate */
	CHECK("\360\237\230\200", "\"\360\237\230\200\"");
	CHECK("\342\202\033[m", "\"\357\277\275\"[m]");
	CHECK("x\302\233c", "\"xc\""); /* U+009B is CSI to some terminals */
	CHECK("x\233c", "\"x\357\277\275c\"");
	CHECK("a\177b", "\"ab\"");
}
END_TEST

START_TEST(endless_sequences_are_bounded)
{
	struct scan *scan = malloc(sizeof(*scan));
	struct seen s = {.in_text = false};
	char *got;
	int i;

	buf_init(&s.out, 1 << 20);
	scan_init(scan);
	scan_feed(scan, "\033]0;", 4, describe, &s);
	for (i = 0; i < 3 * SCAN_HOLD_MAX; i++)
		scan_feed(scan, "x", 1, describe, &s);
	ck_assert_uint_eq(scan_pending(scan), 4 + 3 * SCAN_HOLD_MAX);
	scan_feed(scan, "\aok\033[", 5, describe, &s);
	ck_assert_uint_eq(scan_pending(scan), 2);
	for (i = 0; i < 2 * SCAN_HOLD_MAX; i++)
		scan_feed(scan, "1;", 2, describe, &s);
	scan_feed(scan, "mend", 4, describe, &s);
	ck_assert_uint_eq(scan_pending(scan), 0);
	got = finish(&s);
	ck_assert_str_eq(got, "\"okend\"");
	free(got);
	free(scan);
}
END_TEST

TEST_MAIN("shim/scan", sequences_arrive_whole, controls_act_within_sequences_and_others_end_them,
	invalid_text_is_replaced, endless_sequences_are_bounded)
