/* SPDX-License-Identifier: ISC */
/* What the store's tests share: a folder of their own, sample rows, a collector for store_load. */
#ifndef TESTS_STORE_HELP_H
#define TESTS_STORE_HELP_H

#include <limits.h>

#include "base/util.h"
#include "daemon/store/store.h"
#include "tests/unit/run.h"

#define LOADED_MAX 64

static char folder[64], db_path[96];

static inline void help_setup(void)
{
	strcpy(folder, "/tmp/tc-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(db_path, sizeof(db_path), "%s/fleet.db", folder);
}

static inline void help_teardown(void)
{
	tree_remove(folder, NULL);
}

static inline struct store *must_open(void)
{
	struct store *s = NULL;
	struct err e = {0};
	ck_assert_msg(store_open(db_path, &s, &e) == 0, "%s", e.message);
	return s;
}

static inline void must_commit(struct store *s)
{
	struct err e = {0};
	ck_assert_msg(store_commit(s, &e) == 0, "%s", e.message);
}

static inline struct instance *sample_instance(const char *id, const char *name)
{
	struct instance *i = instance_new();
	strcpy(i->id, id);
	strcpy(i->parent, "parent");
	strcpy(i->place, "place0");
	i->name = xstrdup(name);
	i->driver = xstrdup("qemu");
	i->agent = xstrdup("claude");
	i->dir = xstrdup("/home/me/Projekt \xc3\xa4");
	i->template_name = xstrdup("minimal");
	i->model = xstrdup("opus");
	i->permissions = PERM_PLAN;
	i->argv = strv_new();
	strv_push(&i->argv, "--verbose");
	strv_push(&i->argv, "");
	i->env_names = strv_new();
	strv_push(&i->env_names, "TOKEN");
	i->allow = strv_new();
	strv_push(&i->allow, "github.com:443");
	json_object_set_new(i->labels, "team", json_string("web"));
	i->cpus = 2;
	i->memory_mib = 2048;
	i->rows = 40;
	i->cols = 132;
	i->rm = true;
	i->cap = (struct cap){8, CAP_UNLIMITED, 3, 10, 10000, 65536, CAP_UNLIMITED};
	i->max_roles = json_pack("{s:i}", "manager", 2);
	i->narrowed = json_pack("[{s:s, s:i}]", "cap", "max_depth", "got", 3);
	i->spawned_total = 17;
	i->vm_memory_mib = 2048;
	i->vm_disk_mib = 16384;
	i->restart = RESTART_ON_FAILURE;
	i->wanted = true;
	i->again = (struct again){.tries = 3, .nfailed = 2, .failed_ms = {5, 7}, .boot = "a boot", .boot_ms = 9, .wall_ms = 11};
	i->state_boot = xstrdup("a boot");
	i->state_boot_ms = 8;
	i->state = ST_WAITING;
	i->reason = xstrdup("permission");
	i->detail = xstrdup("Bash: make");
	i->created_ms = 1700000000123;
	i->state_since_ms = 1700000001000;
	i->time_in_state[ST_STARTING] = 877;
	i->conversation = xstrdup("0b0e7f5e-6b7b-4c7d-8d4e-0d1a2b3c4d5e");
	i->branch_of = xstrdup("1b0e7f5e-6b7b-4c7d-8d4e-0d1a2b3c4d5e");
	i->budget.limit[0] = 5;
	i->branch_from = xstrdup("2b0e7f5e-6b7b-4c7d-8d4e-0d1a2b3c4d5e");
	i->session = xstrdup("waiting dialog open");
	i->limited_until_ms = 1795262400000;
	i->limited_tries = 3;
	i->stuck_ms = 1795262300000;
	i->pace = json_pack("[i, i]", 4, 5);
	i->starts = 2;
	i->turns = 5;
	i->pid = 4711;
	i->exit = (struct exit_info){true, -1, 9};
	i->has_pane = true;
	return i;
}

static inline struct place *sample_place(const char *id, int64_t number)
{
	struct place *p = place_new();
	strcpy(p->id, id);
	p->driver = xstrdup("qemu");
	p->template_name = xstrdup("minimal");
	p->state = PL_UP;
	p->number = number;
	p->accel = xstrdup("tcg");
	p->holder_pid = 10;
	p->shim_pid = 11;
	p->shim_seq = 12;
	p->boot_ms = 6000;
	p->boot_tries = 1;
	p->created_ms = 1700000000000;
	p->boot = xstrdup("boot");
	return p;
}

static inline int put_simple(struct store *s, const char *id, const char *name, struct err *e)
{
	struct instance *i = sample_instance(id, name);
	int r = store_instance_put(s, i, e);
	instance_free(i);
	return r;
}

struct loaded {
	struct instance *i[LOADED_MAX];
	struct place *p[LOADED_MAX];
	struct prompt *q[LOADED_MAX];
	char intents[LOADED_MAX][64];
	size_t ni, np, nq, nn;
};

static inline void on_instance(void *arg, struct instance *i)
{
	struct loaded *l = arg;
	l->i[l->ni++] = i;
}
static inline void on_place(void *arg, struct place *p)
{
	struct loaded *l = arg;
	l->p[l->np++] = p;
}
static inline void on_prompt(void *arg, struct prompt *p)
{
	struct loaded *l = arg;
	l->q[l->nq++] = p;
}
static inline void on_intent(void *arg, const struct intent *in)
{
	struct loaded *l = arg;
	snprintf(l->intents[l->nn++], 64, "%s %s", in->kind, in->key);
}

static const struct store_load_ops load_ops = {.instance = on_instance,
	.place = on_place,
	.prompt = on_prompt,
	.intent = on_intent};

static inline void must_load(struct store *s, struct loaded *l)
{
	struct err e = {0};
	memset(l, 0, sizeof(*l));
	ck_assert_msg(store_load(s, &load_ops, l, &e) == 0, "%s", e.message);
}

static inline void loaded_free(struct loaded *l)
{
	for (size_t k = 0; k < l->ni; k++)
		instance_free(l->i[k]);
	for (size_t k = 0; k < l->np; k++)
		place_free(l->p[k]);
	for (size_t k = 0; k < l->nq; k++)
		prompt_free(l->q[k]);
}

#endif
