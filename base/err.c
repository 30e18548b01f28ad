/* SPDX-License-Identifier: ISC */
/* The table of errors and the making of their sentences. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
	const char *name;
	int number;
	bool retry;
};

static const struct err_row rows[ERR_CODE_COUNT] = {
	[ERR_NONE] = {"none", 0, false},
#define ERR(sym, name, number, retry) [sym] = {name, number, retry},
#include "base/err.def"
#undef ERR
};

static void set_code(struct err *e, enum err_code code)
{
	memset(e, 0, sizeof(*e));
	e->code = code;
	e->retryable = err_code_retryable(code);
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (!e)
		return -1;
	/* Formatted aside: the arguments may point into *e. */
	char text[ERR_MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_code(e, code);
	memcpy(e->message, text, sizeof(text));
	return -1;
}

int err_set_errno(struct err *e, enum err_code code, int errnum, const char *fmt, ...)
{
	if (!e)
		return -1;
	char text[ERR_MESSAGE_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bool full = errnum == ENOSPC || errnum == EDQUOT;
	set_code(e, full ? ERR_DISK : code);
	char reason[128];
	const char *why = strerror_r(errnum, reason, sizeof(reason));
	/* A long text loses its end, never its reason. */
	int room = (int)(sizeof(e->message) - strlen(why) - sizeof(": "));
	snprintf(e->message, sizeof(e->message), "%.*s: %s", room, text, why);
	if (full)
		err_hint(e, "free some space and try again");
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char text[ERR_HINT_MAX];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(e->hint, text, sizeof(text));
	return -1;
}

int err_details(struct err *e, const char *json)
{
	size_t len = json ? strlen(json) + 1 : 0;

	if (e && len && len <= sizeof(e->details))
		memcpy(e->details, json, len);
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char text[ERR_MESSAGE_MAX + ERR_MESSAGE_MAX + 2];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, ERR_MESSAGE_MAX, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -1;
	size_t len = strlen(text);
	snprintf(text + len, sizeof(text) - len, ": %s", e->message);
	text[ERR_MESSAGE_MAX - 1] = '\0';
	memcpy(e->message, text, ERR_MESSAGE_MAX);
	return -1;
}

void err_clear(struct err *e)
{
	if (e)
		memset(e, 0, sizeof(*e));
}

const char *err_code_name(enum err_code code)
{
	if ((unsigned)code >= ERR_CODE_COUNT)
		code = ERR_INTERNAL;
	return rows[code].name;
}

enum err_code err_code_from_name(const char *name)
{
	for (int i = ERR_NONE + 1; i < ERR_CODE_COUNT; i++)
		if (name && strcmp(rows[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}

int err_code_number(enum err_code code)
{
	if ((unsigned)code >= ERR_CODE_COUNT)
		code = ERR_INTERNAL;
	return rows[code].number;
}

bool err_code_retryable(enum err_code code)
{
	return (unsigned)code < ERR_CODE_COUNT && rows[code].retry;
}
