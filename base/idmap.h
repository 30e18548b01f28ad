/* SPDX-License-Identifier: ISC */
/* Finds things by a short text (an id, a name): a hash table that grows with what it holds. */
#ifndef BASE_IDMAP_H
#define BASE_IDMAP_H

#include <stddef.h>

struct idmap_node;

/* All zero is empty. Keys are not copied: they live in the things. */
struct idmap {
	struct idmap_node **bucket;
	size_t size, count;
};

void *idmap_get(const struct idmap *m, const char *key); /* NULL when there is none */
/* key must not be in it. */
void idmap_put(struct idmap *m, const char *key, void *thing);
/* Takes it out; the key may be freed afterwards. Returns the thing, NULL when there is none. */
void *idmap_drop(struct idmap *m, const char *key);
void idmap_finish(struct idmap *m); /* the things stay their owner's */

#endif
