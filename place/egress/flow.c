/* SPDX-License-Identifier: ISC */
/*
 * A connection goes through these states, forward only:
 *
 *   request   the place sends {"host","port"} and a newline, within FLOW_REQUEST_MS
 *   resolve   a listed name is resolved on the host; literals go straight on
 *   dial      the addresses that the allow-list lets through are tried
 *   relay     {"ok":true} was sent; bytes flow both ways until both directions have ended
 *
 * Before relay anything that is wrong is answered with one {"error":...} line and the end; the place
 * going away ends everything. What the place sends behind its request waits in the buffer and is the
 * relay's first data. A refusal by the allow-list is a denial; a destination that cannot be reached is
 * not.
 */
#include "place/egress/flow.h"

#include "base/conn.h"
#include "base/util.h"
#include "ipc/rpc.h"
#include "place/egress/addr.h"
#include "place/egress/dial.h"
#include "place/egress/relay.h"

#define FLOW_ANSWER_MAX 4096
/* Past its limit a place's connections are still heard, so that each is told why: closed before it has
 * written its request, it would only see a broken pipe. So many of them. */
#define FLOWS_REFUSED_MAX 32
#define FLOW_FINISH_MS 2000 /* for the place to take an error */

struct flow {
	struct place *place;
	struct flow *next, **prev;
	struct conn *conn; /* the place's side, until relay */
	struct buf *in;	   /* its input, once there was any */
	struct loop_timer *timer;
	struct hostport want;
	bool asked;
	struct resolve *resolve;
	struct dial *dial;
	struct relay *relay;
};

void flow_destroy(struct flow *f)
{
	*f->prev = f->next;
	if (f->next)
		f->next->prev = f->prev;
	f->place->n_flows--;
	loop_timer_free(f->timer);
	resolve_cancel(f->resolve);
	dial_cancel(f->dial);
	relay_destroy(f->relay);
	conn_destroy(f->conn);
	free(f);
}

/* Answers with the error and ends. f is gone. */
static void fail(struct flow *f, const struct err *e)
{
	json_t *answer = json_pack("{s:o}", "error", err_to_json(e));
	cleanup_free char *text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	if (text && conn_write(f->conn, text, strlen(text)) == 0 &&
		conn_write(f->conn, "\n", 1) == 0) {
		conn_finish(f->conn, FLOW_FINISH_MS);
		f->conn = NULL;
	}
	flow_destroy(f);
}

static void deny(struct flow *f, const struct err *e)
{
	denials_add(f->place->places->denials, f->place->name, f->want.host, f->want.port,
		e->message);
	fail(f, e);
}

/* ---- relay ---- */

static void on_relay_end(void *arg, uint64_t up, uint64_t down)
{
	struct flow *f = arg;
	f->relay = NULL;
	f->place->bytes_up += up;
	f->place->bytes_down += down;
	flow_destroy(f);
}

static void on_dialled(void *arg, int fd, const struct err *error)
{
	static const char ok[] = "{\"ok\":true}\n";
	struct flow *f = arg;
	f->dial = NULL;
	if (error) {
		fail(f, error);
		return;
	}
	if (conn_write(f->conn, ok, sizeof(ok) - 1) < 0 || conn_out_pending(f->conn) > 0) {
		close(fd);
		flow_destroy(f);
		return;
	}
	struct buf early;
	buf_init(&early, RELAY_BUFFER);
	if (f->in && f->in->len > 0)
		buf_append(&early, buf_data(f->in), f->in->len);
	int own = conn_release(f->conn);
	f->conn = NULL;
	f->relay = relay_start(f->place->places->loop, own, fd, buf_data(&early), early.len,
		on_relay_end, f);
	buf_finish(&early);
}

/* ---- dial ---- */

/* Keeps what the list lets through; ends with a denial when nothing is left. */
static void dial(struct flow *f, const struct hostport *addrs, size_t n)
{
	struct hostport to[DIAL_ADDRS_MAX];
	struct err e = {0};
	size_t kept = 0;
	for (size_t i = 0; i < n && kept < DIAL_ADDRS_MAX; i++) {
		struct err why = {0};
		if (allow_leads(&f->place->allow, &f->want, &addrs[i], addr_is_own(&addrs[i]),
			    &why) == 0)
			to[kept++] = addrs[i];
		else
			e = why;
	}
	if (kept == 0) {
		deny(f, &e);
		return;
	}
	f->dial = dial_start(f->place->places->loop, to, kept, on_dialled, f);
}

