/* SPDX-License-Identifier: ISC */
/*
 * Programs that a file of the user's describes (ipc/agentconf.h). A file is read when it is first asked for, and again
 * at a spawn or restart of any instance of it. What was read last holds for all of them, also for those that run: its
 * patterns and keys are used from then on. A file that is gone, or wrong, changes nothing for them until the daemon is
 * started anew; that there was none is remembered until the next spawn or restart, for events come often.
 */
#include "daemon/agent/custom.h"

#include "base/proc.h"
#include "base/util.h"
#include "daemon/agent/programs.h"
#include "ipc/agentconf.h"

#define QUIET_MS 2000
#define ABSENT_MOST 32

struct custom {
	struct custom *next;
	struct agent_program prog;
	struct agentconf *conf;
};

static struct custom *all;
static char *folder;
static char *absent[ABSENT_MOST]; /* names without a usable file; the oldest gives way */
static size_t nabsent;

void custom_folder(const char *config_file)
{
	free(folder);
	folder = agentconf_dir(config_file);
}

static struct custom *find(const char *name)
{
	struct custom *c = all;

	while (c && strcmp(c->conf->name, name) != 0)
		c = c->next;
	return c;
}

static const struct agentconf *conf_of(const struct instance *in)
{
	return find(in->agent)->conf; /* nobody has this vtable without one */
}

/* ---- start ---- */

static int custom_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	const struct agentconf *c = conf_of(in);

	if (in->model && !c->model) {
		err_set(e, ERR_PARAMS, "the agent %s has no model to choose", c->name);
		return err_hint(e, "leave --model away, or say in its file how it is told (model = --model)");
	}
	if (pl->isolated)
		return 0;
	cleanup_free char *found = proc_which(c->argv[0]);
	if (found)
		return 0;
	err_set(e, ERR_MISSING, "the program '%.200s' of the agent %s was not found", c->argv[0], c->name);
	return err_hint(e, "install it, or correct argv in its file (tmux-claude agents show %s)", c->name);
}

static void push_all(char ***to, char *const *words)
{
	for (; words && *words; words++)
		strv_push(to, *words);
}

static int custom_launch(const struct instance *in, const struct agent_place *pl, struct agent_launch *ret,
	struct err *e)
{
	const struct agentconf *c = conf_of(in);
	struct agent_launch l = {.env = agent_env(pl), .files = json_array(), .argv = strv_new()};

	(void)e;
	push_all(&l.argv, pl->resume && c->resume ? c->resume : c->argv);
	push_all(&l.argv, c->permissions[in->permissions]);
	if (in->model) {
		push_all(&l.argv, c->model);
		strv_push(&l.argv, in->model);
	}
	push_all(&l.argv, in->argv);
	for (char *const *v = c->env; *v; v++) {
		cleanup_free char *name = xasprintf("%.*s", (int)strcspn(*v, "="), *v);
		strv_env_set(&l.env, name, strchr(*v, '=') + 1);
	}
	agent_env_user(&l.env, in);
	*ret = l;
	return 0;
}

/* ---- state ---- */

static bool by_screen(const struct agentconf *c)
{
	return c->busy.text || c->ready.text;
}

static bool custom_looks(const struct instance *in)
{
	return by_screen(conf_of(in));
}

/* The rule says idle. A screen that was not read says nothing: false, and *ret_known. */
static bool rule(const struct agentconf *c, const struct agent_activity *a, bool *ret_known)
{
	*ret_known = true;
	switch (c->idle) {
	case IDLE_QUIET:
		return !a->busy;
	case IDLE_MARKS:
		return a->marks.phase != PHASE_RUNNING && a->marks.phase != PHASE_NONE;
	case IDLE_TITLE:
		return a->title && str_starts(a->title, c->idle_title);
	case IDLE_READY:
		*ret_known = a->busy || a->screen;
		return !a->busy && a->screen && agent_pattern_in(&c->ready, a->screen);
	}
	return false;
}

