/* SPDX-License-Identifier: ISC */
/* tmux-claude-files: serves one folder over SFTP on one descriptor, to a client that is not trusted. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/util.h"
#include "place/files/sandbox.h"
#include "place/files/serve.h"

#define PROGRAM "tmux-claude-files"

struct options {
	const char *root;
	bool read_only;
	int64_t fd;
};

static int usage(const char *why)
{
	fprintf(stderr, PROGRAM ": %s\nusage: " PROGRAM " --root FOLDER [--read-only] [--fd N]\n", why);
	return 2;
}

static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"root", required_argument, NULL, 'r'},
		{"read-only", no_argument, NULL, 'o'}, {"fd", required_argument, NULL, 'f'},
		{NULL, 0, NULL, 0}};
	int opt;
	*o = (struct options){0};
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == 'r')
			o->root = optarg;
		else if (opt == 'o')
			o->read_only = true;
		else if (opt == 'f' && str_to_i64(optarg, 0, 1 << 20, &o->fd) == 0)
			continue;
		else
			return usage("an option is unknown or its value is wrong");
	}
	if (optind < argc)
		return usage("there are no arguments besides the options");
	return o->root ? 0 : usage("--root is missing");
}

static int confine(struct server *s, struct err *e)
{
	const char *what;
	struct rlimit r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot give up privileges");
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max < 2 * HANDLES_MAX ? r.rlim_max : 2 * HANDLES_MAX;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	int rc = sandbox_enter(s->root.fd, s->root.read_only, &what, e);
	if (rc == 0)
		log_warn("files", NULL, "without Landlock: %s; every path is still opened beneath the folder",
			what);
	return rc < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	static struct server s; /* too large for a stack */
	struct options o;
	struct err e = {0};
	int rc = read_options(argc, argv, &o);
	if (rc != 0)
		return rc;
	log_open(PROGRAM, LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	umask(0); /* the client's modes have its own umask applied */
	server_init(&s);
	if (root_open(&s.root, o.root, o.read_only, &e) < 0 || confine(&s, &e) < 0) {
		log_error("files", NULL, "%s", e.message);
		server_finish(&s);
		return 1;
	}
	rc = server_run(&s, (int)o.fd, &e);
	if (rc < 0)
		log_error("files", NULL, "%s", e.message);
	server_finish(&s);
	/* Not by return: a leak checker would look into /proc, where Landlock lets nobody. */
	_exit(rc < 0 ? 1 : 0);
}
