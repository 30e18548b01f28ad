/* SPDX-License-Identifier: ISC */
/* Conversations that begin elsewhere: a branch of another instance's, and one that the user began by hand. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "daemon/api/api_int.h"
#include "daemon/model/label.h"

#define READ_MS 10000        /* for what the other wrote last to be copied */
#define HEAD_MAX (256 * 1024)
#define RUNNING_MAX (64 * 1024)

/* ---- fork ---- */

/* Its environment is the other's, over which goes what was given. */
static int env_of(struct call *c, const struct instance *of, struct instance *in, struct err *e)
{
	json_t *given = json_object_get(c->params, "env");

	for (char *const *n = of->env_names; n && *n; n++) {
		if (json_object_get(of->env, *n) || json_object_get(given, *n))
			continue;
		err_set(e, ERR_STATE, "the value of its variable %.100s is not known any more: the daemon was restarted", *n);
		return err_hint(e, "give it again with --env %.100s=...", *n);
	}
	in->env = of->env ? json_deep_copy(of->env) : json_object();
	json_object_update(in->env, given);
	return 0;
}

static int labels_of(struct call *c, struct instance *in, struct err *e)
{
	if (!json_is_object(json_object_get(c->params, "label")))
		return 0;
	json_decref(in->labels);
	in->labels = json_deep_copy(json_object_get(c->params, "label"));
	return labels_check(in->labels, e);
}

static struct instance *branch_new(struct call *c, const struct instance *of, struct err *e)
{
	struct instance *in = instance_new();

	in->name = xstrdup(call_str(c, "name"));
	in->driver = xstrdup(of->driver);
	in->agent = xstrdup(of->agent);
	in->dir = xstrdup(of->dir);
	in->template_name = xstrdup(of->template_name);
	in->model = xstrdup(call_str(c, "model") ?: of->model);
	in->argv = of->argv ? strv_copy(of->argv) : NULL;
	in->allow = of->allow ? strv_copy(of->allow) : NULL;
	in->permissions = of->permissions;
	in->cpus = of->cpus;
	in->memory_mib = of->memory_mib;
	in->rows = of->rows;
	in->cols = of->cols;
	in->rm = call_bool(c, "rm");
	in->branch_of = xstrdup(of->conversation);
	in->branch_from = xstrdup(of->id);
	const char *parent = call_str(c, "parent");
	const struct instance *p = parent && !c->who.instance ? fleet_resolve(c->w->fleet, &c->who, parent, e) : NULL;
	if (p)
		memcpy(in->parent, p->id, ID_SIZE);
	if ((parent && !c->who.instance && !p) || labels_of(c, in, e) < 0 || caps_asked(c, in, e) < 0 || env_of(c, of, in, e) < 0) {
		instance_free(in);
		return NULL;
	}
	return in;
}

/* What it wrote so far is kept here, or as much of it as could be had. */
static void branch(void *arg, const struct instance *of, bool read)
{
	struct call *c = arg;
	struct err err = {0};
	struct spawn_args a = {.prompt = call_str(c, "prompt"), .wait = !call_bool(c, "no_wait"), .progress = call_progress,
		.done = call_started, .arg = c};

	(void)read;
	if (!of)
		err_set(&err, ERR_NOT_FOUND, "the instance was removed meanwhile");
	else
		a.in = branch_new(c, of, &err);
	if (!a.in || fleet_spawn(c->w->fleet, &c->who, &a, c->started, &err) < 0) {
		c->started[0] = 0;
		turn_answer_error(c, &err);
	}
}

void api_FORK(struct call *c)
{
	struct instance *of = call_target(c, "id");
	const struct agent_program *prog;
	char path[TRANSCRIPT_PATH_MAX];
	struct err err = {0};

	if (!of)
		return;
	prog = agent_find(of->agent);
	if (!prog || !prog->transcript)
		err_set(&err, ERR_PARAMS, "a conversation of '%s' cannot be branched", of->agent);
	else if (strcmp(of->driver, "host") && !prog->transcript->path(of->dir, of->conversation ? of->conversation : "", path))
		err_set(&err, ERR_PARAMS, "a conversation of '%s' cannot be put into another machine", of->agent);
	else if (!of->conversation || !of->turns)
		err_set(&err, ERR_STATE, "instance %s has no conversation yet: no turn of it has ended", of->id);
	if (err.code) {
		call_error(c, &err);
		return;
	}
	fleet_transcript_read(c->w->fleet, of, READ_MS, branch, c);
}

/* ---- adoption ---- */

