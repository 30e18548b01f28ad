/* SPDX-License-Identifier: ISC */
/* Results as text, one function per kind of result; everything goes through the writer's escaping. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/tree.h"

#define TREE_WIDTH_MAX 192 /* columns of a tree's lines; the ends of deeper ones are shown */

const char *jstr(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

json_int_t jint(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* An integer or "unlimited" as text; owned. */
static char *limit(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	if (json_is_integer(v))
		return xasprintf("%lld", (long long)json_integer_value(v));
	return xstrdup(json_is_string(v) ? json_string_value(v) : "-");
}

enum color state_color(const char *state)
{
	static const struct {
		const char *name;
		enum color color;
	} colors[] = {
		{"idle", C_GREEN},
		{"working", C_CYAN},
		{"waiting", C_YELLOW},
		{"limited", C_MAGENTA},
		{"failed", C_RED},
		{"lost", C_RED},
		{"exited", C_DIM},
		{"stopping", C_DIM},
		{"asleep", C_BLUE},
		{"paused", C_BLUE},
	};

	for (size_t i = 0; i < ARRAY_LEN(colors); i++)
		if (strcmp(colors[i].name, state) == 0)
			return colors[i].color;
	return C_NONE;
}

/* "waiting (login)", "exited (2)"; owned. */
static char *state_text(const json_t *in)
{
	const char *state = jstr(in, "state"), *reason = jstr(in, "reason");
	const json_t *ended = json_object_get(in, "exit");

	if (json_is_object(ended) && (strcmp(state, "exited") == 0 || strcmp(state, "failed") == 0)) {
		if (json_is_integer(json_object_get(ended, "signal")))
			return xasprintf("%s (signal %lld)", state, (long long)jint(ended, "signal"));
		if (json_is_integer(json_object_get(ended, "code")))
			return xasprintf("%s (%lld)", state, (long long)jint(ended, "code"));
	}
	return reason[0] ? xasprintf("%s (%s)", state, reason) : xstrdup(state);
}

/* The instances' table. */

static void instance_row(struct table *t, const json_t *in, const char *indent, const char *parent, int64_t now_ms)
{
	cleanup_free char *state = state_text(in);
	const json_t *cap = json_object_get(in, "cap"), *vm = json_object_get(in, "vm");
	const char *accel = jstr(vm, "accel"), *detail = jstr(in, "detail"), *title = jstr(in, "title");
	char span[SPAN_MAX];

	table_row(t);
	table_cellf(t, C_BOLD, "%s%s", indent, jstr(in, "id"));
	table_cell(t, C_NONE, jstr(in, "name"));
	table_cell(t, C_DIM, parent);
	table_cell(t, C_NONE, jstr(in, "role"));
	table_cell(t, state_color(jstr(in, "state")), state);
	table_cell(t, C_DIM, text_since(jstr(in, "state_since"), now_ms, span));
	table_cell(t, C_NONE, jstr(in, "agent"));
	table_cellf(t, C_NONE, "%s%s%s", jstr(in, "driver"), accel[0] ? "/" : "", accel);
	if (jint(cap, "children") > 0 || jint(cap, "descendants") > 0) {
		cleanup_free char *most = limit(cap, "max_children");
		table_cellf(t, C_NONE, "%lld/%s", (long long)jint(cap, "children"), most);
	} else {
		table_cell(t, C_NONE, "");
	}
	table_cell(t, C_NONE, jstr(in, "dir"));
	table_cell(t, C_DIM, detail[0] ? detail : title);
}

static void instance_columns(struct table *t)
{
	table_column(t, "ID", 0);
	table_column(t, "NAME", T_FLEX | T_HIDE_EMPTY);
	table_column(t, "PARENT", T_HIDE_EMPTY);
	table_column(t, "ROLE", T_HIDE_EMPTY);
	table_column(t, "STATE", 0);
	table_column(t, "FOR", T_RIGHT);
	table_column(t, "AGENT", 0);
	table_column(t, "PLACE", 0);
	table_column(t, "CHILDREN", T_HIDE_EMPTY);
	table_column(t, "FOLDER", T_FLEX | T_PATH);
	table_column(t, "", T_FLEX | T_HIDE_EMPTY);
}

void render_instances(const struct writer *w, const json_t *list, int64_t now_ms)
{
	struct table *t = table_create();
	json_t *in;
	size_t i;

	instance_columns(t);
	json_array_foreach(list, i, in)
		instance_row(t, in, "", "", now_ms);
	table_write(t, w);
	table_destroy(t);
}

/* Who stands at the top and has a parent that is not shown names it. */
void render_tree(const struct writer *w, const json_t *list, size_t most, int64_t now_ms)
{
	struct table *t = table_create();
	size_t n, width = w->width > 0 && w->width / 3 < TREE_WIDTH_MAX ? (size_t)w->width / 3 : TREE_WIDTH_MAX;
	cleanup_free struct tree_row *rows = tree_rows(list, &n);

	instance_columns(t);
	for (size_t i = 0; i < n && i < most; i++) {
		cleanup_free char *branch = tree_branch(rows, i, text_utf8(), width);
		instance_row(t, rows[i].in, branch, rows[i].up == TREE_TOP ? jstr(rows[i].in, "parent") : "", now_ms);
	}
	table_write(t, w);
	table_destroy(t);
}

/* One instance whole. */

static void render_vm(const struct writer *w, const json_t *in)
{
	const json_t *vm = json_object_get(in, "vm");

	if (!json_is_object(vm))
		return;
	cleanup_free char *text = xasprintf("%s, %lld CPUs, %lld MiB, template %s%s%s, booted in %.1f s",
		jstr(vm, "state"), (long long)jint(vm, "cpus"), (long long)jint(vm, "memory"),
		jstr(vm, "template"), jstr(vm, "accel")[0] ? ", " : "", jstr(vm, "accel"),
		(double)jint(vm, "boot_ms") / 1000);
	writer_field(w, "vm", C_NONE, text);
}

static void render_labels(const struct writer *w, const json_t *labels)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)labels, key, value) {
		cleanup_free char *text = xasprintf("%s=%s", key, json_string_value(value));
		writer_field(w, "label", C_NONE, text);
	}
}

