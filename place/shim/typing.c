/* SPDX-License-Identifier: ISC */
/* The daemon's calls that type: `input`, `typed` and `key`. */
#include "place/shim/typing.h"

#include "base/util.h"
#include "ipc/schema.h"
#include "place/shim/inst_int.h"
#include "place/shim/keys.h"

#define KEY_DEADLINE_MS 15000

/* What a daemon hands over at once, behind as much of a connection that it lost. */
_Static_assert(TYPING_KEYS >= 2 * (INPUTS_AT_ONCE + 1), "the outcomes of all that a daemon handed over are kept");
_Static_assert(INPUT_QUEUE_MAX >= 2 * (INPUT_BYTES_AT_ONCE + SEND_MAX), "a daemon's inputs fit the queue");
/* As base64, and as much again for the rest of each line. */
_Static_assert(PEER_OUT_MAX >= (INPUT_BYTES_AT_ONCE + SEND_MAX) / 3 * 4 * 2, "a daemon's inputs fit its peer's queue");

/* Somebody who is told how an input went. */
struct waiter {
	struct waiter *next;
	struct peer_request *req;
};

/* One input with a key: under way, or over. */
struct outcome {
	char key[TYPING_KEY_MAX + 1];
	bool over;
	bool kept; /* its daemon may have to ask for it */
	size_t taken;
	struct err why;
	struct waiter *waiters;
};

struct typing {
	struct outcome *ring[TYPING_KEYS];
	unsigned last;
	/* A text that is still being given. */
	char part_key[TYPING_KEY_MAX + 1];
	int64_t parts;
	struct buf text;
};

struct typing *typing_create(void)
{
	struct typing *t = xcalloc(1, sizeof(*t));

	buf_init(&t->text, INPUT_MAX);
	return t;
}

/* How an input went. An error is part of the result: what fails as a call was never begun. */
static void answer(struct peer_request *req, size_t taken, const struct err *why)
{
	json_t *o = json_pack("{s:I}", "taken", (json_int_t)taken);

	if (why && why->code)
		json_object_set_new(o, "error", err_to_json(why));
	peer_result(req, o);
}

static void tell(struct outcome *o)
{
	struct waiter *w;

	while ((w = o->waiters)) {
		o->waiters = w->next;
		answer(w->req, o->taken, &o->why);
		free(w);
	}
}

void typing_destroy(struct typing *t)
{
	if (!t)
		return;
	for (unsigned n = 0; n < TYPING_KEYS; n++) {
		if (t->ring[n])
			tell(t->ring[n]);
		free(t->ring[n]);
	}
	buf_finish(&t->text);
	free(t);
}

void typing_detach(struct typing *t)
{
	struct err gone = {0};
	struct waiter *w;

	buf_finish(&t->text);
	t->parts = 0;
	err_set(&gone, ERR_CANCELLED, "who asked is gone");
	for (unsigned n = 0; n < TYPING_KEYS; n++) {
		while (t->ring[n] && (w = t->ring[n]->waiters)) {
			t->ring[n]->waiters = w->next;
			peer_error(w->req, &gone);
			free(w);
		}
	}
}

static struct outcome *find(struct typing *t, const char *key)
{
	for (unsigned n = 0; n < TYPING_KEYS; n++)
		if (t->ring[n] && strcmp(t->ring[n]->key, key) == 0)
			return t->ring[n];
	return NULL;
}

static void keep(struct typing *t, const json_t *keys)
{
	const json_t *key;
	size_t k;

	for (unsigned n = 0; n < TYPING_KEYS; n++)
		if (t->ring[n])
			t->ring[n]->kept = false;
	json_array_foreach(keys, k, key) {
		struct outcome *o = json_is_string(key) ? find(t, json_string_value(key)) : NULL;

		if (o)
			o->kept = true;
	}
}

/* A place for one more: the oldest makes room that is over and not to be kept. NULL: there is none. */
static struct outcome *remember(struct typing *t, const char *key)
{
	for (unsigned n = 1; n <= TYPING_KEYS; n++) {
		struct outcome **at = &t->ring[(t->last + n) % TYPING_KEYS];

		if (*at && (!(*at)->over || (*at)->kept))
			continue;
		free(*at);
		*at = xcalloc(1, sizeof(**at));
		str_fmt((*at)->key, sizeof((*at)->key), "%s", key);
		t->last = (t->last + n) % TYPING_KEYS;
		return *at;
	}
	return NULL;
}

