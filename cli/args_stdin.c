/* SPDX-License-Identifier: ISC */
/* Arguments whose value `-` stands for what standard input gives. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/util.h"
#include "cli/args.h"

#define READ_SIZE 65536
#define STDIN_MARK "-"

static int read_whole(int fd, size_t max, struct buf *b, struct err *e)
{
	for (;;) {
		unsigned char *p = buf_reserve(b, READ_SIZE);
		ssize_t n = read(fd, p, READ_SIZE);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_IO, errno, "standard input cannot be read");
		if (n == 0)
			return 0;
		buf_added(b, (size_t)n);
		if (b->len > max) {
			err_set(e, ERR_LIMIT, "standard input is longer than %zu KiB", max / 1024);
			return err_hint(e, "put it into a file below the agent's folder and name that file");
		}
	}
}

/* Any bytes, as base64. */
static json_t *stdin_bytes(int fd, size_t max, struct err *e)
{
	cleanup_free char *text = NULL;
	struct buf b;

	buf_init(&b, max + 2 * READ_SIZE);
	if (read_whole(fd, max, &b, e) == 0)
		text = base64_encode(b.len ? (const void *)buf_data(&b) : "", b.len);
	buf_finish(&b);
	return text ? json_string(text) : NULL;
}

static json_t *stdin_value(int fd, size_t max, bool bytes, struct err *e)
{
	struct buf b;
	json_t *v = NULL;

	buf_init(&b, max + 2 * READ_SIZE);
	if (read_whole(fd, max, &b, e) == 0) {
		const char *data = b.len ? (const char *)buf_data(&b) : "";
		size_t len = b.len;
		if (len > 0 && data[len - 1] == '\n')
			len--;
		if (!memchr(data, '\0', len))
			v = json_stringn(data, len);
		if (!v) {
			err_set(e, ERR_PARAMS, "standard input is not text in UTF-8");
			if (bytes)
				err_hint(e, "--raw sends any bytes");
		}
	}
	buf_finish(&b);
	return v;
}

int args_read_stdin(struct args *a, int fd, size_t max, struct err *e)
{
	for (const struct arg_def *d = a->m->args; d->name; d++) {
		const char *s = json_string_value(json_object_get(a->params, d->name));
		if (!(d->flags & A_STDIN) || !s || strcmp(s, STDIN_MARK) != 0)
			continue;
		bool bytes = d->flags & A_BYTES, raw = bytes && json_is_true(json_object_get(a->params, "raw"));
		json_t *v = raw ? stdin_bytes(fd, max, e) : stdin_value(fd, max, bytes, e);
		if (!v)
			return -1;
		json_object_set_new(a->params, raw ? "data" : d->name, v);
		if (raw)
			json_object_del(a->params, d->name);
	}
	return 0;
}
