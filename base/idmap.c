/* SPDX-License-Identifier: ISC */
/* A hash table of chains; it doubles when it is full on average. See idmap.h. */
#include "base/idmap.h"

#include <stdint.h>
#include <string.h>

#include "base/util.h"

#define SIZE_MIN 64 /* a power of two, as every size is */

struct idmap_node {
	struct idmap_node *next;
	const char *key;
	uint64_t hash;
	void *thing;
};

/* FNV-1a. Ids are our own random ones; names are the operator's and spread well enough. */
static uint64_t hash_of(const char *key)
{
	uint64_t h = 14695981039346656037u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211u;
	return h;
}

static struct idmap_node **find(const struct idmap *m, const char *key, uint64_t hash)
{
	struct idmap_node **at = &m->bucket[hash & (m->size - 1)];

	while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
		at = &(*at)->next;
	return at;
}

void *idmap_get(const struct idmap *m, const char *key)
{
	struct idmap_node *n = m->size ? *find(m, key, hash_of(key)) : NULL;

	return n ? n->thing : NULL;
}

static void grow(struct idmap *m)
{
	struct idmap old = *m;

	m->size = old.size ? old.size * 2 : SIZE_MIN;
	m->bucket = xcalloc(m->size, sizeof(struct idmap_node *));
	for (size_t i = 0; i < old.size; i++) {
		for (struct idmap_node *n = old.bucket[i], *next; n; n = next) {
			struct idmap_node **to = &m->bucket[n->hash & (m->size - 1)];
			next = n->next;
			n->next = *to;
			*to = n;
		}
	}
	free(old.bucket);
}

void idmap_put(struct idmap *m, const char *key, void *thing)
{
	struct idmap_node *n = xcalloc(1, sizeof(*n)), **to;

	if (m->count == m->size)
		grow(m);
	*n = (struct idmap_node){.key = key, .hash = hash_of(key), .thing = thing};
	to = &m->bucket[n->hash & (m->size - 1)];
	n->next = *to;
	*to = n;
	m->count++;
}

void *idmap_drop(struct idmap *m, const char *key)
{
	struct idmap_node **at = m->size ? find(m, key, hash_of(key)) : NULL, *n = at ? *at : NULL;
	void *thing;

	if (!n)
		return NULL;
	*at = n->next;
	thing = n->thing;
	free(n);
	m->count--;
	return thing;
}

void idmap_finish(struct idmap *m)
{
	for (size_t i = 0; i < m->size; i++) {
		for (struct idmap_node *n = m->bucket[i], *next; n; n = next) {
			next = n->next;
			free(n);
		}
	}
	free(m->bucket);
	*m = (struct idmap){0};
}
