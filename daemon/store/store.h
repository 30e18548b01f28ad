/* SPDX-License-Identifier: ISC */
/*
 * The fleet on disk: SQLite, WAL, synchronous=FULL, versioned migrations. The only user of SQLite.
 *
 * Writes join one open transaction (begun by the first of them) and become durable with
 * store_commit, which the daemon calls once per loop turn, before any caller is answered. A failed write
 * spoils the transaction: every further write and the commit are refused (ERR_STATE) until
 * store_rollback. Reads see the open transaction's writes too. ERR_DISK: the disk is full, a later
 * transaction may pass.
 */
#ifndef DAEMON_STORE_H
#define DAEMON_STORE_H

#include <jansson.h>

#include "daemon/model/approval.h"
#include "daemon/model/attention.h"
#include "daemon/model/model.h"
#include "daemon/model/notice.h"
#include "daemon/model/schedule.h"
#include "daemon/model/transcript.h"
#include "daemon/model/usage.h"
#include "ipc/schema.h"

#define PROMPTS_KEPT 1000
/* What is kept of the agents' answers: of one instance, and of all together; each counts what its row takes, too. */
#define ANSWER_BYTES_EACH (1024 * 1024)
#define ANSWER_BYTES_KEPT (256 * 1024 * 1024)
#define ANSWER_ROW_BYTES 128
#define SPAWN_KEYS_KEPT 10000
/* Of each instance the newest so many approvals are kept, of all instances so many, whole (with arguments and diff) so many. */
#define APPROVALS_KEPT 1000
#define APPROVALS_KEPT_ALL 100000
#define APPROVALS_WHOLE 100
#define SCHEDULES_KEPT 1000 /* of those that ended */

struct store;

/* Opens or creates. ERR_VERSION for a database from a newer version; ERR_DAMAGED for one that is
 * (quick_check), each with what to do. Migrates forward after a backup beside it (fleet.db.vN). Carries
 * out a restore that was decided (files.h). */
int store_open(const char *path, struct store **ret, struct err *e);
/*
 * A damaged database (ERR_DAMAGED of store_open, borrowed as why), to be looked at only: what can be read of it
 * is there, every write is refused with ERR_DAMAGED, and the file, its log included, is not touched. When nothing can be
 * read it is as if it were empty.
 */
int store_open_damaged(const char *path, const struct err *why, struct store **ret, struct err *e);
/* Why it is to be looked at only; NULL: it is sound. */
const struct err *store_damage(const struct store *s);
/* What is found damaged while it runs is written down beside it, so that the next store_open looks through all of
 * it, also at what the quick look passes over. */
void store_damage_note(const char *path, const struct err *why);
/* store_open made it: there was none. */
bool store_fresh(const struct store *s);
void store_close(struct store *s);

int store_instance_put(struct store *s, const struct instance *i, struct err *e); /* insert or replace */
int store_instance_delete(struct store *s, const char *id, struct err *e);
int store_place_put(struct store *s, const struct place *p, struct err *e);
int store_place_delete(struct store *s, const char *id, struct err *e);
int store_prompt_put(struct store *s, const struct prompt *p, struct err *e);
/* The prompt of that key, or NULL (no error) when there is none; without its text when it is settled. Of
 * each instance the newest PROMPTS_KEPT settled ones are kept. Caller frees. */
struct prompt *store_prompt_get(struct store *s, const char *key);
struct prompt_query {
	const char *instance; /* NULL: of all */
	const char *status;   /* NULL: any */
	int64_t limit;
};
/* The newest first, without what was said to them; fn takes ownership. */
int store_prompts(struct store *s, const struct prompt_query *q, void (*fn)(void *arg, struct prompt *p), void *arg,
	struct err *e);
/* Which instance a spawn of that key made; the newest SPAWN_KEYS_KEPT are kept. get: 0, or -1 when there is
 * none. */
