/* SPDX-License-Identifier: ISC */
/* tmux-clauded: wires the rooms, holds the lock of its home, runs the loop. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "daemon/agent/custom.h"
#include "daemon/api/api.h"
#include "daemon/door.h"
#include "daemon/full.h"

#define ANSWERS_LEAVE_MS 20
#define READY_FD_MAX 1023

struct daemon {
	struct world world;
	struct layout layout;
	struct api *api;
	struct door *door;
	struct loop_timer *end;
	struct loop_signal *term, *intr;
	struct full *full; /* there is no room: waiting for some */
	int64_t up_ms;
	int lock_fd, full_times;
	bool waits;         /* begun after a commit found no room */
	bool broken, again; /* again: it goes on as a new one */
};

/* As long as this without a full disk, and the room that was found did do. */
#define FULL_OVER_MS 60000

static const char usage[] =
	"usage: tmux-clauded [--foreground] [--ready-fd N]\n"
	"\n"
	"The daemon of tmux-claude. `tmux-claude up` starts it in the background; run it by hand (or\n"
	"under a service manager) to keep it in the foreground. It stops on SIGTERM; agents go on.\n"
	"\n"
	"  --ready-fd N   write one line to descriptor N and close it once calls are taken\n"
	"  --sweep DIR...  (its own use) end what is left of places, by their folders\n"
	"  --weigh ID:PID...  (its own use) say which of these use most of the memory\n"
	"  --full N, --was-full N  (its own use) begin anew after the disk was full\n"
	"  --version      say the version\n";

static void on_stop(void *arg, int signo)
{
	struct daemon *d = arg;

	log_info("main", NULL, "signal %d: stopping; the agents go on", signo);
	d->again = false;
	loop_stop(d->world.loop);
}

static void end_now(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->world.loop);
}

/* Who calls from now on finds no socket and waits for the next daemon: an answer of this one would be the last thing
 * that is true of it. */
static void shut(struct daemon *d)
{
	if (d->api)
		api_listen(d->api, -1);
	door_close(d->door);
}

/* A moment for the answers that are under way to leave. */
static void end_soon(struct daemon *d)
{
	shut(d);
	loop_timer_start(d->end, ANSWERS_LEAVE_MS);
}

static void on_down(void *arg)
{
	struct daemon *d = arg;

	d->again = false;
	end_soon(d);
}

static void on_broken(void *arg, const struct err *why)
{
	struct daemon *d = arg;

	log_error("main", NULL, "%s, since what happens can no longer be recorded (%s); the agents go on",
		why->code == ERR_DISK ? "waiting for room" : "stopping", why->message);
	d->broken = true;
	if (why->code == ERR_DISK) {
		d->again = true;
		d->full_times = clock_mono_ms() - d->up_ms > FULL_OVER_MS ? 1 : d->full_times + 1;
	}
	if (why->code == ERR_DAMAGED)
		store_damage_note(d->layout.db_file, why);
	end_soon(d);
}

static void on_room(void *arg)
{
	struct daemon *d = arg;

	log_info("main", NULL, "there is room on the disk again: all goes on");
	d->again = true;
	loop_stop(d->world.loop);
}

static void on_moved(void *arg, int fd)
{
	api_listen(((struct daemon *)arg)->api, fd);
}

/* What is written from now on would be found by nobody, and another daemon may begin anew where it stood. */
static void on_homeless(void *arg)
{
	struct daemon *d = arg;

	log_error("main", NULL, "the folder %s was moved or removed while the daemon ran: stopping; the agents go on",
		d->layout.state_dir);
	d->broken = true;
	d->again = false;
	end_soon(d);
}

static const struct door_ops door_ops = {.moved = on_moved, .homeless = on_homeless};

