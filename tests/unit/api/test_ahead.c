/* SPDX-License-Identifier: ISC */
/* No caller and no subscriber is told what is not on disk: a crash would take it back, and reuse its number. */
#include "base/sock.h"
#include "base/util.h"
#include "daemon/api/api.h"
#include "tests/unit/run.h"

#define SAID_MAX 8192

static char dir[] = "/tmp/tcaheadXXXXXX";
static struct world w;
static struct api *api;
static int client, broken;
static char said[SAID_MAX];

static void on_broken(void *arg, const struct err *why)
{
	(void)arg;
	(void)why;
	broken++;
}

static void setup(void)
{
	cleanup_free char *db = NULL, *sock = NULL;
	struct err e = {0};
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	db = xasprintf("%s/fleet.db", dir);
	sock = xasprintf("%s/d.sock", dir);
	w.loop = loop_create(&e);
	ck_assert_msg(store_open(db, &w.store, &e) == 0, "%s", e.message);
	w.bus = bus_create(w.loop, w.store);
	w.turn = turn_create(w.loop, w.store, w.bus);
	turn_on_broken(w.turn, on_broken, NULL);
	ck_assert_msg(sock_listen(sock, 0600, &fd, &e) == 0, "%s", e.message);
	api = api_create(&w, fd);
	ck_assert_msg(sock_connect(sock, &client, &e) == 0, "%s", e.message);
	said[0] = 0;
}

static void teardown(void)
{
	close(client);
	api_destroy(api);
	turn_destroy(w.turn);
	bus_destroy(w.bus);
	store_close(w.store);
	loop_destroy(w.loop);
	tree_remove(dir, NULL);
}

static void event(const char *text)
{
	turn_event(w.turn, EV_NOTICE, NULL, NULL, json_pack("{s:s}", "text", text));
}

static void event_kept(const char *text)
{
	event(text);
	while (store_dirty(w.store))
		loop_turn(w.loop, -1); /* the commit at its end */
}

/* Written, and nothing on its way to commit it: as a lazy one before its time. */
static void open_event(const char *text)
{
	json_t *data = json_pack("{s:s}", "text", text);
	struct err e = {0};

	ck_assert_int_eq(store_event_add(w.store, EV_NOTICE, NULL, NULL, 1, data, NULL, &e), 0);
	json_decref(data);
}

static void ask(const char *line)
{
	ck_assert_int_eq(write(client, line, strlen(line)), (ssize_t)strlen(line));
}

static void hear(void)
{
	size_t have = strlen(said);
	ssize_t n = read(client, said + have, SAID_MAX - 1 - have);

	if (n > 0)
		said[have + (size_t)n] = 0;
}

/* Turns until it was said. */
static void until(const char *what)
{
	for (hear(); !strstr(said, what); hear())
		loop_turn(w.loop, -1);
}

START_TEST(an_answer_waits_for_the_commit_of_what_it_saw)
{
	open_event("seen");
	ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"events\",\"params\":{}}\n");
	until("\"last\"");
	ck_assert_ptr_nonnull(strstr(said, "seen"));
	ck_assert(!store_dirty(w.store));
	ck_assert_int_eq(store_event_durable(w.store), 1);
}
END_TEST

START_TEST(what_a_rollback_takes_back_was_told_to_nobody)
{
	struct err e = {0};

	event_kept("kept");
	ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{\"since\":0}}\n");
	open_event("lost");
	until("kept"); /* fed while the transaction is open */
	ck_assert(store_dirty(w.store));
	ask("{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"events\",\"params\":{}}\n");
	err_set(&e, ERR_DISK, "full");
	turn_failed(w.turn, &e); /* as a commit that fails */
	until("\"error\"");
	ck_assert_int_eq(broken, 1);
	ck_assert_ptr_null(strstr(said, "lost"));
}
END_TEST

START_TEST(a_subscription_starts_behind_what_is_on_disk)
{
	event_kept("before");
	open_event("open");
	ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\",\"params\":{}}\n");
	until("{\"seq\":1,");
	ck_assert(store_dirty(w.store)); /* nothing was told that would need the commit */
	event("after");
	until("after");
	ck_assert_ptr_null(strstr(said, "before"));
}
END_TEST

TEST_MAIN_FIXTURE("api/ahead", setup, teardown, an_answer_waits_for_the_commit_of_what_it_saw,
	what_a_rollback_takes_back_was_told_to_nobody, a_subscription_starts_behind_what_is_on_disk)