static void custom_activity(const struct instance *in, const struct agent_activity *a, struct agent_fact *ret)
{
	const struct agentconf *c = conf_of(in);
	enum inst_state to;
	bool known, idle = rule(c, a, &known);

	if (in->state != ST_STARTING && in->state != ST_IDLE && in->state != ST_WORKING && in->state != ST_WAITING)
		return;
	ret->prompt_delivered = a->marks.began;
	ret->turn_ended = a->marks.ended;
	/* Before its first prompt there is only `ready`; a busy pattern outweighs quiet. */
	if (by_screen(c) && idle && !a->screen && (c->busy.text || in->state == ST_STARTING))
		return;
	if (in->state == ST_STARTING && c->ready.text && !(a->screen && agent_pattern_in(&c->ready, a->screen)))
		return;
	if (!known)
		return;
	to = idle && !(a->screen && agent_pattern_in(&c->busy, a->screen)) ? ST_IDLE : ST_WORKING;
	if (to == in->state || (in->state == ST_STARTING && to != ST_IDLE))
		return;
	ret->has_state = true;
	ret->state = to;
	ret->ready = in->state == ST_STARTING;
}

/* ---- the registry ---- */

static struct custom *make(struct agentconf *conf)
{
	struct custom *c = find(conf->name);

	if (c) {
		agentconf_free(c->conf);
	} else {
		c = xcalloc(1, sizeof(*c));
		c->next = all;
		all = c;
	}
	c->conf = conf;
	c->prog = (struct agent_program){.name = conf->name, .summary = conf->summary ? conf->summary : "",
		.interrupt_keys = (const char *const *)conf->interrupt, .idle_only = true, .quiet_ms = QUIET_MS, .check = custom_check,
		.launch = custom_launch, .activity = custom_activity, .looks = custom_looks};
	return c;
}

static bool is_absent(const char *name)
{
	for (size_t i = 0; i < nabsent; i++)
		if (!strcmp(absent[i], name))
			return true;
	return false;
}

static void absent_forget(const char *name)
{
	for (size_t i = 0; i < nabsent; i++) {
		if (strcmp(absent[i], name) != 0)
			continue;
		free(absent[i]);
		memmove(&absent[i], &absent[i + 1], (--nabsent - i) * sizeof(*absent));
		return;
	}
}

static void absent_add(const char *name)
{
	if (nabsent == ABSENT_MOST)
		absent_forget(absent[0]);
	absent[nabsent++] = xstrdup(name);
}

int custom_read(const char *name, struct err *e)
{
	struct agentconf *conf;

	absent_forget(name);
	if (!folder)
		return err_set(e, ERR_NOT_FOUND, "there is no agent '%.64s'", name);
	if (agentconf_load(folder, name, &conf, e) < 0)
		return -1;
	make(conf);
	return 0;
}

const struct agent_program *custom_find(const char *name)
{
	struct custom *c = find(name);
	struct err e = {0};

	if (c || is_absent(name))
		return c ? &c->prog : NULL;
	if (custom_read(name, &e) == 0)
		c = find(name);
	else
		absent_add(name);
	return c ? &c->prog : NULL;
}

/* ---- one whose file is gone ---- */

static int gone_check(const struct instance *in, const struct agent_place *pl, struct err *e)
{
	(void)pl;
	err_set(e, ERR_MISSING, "there is no agent '%.64s' any more", in->agent);
	return err_hint(e, "its file in agents.d is gone, or wrong: tmux-claude config check");
}

static int gone_launch(const struct instance *in, const struct agent_place *pl, struct agent_launch *ret, struct err *e)
{
	(void)ret;
	return gone_check(in, pl, e);
}

static const char *const gone_keys[] = {"C-c", NULL};
const struct agent_program agent_gone = {.name = "", .summary = "", .interrupt_keys = gone_keys, .check = gone_check,
	.launch = gone_launch};
