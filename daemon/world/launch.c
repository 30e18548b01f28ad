/* SPDX-License-Identifier: ISC */
/* What a place and a program are told at their start: checks and defaults, setup, command line, environment. */
#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/agent/custom.h"
#include "daemon/driver/folder.h"
#include "login/account.h"
#include "daemon/world/world_int.h"
#include "ipc/hostport.h"

#define VM_USER "agent"
#define VM_HOME LAUNCH_VM_HOME
#define VM_UID 1000 /* of the agent in a VM when the folder is root's */
#define VM_PROXY "http://127.0.0.1:3128"
#define VM_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
#define SEED_BYTES 64

char **launch_allow(struct world *w, const struct instance *in)
{
	cleanup_free char *list = xstrdup(config_string(w->config, OPT_ALLOW));
	char **all = strv_new(), *save = NULL;

	for (char *word = strtok_r(list, " \t", &save); word; word = strtok_r(NULL, " \t", &save))
		strv_push(&all, word);
	for (char **a = in->allow; a && *a; a++)
		strv_push(&all, *a);
	return all;
}

static void fill(char **where, const char *value)
{
	if (!*where)
		*where = xstrdup(value);
}

/* What the agent's program is called on this host. */
static const char *program_path(struct world *w, const char *agent)
{
	if (!strcmp(agent, "codex"))
		return config_string(w->config, OPT_CODEX_PATH);
	if (!strcmp(agent, "opencode"))
		return config_string(w->config, OPT_OPENCODE_PATH);
	return config_string(w->config, OPT_CLAUDE_PATH);
}

static void fill_agent_place(struct world *w, const struct instance *in, const struct place *p,
	const struct driver *d, char *run_dir, size_t size, struct agent_place *pl)
{
	bool vm = d->flags & DRIVER_SYSTEM;
	struct passwd *pw = getpwuid(getuid());

	memset(pl, 0, sizeof(*pl));
	pl->isolated = d->flags & DRIVER_ISOLATED;
	pl->guest_program = d->guest_program(&w->env);
	pl->run_dir = p ? d->run_dir(&w->env, p, run_dir, size) : NULL;
	pl->program_path = vm ? in->agent : program_path(w, in->agent);
	pl->user = vm ? VM_USER : pw ? pw->pw_name : "root";
	pl->home = vm ? VM_HOME : getenv("HOME") ?: pw ? pw->pw_dir : "/";
	pl->shell = vm ? "/bin/bash" : getenv("SHELL") ?: "/bin/sh";
	pl->shell_marks = config_int(w->config, OPT_SHELL_MARKS);
	pl->proxy_url = d->flags & DRIVER_EGRESS ? VM_PROXY : NULL;
}

/* ---- defaults and checks, before anything is written ---- */

static int check_allow(struct instance *in, const struct driver *d, struct err *e)
{
	for (char **a = in->allow; a && *a; a++) {
		struct hostport hp;
		if (!(d->flags & DRIVER_EGRESS)) {
			err_set(e, ERR_PARAMS, "the driver %s enforces no way out, so --allow means nothing there",
				d->name);
			return err_hint(e, "leave --allow away, or use --driver qemu");
		}
		if (hostport_parse(*a, &hp, e) < 0)
			return -1;
	}
	return 0;
}

int launch_check(void *ctx, struct instance *in, struct err *e)
{
	struct world *w = ctx;
	const struct driver *d;
	const struct agent_program *prog;
	struct agent_place pl;
	struct err file = {0};
	cleanup_free char *real = NULL;

	fill(&in->driver, config_string(w->config, OPT_DRIVER));
	fill(&in->agent, config_string(w->config, OPT_AGENT));
	fill(&in->template_name, config_string(w->config, OPT_TEMPLATE));
	d = driver_find(in->driver);
	if (!d) {
		cleanup_free char *names = driver_names();
		err_set(e, ERR_PARAMS, "there is no driver '%.64s'", in->driver);
		return err_hint(e, "choose one of: %s", names);
	}
	if (custom_read(in->agent, &file) < 0 && file.code != ERR_NOT_FOUND && !agent_builtin(in->agent)) {
		*e = file;
		return -1;
	}
	prog = agent_find(in->agent);
	if (!prog) {
		cleanup_free char *names = agent_names();
		err_set(e, ERR_PARAMS, "there is no agent '%.64s'", in->agent);
		return err_hint(e, "choose one of: %s", names);
	}
	if (folder_check(w->layout, in->dir, &real, e) < 0)
		return -1;
	if (in->id[0] && strcmp(real, in->dir)) {
		err_set(e, ERR_DENIED, "the folder %s leads elsewhere now (%s)", in->dir, real);
		return err_hint(e, "somebody made it a link; spawn a new instance where you want one");
	}
	free(in->dir);
	in->dir = take_ptr(real);
	if (!in->cpus)
		in->cpus = config_int(w->config, OPT_CPUS);
	if (!in->memory_mib)
		in->memory_mib = config_int(w->config, OPT_MEMORY);
	if (!in->rows)
		in->rows = (int)w->settings.rows;
	if (!in->cols)
		in->cols = (int)w->settings.cols;
	/* The program's word first: where it does not run at all no template helps. */
	fill_agent_place(w, in, NULL, d, NULL, 0, &pl);
	if ((prog->check && prog->check(in, &pl, e) < 0) || check_allow(in, d, e) < 0 || d->check(&w->env, in, e) < 0)
		return -1;
	in->vm_memory_mib = d->flags & DRIVER_SYSTEM ? in->memory_mib : 0;
	if (!in->vm_disk_mib) /* started again, it keeps its disk, whatever the template became */
		in->vm_disk_mib = d->disk_mib ? d->disk_mib(&w->env, in) : 0;
	return 0;
}

