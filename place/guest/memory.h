/* SPDX-License-Identifier: ISC */
/*
 * Folders of the agent's whose new files live in memory only, so that a login made by hand never reaches
 * the VM's disk. What is named in `keep`, and what the template put there, stays on the disk.
 */
#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <jansson.h>

#include "place/guest/guest.h"

/* folders: [{"path":"/home/agent/.x","keep":["history"]}], or NULL. In a machine only; repeating it is
 * harmless. */
int memory_folders(struct guest *g, const json_t *folders, struct err *e);

#endif