static void on_resolved(void *arg, const struct hostport *addrs, size_t n, const struct err *error)
{
	struct flow *f = arg;
	f->resolve = NULL;
	if (error)
		fail(f, error);
	else
		dial(f, addrs, n);
}

/* ---- request ---- */

static int parse_request(const char *line, size_t len, json_t **ret, struct err *e)
{
	json_error_t je;
	json_t *o = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return err_set(e, ERR_PARSE, "the request is not JSON: %s", je.text);
	if (!json_is_string(json_object_get(o, "host")) ||
		!json_is_integer(json_object_get(o, "port"))) {
		json_decref(o);
		err_set(e, ERR_PARAMS, "the request needs \"host\" (a string) and \"port\"");
		return err_hint(e, "send {\"host\":\"example.org\",\"port\":443} and a newline");
	}
	*ret = o;
	return 0;
}

static void handle_request(struct flow *f, const char *line, size_t len)
{
	struct places *ps = f->place->places;
	struct err e = {0};
	json_t *o = NULL;
	if (f->place->n_flows > PLACE_FLOWS_MAX) {
		err_set(&e, ERR_BUSY, "this place has %d connections already", PLACE_FLOWS_MAX);
		fail(f, &e);
		return;
	}
	if (parse_request(line, len, &o, &e) < 0) {
		fail(f, &e);
		return;
	}
	const char *host = json_string_value(json_object_get(o, "host"));
	json_int_t port = json_integer_value(json_object_get(o, "port"));
	int rc = hostport_set(&f->want, host, port, &e);
	/* Odd spellings of addresses are how filters are fooled: they are told, too. */
	if (rc < 0)
		denials_add(ps->denials, f->place->name, host,
			port > 0 && port < 65536 ? (int)port : 0, e.message);
	json_decref(o);
	if (rc < 0) {
		fail(f, &e);
		return;
	}
	if (!allow_asks(&f->place->allow, &f->want)) {
		char text[HOSTPORT_TEXT_MAX];
		hostport_format(&f->want, text);
		err_set(&e, ERR_DENIED, "%s is not on this place's allow-list", text);
		err_hint(&e, "the operator can allow it at spawn: --allow %s", text);
		deny(f, &e);
		return;
	}
	if (f->want.family != 0) {
		dial(f, &f->want, 1);
		return;
	}
	f->resolve = resolve_start(ps->resolver, &f->want, on_resolved, f, &e);
	if (!f->resolve)
		fail(f, &e);
}

static void on_data(void *arg, struct buf *in)
{
	struct flow *f = arg;
	struct err e = {0};
	f->in = in;
	if (f->asked)
		return; /* early data: it waits in the buffer */
	size_t look = in->len < FLOW_REQUEST_MAX ? in->len : FLOW_REQUEST_MAX;
	const unsigned char *start = buf_data(in);
	const unsigned char *end = memchr(start, '\n', look);
	if (!end && look == FLOW_REQUEST_MAX) {
		err_set(&e, ERR_LIMIT, "the request is longer than %d bytes", FLOW_REQUEST_MAX);
		fail(f, &e);
		return;
	}
	if (!end)
		return;
	char line[FLOW_REQUEST_MAX];
	size_t len = (size_t)(end - start);
	memcpy(line, start, len);
	buf_consume(in, len + 1);
	f->asked = true;
	loop_timer_stop(f->timer);
	handle_request(f, line, len);
}

static void on_close(void *arg, const char *reason)
{
	(void)reason;
	flow_destroy(arg);
}

static void on_late(void *arg)
{
	struct err e = {0};
	err_set(&e, ERR_TIMEOUT, "no request came within %d s", FLOW_REQUEST_MS / 1000);
	fail(arg, &e);
}

static const struct conn_ops ops = {.on_data = on_data, .on_close = on_close};

void flow_start(struct place *p, int fd)
{
	struct loop *l = p->places->loop;
	struct flow *f = xcalloc(1, sizeof(*f));
	f->place = p;
	f->next = p->flows;
	f->prev = &p->flows;
	if (f->next)
		f->next->prev = &f->next;
	p->flows = f;
	p->n_flows++;
	p->flows_total++;
	f->conn = conn_create(l, fd, -1, RELAY_BUFFER, FLOW_ANSWER_MAX, &ops, f);
	f->timer = loop_timer_create(l, on_late, f);
	if (p->n_flows > PLACE_FLOWS_MAX + FLOWS_REFUSED_MAX) {
		flow_destroy(f);
		return;
	}
	loop_timer_start(f->timer, FLOW_REQUEST_MS);
}
