/* SPDX-License-Identifier: ISC */
/* Templates as the qemu driver sees them: a folder with disk, kernel, ram disk and a stamp. */
#ifndef DAEMON_DRIVER_TEMPLATE_H
#define DAEMON_DRIVER_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define TEMPLATE_FORMAT 1 /* of the stamp; what place/guest/build-template writes */
#define TEMPLATE_STAMP "template.json"

/* The stamp of DIR/NAME, checked: its files are there, its format is known. New reference; NULL with
 * ERR_MISSING (and how to build it), ERR_VERSION, ERR_IO. */
json_t *template_stamp(const char *dir, const char *name, struct err *e);
/* "qcow2" or "raw"; borrowed from the stamp. */
const char *template_format(const json_t *stamp);

/*
 * Binds a place's folder to its template for good: a disk that was begun on one build of a template
 * must never be continued on another. The template's files are hard-linked into the folder, so that a
 * rebuild leaves them alone; where that cannot be done (another file system) the stamp is kept, and a
 * place whose template was rebuilt is refused (ERR_STATE). fresh: the place has no disk yet. *ret is the
 * folder to take disk, kernel and ram disk from; owned.
 */
int template_bind(const char *template_dir, const char *place_dir, bool fresh, char **ret,
	struct err *e);

#endif
