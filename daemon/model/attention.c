/* SPDX-License-Identifier: ISC */
/* What needs a person: names, keys, order, and how it is shown. */
#include "daemon/model/attention.h"

#include "base/clock.h"
#include "base/util.h"

static const struct {
	const char *name;
	enum attention_urgency urgency;
	const char *command;
} whys[AT_COUNT] = {
#define REASON(sym, name, urgency, command) [sym] = {name, urgency, command},
#include "ipc/reasons.def"
#undef REASON
};
static const char *const urgencies[AU_COUNT] = {
	[AU_BLOCKED] = "blocked", [AU_STOPPED] = "stopped", [AU_LOOK] = "look", [AU_INFO] = "info"};

const char *attention_why_name(enum attention_why w)
{
	return whys[w].name;
}

int attention_why_from_name(const char *s, enum attention_why *ret)
{
	for (int i = 0; i < AT_COUNT; i++) {
		if (strcmp(whys[i].name, s) != 0)
			continue;
		*ret = (enum attention_why)i;
		return 0;
	}
	return -1;
}

enum attention_urgency attention_urgency(enum attention_why w)
{
	return whys[w].urgency;
}

/* Ten digits of base 36 of a digest: 51 bits, so that of a million things no two are likely to meet. */
void attention_name(struct attention *a)
{
	static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	char hex[SHA256_HEX], whole[ID_SIZE + ATTENTION_SUBJECT_SIZE + 32];
	uint64_t n;

	str_fmt(whole, sizeof(whole), "%s/%s/%s", a->instance, whys[a->why].name, a->subject);
	sha256_hex(whole, strlen(whole), hex);
	hex[16] = '\0';
	n = strtoull(hex, NULL, 16);
	for (int i = 0; i < ATTENTION_KEY_SIZE - 1; i++, n /= 36)
		a->key[i] = digits[n % 36];
	a->key[ATTENTION_KEY_SIZE - 1] = '\0';
}

int attention_order(const void *va, const void *vb)
{
	const struct attention *a = *(const struct attention *const *)va, *b = *(const struct attention *const *)vb;
	enum attention_urgency ua = whys[a->why].urgency, ub = whys[b->why].urgency;

	if (ua != ub)
		return ua < ub ? -1 : 1;
	if (a->since_ms != b->since_ms)
		return a->since_ms < b->since_ms ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* What a person types next. Of an approval its id is the subject. */
static void command_of(const struct attention *a, char *out, size_t size)
{
	const char *format = whys[a->why].command;
	size_t n = 0;

	if (!format && id_valid(a->subject)) {
		str_fmt(out, size, "tmux-claude approvals show %s", a->subject);
		return;
	}
	if (!format) /* it is asked in its terminal alone */
		format = "tmux-claude attach %s";
	n = strcspn(format, "%");
	str_fmt(out, size, "%.*s%s", (int)n, format, a->instance);
}

json_t *attention_to_json(const struct attention *a, const char *name)
{
	char iso[CLOCK_ISO_MAX], command[64];

	command_of(a, command, sizeof(command));
	return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s, s:b}", "key", a->key, "instance", a->instance, "name", name,
		"why", whys[a->why].name, "urgency", urgencies[whys[a->why].urgency], "since", clock_iso(a->since_ms, iso),
		"text", utf8_valid(a->text, strlen(a->text)) ? a->text : "", "command", command, "acked", a->acked_ms != 0);
}
