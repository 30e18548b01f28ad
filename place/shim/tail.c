/* SPDX-License-Identifier: ISC */
/*
 * Copies of conversations.
 *
 * Theory of operation. The copy's length on disk is what a new shim goes on from; nothing else is kept. With the length
 * goes a digest of the last bytes, and the guest says whether its file holds them there (place/guest/tail.c). It does
 * unless the file was cut, replaced or written anew. Then the whole of it is sent again, and of it only lines that the
 * copy does not have are appended: a copy never changes, so its offsets stay true, and each line is in it once. Where
 * the two stand from then on is in conversation-ID.map ({copy, source}: these offsets are of the same byte).
 *
 * The bound: all copies of an instance together take at most `max` bytes of the disk; beyond, the oldest bytes are
 * punched out of the oldest (they read as zeros; offsets stay). Where holes cannot be made copying ends, and that is
 * said. A write that fails leaves the bytes with the guest, and is tried again after RETRY_MS.
 */
#include "place/shim/tail_int.h"

#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/util.h"
#include "place/shim/guest.h"

#define RETRY_MS 5000
#define ANEW_MS 1000 /* before a file that was written anew is asked for; twice as long each time */
#define ANEW_MOST_MS 60000
#define MAX_LEAST (64 * 1024)
#define MAX_DEFAULT (64 * 1024 * 1024)

struct tail *shim_tails;

static void on_retry(void *arg)
{
	struct tail *t = arg;

	if (!t->stream)
		tail_open_stream(t);
}

/* What the guest holds stays there. */
static void let_go(struct tail *t, bool retry)
{
	if (t->stream)
		link_reset(t->stream, NULL);
	t->stream = NULL;
	t->asked = t->looked; /* nobody answers */
	if (retry)
		loop_timer_start(t->retry, RETRY_MS);
}

static void on_data(void *arg, struct link_stream *s, const void *data, size_t len)
{
	struct tail *t = arg;
	const char *p = data;
	ssize_t taken = 0;

	t->kept = 0;
	t->coming = len + t->line.len + 1;
	if (t->again)
		taken = tail_again_take(t, p, len);
	if (taken < 0 || ((size_t)taken < len && tail_append(t, p + taken, len - (size_t)taken) < 0)) {
		let_go(t, true);
		tail_looks_check();
		return;
	}
	link_consumed(s, len);
}

static void on_ctl(void *arg, struct link_stream *s, json_t *msg)
{
	const json_t *begun = json_object_get(msg, "tail");
	struct tail *t = arg;
	struct err e = {0};

	(void)s;
	if (json_get_bool(msg, "changed")) {
		t->changed = true;
	} else if (json_object_get(msg, "error") && !t->changed) {
		err_from_json(json_object_get(msg, "error"), &e);
		log_warn("tail", t->instance, "its transcript cannot be read: %s", e.message);
	} else if (begun && !json_get_bool(begun, "same")) {
		if (t->length > 0)
			log_info("tail", t->instance, "its transcript was written anew: only what is new of it is taken");
		int64_t size = json_get_int(begun, "size", 0);
		tail_again_begin(t, size > 0 ? (uint64_t)size : 0);
	}
	if (json_is_integer(json_object_get(msg, "looked"))) {
		t->looked = json_get_int(msg, "looked", 0);
		tail_looks_check();
	}
}

/* The guest has nothing more to say of it: it was written anew, or cannot be followed. */
static void on_fin(void *arg, struct link_stream *s, json_t *msg)
{
	struct tail *t = arg;
	bool anew = t->changed;

	(void)msg;
	(void)s;
	t->changed = false;
	let_go(t, false);
	if (anew) { /* which its writer can do as often as it likes */
		t->anew_ms = !t->anew_ms ? ANEW_MS : 2 * t->anew_ms < ANEW_MOST_MS ? 2 * t->anew_ms : ANEW_MOST_MS;
		loop_timer_start(t->retry, t->anew_ms);
	}
	tail_looks_check();
}

static void on_reset(void *arg, struct link_stream *s, const struct err *why)
{
	struct tail *t = arg;

	(void)s;
	(void)why;
	t->stream = NULL;
	t->asked = t->looked;
	tail_looks_check();
}

static const struct link_stream_ops stream_ops = {.on_data = on_data, .on_ctl = on_ctl, .on_fin = on_fin, .on_reset = on_reset};

static json_t *check_of(const struct tail *t, uint64_t from)
{
	char bytes[CHECK_BYTES], hex[SHA256_HEX];
	uint64_t least = t->copy < t->length ? t->length - t->copy : 0;
	/* Before the map's byte the two need not be alike. */
	size_t n = t->copy > 0 || t->source > 0 ? (least < CHECK_BYTES ? (size_t)least : CHECK_BYTES)
						: (t->length < CHECK_BYTES ? (size_t)t->length : CHECK_BYTES);

	if (n > from)
		n = (size_t)from;
	if (least == 0 && t->ncheck > 0 && t->source == from) /* nothing came since the two stand at the same line */
		return json_pack("{s:I, s:s}", "len", (json_int_t)t->ncheck, "sha256", t->check);
	if (n == 0 || pread(t->fd, bytes, n, (off_t)(t->length - n)) != (ssize_t)n)
		return json_pack("{s:i}", "len", 0);
	sha256_hex(bytes, n, hex);
	return json_pack("{s:I, s:s}", "len", (json_int_t)n, "sha256", hex);
}

