/* SPDX-License-Identifier: ISC */
/* Which accelerator VMs run under: the configured one, or KVM where a probe shows that it works. */
#ifndef DAEMON_DRIVER_ACCEL_H
#define DAEMON_DRIVER_ACCEL_H

#include "daemon/driver/driver.h"
#include "daemon/driver/qemu_argv.h"

typedef void accel_fn(void *arg, enum qemu_accel accel);

/* Calls fn once: at once when the answer is known, else from the loop when the probe (one, whoever asks)
 * is through. kernel and initrd are a template's; uid and gid what QEMU will run as, (uid_t)-1 for ours. */
void accel_find(const struct driver_env *env, const char *kernel, const char *initrd, uid_t uid,
	gid_t gid, accel_fn *fn, void *arg);
void accel_finish(void); /* those who still wait are forgotten */

#endif
