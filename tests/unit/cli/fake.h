/* SPDX-License-Identifier: ISC */
/*
 * The program under test against a daemon of the test's own making. The daemon is a child: what it was
 * asked comes back on a pipe, one line a request ("METHOD PARAMS"), and "gone" when a client left.
 */
#ifndef TESTS_UNIT_CLI_FAKE_H
#define TESTS_UNIT_CLI_FAKE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"
#include "ipc/peer.h"

struct fake;
/* Answers one request, in the daemon's process. */
typedef void fake_fn(struct fake *f, struct peer_request *req, const char *method, json_t *params);

struct fake {
	struct loop *loop;
	struct peer *peer; /* the client that is connected now */
	int listener;
	int said; /* the daemon's end of the pipe */
	char path[128];
	fake_fn *answer;
	int count; /* requests so far */
};

/* In the test's process. */
struct run {
	int code, signal;
	char *out, *err;
};

/* A folder of the test's own, in TMUX_CLAUDE_HOME; removed by fake_teardown. */
extern char fake_dir[];
void fake_setup(void);
void fake_teardown(void);
/* Starts a daemon on the home's own socket. */
void fake_start(fake_fn *answer);
/* The next line that the daemon said; static. */
const char *fake_heard(void);
/* Waits for the daemon's process to end; its status. */
int fake_wait(void);
bool fake_ended(void); /* without waiting */
/* Runs ./tmux-claude with arguments and a text as standard input (NULL: /dev/null). */
void run_program(struct run *r, const char *input, char *const *args);
pid_t start_program(char *const *args);        /* in the background, output as below */
void finish_program(struct run *r, pid_t pid); /* waits and reads what it printed */
void run_free(struct run *r);

/* Daemon's side. */
void fake_stop_listening(struct fake *f);
void fake_listen(struct fake *f);

#define RUN(r, input, ...) run_program(r, input, (char *const[]){__VA_ARGS__, NULL})

#endif
