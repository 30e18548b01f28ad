/* SPDX-License-Identifier: ISC */
/*
 * A driver answers: how is a place made, what holds it, what can it do. One file per driver, one const
 * vtable at its foot, one row in driver.c. A place is reached only through its link (the shim), so a
 * driver never talks to what runs inside.
 */
#ifndef DAEMON_DRIVER_H
#define DAEMON_DRIVER_H

#include <jansson.h>

#include "base/loop.h"
#include "daemon/model/host.h"
#include "daemon/model/model.h"
#include "ipc/config.h"
#include "ipc/layout.h"

/* What drivers and agents may know of the daemon. Borrowed, lives as long as the daemon. */
struct driver_env {
	struct loop *loop;
	const struct layout *layout;
	const struct config *config;
	const char *template_dir;
};

enum {
	DRIVER_ISOLATED = 1, /* the place holds an agent that has every permission */
	DRIVER_EGRESS = 2,   /* the one way out is enforced */
	DRIVER_SYSTEM = 4,   /* a whole system: setup sets host name, user, mounts, proxy */
};

/* place_json: the object of place.json (ARCHITECTURE.md), new reference; NULL with error set. Its
 * "accel" says what a VM will run under. */
typedef void driver_made_fn(void *arg, json_t *place_json, const struct err *error);

struct driver {
	const char *name, *summary;
	unsigned flags;
	/* What one start takes of the host, beside a VM's own memory and processors. */
	struct start_need need;
	/* Before anything is written: are the programs, the template, the sizes there and right? */
	int (*check)(const struct driver_env *env, const struct instance *in, struct err *e);
	/* MiB that the disk of a new place may grow to; NULL: it has none. After check. */
	int64_t (*disk_mib)(const struct driver_env *env, const struct instance *in);
	/* Makes what the place needs in its folder (which exists, 0700, the daemon's), and describes the
	 * holder. Repeating it on the same folder is harmless (restart keeps the disk). Calls done once,
	 * maybe before it returns; p and in are not touched after it returned. */
	void (*make)(const struct driver_env *env, struct place *p, const struct instance *in,
		driver_made_fn *done, void *arg);
	/* Where things are inside: the guest program, a folder for our own files, the agent's home, whether
	 * the agent program is looked for in PATH of the daemon's user. */
	const char *(*guest_program)(const struct driver_env *env);
	const char *(*run_dir)(const struct driver_env *env, const struct place *p, char *out,
		size_t size);
};

const struct driver *driver_find(const char *name); /* NULL when unknown */
const struct driver *const *driver_all(void);       /* ends with NULL */
char *driver_names(void);                           /* "qemu, host"; owned */
/* What VMs run under: "kvm", "tcg", or NULL while no VM was made. *ret_reason (may be NULL): why. */
const char *driver_accel(const char **ret_reason);
/* At the daemon's end, before loop_destroy: gives up what is being made. */
void driver_finish(void);
/* S/p/PLACE; owned. */
char *place_dir(const struct layout *l, const char *place_id);

#endif
