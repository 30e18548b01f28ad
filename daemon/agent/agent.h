/* SPDX-License-Identifier: ISC */
/*
 * An agent program: how to start it, what its reports mean, how to interrupt it. One file per
 * program, one const vtable at its foot, one row in agent.c. Pure: no I/O (but a look whether a
 * program is there), no loop.
 */
#ifndef DAEMON_AGENT_H
#define DAEMON_AGENT_H

#include <jansson.h>
#include <stdbool.h>

#include "daemon/agent/transcript.h"
#include "daemon/model/approval.h"
#include "daemon/model/model.h"

#define AGENT_WORD_MAX 32
#define AGENT_SPENT_MAX 32 /* messages in one report */
#define AGENT_TEXT_MAX 512

/* What a report or a transcript says of one message of a model: what it cost. */
struct agent_spent {
	char message[TRANSCRIPT_WORD_MAX]; /* the program's id of it: the same again, the later figures hold */
	char conversation[TRANSCRIPT_ID_MAX];
	char model[TRANSCRIPT_WORD_MAX], effort[16]; /* "": not said */
	int64_t time_ms; /* wall clock of the place; 0: not said */
	bool side;       /* of a subagent, beside the conversation */
	struct transcript_usage usage;
	int64_t context; /* tokens that it was about (prompt and answer); 0: as usage says */
	int64_t cost_nano; /* billionths of a dollar, where the program says so; -1: by our own table */
};

/* What starting needs to know beyond the instance. All borrowed. */
struct agent_place {
	bool isolated;             /* permissions all is the default, trust is given */
	const char *guest_program; /* path of tmux-claude-guest in the place */
	const char *run_dir;       /* our own folder in the place; files may be put there */
	const char *program_path;  /* the configured path of the agent program */
	const char *user, *home;   /* of the agent in the place */
	const char *shell;         /* login shell there */
	bool shell_marks;          /* it is to print marks about its prompt */
	char *const *base_env;     /* host: the daemon's user's environment, cleaned; VM: a minimal one */
	const char *proxy_url;     /* "http://127.0.0.1:3128" or NULL */
	const char *login_kind;    /* "oauth_token", "api_key", "oauth", or NULL when there is no login */
	const char *login_value;   /* a secret: goes into env only */
	const char *login_file;    /* of "oauth": a secret, too, in the form of the program's own file (login/account.h) */
	const char *prompt;        /* the first prompt, or NULL */
	bool resume;               /* the conversation exists: go on with it */
};

/* How to run it. Release with agent_launch_finish. */
struct agent_launch {
	char **argv;
	char **env;    /* whole environment */
	/* [{path, mode, content, if_absent?}] to be put into the place before; mode is a number, with
	 * if_absent an existing file is left as it is */
	json_t *files;
	char conversation[64]; /* the id of the conversation that is started or resumed; "" for none */
	char *session;         /* folder of the file PID.json in which it says its state, or NULL */
};
void agent_launch_finish(struct agent_launch *l);

/* What a report or the terminal's activity means. Zeroed: nothing. */
struct agent_fact {
	bool has_state;
	enum inst_state state;
	char reason[AGENT_WORD_MAX]; /* "permission", "login", ... */
	char detail[AGENT_TEXT_MAX];
	bool ready;            /* it stands at its prompt (ends starting) */
	bool prompt_delivered; /* a prompt was taken: text below when known */
	bool prompt_held;      /* the prompt given at the start was not used: type it once it is idle */
	bool turn_ended;
	/* How: turn_goes_on: something of it goes on in the background, another end follows; turn_failed: without an
	 * answer, turn_error says why; turn_broken: it was interrupted, or so it looks (a late report may know better).
	 * None of them: it was answered. said: its last words, borrowed from the report's body; NULL: not known. */
	bool turn_goes_on, turn_failed, turn_broken;
	char turn_error[AGENT_WORD_MAX];
	const char *said;
	int64_t limited_until_ms; /* wall clock, with ST_LIMITED; 0: it was not said */
	char conversation[64]; /* its id, when it changed */
	char prompt_head[AGENT_TEXT_MAX]; /* beginning of the prompt that was reported */
	char session[2 * AGENT_WORD_MAX]; /* what its session file says now; nothing else is in this fact */
};

/* Where a shell stands, by the marks that it prints about its prompt (docs/shells.md). */
enum agent_phase { PHASE_NONE, PHASE_PROMPT, PHASE_INPUT, PHASE_RUNNING, PHASE_DONE };

struct agent_marks {
	enum agent_phase phase; /* NONE: it prints none */
	bool commands;          /* it tells of commands that begin, too */
	bool began, ended;      /* since the last activity: a command began; one ended */
	bool prompted;          /* ...: a prompt was shown */
	bool exit_known;        /* of the command that ended last */
	int exit;
};

/* What the terminal says, for programs that report nothing. */
struct agent_activity {
	bool busy, foreground, canonical;
	bool quiet;       /* nothing was printed for the program's quiet_ms */
	bool title_moved; /* its title changed since its last report */
	bool first_prompt; /* one was given with the command line, and was not reported yet */
	bool interrupted; /* our interrupt keys are the last it was told, no report came since */
	const char *title;
	struct agent_marks marks;
	const char *screen; /* its text, when `looks` asked for it and it fell quiet; else NULL */
};

