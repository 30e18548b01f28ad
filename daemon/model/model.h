/* SPDX-License-Identifier: ISC */
/*
 * What the fleet is made of, as plain data: instances, places, prompts, intents. Core decides over
 * it, the store keeps it, drivers and agents read it. No behaviour here but names and JSON.
 */
#ifndef DAEMON_MODEL_H
#define DAEMON_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/sha256.h"
#include "daemon/model/again.h"
#include "daemon/model/budget.h"

#define ID_LEN 6
#define ID_SIZE (ID_LEN + 1)
#define NAME_MAX_LEN 63
#define CAP_UNLIMITED (-1)

enum inst_state {
	ST_QUEUED,
	ST_PROVISIONING,
	ST_STARTING,
	ST_IDLE,
	ST_WORKING,
	ST_WAITING, /* reason says for what: permission, answer, login, trust */
	ST_LIMITED, /* until when, in detail */
	ST_PAUSED,
	ST_ASLEEP,
	ST_STOPPING,
	ST_EXITED,
	ST_FAILED,
	ST_LOST, /* its place is gone or unreachable; may come back */
	ST_COUNT
};

enum permissions { PERM_ALL, PERM_ASK, PERM_PLAN };

/* Limits of what may be below an instance; CAP_UNLIMITED for none. The counts that stand against them are
 * derived in core. */
struct cap {
	int64_t max_children, max_descendants, max_depth;
	int64_t spawn_rate;           /* a minute, by the instance itself */
	int64_t max_total;            /* ever spawned */
	int64_t max_memory, max_disk; /* MiB of the machines that run */
};

enum cap_kind {
	CAP_CHILDREN,
	CAP_DESCENDANTS,
	CAP_DEPTH,
	CAP_RATE,
	CAP_TOTAL,
	CAP_MEMORY,
	CAP_DISK,
	CAP_KINDS
};

const char *cap_name(enum cap_kind k); /* "max_children": option, column, word in refusals */
int64_t *cap_at(struct cap *c, enum cap_kind k);
int64_t cap_get(const struct cap *c, enum cap_kind k);

struct exit_info {
	bool known;
	int code;   /* -1 when a signal ended it or it is not known */
	int signal; /* 0 when none */
};

/* Strings are owned unless they are arrays. Absent strings are NULL. */
struct instance {
	char id[ID_SIZE];
	char *name;
	char parent[ID_SIZE]; /* "" for none */
	char place[ID_SIZE];  /* "" before it has one */
	char *driver, *agent, *dir, *template_name, *model;
	enum permissions permissions;
	char **argv;  /* owned vector, may be NULL */
	json_t *env;  /* object of strings given by --env: may hold secrets, so never stored, logged or
		       * shown; NULL after a daemon restart */
	char **env_names; /* the names in it, which are kept: what a restart must be given again */
	json_t *labels; /* object of strings, never NULL */
	char **allow;   /* extra HOST:PORT, may be NULL */
	int64_t cpus, memory_mib;
	int rows, cols;
	bool rm;        /* remove when ended */
	struct cap cap;
	json_t *max_roles;     /* most living descendants of a role: object of integers, or NULL */
	struct budget budget;  /* of it and all below it */
	json_t *narrowed;      /* caps it got less of than it asked for, see caps.c: array, or NULL */
	int64_t spawned_total; /* ever, below it */
	int64_t vm_memory_mib, vm_disk_mib; /* what its machine takes; 0 when it has none */
	enum inst_state state;
	char *reason; /* of the state, a word: "permission", "login", "killed", "boot_timeout"... */
	char *detail; /* of the state, for people */
	enum restart_policy restart;
	bool wanted;        /* it should be running: `up` brings it back */
	struct again again; /* what its policy remembers */
	int64_t created_ms, state_since_ms; /* wall clock */
	char *state_boot;      /* the same moment by the boot's clock, and of which boot: what the time in */
	int64_t state_boot_ms; /* a state is measured with, since wall clocks jump */
	int64_t time_in_state[ST_COUNT];    /* ms, of states left */
	int64_t limited_until_ms; /* wall clock: that is what limits mean; 0: not limited */
	int64_t limited_tries;    /* resumed that often in a row and limited again */
	int64_t stuck_ms;         /* wall clock: since when nothing of it moves; 0: it is not stuck */
	json_t *pace;             /* what is usual for it (core/stuck.h): array, or NULL */
	char *session; /* the last word of its program's session file, or NULL: none was heard of */
	char *conversation;                 /* the agent program's own id of the conversation */
	char *branch_of;   /* its conversation branches from this one */
	char *branch_from; /* where that, or one that was adopted, is kept: an instance, or a file of the user's (/...) */
	int64_t starts;                     /* how often its program was started */
	int64_t turns;                      /* ended in this conversation; without one there is nothing
					     * to resume */
	int64_t pid;                        /* in its place; 0 when it does not run */
	struct exit_info exit;
	bool has_pane;
	int64_t queue_no; /* in the line of those that wait for their start; 0: it is in none */
	int64_t requeued; /* how often this start was undone and queued again */
	bool begun;       /* its program was asked for, or may have been, in this start */
};

enum place_state { PL_MAKING, PL_BOOTING, PL_UP, PL_STOPPING, PL_DOWN, PL_LOST, PL_STATE_COUNT };

#define ROLE_LABEL "role"
#define ROLE_MAX_LEN NAME_MAX_LEN
const char *instance_role(const struct instance *i); /* NULL: none */

