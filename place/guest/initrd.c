/* SPDX-License-Identifier: ISC */
/* The ram disk's part of a boot: modules, the disk, and over into it. */
#include "place/guest/init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/util.h"

#define MODULE_LIST_MAX (64 * 1024)
#define CMDLINE_MAX (64 * 1024)
#define ROOT_DEVICE "/dev/vda"
#define NEW_ROOT "/root"

char *guest_cmdline_get(const char *cmdline, const char *key)
{
	size_t n = strlen(key);
	const char *p = cmdline;

	while (*p) {
		p += strspn(p, " \t\n");
		size_t len = strcspn(p, " \t\n");
		if (len > n && p[n] == '=' && strncmp(p, key, n) == 0)
			return xstrndup(p + n + 1, len - n - 1);
		p += len;
	}
	return NULL;
}

/* "virtio-mmio" and "virtio_mmio" name the same module. */
static bool module_name_eq(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((a[i] == '-' ? '_' : a[i]) != (b[i] == '-' ? '_' : b[i]))
			return false;
	return true;
}

char *guest_modules_params(const char *cmdline, const char *name)
{
	size_t n = strlen(name);
	char *out = xstrdup("");
	const char *p = cmdline;

	while (*p) {
		p += strspn(p, " \t\n");
		size_t len = strcspn(p, " \t\n");
		if (len > n + 1 && p[n] == '.' && module_name_eq(p, name, n)) {
			char *longer = xasprintf("%s%s%.*s", out, *out ? " " : "",
				(int)(len - n - 1), p + n + 1);
			free(out);
			out = longer;
		}
		p += len;
	}
	return out;
}

static int module_load(const char *path, const char *cmdline, struct err *e)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	cleanup_free char *name = xstrndup(base, strcspn(base, "."));
	cleanup_free char *params = guest_modules_params(cmdline, name);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the kernel module %s", path);
	if (syscall(SYS_finit_module, fd, params, 0) < 0 && errno != EEXIST)
		return err_set_errno(e, ERR_FAILED, errno, "the kernel refuses the module %s", path);
	return 0;
}

int guest_modules_load(const char *list, const char *cmdline, struct err *e)
{
	cleanup_free char *text = NULL;
	char *save = NULL;
	size_t len;

	if (file_read(list, MODULE_LIST_MAX, &text, &len, e) < 0)
		return -1;
	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (*l != '#' && module_load(l, cmdline, e) < 0)
			return -1;
	return 0;
}

static int mount_move(const char *from, const char *below, struct err *e)
{
	cleanup_free char *to = xasprintf("%s%s", below, from);

	if (mkdir(to, 0755) < 0 && errno != EEXIST)
		return err_set_errno(e, ERR_IO, errno, "cannot make %s", to);
	if (mount(from, to, NULL, MS_MOVE, NULL) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot move %s into the disk", from);
	return 0;
}

/* What stays in the ram disk stays in memory: the program and the modules go. */
static void initrd_empty(void)
{
	DIR *d = opendir("/modules");
	struct dirent *de;

	unlink("/init");
	while (d && (de = readdir(d)))
		if (de->d_name[0] != '.')
			unlinkat(dirfd(d), de->d_name, 0);
	if (d)
		closedir(d);
	rmdir("/modules");
}

static int switch_root(struct err *e)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };

	for (size_t i = 0; i < ARRAY_LEN(moved); i++)
		if (mount_move(moved[i], NEW_ROOT, e) < 0)
			return -1;
	if (chdir(NEW_ROOT) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot enter the disk");
	initrd_empty();
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot make the disk the root");
	return 0;
}

static int mount_disk(const char *cmdline, struct err *e)
{
	cleanup_free char *device = guest_cmdline_get(cmdline, "root");
	const char *dev = device ? device : ROOT_DEVICE;
	cleanup_free char *flags = guest_cmdline_get(cmdline, "rootflags");

	mkdir(NEW_ROOT, 0700);
	/* virtio_blk's probe ends before finit_module returns: the device is there or never comes. */
	if (mount(dev, NEW_ROOT, "ext4", MS_NOATIME, flags) == 0)
		return 0;
	err_set_errno(e, ERR_FAILED, errno, "cannot mount the disk %s", dev);
	return err_hint(e, "build the template again: tmux-claude template build");
}

/* A kernel, its clock and a program run: that is all that was asked. */
static void __attribute__((noreturn)) probe_answer(void)
{
	struct timespec ts = { 0, 20000000 };

	nanosleep(&ts, NULL);
	dprintf(STDERR_FILENO, "%s\n", GUEST_PROBE_MARK);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int guest_initrd(struct err *e)
{
	static char *const argv[] = { (char *)GUEST_PROGRAM, NULL };
	static char *const env[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
		(char *)"HOME=/", (char *)"TERM=linux", NULL };
	cleanup_free char *cmdline = NULL, *probe = NULL;
	size_t len;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
		mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 ||
		mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot mount /proc, /sys and /dev");
	if (file_read("/proc/cmdline", CMDLINE_MAX, &cmdline, &len, e) < 0)
		return -1;
	probe = guest_cmdline_get(cmdline, GUEST_PROBE_ARG);
	if (probe)
		probe_answer();
	if (guest_modules_load(GUEST_MODULES_EARLY, cmdline, e) < 0)
		return -1;
	if (mount_disk(cmdline, e) < 0 || switch_root(e) < 0)
		return -1;
	execve(GUEST_PROGRAM, argv, env);
	return err_set_errno(e, ERR_MISSING, errno, "cannot run %s of the disk", GUEST_PROGRAM);
}
