/* SPDX-License-Identifier: ISC */
/* tmux-claude-guest: which of its roles this process has. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/sock.h"
#include "base/util.h"
#include "place/guest/enter.h"
#include "place/guest/guest.h"
#include "place/guest/hook.h"
#include "place/guest/init.h"

static int usage(void)
{
	fputs("usage: tmux-claude-guest --listen FD|SOCKET [--place ID] [--run-dir DIR]\n"
	      "       tmux-claude-guest hook EVENT\n"
	      "       tmux-claude-guest call METHOD [JSON]\n"
	      "       tmux-claude-guest version\n"
	      "As the first process of a machine it takes no arguments.\n",
		stderr);
	return 2;
}

static int fail(const struct err *e)
{
	fprintf(stderr, "tmux-claude-guest: %s%s%s\n", e->message, *e->hint ? "; " : "", e->hint);
	return EXIT_FAILURE;
}

/* A number is a descriptor that listens already. */
static int listen_where(const char *where, int *ret, struct err *e)
{
	int64_t fd;

	if (str_to_i64(where, 3, 1023, &fd) < 0)
		return sock_listen(where, 0600, ret, e);
	if (fd_set_cloexec((int)fd, true) < 0 || fd_set_nonblock((int)fd) < 0)
		return err_set(e, ERR_PARAMS, "the descriptor %s is not open", where);
	*ret = (int)fd;
	return 0;
}

static int listen_main(int argc, char **argv)
{
	static const struct option options[] = { { "listen", required_argument, NULL, 'l' },
		{ "place", required_argument, NULL, 'p' }, { "run-dir", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 } };
	const char *where = NULL, *place = "", *run_dir = NULL;
	struct err e = { 0 };
	int c, fd;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'l')
			where = optarg;
		else if (c == 'p')
			place = optarg;
		else if (c == 'r')
			run_dir = optarg;
		else
			return usage();
	}
	if (!where || optind < argc)
		return usage();
	cleanup_free char *folder = xstrdup(run_dir ? run_dir : where);
	char *slash = strrchr(folder, '/');
	if (!run_dir && slash && slash > folder)
		*slash = '\0';
	/* As it was said when it is absolute: paths of files are compared with it. */
	cleanup_free char *whole = *folder == '/' ? xstrdup(folder) : realpath(folder, NULL);
	if (!whole || access(whole, W_OK | X_OK) < 0 || (!run_dir && !slash)) {
		err_set(&e, ERR_PARAMS, "the folder %s is not there or not writable", folder);
		err_hint(&e, "name it with --run-dir");
		return fail(&e);
	}
	if (listen_where(where, &fd, &e) < 0)
		return fail(&e);
	return guest_serve(fd, false, place, whole);
}

int main(int argc, char **argv)
{
	if (guest_is_init()) {
		int port;
		if (guest_init(&port) < 0)
			return EXIT_FAILURE;
		return guest_serve(port, true, "", GUEST_RUN_DIR);
	}
	/* Never a usage error: an exit status of 2 would stop the agent. */
	if (argc >= 2 && strcmp(argv[1], "hook") == 0)
		return hook_main(argv[2], argc > 3 && strcmp(argv[3], "step") == 0 ? argv + 4 : NULL);
	if ((argc == 3 || argc == 4) && strcmp(argv[1], "call") == 0)
		return call_main(argv[2], argv[3]);
	if (argc >= 2 && strcmp(argv[1], "enter") == 0)
		return enter_main(argc, argv);
	if (argc == 2 && (strcmp(argv[1], "version") == 0 || strcmp(argv[1], "--version") == 0)) {
		puts("tmux-claude-guest " PACKAGE_VERSION);
		return EXIT_SUCCESS;
	}
	return listen_main(argc, argv);
}
