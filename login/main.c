/* SPDX-License-Identifier: ISC */
/*
 * tmux-claude-login: renews a renewing login, once, and says what came of it as a line of JSON without secrets.
 *
 *   tmux-claude-login renew FILE [CA_FILE] [--force]
 *
 * The daemon starts it and lives without it: a renewal that is under way goes on when the daemon is killed.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/fault.h"
#include "base/util.h"
#include "login/renew.h"

static const char *word_of(enum renew_end end)
{
	switch (end) {
	case RENEW_DONE:
		return "renewed";
	case RENEW_FRESH:
		return "fresh";
	case RENEW_LATER:
		return "later";
	case RENEW_GONE:
		return "gone";
	case RENEW_BUSY:
		return "busy";
	}
	return "";
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};
	struct err e = {0};
	bool force = argc > 3 && !strcmp(argv[argc - 1], "--force");
	const char *ca_file = argc > (force ? 4 : 3) ? argv[3] : NULL;
	json_t *o;

#ifdef TC_FAULT_POINTS
	if (argc == 2 && !strcmp(argv[1], "--fault-points")) {
		fault_list();
		return 0;
	}
#endif
	if (argc < 3 || argc > 5 || strcmp(argv[1], "renew") != 0 || argv[2][0] != '/') {
		fprintf(stderr, "usage: tmux-claude-login renew /FILE [CA_FILE] [--force]\n");
		return 2;
	}
	/* It holds what must not be in a crash's file, and outlives whoever reads its word. */
	setrlimit(RLIMIT_CORE, &no_core);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	enum renew_end end = login_renew(argv[2], ca_file, force, http_call, &e);
	o = json_pack("{s:s, s:s, s:s}", "end", word_of(end), "message", e.message, "hint", e.hint);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
	return fflush(stdout) == 0 ? 0 : 1;
}
