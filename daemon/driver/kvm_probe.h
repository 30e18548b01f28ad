/* SPDX-License-Identifier: ISC */
/* Does this machine's KVM run a real kernel? Found out by trying, once per boot of the host. */
#ifndef DAEMON_DRIVER_KVM_PROBE_H
#define DAEMON_DRIVER_KVM_PROBE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/loop.h"

#define KVM_PROBE_DEADLINE_MS 5000
#define KVM_REASON_MAX 256

struct kvm_probe;

struct kvm_probe_spec {
	const char *qemu;   /* NULL: qemu-system-x86_64 */
	const char *device; /* NULL: /dev/kvm */
	const char *kernel, *initrd; /* a template's */
	const char *cache;  /* file that keeps the answer until the host's next boot, or NULL */
	int deadline_ms;    /* 0: KVM_PROBE_DEADLINE_MS */
	bool drop;          /* run QEMU as uid and gid, as a place's will be */
	uid_t uid;
	gid_t gid;
};

/* reason: one sentence, why not, or how it was found out; "" when there is nothing to say. */
typedef void kvm_probe_fn(void *arg, bool works, const char *reason);

/*
 * Answers through fn, once, from the loop and never from within this call; at the latest shortly
 * after the deadline. The owner then destroys it. The spec's strings are copied.
 */
struct kvm_probe *kvm_probe_start(struct loop *l, const struct kvm_probe_spec *s, kvm_probe_fn *fn,
	void *arg);
void kvm_probe_destroy(struct kvm_probe *p); /* before the answer: no answer; NULL ok */

#endif
