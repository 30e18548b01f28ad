/* SPDX-License-Identifier: ISC */
/* Any bytes are frames or not: never a read past the end, and what parses is written the same. */
#include <stdlib.h>
#include <string.h>

#include "ipc/link/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out;

	buf_init(&out, FRAME_MAX);
	for (size_t at = 0; at < size;) {
		struct frame f;
		size_t used;
		enum frame_result r = frame_parse(data + at, size - at, &f, &used);
		if (r == FRAME_WAIT)
			break;
		if (r == FRAME_BAD) {
			size_t skip = frame_scan(data + at, size - at, 1);
			if (skip == 0 || skip > size - at)
				abort();
			at += skip;
			continue;
		}
		json_decref(frame_json(&f));
		buf_clear(&out);
		if (used > size - at || frame_append(&out, &f) < 0 || out.len != used ||
			memcmp(buf_data(&out), data + at, used) != 0)
			abort();
		at += used;
	}
	buf_finish(&out);
	return 0;
}
