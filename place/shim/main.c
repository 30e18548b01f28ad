/* SPDX-License-Identifier: ISC */
/* tmux-claude-shim: parent of one place's holder, keeper of its link, screens and recordings. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/api.h"
#include "place/shim/console.h"
#include "place/shim/control.h"
#include "place/shim/exec.h"
#include "place/shim/guest.h"
#include "place/shim/holder.h"
#include "place/shim/inst.h"
#include "place/shim/packer.h"
#include "place/shim/play.h"
#include "place/shim/relay.h"
#include "place/shim/server.h"
#include "place/shim/shim.h"
#include "place/shim/spawner.h"
#include "place/shim/tail.h"

/* Memory of large buffers goes back at once: a shim is one of a thousand. */
#define TRIM_AT (64 * 1024)
#define MMAP_FROM (64 * 1024)

static int usage(void)
{
	fputs("usage: tmux-claude-shim --place-dir DIR [--adopt]\n"
	      "Holds the place that DIR/place.json describes. The daemon starts it.\n"
	      "  --adopt   only take over a place that runs; never start one\n",
		stderr);
	play_usage();
	return 2;
}

static void on_up(struct shim *s)
{
	holder_booted(s->holder);
	shim_stage(s, "link", "");
}

static void on_term(void *arg, int signo)
{
	struct shim *s = arg;

	(void)signo;
	loop_stop(s->loop);
}

static int read_conf(struct shim *s, struct err *e)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (file_read(CONF_FILE, CONF_MAX, &text, &len, e) < 0 || conf_parse(text, len, &s->conf, e) < 0)
		return -1;
	s->recordings = open(s->conf->recordings, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->recordings < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the recordings' folder %s", s->conf->recordings);
	s->epoch = open(GUEST_EPOCH_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->epoch < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", GUEST_EPOCH_FILE);
	return 0;
}

static int write_pid(struct err *e)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"pid\":%d,\"start\":%llu,\"boot_id\":\"%s\"}", (int)getpid(),
		(unsigned long long)proc_start_time(getpid()), boot_id());

	return file_replace(SHIM_PID_FILE, text, (size_t)n, 0600, e);
}

/* For good: no way back to the rights this process was started with. */
static int drop_privileges(const struct conf *c, struct err *e)
{
	if (c->shim_uid == CONF_AS_IS || c->shim_uid == geteuid())
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(c->shim_gid, c->shim_gid, c->shim_gid) < 0 ||
		setresuid(c->shim_uid, c->shim_uid, c->shim_uid) < 0)
		return err_set_errno(e, ERR_DENIED, errno, "cannot become uid %u", (unsigned)c->shim_uid);
	if (setresuid(0, 0, 0) == 0)
		return err_set(e, ERR_DENIED, "privileges could not be dropped");
	return 0;
}

static int start(struct shim *s, bool adopt_only, struct err *e)
{
	struct rlimit none = {0, 0};

	prctl(PR_SET_DUMPABLE, 0);
	setrlimit(RLIMIT_CORE, &none);
	if (read_conf(s, e) < 0 || spawner_create(s->conf, &s->spawner, e) < 0)
		return -1;
	s->packer = packer_create();
	s->loop = loop_create(e);
	if (!s->loop)
		return -1;
	s->events = events_create(s->loop, server_control_slow, s);
	/* The socket is also the lock: a second shim of the same place ends here. */
	FAULT_POINT("begin");
	if (server_create(s, &s->server, e) < 0)
		return -1;
	FAULT_POINT("socket.bound");
	if (write_pid(e) < 0)
		return -1;
	FAULT_POINT("pid.written");
	prctl(PR_SET_PDEATHSIG, 0); /* from here on we are found without the daemon that started us */
	s->api = api_create(s);
	s->guest = guest_create(s, on_up);
	if (holder_create(s, adopt_only, &s->holder, e) < 0)
		return -1;
	if (s->conf->console && holder_running(s->holder))
		s->console = console_create(s->loop, s->conf->console, CONSOLE_FILE);
	if (drop_privileges(s->conf, e) < 0)
		return -1;
	prctl(PR_SET_DUMPABLE, 0); /* a change of identity had reset it */
	return 0;
}

static void finish(struct shim *s)
{
	if (s->server && s->quitting) {
		FAULT_POINT("quit");
		unlink(SHIM_SOCKET);
		FAULT_POINT("quit.socket_gone");
		unlink(SHIM_PID_FILE);
		FAULT_POINT("quit.pid_gone");
	}
	server_destroy(s->server);
	s->server = NULL;
	if (s->guest)
		inst_destroy_all(s);
	tail_destroy_all(s);
	exec_finish(s);
	relay_destroy_all();
	api_destroy(s->api);
	guest_destroy(s->guest);
	console_destroy(s->console);
	holder_destroy(s->holder);
	events_destroy(s->events);
	packer_destroy(s->packer);
	spawner_destroy(s->spawner);
	loop_destroy(s->loop);
	conf_free(s->conf);
	if (s->recordings >= 0)
		close(s->recordings);
	if (s->epoch >= 0)
		close(s->epoch);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"place-dir", required_argument, NULL, 'p'}, {"adopt", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
	struct shim s = {.recordings = -1, .epoch = -1};
	const char *dir = NULL;
	bool adopt_only = false;
	struct err e = {0};
	int c, rc = 0;

#ifdef TC_FAULT_POINTS
	if (argc == 2 && !strcmp(argv[1], "--fault-points")) {
		fault_list();
		return 0;
	}
#endif
	if (play_wanted(argc, argv))
		return play_main(argc, argv);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			return usage();
		if (c == 'p')
			dir = optarg;
		else
			adopt_only = true;
	}
	if (!dir || optind != argc)
		return usage();
	mallopt(M_TRIM_THRESHOLD, TRIM_AT);
	mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
	log_open("shim", LOG_LEVEL_INFO);
	log_bound_file(NULL); /* shim.log */
	signal(SIGPIPE, SIG_IGN);
	umask(0077);
	s.started_ms = (uint64_t)clock_mono_ms();
	/* Every path from here on is relative to the place's folder: after privileges are dropped the way
	 * to it may be closed, and socket names stay short. */
	if (chdir(dir) < 0)
		err_set_errno(&e, ERR_NOT_FOUND, errno, "cannot enter %s", dir);
	if (e.code || start(&s, adopt_only, &e) < 0) {
		log_error("shim", NULL, "%s%s%s", e.message, e.hint[0] ? "; " : "", e.hint);
		rc = 1;
	} else {
		struct loop_signal *term = loop_signal_add(s.loop, SIGTERM, on_term, &s);

		loop_run(s.loop);
		loop_signal_free(term);
	}
	finish(&s);
	return rc;
}
