/* SPDX-License-Identifier: ISC */
/* The store when things go wrong: killed, full disk, damaged, newer, older, locked. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/store/migrate.h"
#include "tests/unit/store/store_help.h"

/* Runs fn in a child that then waits to be killed; returns once fn is through. */
static pid_t child_at(void (*fn)(struct store *))
{
	int p[2];
	char c;
	ck_assert_int_eq(pipe(p), 0);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct store *s = NULL;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (store_open(db_path, &s, NULL))
			_exit(9);
		fn(s);
		if (write(p[1], "x", 1) != 1)
			_exit(9);
		for (;;)
			pause();
	}
	close(p[1]);
	ck_assert_int_eq(read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

static void kill_9(pid_t pid)
{
	int st;
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	ck_assert(WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL);
}

static void commit_one_write_another(struct store *s)
{
	if (put_simple(s, "aaaaaa", "told", NULL) || store_commit(s, NULL) ||
		put_simple(s, "bbbbbb", "not-told", NULL) ||
		store_event_add(s, EV_CREATED, "bbbbbb", NULL, 1, NULL, NULL, NULL))
		_exit(9);
}

START_TEST(test_killed_between_write_and_commit_only_the_committed_is_there)
{
	struct loaded l;
	kill_9(child_at(commit_one_write_another));
	struct store *s = must_open();
	must_load(s, &l);
	ck_assert_uint_eq(l.ni, 1);
	ck_assert_str_eq(l.i[0]->id, "aaaaaa");
	ck_assert(!store_id_used(s, "bbbbbb"));
	ck_assert_int_eq(store_event_last(s), 0);
	loaded_free(&l);
	store_close(s);
}
END_TEST

static void commit_many(struct store *s)
{
	char id[ID_SIZE];
	for (int k = 0; k < 50; k++) {
		snprintf(id, sizeof(id), "id%04d", k);
		if (put_simple(s, id, id, NULL) || store_commit(s, NULL))
			_exit(9);
	}
}

START_TEST(test_killed_after_commits_all_are_there)
{
	struct loaded l;
	kill_9(child_at(commit_many));
	struct store *s = must_open();
	must_load(s, &l);
	ck_assert_uint_eq(l.ni, 50);
	loaded_free(&l);
	store_close(s);
}
END_TEST

static void sql(const char *text)
{
	sqlite3 *db;
	char *why = NULL;
	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, &why) == SQLITE_OK, "%s", why);
	sqlite3_close(db);
}

static void must_refuse(enum err_code code, const char *part)
{
	struct store *s = NULL;
	struct err e = {0};
	ck_assert_int_eq(store_open(db_path, &s, &e), -1);
	ck_assert_ptr_null(s);
	ck_assert_msg(e.code == code, "%d %s", e.code, e.message);
	ck_assert_msg(strstr(e.message, part) != NULL, "%s", e.message);
	ck_assert_msg(strstr(e.message, db_path) != NULL, "%s", e.message);
	ck_assert(e.hint[0]);
}

START_TEST(test_a_newer_database_is_refused_and_not_touched)
{
	char *was, *is;
	size_t nwas, nis;
	store_close(must_open());
	sql("PRAGMA user_version=99; CREATE TABLE later(x INTEGER) STRICT;");
	/* Its own mode, so that opening would change it if WAL were set before looking. */
	sql("PRAGMA journal_mode=DELETE");
	ck_assert_int_eq(file_read(db_path, 1 << 20, &was, &nwas, NULL), 0);
	must_refuse(ERR_VERSION, "newer");
	ck_assert_int_eq(file_read(db_path, 1 << 20, &is, &nis, NULL), 0);
	ck_assert_uint_eq(nwas, nis);
	ck_assert_mem_eq(was, is, nis);
	free(was);
	free(is);
}
END_TEST

START_TEST(test_another_programs_database_is_refused)
{
	sql("CREATE TABLE bookmarks(url TEXT);");
	must_refuse(ERR_IO, "not one of tmux-claude");
}
END_TEST

START_TEST(test_a_file_that_is_no_database_is_refused)
{
	char text[8192];
	memset(text, 'x', sizeof(text));
	ck_assert_int_eq(file_write_atomic(db_path, text, sizeof(text), 0600, NULL), 0);
	must_refuse(ERR_DAMAGED, "damaged");
}
END_TEST

