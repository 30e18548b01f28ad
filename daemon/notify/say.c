/* SPDX-License-Identifier: ISC */
/* What a notice says, and when it is said again. Agents' words are in it: they are text, on every channel. */
#include "daemon/notify/channel.h"

#include "base/clock.h"
#include "base/util.h"

void said_init(struct said *s)
{
	memset(s, 0, sizeof(*s));
	s->items = json_array();
}

void said_add(struct said *s, const struct attention *a, const char *name)
{
	s->counts[a->why]++;
	if (s->count++ < NOTICE_ITEMS_MAX)
		json_array_append_new(s->items, attention_to_json(a, name));
}

static void text_of_one(const json_t *item, char out[NOTICE_TEXT_SIZE])
{
	const char *name = json_string_value(json_object_get(item, "name"));

	str_fmt(out, NOTICE_TEXT_SIZE, "%.63s: %s: %s", name ? name : json_string_value(json_object_get(item, "instance")),
		json_string_value(json_object_get(item, "why")), json_string_value(json_object_get(item, "text")));
}

static void text_of_many(const struct said *s, char out[NOTICE_TEXT_SIZE])
{
	size_t at = (size_t)snprintf(out, NOTICE_TEXT_SIZE, "%zu things need you", s->count);

	for (int w = 0, first = 1; w < AT_COUNT && at < NOTICE_TEXT_SIZE; w++) {
		if (!s->counts[w])
			continue;
		at += (size_t)snprintf(out + at, NOTICE_TEXT_SIZE - at, "%s%u %s", first ? ": " : ", ", s->counts[w],
			attention_why_name((enum attention_why)w));
		first = 0;
	}
}

char *said_body(struct said *s, const char *id, const char *channel, int64_t now_ms, bool test)
{
	char text[NOTICE_TEXT_SIZE] = "tmux-claude: a test of notifications", iso[CLOCK_ISO_MAX];
	json_t *reasons = json_object(), *o;
	char *body;

	if (s->count == 1)
		text_of_one(json_array_get(s->items, 0), text);
	else if (s->count)
		text_of_many(s, text);
	for (int w = 0; w < AT_COUNT; w++)
		if (s->counts[w])
			json_object_set_new(reasons, attention_why_name((enum attention_why)w), json_integer(s->counts[w]));
	o = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I}", "id", id, "time", clock_iso(now_ms, iso), "channel", channel,
		"text", text, "count", (json_int_t)s->count, "reasons", reasons, "items", s->items, "more",
		(json_int_t)(s->count > NOTICE_ITEMS_MAX ? s->count - NOTICE_ITEMS_MAX : 0));
	s->items = NULL;
	if (test)
		json_object_set_new(o, "test", json_true());
	body = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return body;
}

void said_text(const char *body, char out[NOTICE_TEXT_SIZE])
{
	json_t *o = body ? json_loads(body, 0, NULL) : NULL;
	size_t n = 0;

	str_line(out, NOTICE_TEXT_SIZE, json_string_value(json_object_get(o, "text")));
	json_decref(o);
	/* C1 controls (U+0080 to U+009F): some terminals take them for ESC and a letter. */
	for (size_t i = 0; out[i]; i++) {
		if ((unsigned char)out[i] == 0xc2 && (unsigned char)out[i + 1] >= 0x80 && (unsigned char)out[i + 1] <= 0x9f) {
			i++;
			continue;
		}
		out[n++] = out[i];
	}
	out[n] = '\0';
}

static void set_time(json_t *o, const char *key, int64_t ms)
{
	char iso[CLOCK_ISO_MAX];

	json_object_set_new(o, key, json_string(clock_iso(ms, iso)));
}

json_t *said_notice(const struct notice *n)
{
	char text[NOTICE_TEXT_SIZE];
	json_t *o;

	said_text(n->body, text);
	o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s?}", "id", n->id, "channel", n->channel, "status",
		notice_status_name(n->status), "attempts", (json_int_t)n->attempts, "text", text, "error", n->error);
	if (!o) /* an error that is not text */
		o = json_pack("{s:s, s:s, s:s}", "id", n->id, "channel", n->channel, "status", notice_status_name(n->status));
	set_time(o, "created", n->created_ms);
	set_time(o, "changed", n->changed_ms);
	if (n->status == NO_PENDING && n->next_ms)
		set_time(o, "next", n->next_ms);
	return o;
}

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (const char *w = words; *w; w += strspn(w, " \t")) {
		size_t len = strcspn(w, " \t");
		if (len == n && !strncmp(w, word, n))
			return true;
		w += len;
	}
	return false;
}

size_t said_ring(const char *ways, const char *text, char out[RING_MAX])
{
	cleanup_free char *plain = xstrdup(text);
	size_t at = 0;

	for (char *p = plain; *p; p++)
		if (*p == ';')
			*p = ','; /* it separates in OSC */
	plain[strlen(plain) > RING_MAX / 3 ? RING_MAX / 3 : strlen(plain)] = '\0';
	while (*plain && !utf8_valid(plain, strlen(plain)))
		plain[strlen(plain) - 1] = '\0';
	if (has_word(ways, "osc9"))
		at += (size_t)snprintf(out + at, RING_MAX - at, "\033]9;%s\033\\", plain);
	if (has_word(ways, "osc777"))
		at += (size_t)snprintf(out + at, RING_MAX - at, "\033]777;notify;tmux-claude;%s\033\\", plain);
	if (has_word(ways, "bell"))
		at += (size_t)snprintf(out + at, RING_MAX - at, "\a");
	return at;
}

void said_markup(const char *text, char *out, size_t size)
{
	size_t at = 0;

	for (const char *p = text; *p; p++) {
		const char *s = *p == '&' ? "&amp;" : *p == '<' ? "&lt;" : *p == '>' ? "&gt;" : NULL;
		char one[2] = {*p, '\0'};
		size_t n = strlen(s ? s : one);
		if (at + n >= size)
			break;
		memcpy(out + at, s ? s : one, n);
		at += n;
	}
	out[at] = '\0';
	while (at && !utf8_valid(out, at)) /* a character was cut: notify-send refuses such text */
		out[--at] = '\0';
}

int64_t retry_pause_ms(int64_t first_ms, int64_t attempts, int64_t age_ms, int64_t give_up_ms)
{
	int64_t ms = first_ms;

	for (int64_t i = 1; i < attempts && ms < RETRY_MOST_MS; i++)
		ms *= 2;
	if (ms > RETRY_MOST_MS)
		ms = RETRY_MOST_MS;
	return age_ms + ms > give_up_ms ? -1 : ms;
}
