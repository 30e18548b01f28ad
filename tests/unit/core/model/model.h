/* SPDX-License-Identifier: ISC */
/*
 * The simple model that the real core is held to, and the operations of a run.
 *
 * The model knows each instance only by what the daemon told: by answers and by events. It never looks how
 * core does a thing; where it looks into core's rows it counts for itself.
 */
#ifndef TESTS_MODEL_H
#define TESTS_MODEL_H

#include "base/log.h"
#include "tests/unit/core/model/sim.h"

#define MODEL_FAILED 3 /* exit code of a run that found something */
#define OPS_MAX 20000
#define INSTS_MAX 4096
#define CALLS_MAX 16384
#define INSTS_UP 64 /* that one `up` brings back, and is held to */
#define M_FAILS 256

extern bool model_loud;

enum op_kind {
#define OP(sym, name, weight) sym,
#include "tests/unit/core/model/ops.def"
#undef OP
	OP_COUNT
};

/* What happens: everything a run does follows from its list of these. */
struct op {
	enum op_kind kind;
	uint32_t a, b, c;
	bool hold; /* the turn stays open: what follows joins it, or a crash takes it */
};

/* ops.c */
struct op op_random(uint64_t *seed);
void op_do(const struct op *op);
int op_print(const struct op *op, char *out, size_t size);
int op_parse(const char *line, struct op *ret);

/* model.c: what the daemon told, and is held to */
struct m_inst {
	char id[ID_SIZE];
	bool told;    /* an answer named it: it is durable */
	bool created; /* its event came */
	bool removed; /* ... and that of its removal */
	bool may_go;  /* somebody asked for its removal */
	bool jumped, time_jumped; /* the wall clock was set; ... and a boot came, over which there is no other */
	int64_t born; /* time_true() when it was accepted; 0: not known */
	int64_t over_children, over_all; /* its caps were set below what lives: so many may stay */
	bool end_told, name_told, gone_told; /* ... killed, called so, removed: on disk, too */
	int stops; /* turns that its program told the end of */
	int restarts, renames;               /* asked for so far */
	enum inst_state state;               /* by the events */
	char name[NAME_MAX_LEN + 1], told_name[NAME_MAX_LEN + 1];
	char parent[ID_SIZE], team[16], reason[32];
	int64_t total; /* ever spawned below it */
	/* policy.c */
	enum restart_policy policy;
	bool env;     /* it was spawned with values of --env, ... */
	int env_of;   /* ... by this daemon: a later one knows them only when they are given again */
	bool waits, end_closed, window_unsure;
	enum { M_NONE, M_OK, M_BAD, M_ASIDE, M_ASKED } last_end;
	int64_t started, wait_ms, due, due_first;
	int64_t fails[M_FAILS], fails_own[M_FAILS];
	int nfails, nfails_own;
	int begun, ups, kills, cancels, downs, sets, kills_then; /* then: when it ended */
};

enum m_kind { C_SPAWN, C_KILL, C_RESTART, C_SEND, C_WAIT, C_INTERRUPT, C_SAID, C_REMOVE, C_RENAME, C_UP, C_ASIDE };

struct m_call {
	enum m_kind kind;
	int generation, answers, restarts, renames;
	bool accepted, wait, rm;
	unsigned until; /* of a wait: states, as bits; 0: something else */
	uint32_t how; /* it was sent */
	enum err_code code;
	char id[ID_SIZE], key[KEY_SIZE], name[NAME_MAX_LEN + 1];
};

void model_settings(struct core_settings *s);
void model_loaded(void);  /* the rows were read, nothing was done yet */
void model_started(void);
void model_crashed(void);
void model_jumped(void);  /* the wall clock was set */
struct m_inst *model_inst(const char *id); /* made when it is new */
struct m_call *model_call(enum m_kind kind, const char *id);
void model_answer(void *call, const struct instance *in, const struct err *e); /* a fleet_done_fn */
void model_prompt_answer(void *call, const struct prompt *p, const struct err *e);
void model_said(void *call, const struct err *e); /* a port_done_fn */
void model_subscribe_again(void);
struct m_call *model_call_first(void);
void model_settle(void); /* until nothing more happens, and model_check_settled */
/* A call that waits for its answer; one that was given a key. NULL: none. */
struct m_call *model_call_recent(enum m_kind kind, uint32_t n);
struct m_call *model_call_keyed(enum m_kind kind, uint32_t n);
void model_callers_go(void); /* those who wait for a start go away, which undoes it */
size_t model_insts(const struct m_inst **ret);
size_t model_insts_all(struct m_inst **ret);
int64_t model_last_seq(void);
bool model_heard_all(void); /* all events that are on disk */
void model_rest(void); /* until nothing more happens */
void model_check_calls(void); /* each was answered */
void model_check(void);         /* after each turn */
void model_check_settled(void); /* when nothing more happens */
int64_t model_count_below(const char *id, bool children_only);

/* ops.c */
struct instance *model_pick(uint32_t n); /* NULL: there is none */
struct instance *model_pick_living(uint32_t n);
bool model_caps_full(const struct instance *parent); /* does some cap above forbid one more child here? */
void model_killed(const struct instance *in, bool cascade); /* it is about to be, with all below it */
/* ops_life.c, ops_select.c */
void op_restart(const struct op *op);
void op_set(const struct op *op);
void op_up(const struct op *op);
void op_down(const struct op *op);
void op_label(const struct op *op);
void op_select(const struct op *op);
void labels_told(struct m_inst *m, const json_t *data);

/* policy.c */
void policy_rules(struct backoff_rules *ret);
void policy_created(struct m_inst *m, const json_t *data);
void policy_set(struct m_inst *m, const json_t *data);
void policy_state(struct m_inst *m, enum inst_state from, enum inst_state to, const json_t *data);
void policy_says(struct m_inst *m, const json_t *data);
void policy_forget(struct m_inst *m);
void policy_rebooted(bool clock_lies);
void policy_settled(const struct m_inst *m, const struct instance *in);

static inline void cleanup_json_p(json_t **o)
{
	json_decref(*o);
}
#define cleanup_json __attribute__((cleanup(cleanup_json_p)))

#endif
