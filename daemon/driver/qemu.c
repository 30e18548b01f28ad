/* SPDX-License-Identifier: ISC */
/*
 * The qemu driver: a VM for each place, without a network device, on a disk that is an overlay over a
 * template's.
 *
 * Making a place: bind it to its template's build; learn which accelerator works (a probe, once); make
 * the overlay under a temporary name with qemu-img (a kept one stays: restart goes on with it); describe
 * QEMU in place.json, every image and socket as a descriptor. A root daemon runs each VM under a uid of
 * its own, which owns the overlay and nothing else.
 *
 * A place may be given up while it is made: nothing of core's is touched after `make` returned.
 */
#include "daemon/driver/folder.h"
#include "daemon/driver/drivers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/proc.h"
#include "base/util.h"
#include "daemon/driver/accel.h"
#include "daemon/driver/qemu_argv.h"
#include "daemon/driver/template.h"

#define GUEST_PROGRAM "/usr/lib/tmux-claude/tmux-claude-guest" /* place/guest/init.h */
#define GUEST_RUN_DIR "/run/tmux-claude"
#define OVERLAY "overlay.qcow2"
#define OVERLAY_NEW "overlay.new"
#define IMG_LOG "qemu-img.log"
#define IMG_LOG_MAX 4096
#define IMG_DEADLINE_MS 60000

/* Numbers in QEMU's process. */
enum { FD_KERNEL = 10, FD_INITRD, FD_OVERLAY, FD_BASE, FD_LINK, FD_QMP, FD_CONSOLE };

struct making {
	struct making *prev, *next;
	const struct driver_env *env;
	struct place *p; /* a copy: id, driver */
	char *dir;       /* the place's */
	char *parts;     /* where disk, kernel and initrd are taken from */
	char *project;
	const char *format;
	json_t *stamp;
	unsigned cpus;
	uint64_t memory_mib;
	uid_t uid; /* QEMU's; -1: ours */
	gid_t gid;
	enum qemu_accel accel;
	struct loop_child *img;
	pid_t img_pid;
	struct loop_timer *deadline;
	bool overdue;
	driver_made_fn *done;
	void *arg;
};

static struct making *makings; /* under way */

static void making_free(struct making *m)
{
	if (m->prev)
		m->prev->next = m->next;
	else
		makings = m->next;
	if (m->next)
		m->next->prev = m->prev;
	if (m->img) {
		kill(m->img_pid, SIGKILL);
		loop_child_free(m->img);
	}
	loop_timer_free(m->deadline);
	place_free(m->p);
	free(m->dir);
	free(m->parts);
	free(m->project);
	json_decref(m->stamp);
	free(m);
}

/* Ends it: e is NULL when all went well. */
static void finish(struct making *m, json_t *place, const struct err *e)
{
	driver_made_fn *done = m->done;
	void *arg = m->arg;
	struct err copy = {0};

	if (e)
		copy = *e;
	making_free(m);
	done(arg, place, e ? &copy : NULL);
}

static void fail(struct making *m, struct err *e)
{
	finish(m, NULL, e);
}

/* ---- checks ---- */

static int check_program(const char *name, const char *package, struct err *e)
{
	cleanup_free char *found = proc_which(name);
	if (found)
		return 0;
	err_set(e, ERR_MISSING, "the program %s, which VMs need, was not found", name);
	return err_hint(e, "apt-get install %s, or use --driver host (no isolation)", package);
}

static int check_size(const struct instance *in, struct err *e)
{
	if (in->cpus < 1 || in->cpus > QEMU_CPUS_MAX)
		return err_set(e, ERR_PARAMS, "a VM has between 1 and %d CPUs, not %lld", QEMU_CPUS_MAX,
			(long long)in->cpus);
	if (in->memory_mib < QEMU_MEMORY_MIN_MIB || in->memory_mib > 1024 * 1024)
		return err_set(e, ERR_PARAMS, "a VM has between %d and %d MiB of memory, not %lld",
			QEMU_MEMORY_MIN_MIB, 1024 * 1024, (long long)in->memory_mib);
	return 0;
}

static int qemu_check(const struct driver_env *env, const struct instance *in, struct err *e)
{
	const char *name = in->template_name ? in->template_name : "";

	if (check_size(in, e))
		return -1;
	if (!name_valid(name))
		return err_set(e, ERR_PARAMS, "'%.64s' is no template's name", name);
	if (check_program(config_string(env->config, OPT_QEMU_PATH), "qemu-system-x86", e) ||
		check_program("qemu-img", "qemu-utils", e))
		return -1;
	cleanup_free char *files = layout_program("tmux-claude-files", e);
	if (!files)
		return -1;
	json_t *stamp = template_stamp(env->template_dir, name, e);
	if (!stamp)
		return -1;
	/* Agents that are programs of their own must be in it; a shell always is. */
	bool has = !strcmp(in->agent, "shell") ||
		   json_object_get(json_object_get(stamp, "agents"), in->agent);
	json_decref(stamp);
	if (has)
		return 0;
	err_set(e, ERR_MISSING, "the template '%s' has no %s in it", name, in->agent);
	return err_hint(e, "use --template agents (tmux-claude template build agents: with codex), or add it to "
			   "the recipe of '%s' and build that again", name);
}