void tail_open_stream(struct tail *t)
{
	uint64_t from = t->source + (t->length - t->copy);
	struct err e = {0};

	tail_again_end(t);
	loop_timer_stop(t->retry);
	t->changed = false;
	t->stream = link_open(guest_link(t->shim->guest),
		json_pack("{s:s, s:s, s:s, s:I, s:o}", "kind", "tail", "root", t->root, "path", t->path, "from", (json_int_t)from,
			"check", check_of(t, from)),
		&stream_ops, t, &e);
	if (!t->stream) {
		log_warn("tail", t->instance, "its transcript cannot be followed: %s; it is tried again", e.message);
		loop_timer_start(t->retry, RETRY_MS);
	}
	FAULT_POINT("tail.opened");
}

/* --- life --- */

static void destroy(struct tail *t)
{
	struct tail **at = &shim_tails;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	tail_again_end(t);
	loop_timer_free(t->tell);
	loop_timer_free(t->retry);
	if (t->fd >= 0)
		close(t->fd);
	if (t->dir >= 0)
		close(t->dir);
	free(t->root);
	free(t->path);
	free(t);
}

/* The oldest of an instance that has too many is let go. */
static void make_room(const char *instance)
{
	struct tail *oldest = NULL;
	size_t n = 0;

	for (struct tail *t = shim_tails; t; t = t->next) /* the newest first */
		if (strcmp(t->instance, instance) == 0) {
			oldest = t;
			n++;
		}
	if (n < TAILS_OF_INSTANCE)
		return;
	let_go(oldest, false);
	destroy(oldest);
	tail_looks_check();
}

static bool conversation_valid(const char *id)
{
	size_t n = strlen(id);

	/* It becomes part of a file's name. */
	return n > 0 && n < CONVERSATION_ID_MAX &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == n;
}

static int parse(struct shim *s, const json_t *params, struct tail *t, struct err *e)
{
	const char *id = json_need_text(params, "instance", e), *conversation = id ? json_need_text(params, "conversation", e) : NULL;
	const char *root = conversation ? json_need_text(params, "root", e) : NULL, *path = root ? json_need_text(params, "path", e) : NULL;
	int64_t max = json_get_int(params, "max", MAX_DEFAULT);

	if (!path)
		return -1;
	if (!inst_id_valid(id) || !conf_has_instance(s->conf, id))
		return err_set(e, ERR_DENIED, "place.json does not name the instance %.20s", id);
	if (!conversation_valid(conversation))
		return err_set(e, ERR_PARAMS, "\"%.80s\" is no conversation's id", conversation);
	memcpy(t->instance, id, INST_ID_LEN);
	str_fmt(t->conversation, sizeof(t->conversation), "%s", conversation);
	t->root = xstrdup(root);
	t->path = xstrdup(path);
	t->max = max < MAX_LEAST ? MAX_LEAST : (uint64_t)max;
	return 0;
}

int tail_follow(struct shim *s, const json_t *params, uint64_t *ret_length, struct err *e)
{
	struct tail *t = xcalloc(1, sizeof(*t)), *old;

	t->shim = s;
	t->dir = t->fd = -1;
	if (parse(s, params, t, e) < 0) {
		destroy(t);
		return -1;
	}
	for (old = shim_tails; old && (strcmp(old->instance, t->instance) != 0 || strcmp(old->conversation, t->conversation) != 0); old = old->next)
		;
	if (old && strcmp(old->root, t->root) == 0 && strcmp(old->path, t->path) == 0) {
		destroy(t);
		if (!old->stream)
			tail_open_stream(old);
		*ret_length = old->length;
		return 0;
	}
	if (old) {
		let_go(old, false);
		destroy(old);
	}
	make_room(t->instance);
	if (tail_copy_open(t, e) < 0) {
		destroy(t);
		return -1;
	}
	t->tell = loop_timer_create(s->loop, tail_on_tell, t);
	t->retry = loop_timer_create(s->loop, on_retry, t);
	t->next = shim_tails;
	shim_tails = t;
	tail_open_stream(t);
	*ret_length = t->length;
	return 0;
}

void tail_tell_all(struct shim *s)
{
	(void)s;
	for (struct tail *t = shim_tails; t; t = t->next)
		tail_on_tell(t);
}

void tail_destroy_all(struct shim *s)
{
	tail_daemon_gone(s);
	while (shim_tails) {
		shim_tails->stream = NULL; /* the link goes as a whole */
		destroy(shim_tails);
	}
}
