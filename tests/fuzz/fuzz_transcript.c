/* SPDX-License-Identifier: ISC */
/* Fuzzes lines of transcripts: whatever they hold, what is shown of them is JSON with bounded texts. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent/transcript.h"

#define TEXT_MOST 20

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_line(const char *line, size_t len)
{
	struct transcript_line l = {0};
	char head[TRANSCRIPT_HEAD_MAX];
	struct err e = {0};
	const json_t *entry;
	size_t i;

	claude_transcript.wanted(line, len);
	if (claude_transcript.parse(line, len, &l, &e) < 0) {
		if (!e.code || !e.message[0])
			abort();
		return;
	}
	json_t *all = claude_transcript.entries(&l, TEXT_MOST);
	json_array_foreach(all, i, entry)
		if (!json_is_string(json_object_get(entry, "kind")) ||
			json_string_length(json_object_get(entry, "text")) > TEXT_MOST)
			abort();
	char *text = json_dumps(all, JSON_COMPACT);
	if (!text)
		abort();
	free(text);
	json_decref(all);
	claude_transcript.head(head, l.text);
	if (strlen(head) >= sizeof(head) || l.usage.input < 0 || l.usage.output < 0 || l.cost_nano < 0 || l.time_ms < 0)
		abort();
	char id[TRANSCRIPT_ID_MAX], path[TRANSCRIPT_PATH_MAX];
	if (claude_transcript.named(l.doc, "/r", id, path) && (strstr(path, "..") == path || !strchr(path, '/')))
		abort();
	claude_transcript.finish(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1); /* exact size: reads past the end are seen */
	char *at = copy, *end = copy + size, *nl;

	if (!copy)
		abort();
	memcpy(copy, data, size);
	while (at < end) {
		nl = memchr(at, '\n', (size_t)(end - at));
		one_line(at, (size_t)((nl ? nl : end) - at));
		at = nl ? nl + 1 : end;
	}
	free(copy);
	return 0;
}
