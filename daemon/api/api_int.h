/* SPDX-License-Identifier: ISC */
/* What the handlers share: one call, its caller, its answer. */
#ifndef DAEMON_API_INT_H
#define DAEMON_API_INT_H

#include <sys/socket.h>

#include "base/sha256.h"
#include "base/util.h"
#include "daemon/api/api.h"
#include "ipc/peer.h"
#include "ipc/rpc.h"

#define CONNECTIONS_MAX 1024
#define SEND_TIMEOUT_MS 60000
#define EVENTS_DEFAULT 50
#define EVENTS_MAX 1000
#define LOG_LINES_DEFAULT 50
#define LOG_TAIL_MAX (64 * 1024)
#define SHIM_MS 15000
#define LIST_PAGE_MAX (RPC_LINE_MAX - 4096) /* of one line of a list: the rest is its envelope */
#define LIST_ROW_ROOM 1024 /* bytes of an instance's row, about */
#define LIST_ROOM (64 * 1024)
#define INSIDE_CALLS_MAX 64 /* unanswered calls of one instance */
#define PROGRAM_SIZE 17      /* a program's name, as the kernel keeps it */
#define RENDERS_MAX 4       /* recordings rendered at once */

struct api {
	struct world *w;
	int listen_fd;
	struct loop_io *listen_io;
	struct client_conn *clients;
	struct call *inside;
	struct inside *inside_state;
	struct audit *audit;
	struct subscription *inside_subs; /* those of instances */
	struct upload *uploads;
	int nuploads;
	int nclients;
	int renders; /* recordings being rendered */
	int waits;   /* calls of `wait` under way */
	int64_t started_ms;
	void (*down)(void *arg);
	void *down_arg;
};

/* A connection of the operator's. */
struct client_conn {
	struct client_conn *next;
	struct api *api;
	struct peer *peer;
	struct subscription *sub;
	struct ucred cred; /* who connected */
	char program[PROGRAM_SIZE];
	struct {
		bool on, denied;
		char about[ID_SIZE];
		int64_t last; /* told so far */
	} audit; /* it follows it */
};

/* One call, from the socket (req) or from inside a place (place, conn, id). */
struct call {
	struct api *api;
	struct world *w;
	const struct method_def *method;
	json_t *params; /* checked by the row, owned */
	struct caller who;
	char who_id[ID_SIZE];
	struct peer_request *req;
	struct client_conn *client; /* NULL when it is gone, and for instances */
	struct call *next_inside; /* those of instances, for when their connection closes */
	char place[ID_SIZE];
	json_int_t conn;
	json_t *id;
	/* An answer frees the call, but never under its handler's feet. */
	bool running, answered;
	bool gone, gave_up; /* its caller is; it was told */
	bool audited, outcome_known; /* the outcome: first_error */
	json_t *touched; /* for the audit: whom it was about, when it said so */
	int64_t audit_seq; /* its row, while that says that it has begun */
	bool late; /* its answer waits for the commit: nothing is under way for it any more */
	/* What is under way for it, for when the caller goes away. */
	char started[ID_SIZE];
	struct waiting *waiting;
	bool asks; /* a hook's wait for an answer (approvals.c) */
	bool place_lost; /* with gone: the way to its caller is, its caller may not be */
	struct sending *sending;
	/* kill collects */
	int pending;
	json_t *collected;
	struct err first_error;
	bool rm;
};

typedef void handler_fn(struct call *c);

#define ACCESS_TARGETS_MAX 16
#define ACCESS_NAMES_MAX 256 /* in one call of an instance: each may be looked for in the whole fleet */

/* What the table's permission rows said about a call. */
struct access {
	const char *why;       /* of a refusal, a word of ours for the audit: static */
	char target[ID_SIZE];  /* and whom it really was about; empty: nobody */
	size_t ntargets;       /* whom it names; the first of them: */
	char targets[ACCESS_TARGETS_MAX][ID_SIZE];
};
/* audit.c */
struct audit *audit_create(struct api *a);
void audit_flush(struct audit *au); /* what is only counted so far goes into the transaction */
void audit_destroy(struct audit *au);
/* This call was refused for who calls: a says why, e what it is told. */
void audit_refused(struct call *c, const struct access *a, const struct err *e);
/* These are what it does something to, however they were chosen. */
void audit_touches(struct call *c, struct instance *const *set, size_t n);
/* Its handler is done with it, or it was wrong: a row, unless it only reads or has one. */
void audit_called(struct call *c, const struct access *a);
/* It is answered (e NULL: well). Call before it is freed; more than once is the same as once. */
void audit_answered(struct call *c, const struct err *e);
/* Somebody without a name: a process of another user (cred), a place that speaks for whom it does not hold
 * (claims: an id of ours, or NULL). */
void audit_stranger(struct api *a, const char *place, const struct ucred *cred, const char *why, const char *claims);
void audit_feed(struct client_conn *cc);
/* inside.c */
void inside_create(struct api *a);
void inside_destroy(struct api *a);
struct call *call_new(struct api *a);
/* Parses and runs; c has its caller and its way to answer. params borrowed. False: it was refused, or is wrong.
 * c may be gone. */
bool call_run(struct call *c, const char *name, const json_t *params);
void call_abandoned(void *arg); /* a struct call: nobody waits for it any more */

/* access.c. a is zeroed by the caller. -1 with the error for the caller: the method is not for it; it names
 * somebody to whom it may not do this. c's method (and, for the second, its params) are there. */
