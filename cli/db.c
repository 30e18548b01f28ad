/* SPDX-License-Identifier: ISC */
/* db path, check, backup, restore: the database as a file, by the program that links the store; no daemon is needed. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"

#define ANSWER_MAX (1024 * 1024)
#define ARGS_MAX 6

static int read_all(int fd, char **ret, size_t *ret_len, struct err *e)
{
	cleanup_free char *text = xcalloc(1, ANSWER_MAX);
	size_t len = 0;
	ssize_t n;

	while (len < ANSWER_MAX && (n = read(fd, text + len, ANSWER_MAX - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(e, ERR_IO, errno, "tmux-claude-db could not be heard");
		len += (size_t)n;
	}
	*ret = take_ptr(text);
	*ret_len = len;
	return 0;
}

/* Its error, as it said it. */
static int told(const json_t *error, struct err *e)
{
	err_set(e, err_code_from_name(jstr(error, "code")), "%s", jstr(error, "message"));
	return err_hint(e, "%s", jstr(error, "hint"));
}

/* Runs tmux-claude-db; its result, or NULL. Ctrl-C reaches both of us. */
static json_t *run(struct cli *c, char **argv, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-claude-db", e), *text = NULL;
	struct proc_spec spec = {.argv = argv};
	json_t *o;
	size_t len = 0;
	pid_t pid;
	int p[2], status = 0;

	if (!program)
		return NULL;
	argv[0] = program;
	if (pipe(p) < 0) {
		err_set_errno(e, ERR_FAILED, errno, "cannot make a pipe");
		return NULL;
	}
	proc_spec_fd(&spec, p[1], 1);
	if (!c->g.json)
		proc_spec_fd(&spec, 2, 2);
	int r = proc_spawn(&spec, &pid, e);
	close(p[1]);
	if (r == 0) {
		r = read_all(p[0], &text, &len, e);
		waitpid(pid, &status, 0);
	}
	close(p[0]);
	if (r < 0)
		return NULL;
	o = json_loadb(text, len, 0, NULL);
	if (o && !json_object_get(o, "error"))
		return o;
	if (o)
		told(json_object_get(o, "error"), e);
	else
		err_set(e, ERR_FAILED, "tmux-claude-db ended without an answer (status %d)", status);
	json_decref(o);
	return NULL;
}

int verb_db_path(struct cli *c)
{
	struct err e = {0};

	if (cli_layout(c, &e) < 0)
		return cli_fail(c, &e);
	cleanup_free char *backups = xasprintf("%s/backups", c->layout.state_dir);
	if (c->g.json) {
		json_t *o = json_pack("{s:s, s:s, s:b}", "file", c->layout.db_file, "backups", backups, "exists",
			access(c->layout.db_file, F_OK) == 0);
		writer_json(&c->w, o);
		json_decref(o);
	} else {
		writer_printf(&c->w, "%s\n", c->layout.db_file);
	}
	return EXIT_DONE;
}

static void check_text(struct cli *c, const json_t *o)
{
	const json_t *counts = json_object_get(o, "counts"), *findings = json_object_get(o, "findings"), *f;
	size_t i;

	writer_printf(&c->w, "%s: %s; schema %lld, %lld KiB, %lld instances (%lld living), %lld events\n", jstr(o, "file"),
		json_is_true(json_object_get(o, "ok")) ? "sound"
		: json_is_true(json_object_get(o, "damaged")) ? "damaged" : "whole, but not right",
		(long long)jint(o, "version"), (long long)(jint(o, "bytes") + jint(o, "wal_bytes")) / 1024,
		(long long)jint(counts, "instances"), (long long)jint(counts, "living"), (long long)jint(counts, "events"));
	json_array_foreach(findings, i, f)
		writer_field(&c->w, jstr(f, "kind"), C_RED, jstr(f, "text"));
	if (json_is_true(json_object_get(o, "damaged")))
		writer_printf(&c->w, "Keep a copy with `tmux-claude db backup`, then go back with `tmux-claude db restore FILE`\n"
			"(copies that were made are in the folder `backups` beside it), or save its rows with `sqlite3 FILE .recover`.\n");
}

