/* SPDX-License-Identifier: ISC */
/*
 * tmux-claude-db: what `tmux-claude db ...` and the daemon's daily backup run. It says one line of JSON, the
 * result or {"error":{}}, and its progress on stderr; it needs no daemon, and a restore wants that there is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/store/files.h"

#define PROGRESS_MS 1000
#define NAME_TRIES 100

static const char usage[] =
	"usage: tmux-claude-db check DATABASE\n"
	"       tmux-claude-db backup DATABASE TO\n"
	"       tmux-claude-db backup-auto DATABASE FOLDER KEEP\n"
	"       tmux-claude-db restore DATABASE LOCK FROM [--end-unknown]\n"
	"       tmux-claude-db end-unknown DATABASE LOCK\n"
	"\n"
	"A part of tmux-claude: use `tmux-claude db`.\n";

/* Said once a second from the first second on. */
static void progress(void *arg, int64_t done, int64_t total)
{
	int64_t *next = arg, now = clock_mono_ms();

	if (now < *next || total <= 0)
		return;
	*next = now + PROGRESS_MS;
	fprintf(stderr, "copied %lld of %lld pages (%lld %%)\n", (long long)done, (long long)total,
		(long long)(done * 100 / total));
}

static int say(json_t *o)
{
	cleanup_free char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	return text && puts(text) >= 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int fail(const struct err *e)
{
	say(json_pack("{s:{s:s, s:s, s:s, s:b}}", "error", "code", err_code_name(e->code), "message", e->message, "hint",
		e->hint, "retryable", e->retryable));
	return 1;
}

/* The daemon's own lock: who has it owns the home until the process ends. */
static int lock_home(const char *path, struct err *e)
{
	char pid[24] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "%s could not be opened", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);
	err_set(e, ERR_STATE, "a daemon (pid %d) runs on this home", n > 0 ? atoi(pid) : 0);
	err_hint(e, "stop it first with `tmux-claude down`: the agents go on");
	close(fd);
	return -1;
}

static int do_check(char **a)
{
	struct err e = {0};
	json_t *o = store_check(a[0], &e);

	return o ? say(o) : fail(&e);
}

static int do_backup(char **a)
{
	int64_t next = clock_mono_ms() + PROGRESS_MS;
	char damaged[ERR_MESSAGE_MAX];
	struct err e = {0};
	struct stat st = {0};

	if (store_backup(a[0], a[1], progress, &next, damaged, &e) < 0)
		return fail(&e);
	stat(a[1], &st);
	return say(json_pack("{s:s, s:I, s:b, s:s}", "file", a[1], "bytes", (json_int_t)st.st_size, "damaged",
		damaged[0] != '\0', "text", damaged));
}

/* One at a time: who has the folder locked, until the process ends. What an interrupted one left goes. */
static int own_folder(const char *dir, int64_t keep, struct err *e)
{
	int fd;

	if (dir_make(dir, 0700, e) < 0)
		return -1;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "%s could not be opened", dir);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_set(e, ERR_BUSY, "another automatic backup is under way in %s", dir);
	}
	store_backups_prune(dir, keep, NULL);
	return 0;
}

/* A copy of a damaged database pushes out none of the good ones. */
static int do_auto(char **a)
{
	int64_t next = INT64_MAX, keep;
	char damaged[ERR_MESSAGE_MAX], stamp[24];
	time_t now = (time_t)(clock_wall_ms() / 1000);
	cleanup_free char *to = NULL;
	struct err e = {0};
	struct tm tm;

	if (str_to_i64(a[2], 1, 1000000, &keep) < 0 || !gmtime_r(&now, &tm) ||
		!strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm))
		return err_set(&e, ERR_PARAMS, "%s is no count", a[2]), fail(&e);
	if (own_folder(a[1], keep, &e) < 0 || store_backup_fits(a[0], a[1], &e) < 0)
		return fail(&e);
	to = xasprintf("%s/auto-%s.db", a[1], stamp);
	for (int i = 2; access(to, F_OK) == 0 && i < NAME_TRIES; i++) {
		free(to);
		to = xasprintf("%s/auto-%s-%d.db", a[1], stamp, i);
	}
	if (store_backup(a[0], to, progress, &next, damaged, &e) < 0)
		return fail(&e);
	if (damaged[0]) {
		cleanup_free char *wal = xasprintf("%s-wal", to);
		unlink(to);
		unlink(wal);
		err_set(&e, ERR_DAMAGED, "%.400s", damaged);
		return fail(&e);
	}
	keep = store_backups_prune(a[1], keep, to);
	return say(json_pack("{s:s, s:I}", "file", to, "count", (json_int_t)keep));
}

static int do_restore(char **a)
{
	int64_t next = clock_mono_ms() + PROGRESS_MS;
	cleanup_free char *kept = NULL;
	struct err e = {0};

	if (lock_home(a[1], &e) < 0 ||
		store_restore(a[0], a[2], a[3] && !strcmp(a[3], "--end-unknown"), progress, &next, &kept, &e) < 0)
		return fail(&e);
	return say(json_pack("{s:s, s:s, s:s?}", "file", a[0], "from", a[2], "kept", kept));
}

static int do_end_unknown(char **a)
{
	struct err e = {0};

	if (lock_home(a[1], &e) < 0 || store_restore_end_unknown(a[0], &e) < 0)
		return fail(&e);
	return say(json_pack("{s:s}", "file", a[0]));
}

static const struct {
	const char *name;
	int min, max;
	int (*fn)(char **args);
} commands[] = {
	{"check", 1, 1, do_check},
	{"backup", 2, 2, do_backup},
	{"backup-auto", 3, 3, do_auto},
	{"restore", 3, 4, do_restore},
	{"end-unknown", 2, 2, do_end_unknown},
};

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	umask(077);
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 >= commands[i].min && argc - 2 <= commands[i].max)
			return commands[i].fn(argv + 2);
	fputs(usage, stderr);
	return 2;
}
