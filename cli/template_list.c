/* SPDX-License-Identifier: ISC */
/* template list: what stands in the templates' folder, and whether it is stale. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "cli/cli.h"
#include "base/sha256.h"
#include "cli/template.h"

#define STAMP_MAX (4 * 1024 * 1024)

/* Differs from the file that a new build would take? */
static bool differs(const char *stamped, const char *path)
{
	char now[SHA256_HEX];

	return path && stamped[0] && sha256_file(path, now, NULL) == 0 && strcmp(now, stamped) != 0;
}

/* Why a template should be built again, or NULL. Static. */
static const char *stale_reason(const char *name, const json_t *stamp)
{
	cleanup_free char *file = xasprintf("%s.recipe", name);
	cleanup_free char *recipe = layout_data(file, NULL);
	cleanup_free char *guest = layout_program("tmux-claude-guest", NULL);

	if (differs(jstr(stamp, "guest_sha256"), guest))
		return "tmux-claude-guest has changed since";
	if (differs(jstr(stamp, "recipe_sha256"), recipe))
		return "its recipe has changed since";
	return NULL;
}

static json_int_t disk_used(const char *path)
{
	cleanup_free char *disk = xasprintf("%s/disk.qcow2", path);
	struct stat st;

	return stat(disk, &st) < 0 ? 0 : (json_int_t)st.st_blocks * 512;
}

json_t *template_read(const char *dir, const char *name, struct err *e)
{
	cleanup_free char *path = xasprintf("%s/%s", dir, name);
	cleanup_free char *file = xasprintf("%s/template.json", path), *text = NULL;
	json_error_t why;
	size_t len;

	if (access(file, F_OK) < 0) {
		err_set(e, ERR_NOT_FOUND, "there is no template '%s' in %s", name, dir);
		err_hint(e, "`tmux-claude template build %s` makes it", name);
		return NULL;
	}
	if (file_read(file, STAMP_MAX, &text, &len, e) < 0)
		return NULL;
	json_t *stamp = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (!json_is_object(stamp)) {
		json_decref(stamp);
		err_set(e, ERR_FAILED, "%s is damaged: %.100s", file, why.text);
		err_hint(e, "build the template again");
		return NULL;
	}
	const char *stale = stale_reason(name, stamp);
	json_t *agents = json_object_get(stamp, "agents");
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O, s:b, s:s?, s:I}", "name", name, "path",
		path, "built_at", jstr(stamp, "built_at"), "built_on", jstr(stamp, "built_on"), "suite",
		jstr(stamp, "suite"), "kernel", jstr(stamp, "kernel"), "agents",
		agents ? agents : json_null(), "stale", stale != NULL, "why", stale, "size", disk_used(path));
	json_decref(stamp);
	return o;
}

/* Every template in dir; an absent folder holds none. */
static json_t *read_all(struct cli *c, const char *dir, struct err *e)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, alphasort);
	json_t *all = json_array();

	if (n < 0 && errno != ENOENT) {
		err_set_errno(e, ERR_IO, errno, "cannot read the folder %s", dir);
		json_decref(all);
		return NULL;
	}
	for (int i = 0; i < n; i++) {
		struct err why = {0};
		/* Folders of builds under way have a second dot; hidden ones are none of ours. */
		if (names[i]->d_name[0] != '.' && !strstr(names[i]->d_name, ".new.")) {
			json_t *o = template_read(dir, names[i]->d_name, &why);
			if (o)
				json_array_append_new(all, o);
			else if (why.code != ERR_NOT_FOUND)
				cli_note(c, "%s", why.message);
		}
		free(names[i]);
	}
	free(names);
	return all;
}

static char *agents_text(const json_t *agents)
{
	char *text = xstrdup("");
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)agents, key, v) {
		char *more = xasprintf("%s%s%s %s", text, text[0] ? ", " : "", key, json_string_value(v));
		free(text);
		text = more;
	}
	return text;
}

int verb_template_list(struct cli *c)
{
	struct err e = {0};
	cleanup_free char *dir = cli_template_dir(c, &e);
	json_t *all = dir ? read_all(c, dir, &e) : NULL, *o;
	size_t i;

	if (!all)
		return cli_fail(c, &e);
	if (c->g.json) {
		writer_json(&c->w, all);
	} else if (json_array_size(all) == 0) {
		cli_note(c, "No templates in %s. Build one with `tmux-claude template build minimal`.", dir);
	} else {
		struct table *t = table_create();
		table_column(t, "NAME", 0);
		table_column(t, "BUILT", 0);
		table_column(t, "SUITE", 0);
		table_column(t, "AGENTS", T_FLEX);
		table_column(t, "MIB", T_RIGHT);
		table_column(t, "STATE", T_FLEX);
		json_array_foreach(all, i, o) {
			cleanup_free char *agents = agents_text(json_object_get(o, "agents"));
			bool stale = json_is_true(json_object_get(o, "stale"));
			table_row(t);
			table_cell(t, C_BOLD, jstr(o, "name"));
			table_cell(t, C_NONE, jstr(o, "built_at"));
			table_cell(t, C_NONE, jstr(o, "suite"));
			table_cell(t, C_NONE, agents);
			table_cellf(t, C_NONE, "%lld", (long long)(jint(o, "size") >> 20));
			table_cellf(t, stale ? C_YELLOW : C_GREEN, "%s%s", stale ? "stale: " : "current",
				jstr(o, "why"));
		}
		table_write(t, &c->w);
		table_destroy(t);
	}
	json_decref(all);
	return EXIT_DONE;
}
