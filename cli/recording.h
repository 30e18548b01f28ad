/* SPDX-License-Identifier: ISC */
/* The recorded bytes of an instance's terminal: from its shim while it lives, else from the files. */
#ifndef CLI_RECORDING_H
#define CLI_RECORDING_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/cli.h"

/* Where an instance's recording is. Zero-initialised: nowhere. */
struct source {
	char *id;     /* the instance */
	char *dir;    /* of the files */
	char *socket; /* of its shim; NULL: it ended, or there is no daemon to say */
};

/* Asks the daemon. When none can be reached, and none may be started, an id is looked for among the files. */
int source_find(struct cli *c, const char *id, struct source *ret, struct err *e);
void source_finish(struct source *s);
/* For what was found among the files: the shim that holds it, if its place stands; ERR_UNREACHABLE when that
 * does not answer. s->socket stays NULL when it ended. */
int source_find_shim(struct cli *c, struct source *s, struct err *e);

/* Takes bytes in order, offset being the first one's: later than expected when some are missing. A result
 * other than 0 ends the reading, which is no failure. */
typedef int recording_fn(void *arg, uint64_t offset, const void *data, size_t len);

/* Every byte from offset since on (-1: the first that is kept) that is in the files. *ret_end (may be NULL):
 * behind the last. */
int recording_read(struct cli *c, const char *dir, int64_t since, recording_fn *fn, void *arg, uint64_t *ret_end,
	struct err *e);

/*
 * The same from where the instance's bytes are first heard, its shim; with follow until its program ends or
 * we are asked to stop. A shim or a daemon that goes away meanwhile is waited for, and reading goes on where
 * it was: nothing twice, nothing left out that is kept.
 */
int recording_follow(struct cli *c, const char *id, int64_t since, bool follow, recording_fn *fn, void *arg,
	struct err *e);

/* The program that knows what terminals show, as a child: its output at *ret_fd, what it says on our stderr
 * unless quiet. argv[0] is filled in. */
int recording_child(char **argv, bool quiet, int *ret_fd, pid_t *ret_pid, struct err *e);

#endif
