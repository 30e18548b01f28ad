/* SPDX-License-Identifier: ISC */
/* Denials: told at once, counted within the window, kept until acknowledged. */
#include "place/egress/denial.h"

#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "tests/unit/run.h"

static struct loop *l;
static struct denials *ds;
static char log_text[65536];
static int64_t now;

static int64_t clock_now(void)
{
	return now;
}

static void note(void *arg, const struct denial *d)
{
	(void)arg;
	size_t len = strlen(log_text);
	snprintf(log_text + len, sizeof(log_text) - len, "%d %s %s:%d x%d;", (int)d->seq, d->place, d->host,
		d->port, (int)d->count);
}

static const char *told(void)
{
	static char out[sizeof(log_text)];
	strcpy(out, log_text);
	log_text[0] = '\0';
	return out;
}

static const char *replayed(void)
{
	log_text[0] = '\0';
	denials_replay(ds, note, NULL);
	return told();
}

static void setup(void)
{
	clock_set_source(clock_now, NULL);
	now = 1000;
	l = loop_create(NULL);
	ds = denials_create(l, note, NULL);
}

static void teardown(void)
{
	denials_destroy(ds);
	loop_destroy(l);
}

static void window_over(void)
{
	now += DENIAL_WINDOW_MS;
	denials_expire(ds);
}

START_TEST(the_first_at_once_the_others_counted)
{
	denials_add(ds, "p1", "h", 443, "why");
	ck_assert_str_eq(told(), "1 p1 h:443 x1;");
	denials_add(ds, "p1", "h", 443, "why");
	denials_add(ds, "p1", "h", 443, "why");
	ck_assert_str_eq(told(), "");
	denials_add(ds, "p1", "h", 444, "why");
	denials_add(ds, "p2", "h", 443, "why");
	ck_assert_str_eq(told(), "2 p1 h:444 x1;3 p2 h:443 x1;");
	window_over();
	ck_assert_str_eq(told(), "4 p1 h:443 x2;");
	denials_add(ds, "p1", "h", 443, "why"); /* in the window that 4 opened */
	ck_assert_str_eq(told(), "");
	window_over();
	ck_assert_str_eq(told(), "5 p1 h:443 x1;");
	window_over();
	ck_assert_str_eq(told(), "");
	denials_add(ds, "p1", "h", 443, "why");
	ck_assert_str_eq(told(), "6 p1 h:443 x1;");
}
END_TEST

START_TEST(kept_until_acknowledged)
{
	denials_add(ds, "p", "a", 1, "why");
	denials_add(ds, "p", "b", 2, "why");
	denials_add(ds, "p", "c", 3, "why");
	ck_assert_str_eq(replayed(), "1 p a:1 x1;2 p b:2 x1;3 p c:3 x1;");
	denials_ack(ds, 2);
	ck_assert_str_eq(replayed(), "3 p c:3 x1;");
	/* Acknowledged, but its window is open: still counted. */
	denials_add(ds, "p", "a", 1, "why");
	ck_assert_str_eq(replayed(), "3 p c:3 x1;");
	window_over();
	ck_assert_str_eq(replayed(), "3 p c:3 x1;4 p a:1 x1;");
	denials_ack(ds, 100);
	ck_assert_str_eq(replayed(), "");
}
END_TEST

START_TEST(one_place_cannot_crowd_out_the_others)
{
	denials_add(ds, "good", "h", 1, "why");
	told();
	for (int i = 0; i < 5000; i++) {
		char host[16];
		snprintf(host, sizeof(host), "h%d", i);
		denials_add(ds, "bad", host, 1, "why");
	}
	told();
	const char *all = replayed();
	ck_assert_ptr_nonnull(strstr(all, "1 good h:1 x1;"));
	ck_assert_ptr_nonnull(strstr(all, "65 bad h63:1 x1;66 bad *:0 x1;"));
	ck_assert_ptr_null(strstr(all, "67 "));
	window_over();
	char want[64];
	snprintf(want, sizeof(want), "67 bad *:0 x%d;", 5000 - DENIAL_PER_PLACE - 1);
	ck_assert_str_eq(told(), want);
	denials_ack(ds, 67);
	window_over();
	denials_add(ds, "bad", "fresh", 1, "why");
	ck_assert_str_eq(told(), "68 bad fresh:1 x1;");
}
END_TEST

START_TEST(destroyed_with_open_windows)
{
	denials_add(ds, "p", "h", 1, "why");
	denials_add(ds, "p", "h", 1, "why");
	told();
	denials_destroy(ds); /* its timer runs */
	ds = NULL;
	loop_turn(l, 5);
	ck_assert_str_eq(told(), "");
}
END_TEST

TEST_MAIN_FIXTURE("egress/denial", setup, teardown, the_first_at_once_the_others_counted,
	kept_until_acknowledged, one_place_cannot_crowd_out_the_others, destroyed_with_open_windows)
