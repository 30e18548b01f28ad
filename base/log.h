/* SPDX-License-Identifier: ISC */
/* One line per record on stderr (or a file that stderr was opened on): time level subsystem text. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#define LOG_BURST 500      /* lines at once; then */
#define LOG_PER_SECOND 20  /* the others are counted, and the count is written; debug lines are free */
#define LOG_FILE_MAX (8 * 1024 * 1024) /* then our file begins anew with its last */
#define LOG_KEEP (64 * 1024)           /* bytes */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_open(const char *program, enum log_level level);
/* From now on the file that stderr is open on keeps to LOG_FILE_MAX; with a path only when it is that file
 * (anything else is the caller's, and is not cut). */
void log_bound_file(const char *path);
enum log_level log_get_level(void);
/* subsystem is a short token ("tmux", "store"); id is the instance or place concerned, or NULL.
 * Control characters in the text are escaped; a line is cut at 4 KiB. */
void log_write(enum log_level level, const char *subsystem, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(sub, id, ...) log_write(LOG_LEVEL_ERROR, sub, id, __VA_ARGS__)
#define log_warn(sub, id, ...) log_write(LOG_LEVEL_WARN, sub, id, __VA_ARGS__)
#define log_info(sub, id, ...) log_write(LOG_LEVEL_INFO, sub, id, __VA_ARGS__)
#define log_debug(sub, id, ...) log_write(LOG_LEVEL_DEBUG, sub, id, __VA_ARGS__)

#endif
