/* SPDX-License-Identifier: ISC */
/*
 * One instance: its terminal in the place, between stream, screen, recording, input and views.
 *
 * Theory of operation. Bytes from the guest are recorded, then fed to the screen, then acknowledged:
 * what the guest has let go of is on disk (or known to be lost: a hole). Views get the filtered bytes
 * and never hold anything up. Offsets are absolute over the life of the recording: `base` is where the
 * running program's own bytes begin, as a restarted instance goes on in the recording it had.
 *
 * The end: the guest's FIN says how. It is told as `exited`; the stream, and with it the guest's memory
 * of the exit, is let go only by inst_forget, when the daemon has taken note.
 */
#include "place/shim/inst_int.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/follow.h"
#include "place/shim/guest.h"
#include "place/shim/server.h"
#include "place/shim/typing.h"
#include "place/shim/view.h"

#define LIVE_MAX (1024 * 1024)
#define OFFSET_END (1ll << 53)

bool inst_id_valid(const char *id)
{
	return strlen(id) == INST_ID_LEN && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789") == INST_ID_LEN;
}

struct inst *inst_find(struct shim *s, const char *id)
{
	struct inst *i;

	for (i = s->instances; i && strcmp(i->id, id) != 0; i = i->next)
		;
	return i;
}

struct inst *inst_need(struct shim *s, const char *id, struct err *e)
{
	struct inst *i = inst_find(s, id);

	if (!i && !guest_is_up(s->guest)) { /* a shim that is new has not asked the guest yet */
		err_set(e, ERR_UNAVAILABLE, "whether this place has an instance %s is not known yet", id);
		err_hint(e, "try again in a moment");
	} else if (!i) {
		err_set(e, ERR_NOT_FOUND, "this place has no instance %s", id);
	}
	return i;
}

void inst_destroy(struct inst *i)
{
	struct err gone = {0};
	struct inst **at = &i->shim->instances;

	while (*at && *at != i)
		at = &(*at)->next;
	if (*at)
		*at = i->next;
	err_set(&gone, ERR_CANCELLED, "the instance %s is gone", i->id);
	inst_watch_fail(i, &gone);
	inst_watch_finish(i);
	while (i->views)
		view_destroy(i->views);
	follow_destroy_all(i->follows);
	input_destroy(i->input);
	i->input = NULL;
	typing_destroy(i->typing);
	if (i->stream)
		link_reset(i->stream, NULL);
	screen_destroy(i->screen);
	record_close(i->record);
	loop_timer_free(i->quiet);
	loop_timer_free(i->titles);
	buf_finish(&i->live);
	free(i);
}

/* What both ways of beginning share: memory, recording, input. The screen is the caller's to make. */
static int create(struct shim *s, const char *id, struct inst **ret, struct err *e)
{
	struct record *r;
	struct inst *i;
	size_t n = 0;

	for (i = s->instances; i; i = i->next)
		n++;
	if (n >= INST_MAX)
		return err_set(e, ERR_LIMIT, "a place holds at most %d instances", INST_MAX);
	if (record_open(s->recordings, id, s->conf->record_max, &r, e) < 0)
		return -1;
	i = xcalloc(1, sizeof(*i));
	i->shim = s;
	memcpy(i->id, id, INST_ID_LEN);
	i->record = r;
	inst_record_floor(i);
	record_serve(r, s->loop, s->packer, inst_record_key, i);
	i->offset = i->base = i->snapshot_at = record_end(r);
	i->canonical = true;
	i->foreground = true;
	i->quiet = loop_timer_create(s->loop, inst_on_quiet, i);
	i->titles = loop_timer_create(s->loop, inst_on_titles, i);
	i->input = input_create(s->loop, &inst_input_ops, i);
	i->typing = typing_create();
	buf_init(&i->live, LIVE_MAX);
	i->next = s->instances;
	s->instances = i;
	*ret = i;
	return 0;
}

static void begin_screen(struct inst *i, int rows, int cols)
{
	i->screen = screen_create(rows, cols, &inst_screen_ops, i);
	screen_catch_lines(i->screen, false);
}

/* The members of `run` that are the guest's business, as the OPEN of the stream. */
static json_t *run_open(const json_t *params, const char *id, const struct screen *screen)
{
	static const char *const members[] = {"argv", "env", "cwd", "user", "files", "session"};
	json_t *o = json_pack("{s:s, s:s}", "kind", "run", "proc", id);
	int rows, cols;
	size_t k;

	for (k = 0; k < ARRAY_LEN(members); k++)
		if (json_object_get(params, members[k]))
			json_object_set(o, members[k], json_object_get(params, members[k]));
	screen_size(screen, &rows, &cols);
	json_object_set_new(o, "rows", json_integer(rows));
	json_object_set_new(o, "cols", json_integer(cols));
	return o;
}

int inst_run(struct shim *s, const json_t *params, inst_started_fn *fn, void *arg, struct err *e)
{
	const char *id = json_need_text(params, "instance", e);
	struct inst *i;

	if (!id)
		return -1;
	if (!inst_id_valid(id))
		return err_set(e, ERR_PARAMS, "\"%s\" is not an instance's id", id);
	if (!conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "place.json does not name the instance %s", id);
	if (!json_is_array(json_object_get(params, "argv")) || !json_array_size(json_object_get(params, "argv")))
		return err_set(e, ERR_PARAMS, "\"argv\" is missing or empty");
	i = inst_find(s, id);
	if (i && i->state != INST_ENDED)
		return err_set(e, ERR_EXISTS, "the instance %s runs already", id);
	if (i)
		inst_forget(s, id, e);
	if (create(s, id, &i, e) < 0)
		return -1;
	begin_screen(i, (int)json_get_int(params, "rows", 24), (int)json_get_int(params, "cols", 80));
	FAULT_POINT("run");
	i->stream = link_open(guest_link(s->guest), run_open(params, id, i->screen), &inst_stream_ops, i, e);
	if (!i->stream) {
		inst_destroy(i);
		return -1;
	}
	i->started = fn;
	i->started_arg = arg;
	FAULT_POINT("run.sent");
	inst_save(i);
	FAULT_POINT("run.saved");
	server_instance_ready(s, i);
	return 0;
}

