/* SPDX-License-Identifier: ISC */
/*
 * send and broadcast: a text, bytes or keys, whole or in numbered pieces, to one instance or to many at once.
 *
 * Pieces are kept per connection (of an instance: per connection inside its place) and key until the last
 * came; a connection, or a place, has at most UPLOADS_EACH of them, so that nobody keeps others from
 * sending, and one that ends takes its own along.
 */
#include "daemon/api/api_int.h"

#include "base/buf.h"

#define UPLOADS_EACH 4
#define UPLOADS_MAX 128

struct upload {
	struct upload *next;
	const struct client_conn *client; /* or, from inside: */
	char place[ID_SIZE];
	json_int_t conn;
	char key[KEY_SIZE];
	int64_t parts;
	struct buf text;
};

/* ---- pieces ---- */

static bool is_from(const struct upload *up, const struct client_conn *client, const char *place, json_int_t conn)
{
	return client ? up->client == client : !up->client && (conn < 0 || up->conn == conn) && !strcmp(up->place, place);
}

static void upload_free(struct api *a, struct upload *up)
{
	struct upload **at = &a->uploads;

	while (*at != up)
		at = &(*at)->next;
	*at = up->next;
	a->nuploads--;
	buf_finish(&up->text);
	free(up);
}

void uploads_drop(struct api *a, const struct client_conn *client, const char *place, json_int_t conn)
{
	struct upload *up = a->uploads, *next;

	for (; up; up = next) {
		next = up->next;
		if (is_from(up, client, place, conn))
			upload_free(a, up);
	}
}

static struct upload *upload_find(const struct call *c, const char *key)
{
	struct upload *up = c->api->uploads;

	while (up && (!is_from(up, c->client, c->place, c->conn) || strcmp(up->key, key)))
		up = up->next;
	return up;
}

static struct upload *upload_new(struct call *c, const char *key, struct err *e)
{
	struct upload *up;
	int n = 0, inside = 0;

	for (up = c->api->uploads; up; up = up->next) {
		n += c->client ? up->client == c->client : !up->client && !strcmp(up->place, c->place);
		inside += !up->client;
	}
	/* Half of all is the operator's. */
	if (n >= UPLOADS_EACH || c->api->nuploads >= UPLOADS_MAX || (!c->client && inside >= UPLOADS_MAX / 2)) {
		err_set(e, ERR_BUSY, "%d texts are being given in pieces already", n >= UPLOADS_EACH ? n : c->api->nuploads);
		err_hint(e, "give one whole before the next, or try again");
		return NULL;
	}
	up = xcalloc(1, sizeof(*up));
	up->client = c->client;
	memcpy(up->place, c->place, ID_SIZE);
	up->conn = c->conn;
	str_fmt(up->key, sizeof(up->key), "%s", key);
	buf_init(&up->text, SEND_MAX);
	up->next = c->api->uploads;
	c->api->uploads = up;
	c->api->nuploads++;
	return up;
}

/* Adds a piece. The text so far, or NULL. */
static struct upload *take_part(struct call *c, const char *key, const void *data, size_t len, struct err *e)
{
	int64_t part = call_int(c, "part", 0);
	struct upload *up = key ? upload_find(c, key) : NULL;

	if (!key) {
		err_set(e, ERR_PARAMS, "a text in pieces needs a key");
		return NULL;
	}
	if (part == 0 && up) { /* begun anew */
		buf_clear(&up->text);
		up->parts = 0;
	}
	if (part == 0 && !up)
		up = upload_new(c, key, e);
	if (!up && part == 0)
		return NULL;
	if (!up || up->parts != part) {
		err_set(e, ERR_PARAMS, "piece %lld of the text came, number %lld was due", (long long)part,
			(long long)(up ? up->parts : 0));
	} else if (buf_append(&up->text, data, len) < 0) {
		err_set(e, ERR_LIMIT, "the text is longer than %d KiB", SEND_MAX / 1024);
		err_hint(e, "put it into a file below the agent's folder and name that file");
	} else {
		up->parts++;
		return up;
	}
	if (up)
		upload_free(c->api, up);
	return NULL;
}

/* ---- what is sent ---- */

/* The bytes of text, data or keys; *ret_owned may hold them. */
static int content(struct call *c, struct send_args *a, void **ret_owned, struct err *e)
{
	const json_t *keys = json_object_get(c->params, "keys");
	const char *data = call_str(c, "data");
	bool raw = call_bool(c, "raw");

	if ((call_str(c, "text") != NULL) + (data != NULL) + (json_array_size(keys) > 0) != 1) {
		err_set(e, ERR_PARAMS, "there is no text to send");
		return err_hint(e, "give one of text, data (with raw) and keys");
	}
	a->mode = raw ? PM_RAW : PM_PASTE;
	if (json_array_size(keys)) {
		if (raw)
			return err_set(e, ERR_PARAMS, "keys are not raw bytes: give one of the two");
		a->mode = PM_KEYS;
		a->text = *ret_owned = json_dumps(keys, JSON_COMPACT);
		a->len = strlen(a->text);
		return 0;
	}
	a->text = call_str(c, "text");
	a->len = a->text ? json_string_length(json_object_get(c->params, "text")) : 0;
	if (data) {
		if (!raw)
			return err_set(e, ERR_PARAMS, "data, which may be any bytes, needs raw");
		a->text = *ret_owned = base64_decode(data, &a->len);
		if (!a->text)
			return err_set(e, ERR_PARAMS, "data is not base64");
	}
	if (a->len > SEND_MAX) {
		err_set(e, ERR_LIMIT, "the text is longer than %d KiB", SEND_MAX / 1024);
		return err_hint(e, "put it into a file below the agent's folder and name that file");
	}
	return 0;
}