START_TEST(test_a_corrupted_page_is_reported)
{
	struct err e = {0};
	char noise[4096];
	struct store *s = must_open();
	json_t *data = json_pack("{s:s}", "text", "some text that fills the pages");
	for (int k = 0; k < 2000; k++)
		ck_assert_int_eq(store_event_add(s, EV_NOTICE, "aaaaaa", NULL, k, data, NULL, &e),
			0);
	must_commit(s);
	json_decref(data);
	store_close(s);
	int fd = open(db_path, O_RDWR);
	off_t size = lseek(fd, 0, SEEK_END);
	ck_assert_int_gt(size, 30 * 4096);
	memset(noise, 0xa5, sizeof(noise));
	ck_assert_int_eq(pwrite(fd, noise, sizeof(noise), (size / 2) & ~4095), 4096);
	close(fd);
	must_refuse(ERR_DAMAGED, "damaged");
}
END_TEST

START_TEST(test_a_truncated_file_is_reported)
{
	struct err e = {0};
	struct store *s = must_open();
	ck_assert_int_eq(put_simple(s, "aaaaaa", "a", &e), 0);
	must_commit(s);
	store_close(s);
	ck_assert_int_eq(truncate(db_path, 3 * 4096), 0);
	must_refuse(ERR_DAMAGED, "damaged");
}
END_TEST

START_TEST(test_writes_wait_for_a_lock_and_lose_nothing)
{
	struct err e = {0};
	struct loaded l;
	int64_t seq = 0;
	sqlite3 *db;
	struct store *s = must_open();
	ck_assert_int_eq(store_event_add(s, EV_NOTICE, NULL, NULL, 1, NULL, &seq, &e), 0);
	must_commit(s);
	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(put_simple(s, "aaaaaa", "it's \xc3\xa4", &e), 0);
	ck_assert_int_eq(store_event_add(s, EV_NOTICE, NULL, NULL, 2, NULL, &seq, &e), 0);
	ck_assert_int_eq(seq, 2);
	ck_assert_int_eq(store_event_add(s, EV_NOTICE, NULL, NULL, 3, NULL, &seq, &e), 0);
	ck_assert_int_eq(seq, 3);
	ck_assert(store_dirty(s) && store_held(s));
	ck_assert_int_eq(store_event_durable(s), 1);
	ck_assert_int_eq(store_resume(s, 0, &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	ck_assert(e.hint[0]);
	ck_assert_int_eq(store_commit(s, &e), -1);
	ck_assert_int_eq(e.code, ERR_BUSY);
	ck_assert(store_dirty(s));
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	must_commit(s);
	ck_assert(!store_held(s) && !store_dirty(s));
	ck_assert_int_eq(store_event_last(s), 3);
	must_load(s, &l);
	ck_assert_uint_eq(l.ni, 1);
	ck_assert_str_eq(l.i[0]->name, "it's \xc3\xa4");
	loaded_free(&l);
	/* Given up: nothing of it is there, and its numbers come again. */
	ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(store_event_add(s, EV_NOTICE, NULL, NULL, 4, NULL, &seq, &e), 0);
	store_rollback(s);
	sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	ck_assert(!store_held(s));
	ck_assert_int_eq(store_event_last(s), 3);
	sqlite3_close(db);
	store_close(s);
}
END_TEST

/* Fills the store until it fails; returns how many rows were committed. */
static int fill(struct store *s, int *next, struct err *e)
{
	char *big = xcalloc(1, 20001);
	memset(big, 'x', 20000);
	json_t *data = json_pack("{s:s}", "text", big);
	int n = 0;
	for (; n < 1000; n++) {
		if (store_event_add(s, EV_NOTICE, NULL, NULL, (*next)++, data, NULL, e) ||
			store_commit(s, e))
			break;
	}
	json_decref(data);
	free(big);
	return n;
}

static int count_events(struct store *s)
{
	json_t *a = store_events(s, 0, 100000, NULL, NULL);
	int n = (int)json_array_size(a);
	json_decref(a);
	return n;
}

static void full_then_room(const char *what, void (*make_room)(void))
{
	struct err e = {0};
	int next = 0;
	struct store *s = must_open();
	int n = fill(s, &next, &e);
	ck_assert_int_lt(n, 1000);
	ck_assert_msg(e.code == ERR_DISK, "%s: %d %s", what, e.code, e.message);
	ck_assert(e.hint[0]);
	store_rollback(s);
	ck_assert_int_eq(count_events(s), n); /* what was committed, no more, no less */
	make_room();
	err_clear(&e);
	ck_assert_msg(put_simple(s, "aaaaaa", "a", &e) == 0, "%s", e.message);
	must_commit(s);
	store_close(s);
	s = must_open();
	ck_assert_int_eq(count_events(s), n);
	ck_assert(store_id_used(s, "aaaaaa"));
	store_close(s);
}

static void unlimit(void)
{
	struct rlimit r;
	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = r.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
}

START_TEST(test_a_file_size_limit_is_a_full_disk)
{
	struct rlimit r;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &r);
	r.rlim_cur = 512 * 1024;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &r), 0);
	full_then_room("limit", unlimit);
}
END_TEST

