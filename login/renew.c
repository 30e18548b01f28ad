/* SPDX-License-Identifier: ISC */
/* One renewal; the theory of it is in renew.h. */
#include "login/renew.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/util.h"

#define NEXT_ROOM LOGIN_FILE_MAX
#define ACCESS_LIFE_MAX_S (400 * 24 * 3600LL) /* what a server says beyond is not believed */
#define DEFAULT_LIFE_S 3600
#define GONE_HINT "give another: tmux-claude login --subscription"

struct renewal {
	const char *path, *ca_file;
	char *next;     /* FILE.next */
	int lock, room; /* room: FILE.next, open */
	json_t *o;      /* the file as it is */
	int64_t now;
	bool unsure;    /* how an earlier one ended is not known */
	bool answered;  /* FILE.next has the answer, or as much of it as the disk took: it is the only place that has */
};

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static int64_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* ---- when ---- */

static bool is_due(const struct renewal *r)
{
	int64_t obtained = number_of(r->o, "obtained_ms");

	/* A clock that stands before the time of its making says nothing of its end. */
	return r->now < obtained || r->now >= login_due_at(obtained, number_of(r->o, "expires_ms")) ||
	       number_of(r->o, "begun_ms") > 0;
}

/* ---- files ---- */

static int sync_folder(const char *path)
{
	cleanup_free char *dir = xstrdup(path);

	*strrchr(dir, '/') = '\0';
	cleanup_close int fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -1 : fsync(fd);
}

/* What is only about the renewal; the tokens stay. */
static int keep(struct renewal *r, struct err *e)
{
	char *text = json_dumps(r->o, JSON_COMPACT);
	int rc = file_write_atomic(r->path, text, strlen(text), 0600, e);

	explicit_bzero(text, strlen(text));
	free(text);
	return rc;
}

static int put_in_place(struct renewal *r, struct err *e)
{
	FAULT_POINT("login.answer.kept");
	if (rename(r->next, r->path) < 0)
		return err_set_errno(e, ERR_IO, errno, "the renewed login cannot be put in place (%s)", r->path);
	sync_folder(r->path); /* where it fails, and the power does, too, FILE.next is there again, and is taken up */
	FAULT_POINT("login.in_place");
	return 0;
}

/* A renewal before this one was killed when it had its answer: that is the one that is good. */
static int take_up(struct renewal *r, struct err *e)
{
	struct err none = {0};
	json_t *next = login_read(r->next, &none);

	if (!next && none.code == ERR_IO) { /* it may be the answer: nothing is asked before it could be read */
		*e = none;
		return -1;
	}
	if (!next)
		return 0;
	if (number_of(next, "generation") != number_of(r->o, "generation") + 1 ||
		strcmp(text_of(next, "id") ?: "", text_of(r->o, "id") ?: "") != 0) {
		login_wipe(next);
		return 0;
	}
	login_wipe(r->o);
	r->o = next;
	return put_in_place(r, e);
}

/* Room for the answer is taken before the question: with a full disk a used up token would be all that is left. */
static int make_room(struct renewal *r, struct err *e)
{
	int rc = 0;

	unlink(r->next);
	r->room = open(r->next, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->room >= 0)
		rc = posix_fallocate(r->room, 0, NEXT_ROOM);
	if (r->room >= 0 && (rc == 0 || rc == EOPNOTSUPP || rc == EINVAL) && fsync(r->room) == 0 &&
		sync_folder(r->path) == 0)
		return 0;
	err_set_errno(e, ERR_IO, rc ? rc : errno, "no room for the renewed login beside %s", r->path);
	unlink(r->next);
	return -1;
}

static int keep_answer(struct renewal *r, json_t *fresh, struct err *e)
{
	char *text = json_dumps(fresh, JSON_COMPACT);
	size_t len = strlen(text);

	r->answered = true;
	bool ok = pwrite(r->room, text, len, 0) == (ssize_t)len && ftruncate(r->room, (off_t)len) == 0 &&
		  fsync(r->room) == 0;
	int saved = errno;

	explicit_bzero(text, len);
	free(text);
	if (!ok)
		return err_set_errno(e, ERR_IO, saved, "the renewed login cannot be written (%s)", r->next);
	return put_in_place(r, e);
}

