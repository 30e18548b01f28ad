/* SPDX-License-Identifier: ISC */
/* Starting programs: exact descriptors, identity, reasons for failure. */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char out[8192];

/* Runs a spec with its stdout on a pipe; fills `out`; returns the wait status. */
static int run(struct proc_spec *s)
{
	struct err e = {0};
	int p[2];
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	proc_spec_fd(s, p[1], 1);
	pid_t pid = -1;
	ck_assert_msg(proc_spawn(s, &pid, &e) == 0, "%s", e.message);
	close(p[1]);
	size_t len = 0;
	ssize_t n;
	while ((n = read(p[0], out + len, sizeof(out) - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(p[0]);
	int status = 0;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

#define ARGV(...) ((char *const[]){__VA_ARGS__, NULL})

START_TEST(runs_with_arguments_environment_and_folder)
{
	char *const env[] = {"A=b c", NULL};
	struct proc_spec s = {.argv = ARGV("sh", "-c", "printf '%s|%s|%s|' \"$1\" \"$A\" \"$HOME\"; pwd; exit 9",
				      "x", "it's \"$HOME\""),
		.envp = env, .cwd = "/usr"};
	int st = run(&s);
	ck_assert_int_eq(WEXITSTATUS(st), 9);
	ck_assert_str_eq(out, "it's \"$HOME\"|b c||/usr\n");
}
END_TEST

START_TEST(only_the_listed_descriptors_are_open)
{
	int stray = open("/dev/zero", O_RDONLY); /* not even close-on-exec */
	int a = open("/dev/full", O_RDONLY), b = open("/dev/zero", O_RDONLY);
	struct proc_spec s = {.argv = ARGV("sh", "-c",
				      "for f in 0 1 2 3 4 5 6 7 8 9 10 11; do readlink /proc/$$/fd/$f || echo none; done")};
	proc_spec_fd(&s, a, b); /* crossing: each target is the other's source */
	proc_spec_fd(&s, b, a);
	proc_spec_fd(&s, a, 9);
	run(&s);
	char *lines[12];
	char *p = out;
	for (int i = 0; i < 12; i++)
		lines[i] = strsep(&p, "\n");
	for (int i = 0; i < 12; i++) {
		ck_assert_ptr_nonnull(lines[i]);
		const char *want = i == 0 || i == 2	? "/dev/null"
				   : i == a		? "/dev/zero"
				   : i == b || i == 9	? "/dev/full"
							: "none";
		if (i != 1)
			ck_assert_msg(strcmp(lines[i], want) == 0, "fd %d is %s", i, lines[i]);
	}
	ck_assert_int_ge(stray, 3);
}
END_TEST

START_TEST(signals_start_at_their_defaults)
{
	signal(SIGPIPE, SIG_IGN);
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	struct proc_spec s = {.argv = ARGV("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")};
	run(&s);
	unsigned long blocked = 1, ignored = 1;
	ck_assert_int_eq(sscanf(out, "SigBlk: %lx SigIgn: %lx", &blocked, &ignored), 2);
	ck_assert_uint_eq(blocked, 0);
	/* 32 and 33 are libc's own, which sigaction refuses; nothing sends them. */
	ck_assert_uint_eq(ignored & ~(3ul << 31), 0);
	sigset_t now;
	sigprocmask(SIG_SETMASK, NULL, &now);
	ck_assert(sigismember(&now, SIGTERM)); /* ours is as it was */
	struct sigaction sa;
	sigaction(SIGPIPE, NULL, &sa);
	ck_assert(sa.sa_handler == SIG_IGN);
}
END_TEST

START_TEST(session_and_no_new_privs)
{
	struct proc_spec s = {.argv = ARGV("sh", "-c",
				      "test $$ = $(cut -d' ' -f6 /proc/$$/stat) && grep NoNewPrivs /proc/self/status"),
		.setsid = true, .no_new_privs = true};
	run(&s);
	ck_assert_str_eq(out, "NoNewPrivs:\t1\n");
}
END_TEST

START_TEST(a_terminal_becomes_the_controlling_one)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct proc_spec s = {.argv = ARGV("sh", "-c", "echo ok >/dev/tty && ps -o tty= -p $$ || echo no"), .setsid = true, .ctty = true};
	s.argv = ARGV("sh", "-c", "echo ok >/dev/tty && echo yes || echo no");
	proc_spec_fd(&s, slave, 0);
	run(&s);
	ck_assert_str_eq(out, "yes\n");
	char got[16] = {0};
	ck_assert_int_eq((int)read(master, got, 4), 4);
	ck_assert_str_eq(got, "ok\r\n");
}
END_TEST

START_TEST(identity_is_dropped_whole)
{
	if (geteuid() != 0)
		return; /* nothing to drop; the root run of the suite covers it */
	struct proc_spec s = {.argv = ARGV("grep", "-E", "^(Uid|Gid|Groups|CapEff)", "/proc/self/status"),
		.drop = true, .uid = 12345, .gid = 54321, .pdeathsig = SIGTERM};
	run(&s);
	ck_assert_str_eq(out, "Uid:\t12345\t12345\t12345\t12345\nGid:\t54321\t54321\t54321\t54321\n"
			      "Groups:\t \nCapEff:\t0000000000000000\n");
}
END_TEST

static void expect(struct proc_spec *s, enum err_code code, const char *words)
{
	struct err e = {0};
	pid_t pid = 77;
	ck_assert_int_eq(proc_spawn(s, &pid, &e), -1);
	ck_assert_int_eq(e.code, code);
	ck_assert_msg(strstr(e.message, words) != NULL, "%s", e.message);
	ck_assert_int_eq(pid, 77);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* no zombie */
	ck_assert_int_eq(errno, ECHILD);
}

START_TEST(failures_say_why)
{
	char bad[] = "/tmp/tc-proc-XXXXXX";
	int fd = mkstemp(bad);
	ck_assert_int_eq((int)write(fd, "#!/nonexistent/interpreter\n", 27), 27);
	fchmod(fd, 0755);
	close(fd);
	struct proc_spec absent = {.argv = ARGV("tc-no-such-program")};
	struct proc_spec full = {.argv = ARGV("/nonexistent/program")};
	struct proc_spec folder = {.argv = ARGV("/usr")};
	struct proc_spec interp = {.argv = ARGV(bad)};
	struct proc_spec cwd = {.argv = ARGV("true"), .cwd = "/nonexistent"};
	struct proc_spec badfd = {.argv = ARGV("true")};
	struct proc_spec none = {.argv = ARGV("")};
	proc_spec_fd(&badfd, 9999, 5);
	expect(&absent, ERR_MISSING, "was not found in PATH");
	expect(&full, ERR_MISSING, "No such file");
	expect(&folder, ERR_FAILED, "Permission denied");
	expect(&interp, ERR_MISSING, "No such file");
	expect(&cwd, ERR_FAILED, "cannot enter its folder");
	expect(&badfd, ERR_FAILED, "cannot arrange its descriptors");
	expect(&none, ERR_PARAMS, "without a name");
	if (geteuid() == 0) {
		struct proc_spec drop = {.argv = ARGV("/nonexistent/p"), .drop = true, .uid = 1, .gid = 1};
		expect(&drop, ERR_MISSING, "No such file");
	}
	unlink(bad);
}
END_TEST

struct noting {
	const char *file; /* what the program makes */
	pid_t pid;
	uint64_t start;
	bool refuse;
};

static int on_note(void *arg, pid_t pid, struct err *e)
{
	struct noting *n = arg;

	n->pid = pid;
	n->start = proc_start_time(pid);
	ck_assert_int_eq(kill(pid, 0), 0);
	ck_assert_int_ne(access(n->file, F_OK), 0);
	return n->refuse ? err_set(e, ERR_IO, "not to be noted") : 0;
}

START_TEST(what_is_noted_first_runs_after_it)
{
	char file[] = "/tmp/tc-proc-XXXXXX";
	struct noting n = {.file = file};
	struct proc_spec s = {.argv = ARGV("sh", "-c", "echo $$; >\"$1\"", "x", file), .note = on_note, .note_arg = &n};

	close(mkstemp(file));
	unlink(file);
	run(&s);
	ck_assert_int_eq(atoi(out), n.pid);
	ck_assert_int_eq(access(file, F_OK), 0);
	ck_assert_uint_ne(n.start, 0);
	unlink(file);
	n.refuse = true;
	s.nfds = 0;
	expect(&s, ERR_IO, "not to be noted");
	ck_assert_int_ne(access(file, F_OK), 0);
}
END_TEST

static int die_noting(void *arg, pid_t pid, struct err *e)
{
	(void)e;
	while (write(*(int *)arg, &pid, sizeof(pid)) < 0)
		;
	raise(SIGKILL);
	return 0;
}

START_TEST(it_does_not_outlive_who_dies_before_it_was_noted)
{
	char file[] = "/tmp/tc-proc-XXXXXX";
	int p[2], alive[2];
	pid_t child;
	char byte;

	close(mkstemp(file));
	unlink(file);
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(alive, O_CLOEXEC), 0);
	pid_t parent = fork();
	if (parent == 0) {
		struct proc_spec s = {.argv = ARGV("sh", "-c", ">\"$1\"", "x", file), .note = die_noting, .note_arg = &p[1]};
		proc_spec_fd(&s, alive[1], 9);
		proc_spawn(&s, &child, NULL);
		_exit(0);
	}
	close(alive[1]);
	ck_assert_int_eq(waitpid(parent, NULL, 0), parent);
	ck_assert_int_eq((int)read(p[0], &child, sizeof(child)), (int)sizeof(child));
	ck_assert_int_eq((int)read(alive[0], &byte, 1), 0); /* the end of it: nobody holds the other end */
	ck_assert_int_ne(access(file, F_OK), 0);
}
END_TEST

START_TEST(a_failed_start_leaves_our_descriptors_alone)
{
	int before = dup(0);
	close(before);
	struct proc_spec s = {.argv = ARGV("/nonexistent/program")};
	pid_t pid;
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(proc_spawn(&s, &pid, NULL), -1);
	int after = dup(0);
	ck_assert_int_eq(before, after);
}
END_TEST

START_TEST(which)
{
	cleanup_free char *sh = proc_which("sh");
	ck_assert_ptr_nonnull(sh);
	ck_assert_int_eq(sh[0], '/');
	cleanup_free char *same = proc_which(sh);
	ck_assert_str_eq(same, sh);
	ck_assert_ptr_null(proc_which("tc-no-such-program"));
	ck_assert_ptr_null(proc_which(""));
	ck_assert_ptr_null(proc_which("/nonexistent/x"));
	unsetenv("PATH");
	cleanup_free char *again = proc_which("sh");
	ck_assert_ptr_nonnull(again);
}
END_TEST

TEST_MAIN("base/proc", runs_with_arguments_environment_and_folder,
	only_the_listed_descriptors_are_open, signals_start_at_their_defaults,
	session_and_no_new_privs, a_terminal_becomes_the_controlling_one,
	identity_is_dropped_whole, failures_say_why, a_failed_start_leaves_our_descriptors_alone,
	what_is_noted_first_runs_after_it, it_does_not_outlive_who_dies_before_it_was_noted, which)
