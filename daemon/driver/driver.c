/* SPDX-License-Identifier: ISC */
/* The registry of drivers, and where a place's folder stands. */
#include "daemon/driver/driver.h"

#include "base/util.h"
#include "daemon/driver/drivers.h"

static const struct driver *const drivers[] = {
	&driver_qemu,
	&driver_host,
	NULL,
};

const struct driver *const *driver_all(void)
{
	return drivers;
}

const struct driver *driver_find(const char *name)
{
	for (size_t i = 0; drivers[i]; i++)
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

char *driver_names(void)
{
	char *all = NULL;
	for (size_t i = 0; drivers[i]; i++) {
		char *longer = xasprintf("%s%s%s", all ? all : "", all ? ", " : "", drivers[i]->name);
		free(all);
		all = longer;
	}
	return all;
}

void driver_finish(void)
{
	qemu_finish();
}

char *place_dir(const struct layout *l, const char *place_id)
{
	return xasprintf("%s/%s", l->places_dir, place_id);
}

json_t *place_json_new(const struct driver_env *env, const struct place *p)
{
	json_int_t mib = config_int(env->config, OPT_RECORD_MAX);
	return json_pack("{s:i, s:s, s:s, s:s, s:I, s:{s:i, s:i}, s:s, s:n, s:n, s:n}", "version", 1,
		"place", p->id, "driver", p->driver, "recordings", env->layout->recordings_dir,
		"record_max", mib * 1024 * 1024, "shim", "uid", -1, "gid", -1, "link", "link.sock", "qmp",
		"egress", "files");
}

json_t *place_json_fd(int fd, const char *path, const char *kind)
{
	return json_pack("{s:i, s:s, s:s}", "fd", fd, "path", path, "kind", kind);
}

json_t *strings_json(char *const *v)
{
	json_t *a = json_array();
	for (; v && *v; v++)
		json_array_append_new(a, json_string(*v));
	return a;
}

/* What a holder needs of our environment; not the rest, which may hold keys. */
json_t *holder_env(void)
{
	static const char *const keys[] = {"PATH", "HOME", "LANG", "TMPDIR", "ASAN_OPTIONS",
		"LSAN_OPTIONS", "UBSAN_OPTIONS"};
	json_t *a = json_array();
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const char *value = getenv(keys[i]);
		if (value)
			json_array_append_new(a, json_sprintf("%s=%s", keys[i], value));
	}
	return a;
}