/* ---- setup: a whole system becomes this instance's ---- */

static json_t *strings(const char *const *v)
{
	json_t *a = json_array();

	for (; v && *v; v++)
		json_array_append_new(a, json_string(*v));
	return a;
}

static bool is_loopback(const char *allow)
{
	return str_starts(allow, "127.") || str_starts(allow, "[::1]") || str_starts(allow, "localhost:");
}

json_t *launch_setup_params(void *ctx, const struct place *p, const struct instance *in)
{
	struct world *w = ctx;
	const struct driver *d = driver_find(in->driver);
	json_t *o = json_object(), *loop = json_array();
	unsigned char seed[SEED_BYTES];
	cleanup_free char *b64 = NULL;
	cleanup_strv char **allow = NULL;
	struct stat st;
	uid_t uid = VM_UID;
	gid_t gid = VM_UID;

	(void)p;
	json_object_set_new(o, "files", json_array());
	if (!(d->flags & DRIVER_SYSTEM)) {
		json_decref(loop);
		return o;
	}
	if (folder_stat(in->dir, &st) == 0 && st.st_uid != 0) {
		uid = st.st_uid;
		gid = st.st_gid;
	}
	random_bytes(seed, sizeof(seed));
	b64 = base64_encode(seed, sizeof(seed));
	allow = launch_allow(w, in);
	for (char **a = allow; a && *a; a++)
		if (is_loopback(*a))
			json_array_append_new(loop, json_string(*a));
	json_object_set_new(o, "hostname", json_string(in->name ? in->name : in->id));
	json_object_set_new(o, "time_ms", json_integer(clock_wall_ms()));
	json_object_set_new(o, "entropy", json_string(b64));
	json_object_set_new(o, "user", json_pack("{s:s, s:I, s:I, s:s}", "name", VM_USER, "uid",
						 (json_int_t)uid, "gid", (json_int_t)gid, "home", VM_HOME));
	json_object_set_new(o, "mounts", json_pack("[{s:s, s:b}]", "path", in->dir, "read_only", 0));
	if (agent_or_gone(in->agent)->private_dir) {
		cleanup_free char *dir = xasprintf("%s/%s", VM_HOME, agent_or_gone(in->agent)->private_dir);
		json_object_set_new(o, "memory", json_pack("[{s:s, s:o}]", "path", dir, "keep",
						   strings(agent_or_gone(in->agent)->private_keep)));
	}
	json_object_set_new(o, "loopback", loop);
	json_object_set_new(o, "proxy", json_true());
	return o;
}

/* ---- run: the program's command line and environment ---- */

/* The daemon's user's environment without what belongs to a surrounding agent or tmux: a daemon that
 * was started from inside an agent must not hand on its identity. */
static char **host_env(void)
{
	extern char **environ;
	char **env = strv_new();

	for (char **v = environ; v && *v; v++) {
		if (str_starts(*v, "TMUX") || str_starts(*v, "CLAUDECODE") || str_starts(*v, "CLAUDE_CODE_") ||
			str_starts(*v, "CLAUDE_PID") || str_starts(*v, "OLDPWD=") || str_starts(*v, "PWD=") ||
			str_starts(*v, "LINES=") || str_starts(*v, "COLUMNS="))
			continue;
		strv_push(&env, *v);
	}
	return env;
}

