/* SPDX-License-Identifier: ISC */
/* Which segments a recording has. */
#include "record/stock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/util.h"

void segment_name(const struct segment *s, enum segment_file file, char out[SEGMENT_NAME_MAX])
{
	switch (file) {
	case SEGMENT_RAW:
		snprintf(out, SEGMENT_NAME_MAX, "term.%" PRIu64 ".rec", s->start);
		break;
	case SEGMENT_INDEX:
		snprintf(out, SEGMENT_NAME_MAX, "term.%" PRIu64 ".idx", s->start);
		break;
	case SEGMENT_PACKED:
		snprintf(out, SEGMENT_NAME_MAX, "term.%" PRIu64 "+%" PRIu64 ".zst", s->start, s->len);
		break;
	case SEGMENT_NEW:
		snprintf(out, SEGMENT_NAME_MAX, "term.%" PRIu64 ".new", s->start);
		break;
	}
}

void segment_unlink(int dir, const struct segment *s)
{
	/* The raw one before the packed one: see put_in_place in pack.c. */
	static const enum segment_file all[] = {SEGMENT_INDEX, SEGMENT_RAW, SEGMENT_PACKED, SEGMENT_NEW};
	char name[SEGMENT_NAME_MAX];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		segment_name(s, all[i], name);
		unlinkat(dir, name, 0);
	}
}

/* Reads a name of ours; false for any other, and for one that we would write differently. */
static bool parse(const char *name, struct segment *s, enum segment_file *file)
{
	char canonical[SEGMENT_NAME_MAX];

	memset(s, 0, sizeof(*s));
	if (sscanf(name, "term.%" SCNu64 "+%" SCNu64 ".zst", &s->start, &s->len) == 2)
		*file = SEGMENT_PACKED;
	else if (sscanf(name, "term.%" SCNu64 ".", &s->start) == 1)
		*file = strstr(name, ".idx") ? SEGMENT_INDEX : SEGMENT_RAW;
	else
		return false;
	segment_name(s, *file, canonical);
	s->packed = *file == SEGMENT_PACKED;
	return strcmp(canonical, name) == 0 && s->start + s->len >= s->start;
}

static int by_start(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->packed - y->packed;
}

void stock_add(struct stock *s, struct segment seg)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 16;
		s->seg = xrealloc(s->seg, s->cap * sizeof(*s->seg));
	}
	s->seg[s->n++] = seg;
}

void stock_drop_first(struct stock *s)
{
	memmove(s->seg, s->seg + 1, --s->n * sizeof(*s->seg));
}

void stock_finish(struct stock *s)
{
	free(s->seg);
	*s = (struct stock){0};
}

/* Twins become one: the packed one, which was whole on disk before it got its name. Others overlap in damaged
 * recordings only: a raw one ends where the next begins, what lies within a packed one is passed over. */
static void merge_twins(struct stock *s)
{
	size_t to = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct segment *before = to > 0 ? &s->seg[to - 1] : NULL;

		if (before && before->start == s->seg[i].start) {
			s->seg[i].disk += before->disk;
			to--;
		} else if (before && before->start + before->len > s->seg[i].start) {
			if (before->packed)
				continue;
			before->len = s->seg[i].start - before->start;
		}
		s->seg[to++] = s->seg[i];
	}
	s->n = to;
}

static void count_indexes(int dir, struct stock *s)
{
	char name[SEGMENT_NAME_MAX];
	struct stat st;

	for (size_t i = 0; i < s->n; i++) {
		if (s->seg[i].packed)
			continue;
		segment_name(&s->seg[i], SEGMENT_INDEX, name);
		if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			s->seg[i].disk += (uint64_t)st.st_size;
	}
}

int stock_take(int dir, struct stock *s, struct err *e)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *ent;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return err_set_errno(e, ERR_IO, errno, "cannot list the recording's folder");
	}
	s->n = 0;
	while ((ent = readdir(d))) {
		enum segment_file file;
		struct segment seg;
		struct stat st;

		if (!parse(ent->d_name, &seg, &file) || file == SEGMENT_INDEX ||
			fstatat(dir, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
			continue;
		seg.disk = (uint64_t)st.st_size;
		if (!seg.packed)
			seg.len = seg.disk;
		if (seg.start + seg.len < seg.start) /* none of ours: offsets do not get there */
			continue;
		if (s->n < 2 * STOCK_MAX)
			stock_add(s, seg);
	}
	closedir(d);
	if (s->n)
		qsort(s->seg, s->n, sizeof(*s->seg), by_start);
	merge_twins(s);
	count_indexes(dir, s);
	return 0;
}

size_t stock_find(const struct stock *s, uint64_t offset)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->seg[mid].start + s->seg[mid].len > offset)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

uint64_t stock_disk(const struct stock *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->seg[i].disk;
	return sum;
}

uint64_t stock_first(const struct stock *s)
{
	return s->n ? s->seg[0].start : 0;
}

uint64_t stock_end(const struct stock *s)
{
	return s->n ? s->seg[s->n - 1].start + s->seg[s->n - 1].len : 0;
}
