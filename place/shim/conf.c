/* SPDX-License-Identifier: ISC */
/* place.json: parsed and checked member by member; nothing in it is taken on trust. */
#include "place/shim/conf.h"

#include <jansson.h>

#include "base/util.h"

#define PLACE_VERSION 1
#define ID_LEN 6
#define FD_LEAST 3
#define FD_MOST 200
#define TIMEOUT_MOST_MS (60 * 60 * 1000)
#define RECORD_MOST (1024LL * 1024 * 1024 * 1024)

static int bad(struct err *e, const char *what)
{
	err_set(e, ERR_PARAMS, "place.json: %s", what);
	return err_hint(e, "the daemon writes this file; versions of daemon and shim may differ");
}

/* A string member; optional: NULL when absent or null. */
static int take_string(const json_t *o, const char *key, bool optional, char **ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	char what[64];

	if (optional && (!v || json_is_null(v)))
		return 0;
	if (!json_is_string(v) || json_string_length(v) == 0 ||
		strlen(json_string_value(v)) != json_string_length(v)) {
		snprintf(what, sizeof(what), "\"%s\" is not a text", key);
		return bad(e, what);
	}
	*ret = xstrdup(json_string_value(v));
	return 0;
}

static int take_int(const json_t *o, const char *key, int64_t min, int64_t max, int64_t def,
	int64_t *ret, struct err *e)
{
	const json_t *v = json_object_get(o, key);
	char what[96];

	if (!v || json_is_null(v)) {
		*ret = def;
		return 0;
	}
	if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
		snprintf(what, sizeof(what), "\"%s\" is not a number from %lld to %lld", key, (long long)min,
			(long long)max);
		return bad(e, what);
	}
	*ret = json_integer_value(v);
	return 0;
}

static int take_identity(const json_t *o, uid_t *uid, gid_t *gid, struct err *e)
{
	int64_t u, g;

	if (take_int(o, "uid", -1, 0xfffffffe, -1, &u, e) < 0 || take_int(o, "gid", -1, 0xfffffffe, -1, &g, e) < 0)
		return -1;
	*uid = (uid_t)u;
	*gid = (gid_t)g;
	return 0;
}

static int take_strings(const json_t *o, const char *key, char ***ret, struct err *e)
{
	const json_t *a = json_object_get(o, key), *v;
	cleanup_strv char **list = strv_new();
	char what[64];
	size_t i;

	snprintf(what, sizeof(what), "\"%s\" is not a list of texts", key);
	if (!json_is_array(a))
		return bad(e, what);
	json_array_foreach(a, i, v) {
		if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
			return bad(e, what);
		strv_push(&list, json_string_value(v));
	}
	*ret = take_ptr(list);
	return 0;
}

static int take_fd_entry(const json_t *o, struct conf *c, struct err *e)
{
	struct conf_fd *fd = &c->fds[c->nfds];
	cleanup_free char *kind = NULL;
	int64_t number;

	if (take_int(o, "fd", FD_LEAST, FD_MOST, -1, &number, e) < 0 || take_string(o, "kind", false, &kind, e) < 0)
		return -1;
	if (number < 0)
		return bad(e, "an \"fds\" entry has no number");
	if (strcmp(kind, "rw") == 0)
		fd->kind = CONF_FD_RW;
	else if (strcmp(kind, "ro") == 0)
		fd->kind = CONF_FD_RO;
	else if (strcmp(kind, "listen") == 0)
		fd->kind = CONF_FD_LISTEN;
	else
		return bad(e, "an \"fds\" entry's \"kind\" is not rw, ro or listen");
	fd->fd = (int)number;
	if (take_string(o, "path", false, &fd->path, e) < 0)
		return -1;
	c->nfds++;
	return 0;
}

static int take_holder(const json_t *o, struct conf *c, struct err *e)
{
	const json_t *fds = json_object_get(o, "fds"), *v;
	size_t i;

	if (!json_is_object(o))
		return bad(e, "\"holder\" is missing");
	if (take_strings(o, "argv", &c->argv, e) < 0 || take_strings(o, "env", &c->env, e) < 0 ||
		take_string(o, "cwd", true, &c->cwd, e) < 0 ||
		take_identity(o, &c->holder_uid, &c->holder_gid, e) < 0)
		return -1;
	if (!c->argv[0] || !*c->argv[0])
		return bad(e, "the holder's \"argv\" is empty");
	if (json_array_size(fds) > CONF_FDS_MAX)
		return bad(e, "too many \"fds\"");
	json_array_foreach(fds, i, v) {
		if (take_fd_entry(v, c, e) < 0)
			return -1;
	}
	return 0;
}

