/* SPDX-License-Identifier: ISC */
/*
 * doctor: looks for what is missing or wrong on this machine. Each check adds one line or more, with
 * what to do about it; the exit status is 1 when one failed. Nothing is changed, nothing is started.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/template.h"
#include "cli/text.h"

#define PROGRAM_MS 5000
#define PTYS_WANTED 256
#define FDS_WANTED 4096
#define DISK_WANTED_MIB 4096
#define BACKUP_OLD_MS (2 * 24 * 3600 * INT64_C(1000))
#define KVM_CACHE "kvm-probe" /* in the state folder, written by the qemu driver */

enum level { OK, WARN, FAIL };

struct doctor {
	struct cli *cli;
	json_t *checks;
	bool failed;
};

static void add(struct doctor *d, const char *name, enum level level, const char *hint, const char *fmt,
	...) __attribute__((format(printf, 5, 6)));

static void add(struct doctor *d, const char *name, enum level level, const char *hint, const char *fmt,
	...)
{
	static const char *const words[] = {"ok", "warn", "fail"};
	va_list ap;
	char *text;

	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();
	json_array_append_new(d->checks, json_pack("{s:s, s:b, s:s, s:s, s:s}", "name", name, "ok",
						 level != FAIL, "level", words[level], "text", text, "hint",
						 hint ? hint : ""));
	d->failed |= level == FAIL;
	free(text);
}

/* The first line that a program prints, into out. False when it cannot run or takes too long. */
bool cli_first_line(char *const *argv, char *out, size_t size)
{
	struct proc_spec spec = {.argv = argv};
	int64_t deadline = clock_mono_ms() + PROGRAM_MS;
	size_t n = 0;
	pid_t pid;
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return false;
	proc_spec_fd(&spec, p[1], 1);
	int r = proc_spawn(&spec, &pid, NULL);
	close(p[1]);
	while (r == 0 && n + 1 < size) {
		struct pollfd f = {.fd = p[0], .events = POLLIN};
		if (client_poll(&f, 1, deadline, &cli_stop, NULL) <= 0)
			break;
		ssize_t got = read(p[0], out + n, size - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	close(p[0]);
	if (r < 0)
		return false;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return n > 0;
}

static long read_number(const char *path)
{
	/* Files of /proc say that they are empty. */
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[32];
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	return strtol(buf, NULL, 10);
}

/* Programs. */

/* The user's own tmux configuration, when they named one. */
static void check_tmux_conf(struct doctor *d)
{
	const char *file = config_string(d->cli->config, OPT_TMUX_CONF);
	struct err e = {0};
	size_t taken = 0;
	json_t *left = tmux_conf_left(d->cli, &taken, &e);

	if (e.code)
		add(d, "tmux_conf", WARN, "correct the option tmux_conf, or the file", "%s", e.message);
	else if (left && json_array_size(left) > 0)
		add(d, "tmux_conf", OK, "`tmux-claude config check` names each", "%zu settings of %s are taken, %zu are not",
			taken, file, json_array_size(left));
	else if (left)
		add(d, "tmux_conf", OK, NULL, "all %zu settings of %s are taken", taken, file);
	json_decref(left);
}

static void check_tmux(struct doctor *d)
{
	char *argv[] = {(char *)config_string(d->cli->config, OPT_TMUX_PATH), "-V", NULL};
	char line[128];
	int major = 0, minor = 0;

	if (!cli_first_line(argv, line, sizeof(line))) {
		add(d, "tmux", FAIL, "apt-get install tmux", "%s cannot be run", argv[0]);
		return;
	}
	const char *digits = line + strcspn(line, "0123456789");
	sscanf(digits, "%d.%d", &major, &minor);
	if (major < 3 || (major == 3 && minor < 2))
		add(d, "tmux", FAIL, "install tmux 3.2a or later", "%s is too old", line);
	else
		add(d, "tmux", OK, NULL, "%s", line);
}

static void check_qemu(struct doctor *d)
{
	char *argv[] = {(char *)config_string(d->cli->config, OPT_QEMU_PATH), "--version", NULL};
	char line[128];

	if (!cli_first_line(argv, line, sizeof(line)))
		add(d, "qemu", FAIL, "apt-get install qemu-system-x86 qemu-utils",
			"%s cannot be run: there are no VMs without it", argv[0]);
	else
		add(d, "qemu", OK, NULL, "%s", line);
}

static void check_kvm(struct doctor *d)
{
	cleanup_free char *cache = xasprintf("%s/" KVM_CACHE, d->cli->layout.state_dir), *text = NULL;
	const char *accel = config_string(d->cli->config, OPT_ACCEL);
	size_t len;

	if (strcmp(accel, "tcg") == 0) {
		add(d, "kvm", OK, NULL, "not asked for: the config says accel = tcg");
		return;
	}
	if (access("/dev/kvm", F_OK) < 0) {
		add(d, "kvm", WARN, "turn on virtualisation in the firmware, or nested virtualisation",
			"/dev/kvm is not there: VMs are emulated in software, which is much slower");
		return;
	}
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		add(d, "kvm", WARN, "sudo adduser $USER kvm, then log in again",
			"/dev/kvm may not be opened by you: VMs are emulated in software, which is much slower");
		return;
	}
	/* KEY works|broken REASON; the key begins with the boot it was found out in. */
	if (file_read(cache, 4096, &text, &len, NULL) == 0 && str_starts(text, boot_id())) {
		char *word = strstr(text, " works ");
		text[strcspn(text, "\n")] = '\0';
		char *broken = strstr(text, " broken ");
		if (word && !broken)
			add(d, "kvm", OK, NULL, "KVM works: a trial guest ran");
		else
			add(d, "kvm", WARN, "accel = kvm in the config insists on it",
				"KVM is there and does not work (%s): VMs are emulated in software",
				broken ? broken + strlen(" broken ") : "unknown");
		return;
	}
	add(d, "kvm", OK, NULL, "/dev/kvm is there; whether it works is found out with the first VM");
}

static void check_builders(struct doctor *d)
{
	static const struct {
		const char *program, *package;
	} tools[] = {
		{"mmdebstrap", "mmdebstrap"},
		{"qemu-img", "qemu-utils"},
		{"npm", "npm"},
		{"mkfs.ext4", "e2fsprogs"},
	};
	cleanup_free char *missing = xstrdup(""), *packages = xstrdup("");

	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		cleanup_free char *path = proc_which(tools[i].program);
		cleanup_free char *sbin = xasprintf("/usr/sbin/%s", tools[i].program);
		if (path || access(sbin, X_OK) == 0)
			continue;
		char *m = xasprintf("%s %s", missing, tools[i].program);
		char *p = xasprintf("%s %s", packages, tools[i].package);
		free(missing);
		free(packages);
		missing = m;
		packages = p;
	}
	cleanup_free char *hint = xasprintf("apt-get install%s", packages);
	if (missing[0])
		add(d, "build tools", WARN, hint, "missing, so no template can be built:%s", missing);
	else
		add(d, "build tools", OK, NULL, "all that building a template needs is there");
}

