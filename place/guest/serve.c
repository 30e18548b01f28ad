/* SPDX-License-Identifier: ISC */
/* The serving roles: the link, and who takes which stream. */
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/sock.h"
#include "base/util.h"
#include "place/guest/ending.h"
#include "place/guest/exec.h"
#include "place/guest/guest.h"
#include "place/guest/init.h"
#include "place/guest/mount.h"
#include "place/guest/proc.h"
#include "place/guest/proxy.h"
#include "place/guest/tail.h"
#include "place/guest/watch.h"

#define PASSWD_MAX (256 * 1024)
#define TIDY_FROM (512 * 1024)

/* --- who the agent is, before any setup --- */

void guest_agent_finish(struct guest_agent *a)
{
	free(a->name);
	free(a->home);
	free(a->shell);
	memset(a, 0, sizeof(*a));
}

/* The template's line of the agent's user; a static program cannot ask the name service. */
void guest_agent_init(struct guest *g)
{
	cleanup_free char *text = NULL;
	char *save = NULL, *save2, *f[7];
	size_t len;

	g->agent = (struct guest_agent){ .name = xstrdup("root"), .home = xstrdup("/root"),
		.shell = xstrdup("/bin/sh"), .uid = getuid(), .gid = getgid() };
	if (!g->machine || file_read("/etc/passwd", PASSWD_MAX, &text, &len, NULL) < 0)
		return;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		int n = 0;
		save2 = l;
		while (n < 7 && save2)
			f[n++] = strsep(&save2, ":");
		int64_t uid, gid;
		if (n < 7 || strcmp(f[0], GUEST_AGENT_USER) != 0 || str_to_i64(f[2], 1, UINT32_MAX - 1, &uid) < 0 ||
			str_to_i64(f[3], 1, UINT32_MAX - 1, &gid) < 0)
			continue;
		guest_agent_finish(&g->agent);
		g->agent = (struct guest_agent){ .name = xstrdup(f[0]), .home = xstrdup(f[5]),
			.shell = xstrdup(*f[6] ? f[6] : "/bin/sh"), .uid = (uid_t)uid, .gid = (gid_t)gid };
	}
}

/* glibc keeps what large buffers needed. Giving it back at once would cost a flood half its speed. */
void guest_tidy(void)
{
	if (mallinfo2().fordblks > TIDY_FROM)
		malloc_trim(0);
}

/* --- the link --- */

static void on_open(void *arg, struct link_stream *s, json_t *what)
{
	struct guest *g = arg;
	const char *kind = jget_text(what, "kind", "");
	struct err e = { 0 };

	if (strcmp(kind, "control") == 0) {
		control_open(g, s);
	} else if (strcmp(kind, "run") == 0) {
		proc_run(g, s, what);
	} else if (strcmp(kind, "attach") == 0) {
		proc_attach(g, s, what);
	} else if (strcmp(kind, "exec") == 0) {
		exec_run(g, s, what);
	} else if (strcmp(kind, "tail") == 0) {
		tail_open(g, s, what);
	} else {
		err_set(&e, ERR_METHOD, "this guest program knows no streams of kind \"%.64s\"", kind);
		err_hint(&e, "it may be older than the rest: build the template again");
		link_reset(s, &e);
	}
}

static void on_up(void *arg, bool new_peer, json_t *hello)
{
	struct guest *g = arg;
	const char *place = jget_text(hello, "place", "");

	(void)new_peer;
	if (!*g->place && *place) {
		free(g->place);
		g->place = xstrdup(place);
	}
	log_debug("link", *g->place ? g->place : NULL, "up");
}

static void on_down(void *arg, const char *reason)
{
	struct guest *g = arg;

	log_debug("link", *g->place ? g->place : NULL, "down: %s", reason);
	ending_look(g);
}

static void on_end(void *arg, const char *reason)
{
	struct guest *g = arg;

	(void)reason;
	link_io_detach(g->io);
}

static const struct link_ops link_ops = { .on_up = on_up, .on_down = on_down, .on_open = on_open };
static const struct link_io_ops io_ops = { .on_end = on_end };

/* A new shim takes the place of the one before. */
static void on_accept(void *arg, int fd, unsigned events)
{
	struct guest *g = arg;
	struct ucred peer;
	int s = sock_accept(fd);

	(void)events;
	if (s < 0)
		return;
	if (sock_peer(s, &peer, NULL) < 0 || (peer.uid != getuid() && peer.uid != 0)) {
		log_warn("link", NULL, "a connection of uid %d was refused", (int)peer.uid);
		close(s);
		return;
	}
	link_io_attach(g->io, s);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	ending_start(arg);
}

static int64_t boot_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void finish(struct guest *g)
{
	exec_destroy_all(g);
	proc_destroy_all(g);
	tails_destroy(g);
	watches_destroy(g);
	proxy_destroy(g->proxy);
	mounts_destroy(g->mounts);
	ending_destroy(g->ending);
	link_io_destroy(g->io);
	guest_agent_finish(&g->agent);
	free(g->place);
	free(g->run_dir);
	free(g->hostname);
	loop_destroy(g->loop);
}

int guest_serve(int fd, bool machine, const char *place, const char *run_dir)
{
	struct guest g = { .machine = machine, .place = xstrdup(place), .run_dir = xstrdup(run_dir) };
	struct err e = { 0 };

	log_open("tmux-claude-guest", LOG_LEVEL_INFO);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	umask(022);
	g.loop = loop_create(&e);
	if (!g.loop) {
		log_error("main", NULL, "%s", e.message);
		return EXIT_FAILURE;
	}
	guest_agent_init(&g);
	struct link_config c = { .side = LINK_GUEST, .place = place,
		.info = json_pack("{s:s, s:I}", "version", PACKAGE_VERSION, "boot_ms",
			(json_int_t)(machine ? boot_ms() : 0)) };
	g.io = link_io_create(g.loop, &c, &link_ops, &g, &io_ops);
	struct reaper *reaper = reaper_create(&g);
	struct loop_io *listener = NULL;
	struct loop_signal *term = loop_signal_add(g.loop, SIGTERM, on_signal, &g);
	struct loop_signal *intr = loop_signal_add(g.loop, SIGINT, on_signal, &g);
	if (machine)
		link_io_attach_port(g.io, fd);
	else
		listener = loop_io_add(g.loop, fd, LOOP_READ, on_accept, &g);
	loop_run(g.loop);
	loop_signal_free(term);
	loop_signal_free(intr);
	loop_io_free(listener);
	reaper_destroy(reaper);
	finish(&g);
	return EXIT_SUCCESS;
}
