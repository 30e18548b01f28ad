/* SPDX-License-Identifier: ISC */
/*
 * One HTTP request, sent and answered within a deadline. It waits: for short-lived helper programs only, never for
 * the daemon, which starts one as a child (daemon/world/child.h). The only user of libcurl.
 *
 * Certificates are always checked. Redirects are not followed: a secret in the body goes where it was sent. The
 * proxy is the environment's (HTTPS_PROXY, NO_PROXY), as for every program of the host.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define HTTP_ANSWER_MAX (256 * 1024)
#define HTTP_HEADERS_MAX 32

struct http_request {
	const char *url;
	bool plain;                 /* http:// is allowed as well */
	const char *const *headers; /* "Name: value"; ends with NULL; NULL: none */
	const char *body;           /* it is a POST; NULL: a GET */
	size_t len;
	const char *ca_file; /* PEM: these authorities instead of the system's; NULL or "": the system's */
	int64_t deadline_ms; /* for all of it */
};

struct http_answer {
	long status;           /* HTTP's; 0: none came */
	int64_t retry_after_s; /* it asked to wait so long; 0: it did not */
	char *body;            /* NUL behind; never NULL when status is not 0 */
	size_t len;
	bool sent; /* the server may have seen the request; false: certainly not */
};

/* 0: a whole answer came, of whatever status. -1 with why (no URL and no secret in it): ret->sent tells whether the
 * server may have acted on it all the same. */
int http_call(const struct http_request *rq, struct http_answer *ret, struct err *e);
void http_answer_finish(struct http_answer *a); /* wipes the body */

#endif