/* Without root, a template is unpacked in a user namespace. */
static void check_subuid(struct doctor *d)
{
	cleanup_free char *text = NULL, *map = proc_which("newuidmap");
	const struct passwd *pw = getpwuid(geteuid());
	size_t len;

	if (geteuid() == 0 || !pw)
		return;
	cleanup_free char *key = xasprintf("%s:", pw->pw_name);
	bool listed = file_read("/etc/subuid", 1 << 20, &text, &len, NULL) == 0 &&
		      (str_starts(text, key) || strstr(text, key));
	if (!map)
		add(d, "uid ranges", WARN, "apt-get install uidmap",
			"newuidmap is missing: building a template without root needs it");
	else if (!listed)
		add(d, "uid ranges", WARN, "sudo usermod --add-subuids 100000-165535 --add-subgids "
					   "100000-165535 $USER",
			"%s has no range in /etc/subuid: building a template without root needs one",
			pw->pw_name);
	else
		add(d, "uid ranges", OK, NULL, "%s has a range of its own", pw->pw_name);
}

static void check_own(struct doctor *d)
{
	static const char *const names[] = {"tmux-clauded", "tmux-claude-shim", "tmux-claude-guest",
		"tmux-claude-files", "tmux-claude-egress"};
	bool all = true;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct err e = {0};
		cleanup_free char *path = layout_program(names[i], &e);
		if (path)
			continue;
		all = false;
		add(d, "programs", FAIL, e.hint, "%s", e.message);
	}
	if (all)
		add(d, "programs", OK, NULL, "all of our own are in place");
}

static void check_claude(struct doctor *d)
{
	const char *name = config_string(d->cli->config, OPT_CLAUDE_PATH);
	cleanup_free char *path = proc_which(name);

	if (path)
		add(d, "claude", OK, NULL, "%s, for the host driver (a VM has its own)", path);
	else
		add(d, "claude", OK, "npm install -g @anthropic-ai/claude-code, if you want it there",
			"%s is not on this machine: only --driver host needs it", name);
}

