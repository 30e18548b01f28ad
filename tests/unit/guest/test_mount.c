/* SPDX-License-Identifier: ISC */
/*
 * The host's folder in a machine: a real sshfs and the real file server, in a mount namespace of the
 * test's own. Needs root, FUSE and sshfs; elsewhere it only says so.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/conn.h"
#include "place/guest/mount.h"
#include "place/guest/way.h"
#include "tests/unit/guest/program_help.h"

/* One file server, its bytes passed on. */
struct relay {
	struct relay *next;
	struct conn *conn;
	struct link_stream *s;
};

struct rig {
	struct relay *relays;
	struct loop *loop;
	struct guest guest;
	struct shim_end *end;
	char dir[64], served[80], at[80];
	bool refuse;
	int done;
	struct err why;
};

static struct rig r;

static void relay_data(void *arg, struct buf *in)
{
	struct relay *y = arg;
	if (y->s && link_send(y->s, buf_data(in), in->len) < 0)
		ck_abort_msg("the stream is full");
	buf_clear(in);
}

static void relay_close(void *arg, const char *reason)
{
	(void)arg;
	(void)reason;
}

static void relay_on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	conn_write(((struct relay *)arg)->conn, data, len);
	link_consumed(s, len);
}

static void relay_on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct relay *y = arg;
	(void)s;
	(void)why;
	y->s = NULL;
	conn_destroy(y->conn);
	y->conn = NULL;
}

static void files_opened(struct shim_end *e, struct seen *x)
{
	static const struct link_stream_ops ops = { .on_data = relay_on_data, .on_reset = relay_on_reset };
	static const struct conn_ops conn_ops = { .on_data = relay_data, .on_close = relay_close };
	char program[512];
	const char *dir = getenv("TC_BUILDDIR");
	struct err err = { 0 };
	int pair[2];
	pid_t pid;
	if (r.refuse) {
		err_set(&err, ERR_DENIED, "that folder is not one of this place's");
		link_reset(x->s, &err);
		x->s = NULL;
		return;
	}
	snprintf(program, sizeof(program), "%s/tmux-claude-files", dir ? dir : ".");
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	char *argv[] = { program, (char *)"--root", r.served, (char *)"--fd", (char *)"0", NULL };
	struct proc_spec spec = { .argv = argv, .pdeathsig = SIGKILL };
	proc_spec_fd(&spec, pair[1], 0);
	ck_assert_msg(proc_spawn(&spec, &pid, &err) == 0, "%s", err.message);
	close(pair[1]);
	struct relay *y = xcalloc(1, sizeof(*y));
	y->next = r.relays;
	r.relays = y;
	y->conn = conn_create(e->loop, pair[0], -1, 1 << 16, 1 << 20, &conn_ops, y);
	y->s = x->s;
	link_accept(x->s, &ops, y);
	x->s = NULL;
}

static bool possible(void)
{
	cleanup_free char *sshfs = proc_which("sshfs");
	bool yes = geteuid() == 0 && sshfs && access("/dev/fuse", R_OK | W_OK) == 0 &&
		   unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	if (!yes)
		printf("# skipped: mounting needs root, /dev/fuse and sshfs\n");
	return yes;
}

static void connect_shim(void)
{
	int pair[2];
	r.end = end_create(r.loop);
	r.end->opened = files_opened;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	link_io_attach(r.guest.io, pair[0]);
	link_io_attach(r.end->io, pair[1]);
}

static void rig_start(void)
{
	static const struct link_ops ops = { 0 };
	static const struct link_io_ops io_ops = { 0 };
	struct link_config c = { .side = LINK_GUEST };
	struct err e = { 0 };
	signal(SIGPIPE, SIG_IGN);
	memset(&r, 0, sizeof(r));
	r.loop = r.guest.loop = loop_create(&e);
	r.guest.io = link_io_create(r.loop, &c, &ops, &r.guest, &io_ops);
	snprintf(r.dir, sizeof(r.dir), "/tmp/tc-mount-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r.dir));
	snprintf(r.served, sizeof(r.served), "%s/served", r.dir);
	snprintf(r.at, sizeof(r.at), "%s/in/it s at", r.dir);
	ck_assert_int_eq(mkdir(r.served, 0755), 0);
	connect_shim();
}

static void rig_end(void)
{
	mounts_destroy(r.guest.mounts);
	link_io_destroy(r.guest.io);
	end_destroy(r.end);
	for (struct relay *y = r.relays, *next; y; y = next) {
		next = y->next;
		conn_destroy(y->conn);
		free(y);
	}
	tree_remove(r.dir, NULL);
	loop_destroy(r.loop);
}

static void on_done(void *arg, const struct err *why)
{
	(void)arg;
	r.done++;
	if (why)
		r.why = *why;
	else
		err_clear(&r.why);
}

static void mount_it(bool read_only)
{
	json_t *list = json_pack("[{s:s, s:b}]", "path", r.at, "read_only", read_only);
	r.done = 0;
	mounts_set(&r.guest, list, on_done, NULL);
	json_decref(list);
	WAIT(r.loop, r.done);
}

/* A program that looks at files waits for the loop: it runs beside it. */
static int shell(const char *script)
{
	struct program p = { .loop = r.loop };
	struct err e = { 0 };
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, (char *)"sh", r.at, r.served, NULL };
	struct proc_spec spec = { .argv = argv };
	proc_spec_fd(&spec, 2, 2);
	ck_assert_int_eq(proc_spawn(&spec, &p.pid, &e), 0);
	ck_assert_ptr_nonnull(loop_child_watch(r.loop, p.pid, program_on_end, &p, &e));
	WAIT(r.loop, p.ended);
	return p.status.code;
}