static void field_number(const struct writer *w, const char *name, json_int_t n)
{
	char text[32];

	if (n == 0)
		return;
	str_fmt(text, sizeof(text), "%lld", (long long)n);
	writer_field(w, name, C_NONE, text);
}

static void render_instance(const struct writer *w, const json_t *in)
{
	cleanup_free char *state = state_text(in);

	writer_field(w, "id", C_BOLD, jstr(in, "id"));
	writer_field_if(w, "name", jstr(in, "name"));
	writer_field(w, "state", state_color(jstr(in, "state")), state);
	writer_field_if(w, "", jstr(in, "detail"));
	writer_field_if(w, "since", jstr(in, "state_since"));
	writer_field_if(w, "created", jstr(in, "created_at"));
	writer_field_if(w, "agent", jstr(in, "agent"));
	writer_field_if(w, "model", jstr(in, "model"));
	writer_field_if(w, "permissions", jstr(in, "permissions"));
	writer_field_if(w, "title", jstr(in, "title"));
	writer_field_if(w, "driver", jstr(in, "driver"));
	render_vm(w, in);
	writer_field_if(w, "folder", jstr(in, "dir"));
	writer_field_if(w, "parent", jstr(in, "parent"));
	writer_field_if(w, "role", jstr(in, "role"));
	render_labels(w, json_object_get(in, "labels"));
	writer_field_if(w, "conversation", jstr(in, "conversation"));
	field_number(w, "pid", jint(in, "pid"));
	field_number(w, "place pid", jint(in, "place_pid"));
	field_number(w, "shim pid", jint(in, "shim_pid"));
	render_usage_line(w, in);
	render_caps(w, json_object_get(in, "caps"), jstr(in, "id"));
}

/* Events. */

static void event_data(const struct writer *w, const json_t *data)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)data, key, value) {
		if (json_is_null(value))
			continue;
		cleanup_free char *dump =
			json_is_string(value) ? NULL : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		cleanup_free char *safe = text_escape(dump ? dump : json_string_value(value), false);
		fprintf(w->out, " %s%s=%s%s", color_on(w->color, C_DIM), key, color_off(w->color, C_DIM),
			safe);
	}
}

