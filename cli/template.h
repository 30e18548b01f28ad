/* SPDX-License-Identifier: ISC */
/* What template_build, template_list and doctor know of a template on disk. */
#ifndef CLI_TEMPLATE_H
#define CLI_TEMPLATE_H

#include <jansson.h>

#include "base/err.h"

/* One template as an object: name, path, built_at, suite, kernel, agents, stale, why, size. NULL with
 * the reason when it cannot be read (ERR_NOT_FOUND when there is none). */
json_t *template_read(const char *dir, const char *name, struct err *e);

#endif
