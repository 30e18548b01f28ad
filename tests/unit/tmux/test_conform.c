/* SPDX-License-Identifier: ISC */
/*
 * Does a tmux answer as the engine relies on? One script of exchanges (conform/script) is run against the
 * tmux in PATH and against every one that TMUX_CLAUDE_TEST_TMUX names (paths with colons between), and what
 * was recorded of other versions (conform/VERSION.txt) is replayed. TMUX_STREAMS_KEEP=1 writes the recordings.
 */
#include "tests/unit/tmux/rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/proc.h"
#include "daemon/tmux/conf.h"
#include "daemon/tmux/parse.h"
#include "daemon/tmux/version.h"

#define STREAM_MAX (1u << 20)
#define FENCE "fence 7391"
#define WAIT_MS 60000

extern char **environ;

static char *conform_path(const char *name)
{
	const char *src = getenv("TC_SRCDIR");

	return xasprintf("%s/tests/unit/tmux/conform/%s", src != NULL ? src : ".", name);
}

/* ---- the script, as one version is to follow it ---- */

static int version_of(const char *text)
{
	int major = 0, minor = 0;

	if (sscanf(text, "next-%d.%d", &major, &minor) != 2 &&
		sscanf(text, "%d.%d", &major, &minor) != 2)
		return 9900;
	return major * 100 + minor;
}

/* Drops the condition in front of a line; false when the line is for others. */
static bool applies(const char **line, int version)
{
	bool before = (*line)[1] == '-';

	if ((*line)[0] != '@')
		return true;
	if ((version < version_of(*line + 1 + before)) != before)
		return false;
	*line = strchr(*line, ' ') + 1;
	return true;
}

/* What is to be sent and answered, and out of that what is to be sent. */
static void script_for(const char *version, struct buf *whole, char ***sent)
{
	cleanup_free char *path = conform_path("script");
	cleanup_free char *text = NULL;
	char *save = NULL;

	ck_assert_int_eq(file_read(path, STREAM_MAX, &text, NULL, NULL), 0);
	for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		const char *line = l;

		if (line[0] == '#' || !applies(&line, version_of(version)))
			continue;
		buf_printf(whole, "%s\n", line);
		if (str_starts(line, "> "))
			strv_push(sent, line + 2);
	}
	buf_append(whole, "", 1);
}

/* ---- what a stream says, in the script's words ---- */

static void transcript(const char *data, size_t len, char *const *sent, struct buf *out)
{
	struct tmux_parser p = {0};
	struct tmux_event ev;
	bool fence = false;
	size_t n, next = 0;

	while (tmux_parse_next(&p, data, len, &n, &ev)) {
		data += n;
		len -= n;
		if ((p.flags & 1) == 0 || ev.type == TMUX_EV_NOTIFY || ev.type == TMUX_EV_TEXT ||
			ev.type == TMUX_EV_BEGIN)
			continue;
		if (ev.type == TMUX_EV_BODY) {
			fence = ev.text_len == strlen(FENCE) && memcmp(ev.text, FENCE, ev.text_len) == 0;
			if (!fence)
				buf_printf(out, "= %.*s\n", (int)ev.text_len, ev.text);
			continue;
		}
		if (!fence)
			buf_printf(out, ev.type == TMUX_EV_END ? "ok\n" : "error\n");
		else if (sent[next] == NULL)
			break; /* the end of the script */
		else
			buf_printf(out, "> %s\n", sent[next++]);
		fence = false;
	}
	buf_append(out, "", 1);
}

/* The first line in which two transcripts differ, with the line that was sent before it. */
static void differ(const char *version, const char *want, const char *got)
{
	const char *sent = want;

	while (*want != '\0' && strcspn(want, "\n") == strcspn(got, "\n") &&
		strncmp(want, got, strcspn(want, "\n")) == 0) {
		if (want[0] == '>')
			sent = want;
		want += strcspn(want, "\n") + 1;
		got += strcspn(got, "\n") + 1;
	}
	ck_abort_msg("tmux %s, behind\n%.*s\nwas to say\n%.*s\nand said\n%.*s", version,
		(int)strcspn(sent, "\n"), sent, (int)strcspn(want, "\n"), want,
		(int)strcspn(got, "\n"), got);
}

static void compare(const char *version, const char *data, size_t len)
{
	char **sent = strv_new();
	struct buf want, got;

	buf_init(&want, STREAM_MAX);
	buf_init(&got, STREAM_MAX);
	script_for(version, &want, &sent);
	transcript(data, len, sent, &got);
	if (strcmp((char *)buf_data(&want), (char *)buf_data(&got)) != 0)
		differ(version, (char *)buf_data(&want), (char *)buf_data(&got));
	buf_finish(&want);
	buf_finish(&got);
	strv_free(sent);
}

/* ---- a living tmux ---- */

struct live {
	struct buf all;
	int to, from;
	pid_t pid;
};

static char **live_env(void)
{
	cleanup_free char *preload = xasprintf("%s/tmux-claude-no-utmp.so",
		getenv("TC_BUILDDIR") != NULL ? getenv("TC_BUILDDIR") : ".");
	char **env = tmux_conf_env(environ);

	if (access(preload, X_OK) == 0)
		strv_env_set(&env, "LD_PRELOAD", preload);
	return env;
}