START_TEST(a_folder_is_mounted_and_both_sides_see_it)
{
	if (!possible())
		return;
	rig_start();
	mount_it(false);
	ck_assert_msg(r.why.code == ERR_NONE, "%s", r.why.message);
	ck_assert_int_eq(shell("echo hello >\"$1/file\" && test \"$(cat \"$2/file\")\" = hello"), 0);
	ck_assert_int_eq(shell("ln -s ../up \"$1/link\" && test \"$(readlink \"$1/link\")\" = ../up"), 0);
	ck_assert_int_eq(shell("head -c 5000000 /dev/urandom >\"$1/big\" && cmp \"$1/big\" \"$2/big\""), 0);
	/* Again: nothing changes. */
	struct mounts *m = r.guest.mounts;
	int seen = r.end->nseen;
	mount_it(false);
	ck_assert_int_eq(r.why.code, ERR_NONE);
	ck_assert(m == r.guest.mounts && r.end->nseen == seen);
	/* Read-only is another mount. */
	mount_it(true);
	ck_assert_int_eq(r.why.code, ERR_NONE);
	ck_assert_int_ne(shell("exec 2>/dev/null; echo x >\"$1/file2\""), 0);
	/* Not wanted any more. */
	json_t *none = json_array();
	mounts_set(&r.guest, none, on_done, NULL);
	json_decref(none);
	ck_assert_int_eq(shell("test ! -e \"$1/file\""), 0);
	rig_end();
}
END_TEST

static bool stands(void)
{
	cleanup_free char *text = NULL;

	ck_assert_int_eq(file_read("/proc/self/mountinfo", 1 << 20, &text, NULL, NULL), 0);
	return mountinfo_has(text, r.at, "fuse");
}

START_TEST(another_shim_or_a_dead_sshfs_mounts_it_anew)
{
	if (!possible())
		return;
	rig_start();
	ck_assert_int_eq(shell("echo hello >\"$2/file\""), 0);
	mount_it(false);
	ck_assert_int_eq(r.why.code, ERR_NONE);
	struct shim_end *old = r.end;
	r.refuse = true;
	connect_shim();
	end_destroy(old);
	WAIT(r.loop, r.end->nseen == 1);
	WAIT(r.loop, !stands());
	/* Meanwhile nobody, root neither, writes where the folder will hide it. */
	ck_assert_int_ne(shell("exec 2>/dev/null; echo lost >\"$1/hidden\""), 0);
	ck_assert_int_eq(shell("test ! -e \"$1/file\" && test ! -e \"$1/hidden\""), 0);
	r.refuse = false;
	mount_it(false);
	ck_assert_msg(r.why.code == ERR_NONE, "%s", r.why.message);
	ck_assert_int_eq(shell("test \"$(cat \"$1/file\")\" = hello"), 0);
	rig_end();
}
END_TEST

START_TEST(what_would_wait_for_itself_is_refused)
{
	struct err e = { 0 };
	if (!possible())
		return;
	rig_start();
	json_t *list = json_pack("[{s:s}, {s:o}]", "path", r.at, "path", json_sprintf("%s/inside", r.at));
	mounts_set(&r.guest, list, on_done, NULL);
	json_decref(list);
	ck_assert_int_eq(r.done, 1);
	ck_assert_int_eq(r.why.code, ERR_PARAMS);
	mount_it(false);
	ck_assert_int_eq(r.why.code, ERR_NONE);
	r.guest.machine = true;
	r.guest.run_dir = r.dir;
	json_t *files = json_pack("[{s:o, s:s}]", "path", json_sprintf("%s/file", r.at), "content", "x");
	ck_assert_int_eq(setup_files(&r.guest, files, NULL, &e), -1);
	ck_assert_int_eq(e.code, ERR_STATE);
	json_decref(files);
	/* Neither by its name nor from above. */
	cleanup_free char *inside = xasprintf("/%s//file", r.at), *above = xstrdup(r.at);
	char *slash = strrchr(above, '/');
	*slash = '\0';
	ck_assert_int_lt(way_open(&r.guest, inside, O_PATH), 0);
	ck_assert_int_eq(errno, EXDEV);
	cleanup_close int folder = way_open(&r.guest, above, O_PATH | O_DIRECTORY);
	ck_assert_int_ge(folder, 0);
	ck_assert_int_lt(way_open_below(&r.guest, folder, slash + 1, O_RDONLY), 0);
	ck_assert_int_eq(errno, EXDEV);
	rig_end();
}
END_TEST

START_TEST(a_refused_folder_says_why)
{
	if (!possible())
		return;
	rig_start();
	r.refuse = true;
	mount_it(false);
	ck_assert_int_eq(r.why.code, ERR_DENIED); /* not the deadline's ERR_TIMEOUT */
	ck_assert_ptr_nonnull(strstr(r.why.message, "not one of this place's"));
	rig_end();
}
END_TEST

TEST_MAIN("guest/mount", a_folder_is_mounted_and_both_sides_see_it,
	another_shim_or_a_dead_sshfs_mounts_it_anew, what_would_wait_for_itself_is_refused,
	a_refused_folder_says_why)