/* ---- the question ---- */

static char *question(const struct renewal *r)
{
	const json_t *scopes = json_object_get(r->o, "scopes");
	json_t *q = json_pack("{s:s, s:s, s:s}", "grant_type", "refresh_token", "refresh_token",
		text_of(r->o, "refresh"), "client_id", RENEW_CLIENT);
	cleanup_free char *scope = xstrdup("");
	json_t *s;
	size_t i;

	json_array_foreach(scopes, i, s) {
		char *more = xasprintf("%s%s%s", scope, *scope ? " " : "", json_string_value(s) ?: "");
		free(scope);
		scope = more;
	}
	if (*scope)
		json_object_set_new(q, "scope", json_string(scope));
	char *text = json_dumps(q, JSON_COMPACT);
	login_wipe(q);
	return text;
}

static int ask(struct renewal *r, renew_call_fn *call, struct http_answer *ret, struct err *e)
{
	static const char *const headers[] = {"Content-Type: application/json", "Accept: application/json",
		"User-Agent: tmux-claude", "Expect:", NULL};
	char *body = question(r);
	struct http_request rq = {.url = RENEW_URL, .headers = headers, .body = body, .len = strlen(body),
		.ca_file = r->ca_file, .deadline_ms = RENEW_DEADLINE_MS};
	int rc = call(&rq, ret, e);

	explicit_bzero(body, strlen(body));
	free(body);
	return rc;
}

/* ---- what came of it ---- */

static json_t *fresh_login(const struct renewal *r, const json_t *a)
{
	const char *access = text_of(a, "access_token"), *refresh = text_of(a, "refresh_token");
	int64_t life = number_of(a, "expires_in"), now = clock_wall_ms();
	json_t *f;

	if (!access || !login_value_ok(access) || (refresh && !login_value_ok(refresh)))
		return NULL;
	if (life <= 0 || life > ACCESS_LIFE_MAX_S)
		life = DEFAULT_LIFE_S;
	f = json_copy(r->o);
	json_object_set_new(f, "value", json_string(access));
	if (refresh) /* without one the old goes on being good */
		json_object_set_new(f, "refresh", json_string(refresh));
	json_object_set_new(f, "obtained_ms", json_integer(now));
	json_object_set_new(f, "expires_ms", json_integer(now + life * 1000));
	json_object_set_new(f, "generation", json_integer(number_of(r->o, "generation") + 1));
	json_object_del(f, "begun_ms");
	json_object_del(f, "failures");
	json_object_del(f, "retry_ms");
	json_object_del(f, "why");
	return f;
}

/* settled: the old token is certainly still the good one. */
static enum renew_end later(struct renewal *r, bool settled, int64_t retry_after_s, struct err *e)
{
	int64_t failures = number_of(r->o, "failures") + 1;
	struct err disk = {0};

	if (settled && !r->unsure)
		json_object_del(r->o, "begun_ms");
	json_object_set_new(r->o, "failures", json_integer(failures));
	json_object_set_new(r->o, "retry_ms", json_integer(clock_wall_ms() + renew_pause_ms(failures, retry_after_s)));
	json_object_set_new(r->o, "why", json_string(e->message));
	keep(r, &disk); /* what it could not note of this is told all the same */
	return RENEW_LATER;
}

static enum renew_end gone(struct renewal *r, const char *word, struct err *e)
{
	char when[CLOCK_ISO_MAX];
	struct err disk = {0};

