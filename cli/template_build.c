/* SPDX-License-Identifier: ISC */
/*
 * template build: runs the build script, which does the work whole or not at all and reports a JSON
 * line a step, and shows where it is. Ctrl-C reaches the script too (and is passed on when it did not);
 * this program waits for it to clean up after itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/template.h"
#include "cli/text.h"

#define LINE_MAX_BYTES 65536
#define RECIPE_MAX (256 * 1024)
#define TICK_MS 1000
#define END_MS 40000 /* the script gives its jobs ten seconds to end */
#define BAR 20

struct build {
	struct cli *cli;
	char *name, *recipe, *dir, *out, *log, *guest, *script;
	bool missing; /* only when it is not there: somebody else may make it meanwhile */
	bool live;    /* one line that is drawn over */
	int64_t started_ms;
	int done, of;
	char text[256]; /* of the step, escaped */
	struct err error; /* as the script said it */
};

static void build_finish(struct build *b)
{
	free(b->name);
	free(b->recipe);
	free(b->dir);
	free(b->out);
	free(b->log);
	free(b->guest);
	free(b->script);
}

/* The value of the recipe's line `name VALUE`; owned, or NULL. */
static char *recipe_name(const char *path, struct err *e)
{
	cleanup_free char *text = NULL;
	size_t len;

	if (file_read(path, RECIPE_MAX, &text, &len, e) < 0)
		return NULL;
	for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words, *word = strtok_r(line, " \t\r", &words);
		if (word && strcmp(word, "name") == 0 && (word = strtok_r(NULL, " \t\r", &words)))
			return xstrdup(word);
	}
	err_set(e, ERR_PARAMS, "the recipe %s has no line `name NAME`", path);
	return NULL;
}

static bool name_ok(const char *s)
{
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";

	return s[0] && strspn(s, rest) == strlen(s) && s[0] != '.' && s[0] != '_' && s[0] != '-' &&
	       strlen(s) <= 63;
}

/* From the arguments: NAME with the recipe of that name, NAME --recipe FILE, or just a recipe's path. */
static int find_recipe(struct build *b, struct err *e)
{
	const char *name = json_string_value(json_object_get(b->cli->args.params, "name"));
	const char *recipe = args_string(&b->cli->args, "recipe");

	if (!recipe && strchr(name, '/'))
		recipe = name;
	if (recipe) {
		b->recipe = xstrdup(recipe);
		b->name = recipe_name(recipe, e);
		if (!b->name)
			return -1;
		if (recipe != name && strcmp(b->name, name) != 0) {
			err_set(e, ERR_PARAMS, "the recipe %s makes the template '%s', not '%s'", recipe, b->name,
				name);
			return err_hint(e, "change its line `name`");
		}
	} else {
		b->name = xstrdup(name);
	}
	if (!name_ok(b->name)) {
		err_set(e, ERR_PARAMS, "'%.64s' is no template's name", b->name);
		return err_hint(e, "use [a-z0-9][a-z0-9._-]*");
	}
	if (!b->recipe) {
		cleanup_free char *file = xasprintf("%s.recipe", b->name);
		b->recipe = layout_data(file, NULL);
		if (!b->recipe) {
			err_set(e, ERR_NOT_FOUND, "there is no recipe '%s'", b->name);
			return err_hint(e, "`minimal` comes with us; give one of your own with --recipe FILE");
		}
	}
	return 0;
}

static int prepare(struct build *b, struct err *e)
{
	b->dir = cli_template_dir(b->cli, e);
	if (!b->dir || find_recipe(b, e) < 0)
		return -1;
	b->script = layout_data("build-template", e);
	b->guest = b->script ? layout_program("tmux-claude-guest", e) : NULL;
	if (!b->guest || dir_make(b->dir, 0755, e) < 0)
		return -1;
	b->out = xasprintf("%s/%s", b->dir, b->name);
	b->log = xasprintf("%s/%s.log", b->dir, b->name);
	b->live = !b->cli->g.json && isatty(2);
	return 0;
}

/* Progress. */

static void draw(struct build *b)
{
	char bar[BAR + 1], span[SPAN_MAX];
	int full = b->of > 0 ? b->done * BAR / b->of : 0;

	if (!b->live)
		return;
	for (int i = 0; i < BAR; i++)
		bar[i] = i < full ? '#' : '-';
	bar[BAR] = '\0';
	int width = b->cli->w.width ? b->cli->w.width : 80;
	cleanup_free char *line = xasprintf("[%s] %d/%d %5s  %s", bar, b->done, b->of,
		text_span(clock_mono_ms() - b->started_ms, span), b->text);
	cleanup_free char *cut = text_cut(line, (size_t)width - 1);
	fprintf(stderr, "\r\033[K%s", cut);
}

