/* SPDX-License-Identifier: ISC */
/* The control stream: what the shim asks of the place as a whole. {"id","op",...} -> {"id","ok"|"error"} */

#include "base/util.h"
#include "ipc/rpc.h"
#include "place/guest/ending.h"
#include "place/guest/guest.h"
#include "place/guest/proc.h"
#include "place/guest/setup.h"

/* An answer that is given later; the control stream may be another one by then. */
struct ask {
	struct guest *guest;
	struct link_stream *stream;
	json_t *id;
};

static void answer(struct guest *g, struct link_stream *s, json_t *id, json_t *ok, const struct err *why)
{
	json_t *msg;

	if (g->control != s) {
		json_decref(ok);
		return;
	}
	msg = why ? json_pack("{s:o}", "error", err_to_json(why))
		  : json_pack("{s:o}", "ok", ok ? ok : json_object());
	json_object_set(msg, "id", id);
	link_send_ctl(s, msg);
}

static void setup_done(void *arg, const struct err *why)
{
	struct ask *a = arg;

	answer(a->guest, a->stream, a->id, NULL, why);
	json_decref(a->id);
	free(a);
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	struct guest *g = arg;
	const char *op = jget_text(msg, "op", "");
	json_t *id = json_object_get(msg, "id");
	struct err e = { 0 };

	if (!json_is_integer(id))
		return;
	if (strcmp(op, "setup") == 0) {
		struct ask *a = xcalloc(1, sizeof(*a));
		*a = (struct ask){ .guest = g, .stream = s, .id = json_incref(id) };
		setup_run(g, msg, setup_done, a);
	} else if (strcmp(op, "files") == 0) {
		bool changed = false;
		int r = setup_files(g, json_object_get(msg, "files"), &changed, &e);
		answer(g, s, id, r < 0 ? NULL : json_pack("{s:b}", "changed", changed), r < 0 ? &e : NULL);
	} else if (strcmp(op, "procs") == 0) {
		answer(g, s, id, proc_list(g), NULL);
	} else if (strcmp(op, "poweroff") == 0) {
		answer(g, s, id, NULL, NULL);
		ending_start(g);
	} else {
		err_set(&e, ERR_METHOD, "this guest program cannot do \"%.64s\"", op);
		err_hint(&e, "it may be older than the rest: build the template again");
		answer(g, s, id, NULL, &e);
	}
}

static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct guest *g = arg;

	(void)msg;
	if (g->control == s)
		g->control = NULL;
	link_reset(s, NULL);
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct guest *g = arg;

	(void)why;
	if (g->control == s)
		g->control = NULL;
}

void control_open(struct guest *g, struct link_stream *s)
{
	static const struct link_stream_ops ops = { .on_ctl = on_ctl, .on_fin = on_fin, .on_reset = on_reset };

	if (g->control)
		link_reset(g->control, NULL);
	g->control = s;
	link_accept(s, &ops, g);
}

bool control_stranger(struct guest *g, const char *instance, pid_t pid, uid_t uid, int64_t count)
{
	if (!g->control)
		return false;
	link_send_ctl(g->control, json_pack("{s:{s:s, s:i, s:I, s:I}}", "stranger", "instance", instance, "pid",
		(int)pid, "uid", (json_int_t)uid, "count", (json_int_t)count));
	return true;
}
