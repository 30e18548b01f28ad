/* SPDX-License-Identifier: ISC */
/* Fuzzes the reader of people's tmux configurations: what it takes has none of what it must not take. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ipc/tmuxconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int begins(const char *word, const char *with)
{
	return strncmp(word, with, strlen(with)) == 0;
}

static void check_word(const char *word)
{
	for (const char *p = word; *p; p++)
		if ((unsigned char)*p < 32 || (*p == '#' && strchr("({[", p[1]) && p[1]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tmuxconf c;

	tmuxconf_parse((const char *)data, size, &c);
	for (size_t i = 0; i < c.ncommands; i++) {
		if (strcmp(c.commands[i][0], "set-option") != 0 && strcmp(c.commands[i][0], "bind-key") != 0 &&
			strcmp(c.commands[i][0], "unbind-key") != 0)
			abort();
		for (char **w = c.commands[i]; *w; w++) {
			check_word(*w);
			if (c.commands[i][0][0] == 's')
				continue; /* a value: its form is checked above */
			if (begins(*w, "run") || begins(*w, "if-") || begins(*w, "source") || strstr(*w, "pipe"))
				abort();
		}
	}
	for (size_t i = 0; i < c.nleft; i++)
		if (!c.left[i].why[0] || c.left[i].line < 1)
			abort();
	tmuxconf_finish(&c);
	return 0;
}
