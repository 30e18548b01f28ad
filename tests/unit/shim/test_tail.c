/* SPDX-License-Identifier: ISC */
/* Copies of conversations: what is sent again, their bound, and who waits; the link and the rest of the shim are played. */
#define guest_link fake_guest_link
#define link_open fake_link_open
#define link_reset fake_link_reset
#define link_consumed fake_link_consumed
#define link_send_ctl fake_link_send_ctl
#define events_mention fake_events_mention
#define conf_has_instance fake_conf_has_instance
#define inst_id_valid fake_inst_id_valid
/* Its parts are static, and its name stands for the only one of a process. */
#include "place/shim/tail.c"
#include "place/shim/tail_again.c"
#include "place/shim/tail_copy.c"
#include "place/shim/tail_look.c"

#include <sys/stat.h>

#include "tests/unit/run.h"

#define CONVERSATION "01234567-0123-0123-0123-0123456789ab"

static char folder[] = "/tmp/tc-shimtail-XXXXXX";
static struct shim shim;
static struct tail *t;
static json_t *asked; /* the last stream that was opened, NULL: none since */
static bool refuse;
static char a_stream;
static size_t consumed;
static int answered;
static struct err answer;

struct link *guest_link(struct guest *g)
{
	(void)g;
	return NULL;
}

struct link_stream *link_open(struct link *l, json_t *what, const struct link_stream_ops *ops, void *arg, struct err *e)
{
	(void)l;
	(void)ops;
	(void)arg;
	json_decref(asked);
	asked = what;
	if (refuse)
		err_set(e, ERR_LIMIT, "too many");
	return refuse ? NULL : (struct link_stream *)(void *)&a_stream;
}

void link_reset(struct link_stream *s, const struct err *why)
{
	(void)s;
	(void)why;
}

void link_consumed(struct link_stream *s, size_t n)
{
	(void)s;
	consumed += n;
}

int link_send_ctl(struct link_stream *s, json_t *msg)
{
	(void)s;
	json_decref(msg);
	return 0;
}

void events_mention(struct events *ev, const char *type, json_t *fields)
{
	(void)ev;
	(void)type;
	json_decref(fields);
}

bool conf_has_instance(const struct conf *c, const char *id)
{
	(void)c;
	(void)id;
	return true;
}

bool inst_id_valid(const char *id)
{
	(void)id;
	return true;
}

static void begin(int max)
{
	struct err e = {0};
	uint64_t length;
	json_t *params = json_pack("{s:s, s:s, s:s, s:s, s:i}", "instance", "abc123", "conversation", CONVERSATION, "root", "/r",
		"path", "p.jsonl", "max", max);

	ck_assert_msg(tail_follow(&shim, params, &length, &e) == 0, "%s", e.message);
	json_decref(params);
	t = shim_tails;
}

static void setup(void)
{
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(folder));
	shim.recordings = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(mkdirat(shim.recordings, "abc123", 0700), 0);
	shim.loop = loop_create(&e);
	ck_assert_ptr_nonnull(shim.loop);
	begin(MAX_DEFAULT);
}

static void teardown(void)
{
	tail_destroy_all(&shim);
	json_decref(asked);
	close(shim.recordings);
	loop_destroy(shim.loop);
	tree_remove(folder, NULL);
}

static void comes(const char *text)
{
	on_data(t, t->stream, text, strlen(text));
}

static void ctl(json_t *msg)
{
	on_ctl(t, t->stream, msg);
	json_decref(msg);
}

static void sent_again(int size)
{
	ctl(json_pack("{s:{s:i, s:b, s:i}}", "tail", "from", 0, "same", 0, "size", size));
}

static void shim_anew(void)
{
	tail_destroy_all(&shim);
	json_decref(asked);
	asked = NULL;
	begin(MAX_DEFAULT);
}

static void copy_is(const char *text)
{
	char all[4096];
	ssize_t n = pread(t->fd, all, sizeof(all) - 1, 0);

	ck_assert_int_ge(n, 0);
	all[n] = '\0';
	ck_assert_str_eq(all, text);
}

static int64_t asked_from(void)
{
	return json_get_int(asked, "from", -1);
}

START_TEST(a_rewrite_that_goes_on_is_copied_once)
{
	comes("one\ntwo\nthree\n");
	sent_again(0); /* it was cut, and is being written */
	comes("one\ntw");
	comes("o\nthree\nfo");
	copy_is("one\ntwo\nthree\n");
	comes("ur\nfive\n");
	copy_is("one\ntwo\nthree\nfour\nfive\n");
	ck_assert(!t->again);
	/* The first line became another one. */
	sent_again(0);
	comes("ONE\n");
	comes("two\nthree\nfour\n");
	comes("five\nsix\n");
	copy_is("one\ntwo\nthree\nfour\nfive\nONE\nsix\n");
	ck_assert(!t->again);
	comes("six\n"); /* they go along: as it is */
	copy_is("one\ntwo\nthree\nfour\nfive\nONE\nsix\nsix\n");
}
END_TEST

