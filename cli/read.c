/* SPDX-License-Identifier: ISC */
/* read: the screen as a person sees it, or the recorded bytes. */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/verbs.h"

/* The screen, without what a person does not see at its end. */
static void print_screen(struct cli *c, const json_t *screen)
{
	cleanup_free char *text = xstrdup(jstr(screen, "text"));
	size_t n = strlen(text);

	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		text[--n] = '\0';
	writer_text(&c->w, C_NONE, text);
	if (n > 0)
		fputc('\n', c->w.out);
}

int verb_read(struct cli *c)
{
	struct err e = {0};
	json_t *result = NULL;
	const json_t *params = c->args.params;

	cli_catch_signals();
	if (args_flag(&c->args, "follow") || json_object_get(params, "since") ||
		json_is_true(json_object_get(params, "raw")))
		return read_stream(c);
	if (cli_call_verb(c, &result, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, result);
	else
		print_screen(c, result);
	json_decref(result);
	return EXIT_DONE;
}
