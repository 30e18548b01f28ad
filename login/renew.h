/* SPDX-License-Identifier: ISC */
/*
 * Renews a renewing login (account.h): one transaction, of one program (tmux-claude-login), under one lock.
 *
 *   lock FILE.lock, so that one at a time asks, whoever started it (this daemon, one before it, a person)
 *   take up FILE.next, when a renewal before was killed between its answer and its end
 *   room for the answer: FILE.next is there, with its blocks, before anything is asked
 *   note in FILE that a renewal was begun, and when
 *   ask the token endpoint: from here the old refresh token may be used up
 *   write the answer to FILE.next, fsync, rename over FILE, fsync the folder
 *
 * Killed before the question: nothing happened. Killed behind the answer: FILE.next has it. Between the two, and when
 * an answer was lost on its way, nobody can tell whether the old token is used up: it is the only one there is, so it
 * is tried again, and when it is refused then, the login is gone and the sentence says why.
 */
#ifndef LOGIN_RENEW_H
#define LOGIN_RENEW_H

#include "http/http.h"
#include "login/due.h"

/* Claude Code 2.1.329 renews there, with this client (read from its requests: docs/login.md). */
#define RENEW_URL "https://platform.claude.com/v1/oauth/token"
#define RENEW_CLIENT "9d1c250a-e61b-44d9-88ed-5944d1962f5e"

enum renew_end {
	RENEW_DONE,  /* renewed */
	RENEW_FRESH, /* it needs none (somebody else did it, or there is none to renew) */
	RENEW_LATER, /* it failed, and may be tried again at retry_ms */
	RENEW_GONE,  /* refused for good */
	RENEW_BUSY,  /* another renews it just now */
};

typedef int renew_call_fn(const struct http_request *rq, struct http_answer *ret, struct err *e);

/* force: also when it is not due. call: http_call, or a test's. e is set with LATER, GONE and BUSY. */
enum renew_end login_renew(const char *path, const char *ca_file, bool force, renew_call_fn *call, struct err *e);

#endif
