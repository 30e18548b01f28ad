/* SPDX-License-Identifier: ISC */
/* Has closed segments packed by a program of its own. */
#include "place/shim/packer.h"

#include <fcntl.h>
#include <inttypes.h>

#include "base/log.h"
#include "base/proc.h"
#include "base/util.h"
#include "ipc/layout.h"
#include "record/pack.h"

#define FOLDER_FD 3
#define PROGRAM_FD 4
#define PROGRAM_PATH "/proc/self/fd/4"

struct job {
	struct job *next;
	struct packer *packer;
	struct record *record; /* NULL: it went meanwhile */
	struct loop *loop;
	struct loop_child *child;
	pid_t pid;
	struct segment segment;
	int dir;
};

struct packer {
	int program; /* open for execution, or -1 */
	struct job *jobs;
};

struct packer *packer_create(void)
{
	struct packer *p = xcalloc(1, sizeof(*p));
	struct err e = {0};
	cleanup_free char *path = layout_program(PACK_PROGRAM, &e);

	p->program = path ? open(path, O_PATH | O_CLOEXEC) : -1;
	if (p->program < 0)
		log_warn("record", NULL, "recordings are not packed: %s", e.message[0] ? e.message : "its program cannot be opened");
	return p;
}

static void job_free(struct job *j)
{
	struct job **at = &j->packer->jobs;

	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	close(j->dir);
	free(j);
}

void packer_destroy(struct packer *p)
{
	if (!p)
		return;
	while (p->jobs) {
		loop_child_free(p->jobs->child);
		job_free(p->jobs);
	}
	if (p->program >= 0)
		close(p->program);
	free(p);
}

static void on_exit_status(void *arg, pid_t pid, struct proc_status st)
{
	struct job *j = arg;
	struct packer *p = j->packer;
	struct record *r = j->record;
	struct loop *l = j->loop;
	struct segment s = j->segment;
	bool well = st.code == 0;

	(void)pid;
	if (!well)
		log_warn("record", NULL, "packing the segment at %" PRIu64 " failed (status %d, signal %d); it stays raw for now",
			s.start, st.code, st.signal);
	if (!r) {
		job_free(j);
		return;
	}
	job_free(j);
	record_packed(r, &s);
	if (well)
		packer_kick(p, l, r);
}

static int start(struct packer *p, struct job *j, struct err *e)
{
	char offset[24];
	char *argv[] = {PACK_PROGRAM, "-", offset, NULL};
	char *envp[] = {NULL};
	struct proc_spec spec = {.file = PROGRAM_PATH, .argv = argv, .envp = envp, .setsid = true, .no_new_privs = true};

	snprintf(offset, sizeof(offset), "%" PRIu64, j->segment.start);
	proc_spec_fd(&spec, j->dir, FOLDER_FD);
	proc_spec_fd(&spec, p->program, PROGRAM_FD);
	proc_spec_fd(&spec, 2, 2);
	if (proc_spawn(&spec, &j->pid, e) < 0)
		return -1;
	j->child = loop_child_watch(j->loop, j->pid, on_exit_status, j, e);
	return j->child ? 0 : -1;
}

void packer_kick(struct packer *p, struct loop *l, struct record *r)
{
	struct segment s;
	struct err e = {0};
	struct job *j;

	for (j = p->jobs; j; j = j->next)
		if (j->record == r)
			return;
	if (p->program < 0 || !record_unpacked(r, &s))
		return;
	j = xcalloc(1, sizeof(*j));
	*j = (struct job){.next = p->jobs, .packer = p, .record = r, .loop = l, .segment = s};
	j->dir = fcntl(tape_dir(record_tape(r)), F_DUPFD_CLOEXEC, 0);
	p->jobs = j;
	if (j->dir < 0 || start(p, j, &e) < 0) {
		log_warn("record", NULL, "a segment cannot be packed: %s", e.message);
		job_free(j);
	}
}

bool packer_able(const struct packer *p)
{
	return p && p->program >= 0;
}

bool packer_owns(const struct packer *p, pid_t pid)
{
	const struct job *j;

	for (j = p ? p->jobs : NULL; j && j->pid != pid; j = j->next)
		;
	return j != NULL;
}

void packer_forget(struct packer *p, struct record *r)
{
	struct job *j;

	for (j = p ? p->jobs : NULL; j; j = j->next)
		if (j->record == r)
			j->record = NULL;
}
