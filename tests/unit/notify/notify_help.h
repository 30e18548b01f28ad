/* SPDX-License-Identifier: ISC */
/* Notifications over the real store: time, the programs that tell, and what needs a person are the test's own. */
#ifndef TESTS_NOTIFY_HELP_H
#define TESTS_NOTIFY_HELP_H

#include "base/clock.h"
#include "daemon/notify/notify.h"
#include "daemon/notify/run.h"
#include "tests/unit/core/model/fake_loop.h"
#include "tests/unit/store/store_help.h"

#define THINGS_MAX 1001
#define AFTER_MAX 8
#define TOLD_MAX 16
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static struct attention things[THINGS_MAX];
static bool there[THINGS_MAX];
static struct config *config;
static struct store *store;
static struct notify *notify;
static struct loop *loop;
static struct {
	void (*fn)(void *arg);
	void *arg;
} after[AFTER_MAX];
static size_t nafter;
static json_t *told[TOLD_MAX]; /* the body of each that was given to a program */
static int64_t told_ms[TOLD_MAX];
static size_t ntold;
static int rung;
static run_over_fn *over;
static void *over_arg;
static bool hangs; /* programs do not end by themselves */

/* ---- in place of daemon/notify/run.c ---- */

struct run {
	int unused;
};
static struct run running;

struct run *run_begin(struct loop *l, char *const *argv, const char *input, int64_t deadline_ms, run_over_fn *fn, void *arg,
	struct err *e)
{
	(void)l;
	(void)argv;
	(void)deadline_ms;
	(void)e;
	ck_assert_uint_lt(ntold, TOLD_MAX);
	told[ntold] = json_loads(input, 0, NULL);
	ck_assert_ptr_nonnull(told[ntold]);
	told_ms[ntold++] = clock_wall_ms();
	over = fn;
	over_arg = arg;
	return &running;
}

void run_leave(struct run *r)
{
	(void)r;
}

/* ---- its surroundings ---- */

static void on_wrote(void *arg, int r, const struct err *e)
{
	(void)arg;
	ck_assert_msg(r >= 0, "%s", e->message);
}

static void on_after(void *arg, void (*fn)(void *fn_arg), void *fn_arg)
{
	(void)arg;
	ck_assert_uint_lt(nafter, AFTER_MAX);
	after[nafter].fn = fn;
	after[nafter++].arg = fn_arg;
}

static const struct attention *on_item(void *arg, const char *key, const char **ret_name)
{
	(void)arg;
	for (size_t i = 0; i < THINGS_MAX; i++) {
		if (!there[i] || strcmp(things[i].key, key) != 0)
			continue;
		*ret_name = things[i].subject;
		return &things[i];
	}
	return NULL;
}

static void on_ring(void *arg, const void *data, size_t len)
{
	(void)arg;
	(void)data;
	ck_assert_uint_gt(len, 0);
	rung++;
}

static const struct notify_ops ops = {.wrote = on_wrote, .after = on_after, .item = on_item, .ring = on_ring};

/* The turn ends: it is on disk, and then what waited for that is done; programs end with `code`. */
static void turn_end(void)
{
	must_commit(store);
	for (size_t i = 0; i < nafter; i++)
		after[i].fn(after[i].arg);
	nafter = 0;
	must_commit(store);
}

static void program_ends(int code)
{
	run_over_fn *fn = over;

	ck_assert_ptr_nonnull(fn);
	over = NULL;
	fn(over_arg, (struct proc_status){.code = code}, false, code ? "it said no" : "");
	turn_end();
}

static void pass(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	do {
		turn_end();
		if (over && !hangs)
			program_ends(0);
	} while (time_step(until));
}

static void option(const char *name, const char *value)
{
	cleanup_free char *variable = xasprintf("TMUX_CLAUDE_NOTIFY_%s", name);

	setenv(variable, value, 1);
}

static void begin(void)
{
	cleanup_free char *absent = xasprintf("%s/config", folder);
	struct err e = {0};

	ck_assert_msg(config_load(absent, &config, &e) == 0, "%s", e.message);
	store = must_open();
	notify = notify_create(loop, store, config, &ops, NULL);
	ck_assert_msg(notify_load(notify, &e) == 0, "%s", e.message);
}

static void end(void)
{
	notify_destroy(take_ptr(notify));
	store_close(take_ptr(store));
	config_free(take_ptr(config));
	nafter = 0;
	over = NULL;
}

/* Killed, and another comes. */
static void another_daemon(void)
{
	end();
	begin();
}

static void setup(void)
{
	cleanup_free char *program = NULL;

	help_setup();
	setenv("TZ", "UTC", 1);
	setenv("TMUX_CLAUDE_LIBEXEC", folder, 1);
	program = xasprintf("%s/tmux-claude-webhook", folder);
	ck_assert_int_eq(file_write_atomic(program, "", 0, 0700, NULL), 0);
	time_begin(1);
	loop = loop_create(NULL);
	option("DELAY", "3000");
	option("EVERY", "30");
	option("COMMAND", "tells");
}

static void teardown(void)
{
	if (notify)
		end();
	for (size_t i = 0; i < ntold; i++)
		json_decref(told[i]);
	help_teardown();
}

/* ---- what is done to it, and what is heard ---- */

static void thing_comes(size_t i)
{
	struct attention *a = &things[i];

	if (!a->key[0]) {
		*a = (struct attention){.why = AT_FAILED, .since_ms = 1000};
		memcpy(a->instance, "ab12cd", ID_SIZE);
		str_fmt(a->subject, sizeof(a->subject), "%zu", i);
		str_fmt(a->text, sizeof(a->text), "it failed");
		attention_name(a);
	}
	there[i] = true;
	notify_item(notify, a);
	turn_end();
}

static void thing_goes(size_t i)
{
	there[i] = false;
	notify_gone(notify, things[i].key);
	turn_end();
}

/* The n-th that was told is of these things, in this order: "0 2 1". */
static void says(size_t n, const char *names)
{
	char got[256] = "";
	json_t *item;
	size_t i;

	ck_assert_msg(n < ntold, "%zu were told, not %s", ntold, names);
	json_array_foreach(json_object_get(told[n], "items"), i, item)
		str_fmt(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? " " : "",
			json_string_value(json_object_get(item, "name")));
	ck_assert_str_eq(got, names);
}

static const char *id_of(size_t n)
{
	ck_assert_uint_lt(n, ntold);
	return json_string_value(json_object_get(told[n], "id"));
}

/* "sent failed", the newest first; owned. */
static char *statuses(void)
{
	json_t *all = notify_status(notify, 0, NULL), *no;
	char *s = xstrdup("");
	size_t i;

	json_array_foreach(json_object_get(all, "notices"), i, no) {
		char *longer = xasprintf("%s%s%s", s, i ? " " : "", json_string_value(json_object_get(no, "status")));
		free(s);
		s = longer;
	}
	json_decref(all);
	return s;
}

static void stand(const char *wanted)
{
	cleanup_free char *got = statuses();

	ck_assert_str_eq(got, wanted);
}

#endif
