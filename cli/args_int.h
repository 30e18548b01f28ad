/* SPDX-License-Identifier: ISC */
/* What the files that read a command line share. */
#ifndef CLI_ARGS_INT_H
#define CLI_ARGS_INT_H

#include "cli/args.h"

/* How the argument is called on the command line; owned. */
char *arg_called(const struct arg_def *a);
/* The value in the form that is sent, of a scalar type; NULL with the error. */
json_t *arg_scalar(const struct arg_def *a, const char *s, struct err *e);
/* s as it is, when it is UTF-8. */
json_t *arg_text(const struct arg_def *a, const char *s, struct err *e);
/* Adds K=V to the object. */
int arg_add_pair(const struct arg_def *a, json_t *map, const char *s, struct err *e);

#endif