void render_event(const struct writer *w, const json_t *ev)
{
	const json_t *time = json_object_get(ev, "time");
	char iso[CLOCK_ISO_MAX];
	cleanup_free char *when = text_escape(
		json_is_integer(time) ? clock_iso(json_integer_value(time), iso) : jstr(ev, "time"), false);
	cleanup_free char *type = text_escape(jstr(ev, "type"), false);
	cleanup_free char *who = text_escape(
		jstr(ev, "instance")[0] ? jstr(ev, "instance") : jstr(ev, "place"), false);

	fprintf(w->out, "%6lld  %s%s%s  %-16s  %s%-6s%s ", (long long)jint(ev, "seq"),
		color_on(w->color, C_DIM), when, color_off(w->color, C_DIM), type,
		color_on(w->color, C_BOLD), who, color_off(w->color, C_BOLD));
	event_data(w, json_object_get(ev, "data"));
	fputc('\n', w->out);
}

static void render_events(const struct writer *w, const json_t *result)
{
	json_t *ev;
	size_t i;

	json_array_foreach(json_object_get(result, "events"), i, ev)
		render_event(w, ev);
}

static void section(const struct writer *w, const char *title, const char *text)
{
	if (!text[0])
		return;
	fprintf(w->out, "%s== %s%s\n", color_on(w->color, C_BOLD), title, color_off(w->color, C_BOLD));
	writer_text(w, C_NONE, text);
	if (text[strlen(text) - 1] != '\n')
		fputc('\n', w->out);
}

static void render_logs(const struct writer *w, const json_t *result)
{
	if (json_array_size(json_object_get(result, "events")) > 0) {
		fprintf(w->out, "%s== events%s\n", color_on(w->color, C_BOLD),
			color_off(w->color, C_BOLD));
		render_events(w, result);
	}
	section(w, "shim", jstr(result, "shim"));
	section(w, "console", jstr(result, "console"));
}

/* The rest. */

static void render_admission(const struct writer *w, const json_t *a)
{
	const json_t *head = json_object_get(a, "head");
	char text[320];

	if (!json_is_object(a))
		return;
	str_fmt(text, sizeof(text), "%lld under way, %lld wait in line%s%.200s", (long long)jint(a, "starting"),
		(long long)jint(a, "waiting"), json_is_object(head) ? ": " : "", jstr(head, "detail"));
	writer_field(w, "starts", C_NONE, text);
	if (json_is_true(json_object_get(a, "pressure")))
		writer_field(w, "memory", C_NONE, "short: new starts wait");
}

static void render_store(const struct writer *w, const json_t *s)
{
	const json_t *ro = json_object_get(s, "read_only"), *v;
	size_t i;

	if (json_is_object(ro)) {
		writer_field(w, "read only", C_RED, jstr(ro, "reason"));
		writer_field(w, "what to do", C_NONE, jstr(ro, "hint"));
		json_array_foreach(json_object_get(ro, "unread"), i, v)
			writer_field(w, "not read", C_YELLOW, json_string_value(v));
	}
	json_array_foreach(json_object_get(s, "unknown"), i, v) {
		writer_field(w, "unknown place", C_YELLOW, json_string_value(v));
		if (i + 1 == json_array_size(json_object_get(s, "unknown")))
			writer_field(w, "what to do", C_NONE, "they live and are newer than the database; "
				"`tmux-claude down`, then `tmux-claude db restore --end-unknown` ends them");
	}
}

static void render_backups(const struct writer *w, const json_t *b)
{
	const json_t *last = json_object_get(b, "last"), *bad = json_object_get(b, "failed");
	char span[SPAN_MAX], text[640];

	if (!json_is_object(b))
		return;
	if (json_is_object(last))
		str_fmt(text, sizeof(text), "the last %s ago, %lld of %lld kept in %.400s", text_span(jint(last, "age_ms"), span),
			(long long)jint(b, "count"), (long long)jint(b, "keep"), jstr(b, "folder"));
	else
		str_fmt(text, sizeof(text), "%s", jint(b, "keep") ? "none yet; one a day" : "none (`backups = 0`)");
	writer_field(w, "backups", json_is_true(json_object_get(last, "late")) ? C_YELLOW : C_NONE, text);
	if (!json_is_object(bad))
		return;
	str_fmt(text, sizeof(text), "%.400s (tried %lld times, again in %s)", jstr(bad, "text"), (long long)jint(bad, "times"),
		text_span(jint(b, "next_ms"), span));
	writer_field(w, "backup failed", C_YELLOW, text);
}

