/* SPDX-License-Identifier: ISC */
/* A path inside the served folder, taken apart; "/" is the folder itself. Pure. */
#ifndef FILES_FPATH_H
#define FILES_FPATH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FPATH_MAX 4095
#define FPATH_COMPONENTS_MAX 256
#define FPATH_COMPONENT_MAX 255

struct fpath {
	char text[FPATH_MAX + 1]; /* components joined by '/', no leading one; "" for the folder */
	char mem[FPATH_MAX + 1];  /* the components, each with its NUL */
	const char *comp[FPATH_COMPONENTS_MAX];
	size_t n;
};

/* "" and "." components vanish. Refused with ERR_PARAMS: a ".." (no honest client sends one: its
 * kernel resolves them), a NUL byte, what is too long or too deep. */
int fpath_parse(struct fpath *ret, const void *data, size_t len, struct err *e);
/* The text of the first n components into out (of FPATH_MAX + 1). */
void fpath_prefix(const struct fpath *p, size_t n, char *out);
/* Resolves `link` (as a file's content names another: relative to the folder of p's first n components,
 * or absolute under root, the served folder's own path) by its text alone. -1 when it leads out. */
int fpath_join(const struct fpath *p, size_t n, const char *link, const char *root,
	struct fpath *ret);

#endif
