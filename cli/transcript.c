/* SPDX-License-Identifier: ISC */
/*
 * transcript: what was said, page by page. --follow watches the folder of the copies (the daemon says where that is)
 * and asks again when one of them grew. --raw, and what is exported with it, is the copy itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

#define EXPORT_TEXT (256 * 1024)
#define LOOK_MS 500 /* where inotify is not to be had */
#define LINES_OF_RESULT 6
#define CALL_WIDTH 200

struct show {
	struct cli *cli;
	FILE *out;
	const char *file; /* or NULL */
	char *unfinished; /* written until all that there is is in it: what was exported before stays until then */
	bool markdown, raw;
	char conversation[64]; /* of what was shown last */
	long long entries;
};

static enum color color_of(const char *kind)
{
	if (!strcmp(kind, "prompt") || !strcmp(kind, "queued"))
		return C_BOLD;
	if (!strcmp(kind, "tool"))
		return C_CYAN;
	return !strcmp(kind, "text") ? C_NONE : C_DIM;
}

/* The part of a call that says what it is about, on one line; owned. */
static char *call_words(const json_t *e)
{
	static const char *const keys[] = {"command", "file_path", "notebook_path", "url", "query", "pattern", "description",
		"prompt", "plan", "path", "skill"};
	const json_t *input = json_object_get(e, "input");
	const char *what = NULL;

	for (size_t i = 0; i < ARRAY_LEN(keys) && !what; i++)
		what = json_string_value(json_object_get(input, keys[i]));
	cleanup_free char *all = what || !json_object_size(input) ? NULL : json_dumps(input, JSON_COMPACT);
	cleanup_free char *escaped = text_escape(what ? what : all ? all : "", false);
	return text_cut(escaped, CALL_WIDTH);
}

/* The first lines of a text; owned. */
static char *first_lines(const char *s, int n)
{
	const char *p = s;

	while (*p && n > 0)
		n -= *p++ == '\n';
	return *p ? xasprintf("%.*s...", (int)(p - s), s) : xstrdup(s);
}

static void show_text(struct show *s, const json_t *e)
{
	const struct writer *w = &s->cli->w;
	const char *kind = jstr(e, "kind"), *text = jstr(e, "text");
	bool side = json_is_true(json_object_get(e, "side"));

	if (side)
		writer_text(w, C_DIM, "(subagent) ");
	if (!strcmp(kind, "tool")) {
		cleanup_free char *words = call_words(e);
		writer_text(w, C_CYAN, jstr(e, "tool"));
		writer_printf(w, "%s", *words ? ": " : "");
		writer_text(w, C_NONE, words);
		fputs("\n\n", w->out);
		return;
	}
	cleanup_free char *some = !strcmp(kind, "result") || !strcmp(kind, "thinking") ? first_lines(text, LINES_OF_RESULT) : xstrdup(text);
	if (!strcmp(kind, "prompt") || !strcmp(kind, "queued"))
		writer_text(w, C_BOLD, !strcmp(kind, "prompt") ? "> " : "> (queued) ");
	else if (!strcmp(kind, "result"))
		writer_text(w, json_is_true(json_object_get(e, "error")) ? C_RED : C_DIM, json_is_true(json_object_get(e, "error")) ? "failed: " : "result: ");
	else if (!strcmp(kind, "compact"))
		writer_text(w, C_DIM, "(all before was summarised) ");
	writer_text(w, color_of(kind), some);
	fputs("\n\n", w->out);
}

/* A fence that the text does not hold. */
static void fenced(FILE *out, const char *text)
{
	char fence[32] = "```";

	while (strstr(text, fence) && strlen(fence) + 1 < sizeof(fence))
		strcat(fence, "`");
	fprintf(out, "%s\n%s%s%s\n\n", fence, text, *text && text[strlen(text) - 1] == '\n' ? "" : "\n", fence);
}

