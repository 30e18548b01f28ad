/* SPDX-License-Identifier: ISC */
/* An agent program of the user's own, as a small file tells: agents.d/NAME.conf (docs/agents-custom.md). */
#ifndef IPC_AGENTCONF_H
#define IPC_AGENTCONF_H

#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define AGENTCONF_MAX (64 * 1024)
#define AGENTCONF_WORDS 128 /* of a command line */
#define AGENTCONF_DIR "agents.d"

/* Text that stands on a screen: itself, or a POSIX extended regular expression. */
struct agent_pattern {
	char *text; /* NULL: none */
	bool regex;
	regex_t re;
};

enum idle_rule { IDLE_QUIET, IDLE_READY, IDLE_MARKS, IDLE_TITLE };

struct agentconf {
	char *name, *summary;
	char **argv, **resume, **env, **model; /* model, resume: NULL when not given */
	char **permissions[3];                 /* all, ask, plan; NULL: no words */
	char **interrupt;                      /* keys */
	struct agent_pattern ready, busy;
	enum idle_rule idle;
	char *idle_title;
};

/* A name it may have: none of the built-in ones. */
int agentconf_name_check(const char *name, struct err *e);
/* Errors are ERR_PARAMS and begin with "line N". */
int agentconf_parse(const char *name, char *text, struct agentconf **ret, struct err *e);
/* Reads dir/NAME.conf; errors name file and line. ERR_NOT_FOUND when there is none. */
int agentconf_load(const char *dir, const char *name, struct agentconf **ret, struct err *e);
void agentconf_free(struct agentconf *c); /* NULL ok */
bool agent_pattern_in(const struct agent_pattern *p, const char *screen);
/* The folder of these files, beside the config file; owned. */
char *agentconf_dir(const char *config_file);
/* The names of the files in it, sorted; owned vector. */
char **agentconf_names(const char *dir);

/* The built-in ones, with what they are. */
struct agent_builtin {
	const char *name, *summary, *path_option;
};
extern const struct agent_builtin agent_builtins[];
extern const int agent_builtins_count;

/* Words between blanks; quotes and \ as in a shell, nothing else is. Replaces *ret (owned). */
int conf_words(const char *s, char ***ret, struct err *e);

#endif
