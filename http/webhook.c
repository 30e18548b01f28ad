/* SPDX-License-Identifier: ISC */
/*
 * tmux-claude-webhook: posts one notice, and says what came of it. A process of its own: an endpoint that hangs, floods or
 * breaks its TLS harms nobody else, and the daemon never holds the secret.
 *
 * On standard input one JSON object {url, secret_file|null, ca_file|null, timeout_ms, id, body}. Exit 0: it was taken (2xx); 75: it may be
 * taken later (no connection, a time-out, 408, 425, 429, 5xx); 1: it will not be. Why is one line on standard output, without
 * the URL.
 *
 * Headers: Idempotency-Key (the notice's id: the same at each attempt), X-Tmux-Claude-Timestamp (seconds), and with a secret
 * X-Tmux-Claude-Signature: sha256=HEX, the HMAC-SHA256 over TIMESTAMP "." BODY.
 */
#include <errno.h>
#include <jansson.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/util.h"
#include "http/http.h"

#define INPUT_MAX (1024 * 1024)
#define SECRET_MAX 4096
#define EXIT_LATER 75

/* The file's bytes without white space at their end. Who else may read it could sign. */
static int secret_read(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set_errno(e, ERR_IO, errno, "the secret %s cannot be read", path);
	if (st.st_mode & 077 || (st.st_uid != geteuid() && st.st_uid != 0)) {
		err_set(e, ERR_DENIED, "the secret %s is not for its owner alone (mode %04o)", path, (unsigned)(st.st_mode & 07777));
		return err_hint(e, "chmod 600 it");
	}
	if (file_read(path, SECRET_MAX, ret, ret_len, e) < 0)
		return -1;
	while (*ret_len && strchr(" \t\r\n", (*ret)[*ret_len - 1]))
		(*ret)[--*ret_len] = '\0';
	return *ret_len ? 0 : err_set(e, ERR_PARAMS, "the secret %s is empty", path);
}

static const char *text_of(const json_t *job, const char *key)
{
	return json_string_value(json_object_get(job, key));
}

static int headers_make(const json_t *job, const char *body, char ***headers, struct err *e)
{
	const char *file = text_of(job, "secret_file");
	cleanup_free char *secret = NULL;
	char stamp[32], hex[SHA256_HEX];
	size_t len = 0;

	if (file && secret_read(file, &secret, &len, e) < 0)
		return -1;
	str_fmt(stamp, sizeof(stamp), "%lld", (long long)(clock_wall_ms() / 1000));
	strv_push(headers, "Content-Type: application/json");
	strv_push(headers, "User-Agent: tmux-claude/" PACKAGE_VERSION);
	strv_pushf(headers, "Idempotency-Key: %s", text_of(job, "id"));
	strv_pushf(headers, "X-Tmux-Claude-Timestamp: %s", stamp);
	if (!file)
		return 0;
	cleanup_free char *head = xasprintf("%s.", stamp);
	sha256_hmac_hex(secret, len, head, strlen(head), body, strlen(body), hex);
	strv_pushf(headers, "X-Tmux-Claude-Signature: sha256=%s", hex);
	explicit_bzero(secret, len);
	return 0;
}

/* The exit code that an answer stands for. */
static int outcome(long status)
{
	if (status >= 200 && status < 300)
		return 0;
	printf("it answered %ld%s\n", status, status >= 300 && status < 400 ? ", and redirects are not followed" : "");
	return status >= 500 || status == 408 || status == 425 || status == 429 ? EXIT_LATER : 1;
}

static int post(const json_t *job)
{
	const char *body = text_of(job, "body");
	cleanup_strv char **headers = strv_new();
	int64_t ms = json_integer_value(json_object_get(job, "timeout_ms"));
	struct http_answer answer = {0};
	struct err err = {0};
	int r;

	if (!body || !text_of(job, "url") || !text_of(job, "id"))
		err_set(&err, ERR_PARAMS, "what is to be posted is not whole");
	else if (headers_make(job, body, &headers, &err) == 0) {
		const struct http_request rq = {.url = text_of(job, "url"), .plain = true, .headers = (const char *const *)headers,
			.body = body, .len = strlen(body), .ca_file = text_of(job, "ca_file"), .deadline_ms = ms > 0 ? ms : 10000};
		if (http_call(&rq, &answer, &err) == 0) {
			r = outcome(answer.status);
			http_answer_finish(&answer);
			return r;
		}
	}
	printf("%s\n", err.message);
	/* An answer that is too long was an answer. */
	return err.code == ERR_UNAVAILABLE || err.code == ERR_TIMEOUT ? EXIT_LATER : 1;
}

int main(void)
{
	cleanup_free char *input = xcalloc(INPUT_MAX + 1, 1);
	json_t *job;
	size_t len = 0;
	ssize_t n;
	int r;

	while (len < INPUT_MAX && (n = read(STDIN_FILENO, input + len, INPUT_MAX - len)) > 0)
		len += (size_t)n;
	job = json_loadb(input, len, 0, NULL);
	if (!job) {
		printf("what is to be posted cannot be understood\n");
		return 1;
	}
	r = post(job);
	json_decref(job);
	return r;
}