int store_spawn_key_put(struct store *s, const struct spawn_key *k, struct err *e);
int store_spawn_key_get(struct store *s, const char *key, struct spawn_key *ret);
/* Also removes those of that boot that are older than older_ms. */
int store_spawn_time_add(struct store *s, const struct spawn_time *t, int64_t older_ms, struct err *e);
/* Removes those of other boots than this. */
int store_spawn_times_other(struct store *s, const char *boot, struct err *e);
/* approval.c. put: insert, or what changes of it. get, once (by the request's mark): caller frees, NULL when there is none. */
int store_approval_put(struct store *s, const struct approval *a, struct err *e);
struct approval *store_approval_get(struct store *s, const char *id);
struct approval *store_approval_once(struct store *s, const char *instance, const char *once);
/* The newest first, of one instance or of all, until fn took (answered true for) `limit`. */
int store_approvals(struct store *s, const char *instance, int64_t limit,
	bool (*fn)(void *arg, const struct approval *a), void *arg, struct err *e);
int store_grant_put(struct store *s, const struct grant *g, struct err *e);
int store_grant_delete(struct store *s, const char *id, struct err *e);
/* schedule.c. put: insert, or what changes of it. */
int store_schedule_put(struct store *s, const struct schedule *sc, struct err *e);
struct schedule_query {
	const char *instance; /* NULL: of all */
	const char *prefix;   /* of the id, letters and digits; NULL: any */
	const char *key;      /* its caller's; NULL: any */
	bool ended;           /* also those that ended */
	int64_t limit;
};
/* The newest first; fn takes ownership. */
int store_schedules(struct store *s, const struct schedule_query *q, void (*fn)(void *arg, struct schedule *sc),
	void *arg, struct err *e);
/* How far a conversation was read; it goes with its instance, and so do the prompts that were seen in it (by the digest of
 * their head; of each instance trimming leaves the newest TRANSCRIPT_PROMPTS_KEPT). */
#define TRANSCRIPT_PROMPTS_KEPT 500
int store_transcript_put(struct store *s, const struct transcript *t, struct err *e);
int store_transcript_prompt_add(struct store *s, const char *instance, int64_t time_ms, const char *digest, enum seen_prompt how,
	struct err *e);
int store_transcript_prompts_trim(struct store *s, const char *instance, struct err *e);
/* When prompts of that digest were seen, the earliest first, at most so many; how many. */
size_t store_transcript_prompt_times(struct store *s, const char *instance, const char *digest, int64_t since_ms, int64_t *times,
	size_t max);
/* When other prompts of the same text as p were made, the earliest first, of those delivered at since_ms or later. */
size_t store_prompts_same(struct store *s, const struct prompt *p, int64_t since_ms, int64_t *created, size_t max);
/* What needs a person; put: insert or replace. */
int store_attention_put(struct store *s, const struct attention *a, struct err *e);
int store_attention_delete(struct store *s, const char *key, struct err *e);
/* usage.c: what agents spent. Of each instance trimming leaves the newest USAGE_MESSAGES_KEPT messages; sums by day stay. */
#define USAGE_MESSAGES_KEPT 5000
#define USAGE_TURNS_SHOWN 1000
bool store_usage_get(struct store *s, const char *instance, const char *message, struct usage_message *ret); /* day, model, sum */
int store_usage_put(struct store *s, const struct usage_message *m, struct err *e); /* the same message again: its new figures */
int store_usage_trim(struct store *s, const char *instance, struct err *e);
int store_usage_add(struct store *s, const char *instance, enum usage_kind kind, int64_t day, const char *model,
	const struct usage_sum *delta, struct err *e);
/* What a removed instance and those removed below it spent becomes its parent's ("": nobody's). */
int store_usage_removed(struct store *s, const char *instance, const char *parent, struct err *e);
int store_usage_state_put(struct store *s, const struct usage_state *u, struct err *e);
/* All messages of a conversation but that one; false: not all of them are kept, or can be read now. */
bool store_usage_conversation(struct store *s, const char *instance, const char *conversation, const char *but,
	struct usage_sum *ret);
/* Sums of an instance ("": of nobody any more) by kind (own and gone), day and model, of the days from that one on. */
int store_usage_days(struct store *s, const char *instance, int64_t since_day, void (*fn)(void *arg, const struct usage_row *r), void *arg,
	struct err *e);
