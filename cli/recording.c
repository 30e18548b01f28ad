/* SPDX-License-Identifier: ISC */
/* The recorded bytes of an instance's terminal, from the files; and where they are. */
#include "cli/recording.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/proc.h"
#include "base/sock.h"
#include "base/util.h"
#include "record/tape.h"

#define PIECE 65536
#define PLACE_JSON_MAX (1024 * 1024)

void source_finish(struct source *s)
{
	free(s->id);
	free(s->dir);
	free(s->socket);
	*s = (struct source){0};
}

static bool is_recording(const char *all, const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", all, name);
	struct stat st;

	return name[0] != '.' && lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Names are known to the daemon alone; recordings are named by ids. */
static int find_files(struct cli *c, const char *id, struct source *ret, struct err *e)
{
	struct err why = *e;
	const struct dirent *ent;
	char *found = NULL;
	int n = 0;

	if (c->g.socket || cli_layout(c, e) < 0)
		return -1;
	const char *all = c->layout.recordings_dir;
	DIR *d = strlen(id) >= 2 ? opendir(all) : NULL;
	while (d && (ent = readdir(d))) {
		if (!str_starts(ent->d_name, id) || !is_recording(all, ent->d_name))
			continue;
		free(found);
		found = xstrdup(ent->d_name);
		n++;
	}
	if (d)
		closedir(d);
	if (n != 1) {
		free(found);
		*e = why;
		return n ? err_hint(e, "without it an id is needed, and %d begin with %.20s", n, id)
			 : err_hint(e, "start it with `tmux-claude up`; without it only recordings can be read, by their instance's id");
	}
	ret->id = found;
	ret->dir = xasprintf("%s/%s", all, found);
	return 0;
}

static bool place_holds(const char *place, const char *id)
{
	cleanup_free char *path = xasprintf("%s/place.json", place), *text = NULL;
	const json_t *name;
	bool found = false;
	size_t len, i;

	if (file_read(path, PLACE_JSON_MAX, &text, &len, NULL) < 0)
		return false;
	json_t *o = json_loadb(text, len, 0, NULL);
	json_array_foreach(json_object_get(o, "instances"), i, name)
		found = found || (json_is_string(name) && !strcmp(json_string_value(name), id));
	json_decref(o);
	return found;
}

int source_find_shim(struct cli *c, struct source *s, struct err *e)
{
	const struct dirent *ent;
	char *found = NULL;

	if (cli_layout(c, e) < 0)
		return -1;
	DIR *d = opendir(c->layout.places_dir);
	while (d && !found && (ent = readdir(d))) {
		cleanup_free char *place = xasprintf("%s/%s", c->layout.places_dir, ent->d_name);
		cleanup_free char *sock = xasprintf("%s/shim.sock", place);
		/* The sockets of a place that ended are removed, the rest of it is kept for a restart. */
		if (ent->d_name[0] != '.' && access(sock, F_OK) == 0 && place_holds(place, s->id))
			found = take_ptr(sock);
	}
	if (d)
		closedir(d);
	cleanup_close int fd = -1;
	if (found && sock_connect(found, &fd, NULL) < 0) {
		free(found);
		err_set(e, ERR_UNREACHABLE, "the place of instance %s does not answer, and there is no daemon to say whether it lives",
			s->id);
		return err_hint(e, "start it with `tmux-claude up`; without --follow what was recorded can be read");
	}
	s->socket = found;
	return 0;
}

int source_find(struct cli *c, const char *id, struct source *ret, struct err *e)
{
	json_t *where = NULL;

	source_finish(ret);
	if (cli_call(c, "read", json_pack("{s:s, s:b}", "id", id, "raw", 1), -1, &where, e) < 0)
		return e->code == ERR_UNREACHABLE ? find_files(c, id, ret, e) : -1;
	const char *socket = jstr(json_object_get(where, "stream"), "socket");
	ret->id = xstrdup(jstr(where, "instance"));
	ret->dir = xstrdup(jstr(where, "recording"));
	ret->socket = socket[0] ? xstrdup(socket) : NULL;
	json_decref(where);
	return 0;
}

static void damaged(void *arg, const char *text)
{
	cli_note(arg, "%s", text);
}

int recording_read(struct cli *c, const char *dir, int64_t since, recording_fn *fn, void *arg, uint64_t *ret_end,
	struct err *e)
{
	cleanup_free char *piece = xcalloc(1, PIECE);
	struct tape *t = NULL;
	ssize_t n;

	if (tape_open(AT_FDCWD, dir, &t, e) < 0)
		return e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "nothing was recorded, or it was removed") : -1;
	tape_on_damage(t, damaged, c);
	uint64_t at = since < 0 ? tape_first(t) : (uint64_t)since;
	while ((n = tape_read(t, at, piece, PIECE, &at, e)) > 0 && !cli_stop) {
		if (fn(arg, at, piece, (size_t)n) != 0)
			break;
		at += (uint64_t)n;
	}
	if (ret_end)
		*ret_end = at;
	tape_close(t);
	return n < 0 ? -1 : 0;
}

int recording_child(char **argv, bool quiet, int *ret_fd, pid_t *ret_pid, struct err *e)
{
	cleanup_free char *program = layout_program("tmux-claude-shim", e);
	struct proc_spec spec = {.file = program, .argv = argv};
	int out[2];

	if (!program)
		return -1;
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot make a pipe");
	argv[0] = program;
	proc_spec_fd(&spec, out[1], 1);
	if (!quiet)
		proc_spec_fd(&spec, 2, 2);
	int r = proc_spawn(&spec, ret_pid, e);
	close(out[1]);
	if (r < 0)
		close(out[0]);
	else
		*ret_fd = out[0];
	return r;
}
