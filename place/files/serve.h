/* SPDX-License-Identifier: ISC */
/*
 * The SFTP server: one descriptor, one client, requests answered in their order.
 *
 * A body of at most WIRE_PACKET_MAX is read whole, handled, and answered with exactly one packet. Answers
 * gather in a buffer and are written when no further request stands in the input, or the buffer is
 * large: pipelined requests cost one write. What breaks the framing (a length past the bound, a request
 * before INIT) ends the connection; a malformed body is answered with BAD_MESSAGE.
 */
#ifndef FILES_SERVE_H
#define FILES_SERVE_H

#include <dirent.h>

#include "base/buf.h"
#include "place/files/root.h"
#include "place/files/wire.h"

#define HANDLES_MAX 1024
#define HANDLE_LEN 8 /* bytes of a handle on the wire */
#define OUT_FLUSH (64 * 1024)

struct handle {
	uint32_t generation; /* of the slot: a handle that was closed never names another file */
	int fd;              /* -1: the slot is free */
	DIR *dir;            /* folders; owns the descriptor then */
	bool writable, append;
	bool never_executable;
	enum verdict attr;    /* may mode and times be set? */
	enum verdict content; /* what writes must look like */
	char *path;           /* where content depends on it */
};

struct server {
	struct root root;
	struct buf in, out;
	bool greeted;
	struct handle handles[HANDLES_MAX];
	uint32_t id; /* of the request in hand */
	/* refusals told in the log, at most LOG_PER_WINDOW in a window */
	int64_t log_window;
	int logged;
};

void server_init(struct server *s);
void server_finish(struct server *s);
/* Handles every whole packet in s->in; answers stand in s->out. -1: the connection must end (e says why).
 * Stops early when out is full of answers: call again once they are written. */
int server_handle(struct server *s, struct err *e);
/* Serves until the client closes (0) or must be dropped (-1). fd may be blocking or not. */
int server_run(struct server *s, int fd, struct err *e);

/* ---- for the operations ---- */

void answer_status(struct server *s, enum wire_status code, const char *text);
void answer_errno(struct server *s, int errnum);
/* PERMISSION_DENIED with why, and a line in the log. */
void answer_refused(struct server *s, const char *what, const char *path, const char *why);
/* Parses a path argument; answers itself and returns -1 when it is not acceptable. */
int take_path(struct server *s, struct wire *w, struct fpath *ret);
/* True when the whole body was read and nothing was wrong; otherwise answered with BAD_MESSAGE. */
bool complete(struct server *s, struct wire *w);
/* Judges; answers and returns -1 when refused, the verdict otherwise. */
int permit(struct server *s, const struct fpath *p, enum act act, bool is_dir);

struct handle *handle_take(struct server *s, struct wire *w); /* NULL: not one of ours */
struct handle *handle_new(struct server *s);                  /* NULL: all are in use */
void handle_close(struct handle *h);
void answer_handle(struct server *s, const struct handle *h);

/* ops_file.c */
void op_open(struct server *s, struct wire *w);
void op_close(struct server *s, struct wire *w);
void op_read(struct server *s, struct wire *w);
void op_write(struct server *s, struct wire *w);
void op_fstat(struct server *s, struct wire *w);
void op_fsetstat(struct server *s, struct wire *w);
void op_fsync(struct server *s, struct wire *w);
void op_fstatvfs(struct server *s, struct wire *w);
/* ops_path.c */
void op_lstat(struct server *s, struct wire *w);
void op_stat(struct server *s, struct wire *w);
void op_setstat(struct server *s, struct wire *w);
void op_remove(struct server *s, struct wire *w);
void op_mkdir(struct server *s, struct wire *w);
void op_rmdir(struct server *s, struct wire *w);
void op_realpath(struct server *s, struct wire *w);
void op_rename(struct server *s, struct wire *w);
void op_posix_rename(struct server *s, struct wire *w);
void op_readlink(struct server *s, struct wire *w);
void op_symlink(struct server *s, struct wire *w);
void op_hardlink(struct server *s, struct wire *w);
void op_lsetstat(struct server *s, struct wire *w);
void op_statvfs(struct server *s, struct wire *w);
/* ops_dir.c */
void op_opendir(struct server *s, struct wire *w);
void op_readdir(struct server *s, struct wire *w);
/* install.c: the rename of a checked copy. Answers. */
void install_config(struct server *s, const struct fpath *from, const struct fpath *to);

#endif