static void show_markdown(struct show *s, const json_t *e)
{
	const char *kind = jstr(e, "kind");
	cleanup_free char *text = text_escape(jstr(e, "text"), true);
	json_int_t cut = jint(e, "cut");
	char iso[CLOCK_ISO_MAX] = "";

	if (json_is_integer(json_object_get(e, "time")))
		clock_iso(jint(e, "time"), iso);
	if (!strcmp(kind, "prompt") || !strcmp(kind, "queued")) {
		fprintf(s->out, "## Prompt%s%s\n\n", *iso ? ", " : "", iso);
		fenced(s->out, text);
	} else if (!strcmp(kind, "tool")) {
		char *input = json_dumps(json_object_get(e, "input"), JSON_INDENT(1) | JSON_ENCODE_ANY);
		cleanup_free char *name = text_escape(jstr(e, "tool"), false), *safe = text_escape(input ? input : "", true);
		fprintf(s->out, "**Tool: %s**\n\n", name);
		fenced(s->out, safe);
		free(input);
	} else if (!strcmp(kind, "result")) {
		fprintf(s->out, "Result%s:\n\n", json_is_true(json_object_get(e, "error")) ? " (failed)" : "");
		fenced(s->out, text);
	} else if (!strcmp(kind, "text")) {
		fprintf(s->out, "%s\n\n", text);
	} else {
		fprintf(s->out, "*%s*\n\n", kind);
		fenced(s->out, text);
	}
	if (cut)
		fprintf(s->out, "(%lld bytes are left out)\n\n", (long long)cut);
}

static void show_entry(struct show *s, const json_t *e)
{
	const char *conversation = jstr(e, "conversation");

	s->entries++;
	if (s->cli->g.json) {
		writer_json_line(&s->cli->w, e);
		return;
	}
	if (s->conversation[0] && strcmp(s->conversation, conversation) != 0)
		fprintf(s->out, s->markdown ? "# Conversation %s\n\n" : "--- conversation %s ---\n\n", conversation);
	str_fmt(s->conversation, sizeof(s->conversation), "%s", conversation);
	if (s->markdown)
		show_markdown(s, e);
	else
		show_text(s, e);
	if (!s->markdown)
		fflush(s->cli->w.out);
}

/* One page; *ret new reference. */
static int page(struct show *s, const char *id, const char *conversation, json_int_t since, json_int_t last, json_t **ret, struct err *e)
{
	json_t *params = json_pack("{s:s, s:I}", "id", id, "since", since);

	if (conversation)
		json_object_set_new(params, "conversation", json_string(conversation));
	if (last > 0)
		json_object_set_new(params, "last", json_integer(last));
	if (s->markdown)
		json_object_set_new(params, "text_max", json_integer(EXPORT_TEXT));
	return cli_call(s->cli, "transcript", params, -1, ret, e);
}

/* The copy itself, from an offset on; *at: behind its last byte. */
static int show_raw(struct show *s, const char *copy, json_int_t *at, struct err *e)
{
	cleanup_free char *piece = xcalloc(1, 65536);
	cleanup_close int fd = open(copy, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open the copy %s", copy);
	off_t data = lseek(fd, (off_t)*at, SEEK_DATA); /* what was given up for the bound is a hole */
	if (data > (off_t)*at)
		*at = (json_int_t)data;
	while (!cli_stop && (n = pread(fd, piece, 65536, (off_t)*at)) > 0) {
		fwrite(piece, 1, (size_t)n, s->out);
		*at += n;
	}
	fflush(s->out);
	return 0;
}

/* Everything from *at on that there is now. */
static int show_rest(struct show *s, const char *id, const char *conversation, json_int_t *at, json_int_t last, json_t **ret_page, struct err *e)
{
	bool more = true;

	while (more && !cli_stop && !writer_broken(&s->cli->w)) {
		json_t *p = NULL, *one;
		size_t i;
		json_int_t before = *at;

		if (page(s, id, conversation, *at, last, &p, e) < 0)
			return -1;
		if (s->raw) {
			if (show_raw(s, jstr(p, "copy"), at, e) < 0) {
				json_decref(p);
				return -1;
			}
		} else {
			json_array_foreach(json_object_get(p, "entries"), i, one)
				show_entry(s, one);
			*at = jint(p, "next");
		}
		more = !s->raw && !last && *at > before;
		last = 0;
		json_decref(*ret_page);
		*ret_page = p;
	}
	return 0;
}

/* Waits until something in the folder of the copies was written; for a while, where that cannot be watched (a user has
 * few descriptors for it). */
static bool grew(int fd)
{
	char buf[8192] __attribute__((aligned(__alignof__(struct inotify_event))));

	if (fd < 0)
		return client_poll(NULL, 0, clock_mono_ms() + LOOK_MS, &cli_stop, NULL) >= 0;
	while (!cli_stop) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (client_poll(&p, 1, -1, &cli_stop, NULL) < 0)
			return false;
		ssize_t n = read(fd, buf, sizeof(buf));
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const void *)(buf + at);
			if (ev->len && str_starts(ev->name, "conversation-"))
				return true;
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
	return false;
}

