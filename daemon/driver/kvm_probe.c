/* SPDX-License-Identifier: ISC */
/*
 * The functional probe of KVM.
 *
 * /dev/kvm says little: there are machines (nested virtualisation) where it opens, creates a VM, runs
 * 10,000 exits of a loop in real mode in 0.1 s, and yet hangs every kernel before its first line. So
 * the probe runs what a place runs: QEMU with the same machine and processor, a template's kernel, and
 * its ram disk, which says a mark on the console and powers off. The mark within the deadline is yes;
 * anything else is no, with what QEMU said last.
 *
 * QEMU is killed at the end and then left alone: a process stuck in a broken KVM may not die, so its
 * end is watched for (and reaped) by the loop, never waited for. Answers that a trial gave are kept in
 * a file with the host's boot id and QEMU's identity; a device that is not there or not permitted is
 * looked at each time, being free.
 */
#include "daemon/driver/kvm_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/conn.h"
#include "base/proc.h"
#include "base/util.h"
#include "daemon/driver/qemu_argv.h"

#define OUTPUT_MAX (64 * 1024)
#define CACHE_MAX 1024
#define PROBE_MEMORY_MIB 512
#define CHILD_FD 3 /* first of the descriptors that QEMU gets */

struct kvm_probe {
	struct loop *loop;
	char *qemu, *cache, *key;
	kvm_probe_fn *fn;
	void *arg;
	struct loop_defer *answer;
	struct loop_timer *deadline;
	struct conn *console, *errors;
	struct loop_child *child;
	pid_t pid;
	struct buf said; /* QEMU's stderr */
	bool works, tried, told;
	char reason[KVM_REASON_MAX];
};

/* The child outlives the probe when it will not die; whoever reaps it needs nothing of us. */
static void child_gone_fn(void *arg, pid_t pid, struct proc_status st)
{
	(void)arg;
	(void)pid;
	(void)st;
}

static void cache_write(const struct kvm_probe *p)
{
	cleanup_free char *line = NULL;

	if (!p->cache || !p->key || !p->tried)
		return;
	line = xasprintf("%s %s %s\n", p->key, p->works ? "works" : "broken", p->reason);
	/* Lost, it costs the next start a trial. */
	file_write_atomic(p->cache, line, strlen(line), 0600, NULL);
}

static void answer_fn(void *arg)
{
	struct kvm_probe *p = arg;

	cache_write(p);
	p->fn(p->arg, p->works, p->reason);
}

/* The first answer counts. QEMU is killed, and watched by nobody but the reaper from now on. */
static void decide(struct kvm_probe *p, bool works, const char *reason)
{
	if (p->told)
		return;
	p->told = true;
	p->works = works;
	/* One line, cut where it has to be. */
	snprintf(p->reason, sizeof(p->reason), "%s", reason);
	p->reason[strcspn(p->reason, "\r\n")] = '\0';
	loop_timer_stop(p->deadline);
	if (p->child)
		kill(p->pid, SIGKILL);
	loop_defer_schedule(p->answer);
}