/* ROOT/FOLDER/ID.jsonl; owned. */
static char *find_file(const char *root, const char *id)
{
	DIR *d = opendir(root);
	const struct dirent *de;
	char *found = NULL;

	while (d && !found && (de = readdir(d))) {
		cleanup_free char *path = xasprintf("%s/%s/%s.jsonl", root, de->d_name, id);
		struct stat st;
		if (de->d_name[0] != '.' && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
			found = take_ptr(path);
	}
	if (d)
		closedir(d);
	return found;
}

/* The process that has this conversation open, by its program's own word; 0: none. */
static pid_t still_runs(const char *folder, const char *id)
{
	DIR *d = opendir(folder);
	const struct dirent *de;
	pid_t pid = 0;

	while (d && !pid && (de = readdir(d))) {
		cleanup_free char *path = xasprintf("%s/%s", folder, de->d_name), *text = NULL;
		size_t len;
		if (de->d_name[0] == '.' || file_read(path, RUNNING_MAX, &text, &len, NULL) < 0)
			continue;
		json_t *o = json_loadb(text, len, 0, NULL);
		const char *of = json_string_value(json_object_get(o, "sessionId"));
		json_int_t n = json_integer_value(json_object_get(o, "pid"));
		/* Its file stays behind when it was killed. */
		if (of && !strcmp(of, id) && n > 1 && n < INT32_MAX && (kill((pid_t)n, 0) == 0 || errno == EPERM))
			pid = (pid_t)n;
		json_decref(o);
	}
	if (d)
		closedir(d);
	return pid;
}

/* The folder it was begun in, by the first line that says so; owned, NULL: none does. */
static char *folder_of(const char *path)
{
	cleanup_free char *head = xcalloc(1, HEAD_MAX + 1);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? 0 : read(fd, head, HEAD_MAX);
	char *dir = NULL, *save = NULL;

	for (char *l = n > 0 ? strtok_r(head, "\n", &save) : NULL; l && !dir; l = strtok_r(NULL, "\n", &save)) {
		json_t *o = json_loads(l, 0, NULL);
		dir = xstrdup(json_string_value(json_object_get(o, "cwd")));
		json_decref(o);
	}
	return dir;
}

static int may_adopt(struct call *c, const char *id, const char *root, const struct transcript_format *format, struct err *e)
{
	for (size_t i = 0; i < fleet_count(c->w->fleet); i++) {
		const struct instance *other = fleet_at(c->w->fleet, i);
		if (state_final(other->state) || !other->conversation || strcmp(other->conversation, id))
			continue;
		err_set(e, ERR_EXISTS, "instance %s goes on with that conversation already", other->id);
		return err_hint(e, "tmux-claude fork %s begins a branch of it", other->id);
	}
	if (!format->running)
		return 0;
	cleanup_free char *running = xasprintf("%.*s/%s", (int)(strlen(root) - strlen(format->below)), root, format->running);
	pid_t pid = still_runs(running, id);
	if (!pid)
		return 0;
	err_set(e, ERR_BUSY, "process %d still has that conversation open", (int)pid);
	return err_hint(e, "end it first (/exit); two that write to one conversation spoil it");
}

/* One in its program's own storage: whether it is there says the program, by its exit. */
static int adopt_stored(struct call *c, struct instance *in, const struct agent_program *prog, const char *id, struct err *e)
{
	if (may_adopt(c, id, NULL, prog->transcript, e) < 0)
		return -1;
	if (in->driver && strcmp(in->driver, "host")) {
		err_set(e, ERR_PARAMS, "a conversation of %s cannot be put into a machine", prog->name);
		return err_hint(e, "use --driver host");
	}
	if (!in->dir) {
		err_set(e, ERR_PARAMS, "where the conversation was begun is not known");
		return err_hint(e, "name its folder with --dir");
	}
	in->conversation = xstrdup(id);
	in->turns = 1; /* there is something to resume */
	return 0;
}

int adopt_asked(struct call *c, struct instance *in, struct err *e)
{
	const char *id = call_str(c, "conversation");
	const struct agent_program *prog = agent_find(in->agent ? in->agent : config_string(c->w->config, OPT_AGENT));
	char path[TRANSCRIPT_PATH_MAX];

	if (c->who.instance)
		return err_set(e, ERR_DENIED, "conversations of the user are the operator's to give away");
	if (!prog || !prog->transcript)
		return err_set(e, ERR_PARAMS, "of this agent no conversation can be adopted");
	if (prog->transcript->is_id ? !prog->transcript->is_id(id) : !prog->transcript->path("/", id, path))
		return err_set(e, ERR_PARAMS, "'%.80s' is no conversation's id", id);
	if (!prog->transcript->running)
		return adopt_stored(c, in, prog, id, e);
	struct instance here = {.driver = (char *)"host", .agent = (char *)prog->name, .env = in->env};
	cleanup_free char *root = c->w->port.transcript_root(c->w, &here);
	cleanup_free char *file = root ? find_file(root, id) : NULL;
	if (!file) {
		err_set(e, ERR_NOT_FOUND, "there is no conversation %s below %s", id, root ? root : "your home");
		return err_hint(e, "in the program itself, /status shows the id of the conversation");
	}
	if (may_adopt(c, id, root, prog->transcript, e) < 0)
		return -1;
	if (!in->dir)
		in->dir = folder_of(file);
	in->conversation = xstrdup(id);
	in->branch_from = take_ptr(file);
	in->turns = 1; /* there is something to resume */
	return 0;
}