static int follow(struct show *s, const char *id, json_int_t *at, json_t **last_page, struct err *e)
{
	cleanup_free char *dir = xstrdup(jstr(*last_page, "copy")), *now = xstrdup(jstr(*last_page, "conversation"));
	cleanup_close int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char *slash = strrchr(dir, '/');

	if (slash)
		*slash = '\0';
	if (fd >= 0 && inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE) < 0)
		close(take_fd(&fd));
	for (bool living = true; living && !cli_stop && !writer_broken(&s->cli->w);) {
		if (show_rest(s, id, now, at, 0, last_page, e) < 0)
			return -1;
		living = json_is_true(json_object_get(*last_page, "living"));
		const json_t *all = json_object_get(*last_page, "conversations");
		const char *newest = jstr(json_array_get(all, json_array_size(all) - 1), "conversation");
		if (strcmp(newest, now) != 0) { /* it began another */
			free(now);
			now = xstrdup(newest);
			*at = 0;
			continue;
		}
		if (living && !grew(fd))
			break;
	}
	return 0;
}

/* All that there is now is written: it takes the place of what was exported before. */
static int exported(struct show *s, struct err *e)
{
	if (!s->unfinished || cli_stop)
		return 0;
	if (fflush(s->out) != 0 || ferror(s->out) || rename(s->unfinished, s->file) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot write %s", s->file);
	free(take_ptr(s->unfinished));
	return 0;
}

static int show_all(struct show *s, const char *id, bool all, struct err *e)
{
	const json_t *params = s->cli->args.params;
	const char *one = json_string_value(json_object_get(params, "conversation"));
	json_int_t at = jint(params, "since"), last = s->markdown ? 0 : jint(params, "last");
	json_t *got = NULL, *list, *o;
	size_t i;
	int r = 0;

	if (all) {
		if (page(s, id, NULL, 0, 1, &got, e) < 0)
			return -1;
		list = json_incref(json_object_get(got, "conversations"));
		json_array_foreach(list, i, o) {
			at = 0;
			r = r == 0 ? show_rest(s, id, jstr(o, "conversation"), &at, 0, &got, e) : r;
		}
		json_decref(list);
	} else {
		r = show_rest(s, id, one, &at, last, &got, e);
	}
	bool follows = args_flag(&s->cli->args, "follow");
	if (r == 0 && s->markdown && s->entries == 0 && !follows)
		fputs("(nothing was said yet)\n", s->out);
	if (r == 0)
		r = exported(s, e);
	if (r == 0 && follows)
		r = follow(s, id, &at, &got, e);
	json_decref(got);
	return r;
}

int verb_transcript(struct cli *c)
{
	const char *file = args_string(&c->args, "export");
	struct show s = {.cli = c, .out = c->w.out, .raw = args_flag(&c->args, "raw"), .markdown = false};
	struct err e = {0};
	int fd = -1;

	cli_catch_signals();
	s.markdown = file && !s.raw && !c->g.json;
	if (file && strcmp(file, "-") != 0) {
		struct stat st;
		bool plain = lstat(file, &st) < 0 || S_ISREG(st.st_mode); /* a pipe, or what a link leads to, is written as it is */
		s.file = file;
		s.unfinished = plain ? xasprintf("%s.part", file) : NULL;
		fd = open(plain ? s.unfinished : file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		s.out = fd < 0 ? NULL : fdopen(fd, "w");
		if (!s.out) {
			err_set_errno(&e, ERR_IO, errno, "cannot write %s", plain ? s.unfinished : file);
			free(s.unfinished);
			return cli_fail(c, &e);
		}
		c->w.out = s.out;
	}
	int r = show_all(&s, jstr(c->args.params, "id"), args_flag(&c->args, "all") || (file && !json_object_get(c->args.params, "conversation")), &e);
	if (fd >= 0) {
		c->w.out = stdout;
		if (fclose(s.out) != 0 && r == 0)
			r = err_set_errno(&e, ERR_IO, errno, "cannot write %s", file);
		if (s.unfinished)
			unlink(s.unfinished);
		free(s.unfinished);
	}
	if (r < 0)
		return cli_fail(c, &e);
	return cli_stop ? 128 + cli_stop : EXIT_DONE;
}
