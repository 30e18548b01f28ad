/* SPDX-License-Identifier: ISC */
/* The call `transcript`: a part of a conversation as entries, read from the copy. Each answer is bounded. */
#include "daemon/api/api_int.h"
#include "daemon/api/transcript_page.h"

#define TEXT_DEFAULT 8192
#define TEXT_MOST (256 * 1024)
#define LAST_ENTRIES_MOST 10000

struct copy {
	struct world *w;
	const char *instance, *conversation;
};

static int64_t read_copy(void *ctx, int64_t from, void *buf, size_t size)
{
	struct copy *c = ctx;

	return c->w->port.transcript_read(c->w, c->instance, c->conversation, from, buf, size);
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
	struct copy of = {c->w, in->id, json_string_value(json_object_get(one, "conversation"))};
	struct transcript_page p = {.format = prog->transcript, .conversation = of.conversation, .text_max = (size_t)text_max,
		.read = read_copy, .ctx = &of, .next = since};
	if (last > 0)
		transcript_page_last(&p, length, (size_t)last);
	else
		transcript_page_from(&p, length);
	cleanup_free char *copy = xasprintf("%s/%s/conversation-%s.jsonl", c->w->layout->recordings_dir, in->id, p.conversation);
	json_t *result = json_pack("{s:s, s:s, s:b, s:s, s:o, s:I, s:I, s:b}", "instance", in->id, "conversation", p.conversation, "living",
		state_living(in->state), "copy", copy, "entries", transcript_page_take(&p), "since", (json_int_t)since, "next", (json_int_t)p.next,
		"more", p.full || p.next + TRANSCRIPT_WINDOW < length);
	json_object_set_new(result, "conversations", all);
	call_result(c, result);
}