/* Templates, login, folders. */

static void check_template(struct doctor *d)
{
	struct err e = {0};
	const char *name = config_string(d->cli->config, OPT_TEMPLATE);
	cleanup_free char *dir = cli_template_dir(d->cli, &e);
	json_t *o = template_read(dir, name, &e);
	cleanup_free char *hint = xasprintf("tmux-claude template build %s", name);

	if (!o)
		add(d, "template", FAIL, hint, "%s", e.message);
	else if (json_is_true(json_object_get(o, "stale")))
		add(d, "template", WARN, hint, "the template '%s' is stale: %s", name, jstr(o, "why"));
	else
		add(d, "template", OK, NULL, "'%s' of %s", name, jstr(o, "built_at"));
	json_decref(o);
}

static void check_login(struct doctor *d)
{
	struct stat st;
	const char *file = d->cli->layout.login_file;

	if (lstat(file, &st) < 0) {
		add(d, "login", WARN, "tmux-claude login", "none is kept: agents in VMs will ask for one");
	} else if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077)) {
		cleanup_free char *hint = xasprintf("chmod 0600 %s", file);
		add(d, "login", FAIL, hint, "%s is not a file that only you can read", file);
	} else {
		add(d, "login", OK, NULL, "one is kept in %s", file);
	}
}

static void check_folders(struct doctor *d)
{
	const char *dirs[] = {d->cli->layout.state_dir, d->cli->layout.runtime_dir};
	bool right = true, there = access(dirs[0], F_OK) == 0 && access(dirs[1], F_OK) == 0;

	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		struct err e = {0};
		if (access(dirs[i], F_OK) < 0 || layout_check_private(dirs[i], &e) == 0)
			continue;
		right = false;
		add(d, "folders", FAIL, e.hint, "%s", e.message);
	}
	if (right && there)
		add(d, "folders", OK, NULL, "%s and %s are yours alone", dirs[0], dirs[1]);
	else if (right)
		add(d, "folders", OK, NULL, "%s is made when the daemon starts", dirs[0]);
}

static void check_disk(struct doctor *d)
{
	cleanup_free char *path = xstrdup(d->cli->layout.state_dir);
	struct statvfs v;

	/* The nearest folder above it that is there. */
	while (statvfs(path, &v) < 0 && strrchr(path, '/') != path)
		*strrchr(path, '/') = '\0';
	long long mib = (long long)v.f_bavail * (long long)v.f_frsize >> 20;
	if (mib < DISK_WANTED_MIB)
		add(d, "disk", WARN, "make room, or move all with TMUX_CLAUDE_HOME",
			"%lld MiB are free below %s; a template and a few VMs want %d", mib, path,
			DISK_WANTED_MIB);
	else
		add(d, "disk", OK, NULL, "%lld GiB are free below %s", mib >> 10, path);
}

/* The system. */

static void check_linger(struct doctor *d)
{
	const struct passwd *pw = getpwuid(geteuid());

	if (geteuid() == 0 || !pw || access("/run/systemd/system", F_OK) < 0)
		return;
	cleanup_free char *file = xasprintf("/var/lib/systemd/linger/%s", pw->pw_name);
	if (access(file, F_OK) == 0)
		add(d, "lingering", OK, NULL, "on: agents outlive your logout");
	else
		add(d, "lingering", WARN, "loginctl enable-linger",
			"off: systemd may end the agents when you log out");
}

static void check_limits(struct doctor *d)
{
	struct rlimit r;
	long max = read_number("/proc/sys/kernel/pty/max"), used = read_number("/proc/sys/kernel/pty/nr");

	if (max >= 0 && used >= 0 && max - used < PTYS_WANTED)
		add(d, "terminals", WARN, "sysctl kernel.pty.max=8192", "%ld of %ld ptys are left", max - used,
			max);
	else
		add(d, "terminals", OK, NULL, "%ld of %ld ptys are left", max - used, max);
	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	if (r.rlim_max < FDS_WANTED)
		add(d, "descriptors", WARN, "raise the hard limit nofile in /etc/security/limits.conf",
			"a process may open %llu files; a large fleet wants %d", (unsigned long long)r.rlim_max,
			FDS_WANTED);
	else
		add(d, "descriptors", OK, NULL, "a process may open %llu files",
			(unsigned long long)r.rlim_max);
}

