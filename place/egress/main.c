/* SPDX-License-Identifier: ISC */
/*
 * tmux-claude-egress: the one way out of all places of a fleet. It outlives the daemon that started it.
 * Started by root it gives up every privilege once its control socket stands: what it does from then
 * on is what any program of an ordinary user could do, connect.
 */
#include <errno.h>
#include <getopt.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/util.h"
#include "place/egress/control.h"

#define PROGRAM "tmux-claude-egress"
#define NOBODY 65534

struct options {
	const char *control;
	int64_t uid, gid; /* -1: not given */
};

static int usage(const char *why)
{
	fprintf(stderr,
		PROGRAM ": %s\nusage: " PROGRAM " --control SOCKET [--uid N [--gid N]]\n"
			"  --uid, --gid  become this user once the socket stands (started by root;\n"
			"                nobody unless given)\n",
		why);
	return 2;
}

static int read_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {{"control", required_argument, NULL, 'c'},
		{"uid", required_argument, NULL, 'u'}, {"gid", required_argument, NULL, 'g'},
		{NULL, 0, NULL, 0}};
	*o = (struct options){.uid = -1, .gid = -1};
	int opt;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (opt == 'c')
			o->control = optarg;
		else if (opt == 'u' && str_to_i64(optarg, 0, UINT32_MAX - 1, &o->uid) == 0)
			continue;
		else if (opt == 'g' && str_to_i64(optarg, 0, UINT32_MAX - 1, &o->gid) == 0)
			continue;
		else
			return usage("an option is unknown or its value is wrong");
	}
	if (optind < argc)
		return usage("there are no arguments besides the options");
	return o->control ? 0 : usage("--control is missing");
}

static int drop(const struct options *o, struct err *e)
{
	if (geteuid() == 0) {
		uid_t uid = o->uid >= 0 ? (uid_t)o->uid : NOBODY;
		gid_t gid = o->gid >= 0 ? (gid_t)o->gid : o->uid >= 0 ? (gid_t)o->uid : NOBODY;
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0)
			return err_set_errno(e, ERR_FAILED, errno, "cannot become uid %d",
				(int)uid);
	} else if (o->uid >= 0 && (uid_t)o->uid != getuid()) {
		return err_set(e, ERR_FAILED, "only root can become uid %d", (int)o->uid);
	}
	/* Connections carry the user's secrets: no core dumps, no debuggers of the same uid. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot give up privileges");
	return 0;
}

static void on_term(void *arg, int signo)
{
	(void)signo;
	loop_stop(arg);
}

static void raise_descriptors(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	struct options o;
	struct err e = {0};
	int rc = read_options(argc, argv, &o);
	if (rc != 0)
		return rc;
	log_open(PROGRAM, LOG_LEVEL_INFO);
	log_bound_file(NULL); /* egress.log */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	/* A dead name server must not hold a thread longer than a caller waits. */
	setenv("RES_OPTIONS", "timeout:3 attempts:2", 0);
	struct loop *l = loop_create(&e);
	struct control *c = l ? control_create(l, o.control, &e) : NULL;
	if (!c || drop(&o, &e) < 0 || control_start(c, &e) < 0) {
		log_error("egress", NULL, "%s", e.message);
		control_destroy(c);
		loop_destroy(l);
		return 1;
	}
	raise_descriptors();
	struct loop_signal *term = loop_signal_add(l, SIGTERM, on_term, l);
	struct loop_signal *intr = loop_signal_add(l, SIGINT, on_term, l);
	log_info("egress", NULL, "ready as uid %d", (int)getuid());
	loop_run(l);
	log_info("egress", NULL, "ends");
	control_destroy(c);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_destroy(l);
	/* Not by return: threads may still be inside the system's resolver. */
	_exit(0);
}