/* The newest USAGE_TURNS_SHOWN turns of an instance, the newest first. */
int store_usage_turns(struct store *s, const char *instance, int64_t since_ms, void (*fn)(void *arg, const struct usage_row *r),
	void *arg, struct err *e);
/* Notices: the newest NOTICES_KEPT, and those that are open. fn takes ownership; open: the oldest first, else the newest. */
#define NOTICES_KEPT 1000
int store_notice_put(struct store *s, const struct notice *n, struct err *e);
int store_notices(struct store *s, bool open, int64_t limit, void (*fn)(void *arg, struct notice *n), void *arg, struct err *e);
int store_notices_trim(struct store *s, struct err *e);
/* A thing that needs a person is to be told on a channel from due_ms on (notice NULL), or went into that notice. */
int store_notified_put(struct store *s, const char *key, const char *channel, const char *notice, int64_t due_ms, struct err *e);
int store_notified_drop(struct store *s, const char *key, struct err *e); /* where it was not told yet */
bool store_notified(struct store *s, const char *key, const char *channel);
int store_notified_waiting(struct store *s, void (*fn)(void *arg, const char *key, const char *channel, int64_t due_ms), void *arg,
	struct err *e);
int store_intent_add(struct store *s, const char *kind, const char *key, struct err *e);
int store_intent_done(struct store *s, const char *kind, const char *key, struct err *e);
/* Appends an event; data is borrowed. *ret_seq is its number: rising by one, never reused. */
int store_event_add(struct store *s, enum event_id type, const char *instance, const char *place,
	int64_t time_ms, const json_t *data, int64_t *ret_seq, struct err *e);
/* Events with seq > since, oldest first, at most limit: array of {seq,time,type,instance,place,data}.
 * instance may be NULL for all. since -1: the last `limit` of them. New reference. */
json_t *store_events(struct store *s, int64_t since, int64_t limit, const char *instance,
	struct err *e);
int64_t store_event_last(struct store *s);  /* 0 when there is none */
/* As store_event_last, without those of the open transaction: a rollback takes these away, and others get
 * their numbers. */
int64_t store_event_durable(struct store *s);
int64_t store_event_first(struct store *s); /* the oldest kept; 0 when there is none */
int64_t store_event_last_ms(struct store *s); /* when the newest was; 0 when there is none */
/* So many of the newest go by their number or size only, never by their age: no clock can empty it. */
#define EVENTS_FLOOR 1000
#define AUDIT_FLOOR 1000
/* What is kept of the past; 0 of bytes and age_ms: no bound. The last event is always kept. */
struct events_keep {
	int64_t events, bytes, age_ms;
};
/* Removes the oldest that are too many, too large together or too old at `now`, at most `most` of them: a step, so
 * that it never takes long. */
int store_events_trim(struct store *s, const struct events_keep *keep, int64_t now, int64_t most, struct err *e);
/* What those that are kept take, as text with what surrounds it: not exact, and it never drifts. */
int64_t store_events_bytes(struct store *s);
/* The events after `since` are not all kept: an error that says which are. -1. */
int store_event_gone(struct store *s, int64_t since, struct err *e);
/* A random name of this database, made with it: numbers of events mean something with it alone. */
const char *store_fleet(struct store *s);
/* Was this number left out by a restore: one of an event that this database never had? */
bool store_event_skipped(struct store *s, int64_t seq);
/* Whose a removed instance was (gone.c), for as long as the event of its removal, seq, is kept. above: the ids above it,
 * the root's first, a blank between; "" at the top. */
struct gone {
	char *above;
	json_t *labels; /* or NULL */
};
int store_gone_put(struct store *s, const char *id, const char *above, const json_t *labels, int64_t seq,
	struct err *e);
