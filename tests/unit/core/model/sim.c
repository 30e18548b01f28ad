/* SPDX-License-Identifier: ISC */
/* The life of the daemon under test: its rooms are the real ones over a real file; see sim.h. */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/core/model/model.h"

#define DB_MAX (64 * 1024 * 1024)
#define WORK_MAX 100000 /* deferred calls of one turn */

struct sim sim;

/* Read instead of base/log.c: what core calls a bug is one. */
void __wrap_log_write(enum log_level level, const char *subsystem, const char *id, const char *fmt, ...);
int __wrap_store_commit(struct store *s, struct err *e);
int __real_store_commit(struct store *s, struct err *e);

void sim_fail(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	_exit(MODEL_FAILED);
}

void __wrap_log_write(enum log_level level, const char *subsystem, const char *id, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (model_loud)
		printf("      [%s %s] %s\n", subsystem, id ? id : "-", text);
	if (level == LOG_LEVEL_ERROR && strstr(text, "this is a bug"))
		sim_fail("logged: %s", text);
}

int __wrap_store_commit(struct store *s, struct err *e)
{
	if (sim.fail_commit && store_dirty(s)) {
		sim.fail_commit = false;
		return err_set(e, ERR_DISK, "the disk is full, says the test");
	}
	return __real_store_commit(s, e);
}

char *sim_db_path(void)
{
	return xasprintf("%s/%d.db", sim.dir, sim.generation);
}

static void load_instance(void *arg, struct instance *i)
{
	(void)arg;
	fleet_load_instance(sim.w.fleet, i);
}

static void load_place(void *arg, struct place *p)
{
	(void)arg;
	fleet_load_place(sim.w.fleet, p);
}

static void load_prompt(void *arg, struct prompt *p)
{
	(void)arg;
	fleet_load_prompt(sim.w.fleet, p);
}

static void load_intent(void *arg, const struct intent *in)
{
	(void)arg;
	fleet_load_intent(sim.w.fleet, in);
}

static void load_spawn_time(void *arg, const struct spawn_time *t)
{
	(void)arg;
	fleet_load_spawn_time(sim.w.fleet, t);
}

static void on_broken(void *arg, const struct err *why)
{
	(void)arg;
	(void)why;
	sim.broken = true;
}

/* As the pool of tmux servers does: what stands for nothing that lives is closed. */
static void close_strange_panes(void)
{
	for (size_t i = sim.npanes; i-- > 0;) {
		const struct instance *in = fleet_get(sim.w.fleet, sim.pane[i]);
		if (!in || !state_living(in->state))
			memcpy(sim.pane[i], sim.pane[--sim.npanes], ID_SIZE);
	}
}

static void open_store(struct store **ret)
{
	cleanup_free char *path = sim_db_path();
	struct err e = {0};

	if (store_open(path, ret, &e) < 0)
		sim_fail("the store cannot be opened: %s", e.message);
}

void sim_daemon_start(void)
{
	static const struct store_load_ops ops = {.instance = load_instance, .place = load_place,
		.prompt = load_prompt, .intent = load_intent, .spawn_time = load_spawn_time};
	struct world *w = &sim.w;
	cleanup_free char *caps = NULL;
	struct err e = {0};

	open_store(&w->store);
	open_store(&sim.reader);
	w->loop = loop_create(NULL);
	w->bus = bus_create(w->loop, w->store);
	w->turn = turn_create(w->loop, w->store, w->bus);
	turn_on_broken(w->turn, on_broken, NULL);
	w->port.ctx = w;
	w->port.loop = w->loop;
	sim_port(&w->port);
	w->fleet = fleet_create(&w->port, &w->settings);
	sim.broken = false;
	sim.alive = true;
	if (store_load(w->store, &ops, NULL, &e) < 0)
		sim_fail("the rows cannot be read: %s", e.message);
	caps = store_meta_get(w->store, fleet_caps_key());
	fleet_load_caps(w->fleet, caps);
	model_loaded();
	close_strange_panes();
	fleet_reconcile(w->fleet);
	turn_event(w->turn, EV_DAEMON_STARTED, NULL, NULL, json_pack("{s:i}", "pid", sim.generation));
	model_started();
}

static void copy_file(const char *from, const char *to)
{
	cleanup_free char *data = NULL;
	size_t len;
	cleanup_close int fd = -1;

	if (file_read(from, DB_MAX, &data, &len, NULL) < 0)
		return; /* a WAL that is not there */
	fd = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write_all(fd, data, len) < 0)
		sim_fail("%s cannot be written", to);
}

/* What is on disk goes on; memory and the open transaction are lost. */
void sim_daemon_crash(void)
{
	cleanup_free char *old = sim_db_path(), *wal = xasprintf("%s-wal", old);
	cleanup_free char *new_db = NULL, *new_wal = NULL;

	model_crashed();
	sim_daemon_gone();
	sim.generation++;
	new_db = sim_db_path();
	new_wal = xasprintf("%s-wal", new_db);
	copy_file(old, new_db);
	copy_file(wal, new_wal);
	store_close(sim.reader);
	store_close(sim.w.store);
	unlink(old);
	loop_forget();
	sim.crash_soon = sim.alive = sim.fail_commit = sim.fail_make = sim.refuse_call = sim.closed = false;
	sim.w.fleet = NULL;
}

void sim_turn(void)
{
	for (int n = 0; !sim.crash_soon && loop_work(); n++)
		if (n > WORK_MAX)
			sim_fail("the turn never ends");
	if (sim.broken && !sim.crash_soon) { /* main.c: connections close, and the last turn is flushed */
		model_callers_go();
		while (loop_work())
			;
	}
	if (sim.broken || sim.crash_soon) { /* broken: main.c ends then; the next daemon reads what is true */
		sim_daemon_crash();
		sim_daemon_start();
		sim_turn();
	}
}

void sim_begin(uint64_t seed, const char *dir)
{
	memset(&sim, 0, sizeof(sim));
	snprintf(sim.dir, sizeof(sim.dir), "%s", dir);
	time_begin(seed);
	model_settings(&sim.w.settings);
	sim_daemon_start();
	sim_turn();
}