static char **vm_env(void)
{
	char **env = strv_new();

	strv_push(&env, "PATH=" VM_PATH);
	strv_push(&env, "HOME=" VM_HOME);
	strv_push(&env, "USER=" VM_USER);
	strv_push(&env, "LOGNAME=" VM_USER);
	strv_push(&env, "SHELL=/bin/bash");
	strv_push(&env, "LANG=C.UTF-8");
	return env;
}

json_t *launch_login_files(struct world *w, const struct instance *in, const struct login *login)
{
	const struct agent_program *prog = agent_or_gone(in->agent);
	cleanup_free char *file = NULL;
	json_t *files = json_array();
	struct agent_place pl;
	struct place p = {0};
	char run_dir[512];

	if (!prog->login_files || !login->kind || strcmp(login->kind, LOGIN_RENEWING) != 0)
		return files;
	memcpy(p.id, in->place, ID_SIZE);
	fill_agent_place(w, in, &p, driver_find(in->driver), run_dir, sizeof(run_dir), &pl);
	file = login_agent_file(login);
	pl.login_kind = login->kind;
	pl.login_file = file;
	prog->login_files(in, &pl, files);
	explicit_bzero(file, strlen(file));
	return files;
}

int launch_run_params(void *ctx, const struct place *p, const struct instance *in, const char *prompt,
	bool resume, json_t **ret, char **ret_conversation, struct err *e)
{
	struct world *w = ctx;
	const struct driver *d = driver_find(in->driver);
	const struct agent_program *prog = agent_or_gone(in->agent);
	bool vm = d->flags & DRIVER_SYSTEM;
	cleanup_strv char **base = vm ? vm_env() : host_env();
	char run_dir[512];
	struct agent_place pl;
	struct agent_launch launch = {0};
	struct login login = {0};
	cleanup_free char *login_file = NULL;
	int r;

	if (login_load(w->layout->login_file, &login, e) < 0)
		return -1;
	fill_agent_place(w, in, p, d, run_dir, sizeof(run_dir), &pl);
	pl.base_env = base;
	/* One that is gone is none in a VM, which shows its menu then; on the host it is not the user's own either. */
	pl.login_kind = login_usable(&login) || !vm ? login.kind : NULL;
	pl.login_value = login.value;
	if (login.kind && !strcmp(login.kind, LOGIN_RENEWING))
		pl.login_file = login_file = login_agent_file(&login);
	pl.prompt = prompt;
	pl.resume = resume;
	r = prog->launch(in, &pl, &launch, e);
	if (r == 0 && vm && in->branch_from && in->starts == 0)
		r = transcripts_branch(w, in, launch.files, e);
	if (r == 0) {
		*ret = json_pack("{s:s, s:o, s:o, s:s, s:i, s:i, s:b, s:o}", "instance", in->id, "argv",
			strings((const char *const *)launch.argv), "env", strings((const char *const *)launch.env), "cwd", in->dir, "rows", in->rows, "cols",
			in->cols, "user", vm, "files", launch.files ? json_incref(launch.files) : json_array());
		if (*ret && launch.session)
			json_object_set_new(*ret, "session", json_string(launch.session));
		if (launch.conversation[0])
			*ret_conversation = xstrdup(launch.conversation);
		if (!*ret)
			r = err_set(e, ERR_PARAMS, "the command line or environment is not valid UTF-8");
	}
	agent_launch_finish(&launch);
	if (login_file)
		explicit_bzero(login_file, strlen(login_file));
	login_finish(&login);
	return r;
}

json_t *launch_exec_params(struct world *w, const struct instance *in, const json_t *argv,
	const json_t *env, json_t *tty)
{
	const struct driver *d = driver_find(in->driver);
	bool vm = d->flags & DRIVER_SYSTEM;
	cleanup_strv char **all = vm ? vm_env() : host_env();
	const char *key;
	json_t *value;

	(void)w;
	if (d->flags & DRIVER_EGRESS) {
		strv_env_set(&all, "HTTPS_PROXY", VM_PROXY);
		strv_env_set(&all, "HTTP_PROXY", VM_PROXY);
		strv_env_set(&all, "https_proxy", VM_PROXY);
		strv_env_set(&all, "http_proxy", VM_PROXY);
		strv_env_set(&all, "NO_PROXY", "127.0.0.1,localhost,::1");
		strv_env_set(&all, "no_proxy", "127.0.0.1,localhost,::1");
	}
	strv_env_set(&all, "TERM", "xterm-256color");
	json_object_foreach((json_t *)env, key, value)
		strv_env_set(&all, key, json_string_value(value));
	return json_pack("{s:s, s:O, s:o, s:s, s:b, s:o}", "instance", in->id, "argv", argv, "env",
		strings((const char *const *)all), "cwd", in->dir, "user", vm, "tty", tty);
}
