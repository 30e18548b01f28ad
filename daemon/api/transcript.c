/* SPDX-License-Identifier: ISC */
/* The call `transcript`: a part of a conversation as entries, read from the copy. Each answer is bounded. */
#include "daemon/api/api_int.h"

#define WINDOW_BYTES (128 * 1024)    /* read at once */
#define WINDOWS_MOST 16              /* of one answer: most lines say nothing to a person */
#define LAST_MOST (4 * 1024 * 1024)  /* looked through from the end for the last entries */
#define ANSWER_MOST (768 * 1024)
#define TEXT_DEFAULT 8192
#define TEXT_MOST (256 * 1024)
#define LAST_ENTRIES_MOST 10000

struct part {
	struct call *c;
	const struct transcript_format *format;
	const char *instance, *conversation;
	size_t text_max;
	json_t *entries;
	size_t bytes;  /* of them, as JSON */
	int64_t next;  /* behind the last line that was looked at */
	bool full;
};

static void add_line(struct part *p, const char *line, size_t len, int64_t at)
{
	struct transcript_line l = {0};
	struct err err = {0};
	json_t *e;
	size_t i;

	while (len > 0 && *line == '\0') { /* given up for the bound */
		line++;
		len--;
	}
	if (len == 0 || p->format->parse(line, len, &l, &err) < 0)
		return;
	json_t *all = p->format->entries(&l, p->text_max);
	json_array_foreach(all, i, e) {
		json_object_set_new(e, "at", json_integer(at));
		json_object_set_new(e, "conversation", json_string(p->conversation));
		p->bytes += json_dumpb(e, NULL, 0, JSON_COMPACT) + 1;
		json_array_append(p->entries, e);
	}
	json_decref(all);
	p->format->finish(&l);
}

/* The lines from p->next on, up to `end` or one window; false when there was no whole one. */
static bool add_window(struct part *p, int64_t end, size_t size)
{
	struct core_port *port = &p->c->w->port;
	int64_t left = end - p->next;
	cleanup_free char *data = NULL;
	size_t done = 0;
	const char *nl;

	if (left <= 0)
		return false;
	if ((int64_t)size > left)
		size = (size_t)left;
	data = xcalloc(1, size + 1);
	int64_t n = port->transcript_read(p->c->w, p->instance, p->conversation, p->next, data, size);
	while (n > 0 && !p->full && (nl = memchr(data + done, '\n', (size_t)n - done))) {
		size_t len = (size_t)(nl - (data + done));
		add_line(p, data + done, len, p->next + (int64_t)done);
		done += len + 1;
		p->full = p->bytes >= ANSWER_MOST;
	}
	if (!done && n == TRANSCRIPT_LINE_MAX) /* longer than any line may be */
		done = (size_t)n;
	if (!done && n == (int64_t)size && size < TRANSCRIPT_LINE_MAX && left > (int64_t)size)
		return add_window(p, end, TRANSCRIPT_LINE_MAX);
	p->next += (int64_t)done;
	return done > 0;
}

static void read_forward(struct part *p, int64_t end)
{
	for (int i = 0; i < WINDOWS_MOST && !p->full && add_window(p, end, WINDOW_BYTES); i++)
		;
}

/* The last so many entries: from growing distances to the end. */
static void read_last(struct part *p, int64_t end, size_t want)
{
	for (int64_t back = WINDOW_BYTES;; back *= 4) {
		json_array_clear(p->entries);
		p->bytes = 0;
		p->full = false;
		p->next = back < end ? end - back : 0;
		/* The first line is cut, unless it is the first of all: it is no line then. */
		while (!p->full && add_window(p, end, WINDOW_BYTES))
			while (json_array_size(p->entries) > want)
				p->bytes -= json_dumpb(json_array_get(p->entries, 0), NULL, 0, JSON_COMPACT) + 1, json_array_remove(p->entries, 0);
		if (json_array_size(p->entries) >= want || back >= end || back >= LAST_MOST)
			return;
	}
}

/* The conversation that is meant, of those there are (the newest is the last). */
static const json_t *meant(const json_t *all, const char *id)
{
	const json_t *o, *found = id ? NULL : json_array_get(all, json_array_size(all) - 1);
	size_t i;

	json_array_foreach(all, i, o)
		if (id && !strcmp(json_string_value(json_object_get(o, "conversation")), id))
			found = o;
	return found;
}

void api_TRANSCRIPT(struct call *c)
{
	struct instance *in = call_target(c, "id");
	const struct agent_program *prog = in ? agent_find(in->agent) : NULL;
	int64_t since = call_int(c, "since", 0), last = call_int(c, "last", 0), text_max = call_int(c, "text_max", TEXT_DEFAULT);
	struct err err = {0};

	if (!in)
		return;
	json_t *all = fleet_transcripts_json(c->w->fleet, in);
	const json_t *one = meant(all, call_str(c, "conversation"));
	if (!prog || !prog->transcript) {
		err_set(&err, ERR_PARAMS, "'%s' writes no transcript that can be shown", in->agent);
		err_hint(&err, "tmux-claude read %s shows its terminal", in->id);
	} else if (!one) {
		err_set(&err, ERR_NOT_FOUND, json_array_size(all) ? "instance %s had no such conversation" : "instance %s has no conversation yet", in->id);
	} else if (since < 0 || last < 0 || last > LAST_ENTRIES_MOST || text_max < 1 || text_max > TEXT_MOST) {
		err_set(&err, ERR_PARAMS, "since, last or text_max is out of its bounds");
	}
	if (err.code) {
		json_decref(all);
		call_error(c, &err);
		return;
	}
	int64_t length = json_integer_value(json_object_get(one, "length"));
	struct part p = {.c = c, .format = prog->transcript, .instance = in->id,
		.conversation = json_string_value(json_object_get(one, "conversation")), .text_max = (size_t)text_max,
		.entries = json_array(), .next = since};
	if (last > 0)
		read_last(&p, length, (size_t)last);
	else
		read_forward(&p, length);
	cleanup_free char *copy = xasprintf("%s/%s/conversation-%s.jsonl", c->w->layout->recordings_dir, in->id, p.conversation);
	json_t *result = json_pack("{s:s, s:s, s:b, s:s, s:o, s:I, s:I, s:b}", "instance", in->id, "conversation", p.conversation, "living",
		state_living(in->state), "copy", copy, "entries", p.entries, "since", (json_int_t)since, "next", (json_int_t)p.next,
		"more", p.full || p.next + WINDOW_BYTES < length);
	json_object_set_new(result, "conversations", all);
	call_result(c, result);
}