int call_key(struct call *c, char out[KEY_SIZE], const char **ret, struct err *e)
{
	const char *key = call_str(c, "key");

	*ret = NULL;
	if (!key)
		return 0;
	if (!key_valid(key)) {
		err_set(e, ERR_PARAMS, "'%.80s' is not a key", key);
		return err_hint(e, "keys are 1 to %d letters, digits and . _ : -", KEY_MAX_LEN);
	}
	/* An instance's keys are its own: it learns nothing of others', and uses none up. */
	if (c->who.instance)
		str_fmt(out, KEY_SIZE, "%s/%s", c->who.instance, key);
	else
		str_fmt(out, KEY_SIZE, "%s", key);
	*ret = out;
	return 0;
}

static void partly(struct call *c, const struct instance *in, const struct upload *up)
{
	call_result(c, json_pack("{s:s, s:s, s:s?, s:I}", "key", key_shown(up->key), "status", "partial", "instance",
			       in ? in->id : NULL, "bytes", (json_int_t)up->text.len));
}

/* How it is to go, and how far before the caller hears. */
static int manner(struct call *c, struct send_args *a, struct err *e)
{
	bool wait = call_bool(c, "wait"), no_wait = call_bool(c, "no_wait");
	bool now = call_bool(c, "now"), merge = call_bool(c, "merge");

	if ((wait && no_wait) || (now && merge))
		return err_set(e, ERR_PARAMS, wait && no_wait ? "wait and no_wait exclude each other"
							      : "now and merge exclude each other");
	if (a->mode != PM_PASTE && (now || merge || wait)) {
		err_set(e, ERR_PARAMS, "raw bytes and keys are typed at once, and have no answer");
		return err_hint(e, "leave out %s", wait ? "wait" : now ? "now" : "merge");
	}
	a->way = now ? PW_NOW : merge ? PW_MERGE : PW_ORDER;
	a->until = wait ? UNTIL_ANSWERED : no_wait ? UNTIL_QUEUED : UNTIL_DELIVERED;
	a->stays = no_wait || (wait && !json_object_get(c->params, "timeout"));
	a->timeout_ms = (int64_t)(call_num(c, "timeout", wait ? -0.001 : SEND_TIMEOUT_MS / 1000.0) * 1000);
	return 0;
}

/* All that is to be sent. 1: all of it is there (and *ret_up, when it came in pieces); 0: answered with a piece's
 * receipt, or with the error. in: for the receipt, or NULL. */
static int whole(struct call *c, const struct instance *in, struct send_args *a, char key[KEY_SIZE], void **ret_owned,
	struct upload **ret_up)
{
	bool pieces = json_object_get(c->params, "part") || call_bool(c, "more");
	struct err err = {0};
	struct upload *up;

	*ret_up = NULL;
	if (call_key(c, key, &a->key, &err) < 0 || content(c, a, ret_owned, &err) < 0 || manner(c, a, &err) < 0) {
		call_error(c, &err);
		return 0;
	}
	if (pieces) {
		up = take_part(c, a->key, a->text, a->len, &err);
		if (!up || call_bool(c, "more")) {
			if (up)
				partly(c, in, up);
			else
				call_error(c, &err);
			return 0;
		}
		*ret_up = up;
		a->text = (const char *)buf_data(&up->text);
		a->len = up->text.len;
	}
	if (a->len > 0)
		return 1;
	err_set(&err, ERR_PARAMS, "there is no text to send");
	call_error(c, &err);
	if (*ret_up)
		upload_free(c->api, *ret_up);
	return 0;
}

void api_SEND(struct call *c)
{
	struct instance *in = call_target(c, "id");
	cleanup_free void *owned = NULL;
	struct send_args a = {0};
	struct api *api = c->api;
	struct upload *up;
	char key[KEY_SIZE];

	if (!in || !whole(c, in, &a, key, &owned, &up))
		return;
	a.inside = c->who.instance != NULL;
	sending_begin(c, &in, 1, &a);
	if (up)
		upload_free(api, up);
}

void api_BROADCAST(struct call *c)
{
	size_t n = 0;
	cleanup_free struct instance **set = call_targets(c, FROM_LIVING, &n);
	cleanup_free void *owned = NULL;
	struct send_args a = {0};
	struct api *api = c->api;
	struct upload *up;
	char key[KEY_SIZE];
	json_t *ids;

	if (!set)
		return;
	if (call_bool(c, "resolve")) {
		ids = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append_new(ids, json_pack("{s:s}", "id", set[i]->id));
		call_result_now(c, ids);
		return;
	}
	if (!whole(c, NULL, &a, key, &owned, &up))
		return;
	sending_begin(c, set, n, &a);
	if (up)
		upload_free(api, up);
}