	if (r->unsure)
		err_set(e, ERR_DENIED, "the login cannot be renewed any more (%s): a renewal that was begun at %s was cut off before "
				       "its answer was kept, and its token counts as used",
			word, clock_iso(number_of(r->o, "begun_ms"), when));
	else
		err_set(e, ERR_DENIED, "the login cannot be renewed any more (%s): it was ended, or its token was used by "
				       "another program that has a copy of it",
			word);
	err_hint(e, GONE_HINT);
	json_object_set_new(r->o, "gone", json_true());
	json_object_set_new(r->o, "why", json_string(e->message));
	json_object_del(r->o, "begun_ms");
	keep(r, &disk);
	return RENEW_GONE;
}

static enum renew_end judge(struct renewal *r, const struct http_answer *a, struct err *e)
{
	json_t *o = json_loadb(a->body, a->len, 0, NULL);
	const char *word = text_of(o, "error");
	json_t *fresh = a->status == 200 ? fresh_login(r, o) : NULL;
	enum renew_end end;

	if (fresh) {
		FAULT_POINT("login.answer");
		if (keep_answer(r, fresh, e) == 0)
			end = RENEW_DONE;
		else
			end = later(r, false, 0, e);
	} else if ((a->status == 400 || a->status == 401) && word && !strcmp(word, "invalid_grant")) {
		end = gone(r, "invalid_grant", e);
	} else if (a->status == 200) {
		err_set(e, ERR_FAILED, "the token endpoint answered what cannot be understood");
		end = later(r, false, 0, e);
	} else {
		err_set(e, ERR_UNAVAILABLE, "the token endpoint answered %ld", a->status);
		/* Behind a failure of its own, or of a proxy that gave up waiting, it may be used up. */
		end = later(r, a->status < 500, a->retry_after_s, e);
	}
	login_wipe(fresh);
	login_wipe(o);
	return end;
}

static enum renew_end renew(struct renewal *r, renew_call_fn *call, struct err *e)
{
	struct http_answer a = {0};
	enum renew_end end;

	r->unsure = number_of(r->o, "begun_ms") > 0;
	if (make_room(r, e) < 0)
		return RENEW_LATER;
	if (!r->unsure)
		json_object_set_new(r->o, "begun_ms", json_integer(r->now));
	FAULT_POINT("login.begin");
	if (keep(r, e) < 0) {
		unlink(r->next);
		return RENEW_LATER;
	}
	FAULT_POINT("login.begun");
	if (ask(r, call, &a, e) < 0)
		end = later(r, !a.sent, 0, e);
	else
		end = judge(r, &a, e);
	if (!r->answered)
		unlink(r->next);
	http_answer_finish(&a);
	return end;
}

enum renew_end login_renew(const char *path, const char *ca_file, bool force, renew_call_fn *call, struct err *e)
{
	struct renewal r = {.path = path, .ca_file = ca_file, .lock = -1, .room = -1, .now = clock_wall_ms()};
	enum renew_end end = RENEW_FRESH;
	struct err why = {0};

	r.next = xasprintf("%s.next", path);
	r.lock = login_lock(path, &why);
	if (r.lock < 0)
		end = why.code == ERR_BUSY ? RENEW_BUSY : RENEW_LATER;
	else if (!(r.o = login_read(path, &why)))
		end = why.code ? RENEW_LATER : RENEW_FRESH;
	else if (strcmp(text_of(r.o, "kind"), LOGIN_RENEWING) != 0)
		end = RENEW_FRESH;
	else if (take_up(&r, &why) < 0)
		end = RENEW_LATER;
	else if (json_is_true(json_object_get(r.o, "gone")))
		end = RENEW_GONE;
	else if (force || is_due(&r))
		end = renew(&r, call, &why);
	if (end == RENEW_GONE && !why.code) {
		err_set(&why, ERR_DENIED, "%s", text_of(r.o, "why") ?: "the login is gone");
		err_hint(&why, GONE_HINT);
	}
	login_wipe(r.o);
	if (r.room >= 0)
		close(r.room);
	if (r.lock >= 0)
		close(r.lock);
	free(r.next);
	if (e && why.code)
		*e = why;
	return end;
}
