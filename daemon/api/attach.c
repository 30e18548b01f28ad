/* SPDX-License-Identifier: ISC */
/* attach: where an agent's terminal can be seen, and the tmux command that shows it. */
#include <jansson.h>

#include "base/util.h"
#include "daemon/api/api_int.h"
#include "daemon/tmux/attach.h"

static int check_living(struct instance *const *set, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (!state_living(set[i]->state) || !set[i]->place[0]) {
			err_set(e, ERR_STATE, "instance %s has ended (%s)", set[i]->id, state_name(set[i]->state));
			return err_hint(e, "tmux-claude read %s shows its last screen", set[i]->id);
		}
	return 0;
}

static struct tmux_attach_how how_of(struct call *c)
{
	return (struct tmux_attach_how){.own = call_bool(c, "own"),
		.read_only = call_bool(c, "read_only"),
		.plain = call_bool(c, "plain"),
		.rows = (int)call_int(c, "rows", 0),
		.cols = (int)call_int(c, "cols", 0)};
}

static json_t *words_json(char *const *argv)
{
	json_t *a = json_array();

	for (; *argv; argv++)
		json_array_append_new(a, json_string(*argv));
	return a;
}

/* Where tmux shows these: a new reference, or NULL with the reason. */
static json_t *tmux_json(struct call *c, struct instance *const *set, size_t n, struct err *e)
{
	struct tmux_attach_how how = how_of(c);
	struct tmux_look *looks = xcalloc(n, sizeof(*looks));
	struct tmux_attached at;
	json_t *o = NULL;

	if (!c->w->panes)
		err_set(e, ERR_MISSING, "the daemon runs without tmux");
	for (size_t i = 0; i < n; i++)
		looks[i] = (struct tmux_look){.id = set[i]->id,
			.title = set[i]->name ? set[i]->name : set[i]->id,
			.argv = world_view_argv(c->w, set[i], how.read_only)};
	if (c->w->panes && tmux_attach(c->w->panes, looks, n, &how, &at, e) == 0) {
		o = json_pack("{s:s, s:s, s:o}", "socket", at.socket, "session",
			at.session + (at.session[0] == '='), "argv", words_json(at.argv));
		strv_free(at.argv);
	}
	for (size_t i = 0; i < n; i++)
		strv_free((char **)looks[i].argv);
	free(looks);
	return o;
}

/* How many look through tmux already. */
static unsigned viewers(struct call *c, const struct instance *in)
{
	struct tmux_location loc = {0};

	return c->w->panes && tmux_pane_locate(c->w->panes, in->id, &loc, NULL) == 0 ? loc.viewers : 0;
}

static void answer_one(struct call *c, struct instance *in, const struct err *why)
{
	cleanup_free char *sock = world_shim_socket(c->w, in->place);
	unsigned n = viewers(c, in);
	struct err err = {0};
	json_t *tmux = tmux_json(c, &in, 1, &err);

	if (!why)
		why = &err;
	call_result(c, json_pack("{s:s, s:s, s:o, s:s, s:{s:s}, s:i}", "instance", in->id, "name",
			       in->name ? in->name : in->id, "tmux", tmux ? tmux : json_null(), "why",
			       tmux ? "" : why->message, "stream", "socket", sock, "viewers", (int)n));
}

static void answer_tiles(struct call *c, struct instance *const *set, size_t n)
{
	struct err err = {0};
	json_t *tmux = tmux_json(c, set, n, &err), *ids = json_array();

	for (size_t i = 0; tmux && i < n; i++)
		json_array_append_new(ids, json_string(set[i]->id));
	if (tmux)
		call_result(c, json_pack("{s:o, s:o}", "instances", ids, "tmux", tmux));
	else
		call_error(c, &err), json_decref(ids);
}

/* The pane stands, or cannot be had: then the answer says why, and a bare view will do. */
static void pane_ready(void *arg, const char *id, const struct err *e)
{
	struct call *c = arg;
	struct instance *in = fleet_get(c->w->fleet, id);
	struct err gone = {0};

	if (in && state_living(in->state)) {
		answer_one(c, in, e);
		return;
	}
	err_set(&gone, ERR_STATE, "instance %s has ended", id);
	call_error(c, &gone);
}

/* Is the agent's pane there, or was it asked for again, so that the answer comes with it? */
static bool pane_awaited(struct call *c, struct instance *in)
{
	struct tmux_location loc = {0};

	if (!c->w->panes || (!in->has_pane && (in->state == ST_QUEUED || in->state == ST_PROVISIONING)))
		return false;
	if (tmux_pane_locate(c->w->panes, in->id, &loc, NULL) == 0 && loc.state == TMUX_PANE_OPEN)
		return false;
	return world_pane_open(c->w, in, pane_ready, c) == 0;
}

void api_ATTACH(struct call *c)
{
	struct err err = {0};
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_LIVING, &n);

	if (!set)
		return;
	if (check_living(set, n, &err) < 0)
		call_error(c, &err);
	else if (n > 1)
		answer_tiles(c, set, n);
	else if (!pane_awaited(c, set[0]))
		answer_one(c, set[0], NULL);
}
