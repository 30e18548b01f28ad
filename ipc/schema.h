/* SPDX-License-Identifier: ISC */
/* The method and event tables as data, and the checking of arguments against them. */
#ifndef IPC_SCHEMA_H
#define IPC_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define ARG_DEFAULT (-2) /* "default", as a handler gets it where a row says A_DEFAULT */
#define SEND_MAX (1024 * 1024)  /* bytes of one text */
#define SEND_PART (128 * 1024)  /* of a piece of it: a line of JSON holds it whatever it is made of */
/* What the daemon hands over to a shim of raw inputs before it hears of them; beside them one prompt. */
#define INPUTS_AT_ONCE 8
#define INPUT_BYTES_AT_ONCE SEND_MAX
#define ROLE_LIMITS_MAX 64 /* roles that one holder's caps may name */

enum arg_type {
	ARG_STRING,  /* a string */
	ARG_PATH,    /* a string; the command line makes it absolute */
	ARG_INT,     /* an integer >= 0 */
	ARG_COUNT,   /* an integer >= 0, or "unlimited" (given to the handler as -1) */
	ARG_RATE,    /* "N/minute" or "unlimited" (given to the handler as the integer N, or -1) */
	ARG_MIB,     /* as ARG_COUNT, of MiB */
	ARG_COUNTS,  /* an object of role to count or "unlimited" (given to the handler as integers); repeated R=N */
	ARG_SECONDS, /* a number >= 0, fractions allowed */
	ARG_BOOL,
	ARG_STRINGS, /* an array of strings; a repeated option */
	ARG_WORDS,   /* an array of strings, or one string (given to the handler as an array) */
	ARG_LABELS,  /* an array of terms K=V, K!=V, K; or an object of strings, each K=V; the handler gets the array */
	ARG_CHANGES, /* an array of strings K=V, K-; on the command line told from other words by their looks */
	ARG_KV,      /* an object of strings; repeated K=V */
	ARG_ARGV,    /* an array of strings; what stands after -- */
	ARG_USD,     /* dollars: a number, or "2.50", or "unlimited" (given to the handler in billionths, or -1) */
	ARG_TOKENS,  /* an integer, or "2M", or "unlimited" (given to the handler as an integer, or -1) */
	ARG_SPAN,    /* seconds, or "4h", or "unlimited" (given to the handler in milliseconds, or -1) */
	ARG_JSON,    /* any value; not on the command line */
};

enum {
	A_REQUIRED = 1,
	A_POS = 2,
	A_REST = 4,
	A_API = 8,
	A_STDIN = 16,
	A_CLI = 32,
	A_BYTES = 64,
	A_INST = 128,
	A_SECRET = 256,
	A_OR_SELECT = 512,
	A_SEEN = 1024,
	A_DEFAULT = 2048,
};
enum { P_OPERATOR = 1, P_INSTANCE = 2, W_SELF = 4, W_BELOW = 8, W_NOBODY = 16, W_ALL = 28 };
enum {
	M_READ = 1,
	M_DESTRUCTIVE = 2,
	M_IDEMPOTENT = 4,
	M_LOCAL = 8,
	M_API = 16,
	M_NOSTART = 32,
	M_FAMILY = 64, /* `x.list`: its first word alone means it, too */
};

enum result_kind {
	R_EMPTY,      /* {} */
	R_INSTANCE,   /* an instance, see instance_to_json */
	R_INSTANCES,  /* an array of instances; restart, interrupt, wait: of one named alone that instance */
	R_SENT,       /* a prompt, see R_PROMPT; of a piece {key, status:"partial", instance, bytes} */
	R_PROMPT,     /* {key, instance, status, mode, way, first, digest, code, reason, hint, created_at, changed_at,
		       * delivered_at, awaited}; before it is typed also text and bytes; when its turn ended, or goes on in
		       * the background (goes_on), answer and answer_cut */
	R_PROMPTS,    /* an array of them; of a broadcast each with `ok` */
	R_SCREEN,     /* {text|data(b64), rows, cols, cursor, title, alternate, offset, first} */
	R_ATTACH,     /* {instance, name, tmux:{socket, session, argv}|null, why, stream:{socket}, viewers},
		       * of several {instances:[ids], tmux} */
	R_TICKET,     /* {socket, ticket} */
	R_LOGS,       /* {events:[], shim:"...", console:"..."} */
	R_REMOVED,    /* {removed:[ids]}; of a dry run also would:[instances] */
	R_EVENTS,     /* {events:[], first, last}: first is the oldest kept */
	R_AUDIT,      /* {rows:[{seq, time, last, count, instance, place, uid, pid, program, method, targets,
		       * verdict, code, reason, digest}]} */
	R_SUBSCRIBED, /* {seq} */
	R_STATUS,     /* {version, pid, uptime_ms, instances, accel, ...} */
	R_TEMPLATE,
	R_TEMPLATES,
	R_CONFIG,
	R_CAPS,       /* {holder, name, role, caps:[{cap, role?, limit, count, left, by, by_name, by_cap}]} */
	R_USAGE,      /* {by, zone, since, rows:[...], total:{...}}: docs/usage.md */
	R_APPROVALS,  /* an array of approvals, see approval_to_json */
	R_APPROVAL,   /* one whole, with its arguments and diff */
	R_GRANTS,     /* an array of grants, see grant_to_json */
	R_ATTENTION,  /* {items:[], total, seq, fleet}: the most urgent first, see attention_to_json */
	R_SCHEDULES,  /* an array of schedules, see schedule_to_json */
	R_SCHEDULE,   /* one, with its text while it has not ended */
	R_NOTIFY,     /* {channels:[{channel, on, what, reasons, waiting, open, error}], notices:[the newest first]} */
	R_TRANSCRIPT, /* {instance, conversation, conversations:[], copy, entries:[], from, next, more} */
	R_DOCTOR,     /* {checks:[{name, ok, level, text, hint}]} */
};

struct arg_def {
	const char *name;
	enum arg_type type;
	unsigned flags;
	char short_opt;
	const char *metavar;
	const char *help;
};

enum method_id {
#define METHOD(sym, name, who, flags, result, summary, description) METHOD_##sym,
#define ARG(...)
#define END
#include "ipc/methods.def"
#undef METHOD
#undef ARG
#undef END
	METHOD_COUNT
};

struct method_def {
	enum method_id id;
	const char *name;
	unsigned who, flags;
	enum result_kind result;
	const char *summary, *description;
	const struct arg_def *args; /* ends with a NULL name */
};

enum event_id {
#define EVENT(sym, name, help) sym,
#include "ipc/events.def"
#undef EVENT
	EV_COUNT
};

extern const struct method_def method_table[METHOD_COUNT];
const struct method_def *method_find(const char *name); /* NULL when unknown */
const struct arg_def *method_arg(const struct method_def *m, const char *name);
/* Is it needed, and not among what was given? One that a selector can stand for is not, with one. */
bool schema_missing(const struct arg_def *a, const json_t *given);
const char *event_name(enum event_id id);
const char *event_help(enum event_id id);

/* Checks params (an object or NULL) against the row: unknown keys, missing ones, types and ranges.
 * *ret is a new object with the values in the handler's form (ARG_COUNT and ARG_RATE as integers);
 * the caller decrefs it. null means not given. Errors are ERR_PARAMS and name the argument. A_CLI
 * arguments are refused. */
int schema_check(const struct method_def *m, const json_t *params, json_t **ret, struct err *e);
/* The same for one value: what the command line uses to check an option as it reads it. */
int schema_check_arg(const struct arg_def *a, const json_t *value, json_t **ret, struct err *e);

#endif
