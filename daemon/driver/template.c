/* SPDX-License-Identifier: ISC */
/* Reads a template's stamp, and binds a place to the very build that its disk stands on. */
#include "daemon/driver/template.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/util.h"

#define STAMP_MAX (1024 * 1024)

static const char *const parts[] = {"disk.qcow2", "kernel", "initrd"};

static int missing(const char *name, const char *path, struct err *e)
{
	err_set(e, ERR_MISSING, "the template '%s' is not there (%s)", name, path);
	return err_hint(e, "tmux-claude template build %s", name);
}

json_t *template_stamp(const char *dir, const char *name, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/%s/" TEMPLATE_STAMP, dir, name);
	cleanup_free char *text = NULL;
	struct stat st;
	size_t len;

	if (stat(path, &st)) {
		missing(name, path, e);
		return NULL;
	}
	if (file_read(path, STAMP_MAX, &text, &len, e))
		return NULL;
	json_t *stamp = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *format = json_object_get(stamp, "format");
	if (!json_is_integer(format) || !template_format(stamp)) {
		err_set(e, ERR_IO, "the stamp of the template '%s' (%s) cannot be understood", name, path);
		err_hint(e, "tmux-claude template build %s", name);
		goto fail;
	}
	if (json_integer_value(format) != TEMPLATE_FORMAT) {
		err_set(e, ERR_VERSION, "the template '%s' has format %lld, this version knows %d", name,
			(long long)json_integer_value(format), TEMPLATE_FORMAT);
		err_hint(e, "tmux-claude template build %s", name);
		goto fail;
	}
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		cleanup_free char *part = xasprintf("%s/%s/%s", dir, name, parts[i]);
		if (access(part, R_OK)) {
			missing(name, part, e);
			goto fail;
		}
	}
	return stamp;
fail:
	json_decref(stamp);
	return NULL;
}

const char *template_format(const json_t *stamp)
{
	return json_string_value(json_object_get(json_object_get(stamp, "disk"), "format"));
}

/* All or none; false when the place must do without. */
static bool link_parts(const char *from, const char *to)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		cleanup_free char *old = xasprintf("%s/%s", from, parts[i]);
		cleanup_free char *new = xasprintf("%s/%s", to, parts[i]);
		FAULT_POINT("overlay.base_link");
		if (link(old, new) == 0)
			continue;
		for (size_t k = 0; k < i; k++) {
			cleanup_free char *undo = xasprintf("%s/%s", to, parts[k]);
			unlink(undo);
		}
		return false;
	}
	return true;
}

static bool has_parts(const char *dir)
{
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		cleanup_free char *part = xasprintf("%s/%s", dir, parts[i]);
		if (access(part, F_OK))
			return false;
	}
	return true;
}

static int bind_fresh(const char *stamp, size_t len, const char *template_dir, const char *place_dir,
	char **ret, struct err *e)
{
	cleanup_free char *kept = xasprintf("%s/" TEMPLATE_STAMP, place_dir);

	/* Left by an attempt that was cut short, maybe of an older build. */
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		cleanup_free char *old = xasprintf("%s/%s", place_dir, parts[i]);
		if (unlink(old) && errno != ENOENT)
			return err_set_errno(e, ERR_IO, errno, "cannot remove %s", old);
	}
	if (file_write_atomic(kept, stamp, len, 0600, e))
		return -1;
	*ret = xstrdup(link_parts(template_dir, place_dir) ? place_dir : template_dir);
	return 0;
}

int template_bind(const char *template_dir, const char *place_dir, bool fresh, char **ret,
	struct err *e)
{
	cleanup_free char *now_path = xasprintf("%s/" TEMPLATE_STAMP, template_dir);
	cleanup_free char *then_path = xasprintf("%s/" TEMPLATE_STAMP, place_dir);
	cleanup_free char *now = NULL, *then = NULL;
	size_t now_len, then_len;

	if (!fresh && has_parts(place_dir)) {
		*ret = xstrdup(place_dir);
		return 0;
	}
	if (file_read(now_path, STAMP_MAX, &now, &now_len, e))
		return -1;
	if (fresh)
		return bind_fresh(now, now_len, template_dir, place_dir, ret, e);
	if (file_read(then_path, STAMP_MAX, &then, &then_len, e))
		return -1;
	if (now_len != then_len || memcmp(now, then, now_len) != 0) {
		err_set(e, ERR_STATE, "its disk stands on an earlier build of the template, which is gone");
		return err_hint(e, "spawn a new one on the same folder; this disk cannot be started again");
	}
	*ret = xstrdup(template_dir);
	return 0;
}
