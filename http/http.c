/* SPDX-License-Identifier: ISC */
/* One HTTP request by libcurl; see http.h. */
#include "http/http.h"

#include <curl/curl.h>
#include <string.h>

#include "base/util.h"

#define CONNECT_MS 15000L

struct body {
	char *mem;
	size_t len;
	bool over; /* longer than HTTP_ANSWER_MAX */
};

static size_t on_body(char *data, size_t size, size_t n, void *arg)
{
	struct body *b = arg;
	size_t len = size * n;

	if (b->len + len > HTTP_ANSWER_MAX) {
		b->over = true;
		return 0;
	}
	memcpy(b->mem + b->len, data, len);
	b->len += len;
	return len;
}

/* Nothing of the request left this machine, or it was not encrypted yet. */
static bool never_sent(CURLcode r)
{
	return r == CURLE_UNSUPPORTED_PROTOCOL || r == CURLE_URL_MALFORMAT || r == CURLE_COULDNT_RESOLVE_PROXY ||
	       r == CURLE_COULDNT_RESOLVE_HOST || r == CURLE_COULDNT_CONNECT || r == CURLE_SSL_CONNECT_ERROR ||
	       r == CURLE_PEER_FAILED_VERIFICATION || r == CURLE_SSL_CACERT_BADFILE || r == CURLE_SSL_CERTPROBLEM;
}

static void set_options(CURL *c, const struct http_request *rq, struct curl_slist *headers, struct body *b)
{
	const char *allowed = rq->plain ? "https,http" : "https";

#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, allowed);
#else
	curl_easy_setopt(c, CURLOPT_PROTOCOLS, rq->plain ? CURLPROTO_HTTPS | CURLPROTO_HTTP : CURLPROTO_HTTPS);
	(void)allowed;
#endif
	curl_easy_setopt(c, CURLOPT_URL, rq->url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)rq->deadline_ms);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, b);
	if (rq->ca_file && *rq->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, rq->ca_file);
	if (rq->body) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, rq->body);
	}
}

static int add_headers(const char *const *headers, struct curl_slist **list, struct err *e)
{
	for (size_t i = 0; headers && headers[i]; i++) {
		struct curl_slist *longer = i < HTTP_HEADERS_MAX ? curl_slist_append(*list, headers[i]) : NULL;

		if (!longer)
			return err_set(e, ERR_LIMIT, "a request has at most %d headers", HTTP_HEADERS_MAX);
		*list = longer;
	}
	return 0;
}

static int failed(CURLcode r, const struct body *b, struct err *e)
{
	if (b->over)
		return err_set(e, ERR_LIMIT, "the answer is longer than %d bytes", HTTP_ANSWER_MAX);
	err_set(e, r == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, "no answer: %s",
		curl_easy_strerror(r));
	if (r == CURLE_PEER_FAILED_VERIFICATION)
		err_hint(e, "where a proxy answers in its stead, name the authorities of that proxy in the config: ca_file");
	return -1;
}

int http_call(const struct http_request *rq, struct http_answer *ret, struct err *e)
{
	struct curl_slist *headers = NULL;
	struct body b = {.mem = xcalloc(HTTP_ANSWER_MAX + 1, 1)};
	CURL *c = curl_easy_init();
	CURLcode r = CURLE_FAILED_INIT;
	curl_off_t retry = 0;
	int rc;

	memset(ret, 0, sizeof(*ret));
	rc = c ? add_headers(rq->headers, &headers, e) : err_set(e, ERR_INTERNAL, "libcurl cannot be used");
	if (rc == 0) {
		set_options(c, rq, headers, &b);
		r = curl_easy_perform(c);
		ret->sent = !never_sent(r);
		rc = r == CURLE_OK ? 0 : failed(r, &b, e);
	}
	if (rc == 0) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
		curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry);
		ret->retry_after_s = (int64_t)retry;
		ret->body = take_ptr(b.mem);
		ret->len = b.len;
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(c);
	if (b.mem)
		explicit_bzero(b.mem, b.len);
	free(b.mem);
	return rc;
}

void http_answer_finish(struct http_answer *a)
{
	if (a->body)
		explicit_bzero(a->body, a->len);
	free(a->body);
	memset(a, 0, sizeof(*a));
}