int verb_db_check(struct cli *c)
{
	struct err e = {0};
	char *argv[ARGS_MAX] = {NULL, "check", (char *)args_string(&c->args, "file")};
	int code;

	if (cli_layout(c, &e) < 0)
		return cli_fail(c, &e);
	if (!argv[2])
		argv[2] = c->layout.db_file;
	json_t *o = run(c, argv, &e);
	if (!o)
		return cli_fail(c, &e);
	code = json_is_true(json_object_get(o, "ok")) ? EXIT_DONE : EXIT_REFUSED;
	if (c->g.json)
		writer_json(&c->w, o);
	else
		check_text(c, o);
	json_decref(o);
	return code;
}

int verb_db_backup(struct cli *c)
{
	struct err e = {0};
	cleanup_free char *to = xstrdup(args_string(&c->args, "file"));
	time_t now = (time_t)(clock_wall_ms() / 1000);
	char stamp[24] = "";
	struct tm tm;

	if (cli_layout(c, &e) < 0)
		return cli_fail(c, &e);
	if (!to) {
		cleanup_free char *dir = xasprintf("%s/backups", c->layout.state_dir);
		if (access(c->layout.db_file, F_OK) < 0) {
			err_set(&e, ERR_NOT_FOUND, "there is no database yet (%s)", c->layout.db_file);
			return cli_fail(c, &e);
		}
		if (dir_make(dir, 0700, &e) < 0)
			return cli_fail(c, &e);
		if (gmtime_r(&now, &tm))
			strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
		to = xasprintf("%s/fleet-%s.db", dir, stamp);
	}
	char *argv[ARGS_MAX] = {NULL, "backup", c->layout.db_file, to};
	json_t *o = run(c, argv, &e);
	if (!o)
		return cli_fail(c, &e);
	if (c->g.json)
		writer_json(&c->w, o);
	else
		writer_printf(&c->w, "%s\n", jstr(o, "file"));
	if (json_is_true(json_object_get(o, "damaged")))
		cli_note(c, "The copy is as damaged as the original: %s.", jstr(o, "text"));
	json_decref(o);
	return EXIT_DONE;
}

int verb_db_restore(struct cli *c)
{
	struct err e = {0};
	const char *from = args_string(&c->args, "file");
	bool end = args_flag(&c->args, "end_unknown");

	if (cli_layout(c, &e) < 0)
		return cli_fail(c, &e);
	if (!from && !end) {
		err_set(&e, ERR_PARAMS, "restore needs the file to go back to");
		err_hint(&e, "copies are in %s/backups", c->layout.state_dir);
		return cli_fail_usage(c, &e);
	}
	char *back[ARGS_MAX] = {NULL, "restore", c->layout.db_file, c->layout.lock_file, (char *)from,
		end ? "--end-unknown" : NULL};
	char *ends[ARGS_MAX] = {NULL, "end-unknown", c->layout.db_file, c->layout.lock_file};
	char *argv[ARGS_MAX + 1] = {NULL};
	memcpy(argv, from ? back : ends, sizeof(back));
	json_t *o = run(c, argv, &e);
	if (!o)
		return cli_fail(c, &e);
	if (c->g.json) {
		writer_json(&c->w, o);
	} else if (from) {
		writer_printf(&c->w, "%s is what %s was.\n", jstr(o, "file"), jstr(o, "from"));
		if (jstr(o, "kept")[0])
			writer_printf(&c->w, "The file that was there is kept as %s.\n", jstr(o, "kept"));
	}
	if (end)
		cli_note(c, "What lives and is not in the database is ended when the daemon starts next.");
	else
		cli_note(c, "Agents that live and are newer than the copy are left alone: `tmux-claude status` will name them, "
			"`tmux-claude db restore --end-unknown` ends them.");
	json_decref(o);
	return EXIT_DONE;
}
