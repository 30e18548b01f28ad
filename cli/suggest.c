/* SPDX-License-Identifier: ISC */
/* What somebody may have meant by a word that does not exist. */
#include "cli/suggest.h"

#include <string.h>

#include "base/util.h"

#define WORD_MAX 63
#define FAR 1000u

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned edit_distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	unsigned rows[3][WORD_MAX + 1];

	if (la > WORD_MAX || lb > WORD_MAX)
		return FAR;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *now = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned d = up[j - 1] + (a[i - 1] != b[j - 1]);
			d = least(d, least(up[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, up2[j - 2] + 1);
			now[j] = d;
		}
	}
	return rows[la % 3][lb];
}

const char *suggest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strlen(word);
	/* One less is the most that still counts as near. */
	unsigned best = len <= 3 ? 2 : len < 10 ? 3 : 4;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!candidates[i])
			continue;
		unsigned d = edit_distance(word, candidates[i]);
		if (len >= 3 && str_starts(candidates[i], word))
			d = 1;
		if (d < best) {
			best = d;
			found = candidates[i];
		}
	}
	return found;
}