/* ---- place.json ---- */

static json_t *files_json(const struct making *m, struct err *e)
{
	struct stat st;
	cleanup_free char *program = layout_program("tmux-claude-files", e);

	if (!program)
		return NULL;
	if (folder_stat(m->project, &st)) {
		err_set_errno(e, ERR_IO, errno, "cannot look at the folder %s", m->project);
		return NULL;
	}
	bool root = geteuid() == 0;
	return json_pack("{s:s, s:I, s:I, s:[{s:s, s:b}]}", "program", program, "uid",
		root ? (json_int_t)st.st_uid : -1, "gid", root ? (json_int_t)st.st_gid : -1, "mounts", "path",
		m->project, "read_only", 0);
}

static json_t *fds_json(const struct making *m)
{
	static const struct {
		int fd;
		const char *part, *kind;
		bool own; /* the place's, whatever the parts' folder */
	} table[] = {
		{FD_KERNEL, "kernel", "ro", false},	{FD_INITRD, "initrd", "ro", false},
		{FD_BASE, "disk.qcow2", "ro", false},	{FD_OVERLAY, OVERLAY, "rw", true},
		{FD_LINK, "link.sock", "listen", true}, {FD_QMP, "qmp.sock", "listen", true},
		{FD_CONSOLE, "console.sock", "listen", true},
	};
	json_t *fds = json_array();
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		cleanup_free char *path = xasprintf("%s/%s", m->parts, table[i].part);
		json_array_append_new(fds,
			place_json_fd(table[i].fd, table[i].own ? table[i].part : path, table[i].kind));
	}
	return fds;
}

static json_t *describe(const struct making *m, struct err *e)
{
	const struct qemu_spec spec = {
		.program = config_string(m->env->config, OPT_QEMU_PATH),
		.name = m->p->id,
		.accel = m->accel,
		.cpus = m->cpus,
		.memory_mib = m->memory_mib,
		.tsc_khz = m->accel == QEMU_TCG ? host_tsc_khz() : 0,
		.kernel_fd = FD_KERNEL,
		.initrd_fd = FD_INITRD,
		.overlay_fd = FD_OVERLAY,
		.base_fd = FD_BASE,
		.base_format = m->format,
		.console_fd = FD_CONSOLE,
		.link_fd = FD_LINK,
		.qmp_fd = FD_QMP,
	};
	cleanup_strv char **argv = NULL;
	json_t *files = files_json(m, e);

	if (!files)
		return NULL;
	if (qemu_argv(&spec, &argv, e)) {
		json_decref(files);
		return NULL;
	}
	json_int_t uid = m->uid == (uid_t)-1 ? -1 : (json_int_t)m->uid;
	json_int_t gid = m->uid == (uid_t)-1 ? -1 : (json_int_t)m->gid;
	json_t *place = place_json_new(m->env, m->p);
	json_object_set_new(place, "holder",
		json_pack("{s:o, s:o, s:s, s:o, s:I, s:I}", "argv", strings_json(argv), "env", holder_env(),
			"cwd", "/", "fds", fds_json(m), "uid", uid, "gid", gid));
	/* The shim needs no device: the VM's uid is its group too. */
	json_object_set_new(place, "shim", json_pack("{s:I, s:I}", "uid", uid, "gid", uid));
	json_object_set_new(place, "qmp", json_string("qmp.sock"));
	json_object_set_new(place, "egress", json_string("egress.sock"));
	json_object_set_new(place, "console", json_string("console.sock"));
	json_object_set_new(place, "files", files);
	json_object_set_new(place, "accel", json_string(m->accel == QEMU_KVM ? "kvm" : "tcg"));
	json_object_set_new(place, "boot_timeout_ms",
		json_integer(config_int(m->env->config, OPT_BOOT_TIMEOUT) * 1000));
	return place;
}

/* ---- the overlay ---- */

/* The VM's uid owns its disk; the file stands in a folder of ours, so nobody else could swap it. */
static int give_overlay(const struct making *m, const char *path, struct err *e)
{
	cleanup_close int fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0600) || (m->uid != (uid_t)-1 && fchown(fd, m->uid, m->gid)) || fsync(fd))
		return err_set_errno(e, ERR_IO, errno, "cannot prepare the disk %s", path);
	return 0;
}

