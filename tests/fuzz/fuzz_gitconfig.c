/* SPDX-License-Identifier: ISC */
/* Fuzzes the check of git's configuration: what is let through, taken as what stood before, must be let
 * through again unchanged, and never holds a setting that runs a command. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "place/files/content.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(void *arg, const char *path)
{
	(void)arg;
	(void)path;
	abort(); /* hooksPath or an include got through */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char old[] = "[remote \"o\"]\n\turl = u\n[user]\n\tname = n\n";
	size_t split = size ? data[0] % 3 : 0;
	const char *text = (const char *)data + (size ? 1 : 0);
	size_t len = size ? size - 1 : 0;
	struct buf out, again;
	buf_init(&out, CONTENT_MAX);
	buf_init(&again, CONTENT_MAX);
	size_t old_len = split ? sizeof(old) - 1 : 0;
	if (len <= CONTENT_MAX && content_config(text, len, old, old_len, &out, NULL) == 0) {
		content_config_paths((char *)buf_data(&out), out.len, see, NULL);
		if (content_config((char *)buf_data(&out), out.len, (char *)buf_data(&out), out.len, &again,
			    NULL) < 0 ||
			again.len != out.len || (out.len && memcmp(buf_data(&again), buf_data(&out), out.len)))
			abort();
	}
	content_is_ref(text, len);
	content_is_reflog(text, len);
	struct fpath p;
	fpath_parse(&p, "a/.git", 6, NULL);
	content_gitfile(text, len, &p, 1, "/r", NULL);
	buf_finish(&out);
	buf_finish(&again);
	return 0;
}