int access_method(const struct call *c, struct access *a, struct err *e);
int access_check(struct call *c, struct access *a, struct err *e);
/* May the caller do its method to this one? For selectors: what they choose from is only what this allows. */
bool access_may(const struct call *c, const struct instance *in);

/* Answer once; all free the call. When something is not on disk yet, the answer waits until it is: a caller
 * is told nothing that a crash takes back. */
void call_result(struct call *c, json_t *result); /* stolen */
void call_result_text(struct call *c, const struct buf *json); /* borrowed: a value, as text */
void call_error(struct call *c, const struct err *e);
void call_instance(struct call *c, const struct instance *in);
/* At once, for what says nothing that is not on disk. */
void call_result_now(struct call *c, json_t *result); /* stolen */
/* As call_result and call_error, once this turn's writes are on disk. */
void turn_answer(struct call *c, json_t *result);
void turn_answer_error(struct call *c, const struct err *e);
/* select.c. A selector: all of what is given must hold. */
struct selector {
	bool given;
	const json_t *labels; /* terms (model/label.h), borrowed; may be NULL */
	unsigned states;      /* bits by enum inst_state; 0: any */
	const struct instance *parent;
};
int selector_read(struct call *c, struct selector *s, struct err *e);
bool selector_chooses(const struct selector *s, const struct instance *in);
/* Among whom a selector without a state chooses; FROM_ANY: among the living, and when it finds none there among those
 * that ended. */
enum select_from { FROM_LIVING, FROM_ENDED, FROM_ANY };
/* The instances that the call means, each once: those of `ids` and `id`, of which the selector chooses; or all that
 * it chooses. Never none. Owned; NULL after answering. */
struct instance **call_targets(struct call *c, enum select_from from, size_t *ret_n);
/* Is the call about one instance that it named, without a selector? Then the answer is that instance, no array. n: of
 * call_targets. */
bool call_alone(const struct call *c, size_t n);
/* The one instance a parameter names (or, where its row is A_OR_SELECT, the call's selector chooses), or NULL after
 * answering with the error. */
struct instance *call_target(struct call *c, const char *param);
const char *call_str(const struct call *c, const char *name); /* NULL when not given */
bool call_bool(const struct call *c, const char *name);
int64_t call_int(const struct call *c, const char *name, int64_t otherwise);
double call_num(const struct call *c, const char *name, double otherwise);
char **call_strv(const struct call *c, const char *name); /* owned; NULL when not given */

/* The caller's key as it is stored, *ret NULL when none was given. */
int call_key(struct call *c, char out[KEY_SIZE], const char **ret, struct err *e);
/* cap.c: role and caps, where none are given those of the role and the options. */
int caps_asked(struct call *c, struct instance *in, struct err *e);
/* moment.c: "15m" ago (s, m, h, d), "14:30" today, "2026-01-31", "2026-01-31T14:30[:00][Z]". -1: it is none. */
int moment_read(const char *text, int64_t *ret_ms);
/* fork.c: a conversation of the user's own is to be gone on with. */
int adopt_asked(struct call *c, struct instance *in, struct err *e);
/* restart.c: the restart policy a call names, *ret as it was when it names none. */
int call_policy(const struct call *c, enum restart_policy *ret, struct err *e);
/* life.c: a fleet_progress_fn of a call that asked for `progress`. */
/* A fleet_done_fn: the call that started an instance is answered with it. */
void call_started(void *call, const struct instance *in, const struct err *error);
void call_progress(void *call, const char *id, const char *stage, const char *text);
/* An instance learns that a name is taken, for names are the fleet's, but not by whom. */
void call_by_somebody(const struct call *c, struct err *e);
/* An array of instances as the answer (borrowed): each whole when that fits into a line, else what it is called and where
 * it stands. Frees the call. */
void call_rows(struct call *c, const json_t *rows);
/* wait.c: its caller is gone. */
void waiting_cancel(struct call *c);
/* approvals.c: as waiting_cancel. */
void ask_cancel(struct call *c);
int role_check(const char *role, struct err *e);
/* sending.c: sends it to each (one of send, all of broadcast), and answers. a's done and arg are its own. */
struct send_args;
void sending_begin(struct call *c, struct instance *const *set, size_t n, const struct send_args *a);
/* Its caller is gone. False: something is answered yet, and c with it. */
bool sending_cancel(struct call *c);
/* A prompt; of the text of one that is not typed yet the first text_max bytes. New reference. */
json_t *prompt_json(const struct call *c, const struct prompt *p, size_t text_max);
/* The beginning of a text, whole characters of it; NULL: bytes that are no text. */
json_t *text_head(const char *text, size_t len, size_t most);
/* send.c: texts that this connection has not given whole. */
void uploads_drop(struct api *a, const struct client_conn *client, const char *place, json_int_t conn);

/* events.c: who subscribed is gone, or took what waited for it. */
void subscription_end(struct subscription *s);
void subscription_drained(struct subscription *s);
void subscriptions_closed(struct api *a, const char *place, json_int_t conn); /* conn -1: all of the place; NULL: all */

/* One for every row of the table: a row without a handler does not link. */
#define METHOD(sym, name, who, flags, result, summary, description) void api_##sym(struct call *c);
#define ARG(...)
#define END
#include "ipc/methods.def"
#undef METHOD
#undef ARG
#undef END

#endif
