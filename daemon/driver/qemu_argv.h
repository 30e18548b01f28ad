/* SPDX-License-Identifier: ISC */
/* The command line of QEMU for a place: a pure function of what the place needs. */
#ifndef DAEMON_DRIVER_QEMU_ARGV_H
#define DAEMON_DRIVER_QEMU_ARGV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define QEMU_CPUS_MAX 64
#define QEMU_MEMORY_MIN_MIB 512 /* Claude Code alone needs about 300 */
#define QEMU_LINK_PORT "tmux-claude.link"

enum qemu_accel { QEMU_TCG, QEMU_KVM };

/*
 * Every image and socket is a descriptor number in QEMU's process (above 2), so that QEMU needs no
 * right to any path. The kernel and ram disk are the exception: QEMU opens them again by
 * /proc/self/fd/N, so their files must be readable for its uid (the folders above need not be).
 * Sockets are bound and listening; QEMU serves one client on each at a time, and a client that goes
 * away may be followed by another.
 */
struct qemu_spec {
	const char *program; /* NULL: qemu-system-x86_64 */
	const char *name;    /* the place's id, seen in ps; letters and digits */
	enum qemu_accel accel;
	unsigned cpus;
	uint64_t memory_mib;
	unsigned tsc_khz;        /* the host's (host_tsc_khz), used with TCG; 0: unknown */
	int kernel_fd;           /* read-only */
	int initrd_fd;           /* read-only */
	int overlay_fd;          /* read-write: qcow2 over the base, the place's own */
	int base_fd;             /* read-only: the template's disk */
	const char *base_format; /* "qcow2" or "raw" */
	int console_fd;          /* listening socket: what the machine prints; -1: nowhere */
	int link_fd;             /* listening socket: the virtio-serial port's other end */
	int qmp_fd;              /* listening socket */
	const char *append;      /* more for the kernel's command line, or NULL */
	/* Only kernel and ram disk, to see whether they start: console_fd is a connected socket that
	 * QEMU_PROBE_MARK arrives on, overlay, base, link and QMP are not used. */
	bool probe;
};

#define QEMU_PROBE_ARG "tmux_claude.probe" /* place/guest/initrd.c knows both of these */
#define QEMU_PROBE_MARK "tmux-claude-probe: ok"

/* An owned vector (strv_free) in *ret; -1 with why when the spec cannot be run. */
int qemu_argv(const struct qemu_spec *s, char ***ret, struct err *e);

/* The host's time stamp counter's rate in kHz, measured once for 5 ms; 0 where there is none. */
unsigned host_tsc_khz(void);

#endif
