/* SPDX-License-Identifier: ISC */
/* What the files of an instance share: its state, and each file's part of it. */
#ifndef SHIM_INST_INT_H
#define SHIM_INST_INT_H

#include "place/shim/inst.h"

enum inst_state { INST_STARTING, INST_RUNNING, INST_ENDED };

struct watch {
	struct watch *next;
	int64_t number;
	char *key; /* or NULL: not to be asked for again */
	char *text;
	int64_t until_ms; /* nobody waits (fn NULL), or it was seen: kept so long, for who asks again; monotonic */
	uint64_t offset;  /* where it was seen */
	inst_watch_fn *fn;
	void *arg;
};

struct inst {
	struct inst *next;
	struct shim *shim;
	char id[INST_ID_LEN + 1];
	enum inst_state state;
	struct link_stream *stream;
	struct record *record;
	struct screen *screen;
	struct input *input;
	struct typing *typing;
	uint64_t base, offset; /* of the running program's first byte; behind the last one received */
	uint64_t snapshot_at;
	uint64_t input_mark;   /* link_acked that means: the terminal took what was written last */
	bool input_waits;
	bool restoring;        /* no answers to the queries of old */
	bool record_failed;
	pid_t pid;
	int code, signal;
	bool canonical, foreground, busy;
	struct loop_timer *quiet, *titles;
	char title_told[MODES_TITLE_MAX + 1]; /* the title in the last event */
	char title_before[MODES_TITLE_MAX + 1]; /* the one told before it */
	int64_t told_ms;    /* when that was */
	bool title_due;                       /* it has changed since */
	int64_t title_ms;   /* when it changed last */
	int title_turns;    /* how often in a row it went back to the one before: a spinner */
	bool title_turning; /* so it is not told again, unless it stays */
	bool marks_due;                       /* the marks have, in the bytes that are being read */
	int64_t flags_ms; /* since when flags_told are counted */
	int flags_told;
	int64_t bell_ms;
	struct view *views, *owner;
	uint64_t inputs; /* counts views' inputs */
	struct follow *follows;
	struct watch *watches, *seen; /* not yet; those with a key that were, the newest first */
	struct buf live;
	inst_started_fn *started;
	void *started_arg;
};

/* inst_state.c: the recording, and what a new shim needs to stand where this one stands. */
void inst_record_floor(struct inst *i); /* call once, when the recording was opened */
void inst_record_bytes(struct inst *i, const void *data, size_t len);
/* A record_key_fn; arg is the instance. */
bool inst_record_key(void *arg, struct buf *out, int *rows, int *cols);
void inst_save(struct inst *i);
/* Makes the screen and brings it to where it stood at the recording's end. */
void inst_restore(struct inst *i, uint64_t guest_next);

/* inst_tell.c: what the daemon is told unasked. */
extern const struct screen_ops inst_screen_ops;
void inst_tell_activity(struct inst *i);
/* The guest may turn its flags over as fast as it likes: this tells of them, not more often than useful. */
void inst_tell_flags(struct inst *i);
void inst_on_quiet(void *arg);  /* of the timers of that name; arg is the instance */
void inst_on_titles(void *arg);

/* inst_stream.c: the terminal's stream. */
extern const struct link_stream_ops inst_stream_ops;
extern const struct input_ops inst_input_ops;
/* It could not be started: says so to who asked, and destroys i. */
void inst_start_failed(struct inst *i, const struct err *why);
/* The program ended; code -1: it is not known how, for that reason. */
void inst_ended(struct inst *i, int code, int signal, const char *reason);

/* inst.c */
void inst_destroy(struct inst *i);

/* inst_watch.c: texts that are waited for. */
/* Ends every watch whose text is in `seen`, or on the screen when that is NULL. */
void inst_watch_check(struct inst *i, const char *seen, size_t len);
void inst_watch_fail(struct inst *i, const struct err *why);
void inst_watch_finish(struct inst *i); /* and those seen are forgotten */

#endif