static int take_files(const json_t *o, struct conf *c, struct err *e)
{
	const json_t *mounts = json_object_get(o, "mounts"), *v;
	size_t i;

	if (!json_is_object(o))
		return 0;
	if (take_string(o, "program", false, &c->files_program, e) < 0 ||
		take_identity(o, &c->files_uid, &c->files_gid, e) < 0)
		return -1;
	if (json_array_size(mounts) > CONF_MOUNTS_MAX)
		return bad(e, "too many \"mounts\"");
	json_array_foreach(mounts, i, v) {
		struct conf_mount *m = &c->mounts[c->nmounts];

		if (take_string(v, "path", false, &m->path, e) < 0)
			return -1;
		m->read_only = json_is_true(json_object_get(v, "read_only"));
		c->nmounts++;
		if (m->path[0] != '/')
			return bad(e, "a mount's \"path\" is not absolute");
	}
	return 0;
}

static bool is_id(const char *s)
{
	return strlen(s) == ID_LEN && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ID_LEN;
}

static int take_instances(const json_t *o, struct conf *c, struct err *e)
{
	if (take_strings(o, "instances", &c->instances, e) < 0)
		return -1;
	for (char **id = c->instances; *id; id++)
		if (!is_id(*id))
			return bad(e, "\"instances\" holds what is not an id");
	return 0;
}

static int take_all(const json_t *o, struct conf *c, struct err *e)
{
	int64_t version, record_max;

	if (!json_is_object(o))
		return bad(e, "it is not an object");
	if (take_int(o, "version", 1, 1 << 30, 0, &version, e) < 0)
		return -1;
	if (version != PLACE_VERSION)
		return err_set(e, ERR_VERSION, "place.json has version %lld, this shim knows %d",
			(long long)version, PLACE_VERSION);
	if (take_string(o, "place", false, &c->place, e) < 0 ||
		take_string(o, "driver", false, &c->driver, e) < 0 ||
		take_instances(o, c, e) < 0 || take_string(o, "recordings", false, &c->recordings, e) < 0 ||
		take_int(o, "record_max", 4096, RECORD_MOST, 64 << 20, &record_max, e) < 0 ||
		take_holder(json_object_get(o, "holder"), c, e) < 0 ||
		take_string(o, "link", false, &c->link, e) < 0 || take_string(o, "qmp", true, &c->qmp, e) < 0 ||
		take_string(o, "egress", true, &c->egress, e) < 0 ||
		take_string(o, "console", true, &c->console, e) < 0 ||
		take_files(json_object_get(o, "files"), c, e) < 0 ||
		take_int(o, "boot_timeout_ms", 1, TIMEOUT_MOST_MS, 60000, &c->boot_timeout_ms, e) < 0 ||
		take_identity(json_object_get(o, "shim"), &c->shim_uid, &c->shim_gid, e) < 0)
		return -1;
	c->record_max = (uint64_t)record_max;
	return is_id(c->place) ? 0 : bad(e, "\"place\" is not an id");
}

int conf_parse(const char *text, size_t len, struct conf **ret, struct err *e)
{
	json_error_t why;
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	struct conf *c = xcalloc(1, sizeof(*c));
	int rc;

	c->holder_uid = c->shim_uid = c->files_uid = CONF_AS_IS;
	c->holder_gid = c->shim_gid = c->files_gid = (gid_t)CONF_AS_IS;
	rc = o ? take_all(o, c, e) : bad(e, why.text);
	json_decref(o);
	if (rc == 0)
		*ret = c;
	else
		conf_free(c);
	return rc;
}

void conf_free(struct conf *c)
{
	size_t i;

	if (!c)
		return;
	for (i = 0; i < CONF_FDS_MAX; i++)
		free(c->fds[i].path);
	for (i = 0; i < CONF_MOUNTS_MAX; i++)
		free(c->mounts[i].path);
	strv_free(c->instances);
	strv_free(c->argv);
	strv_free(c->env);
	free(c->place);
	free(c->driver);
	free(c->recordings);
	free(c->cwd);
	free(c->link);
	free(c->qmp);
	free(c->egress);
	free(c->console);
	free(c->files_program);
	free(c);
}

bool conf_has_instance(const struct conf *c, const char *id)
{
	for (char **v = c->instances; *v; v++)
		if (strcmp(*v, id) == 0)
			return true;
	return false;
}

const struct conf_mount *conf_mount(const struct conf *c, const char *path)
{
	size_t i;

	for (i = 0; i < c->nmounts; i++)
		if (strcmp(c->mounts[i].path, path) == 0)
			return &c->mounts[i];
	return NULL;
}