static void wipe(struct build *b)
{
	if (b->live)
		fputs("\r\033[K", stderr);
}

static void on_line(struct build *b, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, 0, NULL), *error = json_object_get(o, "error");

	if (json_is_object(error)) {
		err_set(&b->error, ERR_FAILED, "%s", jstr(error, "message"));
		err_hint(&b->error, "%s", jstr(error, "hint"));
	} else if (json_is_object(o)) {
		cleanup_free char *safe = text_escape(jstr(o, "text"), false);
		b->done = (int)jint(o, "done");
		b->of = (int)jint(o, "of");
		snprintf(b->text, sizeof(b->text), "%s", safe);
		if (b->live)
			draw(b);
		else
			cli_note(b->cli, "[%d/%d] %s", b->done, b->of, b->text);
	}
	json_decref(o);
}

static void take_lines(struct build *b, struct buf *in)
{
	for (;;) {
		unsigned char *data = buf_data(in);
		unsigned char *nl = in->len ? memchr(data, '\n', in->len) : NULL;
		if (!nl && buf_room(in) == 0)
			buf_clear(in);
		if (!nl)
			return;
		on_line(b, (char *)data, (size_t)(nl - data));
		buf_consume(in, (size_t)(nl - data) + 1);
	}
}

/* The script. */

static int spawn_script(struct build *b, int out, pid_t *pid, struct err *e)
{
	char *argv[] = {"bash", b->script, "--recipe", b->recipe, "--out", b->out, "--guest", b->guest,
		"--progress", "json", "--log", b->log, b->missing ? "--join" : NULL, NULL};
	struct proc_spec spec = {.argv = argv};

	proc_spec_fd(&spec, out, 1);
	return proc_spawn(&spec, pid, e);
}

/* Reads until the script is done, passing a signal on once. */
static void watch(struct build *b, int fd, pid_t pid)
{
	struct buf in;
	int64_t kill_at = -1;

	buf_init(&in, LINE_MAX_BYTES);
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = client_poll(&p, 1, clock_mono_ms() + TICK_MS, kill_at < 0 ? &cli_stop : NULL, NULL);
		if (r < 0 && cli_stop && kill_at < 0) {
			kill_at = clock_mono_ms() + END_MS;
			kill(pid, SIGTERM);
			snprintf(b->text, sizeof(b->text), "interrupted; cleaning up");
		}
		if (kill_at >= 0 && clock_mono_ms() >= kill_at)
			kill(pid, SIGKILL);
		draw(b);
		if (r <= 0)
			continue;
		size_t room = buf_room(&in);
		ssize_t n = read(fd, buf_reserve(&in, room), room);
		if (n == 0 || (n < 0 && errno != EINTR))
			break;
		if (n > 0)
			buf_added(&in, (size_t)n);
		take_lines(b, &in);
	}
	buf_finish(&in);
}

static int run(struct build *b, struct err *e)
{
	int p[2], status;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot start the build");
	b->started_ms = clock_mono_ms();
	int r = spawn_script(b, p[1], &pid, e);
	close(p[1]);
	if (r == 0) {
		watch(b, p[0], pid);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		wipe(b);
	}
	close(p[0]);
	if (r < 0)
		return -1;
	if (cli_stop)
		return err_set(e, ERR_CANCELLED, "interrupted; nothing was changed");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (b->error.code) {
		*e = b->error;
		return err_prefix(e, "the template '%s' was not built", b->name);
	}
	err_set(e, ERR_FAILED, "the template '%s' was not built: %s ended with status %d", b->name, b->script,
		WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return err_hint(e, "the whole story is in %s", b->log);
}

static int build(struct build *b, json_t **ret, struct err *e)
{
	if (prepare(b, e) < 0)
		return -1;
	b->missing = args_flag(&b->cli->args, "if_missing");
	if (b->missing) {
		*ret = template_read(b->dir, b->name, NULL);
		if (*ret && !json_is_true(json_object_get(*ret, "stale")))
			return 0;
		json_decref(*ret);
		*ret = NULL;
	}
	if (run(b, e) < 0)
		return -1;
	*ret = template_read(b->dir, b->name, e);
	return *ret ? 0 : -1;
}

int verb_template_build(struct cli *c)
{
	struct build b = {.cli = c};
	struct err e = {0};
	json_t *result = NULL;

	cli_catch_signals();
	int r = build(&b, &result, &e);
	if (r < 0) {
		build_finish(&b);
		return cli_fail(c, &e);
	}
	if (c->g.json)
		writer_json(&c->w, result);
	else
		writer_printf(&c->w, "%s\n", jstr(result, "path"));
	json_decref(result);
	build_finish(&b);
	return EXIT_DONE;
}
