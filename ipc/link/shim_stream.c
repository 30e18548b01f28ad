/* SPDX-License-Identifier: ISC */
/* The client's side of a shim's view, exec and follow connections. */
#include "ipc/link/shim_stream.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/sock.h"
#include "base/util.h"
#include "ipc/rpc.h"

#define READ_PIECE 16384
#define HELLO_LINE_MAX 65536

struct shim_stream {
	int fd;
	struct buf in, out;
	size_t used; /* of in, by the frame given out last */
};

int shim_stream_fd(const struct shim_stream *s)
{
	return s->fd;
}

void shim_stream_close(struct shim_stream *s)
{
	if (!s)
		return;
	close(s->fd);
	buf_finish(&s->in);
	buf_finish(&s->out);
	free(s);
}

static void let_go(struct shim_stream *s)
{
	buf_consume(&s->in, s->used);
	s->used = 0;
}

int shim_stream_read(struct shim_stream *s)
{
	unsigned char *p;
	ssize_t n;

	let_go(s);
	p = buf_reserve(&s->in, READ_PIECE);
	if (!p)
		return 0; /* full: frames must be taken first */
	do
		n = recv(s->fd, p, READ_PIECE, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
	if (n == 0)
		return -1;
	buf_added(&s->in, (size_t)n);
	return 1;
}

int shim_stream_next(struct shim_stream *s, struct frame *f)
{
	enum frame_result r;

	let_go(s);
	r = frame_parse(buf_data(&s->in), s->in.len, f, &s->used);
	if (r == FRAME_OK)
		return 1;
	s->used = 0;
	return r == FRAME_WAIT ? 0 : -1;
}

int shim_stream_send(struct shim_stream *s, const void *data, size_t len)
{
	return frame_append_data(&s->out, FRAME_STREAM_MAIN, data, len);
}

int shim_stream_send_ctl(struct shim_stream *s, json_t *msg)
{
	int rc = frame_append_ctl(&s->out, FRAME_STREAM_MAIN, msg);

	json_decref(msg);
	return rc;
}

int shim_stream_flush(struct shim_stream *s)
{
	while (s->out.len > 0) {
		ssize_t n = send(s->fd, buf_data(&s->out), s->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
		buf_consume(&s->out, (size_t)n);
	}
	buf_finish(&s->out);
	buf_init(&s->out, STREAM_OUT_MAX);
	return 0;
}

size_t shim_stream_pending(const struct shim_stream *s)
{
	return s->out.len;
}

int shim_stream_answer(struct shim_stream *s, json_t **ret_result, struct err *e)
{
	json_t *id = NULL;
	struct rpc_msg m;
	const char *line;
	size_t len;
	int rc = rpc_next_line(&s->in, &line, &len);

	if (rc == 0)
		return 0;
	rc = rc < 0 ? -1 : rpc_parse(line, len, &m, &id, e);
	json_decref(id);
	if (rc < 0)
		return err_set(e, ERR_PARSE, "the shim's answer is not understood");
	if (m.kind == RPC_ERROR)
		*e = m.error;
	else if (m.kind != RPC_RESULT)
		err_set(e, ERR_PARSE, "the shim's answer is not understood");
	else if (ret_result)
		*ret_result = json_incref(m.result);
	rc = m.kind == RPC_RESULT ? 1 : -1;
	rpc_msg_finish(&m);
	buf_consume(&s->in, len + 1);
	return rc;
}

int shim_stream_begin(const char *socket, json_t *hello, struct shim_stream **ret, struct err *e)
{
	struct shim_stream *s = xcalloc(1, sizeof(*s));
	json_t *id = json_integer(1);
	int rc = sock_connect(socket, &s->fd, e);

	if (rc < 0) {
		free(s);
	} else {
		buf_init(&s->in, FRAME_MAX + HELLO_LINE_MAX);
		buf_init(&s->out, STREAM_OUT_MAX);
		rc = rpc_write_request(&s->out, id, "hello", hello);
		if (rc == 0 && shim_stream_flush(s) < 0)
			rc = err_set(e, ERR_UNREACHABLE, "the shim went away");
		if (rc == 0)
			*ret = s;
		else
			shim_stream_close(s);
	}
	json_decref(id);
	json_decref(hello);
	return rc;
}

int shim_stream_open(const char *socket, json_t *hello, int timeout_ms, struct shim_stream **ret,
	json_t **ret_result, struct err *e)
{
	int64_t deadline = clock_mono_ms() + timeout_ms;
	struct shim_stream *s;
	int rc;

	if (shim_stream_begin(socket, hello, &s, e) < 0)
		return -1;
	while ((rc = shim_stream_answer(s, ret_result, e)) == 0) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		int64_t left = deadline - clock_mono_ms();

		if (left <= 0)
			rc = err_set(e, ERR_TIMEOUT, "the shim did not answer within %d ms", timeout_ms);
		else if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			rc = err_set_errno(e, ERR_IO, errno, "cannot wait for the shim");
		else if (p.revents && shim_stream_read(s) < 0)
			rc = err_set(e, ERR_UNREACHABLE, "the shim went away");
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		shim_stream_close(s);
		return -1;
	}
	*ret = s;
	return 0;
}