/* The line of QEMU's stderr that says most: one with "error: ", else the last. Owned by said. */
static const char *telling_line(struct buf *said)
{
	const char *best = NULL, *last = "it said nothing";
	char *save = NULL;

	if (!said->len || !buf_reserve(said, 1))
		return last;
	buf_data(said)[said->len] = '\0';
	for (char *l = strtok_r((char *)buf_data(said), "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		last = l;
		if (strstr(l, "error: "))
			best = l;
	}
	return best ? best : last;
}

static void deadline_fn(void *arg)
{
	decide(arg, false, "a kernel started under KVM hangs");
}

/* Only when all is read: the console may still hold the mark, and stderr the reason. */
static void ended(struct kvm_probe *p)
{
	char reason[KVM_REASON_MAX];

	if (p->child || p->console || p->errors)
		return;
	snprintf(reason, sizeof(reason), "QEMU with KVM ends at once: %s", telling_line(&p->said));
	decide(p, false, reason);
}

static void child_fn(void *arg, pid_t pid, struct proc_status st)
{
	struct kvm_probe *p = arg;

	(void)pid;
	(void)st;
	p->child = NULL;
	ended(p);
}

static void console_data_fn(void *arg, struct buf *in)
{
	struct kvm_probe *p = arg;

	if (memmem(buf_data(in), in->len, QEMU_PROBE_MARK, strlen(QEMU_PROBE_MARK)))
		decide(p, true, "");
	else if (!buf_room(in))
		decide(p, false, "a kernel started under KVM prints without end");
}

static void console_close_fn(void *arg, const char *why)
{
	struct kvm_probe *p = arg;

	(void)why;
	conn_destroy(p->console);
	p->console = NULL;
	ended(p);
}

/* Its last words matter; all of it is read: QEMU must not block on it. */
static void errors_data_fn(void *arg, struct buf *in)
{
	struct kvm_probe *p = arg;

	if (buf_room(&p->said) < in->len + 1)
		buf_clear(&p->said);
	buf_append(&p->said, buf_data(in), in->len);
	buf_consume(in, in->len);
}

static void errors_close_fn(void *arg, const char *why)
{
	struct kvm_probe *p = arg;

	(void)why;
	conn_destroy(p->errors);
	p->errors = NULL;
	ended(p);
}

static const struct conn_ops console_ops = { console_data_fn, NULL, console_close_fn };
static const struct conn_ops errors_ops = { errors_data_fn, NULL, errors_close_fn };

/* Boot, QEMU's file, and who runs it: whatever of them changes, the old answer means nothing. */
static char *cache_key(const struct kvm_probe_spec *s, const char *qemu)
{
	struct stat st;

	if (stat(qemu, &st) < 0)
		return NULL;
	return xasprintf("%s %llu.%lld %ld", boot_id(), (unsigned long long)st.st_ino,
		(long long)st.st_mtime, s->drop ? (long)s->uid : (long)geteuid());
}

/* True when the file has the answer. */
static bool cache_read(struct kvm_probe *p)
{
	cleanup_free char *text = NULL;
	size_t len, n = p->key ? strlen(p->key) : 0;
	const char *verdict;
	bool works;

	if (!p->cache || !n || file_read(p->cache, CACHE_MAX, &text, &len, NULL) < 0)
		return false;
	if (strncmp(text, p->key, n) != 0 || text[n] != ' ')
		return false;
	verdict = text + n + 1;
	works = str_starts(verdict, "works ");
	if (!works && !str_starts(verdict, "broken "))
		return false;
	decide(p, works, strchr(verdict, ' ') + 1);
	return true;
}

static int images_open(const struct kvm_probe_spec *s, int *kernel, int *initrd, struct err *e)
{
	*kernel = open(s->kernel, O_RDONLY | O_CLOEXEC);
	if (*kernel < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", s->kernel);
	*initrd = open(s->initrd, O_RDONLY | O_CLOEXEC);
	if (*initrd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", s->initrd);
	return 0;
}

static int try_kernel(struct kvm_probe *p, const struct kvm_probe_spec *s, struct err *e)
{
	cleanup_close int kernel = -1, initrd = -1, console_in = -1, errors_in = -1;
	cleanup_strv char **argv = NULL;
	struct qemu_spec q = { .program = p->qemu, .name = "probe", .accel = QEMU_KVM, .cpus = 2,
		.memory_mib = PROBE_MEMORY_MIB, .kernel_fd = CHILD_FD, .initrd_fd = CHILD_FD + 1,
		.console_fd = CHILD_FD + 2, .base_format = "raw", .probe = true };
	struct proc_spec ps = { .file = p->qemu, .cwd = "/", .setsid = true, .drop = s->drop,
		.uid = s->uid, .gid = s->gid };
	int console[2], errors[2];

	if (images_open(s, &kernel, &initrd, e) < 0 || qemu_argv(&q, &argv, e) < 0)
		return -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a socket");
	console_in = console[1];
	fd_set_nonblock(console[0]);
	p->console = conn_create(p->loop, console[0], -1, OUTPUT_MAX, 1, &console_ops, p);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, errors) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a socket");
	errors_in = errors[1];
	fd_set_nonblock(errors[0]);
	p->errors = conn_create(p->loop, errors[0], -1, OUTPUT_MAX, 1, &errors_ops, p);
	ps.argv = argv;
	proc_spec_fd(&ps, errors_in, STDERR_FILENO);
	proc_spec_fd(&ps, kernel, q.kernel_fd);
	proc_spec_fd(&ps, initrd, q.initrd_fd);
	proc_spec_fd(&ps, console_in, q.console_fd);
	if (proc_spawn(&ps, &p->pid, e) < 0)
		return -1;
	p->child = loop_child_watch(p->loop, p->pid, child_fn, p, e);
	if (!p->child) {
		kill(p->pid, SIGKILL);
		return -1;
	}
	p->tried = true;
	loop_timer_start(p->deadline, s->deadline_ms ? s->deadline_ms : KVM_PROBE_DEADLINE_MS);
	return 0;
}

static int look(struct kvm_probe *p, const struct kvm_probe_spec *s, struct err *e)
{
	const char *device = s->device ? s->device : "/dev/kvm";
	int fd;

	if (!p->qemu)
		return err_set(e, ERR_MISSING, "QEMU is not installed");
	fd = open(device, O_RDWR | O_CLOEXEC);
	if (fd < 0 && (errno == EACCES || errno == EPERM))
		return err_set(e, ERR_DENIED, "%s is not permitted to this user; join its group: "
			"sudo usermod -aG kvm $USER, then log in again", device);
	if (fd < 0)
		return err_set_errno(e, ERR_MISSING, errno, "%s cannot be opened", device);
	close(fd);
	if (cache_read(p))
		return 0;
	return try_kernel(p, s, e);
}

struct kvm_probe *kvm_probe_start(struct loop *l, const struct kvm_probe_spec *s, kvm_probe_fn *fn,
	void *arg)
{
	struct kvm_probe *p = xcalloc(1, sizeof(*p));
	struct err e = { 0 };

	p->loop = l;
	p->fn = fn;
	p->arg = arg;
	p->cache = xstrdup(s->cache);
	p->qemu = proc_which(s->qemu ? s->qemu : "qemu-system-x86_64");
	p->key = p->qemu ? cache_key(s, p->qemu) : NULL;
	p->answer = loop_defer_create(l, answer_fn, p);
	p->deadline = loop_timer_create(l, deadline_fn, p);
	buf_init(&p->said, OUTPUT_MAX);
	if (look(p, s, &e) < 0)
		decide(p, false, e.message);
	return p;
}

void kvm_probe_destroy(struct kvm_probe *p)
{
	if (!p)
		return;
	if (p->child) {
		/* Handed to a watcher without an owner, which reaps it whenever it dies. */
		kill(p->pid, SIGKILL);
		loop_child_free(p->child);
		loop_child_watch(p->loop, p->pid, child_gone_fn, NULL, NULL);
	}
	conn_destroy(p->console);
	conn_destroy(p->errors);
	loop_timer_free(p->deadline);
	loop_defer_free(p->answer);
	buf_finish(&p->said);
	free(p->cache);
	free(p->qemu);
	free(p->key);
	free(p);
}