START_TEST(where_both_stand_is_known_to_the_next_shim)
{
	char hex[SHA256_HEX];

	comes("one\ntwo");
	sent_again(4);
	comes("1\n2\n3\n");
	ck_assert(t->again); /* not beyond where it stood */
	comes("4\n");
	copy_is("one\ntwo\n1\n2\n3\n4\n");
	ck_assert(!t->again);
	shim_anew();
	ck_assert_int_eq(asked_from(), 8);
	sha256_hex("1\n2\n3\n4\n", 8, hex);
	ck_assert_int_eq(json_get_int(json_object_get(asked, "check"), "len", -1), 8);
	ck_assert_str_eq(json_get_text(json_object_get(asked, "check"), "sha256", ""), hex);
	comes("5\n");
	shim_anew();
	ck_assert_int_eq(asked_from(), 10);
	sha256_hex("5\n", 2, hex);
	ck_assert_str_eq(json_get_text(json_object_get(asked, "check"), "sha256", ""), hex);
}
END_TEST

START_TEST(no_more_lines_are_known_than_may_be)
{
	comes("x\n");
	sent_again(1000);
	t->nknown = LINES_MAX; /* as if */
	size_t room = t->room;
	comes("a\nb\nc\nd\n");
	ck_assert_uint_eq(t->nknown, LINES_MAX);
	ck_assert_uint_eq(t->room, room);
	t->nknown = 1;
}
END_TEST

START_TEST(it_is_asked_anew_with_growing_pauses)
{
	for (int64_t ms = ANEW_MS, i = 0; i < 8; i++, ms = 2 * ms < ANEW_MOST_MS ? 2 * ms : ANEW_MOST_MS) {
		json_decref(asked);
		asked = NULL;
		ctl(json_pack("{s:b}", "changed", 1));
		on_fin(t, t->stream, NULL);
		ck_assert_ptr_null(asked);
		ck_assert(loop_timer_active(t->retry));
		ck_assert_int_eq(t->anew_ms, ms);
		on_retry(t);
		ck_assert_ptr_nonnull(asked);
	}
	comes("x\n");
	ctl(json_pack("{s:b}", "changed", 1));
	on_fin(t, t->stream, NULL);
	ck_assert_int_eq(t->anew_ms, ANEW_MS);
	/* No stream to be had. */
	refuse = true;
	on_retry(t);
	ck_assert_ptr_null(t->stream);
	ck_assert(loop_timer_active(t->retry));
}
END_TEST

static void on_answer(void *arg, json_t *result, const struct err *why)
{
	(void)arg;
	json_decref(result);
	answered++;
	answer = why ? *why : (struct err){0};
}

START_TEST(looks_are_bounded_and_end)
{
	for (int i = 0; i < LOOKS_MAX; i++)
		tail_look(&shim, "abc123", on_answer, NULL);
	ck_assert_int_eq(answered, 0);
	tail_look(&shim, "abc123", on_answer, NULL);
	ck_assert_int_eq(answered, 1);
	ck_assert_int_eq(answer.code, ERR_BUSY);
	ck_assert(loop_timer_active(looks->deadline));
	on_look_overdue(looks);
	ck_assert_int_eq(answered, 2);
	ck_assert_int_eq(answer.code, ERR_TIMEOUT);
	ctl(json_pack("{s:I}", "looked", (json_int_t)last_look));
	ck_assert_int_eq(answered, LOOKS_MAX + 1);
	ck_assert_int_eq(answer.code, ERR_NONE);
}
END_TEST

START_TEST(the_oldest_goes_and_stays_the_oldest)
{
	static char text[32 * 1024];
	static const char older[] = "conversation-01234567-0123-0123-0123-0123456789ac.jsonl";
	struct stat st;

	tail_destroy_all(&shim);
	begin(MAX_LEAST);
	memset(text, 'x', sizeof(text));
	cleanup_close int fd = openat(t->dir, older, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(write_all(fd, text, sizeof(text)), 0);
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	ck_assert_int_eq(futimens(fd, times), 0);
	on_data(t, t->stream, text, sizeof(text));
	on_data(t, t->stream, text, 8192);
	ck_assert_int_eq(fstat(fd, &st), 0);
	if (st.st_blocks * 512 >= (blkcnt_t)sizeof(text))
		return; /* this file system makes no holes, or knows later what it takes */
	ck_assert_int_eq(st.st_mtim.tv_sec, 1000);
	ck_assert_uint_eq(t->length, sizeof(text) + 8192);
	ck_assert_int_eq(lseek(t->fd, 0, SEEK_DATA), 0);
}
END_TEST

TEST_MAIN_FIXTURE("shim/tail", setup, teardown, a_rewrite_that_goes_on_is_copied_once, where_both_stand_is_known_to_the_next_shim,
	no_more_lines_are_known_than_may_be, it_is_asked_anew_with_growing_pauses, looks_are_bounded_and_end,
	the_oldest_goes_and_stays_the_oldest)
