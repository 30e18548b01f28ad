/* SPDX-License-Identifier: ISC */
/* Core's port to conversations: their rows, and the copies that shims make beside the recordings. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/world/world_int.h"

/* A start is told in one line of at most a MiB, in which every quote takes two bytes. */
#define BRANCH_MOST (640 * 1024)

static void check(struct world *w, int r, const struct err *e)
{
	if (r < 0)
		turn_failed(w->turn, e);
	else
		turn_touch(w->turn);
}

static void w_put(void *ctx, const struct transcript *t)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_transcript_put(w->store, t, &err), &err);
}

static void w_prompt_add(void *ctx, const char *instance, int64_t time_ms, const char *digest, enum seen_prompt how)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_transcript_prompt_add(w->store, instance, time_ms, digest, how, &err), &err);
}

static void w_prompts_trim(void *ctx, const char *instance)
{
	struct world *w = ctx;
	struct err err = {0};
	check(w, store_transcript_prompts_trim(w->store, instance, &err), &err);
}

static size_t w_prompt_times(void *ctx, const char *instance, const char *digest, int64_t since_ms, int64_t *times, size_t max)
{
	return store_transcript_prompt_times(((struct world *)ctx)->store, instance, digest, since_ms, times, max);
}

static size_t w_prompts_same(void *ctx, const struct prompt *p, int64_t since_ms, int64_t *created, size_t max)
{
	return store_prompts_same(((struct world *)ctx)->store, p, since_ms, created, max);
}

static bool named(char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

/* A variable of its program: *ret NULL when it has none. False: it was given a value that is not known any more. */
static bool variable(const struct instance *in, bool vm, const char *name, const char **ret)
{
	const char *value = json_string_value(json_object_get(in->env, name));

	if (!value && named(in->env_names, name))
		return false;
	*ret = value ? value : vm ? NULL : getenv(name);
	return true;
}

static char *w_root(void *ctx, const struct instance *in)
{
	const struct agent_program *prog = agent_or_gone(in->agent);
	const struct driver *d = driver_find(in->driver);
	bool vm = d && d->flags & DRIVER_SYSTEM;
	const char *dir = NULL, *home = NULL;

	(void)ctx;
	if (!d || !prog || !prog->transcript || !variable(in, vm, prog->transcript->dir_env, &dir) ||
		!variable(in, vm, "HOME", &home))
		return NULL;
	if (dir && *dir == '/')
		return xasprintf("%s/%s", dir, prog->transcript->below);
	const struct passwd *pw = home || vm ? NULL : getpwuid(getuid());
	if (!home)
		home = vm ? LAUNCH_VM_HOME : pw ? pw->pw_dir : "/";
	return xasprintf("%s/%s/%s", home, prog->transcript->home_dir, prog->transcript->below);
}

/* What a shim of a machine's own uid made: nothing in it is followed elsewhere. */
static int copy_open(struct world *w, const char *instance, const char *conversation)
{
	cleanup_free char *dir = xasprintf("%s/%s", w->layout->recordings_dir, instance);
	cleanup_free char *name = xasprintf("conversation-%s.jsonl", conversation);
	cleanup_close int at = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = at < 0 ? -1 : openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		return -1;
	}
	return fd;
}

static int64_t w_length(void *ctx, const char *instance, const char *conversation)
{
	cleanup_close int fd = copy_open(ctx, instance, conversation);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 ? (int64_t)st.st_size : 0;
}

static int64_t w_read(void *ctx, const char *instance, const char *conversation, int64_t from, void *buf, size_t size)
{
	cleanup_close int fd = copy_open(ctx, instance, conversation);
	size_t done = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -1;
	while (done < size && n != 0) {
		n = pread(fd, (char *)buf + done, size - done, (off_t)from + (off_t)done);
		if (n < 0 && errno != EINTR)
			return done ? (int64_t)done : -1;
		done += n > 0 ? (size_t)n : 0;
	}
	return (int64_t)done;
}

/* ---- branches ---- */

/* All of the copy, or of the user's own file; owned. */
static char *branch_text(struct world *w, const struct instance *in, const char *conversation, size_t *ret_len, struct err *e)
{
	char *text = NULL;

	if (in->branch_from[0] == '/') {
		if (file_read(in->branch_from, BRANCH_MOST, &text, ret_len, e) < 0)
			return NULL;
		return text;
	}
	int64_t len = w_length(w, in->branch_from, conversation);
	if (len <= 0) {
		err_set(e, ERR_NOT_FOUND, "nothing of the conversation %s is kept here", conversation);
		return NULL;
	}
	if (len > BRANCH_MOST) {
		err_set(e, ERR_LIMIT, "it has %lld bytes", (long long)len);
		return NULL;
	}
	text = xcalloc(1, (size_t)len + 1);
	len = w_read(w, in->branch_from, conversation, 0, text, (size_t)len);
	*ret_len = len > 0 ? (size_t)len : 0;
	return text;
}

int transcripts_branch(struct world *w, const struct instance *in, json_t *files, struct err *e)
{
	const struct transcript_format *format = agent_find(in->agent)->transcript;
	const char *conversation = in->branch_of ? in->branch_of : in->conversation;
	char path[TRANSCRIPT_PATH_MAX];
	size_t len = 0;
	cleanup_free char *root = w_root(w, in);
	cleanup_free char *text = branch_text(w, in, conversation, &len, e);

	if (!text) {
		err_prefix(e, "the conversation cannot be put into the machine");
		return err_hint(e, "at most %d bytes go into a machine; on the host driver there is no such bound", BRANCH_MOST);
	}
	json_t *content = json_stringn(text, len);
	if (!format || !root || !content || !format->path(in->dir, conversation, path)) {
		json_decref(content);
		return err_set(e, ERR_FAILED, "the conversation %s cannot be put into the machine: it is not whole, or not UTF-8", conversation);
	}
	cleanup_free char *whole = xasprintf("%s/%s", root, path);
	json_array_append_new(files, json_pack("{s:s, s:i, s:o, s:b}", "path", whole, "mode", 0600, "content", content, "if_absent", 1));
	return 0;
}

void transcripts_port(struct core_port *p)
{
	p->transcript_put = w_put;
	p->transcript_prompt_add = w_prompt_add;
	p->transcript_prompts_trim = w_prompts_trim;
	p->transcript_prompt_times = w_prompt_times;
	p->prompts_same = w_prompts_same;
	p->transcript_root = w_root;
	p->transcript_length = w_length;
	p->transcript_read = w_read;
}