/* What a report asks a person for, or which of these it speaks of. Everything is borrowed from the report. */
struct agent_ask {
	enum approval_kind kind;
	const char *tool, *agent; /* agent: the subagent that asks, "" for none */
	const char *cwd;          /* or NULL */
	const json_t *args;       /* an object, may be NULL */
	bool cut;                 /* args is not all of them */
	char about[AGENT_TEXT_MAX];
	char match[SHA256_HEX], subject[SHA256_HEX];
};

/* What a report says of the asks that are open. */
enum agent_over {
	OVER_NONE,
	OVER_TOOL,  /* the tool of this match is done with */
	OVER_AGENT, /* its turn is over: nothing of this agent (or, agent "", of the main one) is open */
	OVER_ALL,
};

struct agent_verdict {
	bool allow;
	const char *reason;    /* or NULL */
	const json_t *choices; /* an array of texts: the answers to a question, or NULL */
};

struct agent_program {
	const char *name, *summary;
	bool idle_only;      /* it reports nothing, and takes a prompt only when it is idle */
	bool reports;        /* has hooks: prompts are delivered when it says so */
	bool argv_is_program; /* argv after -- is the program itself (shell) */
	const char *const *interrupt_keys; /* ends with NULL; names for the shim's `key` */
	/* In a VM: the folder below its home where a login would be kept, which therefore lives in memory, and
	 * the names in it that belong on the disk all the same (what a restart resumes from). NULL: none. */
	const char *private_dir;
	const char *const *private_keep; /* ends with NULL */
	/* An interrupted turn leaves its prompt in the input line: this key, once and twice more for each
	 * further line, empties it before the next is typed. NULL: nothing is left there. */
	const char *clear_key;
	bool small_pastes;  /* takes larger pastes for attachments: they go in pieces of a few lines */
	/* A dialog takes no key in its first moments, and nothing tells when it does: keys for one wait until
	 * nothing was printed for so long. 0: its dialogs listen at once. */
	int64_t dialog_quiet_ms;
	bool asks_brackets; /* asks for bracketed paste before it takes input: it is waited for */
	int64_t start_deadline_ms;         /* 0: the configured one */
	/* activity is also called, with quiet, when it printed nothing for so long (0: never). */
	int64_t quiet_ms;
	/* Does its screen tell something in this state? Then activity is also called with its text when it
	 * fell quiet. NULL: never. */
	bool (*looks)(const struct instance *in);
	/* Does it report a prompt of this text? NULL: all of them. One that it does not report is
	 * delivered when its terminal took the bytes. */
	bool (*prompt_reported)(const char *text);
	/* Is what was asked for possible (argv, model, permissions)? */
	int (*check)(const struct instance *in, const struct agent_place *pl, struct err *e);
	int (*launch)(const struct instance *in, const struct agent_place *pl,
		struct agent_launch *ret, struct err *e);
	/* A hook's report (untrusted): what it means in the instance's present state. -1: malformed. */
	int (*report)(const struct instance *in, const char *event, const json_t *body,
		struct agent_fact *ret, struct err *e);
	void (*activity)(const struct instance *in, const struct agent_activity *a,
		struct agent_fact *ret);
	/* What its session file's word (in->session) says against the present state; NULL: it has no such file. */
	void (*session)(const struct instance *in, struct agent_fact *ret);
	/* Adds to files (as agent_launch's) what tells this program, also while it runs, of pl's renewing login; nothing where
	 * it has one of its own by --env. NULL: it knows no such login. */
	void (*login_files)(const struct instance *in, const struct agent_place *pl, json_t *files);
	/* It waits for a login and was given one that is good: does it stand at its prompt? NULL: never. */
	bool (*login_idle)(const struct instance *in);
	const struct transcript_format *transcript; /* NULL: it writes none that we can read */
	/* What a report says was spent: one message each, into ret, at most max; how many. NULL: its reports say nothing of
	 * it (a transcript that is read may: TR_REPLY with has_usage). */
	size_t (*spent)(const char *event, const json_t *body, struct agent_spent *ret, size_t max);
	/* What a report asks for; false: nothing. NULL: this program asks at its terminal alone. */
	bool (*ask)(const char *event, const json_t *body, struct agent_ask *ret);
	/* What it ends of what was asked. *ret: tool, agent and match of OVER_TOOL, agent of OVER_AGENT. */
	enum agent_over (*ask_over)(const char *event, const json_t *body, struct agent_ask *ret);
	/* What was asked for as a change of a file (file: {path, text} or {path, absent} as it is now, or NULL); owned,
	 * NULL: it changes none. */
	char *(*ask_diff)(const struct agent_ask *ask, const json_t *file);
	/* What the waiting hook is to print. NULL: it cannot be answered so. */
	json_t *(*verdict)(const struct approval *a, const struct agent_verdict *v, struct err *e);
};

/* For the files of this room: text without control characters, cut at a whole character. */
void agent_text(char *out, size_t size, const char *text);
/* The place's environment without what an enclosing agent, tmux or daemon left in it, with what every
 * program here gets (TERM, the proxy). New vector. */
char **agent_env(const struct agent_place *pl);
/* What the user gave with --env, over everything else. */
void agent_env_user(char ***env, const struct instance *in);

const struct agent_program *agent_find(const char *name); /* built in, or of a file; NULL: none */
bool agent_builtin(const char *name);
/* Of an instance that is known: one whose file is gone is one that starts nothing. */
const struct agent_program *agent_or_gone(const char *name);
char *agent_names(void); /* owned */

#endif
