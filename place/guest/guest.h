/* SPDX-License-Identifier: ISC */
/*
 * What the parts of the guest program share.
 *
 * Who knows whom: main chooses the role; serve owns the link and gives each stream that the shim opens
 * to control (setup, procs, poweroff), proc (terminals that outlive their shim), tail (files that grow) or exec. api (instances'
 * sockets), proxy (the way out) and mount (the host's folders) open streams of their own. spawn starts
 * programs; flow moves bytes between descriptors and streams.
 */
#ifndef PLACE_GUEST_GUEST_H
#define PLACE_GUEST_GUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "ipc/link/link.h"
#include "ipc/link/link_io.h"

#define GUEST_RUN_DIR "/run/tmux-claude" /* of a machine: sockets of the instances */

struct proc;
struct exec;
struct api;
struct proxy;
struct mounts;
struct ending;
struct tail;
struct watches;

/* Who the agent is in the place. In a machine known from setup, or from /etc/passwd before. */
struct guest_agent {
	char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
};

struct guest {
	struct loop *loop;
	struct link_io *io;
	bool machine;   /* we rule the machine (its PID 1's child); else we are one program of a host */
	char *place;
	char *run_dir;  /* sockets of instances; on a host also the only place for files */
	struct guest_agent agent;
	struct link_stream *control;
	struct proc *procs;
	struct exec *execs;
	struct api *apis;
	struct proxy *proxy;
	struct mounts *mounts;
	struct tail *tails;
	struct watches *watches; /* NULL: nobody watches */
	struct ending *ending; /* a poweroff that goes on */
	char *hostname;        /* as setup gave it last */
};

static inline struct link *guest_link(struct guest *g)
{
	return link_io_link(g->io);
}

/* The main of the serving roles: fd is the port (machine), or a listening socket. */
int guest_serve(int fd, bool machine, const char *place, const char *run_dir);
/* Where to look for programs, and who the agent is, before any setup. */
void guest_agent_init(struct guest *g);
void guest_agent_finish(struct guest_agent *a);

/* Call when something that moved much became quiet: free memory goes back to the system. */
void guest_tidy(void);

/* --- control.c --- */
void control_open(struct guest *g, struct link_stream *s);
/* Tells the shim something about a start, for people; dropped when it is not there. */
/* A process of no right knocked at an instance's socket, `count` times since this was told last. False: nobody is
 * there to be told. */
bool control_stranger(struct guest *g, const char *instance, pid_t pid, uid_t uid, int64_t count);

/* --- members of JSON objects, with a default; another type counts as absent --- */
static inline const char *jget_text(const json_t *o, const char *key, const char *def)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : def;
}
static inline int64_t jget_int(const json_t *o, const char *key, int64_t def)
{
	const json_t *j = json_object_get(o, key);
	return json_is_integer(j) ? json_integer_value(j) : def;
}
static inline bool jget_bool(const json_t *o, const char *key, bool def)
{
	const json_t *j = json_object_get(o, key);
	return json_is_boolean(j) ? json_is_true(j) : def;
}

#endif
