/* SPDX-License-Identifier: ISC */
/* Reads the login file: {"kind","value"}, for its owner's eyes only. */
#include "daemon/login.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/util.h"

#define LOGIN_FILE_MAX (64 * 1024)
#define LOGIN_VALUE_MAX (16 * 1024)

static int check_file(const char *path, int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_set_errno(e, ERR_IO, errno, "cannot look at the login file %s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_DENIED, "the login file %s is not a regular file", path);
	if (st.st_uid != geteuid()) {
		err_set(e, ERR_DENIED, "the login file %s belongs to another user", path);
		return err_hint(e, "remove it and give the login again: tmux-claude login");
	}
	if (st.st_mode & 077) {
		err_set(e, ERR_DENIED, "the login file %s may be read by others (mode %04o)", path,
			st.st_mode & 07777u);
		return err_hint(e, "chmod 600 it; others may have seen it: better make a new login");
	}
	if (st.st_size > LOGIN_FILE_MAX)
		return err_set(e, ERR_LIMIT, "the login file %s is longer than %d bytes", path,
			LOGIN_FILE_MAX);
	return 0;
}

/* A token or a key: visible ASCII, as it goes into the environment and HTTP headers. */
static bool value_ok(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return n > 0 && n <= LOGIN_VALUE_MAX;
}

static int parse(const char *path, const char *text, size_t len, struct login *ret, struct err *e)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *value = json_string_value(json_object_get(o, "value"));
	int r = 0;

	if (kind && value && value_ok(value) &&
		(!strcmp(kind, "oauth_token") || !strcmp(kind, "api_key"))) {
		ret->kind = xstrdup(kind);
		ret->value = xstrdup(value);
	} else {
		/* Nothing of the content is said: it may be the secret. */
		err_set(e, ERR_PARAMS, "the login file %s cannot be understood", path);
		r = err_hint(e, "give the login again: tmux-claude login");
	}
	if (value)
		explicit_bzero((char *)(uintptr_t)value, strlen(value));
	json_decref(o);
	return r;
}

int login_load(const char *path, struct login *ret, struct err *e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char text[LOGIN_FILE_MAX];
	size_t len = 0;
	ssize_t n = 0;

	if (FAULT_ERROR("login.read", e))
		return -1;
	if (fd < 0 && errno == ENOENT) {
		memset(ret, 0, sizeof(*ret));
		return 0;
	}
	if (fd < 0)
		return err_set_errno(e, errno == ELOOP || errno == EACCES ? ERR_DENIED : ERR_IO, errno,
			"cannot open the login file %s", path);
	if (check_file(path, fd, e))
		return -1;
	while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	struct login l = {0};
	int r = n < 0 ? err_set_errno(e, ERR_IO, errno, "cannot read the login file %s", path)
		      : parse(path, text, len, &l, e);
	explicit_bzero(text, sizeof(text));
	if (r == 0)
		*ret = l;
	return r;
}

void login_finish(struct login *l)
{
	if (l->value)
		explicit_bzero(l->value, strlen(l->value));
	free(l->value);
	free(l->kind);
	memset(l, 0, sizeof(*l));
}
