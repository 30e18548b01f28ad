/* SPDX-License-Identifier: ISC */
/* The command line of one verb, read by its row in the table. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "ipc/schema.h"

/* Options that every verb takes, before or after its name. */
struct globals {
	const char *socket; /* NULL: the usual one */
	bool json, no_start, help, version;
};

struct args {
	const struct method_def *m;
	json_t *params; /* what is sent */
	json_t *local;  /* what the command line itself acts on (A_CLI) */
};

/* Reads one global option at argv[*at], moving *at past it: 1 done, 0 it is none, -1 error. */
int globals_parse(char *const *argv, int *at, struct globals *g, struct err *e);
/* Reads what stands behind the verb (argv ends with NULL). Nothing is missing, and every value is of
 * its type; with g->help, that is not asked. Every error is a usage error. */
int args_parse(const struct method_def *m, char *const *argv, struct globals *g, struct args *ret,
	struct err *e);
void args_finish(struct args *a);
/* Replaces "-" of arguments that may be read from standard input by what fd gives, at most max bytes. */
int args_read_stdin(struct args *a, int fd, size_t max, struct err *e);

/* Values of local arguments. */
bool args_flag(const struct args *a, const char *name);
const char *args_string(const struct args *a, const char *name); /* NULL when not given */

/* The verb that the first words of argv name, with how many words it has; NULL with a suggestion. */
const struct method_def *verb_find(char *const *argv, int *ret_words, struct err *e);
/* "template build" of "template.build"; owned. */
char *verb_words(const struct method_def *m);
/* "--max-children" of "max_children"; owned. */
char *option_words(const struct arg_def *a);

#endif
