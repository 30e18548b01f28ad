/* SPDX-License-Identifier: ISC */
/* Fuzzes the reader of agents.d/NAME.conf: what it takes has a program to run, and its patterns can be asked. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/agentconf.h"

#define INPUT_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[INPUT_MAX + 1];
	struct agentconf *c;
	struct err e = {0};

	size = size < INPUT_MAX ? size : INPUT_MAX;
	memcpy(text, data, size);
	text[size] = '\0';
	if (agentconf_parse("mine", text, &c, &e) < 0) {
		if (strncmp(e.message, "line ", 5) != 0)
			abort();
		return 0;
	}
	if (!c->argv || !c->argv[0] || !c->interrupt || !c->interrupt[0] || (c->idle == IDLE_READY && !c->ready.text))
		abort();
	agent_pattern_in(&c->ready, "you > it\nthinking");
	agent_pattern_in(&c->busy, "");
	agentconf_free(c);
	return 0;
}
