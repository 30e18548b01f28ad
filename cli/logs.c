/* SPDX-License-Identifier: ISC */
/*
 * logs: one call and its result; with --search the lines that were seen in the terminal, found by the
 * program that knows what terminals show (recording_child) and printed as they come. With --json an array,
 * written as it grows, so that no amount of matches takes memory.
 */
#include <regex.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/recording.h"

#define LINE_MAX_BYTES (256 * 1024)
#define PROGRESS_MS 1000

struct finder {
	struct cli *cli;
	json_int_t found, most; /* most: -1 all */
	int64_t began;
	bool progress, shown; /* stderr is a terminal; something stands there */
};

static void clear_progress(struct finder *f)
{
	if (f->shown)
		fputs("\r\033[K", stderr);
	f->shown = false;
}

static void show_progress(struct finder *f, const json_t *o)
{
	double first = (double)jint(o, "first"), end = (double)jint(o, "end"), at = (double)jint(o, "at");

	if (!f->progress || clock_mono_ms() - f->began < PROGRESS_MS || end <= first)
		return;
	fprintf(stderr, "\r\033[Ksearched %.0f%% of %.1f MB", 100 * (at - first) / (end - first), (end - first) / 1e6);
	f->shown = true;
}

static void show_line(struct finder *f, const json_t *o)
{
	const struct writer *w = &f->cli->w;
	char iso[CLOCK_ISO_MAX] = "";

	clear_progress(f);
	f->found++;
	if (json_is_integer(json_object_get(o, "ms")))
		clock_iso(jint(o, "ms"), iso);
	if (w->json) {
		json_t *line = json_pack("{s:I, s:s?, s:s}", "offset", jint(o, "offset"), "time", iso[0] ? iso : NULL, "line",
			jstr(o, "line"));
		fputs(f->found > 1 ? ",\n" : "[", w->out);
		json_dumpf(line, w->out, JSON_COMPACT);
		json_decref(line);
	} else {
		writer_printf(w, "%lld  %s  ", (long long)jint(o, "offset"), iso[0] ? iso : "-");
		writer_text(w, C_NONE, jstr(o, "line"));
		fputc('\n', w->out);
	}
	fflush(w->out);
}

/* One line of the child's: 1 when enough was printed. */
static int on_output(struct finder *f, const char *text, size_t len)
{
	json_t *o = json_loadb(text, len, 0, NULL);

	if (json_object_get(o, "line"))
		show_line(f, o);
	else if (json_object_get(o, "damage"))
		clear_progress(f), cli_note(f->cli, "%s", jstr(o, "damage"));
	else if (o)
		show_progress(f, o);
	json_decref(o);
	return f->found == f->most || writer_broken(&f->cli->w);
}

/* 0 at the end, 1 when it was ended. */
static int pump(struct finder *f, int fd)
{
	struct buf in;
	int enough = 0;

	buf_init(&in, LINE_MAX_BYTES);
	while (!enough) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		unsigned char *to = buf_reserve(&in, 4096), *nl;
		if (client_poll(&p, 1, -1, &cli_stop, NULL) < 0 || !to) {
			enough = 1;
			break;
		}
		ssize_t n = read(fd, to, 4096);
		if (n <= 0)
			break;
		buf_added(&in, (size_t)n);
		while (!enough && in.len && (nl = memchr(buf_data(&in), '\n', in.len))) {
			enough = on_output(f, (const char *)buf_data(&in), (size_t)(nl - buf_data(&in)));
			buf_consume(&in, (size_t)(nl - buf_data(&in)) + 1);
		}
	}
	clear_progress(f);
	buf_finish(&in);
	return enough;
}

/* "/RE/" and "/RE/i" are expressions: *ret is the pattern, owned; the result the child's option for it. */
static const char *pattern(const char *search, char **ret, struct err *e)
{
	size_t len = strlen(search);
	bool any_case = len > 2 && search[len - 1] == 'i' && search[len - 2] == '/';
	regex_t re;
	char why[160];
	int r;

	if (len == 0) {
		err_set(e, ERR_PARAMS, "--search: nothing to look for");
		return NULL;
	}
	if (search[0] != '/' || len < (any_case ? 4u : 3u) || (!any_case && search[len - 1] != '/')) {
		*ret = xstrdup(search);
		return "--text";
	}
	*ret = xstrndup(search + 1, len - (any_case ? 3 : 2));
	r = regcomp(&re, *ret, REG_EXTENDED | REG_NOSUB);
	if (r == 0) {
		regfree(&re);
		return any_case ? "--iregex" : "--regex";
	}
	regerror(r, &re, why, sizeof(why));
	err_set(e, ERR_PARAMS, "--search: the expression cannot be understood: %s", why);
	return NULL;
}

static int search(struct cli *c, const char *option, char *text, struct err *e)
{
	const json_t *most = json_object_get(c->args.params, "lines");
	struct finder f = {.cli = c, .most = most ? json_integer_value(most) : -1, .began = clock_mono_ms(),
		.progress = isatty(2) && !c->g.json};
	struct source where = {0};
	int fd, status = 0;
	pid_t pid;

	if (source_find(c, jstr(c->args.params, "id"), &where, e) < 0)
		return -1;
	char *argv[] = {NULL, "--search", where.dir, (char *)option, text, NULL};
	int r = access(where.dir, F_OK) < 0 ? err_set(e, ERR_NOT_FOUND, "nothing was recorded, or it was removed")
					    : recording_child(argv, false, &fd, &pid, e);
	source_finish(&where);
	if (r < 0)
		return -1;
	if (f.most != 0 && pump(&f, fd) == 0) {
		waitpid(pid, &status, 0);
		if (status != 0)
			r = err_set(e, ERR_FAILED, "the recording could not be searched to its end");
	} else {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	close(fd);
	if (c->g.json && r == 0)
		fputs(f.found ? "]\n" : "[]\n", c->w.out);
	if (r == 0 && f.found == 0 && !cli_stop)
		cli_note(c, "No line that was seen holds that.");
	return r;
}

int verb_logs(struct cli *c)
{
	const char *what = args_string(&c->args, "search");
	cleanup_free char *text = NULL;
	struct err e = {0};

	if (!what)
		return cli_generic(c);
	cli_catch_signals();
	const char *option = pattern(what, &text, &e);
	if (!option)
		return cli_fail_usage(c, &e);
	if (search(c, option, text, &e) < 0)
		return cli_fail(c, &e);
	return cli_stop ? 128 + cli_stop : EXIT_DONE;
}
