/* SPDX-License-Identifier: ISC */
/* PID 1 of a machine: mounts, loopback, the port, then reaping until the end. See init.h. */
#include "place/guest/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define PORT_WAIT_MS 30000
#define END_GRACE_MS 2000 /* between TERM and KILL */
#define SIG_POWEROFF SIGTERM
#define SIG_REBOOT SIGINT /* what the kernel sends for ctrl-alt-del, too */

struct mount_row {
	const char *what, *where, *type, *options;
	unsigned long flags;
	mode_t mode; /* of the mount point, when it has to be made */
};

static const struct mount_row mounts[] = {
	{ "devpts", "/dev/pts", "devpts", "gid=5,mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC, 0755 },
	{ "tmpfs", "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV, 01777 },
	{ "tmpfs", "/run", "tmpfs", "mode=755,size=20%", MS_NOSUID | MS_NODEV, 0755 },
	{ "tmpfs", "/tmp", "tmpfs", "mode=1777,size=50%", MS_NOSUID | MS_NODEV, 01777 },
	{ "cgroup2", "/sys/fs/cgroup", "cgroup2", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC, 0755 },
};

static const char *const links[][2] = {
	{ "/proc/self/fd", "/dev/fd" },
	{ "/proc/self/fd/0", "/dev/stdin" },
	{ "/proc/self/fd/1", "/dev/stdout" },
	{ "/proc/self/fd/2", "/dev/stderr" },
};

bool guest_is_init(void)
{
	return getpid() == 1;
}

static bool in_initrd(void)
{
	struct statfs s;

	return statfs("/", &s) == 0 && (s.f_type == RAMFS_MAGIC || s.f_type == TMPFS_MAGIC);
}

static int mount_all(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		const struct mount_row *m = &mounts[i];

		if (mkdir(m->where, m->mode) < 0 && errno != EEXIST)
			return err_set_errno(e, ERR_IO, errno, "cannot make %s", m->where);
		if (mount(m->what, m->where, m->type, m->flags, m->options) < 0)
			return err_set_errno(e, ERR_FAILED, errno, "cannot mount %s", m->where);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST)
			return err_set_errno(e, ERR_IO, errno, "cannot make %s", links[i][1]);
	return 0;
}

static int loopback_up(struct err *e)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot bring up the loopback device");
	return 0;
}

static void console_open(void)
{
	cleanup_close int fd = open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC);

	for (int i = 0; fd >= 0 && i <= 2; i++)
		dup2(fd, i);
}

/* Reaps all that ended. False when nothing is left to wait for; *main_ended when `program` did. */
static bool reap(pid_t program, int *status, bool *main_ended)
{
	pid_t pid;
	int st;

	while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
		if (pid == program) {
			*status = st;
			*main_ended = true;
		}
	}
	return pid == 0 || errno != ECHILD;
}

/* Waits until no child is left, at most END_GRACE_MS. */
static void wait_for_all(const sigset_t *set)
{
	int64_t deadline = clock_mono_ms() + END_GRACE_MS, left;
	bool ended;
	int st;

	while (reap(-1, &st, &ended) && (left = deadline - clock_mono_ms()) > 0) {
		struct timespec ts = { left / 1000, left % 1000 * 1000000 };
		sigtimedwait(set, NULL, &ts);
	}
}

/* Does not return. kill(-1) reaches everything but PID 1 itself. */
static void __attribute__((noreturn)) machine_end(const sigset_t *set, int how)
{
	kill(-1, SIGTERM);
	kill(-1, SIGCONT);
	wait_for_all(set);
	kill(-1, SIGKILL);
	wait_for_all(set);
	sync();
	mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
	reboot(how);
	/* No power to switch off: a reset ends QEMU too (-no-reboot). */
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void __attribute__((noreturn)) pid1_loop(const sigset_t *set, pid_t program)
{
	bool ended = false;
	int status = 0;

	for (;;) {
		siginfo_t si;
		int sig = sigwaitinfo(set, &si);

		if (sig == SIG_POWEROFF)
			machine_end(set, RB_POWER_OFF);
		if (sig == SIG_REBOOT)
			machine_end(set, RB_AUTOBOOT);
		reap(program, &status, &ended);
		if (ended) {
			dprintf(STDERR_FILENO, "tmux-claude-guest: ended (%s %d), powering off\n",
				WIFSIGNALED(status) ? "signal" : "status",
				WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			machine_end(set, RB_POWER_OFF);
		}
	}
}

/* The template's name, until setup gives another: sudo wants one that resolves. */
static void hostname_default(void)
{
	cleanup_free char *name = NULL;
	size_t len;

	if (file_read("/etc/hostname", GUEST_HOSTNAME_MAX + 1, &name, &len, NULL) == 0)
		(void)!sethostname(name, strcspn(name, "\n"));
}

static int machine_up(int *ret_link, struct err *e)
{
	cleanup_free char *cmdline = NULL;
	size_t len;

	if (mount_all(e) < 0 || file_read("/proc/cmdline", 65536, &cmdline, &len, e) < 0)
		return -1;
	if (access(GUEST_MODULES, F_OK) == 0 && guest_modules_load(GUEST_MODULES, cmdline, e) < 0)
		return -1;
	/* No udev here: what it would do for the agent's file systems. */
	chmod("/dev/fuse", 0666);
	hostname_default();
	if (loopback_up(e) < 0)
		return -1;
	return guest_port_open(GUEST_LINK_PORT, PORT_WAIT_MS, ret_link, e);
}

static void __attribute__((noreturn)) fail(const sigset_t *set, const struct err *e)
{
	dprintf(STDERR_FILENO, "tmux-claude-guest: the machine cannot start: %s%s%s\n", e->message,
		*e->hint ? "; " : "", e->hint);
	machine_end(set, RB_POWER_OFF);
}

int guest_init(int *ret_link)
{
	struct err e = { 0 };
	sigset_t set, old;
	int link = -1;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIG_POWEROFF);
	sigaddset(&set, SIG_REBOOT);
	if (in_initrd()) {
		guest_initrd(&e);
		fail(&set, &e);
	}
	sigprocmask(SIG_BLOCK, &set, &old);
	umask(022);
	reboot(RB_DISABLE_CAD);
	console_open();
	if (machine_up(&link, &e) < 0)
		fail(&set, &e);

	pid_t pid = fork();
	if (pid < 0) {
		err_set_errno(&e, ERR_FAILED, errno, "cannot start the guest program");
		fail(&set, &e);
	}
	if (pid > 0) {
		close(link); /* one opener per port: the child's */
		pid1_loop(&set, pid);
	}
	setsid();
	sigprocmask(SIG_SETMASK, &old, NULL);
	*ret_link = link;
	return 0;
}

static int tell_pid1(int sig, struct err *e)
{
	if (kill(1, sig) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot reach the machine's first process");
	return 0;
}

int guest_poweroff(struct err *e)
{
	return tell_pid1(SIG_POWEROFF, e);
}