/* What a guest says that it holds: no more than it may keep, and offsets that JSON can carry. */
static bool held_plausible(int64_t first, int64_t next)
{
	return first >= 0 && first <= next && next < OFFSET_END && next - first <= LINK_OUT_MAX;
}

int inst_adopt(struct shim *s, const json_t *entry, struct err *e)
{
	const char *id = json_need_text(entry, "proc", e);
	int64_t first = json_get_int(entry, "first", 0), next = json_get_int(entry, "next", 0);
	uint64_t from;
	struct inst *i;

	if (!id)
		return -1;
	if (!inst_id_valid(id))
		return err_set(e, ERR_PARAMS, "the guest holds \"%s\", which is no instance", id);
	/* What is inside must not get at the recording of another by claiming its name. */
	if (!conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "the guest claims to hold %s, which is not of this place", id);
	if (inst_find(s, id))
		return 0;
	if (!held_plausible(first, next))
		return err_set(e, ERR_PARAMS, "the guest claims to hold impossible offsets of %s", id);
	if (create(s, id, &i, e) < 0)
		return -1;
	inst_restore(i, (uint64_t)next);
	screen_catch_lines(i->screen, false);
	i->state = INST_RUNNING;
	i->pid = (pid_t)json_get_int(entry, "pid", 0);
	from = i->offset > i->base ? i->offset - i->base : 0;
	if (from < (uint64_t)first || from > (uint64_t)next) {
		log_warn("record", i->id, "the recording ends at %llu, the guest has %llu to %llu",
			(unsigned long long)from, (unsigned long long)first, (unsigned long long)next);
		from = (uint64_t)first;
		i->offset = i->base + from > i->offset ? i->base + from : i->offset;
		i->base = i->offset - from;
	}
	i->stream = link_open(guest_link(s->guest),
		json_pack("{s:s, s:s, s:I}", "kind", "attach", "proc", id, "from", (json_int_t)from), &inst_stream_ops,
		i, e);
	if (!i->stream) {
		inst_destroy(i);
		return -1;
	}
	log_info("guest", i->id, "attached to its terminal at offset %llu", (unsigned long long)i->offset);
	server_instance_ready(s, i);
	return 0;
}

void inst_place_gone(struct shim *s, const char *reason)
{
	struct err gone = {0};
	struct inst *i, *next;

	err_set(&gone, ERR_FAILED, "the place ended: %s", reason);
	for (i = s->instances; i; i = next) {
		next = i->next;
		if (i->stream)
			link_reset(i->stream, NULL);
		i->stream = NULL;
		if (i->state == INST_STARTING)
			inst_start_failed(i, &gone);
		else
			inst_ended(i, -1, 0, reason);
	}
}

int inst_forget(struct shim *s, const char *id, struct err *e)
{
	struct inst *i = inst_find(s, id);

	if (!i)
		return 0; /* asked for again: it is forgotten */
	if (i->state != INST_ENDED)
		return err_set(e, ERR_STATE, "the instance %s is still running", id);
	FAULT_POINT("forget");
	if (i->stream)
		link_close(i->stream);
	i->stream = NULL;
	inst_destroy(i);
	return 0;
}

void inst_destroy_all(struct shim *s)
{
	while (s->instances) {
		if (s->instances->state == INST_RUNNING)
			inst_save(s->instances);
		s->instances->stream = NULL; /* the link goes as a whole */
		inst_destroy(s->instances);
	}
}

json_t *inst_list(struct shim *s)
{
	json_t *list = json_array();
	struct inst *i;

	for (i = s->instances; i; i = i->next)
		json_array_append_new(list,
			json_pack("{s:s, s:I, s:b, s:I, s:o}", "id", i->id, "pid", (json_int_t)i->pid, "running",
				i->state != INST_ENDED, "offset", (json_int_t)i->offset, "exit", inst_exit(i)));
	return list;
}

const char *inst_id(const struct inst *i)
{
	return i->id;
}

struct shim *inst_shim(const struct inst *i)
{
	return i->shim;
}

bool inst_running(const struct inst *i)
{
	return i->state != INST_ENDED;
}

json_t *inst_exit(const struct inst *i)
{
	return i->state != INST_ENDED ? json_null()
				      : json_pack("{s:i, s:i}", "code", i->code, "signal", i->signal);
}

uint64_t inst_offset(const struct inst *i)
{
	return i->offset;
}

struct input *inst_input(struct inst *i)
{
	return i->input;
}

struct screen *inst_screen(struct inst *i)
{
	return i->screen;
}

struct record *inst_record(struct inst *i)
{
	return i->record;
}

int inst_signal(struct inst *i, const char *signal, bool group, struct err *e)
{
	if (i->state != INST_RUNNING || !i->stream)
		return err_set(e, ERR_STATE, "the program in %s does not run", i->id);
	if (link_send_ctl(i->stream, json_pack("{s:s, s:b}", "signal", signal, "group", group)) < 0)
		return err_set(e, ERR_BUSY, "too much waits for the place");
	return 0;
}
