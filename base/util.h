/* SPDX-License-Identifier: ISC */
/* Small things every room needs: cleanup attributes, strings, argv arrays, random ids, files. */
#ifndef BASE_UTIL_H
#define BASE_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void cleanup_free_p(void *p)
{
	free(*(void **)p);
}
static inline void cleanup_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
void strv_free(char **v);
static inline void cleanup_strv_p(char ***v)
{
	strv_free(*v);
}
#define cleanup_free __attribute__((cleanup(cleanup_free_p)))
#define cleanup_close __attribute__((cleanup(cleanup_close_p)))
#define cleanup_strv __attribute__((cleanup(cleanup_strv_p)))

/* Takes the value out of *fd, leaving -1. */
static inline int take_fd(int *fd)
{
	int f = *fd;
	*fd = -1;
	return f;
}
#define take_ptr(p)                                                                                \
	({                                                                                         \
		__typeof__(p) take_ptr_v = (p);                                                    \
		(p) = NULL;                                                                        \
		take_ptr_v;                                                                        \
	})

/* Allocation that aborts instead of failing: a daemon out of memory restarts and recovers. */
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *s);               /* NULL in, NULL out */
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* NULL-terminated string vectors, owned. */
char **strv_new(void);
void strv_push(char ***v, const char *s);
void strv_pushf(char ***v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char **strv_copy(char *const *v);
size_t strv_len(char *const *v);
/* The value of KEY in a KEY=VALUE vector, or NULL. */
const char *strv_env_get(char *const *env, const char *key);
/* Sets or replaces KEY=VALUE. */
void strv_env_set(char ***env, const char *key, const char *value);

bool str_starts(const char *s, const char *prefix);
/* snprintf into a fixed array that reports truncation: 0, or -1 when it did not fit. */
int str_fmt(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What of text fits, on one line: runs of blanks and control characters become one blank, and it is cut at a whole character.
 * NULL: nothing. */
void str_line(char *out, size_t size, const char *text);
/* Strict decimal parse of the whole string within [min, max]. */
int str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret);
bool utf8_valid(const void *data, size_t len);
/* Standard base64 with padding. Encode: owned string. Decode: owned bytes or NULL when malformed. */
char *base64_encode(const void *data, size_t len);
unsigned char *base64_decode(const char *s, size_t *ret_len);

/* n characters of [a-z0-9] (first one a letter) from the kernel's random source, NUL behind. */
void random_id(char *out, size_t n);
void random_bytes(void *out, size_t n);

/* Reads a whole regular file of at most max bytes; *ret is NUL-terminated and owned. */
int file_read(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e);
/* Writes a file whole or not at all (temporary name beside it, fsync, rename), with mode. */
int file_write_atomic(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* The same without waiting for the disk: for what means nothing after a restart of the machine. */
int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct err *e);
/* mkdir -p with mode for what it makes; an existing folder is fine. */
int dir_make(const char *path, mode_t mode, struct err *e);
/* Removes a tree below path (and path itself), never following links; absent is fine. */
int tree_remove(const char *path, struct err *e);
/* Writes all of data to a blocking fd. */
int write_all(int fd, const void *data, size_t len);
int fd_set_nonblock(int fd);
int fd_set_cloexec(int fd, bool on);
/* The boot id of the running kernel, 36 characters; "unknown" where there is none. Tests pretend another boot
 * with TMUX_CLAUDE_TEST_BOOT_ID. */
const char *boot_id(void);
/* Start time of a process in clock ticks (field 22 of /proc/PID/stat), 0 when gone. With the pid it
 * names a process for ever. */
uint64_t proc_start_time(pid_t pid);

#endif