static char filler[128];

static void remove_filler(void)
{
	ck_assert_int_eq(unlink(filler), 0);
}

START_TEST(test_a_full_disk_costs_nothing_that_was_committed)
{
	/* A file system of 2 MiB of our own; where that is not allowed, the test above must do. */
	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("tmpfs", folder, "tmpfs", 0, "size=2m")) {
		fprintf(stderr, "# no file system of our own here: %m\n");
		return;
	}
	store_close(must_open());
	snprintf(filler, sizeof(filler), "%s/filler", folder);
	int fd = open(filler, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(posix_fallocate(fd, 0, 1024 * 1024), 0);
	close(fd);
	full_then_room("tmpfs", remove_filler);
	umount2(folder, MNT_DETACH);
}
END_TEST

static const struct migration steps[] = {
	{"one", "CREATE TABLE a(x INTEGER) STRICT; INSERT INTO a VALUES(1);"},
	{"two", "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y=x+1;"},
	{"three", "CREATE TABLE b(z INTEGER) STRICT;"},
};
static const struct migration broken[] = {
	{"one", ""}, {"two", "UPDATE a SET x=99;"}, {"three", "ALTER TABLE nowhere ADD COLUMN q;"},
};

static int number(const char *path, const char *query)
{
	sqlite3 *db;
	sqlite3_stmt *st = NULL;
	int n = -1;
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
		sqlite3_prepare_v2(db, query, -1, &st, NULL) == SQLITE_OK &&
		sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(db);
	return n;
}

static int migrate(const struct migration *table, int n, struct err *e)
{
	sqlite3 *db;
	ck_assert_int_eq(sqlite3_open(db_path, &db), SQLITE_OK);
	int r = store_migrate(db, db_path, table, n, e);
	sqlite3_close(db);
	return r;
}

START_TEST(test_migrations_go_forward_and_keep_a_copy)
{
	struct err e = {0};
	char copy[128], tmp[160];
	snprintf(copy, sizeof(copy), "%s.v1", db_path);
	snprintf(tmp, sizeof(tmp), "%s.tmp", copy);
	ck_assert_int_eq(migrate(steps, 1, &e), 0);
	ck_assert_int_ne(access(copy, F_OK), 0); /* an empty file needs none */
	ck_assert_int_eq(file_write_atomic(tmp, "left by a crash", 15, 0600, NULL), 0);
	ck_assert_msg(migrate(steps, 3, &e) == 0, "%s", e.message);
	ck_assert_int_eq(number(db_path, "PRAGMA user_version"), 3);
	ck_assert_int_eq(number(db_path, "SELECT y FROM a"), 2);
	ck_assert_int_eq(number(copy, "PRAGMA user_version"), 1);
	ck_assert_int_eq(number(copy, "SELECT x FROM a"), 1);
	ck_assert_int_ne(access(tmp, F_OK), 0);
	ck_assert_int_eq(migrate(steps, 3, &e), 0); /* nothing to do */
	ck_assert_int_eq(migrate(steps, 2, &e), -1);
	ck_assert_int_eq(e.code, ERR_VERSION);
}
END_TEST

START_TEST(test_a_failing_migration_changes_nothing)
{
	struct err e = {0};
	ck_assert_int_eq(migrate(steps, 1, &e), 0);
	ck_assert_int_eq(migrate(broken, 3, &e), -1);
	ck_assert_msg(strstr(e.message, "step 3") != NULL, "%s", e.message);
	ck_assert_int_eq(number(db_path, "PRAGMA user_version"), 1);
	ck_assert_int_eq(number(db_path, "SELECT x FROM a"), 1);
	ck_assert_int_eq(migrate(steps, 3, &e), 0);
}
END_TEST

TEST_MAIN_FIXTURE("store/crash", help_setup, help_teardown,
	test_killed_between_write_and_commit_only_the_committed_is_there,
	test_killed_after_commits_all_are_there,
	test_a_newer_database_is_refused_and_not_touched, test_another_programs_database_is_refused,
	test_a_file_that_is_no_database_is_refused, test_a_corrupted_page_is_reported,
	test_a_truncated_file_is_reported, test_writes_wait_for_a_lock_and_lose_nothing,
	test_a_file_size_limit_is_a_full_disk, test_a_full_disk_costs_nothing_that_was_committed,
	test_migrations_go_forward_and_keep_a_copy, test_a_failing_migration_changes_nothing)
