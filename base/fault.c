/* SPDX-License-Identifier: ISC */
/* Fault points; see fault.h. Nothing of this file is in a program that was built without them. */
#include "base/fault.h"

#ifdef TC_FAULT_POINTS

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPEC_MAX 160
#define LINE_MAX_TRACE 160

enum fault_action { FAULT_NONE, FAULT_KILL, FAULT_STOP, FAULT_FAIL };

/* Weak: a program may have no point at all. */
extern struct fault_point *const __start_fault_points[] __attribute__((weak));
extern struct fault_point *const __stop_fault_points[] __attribute__((weak));

static struct armed {
	bool read;
	enum fault_action action;
	enum err_code code;
	unsigned nth;
	char name[SPEC_MAX];
	const char *once, *from;
	int trace;
} armed;

static void bad_spec(const char *spec)
{
	fprintf(stderr, "TMUX_CLAUDE_FAULT: '%s' is not [PROGRAM/]NAME[:NTH]=kill|stop|error[:CODE]\n", spec);
	_exit(2);
}

static enum fault_action action_of(const char *word, const char *spec)
{
	if (!strcmp(word, "kill"))
		return FAULT_KILL;
	if (!strcmp(word, "stop"))
		return FAULT_STOP;
	armed.code = ERR_IO;
	if (!strncmp(word, "error:", 6))
		armed.code = err_code_from_name(word + 6);
	else if (strcmp(word, "error"))
		bad_spec(spec);
	return FAULT_FAIL;
}

static void arm(const char *spec)
{
	const char *program = strchr(spec, '/'), *name = program ? program + 1 : spec;
	char *equals, *nth;

	if (program && (strlen(program_invocation_short_name) != (size_t)(program - spec) ||
			       strncmp(program_invocation_short_name, spec, (size_t)(program - spec))))
		return; /* another program's */
	if (strlen(name) >= sizeof(armed.name))
		bad_spec(spec);
	strcpy(armed.name, name);
	equals = strchr(armed.name, '=');
	if (!equals)
		bad_spec(spec);
	*equals = '\0';
	armed.nth = 1;
	nth = strchr(armed.name, ':');
	if (nth) {
		*nth = '\0';
		armed.nth = (unsigned)strtoul(nth + 1, NULL, 10);
	}
	if (!armed.nth)
		bad_spec(spec);
	armed.action = action_of(equals + 1, spec);
}

static void read_environment(void)
{
	const char *spec = getenv("TMUX_CLAUDE_FAULT"), *trace = getenv("TMUX_CLAUDE_FAULT_TRACE");

	armed.read = true;
	armed.once = getenv("TMUX_CLAUDE_FAULT_ONCE");
	armed.from = getenv("TMUX_CLAUDE_FAULT_FROM");
	armed.trace = trace ? open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666) : -1;
	if (spec && *spec)
		arm(spec);
}

static void note(const struct fault_point *p)
{
	char line[LINE_MAX_TRACE];
	int n = snprintf(line, sizeof(line), "%s %s\n", program_invocation_short_name, p->name);

	if (n > 0 && (size_t)n < sizeof(line) && write(armed.trace, line, (size_t)n) < 0)
		fprintf(stderr, "the trace of fault points cannot be written: %s\n", strerror(errno));
}

/* Whoever makes the file is the one. */
static bool first_of_all(void)
{
	int fd;

	if (!armed.once)
		return true;
	fd = open(armed.once, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool begun(void)
{
	if (armed.from && access(armed.from, F_OK) == 0)
		armed.from = NULL;
	return !armed.from;
}

/* Is it to happen now? */
static bool due(struct fault_point *p)
{
	bool ours;

	if (!armed.read)
		read_environment();
	ours = armed.action != FAULT_NONE && !strcmp(p->name, armed.name);
	if ((!ours && armed.trace < 0) || !begun())
		return false;
	if (armed.trace >= 0)
		note(p);
	return ours && ++p->passed == armed.nth && first_of_all();
}

bool fault_pass(struct fault_point *p, struct err *e)
{
	int saved = errno;
	bool now = due(p);

	errno = saved;
	if (!now)
		return false;
	switch (armed.action) {
	case FAULT_KILL:
		raise(SIGKILL);
		break;
	case FAULT_STOP:
		raise(SIGSTOP);
		break;
	case FAULT_FAIL:
		if (!p->can_fail)
			return false;
		errno = EIO;
		err_set(e, armed.code, "the fault point %s", p->name);
		return true;
	case FAULT_NONE:
		break;
	}
	return false;
}

static int by_name(const void *a, const void *b)
{
	const struct fault_point *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

void fault_list(void)
{
	size_t n = (size_t)(__stop_fault_points - __start_fault_points);
	const struct fault_point **all = calloc(n + 1, sizeof(*all));

	if (!all)
		abort();
	for (size_t i = 0; i < n; i++)
		all[i] = __start_fault_points[i];
	qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 0; i < n; i++)
		printf("%s %s:%d%s\n", all[i]->name, all[i]->file, all[i]->line, all[i]->can_fail ? " error" : "");
	free(all);
}

#endif
