/* SPDX-License-Identifier: ISC */
/* A world for core that does nothing but remember what it was asked. */
#ifndef TESTS_FAKE_WORLD_H
#define TESTS_FAKE_WORLD_H

#include "base/util.h"
#include "daemon/core/fleet.h"

#define CALLS_MAX 256

struct fake_call {
	char place[ID_SIZE], method[24];
	json_t *params;
	port_reply_fn *fn;
	void *arg;
	bool answered;
};

struct fake_world {
	struct core_port port;
	struct core_settings set;
	struct fleet *f;
	struct after {
		port_done_fn *fn;
		void *arg;
	} after[1024];
	size_t nafter, done;
	struct fake_call call[CALLS_MAX];
	size_t ncalls;
	json_t *events;
	int makes, starts, adopts, kills, clears, disks_kept, pane_open, pane_close, deleted, place_deleted;
	uint64_t seq; /* of the last event told with fake_tell */
	uint64_t acked, writes, seq_kept; /* seq_kept: of the row of the place that was written last */
	int64_t steps_wait; /* ms, as it was told with the last acknowledgement */
	bool fail_make;
	char **folders;
	char last_prompt[64];
	bool keep_prompts;
	struct prompt *kept; /* the last that was written, with keep_prompts */
	struct spawn_key spawn_key;
	struct spawn_time spawn_time[64]; /* the newest of them */
	size_t spawn_times, other_boots;
	char *meta; /* the last that was put */
};

void fake_init(struct fake_world *w);
void fake_finish(struct fake_world *w);
/* Ends the turn: runs what waits for the commit, until nothing does. */
void fake_turn(struct fake_world *w);
/* The next event of its shim, with its turn; ev is stolen. */
void fake_tell(struct fake_world *w, const struct instance *in, const char *type, json_t *ev);
void fake_report(struct fake_world *w, const struct instance *in, const char *event, bool step, json_t *body /* stolen, or NULL */);
/* One that is idle since it reported that event. */
struct instance *fake_start(struct fake_world *w, const char *event);
void fake_hello(struct fake_world *w, const struct instance *in, int shim_pid);
/* The newest unanswered call of that method, or NULL. */
struct fake_call *fake_find(struct fake_world *w, const char *method);
void fake_answer(struct fake_world *w, const char *method, json_t *result);
void fake_refuse(struct fake_world *w, const char *method, enum err_code code);
/* Its program has ended or is to: its place ends too, and its shim. */
void fake_let_end(struct fake_world *w, const char *id);
/* How many events of that type there were. */
int fake_events(struct fake_world *w, const char *type);

#endif