/* When the newest automatic copy was made, 0: there is none; and how many there are. */
static time_t newest_backup(const char *folder, int *ret_count)
{
	DIR *dir = opendir(folder);
	const struct dirent *ent;
	time_t newest = 0;
	struct stat st;

	*ret_count = 0;
	while (dir && (ent = readdir(dir))) {
		size_t len = strlen(ent->d_name);
		if (!str_starts(ent->d_name, "auto-") || len < 3 || strcmp(ent->d_name + len - 3, ".db") != 0 ||
			fstatat(dirfd(dir), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		++*ret_count;
		newest = st.st_mtime > newest ? st.st_mtime : newest;
	}
	if (dir)
		closedir(dir);
	return newest;
}

/* status: of the daemon that runs, or NULL. */
static void check_backups(struct doctor *d, const json_t *status)
{
	const json_t *bad = json_object_get(json_object_get(status, "backups"), "failed");
	cleanup_free char *folder = xasprintf("%s/backups", d->cli->layout.state_dir);
	char span[SPAN_MAX];
	int count;
	time_t newest = newest_backup(folder, &count);
	int64_t age = clock_wall_ms() - (int64_t)newest * 1000;

	if (config_int(d->cli->config, OPT_BACKUPS) == 0)
		add(d, "backups", OK, "backups = 7 in the config keeps a week of them", "none are made (`backups = 0`)");
	else if (json_is_object(bad))
		add(d, "backups", WARN, "it is tried again; `tmux-claude db backup` makes one by hand",
			"the daily backup failed %lld times: %s", (long long)jint(bad, "times"), jstr(bad, "text"));
	else if (!newest)
		add(d, "backups", OK, NULL, "none yet: the daemon makes one a day");
	else if (age > BACKUP_OLD_MS)
		add(d, "backups", WARN, "the daemon makes them while it runs; `tmux-claude db backup` makes one by hand",
			"the newest of %d in %s is %s old", count, folder, text_span(age, span));
	else
		add(d, "backups", OK, NULL, "the newest of %d in %s is %s old", count, folder, text_span(age, span));
}

static void check_daemon(struct doctor *d)
{
	struct err e = {0};
	json_t *status = NULL;

	d->cli->g.no_start = true;
	if (cli_call(d->cli, "status", NULL, PROGRAM_MS, &status, &e) < 0)
		add(d, "daemon", e.code == ERR_UNREACHABLE ? OK : FAIL, e.hint,
			"%s", e.code == ERR_UNREACHABLE ? "not running; it is started when it is needed" : e.message);
	else if (strcmp(jstr(status, "version"), PACKAGE_VERSION) != 0)
		add(d, "daemon", WARN, "tmux-claude down, then up: the agents go on",
			"it is of version %s, this is %s", jstr(status, "version"), PACKAGE_VERSION);
	else
		add(d, "daemon", OK, NULL, "running, pid %lld", (long long)jint(status, "pid"));
	check_backups(d, status);
	json_decref(status);
}

static void print(struct cli *c, const json_t *checks)
{
	static const enum color colors[] = {C_GREEN, C_YELLOW, C_RED};
	static const char *const words[] = {"ok", "warn", "fail"};
	json_t *o;
	size_t i;

	json_array_foreach(checks, i, o) {
		size_t level = 0;
		while (level < 2 && strcmp(words[level], jstr(o, "level")) != 0)
			level++;
		fprintf(c->w.out, "%s%-4s%s  %-12s ", color_on(c->w.color, colors[level]), words[level],
			color_off(c->w.color, colors[level]), jstr(o, "name"));
		writer_printf(&c->w, "%s\n", jstr(o, "text"));
		if (level > 0 && jstr(o, "hint")[0])
			writer_printf(&c->w, "%18s -> %s\n", "", jstr(o, "hint"));
	}
}

int verb_doctor(struct cli *c)
{
	static void (*const checks[])(struct doctor *) = {check_tmux, check_tmux_conf, check_qemu, check_kvm, check_own,
		check_template, check_builders, check_subuid, check_login, check_claude, check_folders,
		check_disk, check_linger, check_limits, check_daemon};
	struct doctor d = {.cli = c, .checks = json_array()};
	struct err e = {0};

	if (cli_config(c, &e) < 0) {
		int code = cli_fail(c, &e);
		json_decref(d.checks);
		return code;
	}
	for (size_t i = 0; i < ARRAY_LEN(checks); i++)
		checks[i](&d);
	if (c->g.json) {
		json_t *o = json_pack("{s:O}", "checks", d.checks);
		writer_json(&c->w, o);
		json_decref(o);
	} else {
		print(c, d.checks);
	}
	json_decref(d.checks);
	return d.failed ? EXIT_REFUSED : EXIT_DONE;
}
