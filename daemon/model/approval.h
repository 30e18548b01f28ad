/* SPDX-License-Identifier: ISC */
/* What an agent asks a person for, and the rules by which some of it is allowed beforehand, as plain data. */
#ifndef DAEMON_APPROVAL_H
#define DAEMON_APPROVAL_H

#include "daemon/model/model.h"

#define APPROVAL_ONCE_SIZE 33 /* the mark of a request, as its hook made it */
#define APPROVAL_TOOL_SIZE 65
#define APPROVAL_AGENT_SIZE 65
#define APPROVAL_ARGS_MAX (128 * 1024) /* of the arguments that are kept */
#define APPROVAL_DIFF_MAX (64 * 1024)
#define APPROVAL_REASON_MAX 4096

enum approval_kind { AK_PERMISSION, AK_QUESTION, AK_PLAN, AK_COUNT };
/* Withdrawn: answered at the terminal, or nobody waits for the answer any more. */
enum approval_status { AP_PENDING, AP_APPROVED, AP_DENIED, AP_EXPIRED, AP_WITHDRAWN, AP_COUNT };

/* Strings are owned unless they are arrays. Absent strings are NULL. */
struct approval {
	char id[ID_SIZE], instance[ID_SIZE];
	char once[APPROVAL_ONCE_SIZE];
	enum approval_kind kind;
	enum approval_status status;
	char tool[APPROVAL_TOOL_SIZE];
	char agent[APPROVAL_AGENT_SIZE]; /* the subagent that asks; "" for none */
	char match[SHA256_HEX];          /* of agent, tool and arguments: what a later report of the tool is known by */
	char subject[SHA256_HEX];        /* of what a rule for "the same" goes by */
	char digest[SHA256_HEX];         /* of the whole arguments; "" when it is not known */
	bool cut;                        /* args is not all of them */
	char *about;                     /* one line for people */
	char *args;                      /* JSON text; NULL once it is old */
	char *diff;
	char *cwd;
	int64_t created_ms, changed_ms; /* wall clock */
	char *boot;
	int64_t expires_boot_ms; /* on the clock of that boot; 0: never */
	char *by, *reason;       /* who or what answered; why */
	char *output;            /* what its hook is to print: JSON text */
	int64_t used_ms;         /* the tool was reported done; 0: not (yet) */
};

/* Allows what is asked later by the same instance. */
struct grant {
	char id[ID_SIZE], instance[ID_SIZE];
	char tool[APPROVAL_TOOL_SIZE];
	bool whole_tool;          /* whatever its arguments; else: */
	char subject[SHA256_HEX]; /* as in the approval it was made from */
	char *about, *boot, *by;
	int64_t until_boot_ms; /* 0: until the instance ends */
	int64_t created_ms, uses;
};

void approval_free(struct approval *a); /* NULL ok */
struct approval *approval_copy(const struct approval *a); /* owned by the caller */
void grant_free(struct grant *g);
const char *approval_kind_name(enum approval_kind k);
int approval_kind_from_name(const char *s, enum approval_kind *ret); /* -1 when unknown */
const char *approval_status_name(enum approval_status s);
int approval_status_from_name(const char *s, enum approval_status *ret);
/* For people and programs; whole: with arguments and diff. New reference. */
json_t *approval_to_json(const struct approval *a, bool whole);
json_t *grant_to_json(const struct grant *g);

#endif