static void wait_for(struct outcome *o, struct peer_request *req)
{
	struct waiter *w;

	if (o->over) {
		answer(req, o->taken, &o->why);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct waiter){.next = o->waiters, .req = req};
	o->waiters = w;
}

static void on_typed(void *arg, size_t taken, const struct err *why)
{
	struct outcome *o = arg;

	o->over = true;
	o->taken = taken;
	if (why)
		o->why = *why;
	if (why && why->code != ERR_TIMEOUT && taken)
		err_prefix(&o->why, "%zu bytes of the text had been taken", taken);
	tell(o);
}

static void on_typed_once(void *arg, size_t taken, const struct err *why)
{
	answer(arg, taken, why);
}

static void on_keys(void *arg, size_t taken, const struct err *why)
{
	(void)taken;
	if (why)
		peer_error(arg, why);
	else
		peer_result(arg, NULL);
}

/* --- keys --- */

/* The bytes of named keys, for the modes the program has set now. */
static int keys_bytes(const struct inst *i, const json_t *keys, struct buf *out, struct err *e)
{
	char bytes[KEY_BYTES_MAX];
	struct key_modes modes;
	const json_t *v;
	size_t k;

	if (json_array_size(keys) == 0 || json_array_size(keys) > TYPING_KEYS_MAX)
		return err_set(e, ERR_PARAMS, "\"keys\" is not a list of 1 to %d names", TYPING_KEYS_MAX);
	key_modes_of(screen_modes(i->screen), &modes);
	json_array_foreach(keys, k, v) {
		const char *name = json_is_string(v) ? json_string_value(v) : "";
		int n = key_encode(name, &modes, bytes);

		if (n < 0) {
			err_set(e, ERR_PARAMS, "'%.40s' is not a key; the nearest is %s", name, key_nearest(name));
			return err_hint(e, "keys have tmux's names: Enter, Escape, C-c, M-x, S-Tab, Up, F5, KP0, or one character");
		}
		buf_append(out, bytes, (size_t)n);
	}
	return 0;
}

/* --- input --- */

/* Adds the bytes of `text`, `data` or `keys` to what was given before. */
static int take_bytes(struct inst *i, const json_t *params, struct err *e)
{
	struct typing *t = i->typing;
	const json_t *text = json_object_get(params, "text");
	const char *data = json_get_text(params, "data", NULL);
	cleanup_free unsigned char *bytes = NULL;
	size_t len = 0;

	if (json_object_get(params, "keys"))
		return keys_bytes(i, json_object_get(params, "keys"), &t->text, e);
	if (data) {
		bytes = base64_decode(data, &len);
		if (!bytes)
			return err_set(e, ERR_PARAMS, "\"data\" is not base64");
	} else if (json_is_string(text)) {
		len = json_string_length(text);
	}
	if (buf_append(&t->text, bytes ? (const void *)bytes : json_string_value(text), len) < 0)
		return err_set(e, ERR_LIMIT, "the input has more than %d bytes", INPUT_MAX);
	return 0;
}

/* The pieces of one text come in their order, under one key. */
static int take_part(struct inst *i, const json_t *params, const char *key, struct err *e)
{
	struct typing *t = i->typing;
	int64_t part = json_get_int(params, "part", 0);

	if (part == 0) {
		buf_clear(&t->text);
		t->parts = 0;
		str_fmt(t->part_key, sizeof(t->part_key), "%s", key);
	}
	if (part != t->parts || strcmp(key, t->part_key) != 0)
		return err_set(e, ERR_PARAMS, "piece %lld of a text came, number %lld was due", (long long)part,
			(long long)t->parts);
	t->parts++;
	return take_bytes(i, params, e);
}

static int enter_key(const struct inst *i, const json_t *params, char out[KEY_BYTES_MAX + 1], struct err *e)
{
	const char *name = json_get_text(params, "submit_key", "Enter");
	struct key_modes modes;
	int n;

	key_modes_of(screen_modes(i->screen), &modes);
	n = key_encode(name, &modes, out);
	if (n <= 0)
		return err_set(e, ERR_PARAMS, "\"%s\" is not a key", name);
	out[n] = '\0';
	return 0;
}