struct gone *store_gone_get(struct store *s, const char *id); /* owned, or NULL */
void store_gone_free(struct gone *g);
/* The audit (audit.c): who called what, about whom, and what came of it. Everything is borrowed. */
struct audit_row {
	int64_t time_ms;
	const char *instance, *place; /* who, from inside a place; else: */
	int64_t uid, pid;             /* -1: not known */
	const char *program;
	const char *method;
	const json_t *targets; /* an array of ids, or NULL */
	const char *verdict, *code, *reason, *digest; /* code, reason, digest may be NULL */
};
struct audit_query {
	int64_t since, since_ms; /* after this number, at this time or later; -1, 0: any */
	int64_t limit;
	const char *about; /* who spoke, or is among the targets; NULL: anybody */
	bool denied;       /* refused ones only */
};
int store_audit_add(struct store *s, const struct audit_row *r, int64_t *ret_seq, struct err *e);
/* What became of one that had begun. */
int store_audit_settle(struct store *s, int64_t seq, const char *verdict, const char *code, const char *reason,
	struct err *e);
/* The same came again: count times in all, the last time then. */
int store_audit_count(struct store *s, int64_t seq, int64_t count, int64_t last_ms, struct err *e);
/* An array of rows, oldest first: with since or since_ms the first `limit` of them, else the last. */
json_t *store_audit(struct store *s, const struct audit_query *q, struct err *e);
/* A step of trimming: at most `most` rows that are not among the newest `keep`, or older than before_ms. */
int store_audit_trim(struct store *s, int64_t keep, int64_t before_ms, int64_t most, struct err *e);
/* Of what an instance said the newest `keep`, so that nobody's rows push out others'. */
int store_audit_trim_of(struct store *s, const char *instance, int64_t keep, struct err *e);
/* Ids are never reused: true when this id was ever given out. Put remembers them. */
bool store_id_used(struct store *s, const char *id);
int store_meta_set(struct store *s, const char *key, const char *value, struct err *e);
int store_meta_delete(struct store *s, const char *key, struct err *e);
char *store_meta_get(struct store *s, const char *key); /* owned, or NULL */
/* Templates that were seen: name and stamp (JSON). */
int store_template_put(struct store *s, const char *name, const json_t *stamp, struct err *e);
int store_template_delete(struct store *s, const char *name, struct err *e);

/* Everything at start; callbacks take ownership of what they are given. */
struct store_load_ops {
	void (*instance)(void *arg, struct instance *i);
	void (*place)(void *arg, struct place *p);
	void (*prompt)(void *arg, struct prompt *p); /* those not settled: queued, delivering, delivered and not answered yet */
	void (*intent)(void *arg, const struct intent *in);
	void (*spawn_time)(void *arg, const struct spawn_time *t); /* may be NULL */
	void (*approval)(void *arg, struct approval *a); /* pending ones; may be NULL */
	void (*grant)(void *arg, struct grant *g);       /* may be NULL */
	void (*schedule)(void *arg, struct schedule *sc); /* those that have not ended; may be NULL */
	void (*transcript)(void *arg, const struct transcript *t); /* likewise; its strings become the callee's */
	void (*attention)(void *arg, struct attention *a); /* likewise; owned by the callee */
	void (*usage)(void *arg, const struct usage_row *r);        /* instance, kind, sum; may be NULL */
	void (*usage_state)(void *arg, const struct usage_state *u); /* not NULL when usage is not */
	/* Of a damaged database: a row (or all that follows in its table) that cannot be read. */
	void (*unread)(void *arg, const struct err *why);
};
int store_load(struct store *s, const struct store_load_ops *ops, void *arg, struct err *e);

/*
 * Another program has the write lock, so the open transaction is held back in memory; reads do not see it. store_resume
 * tries to get the lock for up to wait_ms: 0 it is ours and everything held back was written (the commit is still to
 * come); ERR_BUSY, naming who has it, and nothing changed; any other error as of a write that failed.
 */
bool store_held(const struct store *s);
int store_resume(struct store *s, int wait_ms, struct err *e);
bool store_dirty(const struct store *s); /* a transaction is open */
int store_commit(struct store *s, struct err *e);
/* Transactions made durable since it was opened, and the time that took. */
void store_commits(const struct store *s, int64_t *ret_count, int64_t *ret_us);
void store_rollback(struct store *s);

#endif
