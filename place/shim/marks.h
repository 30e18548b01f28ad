/* SPDX-License-Identifier: ISC */
/* Where a shell stands, by the marks it prints about its prompt (OSC 133, OSC 633). */
#ifndef SHIM_MARKS_H
#define SHIM_MARKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "place/shim/scan.h"

enum mark_phase {
	MARK_NONE,    /* none was ever seen */
	MARK_PROMPT,  /* A: a prompt begins */
	MARK_INPUT,   /* B: a line is being typed */
	MARK_RUNNING, /* C: a command runs */
	MARK_DONE,    /* D: it ended; a prompt follows */
};

struct marks {
	enum mark_phase phase;
	bool exit_known; /* of the last command that ended */
	int exit;        /* 0 to 255 */
	/* Since this screen was made: commands that began, that ended, and prompts. */
	uint32_t begun, ended, prompts;
};

/* Takes note of an OSC; false when it is none of these marks. */
bool marks_apply(struct marks *m, const struct scan_token *t);
/* {"phase":"input","exit":3|null,"begun":N,"ended":N,"prompts":N}, or NULL when there never was one. */
json_t *marks_json(const struct marks *m);
/* What brings another screen's marks to the same phase. 0, or -1 when out is full. */
int marks_paint(const struct marks *m, struct buf *out);

#endif