static void conclude(struct making *m)
{
	cleanup_free char *overlay = xasprintf("%s/" OVERLAY, m->dir);
	struct err e = {0};
	json_t *place = give_overlay(m, overlay, &e) ? NULL : describe(m, &e);
	finish(m, place, place ? NULL : &e);
}

static void img_failed(struct making *m, struct proc_status st)
{
	cleanup_free char *log = xasprintf("%s/" IMG_LOG, m->dir);
	cleanup_free char *new = xasprintf("%s/" OVERLAY_NEW, m->dir);
	cleanup_free char *said = NULL;
	struct err e = {0};

	unlink(new);
	if (file_read(log, IMG_LOG_MAX, &said, NULL, NULL) || !utf8_valid(said, strlen(said)))
		said = xstrdup("");
	said[strcspn(said, "\n")] = '\0';
	if (m->overdue)
		err_set(&e, ERR_TIMEOUT, "qemu-img did not make the VM's disk within %d s",
			IMG_DEADLINE_MS / 1000);
	else if (strstr(said, strerror(ENOSPC)) || strstr(said, strerror(EDQUOT)))
		err_set(&e, ERR_DISK, "no room on disk for the VM's disk in %s", m->dir);
	else if (st.signal)
		err_set(&e, ERR_FAILED, "qemu-img was ended by signal %d", st.signal);
	else
		err_set(&e, ERR_FAILED, "qemu-img could not make the VM's disk: %.300s", said);
	fail(m, &e);
}

static void on_img_exit(void *arg, pid_t pid, struct proc_status st)
{
	struct making *m = arg;
	cleanup_free char *new = xasprintf("%s/" OVERLAY_NEW, m->dir);
	cleanup_free char *overlay = xasprintf("%s/" OVERLAY, m->dir);
	struct err e = {0};

	(void)pid;
	m->img = NULL;
	loop_timer_stop(m->deadline);
	if (st.code != 0) {
		img_failed(m, st);
		return;
	}
	FAULT_POINT("overlay.made");
	if (give_overlay(m, new, &e) || rename(new, overlay)) {
		if (!e.code)
			err_set_errno(&e, ERR_IO, errno, "cannot name the VM's disk %s", overlay);
		fail(m, &e);
		return;
	}
	FAULT_POINT("overlay.named");
	conclude(m);
}

static void on_img_deadline(void *arg)
{
	struct making *m = arg;
	m->overdue = true;
	kill(m->img_pid, SIGKILL); /* not reaped yet: its end is told by on_img_exit */
}

static int start_img(struct making *m, struct err *e)
{
	cleanup_free char *new = xasprintf("%s/" OVERLAY_NEW, m->dir);
	cleanup_free char *base = xasprintf("%s/disk.qcow2", m->parts);
	cleanup_free char *log = xasprintf("%s/" IMG_LOG, m->dir);
	char *argv[] = {(char *)"qemu-img", (char *)"create", (char *)"-q", (char *)"-f", (char *)"qcow2",
		(char *)"-F", (char *)(uintptr_t)m->format, (char *)"-b", base, new, NULL};
	struct proc_spec spec = {.argv = argv, .cwd = "/"};

	unlink(new);
	cleanup_close int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", log);
	proc_spec_fd(&spec, fd, 1);
	proc_spec_fd(&spec, fd, 2);
	if (FAULT_ERROR("overlay.make", e) || proc_spawn(&spec, &m->img_pid, e))
		return -1;
	FAULT_POINT("overlay.begun");
	m->img = loop_child_watch(m->env->loop, m->img_pid, on_img_exit, m, e);
	if (!m->img) {
		kill(m->img_pid, SIGKILL);
		return -1;
	}
	m->deadline = loop_timer_create(m->env->loop, on_img_deadline, m);
	loop_timer_start(m->deadline, IMG_DEADLINE_MS);
	return 0;
}

static bool has_overlay(const struct making *m)
{
	cleanup_free char *path = xasprintf("%s/" OVERLAY, m->dir);
	return access(path, F_OK) == 0;
}

static void on_accel(void *arg, enum qemu_accel accel)
{
	struct making *m = arg;
	struct err e = {0};

	m->accel = accel;
	if (has_overlay(m))
		conclude(m);
	else if (start_img(m, &e))
		fail(m, &e);
}

/* ---- the beginning ---- */

/* QEMU's group: that of /dev/kvm where it opens the device, so that a uid of its own may use it. */
static gid_t vm_gid(uid_t uid)
{
	struct stat st;
	if (stat("/dev/kvm", &st) == 0 && (st.st_mode & 060) == 060 && st.st_gid != 0)
		return st.st_gid;
	return (gid_t)uid;
}

