/* SPDX-License-Identifier: ISC */
/* Errors that gain context on the way up: a code, a sentence, what to do about it. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#define ERR_MESSAGE_MAX 512
#define ERR_HINT_MAX 256
#define ERR_DETAILS_MAX 320

enum err_code {
	ERR_NONE = 0,
#define ERR(sym, name, number, retry) sym,
#include "base/err.def"
#undef ERR
	ERR_CODE_COUNT
};

/* A zeroed struct is "no error". Messages are whole sentences without a final full stop. */
struct err {
	enum err_code code;
	bool retryable;
	char message[ERR_MESSAGE_MAX]; /* what failed and why */
	char hint[ERR_HINT_MAX];       /* what to do; may be empty */
	char details[ERR_DETAILS_MAX]; /* for programs: a JSON object as text, or empty */
};

/* Each sets *e (which may be NULL) and returns -1, so that a caller can `return err_set(...)`. */
int err_set(struct err *e, enum err_code code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* As err_set, with ": strerror(errno)" appended; ENOSPC and EDQUOT become ERR_DISK. */
int err_set_errno(struct err *e, enum err_code code, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Sets the hint of an error that is already set. Returns -1. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets the details of an error that is already set; what is too long is left out. Returns -1. */
int err_details(struct err *e, const char *json);
/* Puts "context: " before the message of an error that is already set. Returns -1. */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *e);

const char *err_code_name(enum err_code code);           /* "not_found"; static */
enum err_code err_code_from_name(const char *name);      /* ERR_INTERNAL when unknown */
int err_code_number(enum err_code code);                 /* the JSON-RPC number */
bool err_code_retryable(enum err_code code);

#endif
