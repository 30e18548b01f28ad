/* SPDX-License-Identifier: ISC */
/* The host's folders in a machine: sshfs over a stream to the shim's file server. */
#ifndef PLACE_GUEST_MOUNT_H
#define PLACE_GUEST_MOUNT_H

#include "place/guest/setup.h"

#define MOUNTS_MAX 32
#define MOUNT_MS 30000

/* [{"path","read_only"}]: mounts what is not mounted yet, unmounts what is not asked for any more. fn is
 * called once: when all stand, or when one does not within MOUNT_MS (with why). */
void mounts_set(struct guest *g, const json_t *list, setup_done_fn *fn, void *arg);
/* Is path in one of them? Whoever looks there waits for us: this process must not. */
bool mounts_cover(const struct guest *g, const char *path);
bool mounts_own(const struct guest *g, pid_t pid);
void mounts_destroy(struct mounts *m); /* NULL ok */

/* --- parts, public for tests --- */
/* Is something mounted at path, by the text of /proc/self/mountinfo? The last one counts. */
bool mountinfo_has(const char *text, const char *path, const char *fs_prefix);

#endif
