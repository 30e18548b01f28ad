/* SPDX-License-Identifier: ISC */
/* Fuzzes the control-mode parser: one feed and a split feed must agree, events stay inside the bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/tmux/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
	uint64_t hash;
	struct tmux_parser parser;
};

static void mix(struct tally *t, const char *p, size_t len)
{
	t->hash = (t->hash ^ len) * 0x100000001b3u;
	for (size_t i = 0; i < len; i++)
		t->hash = (t->hash ^ (unsigned char)p[i]) * 0x100000001b3u;
}

/* Parses what is there; returns what was consumed. */
static size_t run(struct tally *t, const char *p, size_t len)
{
	size_t done = 0, n;
	struct tmux_event ev;
	bool have;

	do {
		have = tmux_parse_next(&t->parser, p + done, len - done, &n, &ev);
		if (n > len - done)
			abort();
		if (have) {
			if (ev.text_len > 0 &&
				(ev.text < p + done || ev.text + ev.text_len > p + done + n))
				abort();
			if (ev.name_len > 0 &&
				(ev.name < p + done || ev.name + ev.name_len > p + done + n))
				abort();
			t->hash = t->hash * 31 + ev.type * 7 + ev.flags * 3 + ev.cut;
			mix(t, ev.name, ev.name_len);
			mix(t, ev.text, ev.text_len);
		}
		done += n;
	} while (have);
	return done;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tally whole = {0}, parts = {0};
	size_t at, done;
	char reason[TMUX_REASON_MAX], *copy;

	if (size < 3)
		return 0;
	whole.parser.pauses = parts.parser.pauses = data[0] & 1;
	at = (size_t)(data[1] << 8 | data[2]) % (size - 2);
	data += 3;
	size -= 3;
	copy = malloc(size + 1); /* exact size: reads past the end are seen */
	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	done = run(&whole, copy, size);
	tmux_parse_exit_reason(&whole.parser, copy + done, size - done, reason);
	done = run(&parts, copy, at);
	run(&parts, copy + done, size - done);
	if (whole.hash != parts.hash || whole.parser.in_block != parts.parser.in_block)
		abort();
	free(copy);
	return 0;
}
