/* SPDX-License-Identifier: ISC */
/*
 * Fuzzes the reader of recordings: raw and packed segments, their tables and times, as any bytes. The input is
 * a list of files (kind, start, length given by name, content); a folder is made of them, and read in every
 * way there is. Half of the inputs are packed first, so that damage reaches what is behind the table.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "record/pack.h"
#include "record/walk.h"

#define FILES_MAX 6

static int dir = -1;
static char path[] = "/dev/shm/fuzz-recording-XXXXXX";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void remove_folder(void)
{
	tree_remove(path, NULL);
}

static void put_file(const char *name, const uint8_t *data, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write_all(fd, data, len) < 0)
		abort();
	close(fd);
}

/* Each file: a byte of kind and start, two bytes of length, for packed ones a byte for the length in the name. */
static size_t put_next(const uint8_t *data, size_t size, uint64_t *start)
{
	struct segment s = {.start = *start};
	char name[SEGMENT_NAME_MAX];
	size_t len;

	if (size < 4)
		return size;
	len = data[1] | (size_t)data[2] << 8;
	len = len < size - 4 ? len : size - 4;
	switch (data[0] & 3) {
	case 0:
		segment_name(&s, SEGMENT_RAW, name);
		break;
	case 1:
		segment_name(&s, SEGMENT_INDEX, name);
		break;
	default:
		s.len = data[3] ? data[3] : len;
		segment_name(&s, SEGMENT_PACKED, name);
		break;
	}
	put_file(name, data + 4, len);
	if (data[0] & 4) {
		pack_segment(dir, *start, NULL);
		/* Damage to what was packed well. */
		s.len = len;
		segment_name(&s, SEGMENT_PACKED, name);
		int fd = openat(dir, name, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && len > 0 && (data[0] & 8))
			(void)!pwrite(fd, data + 4, len < 8 ? len : 8, data[3]);
		if (fd >= 0)
			close(fd);
	}
	if (data[0] & 16)
		*start += len + (data[0] >> 5);
	return 4 + len;
}

static void read_all(struct tape *t)
{
	struct walk *w = walk_create(t);
	struct walk_step s;
	struct err e = {0};
	static unsigned char piece[777];
	uint64_t at = tape_first(t), end = tape_end(t);
	ssize_t n;

	while ((n = tape_read(t, at, piece, sizeof(piece), &at, &e)) > 0) {
		at += (uint64_t)n;
		if (at > end)
			abort();
	}
	at = 0;
	while (walk_next(w, &s, &e) > 0) {
		if (s.offset < at || s.offset + (s.kind == WALK_DATA ? s.len : 0) > end)
			abort();
		at = s.offset;
	}
	walk_destroy(w);
	tape_time_of(t, end / 2);
	tape_offset_of(t, 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tape *t = NULL;
	uint64_t start = 0;

	if (dir < 0) {
		if (!mkdtemp(path) || (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			abort();
		atexit(remove_folder);
	}
	for (int i = 0; i < FILES_MAX && size > 0; i++) {
		size_t used = put_next(data, size, &start);
		data += used;
		size -= used;
	}
	if (tape_open(AT_FDCWD, path, &t, NULL) < 0)
		abort();
	read_all(t);
	pack_tidy(dir);
	if (tape_refresh(t, NULL) < 0)
		abort();
	read_all(t);
	while (tape_stock(t)->n > 0) {
		segment_unlink(dir, &tape_stock(t)->seg[0]);
		stock_drop_first(tape_stock(t));
	}
	pack_tidy(dir);
	tape_close(t);
	return 0;
}
