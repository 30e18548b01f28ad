/* SPDX-License-Identifier: ISC */
/* The options: one table (options.def), a commented file, the environment; later sources win. */
#ifndef IPC_CONFIG_H
#define IPC_CONFIG_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

enum option_id {
#define OPTION(sym, name, type, def, min, max, help) OPT_##sym,
#include "ipc/options.def"
#undef OPTION
	OPT_COUNT
};

struct config;

/* Reads file (absent: defaults), then TMUX_CLAUDE_<NAME> from the environment. Unknown names, bad
 * values and a file others may write are errors that name the line. */
int config_load(const char *file, struct config **ret, struct err *e);
void config_free(struct config *c);
const char *config_string(const struct config *c, enum option_id o);
int64_t config_int(const struct config *c, enum option_id o);
/* [{name, value, source:"default"|"file"|"environment", default, help}]; new reference. */
json_t *config_to_json(const struct config *c);
/* The commented file with every option at its default (as comments); owned. */
char *config_example(void);

#endif
