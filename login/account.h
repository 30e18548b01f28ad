/* SPDX-License-Identifier: ISC */
/*
 * The login that the user gave with `tmux-claude login`: a file only they can read.
 *
 * Three kinds. An API key and a long-lived token (`claude setup-token`) are one secret that never changes: any number
 * of agents may hold it. A *renewing* login ("oauth") is an access token of some hours and a refresh token that is
 * used up by each renewal: whoever renews from a copy logs all others out. So it has one holder, this file, and one
 * program that renews it under a lock (renew.h). The daemon reads the access token alone, agents get nothing else.
 */
#ifndef LOGIN_ACCOUNT_H
#define LOGIN_ACCOUNT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define LOGIN_API_KEY "api_key"
#define LOGIN_TOKEN "oauth_token" /* long-lived */
#define LOGIN_RENEWING "oauth"

#define LOGIN_FILE_MAX (64 * 1024)
#define LOGIN_VALUE_MAX (16 * 1024)

struct login {
	char *kind;  /* one of the three above; NULL when there is none */
	char *value; /* the secret that agents get; wiped by login_finish */
	/* Of a renewing one: */
	char *id;            /* another with each login that is given */
	int64_t expires_ms;  /* wall clock; 0: not known */
	int64_t obtained_ms; /* when that was said; a clock that stands before it was set back */
	int64_t generation;  /* one more with each renewal */
	int64_t begun_ms;    /* a renewal was begun then, and how it ended is not known; 0: none */
	int64_t failures, retry_ms; /* in a row; not before that time again */
	char *why;           /* the last one failed, or it is gone: a sentence, or NULL */
	bool gone;           /* it can be renewed no more: the user has to give another */
	char *subscription, *tier; /* as its sign-in said; or NULL */
	json_t *scopes;      /* array of texts, or NULL */
};

/* An absent file is no error: kind stays NULL. A file that others may read or that is not ours is
 * refused (ERR_DENIED), with what to do. The refresh token is not in what it returns. */
int login_load(const char *path, struct login *ret, struct err *e);
void login_finish(struct login *l);

/* A token or a key: visible ASCII, as it goes into the environment and HTTP headers. */
bool login_value_ok(const char *s);
/* What Claude Code wrote at its sign-in ({"claudeAiOauth":{...}}) as the text of a login file; owned, to be wiped.
 * NULL with why (nothing of the content is in it). */
char *login_from_sign_in(const char *text, size_t len, int64_t now_ms, struct err *e);
/* What an agent is given of a renewing login, in the form of Claude Code's own file: no refresh token is in it, so it
 * cannot renew. Owned. */
char *login_agent_file(const struct login *l);
/* Says what an agent would be started with: false for none, and for one that is gone. */
bool login_usable(const struct login *l);

/* Replaces what is kept (text NULL: removes it), under the renewal's lock, so that a renewal under way cannot put the
 * old one back. ERR_BUSY while one is. */
int login_store(const char *path, const char *text, struct err *e);
/* Takes FILE.lock, without waiting: its descriptor, or -1 (ERR_BUSY: another has it). */
int login_lock(const char *path, struct err *e);

/* For renew.c: the whole of the file as JSON (with its refresh token), checked. NULL: absent (no error), or why. */
json_t *login_read(const char *path, struct err *e);
void login_wipe(json_t *o); /* all texts in it, then it; NULL ok */

#endif