static int check(const struct inst *i, const json_t *params, struct input_job *job, struct err *e)
{
	const char *mode = json_get_text(params, "mode", "paste");

	if (!inst_running(i))
		return err_set(e, ERR_STATE, "the program in %s has ended", i->id);
	if (strcmp(mode, "paste") != 0 && strcmp(mode, "raw") != 0)
		return err_set(e, ERR_PARAMS, "\"mode\" is neither paste nor raw");
	if (strlen(json_get_text(params, "key", "")) > TYPING_KEY_MAX)
		return err_set(e, ERR_PARAMS, "\"key\" is longer than %d bytes", TYPING_KEY_MAX);
	*job = (struct input_job){.mode = strcmp(mode, "raw") == 0 ? INPUT_RAW : INPUT_PASTE,
		.whole = json_get_bool(params, "whole"),
		.expect_brackets = json_get_bool(params, "expect_brackets"),
		.quiet_ms = json_get_int(params, "quiet_ms", 0),
		.deadline_ms = json_get_int(params, "deadline_ms", 0)};
	return 0;
}

/* Hands the whole text to the queue. */
static int begin(struct inst *i, struct peer_request *req, const json_t *params, struct input_job *job,
	const char *key, struct err *e)
{
	struct typing *t = i->typing;
	char enter[KEY_BYTES_MAX + 1];
	struct outcome *o = NULL;
	int rc;

	if (enter_key(i, params, enter, e) < 0)
		return -1;
	job->data = buf_data(&t->text);
	job->len = t->text.len;
	job->enter = json_get_bool(params, "enter") ? enter : NULL;
	job->fn = on_typed_once;
	job->arg = req;
	if (*key) {
		keep(t, json_object_get(params, "keep"));
		o = remember(t, key);
		if (!o)
			return err_set(e, ERR_BUSY, "%d inputs wait for the terminal already", TYPING_KEYS);
		job->fn = on_typed;
		job->arg = o;
	}
	rc = input_add(i->input, job, e);
	if (rc < 0 && o) {
		o->over = true; /* refused: the key is free again */
		o->kept = false;
		o->key[0] = '\0';
	} else if (o) {
		wait_for(o, req);
	}
	return rc;
}

/* It is over with nothing typed, for a reason that may pass. */
static bool untyped(const struct outcome *o)
{
	return o->over && o->why.code && o->why.retryable && !o->taken;
}

void typing_do_input(struct inst *i, struct peer_request *req, json_t *params)
{
	const char *key = json_get_text(params, "key", "");
	struct input_job job;
	struct err e = {0};
	struct outcome *known;

	if (check(i, params, &job, &e) < 0) {
		peer_error(req, &e);
		return;
	}
	known = *key ? find(i->typing, key) : NULL;
	if (known && untyped(known)) { /* asked for anew */
		known->kept = false;
		known->key[0] = '\0';
		known = NULL;
	}
	if (known) {
		wait_for(known, req);
		return;
	}
	if (take_part(i, params, key, &e) < 0) {
		peer_error(req, &e);
	} else if (json_get_bool(params, "more")) {
		peer_result(req, NULL);
		return;
	} else if (begin(i, req, params, &job, key, &e) < 0) {
		peer_error(req, &e);
	}
	buf_finish(&i->typing->text);
	i->typing->parts = 0;
}

void typing_do_typed(struct inst *i, struct peer_request *req, json_t *params)
{
	const char *key = json_get_text(params, "key", "");
	struct outcome *o = *key ? find(i->typing, key) : NULL;
	struct err e = {0};

	if (o) {
		wait_for(o, req);
		return;
	}
	err_set(&e, ERR_NOT_FOUND, "no input of that key was given to this shim");
	peer_error(req, &e);
}

void typing_do_key(struct inst *i, struct peer_request *req, json_t *params)
{
	struct input_job job = {.mode = INPUT_RAW, .fn = on_keys, .arg = req,
		.quiet_ms = json_get_int(params, "quiet_ms", 0),
		.deadline_ms = json_get_int(params, "deadline_ms", KEY_DEADLINE_MS)};
	struct err e = {0};
	struct buf bytes;

	buf_init(&bytes, TYPING_KEYS_MAX * KEY_BYTES_MAX);
	if (!inst_running(i))
		err_set(&e, ERR_STATE, "the program in %s has ended", i->id);
	else if (keys_bytes(i, json_object_get(params, "keys"), &bytes, &e) == 0) {
		job.data = buf_data(&bytes);
		job.len = bytes.len;
	}
	if (e.code || input_add(i->input, &job, &e) < 0)
		peer_error(req, &e);
	buf_finish(&bytes);
}