/*
 * A root daemon's shim gives its rights up too, standing in the place's folder: it must get at what is
 * in there by relative names, and at the recording by the open folder of all recordings. Both stay root's,
 * below folders that nobody else may enter; the recording's own becomes the VM's.
 */
static int open_to_vm(const struct making *m, const char *instance, struct err *e)
{
	const char *all = m->env->layout->recordings_dir;
	cleanup_free char *recording = xasprintf("%s/%s", all, instance);

	if (m->uid == (uid_t)-1)
		return 0;
	if (chmod(m->dir, 0711) || dir_make(recording, 0700, e) || chmod(all, 0711) ||
		lchown(recording, m->uid, (gid_t)m->uid)) {
		if (!e || !e->code)
			err_set_errno(e, ERR_IO, errno, "cannot prepare %s for the VM's user", m->dir);
		return -1;
	}
	return 0;
}

static int begin(struct making *m, const struct place *p, const struct instance *in, struct err *e)
{
	const char *name = in->template_name ? in->template_name : "";
	cleanup_free char *from = xasprintf("%s/%s", m->env->template_dir, name);

	m->p = place_new();
	memcpy(m->p->id, p->id, ID_SIZE);
	m->p->driver = xstrdup(p->driver);
	m->dir = place_dir(m->env->layout, p->id);
	m->project = xstrdup(in->dir);
	m->cpus = (unsigned)in->cpus;
	m->memory_mib = (uint64_t)in->memory_mib;
	m->uid = (uid_t)-1;
	m->gid = (gid_t)-1;
	if (geteuid() == 0) {
		m->uid = (uid_t)(config_int(m->env->config, OPT_VM_UID_BASE) + p->number);
		m->gid = vm_gid(m->uid);
	}
	if (open_to_vm(m, in->id, e))
		return -1;
	if (template_bind(from, m->dir, !has_overlay(m), &m->parts, e))
		return -1;
	cleanup_free char *stamp_path = xasprintf("%s/" TEMPLATE_STAMP, m->dir);
	m->stamp = json_load_file(stamp_path, 0, NULL);
	m->format = template_format(m->stamp);
	return m->format ? 0 : err_set(e, ERR_IO, "%s cannot be understood", stamp_path);
}

static void qemu_make(const struct driver_env *env, struct place *p, const struct instance *in,
	driver_made_fn *done, void *arg)
{
	struct making *m = xcalloc(1, sizeof(*m));
	struct err e = {0};

	*m = (struct making){.next = makings, .env = env, .done = done, .arg = arg};
	if (makings)
		makings->prev = m;
	makings = m;
	if (begin(m, p, in, &e)) {
		fail(m, &e);
		return;
	}
	cleanup_free char *kernel = xasprintf("%s/kernel", m->parts);
	cleanup_free char *initrd = xasprintf("%s/initrd", m->parts);
	accel_find(env, kernel, initrd, m->uid, m->gid, on_accel, m);
}

void qemu_finish(void)
{
	accel_finish();
	while (makings)
		making_free(makings);
}

static const char *qemu_guest_program(const struct driver_env *env)
{
	(void)env;
	return GUEST_PROGRAM;
}

static const char *qemu_run_dir(const struct driver_env *env, const struct place *p, char *out,
	size_t size)
{
	(void)env;
	(void)p;
	return str_fmt(out, size, GUEST_RUN_DIR) ? NULL : out;
}

/* The overlay's virtual size is its template's. */
static int64_t qemu_disk_mib(const struct driver_env *env, const struct instance *in)
{
	json_t *stamp = template_stamp(env->template_dir, in->template_name, NULL);
	json_int_t bytes = json_integer_value(json_object_get(json_object_get(stamp, "disk"), "size"));

	json_decref(stamp);
	return bytes > 0 ? (bytes + (1 << 20) - 1) >> 20 : 0;
}

const struct driver driver_qemu = {
	.name = "qemu",
	.summary = "in a VM of its own (QEMU)",
	.flags = DRIVER_ISOLATED | DRIVER_EGRESS | DRIVER_SYSTEM,
	/* A boot keeps a processor busy. QEMU's own memory beside the VM's; an overlay begins small, and grows. */
	.need = {.weight = START_WEIGHT_CORE, .memory_mib = 96, .disk_mib = 64, .ptys = 1, .fds = 4, .files = 96,
		.tasks = 16},
	.check = qemu_check,
	.disk_mib = qemu_disk_mib,
	.make = qemu_make,
	.guest_program = qemu_guest_program,
	.run_dir = qemu_run_dir,
};
