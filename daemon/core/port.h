/* SPDX-License-Identifier: ISC */
/*
 * Everything core asks of the world, so that core itself holds only decisions. The daemon wires the
 * real rooms behind it (daemon/world.c); tests wire fakes.
 *
 * Writes join the transaction of this turn of the loop. Effects on the world are asked for only from
 * after_commit: what is about to be done is on disk before it is done.
 */
#ifndef DAEMON_CORE_PORT_H
#define DAEMON_CORE_PORT_H

#include <jansson.h>

#include "base/loop.h"
#include "daemon/agent/agent.h"
#include "daemon/core/backoff.h"
#include "daemon/model/attention.h"
#include "daemon/model/host.h"
#include "daemon/model/model.h"
#include "daemon/model/schedule.h"
#include "daemon/model/transcript.h"
#include "daemon/model/usage.h"
#include "ipc/schema.h"

typedef void port_done_fn(void *arg, const struct err *error); /* error NULL: done */
typedef void port_reply_fn(void *arg, json_t *result, const struct err *error);

/* Whose memory is to be weighed: an instance and the process that holds it. */
struct memory_holder {
	char id[ID_SIZE];
	int64_t pid;
};
/* use: the biggest first; n 0 when it could not be found out. */
typedef void port_weighed_fn(void *arg, const struct memory_use *use, size_t n);

/* The operator's limits and other settings core decides by. */
struct core_settings {
	int64_t max_instances;
	int64_t fleet_memory, fleet_disk, fleet_spawn_rate; /* as max_instances, of all; CAP_UNLIMITED */
	struct cap default_cap;
	int64_t refusal_pause_ms; /* between events of the same refusal; 0: the default */
	int64_t boot_retries;
	int64_t start_timeout_ms;
	int64_t ask_ms; /* for a new shim to learn what a guest holds; 0: the default */
	int64_t broken_ms; /* a turn that looks interrupted is over after this; 0: the default */
	int64_t rows, cols;
	/* Admission (room.h); 0 where there is no bound, max_starts 0: by the processors. */
	int64_t max_starts, max_queue, cores;
	int64_t memory_reserve_mib, disk_reserve_mib;
	int64_t pressure_high, pressure_low; /* percent */
	int64_t approval_expiry_ms; /* 0: approvals wait for as long as their program does */
	/* The database is older than the world (restored, or lost and made anew): what it does not know is left alone. */
	bool spare_unknown;
	struct backoff_rules again;
	const char *prices; /* model/price.h: the option, borrowed; NULL: none */
	int64_t transcript_max; /* bytes kept of an instance's conversations */
	bool resume_limited;
	bool attention_finished; /* that an agent's turn has ended needs a person, until somebody looks */
	int64_t stuck_after_ms; /* at least; 0: nobody is ever called stuck */
	int64_t resume_spread_ms; /* tests: over how long; 0: the default */
};

struct core_port {
	void *ctx;
	struct loop *loop;

	/* Store. A failure is remembered by the turn: its commit fails, every caller hears why. */
	void (*instance_put)(void *ctx, const struct instance *i);
	void (*instance_delete)(void *ctx, const char *id);
	void (*place_put)(void *ctx, const struct place *p);
	void (*place_delete)(void *ctx, const char *id);
	void (*prompt_put)(void *ctx, const struct prompt *p);
	struct prompt *(*prompt_get)(void *ctx, const char *key); /* owned; NULL: none */
	void (*spawn_key_put)(void *ctx, const struct spawn_key *k);
	int (*spawn_key_get)(void *ctx, const char *key, struct spawn_key *ret); /* -1: none */
	/* Times of spawns: also drops those of the same boot that are older than older_ms; those of other boots. */
	void (*spawn_time_add)(void *ctx, const struct spawn_time *t, int64_t older_ms);
	void (*spawn_times_other)(void *ctx, const char *boot);
	/* Approvals (asks.h); all of them may be NULL: then they are kept in memory alone. get, once: owned, NULL: none. */
	void (*approval_put)(void *ctx, const struct approval *a);
	struct approval *(*approval_get)(void *ctx, const char *id);
	struct approval *(*approval_once)(void *ctx, const char *instance, const char *once);
	void (*grant_put)(void *ctx, const struct grant *g);
	void (*grant_delete)(void *ctx, const char *id);
	/* What needs a person (attention.h); NULL: it is kept in memory alone. */
	void (*attention_put)(void *ctx, const struct attention *a);
	void (*attention_delete)(void *ctx, const char *key);
	/* Schedules (schedule.h); both may be NULL: then they are kept in memory alone. used: of that id there was one. */
	void (*schedule_put)(void *ctx, const struct schedule *s);
	bool (*schedule_used)(void *ctx, const char *id);
	void (*meta_put)(void *ctx, const char *key, const char *value); /* NULL removes it */
	void (*intent_add)(void *ctx, const char *kind, const char *key);
	void (*intent_done)(void *ctx, const char *kind, const char *key);
	void (*event_add)(void *ctx, enum event_id type, const char *instance, const char *place,
		json_t *data /* stolen */);
	bool (*id_used)(void *ctx, const char *id);
	/* How often something was written so far; NULL: nobody counts, and every event counts as one that wrote. */
	uint64_t (*writes)(void *ctx);
	/* Between true and false writes may be made durable a little later, with others. */
	void (*lazily)(void *ctx, bool lazy);
	/* Runs fn once this turn's writes are on disk. error is set when they could not be. */
	void (*after_commit)(void *ctx, port_done_fn *fn, void *arg);

