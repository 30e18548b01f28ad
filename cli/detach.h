/* SPDX-License-Identifier: ISC */
/* The key that leaves a bare view, in every way in which terminals send it. Pure. */
#ifndef CLI_DETACH_H
#define CLI_DETACH_H

#include <stdbool.h>
#include <stddef.h>

/* "C-]", "C-a" .. "C-z", "C-\", "C-^", "C-_", or "none": the control byte, 0 for none, -1 for anything else. */
int detach_key(const char *name);
/* Where the key begins in what was typed, or len. *ret_end becomes the offset behind it. */
size_t detach_find(int key, const char *data, size_t len, size_t *ret_end);

#endif
