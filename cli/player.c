/* SPDX-License-Identifier: ISC */
/* What a recording showed, from the shim's program as a child (place/shim/play.h says what it writes). */
#include "cli/player.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/util.h"
#include "cli/recording.h"
#include "ipc/link/frame.h"
#include "ipc/rpc.h"

void player_init(struct player *p)
{
	*p = (struct player){.fd = -1};
	buf_init(&p->in, 2 * FRAME_MAX);
}

int player_start(struct player *p, const char *dir, int64_t since, int64_t until, int rows, int cols, struct err *e)
{
	char s[24], u[24], r[16], c[16];
	char *argv[12] = {NULL, "--play", (char *)dir};
	int n = 3;

	player_stop(p);
	snprintf(s, sizeof(s), "%lld", (long long)since);
	snprintf(u, sizeof(u), "%lld", (long long)until);
	snprintf(r, sizeof(r), "%d", rows);
	snprintf(c, sizeof(c), "%d", cols);
	if (since >= 0)
		argv[n++] = "--since", argv[n++] = s;
	if (until >= 0)
		argv[n++] = "--until", argv[n++] = u;
	if (rows > 0)
		argv[n++] = "--rows", argv[n++] = r, argv[n++] = "--cols", argv[n++] = c;
	return recording_child(argv, true, &p->fd, &p->pid, e);
}

void player_stop(struct player *p)
{
	if (p->fd >= 0) {
		close(p->fd);
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	p->fd = -1;
	buf_finish(&p->in);
	buf_init(&p->in, 2 * FRAME_MAX);
}

static void on_ctl(const struct frame *f, struct player_piece *ret)
{
	json_t *o = frame_json(f);
	const json_t *size = json_object_get(o, "size");

	ret->ms = jint(o, "ms");
	if (size) {
		ret->kind = PIECE_SIZE;
		ret->rows = (int)json_integer_value(json_array_get(size, 0));
		ret->cols = (int)json_integer_value(json_array_get(size, 1));
	} else if (json_object_get(o, "gap")) {
		ret->kind = PIECE_GAP;
		ret->offset = jint(o, "gap");
	} else {
		ret->kind = PIECE_DAMAGE;
		snprintf(ret->text, sizeof(ret->text), "%s", jstr(o, "damage"));
	}
	json_decref(o);
}

static int on_fin(const struct frame *f, struct player_piece *ret, struct err *e)
{
	json_t *o = frame_json(f), *error = json_object_get(o, "error");
	int r = 1;

	ret->kind = PIECE_END;
	if (error) {
		err_from_json(error, e);
		r = -1;
	}
	json_decref(o);
	return r;
}

int player_next(struct player *p, struct player_piece *ret, struct err *e)
{
	/* What was given last stays valid until now. */
	struct frame f;
	size_t used;

	if (p->in.len == 0)
		return 0;
	switch (frame_parse(buf_data(&p->in), p->in.len, &f, &used)) {
	case FRAME_WAIT:
		return 0;
	case FRAME_BAD:
		return err_set(e, ERR_INTERNAL, "what plays the recording cannot be understood");
	case FRAME_OK:
		break;
	}
	memset(ret, 0, sizeof(*ret));
	int r = 1;
	if (f.type == FRAME_DATA) {
		ret->kind = PIECE_DATA;
		ret->ms = (int64_t)f.offset;
		ret->data = f.payload;
		ret->len = f.len;
	} else if (f.type == FRAME_FIN) {
		r = on_fin(&f, ret, e);
	} else {
		on_ctl(&f, ret);
	}
	/* Consumed bytes stay where they are until more is read. */
	buf_consume(&p->in, used);
	return r;
}

int player_read(struct player *p, struct err *e)
{
	unsigned char *to = buf_reserve(&p->in, FRAME_MAX);
	ssize_t n;

	do
		n = to ? read(p->fd, to, FRAME_MAX) : 0;
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(e, ERR_FAILED, "what plays the recording ended too early");
	buf_added(&p->in, (size_t)n);
	return 0;
}
