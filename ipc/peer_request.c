/* SPDX-License-Identifier: ISC */
/* Requests of theirs: answered once, in any order; too many unanswered stop the reading. */
#include "ipc/peer_int.h"

static void request_unlink(struct peer_request *req)
{
	struct peer *p = req->peer;

	if (req->prev)
		req->prev->next = req->next;
	else
		p->requests = req->next;
	if (req->next)
		req->next->prev = req->prev;
	req->prev = req->next = NULL;
	req->peer = NULL;
	p->nrequests--;
}

bool requests_must_stall(const struct peer *p)
{
	return p->nrequests >= REQUESTS_MAX || conn_out_pending(p->conn) > p->out_max / 2;
}

void requests_unstall(struct peer *p)
{
	if (!p->stalled || p->ended || requests_must_stall(p))
		return;
	p->stalled = false;
	conn_pause(p->conn, false);
	conn_kick(p->conn);
}

static void request_free(struct peer_request *req)
{
	json_decref(req->id);
	free(req);
}

/* Sends what was written to the peer's line (-1: the result was too long); its value too, when that is text. */
static void answer(struct peer *p, struct peer_request *req, int written, const struct buf *json)
{
	if (written < 0) {
		struct err e = {0};
		err_set(&e, ERR_LIMIT, "the result is longer than 1 MiB");
		err_hint(&e, "ask for less at a time");
		rpc_write_error(&p->line, req->id, &e);
		json = NULL;
	}
	if ((json ? peer_send_result(p, json) : peer_send_line(p)) == 0)
		requests_unstall(p);
}

void peer_result(struct peer_request *req, json_t *result)
{
	struct peer *p = req->peer;

	if (!result)
		result = json_object();
	if (p) {
		request_unlink(req);
		answer(p, req, rpc_write_result(&p->line, req->id, result), NULL);
	}
	json_decref(result);
	request_free(req);
}

void peer_result_text(struct peer_request *req, const struct buf *json)
{
	struct peer *p = req->peer;

	if (p) {
		request_unlink(req);
		answer(p, req, rpc_write_result_head(&p->line, req->id, json->len), json);
	}
	request_free(req);
}

void peer_error(struct peer_request *req, const struct err *error)
{
	struct peer *p = req->peer;

	if (p) {
		request_unlink(req);
		rpc_write_error(&p->line, req->id, error);
		if (peer_send_line(p) == 0)
			requests_unstall(p);
	}
	request_free(req);
}

struct peer *peer_request_peer(const struct peer_request *req)
{
	return req->peer;
}

json_t *peer_request_id(const struct peer_request *req)
{
	return req->id;
}

void peer_request_on_abandon(struct peer_request *req, void (*fn)(void *arg), void *arg)
{
	req->on_abandon = fn;
	req->abandon_arg = arg;
}

void requests_abandon(struct peer *p)
{
	while (p->requests) {
		struct peer_request *req = p->requests;
		request_unlink(req);
		if (req->on_abandon)
			req->on_abandon(req->abandon_arg);
	}
}

void requests_take(struct peer *p, struct rpc_msg *m)
{
	struct peer_request *req = xcalloc(1, sizeof(*req));

	*req = (struct peer_request){.peer = p, .next = p->requests, .id = json_incref(m->id)};
	if (p->requests)
		p->requests->prev = req;
	p->requests = req;
	p->nrequests++;
	if (p->ops->on_request) {
		p->ops->on_request(p->arg, req, m->method, m->params);
		return;
	}
	struct err e = {0};
	err_set(&e, ERR_METHOD, "nothing is answered on this connection");
	peer_error(req, &e);
}
