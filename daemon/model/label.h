/* SPDX-License-Identifier: ISC */
/*
 * Labels: what one may look like, and the terms that choose by them. `role` is a label like any other.
 *
 * A term is K=V (has that value), K!=V (has another, or none) or K (has it, whatever its value).
 */
#ifndef DAEMON_LABEL_H
#define DAEMON_LABEL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define LABELS_MAX 32       /* of one instance */
#define LABEL_CHANGES_MAX (2 * LABELS_MAX) /* at once: all replaced */
#define LABEL_KEY_MAX 63    /* bytes: letters, digits and . _ / -, a letter or digit first */
#define LABEL_VALUE_MAX 255 /* bytes of UTF-8 without control characters; may be empty */

/* An object of strings as the labels of one instance: -1 with ERR_PARAMS that names the label. */
int labels_check(const json_t *labels, struct err *e);
/* What `changes` (an array: "K=V" sets, "K-" removes) makes of them: a new object, NULL with the error. */
json_t *labels_changed(const json_t *labels, const json_t *changes, struct err *e);
int label_term_check(const char *term, struct err *e);
/* A term that was checked. */
bool label_term_holds(const json_t *labels, const char *term);

#endif