/* One daemon per home: the lock dies with the process, however it dies. */
static int lock(struct daemon *d, struct err *e)
{
	char pid[24] = "";
	int n;

	d->lock_fd = open(d->layout.lock_file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock_fd < 0)
		return err_set_errno(e, ERR_IO, errno, "%s could not be opened", d->layout.lock_file);
	if (flock(d->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		n = pread(d->lock_fd, pid, sizeof(pid) - 1, 0) > 0 ? atoi(pid) : 0;
		err_set(e, ERR_EXISTS, "another daemon (pid %d) runs on this home (%s)", n, d->layout.state_dir);
		return err_hint(e, "use it as it is, stop it with tmux-claude down, or set TMUX_CLAUDE_HOME");
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	/* Not emptied first: on a full disk it could not be filled again. */
	if (pwrite(d->lock_fd, pid, (size_t)n, 0) == n && ftruncate(d->lock_fd, n) == 0)
		return 0;
	if (errno != ENOSPC && errno != EDQUOT)
		return err_set_errno(e, ERR_IO, errno, "%s could not be written", d->layout.lock_file);
	log_warn("main", NULL, "the disk is full: %s does not say who holds it", d->layout.lock_file);
	return 0;
}

static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static enum log_level level_of(const struct config *c)
{
	const char *s = config_string(c, OPT_LOG_LEVEL);

	return !strcmp(s, "error") ? LOG_LEVEL_ERROR
	       : !strcmp(s, "warn") ? LOG_LEVEL_WARN
	       : !strcmp(s, "debug") ? LOG_LEVEL_DEBUG
				     : LOG_LEVEL_INFO;
}

/* A damaged database, or one that cannot grow, is better looked at than not at all; the agents go on meanwhile. */
static int open_store(struct daemon *d, struct err *e)
{
	struct err why = {0};
	/* After a commit that failed the room is not trusted at once, even when the probe finds some. */
	bool full = full_probe(d->layout.state_dir, &why) < 0;

	if (!full && d->waits) {
		err_set(&why, ERR_DISK, "there was no room on disk for %s, and it is seen whether there is now",
			d->layout.db_file);
		err_hint(&why, "free some space on its file system; all goes on by itself then");
	}
	if (!full && !d->waits && store_open(d->layout.db_file, &d->world.store, &why) == 0)
		return 0;
	*e = why;
	if (why.code != ERR_DAMAGED && why.code != ERR_DISK)
		return -1;
	log_error("main", NULL, "%s; it is only looked at: nothing can be started, sent or ended; %s", why.message,
		why.hint);
	if (why.code == ERR_DISK)
		d->full = full_watch(d->world.loop, d->layout.state_dir, d->full_times, on_room, d);
	return store_open_damaged(d->layout.db_file, &why, &d->world.store, e);
}

static int wire(struct daemon *d, struct err *e)
{
	struct world *w = &d->world;
	cleanup_close int fd = -1;

	if (layout_init(&d->layout, e) < 0)
		return -1;
	custom_folder(d->layout.config_file);
	if (config_load(d->layout.config_file, &w->config, e) < 0)
		return -1;
	log_open("tmux-clauded", level_of(w->config));
	log_bound_file(d->layout.log_file);
	if (layout_make(&d->layout, e) < 0 || lock(d, e) < 0)
		return -1;
	FAULT_POINT("main.locked");
	w->layout = &d->layout;
	w->loop = loop_create(e);
	if (!w->loop)
		return -1;
	full_reap(w->loop);
	if (open_store(d, e) < 0)
		return -1;
	if (FAULT_ERROR("main.listen", e) || sock_listen(d->layout.daemon_socket, 0600, &fd, e) < 0)
		return -1;
	FAULT_POINT("main.listening");
	d->end = loop_timer_create(w->loop, end_now, d);
	if (world_init(w, e) < 0)
		return -1;
	turn_on_broken(w->turn, on_broken, d);
	d->term = loop_signal_add(w->loop, SIGTERM, on_stop, d);
	d->intr = loop_signal_add(w->loop, SIGINT, on_stop, d);
	if (world_load(w, e) < 0)
		return -1;
	FAULT_POINT("main.loaded");
	d->api = api_create(w, take_fd(&fd));
	api_on_down(d->api, on_down, d);
	d->door = door_create(w->loop, &d->layout, d->lock_fd, &door_ops, d);
	if (d->broken)
		shut(d);
	if (!w->damage)
		turn_event(w->turn, EV_DAEMON_STARTED, NULL, NULL,
		json_pack("{s:i, s:s, s:I}", "pid", (int)getpid(), "version", PACKAGE_VERSION, "living",
			(json_int_t)fleet_living(w->fleet)));
	return 0;
}

/* Lets go of what wire built, as far as it came. */
static void unwire(struct daemon *d)
{
	struct world *w = &d->world;

	FAULT_POINT("main.unlink");
	door_close(d->door);
	door_destroy(d->door);
	FAULT_POINT("main.unlinked");
	api_destroy(d->api);
	full_destroy(d->full);
	if (w->turn)
		world_finish(w);
	store_close(w->store);
	if (w->loop) {
		loop_signal_free(d->term);
		loop_signal_free(d->intr);
		loop_timer_free(d->end);
		loop_destroy(w->loop);
	}
	config_free(w->config);
	layout_finish(&d->layout);
	if (d->lock_fd >= 0)
		close(d->lock_fd);
}

static void say_ready(int fd)
{
	if (fd < 0)
		return;
	if (write(fd, "ready\n", 6) < 0)
		log_warn("main", NULL, "whoever started the daemon is gone");
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct option opts[] = {{"foreground", no_argument, NULL, 'f'},
		{"ready-fd", required_argument, NULL, 'r'}, {"sweep", no_argument, NULL, 's'},
		{"weigh", no_argument, NULL, 'w'}, {"full", required_argument, NULL, 'F'},
		{"was-full", required_argument, NULL, 'W'}, {"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'}, {0}};
	struct daemon d = {.lock_fd = -1};
	struct err err = {0};
	int64_t ready = -1, times = 0;
	int o;

#ifdef TC_FAULT_POINTS
	if (argc == 2 && !strcmp(argv[1], "--fault-points")) {
		fault_list();
		return 0;
	}
#endif
	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		if (o == 'h' || o == 'V') {
			fputs(o == 'h' ? usage : "tmux-clauded " PACKAGE_VERSION "\n", stdout);
			return 0;
		}
		if (o == 's')
			return sweep_main((char *const *)argv + optind);
		if (o == 'w')
			return weigh_main((char *const *)argv + optind);
		d.waits = d.waits || o == 'F';
		if (o == '?' || ((o == 'F' || o == 'W') && str_to_i64(optarg, 0, FULL_TIMES_MAX, &times) < 0) || (o == 'r' && str_to_i64(optarg, 3, READY_FD_MAX, &ready) < 0)) {
			fputs(usage, stderr);
			return 2;
		}
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN); /* until the socket stands: see door.h */
	signal(SIGXFSZ, SIG_IGN); /* a limit is an error as a full disk is */
	umask(077);
	d.full_times = (int)times;
	d.up_ms = clock_mono_ms();
	log_open("tmux-clauded", LOG_LEVEL_INFO);
	raise_limits();
	if (wire(&d, &err) < 0) {
		log_error("main", NULL, "%s%s%s", err.message, err.hint[0] ? "; " : "", err.hint);
		unwire(&d);
		return err.code == ERR_EXISTS ? DAEMON_EXIT_OCCUPIED : 1;
	}
	log_info("main", NULL, "up, %zu instances, %zu living", fleet_count(d.world.fleet),
		fleet_living(d.world.fleet));
	FAULT_POINT("main.ready");
	if (!d.broken || d.again)
		say_ready((int)ready);
	FAULT_POINT("main.ready_told");
	loop_run(d.world.loop);
	if (!d.broken && !d.world.damage)
		turn_event(d.world.turn, EV_DAEMON_STOPPED, NULL, NULL, NULL);
	unwire(&d);
	if (d.again) {
		full_execute(argv[0], d.broken, d.full_times, &err);
		log_error("main", NULL, "%s", err.message);
	}
	return d.broken || d.again ? 1 : 0;
}
