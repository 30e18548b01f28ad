/* SPDX-License-Identifier: ISC */
/* What the verbs share: the context of one run, calls to the daemon, errors and exit codes. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/args.h"
#include "cli/writer.h"
#include "ipc/client.h"
#include "ipc/config.h"
#include "ipc/layout.h"

/* The contract's exit codes. */
enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2, EXIT_DAEMON = 3, EXIT_OURS = 125 };

struct cli {
	struct globals g;
	struct writer w;
	struct layout layout;
	bool has_layout;
	struct config *config; /* by cli_config */
	const char *socket;    /* where the daemon listens */
	bool may_start;
	struct client *client; /* by cli_connect */
	bool connected;        /* it was, once */
	unsigned calls;
	struct args args;
};

/* A verb's function: its exit code. */
typedef int verb_fn(struct cli *c);

/* Says what went wrong, as text on stderr or as JSON on stdout; returns the exit code it stands for. */
int cli_fail(struct cli *c, const struct err *e);
int cli_fail_usage(struct cli *c, const struct err *e);
/* A word that is no error, on stderr, escaped; silent with --json. */
void cli_note(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, also with --json: what a person or a script has to know about the result. */
void cli_warn(struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Where things stand, and the options. */
int cli_layout(struct cli *c, struct err *e);
int cli_config(struct cli *c, struct err *e);
/* The folder of the templates: the config's, or the layout's. Owned. */
char *cli_template_dir(struct cli *c, struct err *e);

/* config.c: [{line, text, why}] of the user's tmux configuration that is not taken; a new reference, NULL when
 * none is named (or, with e, cannot be read). c->config is there. */
json_t *tmux_conf_left(struct cli *c, size_t *ret_taken, struct err *e);

/* Connects to the daemon, starting it when it may be. */
int cli_connect(struct cli *c, struct err *e);
/* Connects when that was not done, and calls. params stolen. Ctrl-C ends the wait (ERR_CANCELLED), and
 * with the connection what was asked for. */
int cli_call(struct cli *c, const char *method, json_t *params, int64_t timeout_ms, json_t **ret,
	struct err *e);
/* The verb's own method with its own arguments. */
int cli_call_verb(struct cli *c, json_t **ret, struct err *e);
/* The daemon went away under a call that may be made again: waits for another, until the deadline (of clock_mono_ms; -1: a
 * while), and leaves `timeout` of the verb's parameters as what is left. -1: e was another error, or nobody came. */
int cli_await_again(struct cli *c, int64_t deadline, struct err *e);
/* Writes a result: JSON as it is, text by its kind. */
void cli_result(struct cli *c, enum result_kind kind, const json_t *result);
/* What most verbs are: one call, its result. */
int cli_generic(struct cli *c);

/* From here on SIGINT, SIGTERM and SIGHUP set cli_stop instead of ending the program. */
extern volatile int cli_stop;
void cli_catch_signals(void);
/* One of a stream of rows, as JSON or by render. left: how many may still be printed (-1: all), counted down;
 * behind the last, or when nobody reads, cli_stop is set. */
void cli_print_line(struct cli *c, json_int_t *left, const json_t *row,
	void (*render)(const struct writer *w, const json_t *row));

/* start.c: starts the daemon, unless one answers by then, and connects to it. */
int daemon_start(struct cli *c, struct err *e);
/* Waits for somebody to listen on the socket again and connects: until the deadline (of clock_mono_ms, -1: none),
 * then ERR_UNREACHABLE. The socket's folder may go and come back meanwhile. */
int daemon_await(struct cli *c, int64_t deadline, struct err *e);
/* Waits for the process at the other end of the client's connection to be gone. */
int daemon_await_end(int pidfd, int64_t timeout_ms, struct err *e);

/* select.c. Was a selector given; its rows of the parameters (new reference). */
bool selector_given(const struct cli *c);
/* From here on these are named (stolen), and nothing is chosen. */
void selector_named(struct cli *c, json_t *ids);
/* Verbs that take one instance: with a selector, `id` becomes the one that it chooses. */
int selector_settle(struct cli *c, struct err *e);

/* events.c. Every event of that filter (of `subscribe`, borrowed) after `since`, over restarts of the daemon, until Ctrl-C or
 * until fn sets cli_stop. fleet: the database that since counts in; may be NULL. */
typedef void event_fn(void *arg, const json_t *event);
int events_follow(struct cli *c, const json_t *filter, json_int_t since, const char *fleet, event_fn *fn, void *arg, struct err *e);

/* render.c */
void render_result(const struct writer *w, enum result_kind kind, const json_t *result);
void render_instances(const struct writer *w, const json_t *list, int64_t now_ms);
/* Children below their parents; at most so many lines. */
void render_tree(const struct writer *w, const json_t *list, size_t most, int64_t now_ms);
/* prompts.c: a table of them; one whole. */
void render_prompts(const struct writer *w, const json_t *list, int64_t now_ms);
void render_prompt(const struct writer *w, const json_t *p);
/* schedules.c */
void render_schedules(const struct writer *w, const json_t *rows);
void render_schedule(const struct writer *w, const json_t *s);
/* Does this send say when? Then its text is sent later. */
bool schedule_asked(const struct cli *c);
int schedule_make(struct cli *c);
/* cap.c: how caps stand, of the holder of this id or "fleet". */
void render_caps(const struct writer *w, const json_t *caps, const char *holder);
/* What a spawn got less of than it asked for, as a sentence. */
void say_narrowed(struct cli *c, const json_t *in);
void render_event(const struct writer *w, const json_t *event);
/* approvals.c */
void render_approvals(const struct writer *w, const json_t *rows);
void render_approval(const struct writer *w, const json_t *a);
/* attention.c */
void render_notify(const struct writer *w, const json_t *result);
void render_attention(const struct writer *w, const json_t *items);
void render_grants(const struct writer *w, const json_t *rows);
/* usage.c: the answer of `usage`; in one line, of an instance shown whole. */
/* $1.50, 2000000, 4h: of a budget; owned. */
char *usage_amount(const char *cap, double n);
void render_usage(const struct writer *w, const json_t *result);
void render_usage_line(const struct writer *w, const json_t *in);
void render_audit(const struct writer *w, const json_t *result);
enum color state_color(const char *state);
/* Members of JSON objects, with "" and 0 where they are missing. */
const char *jstr(const json_t *o, const char *key);
json_int_t jint(const json_t *o, const char *key);

/* The first line that a program prints, into out. False when it cannot run or takes too long. */
bool cli_first_line(char *const *argv, char *out, size_t size);
/* All files of agents are right: 0, or -1 with file and line of the first that is not. */
int agents_check(struct cli *c, struct err *e);

/* The verbs that need more than one call. */
verb_fn verb_spawn, verb_fork, verb_transcript, verb_restart, verb_kill, verb_list, verb_send, verb_broadcast, verb_schedules_make, verb_read, verb_wait, verb_attach, verb_exec,
	verb_events, verb_attention, verb_audit, verb_up, verb_down, verb_status, verb_template_build, verb_template_list, verb_login,
	verb_replay, verb_logs, verb_cap_set, verb_config_show, verb_config_check, verb_doctor, verb_version,
	verb_agents_list, verb_agents_show, verb_shell_integration, verb_db_path, verb_db_check, verb_db_backup, verb_db_restore;

#endif
