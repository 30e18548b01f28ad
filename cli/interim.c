/* SPDX-License-Identifier: ISC */
/* What waits for the client side of the shim's streams: exec, read --follow, view. They say so. */
#include "cli/verbs.h"

static int not_yet(struct err *e)
{
	return err_set(e, ERR_UNAVAILABLE, "this build has no client for the terminal's streams yet");
}

int read_stream(struct cli *c)
{
	struct err e = {0};

	not_yet(&e);
	return cli_fail(c, &e);
}

int verb_exec(struct cli *c)
{
	struct err e = {0};

	not_yet(&e);
	cli_fail(c, &e);
	return EXIT_OURS;
}

int verb_view(struct cli *c, char *const *argv)
{
	(void)argv;
	return read_stream(c);
}

int view_run(struct cli *c, const char *instance, const char *socket, bool read_only, struct err *e)
{
	(void)c;
	(void)instance;
	(void)socket;
	(void)read_only;
	return not_yet(e);
}
