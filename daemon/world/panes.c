/* SPDX-License-Identifier: ISC */
/* Core's port to the tmux panes of instances, and what the panes tell. */
#include "base/log.h"
#include "base/util.h"
#include "daemon/world/world_int.h"

/* What the status line of an agent's pane says of its state: what it waits for is what people look for. */
static char *state_words(const char *state, const char *reason, const char *detail)
{
	bool said = reason && *reason, more = detail && *detail;

	if (strcmp(state, "waiting") == 0 && said)
		return xasprintf("waiting for %s%s%s%s", strcmp(reason, "answer") == 0 ? "an " : strcmp(reason, "permission") == 0 ? "a " : "",
			reason, more ? ": " : "", more ? detail : "");
	return xasprintf("%s%s%s%s", state, said ? " (" : "", said ? reason : "", said ? ")" : "");
}

static void tell_state(struct world *w, const struct instance *in)
{
	cleanup_free char *text = state_words(state_name(in->state), in->reason, in->detail);

	tmux_pane_status(w->panes, in->id, text);
}

void panes_state(struct world *w, const char *instance, const json_t *data)
{
	const char *to = json_string_value(json_object_get(data, "to"));
	cleanup_free char *text = state_words(to ? to : "", json_string_value(json_object_get(data, "reason")),
		json_string_value(json_object_get(data, "detail")));

	tmux_pane_status(w->panes, instance, text);
}

static void pane_opened(void *arg, const char *id, const struct err *e)
{
	struct world *w = arg;

	if (!e) {
		fleet_on_pane(w->fleet, id, true, "back");
	} else if (e->code != ERR_CANCELLED) {
		log_error("tmux", id, "its pane could not be opened: %s", e->message);
		fleet_on_pane(w->fleet, id, false, "failed");
	}
}

char **world_view_argv(struct world *w, const struct instance *in, bool read_only)
{
	cleanup_free char *cli = layout_program("tmux-claude", NULL);
	cleanup_free char *sock = world_shim_socket(w, in->place);
	char **argv = strv_new();

	strv_push(&argv, cli ? cli : "tmux-claude");
	strv_push(&argv, "view");
	if (read_only)
		strv_push(&argv, "--read-only");
	strv_push(&argv, "--shim");
	strv_push(&argv, sock);
	strv_push(&argv, in->id);
	return argv;
}

int world_pane_open(struct world *w, const struct instance *in, tmux_done_fn *fn, void *arg)
{
	cleanup_strv char **argv = world_view_argv(w, in, false);
	struct tmux_pane_spec spec = {.id = in->id,
		.title = in->name ? in->name : in->id,
		.argv = argv,
		.rows = in->rows,
		.cols = in->cols};
	struct err err = {0};

	if (!w->panes)
		return -1;
	if (tmux_pane_open(w->panes, &spec, fn, arg, &err) == 0) {
		tell_state(w, in);
		return 0;
	}
	log_error("tmux", in->id, "its pane could not be opened: %s", err.message);
	return -1;
}

static void w_pane_open(void *ctx, const struct instance *in)
{
	world_pane_open(ctx, in, pane_opened, ctx);
}

static void w_pane_close(void *ctx, const char *instance)
{
	struct world *w = ctx;

	if (w->panes)
		tmux_pane_close(w->panes, instance, NULL, NULL);
}

static void w_pane_rename(void *ctx, const char *instance, const char *name)
{
	struct world *w = ctx;

	if (w->panes)
		tmux_pane_rename(w->panes, instance, name);
}

static void pane_died(void *arg, const char *id, struct proc_status st, bool again)
{
	struct world *w = arg;

	(void)st;
	fleet_on_pane(w->fleet, id, false, again ? "died" : "ended"); /* again: `back` follows */
}

static void pane_lost(void *arg, const char *id, const char *why, bool again)
{
	struct world *w = arg;

	log_info("tmux", id, "its pane is gone (%s)%s", why, again ? ", bringing it back" : "");
	fleet_on_pane(w->fleet, id, false, "lost");
}

static void pane_back(void *arg, const char *id)
{
	struct world *w = arg;

	fleet_on_pane(w->fleet, id, true, "back");
}

static void pane_titled(void *arg, const char *id)
{
	fleet_on_titled(((struct world *)arg)->fleet, id);
}

const struct tmux_pool_ops world_pane_ops = {
	.on_died = pane_died, .on_lost = pane_lost, .on_back = pane_back, .on_titled = pane_titled};

/* Panes found at the start: those of nobody living are closed; the living ask for theirs again. One that is
 * lost has none until it is found. */
void panes_found(void *arg, const struct tmux_found *found, size_t n)
{
	struct world *w = arg;

	for (size_t i = 0; i < n; i++) {
		struct instance *in = fleet_get(w->fleet, found[i].id);
		if (!in && w->settings.spare_unknown)
			continue; /* its agent is left alone, too */
		if (!in || !state_living(in->state) || in->state == ST_LOST)
			tmux_pane_close(w->panes, found[i].id, NULL, NULL);
	}
	fleet_on_panes_found(w->fleet);
}

void panes_port(struct core_port *p)
{
	p->pane_open = w_pane_open;
	p->pane_close = w_pane_close;
	p->pane_rename = w_pane_rename;
}
