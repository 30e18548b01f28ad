/* SPDX-License-Identifier: ISC */
/* What somebody may have meant by a word that does not exist. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

/* The candidate nearest to word, or NULL when none is near. Candidates may contain NULLs. */
const char *suggest(const char *word, const char *const *candidates, size_t n);
/* Edit distance (insert, remove, replace, swap neighbours); words of more than 63 bytes are far. */
unsigned edit_distance(const char *a, const char *b);

#endif