/* That somebody spawned: kept apart from the rows, so that a child which was removed still counts. */
struct spawn_time {
	char holder[ID_SIZE]; /* "": nobody, the operator's own */
	const char *boot;     /* borrowed */
	int64_t boot_ms;      /* CLOCK_BOOTTIME of that boot */
	int64_t wall_ms;
};

struct place {
	char id[ID_SIZE];
	char *driver, *template_name;
	enum place_state state;
	int64_t number;  /* small, for uids; unique among the places that exist */
	char *accel;     /* "kvm", "tcg", or NULL */
	int64_t holder_pid, shim_pid;
	uint64_t shim_seq; /* last event of shim_pid that was applied */
	int64_t boot_ms, boot_tries;
	int64_t created_ms;
	char *boot; /* the host's boot id when it was started */
};

/* docs/prompts.md says what each means, and what proves it. */
enum prompt_status {
	PR_QUEUED,
	PR_DELIVERING,
	PR_DELIVERED,
	PR_ANSWERED, /* its turn ended */
	PR_FAILED,
	PR_UNKNOWN,
	PR_STATUS_COUNT
};

/* Its place among those that wait: behind them; typed at once, while the program works; ahead of all, and what the
 * program does is interrupted for it. */
enum prompt_way { PW_ORDER, PW_MERGE, PW_NOW, PW_COUNT };
#define PROMPT_ANSWER_MAX (64 * 1024) /* bytes kept of what the program said */

/* How a prompt is typed: as a paste with Enter behind it, byte by byte, or as named keys (its text is
 * their JSON array). */
enum prompt_mode { PM_PASTE, PM_RAW, PM_KEYS };

#define KEY_MAX_LEN 64
#define KEY_SIZE (ID_LEN + 1 + KEY_MAX_LEN + 1)

/* How a prompt stands in a transcript: typed, put into the program's own queue, or used from there. */
enum seen_prompt { SEEN_TYPED, SEEN_QUEUED, SEEN_USED };

struct prompt {
	char key[KEY_SIZE]; /* random, or the caller's; an instance's with "ID/" before it */
	char instance[ID_SIZE];
	char *text; /* len bytes and a NUL behind; of a settled one only the digest is kept */
	size_t len;
	char digest[SHA256_HEX]; /* of mode and text */
	enum prompt_mode mode;
	enum prompt_status status;
	enum err_code code; /* of the error it ended with, ERR_NONE without */
	bool first;         /* the one of spawn: a program may take it by argument */
	bool untyped;       /* it failed with nothing typed, for a reason that may pass */
	enum prompt_way way;
	bool stays;         /* it waits in the queue for as long as it takes */
	bool interrupts;    /* the keys that interrupt for it were queued */
	bool awaits;        /* delivered, and the program will tell of the end of its turn */
	char *answer;       /* what the program said last in its turn, or NULL; at most PROMPT_ANSWER_MAX bytes */
	bool answer_cut;    /* ... of more */
	bool goes_on;       /* ... and something of the turn went on in the background */
	char *reason, *hint;
	int64_t created_ms, changed_ms, delivered_ms; /* the last 0: it was not */
};

/* A spawn that was given a key. */
struct spawn_key {
	char key[KEY_SIZE], instance[ID_SIZE];
	char digest[SHA256_HEX]; /* of what was asked for */
};

/* What is about to be done to the world, kept until it is done or undone. */
struct intent {
	int64_t id;
	char *kind; /* "place", "pane", "remove" */
	char *key;  /* the mark on the thing: place or instance id */
	int64_t created_ms;
};

struct instance *instance_new(void); /* zeroed, labels {} */
void instance_free(struct instance *i);
struct place *place_new(void);
void place_free(struct place *p);
void prompt_free(struct prompt *p);
/* Gives it its text, with the digest. */
void prompt_set(struct prompt *p, enum prompt_mode mode, const void *text, size_t len);
/* What was said, cut to PROMPT_ANSWER_MAX at a whole character; NULL: nothing. */
void prompt_set_answer(struct prompt *p, const char *said);
struct prompt *prompt_copy(const struct prompt *p); /* without its text */

const char *state_name(enum inst_state s);
int state_from_name(const char *s, enum inst_state *ret); /* -1 when unknown */
bool state_final(enum inst_state s);  /* exited, failed */
bool state_living(enum inst_state s); /* counts against caps: everything but exited, failed */
const char *place_state_name(enum place_state s);
int place_state_from_name(const char *s, enum place_state *ret);
int name_find(const char *const *names, int n, const char *s); /* its index; -1: none of them, or s is NULL */
json_t *time_json(int64_t wall_ms); /* as text; null for 0. New reference */
const char *prompt_status_name(enum prompt_status s);
int prompt_status_from_name(const char *s, enum prompt_status *ret);
const char *prompt_mode_name(enum prompt_mode m);
const char *prompt_way_name(enum prompt_way w);
int prompt_way_from_name(const char *s, enum prompt_way *ret); /* -1 when unknown */
const char *permissions_name(enum permissions p);
int permissions_from_name(const char *s, enum permissions *ret);
bool key_valid(const char *s);  /* 1 to 64 of A-Z a-z 0-9 . _ : - */
bool name_valid(const char *s); /* [a-z0-9][a-z0-9._-]{0,62} */
bool id_valid(const char *s);   /* [a-z0-9]{6} */

/* Whole rows to and from JSON for the store: a key is a column (no env). References are new. NULL with
 * ERR_IO that names the key when a row does not hold what it should. */
json_t *instance_to_row(const struct instance *i);
struct instance *instance_from_row(const json_t *row, struct err *e);

#endif
