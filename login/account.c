/* SPDX-License-Identifier: ISC */
/* The login file: read for its owner's eyes only; see account.h. */
#include "login/account.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/util.h"

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

bool login_value_ok(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	return n > 0 && n <= LOGIN_VALUE_MAX;
}

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int64_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void wipe_text(const char *s)
{
	if (s)
		explicit_bzero((char *)(uintptr_t)s, strlen(s));
}

void login_wipe(json_t *o)
{
	const char *key;
	json_t *value;

	json_object_foreach(o, key, value)
	{
		if (json_is_object(value))
			login_wipe(json_incref(value));
		wipe_text(json_string_value(value));
	}
	json_decref(o);
}

static bool kind_ok(const json_t *o)
{
	const char *kind = text_of(o, "kind"), *value = text_of(o, "value"), *refresh = text_of(o, "refresh");

	if (!kind || !value || !login_value_ok(value))
		return false;
	if (!strcmp(kind, LOGIN_RENEWING))
		return refresh && login_value_ok(refresh);
	return !strcmp(kind, LOGIN_TOKEN) || !strcmp(kind, LOGIN_API_KEY);
}

json_t *login_read(const char *path, struct err *e)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	char text[LOGIN_FILE_MAX];
	size_t len = 0;
	ssize_t n = 0;
	json_t *o = NULL;

	if (fd < 0 && errno == ENOENT)
		return NULL;
	if (fd < 0) {
		err_set_errno(e, errno == ELOOP || errno == EACCES ? ERR_DENIED : ERR_IO, errno,
			"cannot open the login file %s", path);
		return NULL;
	}
	if (check_file(path, fd, e))
		return NULL;
	while (len < sizeof(text) && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		err_set_errno(e, ERR_IO, errno, "cannot read the login file %s", path);
	} else {
		while (len > 0 && text[len - 1] == '\0') /* room that was taken for an answer, and not cut yet (renew.c) */
			len--;
		o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
		if (!kind_ok(o)) {
			/* Nothing of the content is said: it may be the secret. */
			err_set(e, ERR_PARAMS, "the login file %s cannot be understood", path);
			err_hint(e, "give the login again: tmux-claude login");
			login_wipe(o);
			o = NULL;
		}
	}
	explicit_bzero(text, sizeof(text));
	return o;
}

int login_load(const char *path, struct login *ret, struct err *e)
{
	struct err why = {0};
	json_t *o;

	if (FAULT_ERROR("login.read", e))
		return -1;
	o = login_read(path, &why);
	if (!o && why.code) {
		if (e)
			*e = why;
		return -1;
	}
	memset(ret, 0, sizeof(*ret));
	if (!o)
		return 0;
	ret->kind = xstrdup(text_of(o, "kind"));
	ret->value = xstrdup(text_of(o, "value"));
	ret->id = xstrdup(text_of(o, "id"));
	ret->expires_ms = number_of(o, "expires_ms");
	ret->obtained_ms = number_of(o, "obtained_ms");
	ret->generation = number_of(o, "generation");
	ret->begun_ms = number_of(o, "begun_ms");
	ret->failures = number_of(o, "failures");
	ret->retry_ms = number_of(o, "retry_ms");
	ret->why = xstrdup(text_of(o, "why"));
	ret->gone = json_is_true(json_object_get(o, "gone"));
	ret->subscription = xstrdup(text_of(o, "subscription"));
	ret->tier = xstrdup(text_of(o, "tier"));
	ret->scopes = json_deep_copy(json_object_get(o, "scopes"));
	login_wipe(o);
	return 0;
}

void login_finish(struct login *l)
{
	wipe_text(l->value);
	free(l->value);
	free(l->kind);
	free(l->id);
	free(l->why);
	free(l->subscription);
	free(l->tier);
	json_decref(l->scopes);
	memset(l, 0, sizeof(*l));
}

bool login_usable(const struct login *l)
{
	return l->kind && !l->gone;
}

/* ---- replacing it ---- */

int login_lock(const char *path, struct err *e)
{
	cleanup_free char *name = xasprintf("%s.lock", path);
	cleanup_close int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set_errno(e, ERR_IO, errno, "cannot open %s", name);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return take_fd(&fd);
	err_set(e, ERR_BUSY, "the login is renewed just now by another program");
	return err_hint(e, "try again in a minute");
}

int login_store(const char *path, const char *text, struct err *e)
{
	cleanup_free char *next = xasprintf("%s.next", path);
	cleanup_close int lock = login_lock(path, e);

	if (lock < 0)
		return -1;
	unlink(next);
	if (text)
		return file_write_atomic(path, text, strlen(text), 0600, e);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_set_errno(e, ERR_IO, errno, "cannot remove %s", path);
	return 0;
}

/* ---- what Claude Code writes ---- */

char *login_from_sign_in(const char *text, size_t len, int64_t now_ms, struct err *e)
{
	json_t *all = json_loadb(text, len, 0, NULL), *o = json_object_get(all, "claudeAiOauth");
	const char *access = text_of(o, "accessToken"), *refresh = text_of(o, "refreshToken");
	char *out = NULL, id[17] = "";

	random_id(id, sizeof(id) - 1);
	if (!access || !login_value_ok(access)) {
		err_set(e, ERR_PARAMS, "there is no login of Claude Code in it");
	} else if (!refresh || !login_value_ok(refresh)) {
		err_set(e, ERR_PARAMS, "there is no refresh token in it, so it could not be renewed");
		err_hint(e, "tmux-claude login --subscription makes one that can be");
	} else {
		json_t *f = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i, s:O?, s:s?, s:s?}", "kind", LOGIN_RENEWING,
			"id", id, "value", access, "refresh", refresh, "expires_ms", (json_int_t)number_of(o, "expiresAt"), "obtained_ms",
			(json_int_t)now_ms, "generation", 1, "scopes", json_object_get(o, "scopes"), "subscription",
			text_of(o, "subscriptionType"), "tier", text_of(o, "rateLimitTier"));
		out = json_dumps(f, JSON_COMPACT);
		login_wipe(f);
	}
	login_wipe(all);
	return out;
}

char *login_agent_file(const struct login *l)
{
	/* A program that believes its token to be over looks no further at some versions; that is the holder's to judge, and a
	 * machine's clock may be wrong. So no time is said: docs/login.md. */
	json_t *o = json_pack("{s:{s:s, s:n, s:n, s:O?, s:s?, s:s?}}", "claudeAiOauth", "accessToken", l->value,
		"refreshToken", "expiresAt", "scopes", l->scopes, "subscriptionType", l->subscription, "rateLimitTier",
		l->tier);
	char *text = json_dumps(o, JSON_COMPACT);

	login_wipe(o);
	return text;
}