static void live_start(struct live *t, const char *tmux, const char *socket)
{
	char *argv[] = {(char *)tmux, "-S", (char *)socket, "-f", "/dev/null", "-C", "new-session",
		"-A", "-s", "HUB", "-n", "hub", "-f", "no-output,ignore-size", "-x", "80", "-y",
		"24", "-c", "/", "--", "cat", "-", NULL};
	char **env = live_env();
	struct proc_spec ps = {.argv = argv, .envp = env, .cwd = "/", .setsid = true};
	int to[2], from[2];

	ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
	proc_spec_fd(&ps, to[0], 0);
	proc_spec_fd(&ps, from[1], 1);
	ck_assert_int_eq(proc_spawn(&ps, &t->pid, NULL), 0);
	close(to[0]);
	close(from[1]);
	t->to = to[1];
	t->from = from[0];
	strv_free(env);
	buf_init(&t->all, STREAM_MAX);
}

/* Reads until text has come `times` times in all, or to the end when it is NULL. */
static void live_read(struct live *t, const char *text, unsigned times)
{
	int64_t end = clock_mono_ms() + WAIT_MS;

	for (;;) {
		struct pollfd p = {.fd = t->from, .events = POLLIN};
		char data[4096];
		unsigned have = 0;
		ssize_t n;

		for (char *at = (char *)buf_data(&t->all);
			text != NULL && t->all.len > 0 &&
			(at = memmem(at, t->all.len - (size_t)(at - (char *)buf_data(&t->all)), text,
				 strlen(text))) != NULL;
			at++)
			have++;
		if (text != NULL && have >= times)
			return;
		ck_assert_msg(poll(&p, 1, (int)(end - clock_mono_ms())) == 1,
			"tmux says no more than %.*s", (int)(t->all.len < 200 ? t->all.len : 200),
			(char *)buf_data(&t->all) + (t->all.len < 200 ? 0 : t->all.len - 200));
		n = read(t->from, data, sizeof(data));
		if (n <= 0 && text == NULL)
			return;
		ck_assert_int_gt(n, 0);
		ck_assert_int_eq(buf_append(&t->all, data, (size_t)n), 0);
	}
}

static void live_script(struct live *t, char *const *sent)
{
	unsigned fences = 0;

	live_read(t, "%end ", 1);
	for (size_t i = 0; i == 0 || sent[i - 1] != NULL; i++) {
		cleanup_free char *line = xasprintf("display-message -p \"" FENCE "\"\n%s%s",
			sent[i] != NULL ? sent[i] : "", sent[i] != NULL ? "\n" : "");

		ck_assert_int_eq(write_all(t->to, line, strlen(line)), 0);
		live_read(t, FENCE, ++fences);
	}
	ck_assert_int_eq(write_all(t->to, "kill-server\n", 12), 0);
	live_read(t, NULL, 0);
}

static void run_against(const char *tmux)
{
	cleanup_free char *socket = xasprintf("%s/conform.sock", rig_dir);
	struct tmux_version v;
	struct live t;
	struct err e = {0};
	char **sent = strv_new();
	struct buf script;

	ck_assert_msg(tmux_version_ask(tmux, environ, &v, &e) == 0, "%s: %s", tmux, e.message);
	buf_init(&script, STREAM_MAX);
	script_for(v.text, &script, &sent);
	live_start(&t, tmux, socket);
	live_script(&t, sent);
	close(t.to);
	close(t.from);
	ck_assert_int_eq(waitpid(t.pid, NULL, 0), t.pid);
	if (getenv("TMUX_STREAMS_KEEP") != NULL) {
		cleanup_free char *name = xasprintf("%s.txt", v.text);
		cleanup_free char *path = conform_path(name);

		ck_assert_int_eq(file_write_atomic(path, buf_data(&t.all), t.all.len, 0644, NULL), 0);
	}
	compare(v.text, (char *)buf_data(&t.all), t.all.len);
	printf("# tmux %s conforms\n", v.text);
	buf_finish(&t.all);
	buf_finish(&script);
	strv_free(sent);
}

START_TEST(the_installed_tmux_conforms)
{
	cleanup_free char *tmux = proc_which("tmux");

	ck_assert_ptr_nonnull(tmux);
	run_against(tmux);
}
END_TEST

START_TEST(every_tmux_that_was_named_conforms)
{
	cleanup_free char *names = xstrdup(getenv("TMUX_CLAUDE_TEST_TMUX"));
	char *save = NULL;

	if (names == NULL)
		return;
	for (char *n = strtok_r(names, ":", &save); n != NULL; n = strtok_r(NULL, ":", &save))
		run_against(n);
}
END_TEST

START_TEST(every_recorded_tmux_conforms)
{
	cleanup_free char *dir = conform_path("");
	DIR *d = opendir(dir);
	struct dirent *de;
	unsigned n = 0;

	ck_assert_msg(d != NULL, "cannot open %s", dir);
	while ((de = readdir(d)) != NULL) {
		cleanup_free char *path = conform_path(de->d_name);
		cleanup_free char *version = xstrdup(de->d_name);
		cleanup_free char *data = NULL;
		size_t len;

		if (strstr(version, ".txt") == NULL)
			continue;
		*strstr(version, ".txt") = '\0';
		ck_assert_int_eq(file_read(path, STREAM_MAX, &data, &len, NULL), 0);
		compare(version, data, len);
		n++;
	}
	closedir(d);
	ck_assert_uint_ge(n, 5);
}
END_TEST

RIG_MAIN("tmux/conform", the_installed_tmux_conforms, every_tmux_that_was_named_conforms,
	every_recorded_tmux_conforms)