	/* Kinds. */
	const struct agent_program *(*agent)(void *ctx, const char *name); /* NULL: unknown */
	/* Checks driver, template, folder, agent for a new instance; fills defaults into it. */
	int (*check)(void *ctx, struct instance *in, struct err *e);
	bool (*isolated)(void *ctx, const char *driver);

	/* The host; each may be NULL: then nothing is counted. What a start takes, what is left (cheap: it may be
	 * a moment old), and who uses most of the memory (it takes a while). */
	void (*start_need)(void *ctx, const struct instance *in, struct start_need *ret);
	void (*host_look)(void *ctx, struct host_room *ret);
	void (*memory_weigh)(void *ctx, const struct memory_holder *held, size_t n, port_weighed_fn *fn,
		void *arg);

	/* Places. */
	void (*place_make)(void *ctx, struct place *p, const struct instance *in, port_done_fn *done,
		void *arg);
	void (*shim_start)(void *ctx, const char *place);
	void (*shim_adopt)(void *ctx, const char *place);
	void (*shim_call)(void *ctx, const char *place, const char *method, json_t *params /* stolen */,
		int64_t ms, port_reply_fn *fn, void *arg);
	/* steps_wait_ms: from here on reports of steps may wait so long for company (core/ack.c). */
	void (*shim_ack)(void *ctx, const char *place, uint64_t seq, int64_t steps_wait_ms);
	/* Drops the connection; calls that were not answered fail with ERR_UNREACHABLE, on the spot. */
	void (*shim_forget)(void *ctx, const char *place);
	/* The shim and holder by pid, when they do not answer: kill, checked by start time, and what they left. done
	 * comes when it has ended, with an error when not all could be ended; ERR_CANCELLED: it is not known. */
	void (*place_kill)(void *ctx, const char *place, port_done_fn *done, void *arg);
	/* Removes sockets and files of an ended place; the disk too unless keep_disk. */
	void (*place_clear)(void *ctx, const char *place, bool keep_disk);
	/* The params of the shim's `setup`; new reference. */
	json_t *(*setup_params)(void *ctx, const struct place *p, const struct instance *in);
	/* The params of the shim's `run`: command line, environment with the login, files. */
	/* *ret_conversation becomes the id the program was told (owned), or NULL. */
	int (*run_params)(void *ctx, const struct place *p, const struct instance *in, const char *prompt,
		bool resume, json_t **ret, char **ret_conversation, struct err *e);
	/* Names of the place folders on disk: NULL-terminated, owned by the caller. */
	char **(*place_folders)(void *ctx);
	/* Its shim or its holder runs. NULL in tests that need none. */
	bool (*place_runs)(void *ctx, const char *place);

	/* Panes. */
	void (*pane_open)(void *ctx, const struct instance *in);
	void (*pane_close)(void *ctx, const char *instance);
	void (*pane_rename)(void *ctx, const char *instance, const char *name);

	void (*recording_remove)(void *ctx, const char *instance);

	/* Conversations; all NULL in tests that need none. */
	void (*transcript_put)(void *ctx, const struct transcript *t);
	void (*transcript_prompt_add)(void *ctx, const char *instance, int64_t time_ms, const char *digest, enum seen_prompt how);
	void (*transcript_prompts_trim)(void *ctx, const char *instance); /* some time after adding */
	/* When it was seen, the earliest first; when others of the same text were made that were delivered since then. */
	size_t (*transcript_prompt_times)(void *ctx, const char *instance, const char *digest, int64_t since_ms, int64_t *times,
		size_t max);
	size_t (*prompts_same)(void *ctx, const struct prompt *p, int64_t since_ms, int64_t *created, size_t max);
	/* What agents spend (core/usage.c, store/store.h); all NULL in tests that need none. */
	bool (*usage_get)(void *ctx, const char *instance, const char *message, struct usage_message *ret);
	void (*usage_put)(void *ctx, const struct usage_message *m);
	void (*usage_trim)(void *ctx, const char *instance);
	void (*usage_add)(void *ctx, const char *instance, enum usage_kind kind, int64_t day, const char *model,
		const struct usage_sum *delta);
	void (*usage_state_put)(void *ctx, const struct usage_state *s);
	void (*usage_removed)(void *ctx, const char *instance, const char *parent);
	bool (*usage_conversation)(void *ctx, const char *instance, const char *conversation, const char *but,
		struct usage_sum *ret);
	/* The folder below which the instance's program keeps them in its place; owned, NULL: it is not known (its
	 * environment is not). */
	char *(*transcript_root)(void *ctx, const struct instance *in);
	/* The copy on this host: its length, 0 when there is none; bytes of it, -1 when it cannot be read. */
	int64_t (*transcript_length)(void *ctx, const char *instance, const char *conversation);
	int64_t (*transcript_read)(void *ctx, const char *instance, const char *conversation, int64_t from, void *buf,
		size_t size);
};

#endif