static void render_status(const struct writer *w, const json_t *s)
{
	const json_t *tmux = json_object_get(s, "tmux");
	char span[SPAN_MAX], text[128];

	writer_field_if(w, "version", jstr(s, "version"));
	field_number(w, "pid", jint(s, "pid"));
	writer_field(w, "up for", C_NONE, text_span(jint(s, "uptime_ms"), span));
	str_fmt(text, sizeof(text), "%lld living, %lld kept%s", (long long)jint(s, "living"),
		(long long)jint(s, "instances"),
		json_is_false(json_object_get(s, "settled")) ? " (still being found again)" : "");
	writer_field(w, "instances", C_NONE, text);
	if (json_is_object(tmux)) {
		str_fmt(text, sizeof(text), "%.32s, %lld servers, %lld panes", jstr(tmux, "version"),
			(long long)jint(tmux, "servers"), (long long)jint(tmux, "panes"));
		writer_field(w, "tmux", C_NONE, jstr(tmux, "version")[0] ? text : "missing");
	}
	render_admission(w, json_object_get(s, "admission"));
	field_number(w, "last event", jint(s, "last_event"));
	render_backups(w, json_object_get(s, "backups"));
	render_store(w, s);
	writer_field_if(w, "socket", jstr(s, "socket"));
	writer_field_if(w, "state", jstr(s, "state_dir"));
}

static void render_short(const struct writer *w, const json_t *in)
{
	cleanup_free char *state = state_text(in);
	const char *name = jstr(in, "name");

	writer_printf(w, "%s%s%s  ", jstr(in, "id"), name[0] ? "  " : "", name);
	writer_text(w, state_color(jstr(in, "state")), state);
	fputc('\n', w->out);
}

void render_result(const struct writer *w, enum result_kind kind, const json_t *result)
{
	json_t *o;
	size_t i;

	switch (kind) {
	case R_INSTANCE:
		render_instance(w, result);
		break;
	case R_INSTANCES:
		if (json_is_object(result))
			render_short(w, result);
		json_array_foreach(result, i, o)
			render_short(w, o);
		break;
	case R_SENT:
		if (strcmp(jstr(result, "status"), "delivered") != 0)
			writer_printf(w, "%s%s%s\n", jstr(result, "status"), jstr(result, "reason")[0] ? ": " : "", jstr(result, "reason"));
		break;
	case R_PROMPT:
		render_prompt(w, result);
		break;
	case R_PROMPTS:
		render_prompts(w, result, clock_wall_ms());
		break;
	case R_SCHEDULES:
		render_schedules(w, result);
		break;
	case R_SCHEDULE:
		render_schedule(w, result);
		break;
	case R_SCREEN:
		section(w, "screen", jstr(result, "text"));
		break;
	case R_LOGS:
		render_logs(w, result);
		break;
	case R_REMOVED:
		json_array_foreach(json_object_get(result, "removed"), i, o)
			writer_printf(w, "%s\n", json_string_value(o));
		break;
	case R_AUDIT:
		render_audit(w, result);
		break;
	case R_EVENTS:
		render_events(w, result);
		break;
	case R_STATUS:
		render_status(w, result);
		break;
	case R_CAPS:
		render_caps(w, json_object_get(result, "caps"), jstr(result, "holder"));
		break;
	case R_USAGE:
		render_usage(w, result);
		break;
	case R_APPROVALS:
		render_approvals(w, result);
		break;
	case R_APPROVAL:
		render_approval(w, result);
		break;
	case R_GRANTS:
		render_grants(w, result);
		break;
	case R_NOTIFY:
		render_notify(w, result);
		break;
	case R_ATTENTION:
		render_attention(w, json_object_get(result, "items"));
		break;
	case R_TRANSCRIPT:
	case R_EMPTY:
	case R_ATTACH:
	case R_TICKET:
	case R_SUBSCRIBED:
	case R_TEMPLATE:
	case R_TEMPLATES:
	case R_CONFIG:
	case R_DOCTOR:
		break;
	}
}
