/* SPDX-License-Identifier: ISC */
/*
 * What tmux-claude-guest does when it is the first process of a virtual machine: the initial ram
 * disk's part, the machine's own part, and orderly ends. Nothing here knows the link's protocol.
 *
 * The way of a boot. The kernel starts the program as /init of a ram disk that holds it and a few
 * kernel modules: guest_init loads them, mounts the disk, moves into it, and runs the program from
 * there again, as PID 1 still. That one mounts what every program expects, and forks: PID 1 stays
 * behind as a small reaper, the child returns from guest_init with the link's port open and goes on
 * as the guest program. So the program can watch its own children by pidfd while orphans, which
 * are PID 1's, are reaped by who has nothing else to do. When the child ends, the machine is
 * powered off: nobody could reach it any more.
 */
#ifndef PLACE_GUEST_INIT_H
#define PLACE_GUEST_INIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define GUEST_LINK_PORT "tmux-claude.link"       /* the virtio-serial port's name */
#define GUEST_PROGRAM "/usr/lib/tmux-claude/tmux-claude-guest" /* in the template's disk */
#define GUEST_MODULES_EARLY "/modules/early"     /* in the ram disk: one path a line, in order */
#define GUEST_MODULES "/usr/lib/tmux-claude/modules" /* in the disk, the same */
/* On the kernel's command line: the ram disk says the mark on the console and ends the machine. The
 * host finds out so whether its KVM runs a real kernel (daemon/driver/kvm_probe.h). */
#define GUEST_PROBE_ARG "tmux_claude.probe"
#define GUEST_PROBE_MARK "tmux-claude-probe: ok"
#define GUEST_AGENT_USER "agent"                 /* the user that the template has */
#define GUEST_HOSTNAME_MAX 63

/* True when this process is the first of a machine: main() then calls guest_init at once. */
bool guest_is_init(void);

/*
 * Brings the machine up. Returns 0 in the process that is to be the guest program, with standard
 * descriptors on the console (which the host keeps as a log) and *ret_link open on the link's port
 * (non-blocking, close-on-exec). PID 1 never returns: when the machine cannot be brought up it
 * prints why on the console and powers off.
 */
int guest_init(int *ret_link);

/* Asks PID 1 for an orderly end: programs get TERM, then KILL, disks are synced and made read-only,
 * the machine is powered off. Returns at once; needs root. */
int guest_poweroff(struct err *e);

/* Who the machine is. All of these may be called again (after a clone was started). */
int guest_set_hostname(const char *name, struct err *e); /* also /etc/hostname, /etc/hosts */
int guest_set_time(int64_t wall_ms, struct err *e);
int guest_add_entropy(const void *data, size_t len, struct err *e); /* credits it and reseeds */
int guest_new_machine_id(struct err *e);

struct guest_user {
	const char *name; /* [a-z_][a-z0-9_-]{0,31} */
	uid_t uid;        /* not 0 */
	gid_t gid;        /* not 0 */
	const char *home; /* absolute; made and owned by the user */
	const char *shell; /* NULL: /bin/bash */
};
/*
 * Gives the machine's user that name, uid, gid and home: the line of `name` in /etc/passwd and
 * /etc/group is rewritten or added, and a home that another uid owned is handed over. `root` is
 * the folder that holds etc/ ("" in a machine; tests give another).
 */
int guest_set_user(const char *root, const struct guest_user *u, struct err *e);

/* --- parts, public for tests --- */

/* Loads the modules of a list in order, with the parameters that the kernel's command line has for
 * them ("name.param=value"). One that is loaded or built in already is fine. */
int guest_modules_load(const char *list, const char *cmdline, struct err *e);
/* The parameters for module `name` out of a command line, "param=value ...". Owned. */
char *guest_modules_params(const char *cmdline, const char *name);
/* The value of "key=" in a command line, or NULL. Owned. */
char *guest_cmdline_get(const char *cmdline, const char *key);
/* Opens the virtio-serial port of that name, waiting up to ms for it to appear. */
int guest_port_open(const char *name, int ms, int *ret_fd, struct err *e);
/* The ram disk's part. Returns only with an error. */
int guest_initrd(struct err *e);

#endif
