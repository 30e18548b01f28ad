/* SPDX-License-Identifier: ISC */
/* agents list, agents show: the programs that can run as agents, built in or of a file. */
#include "base/proc.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "ipc/agentconf.h"

#define VERSION_MAX 128

static json_t *row_new(const char *name, const char *from, const char *summary, const char *program)
{
	cleanup_free char *path = program ? proc_which(program) : NULL;

	return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:b}", "name", name, "from", from, "summary", summary ? summary : "",
		"program", program, "path", path, "installed", !program || path);
}

static const char *option(struct cli *c, const char *name)
{
	json_t *all = config_to_json(c->config), *o;
	const char *found = NULL;
	size_t i;

	json_array_foreach(all, i, o)
		if (!strcmp(jstr(o, "name"), name))
			found = jstr(o, "value");
	static char value[4096];
	str_fmt(value, sizeof(value), "%s", found ? found : "");
	json_decref(all);
	return value;
}

/* A file that is wrong has a row that says so. */
static json_t *file_row(const char *dir, const char *name)
{
	cleanup_free char *file = xasprintf("%s/%s.conf", dir, name);
	struct agentconf *conf;
	struct err e = {0};
	json_t *o;

	if (agentconf_load(dir, name, &conf, &e) < 0) {
		o = row_new(name, file, NULL, NULL);
		json_object_set_new(o, "installed", json_false());
		json_object_set_new(o, "error", json_string(e.message));
		return o;
	}
	o = row_new(name, file, conf->summary, conf->argv[0]);
	agentconf_free(conf);
	return o;
}

static int rows(struct cli *c, json_t **ret, struct err *e)
{
	json_t *all;

	if (cli_config(c, e) < 0)
		return -1;
	cleanup_free char *dir = agentconf_dir(c->layout.config_file);
	cleanup_strv char **names = agentconf_names(dir);
	all = json_array();
	for (int i = 0; i < agent_builtins_count; i++) {
		const struct agent_builtin *b = &agent_builtins[i];
		json_array_append_new(all, row_new(b->name, "built in", b->summary,
						b->path_option ? option(c, b->path_option) : NULL));
	}
	for (char **n = names; *n; n++)
		json_array_append_new(all, file_row(dir, *n));
	*ret = all;
	return 0;
}

int agents_check(struct cli *c, struct err *e)
{
	cleanup_free char *dir = agentconf_dir(c->layout.config_file);
	cleanup_strv char **names = agentconf_names(dir);

	for (char **n = names; *n; n++) {
		struct agentconf *conf;
		if (agentconf_load(dir, *n, &conf, e) < 0)
			return -1;
		agentconf_free(conf);
	}
	return 0;
}

static const char *where(const json_t *o)
{
	if (json_object_get(o, "error"))
		return jstr(o, "error");
	return json_is_true(json_object_get(o, "installed")) ? jstr(o, "path") : "not installed";
}

int verb_agents_list(struct cli *c)
{
	struct err e = {0};
	json_t *all, *o;
	struct table *t;
	size_t i;

	if (rows(c, &all, &e) < 0)
		return cli_fail(c, &e);
	if (c->g.json) {
		writer_json(&c->w, all);
		json_decref(all);
		return EXIT_DONE;
	}
	t = table_create();
	table_column(t, "AGENT", 0);
	table_column(t, "FROM", 0);
	table_column(t, "PROGRAM", T_FLEX);
	table_column(t, "WHAT", T_FLEX);
	json_array_foreach(all, i, o) {
		table_row(t);
		table_cell(t, C_BOLD, jstr(o, "name"));
		table_cell(t, C_DIM, !strcmp(jstr(o, "from"), "built in") ? "built in" : "a file");
		table_cell(t, C_NONE, where(o));
		table_cell(t, C_DIM, jstr(o, "summary"));
	}
	table_write(t, &c->w);
	table_destroy(t);
	json_decref(all);
	return EXIT_DONE;
}

int verb_agents_show(struct cli *c)
{
	const char *name = args_string(&c->args, "name"), *path;
	json_t *all, *o, *found = NULL;
	char version[VERSION_MAX] = "";
	struct err e = {0};
	size_t i;

	if (rows(c, &all, &e) < 0)
		return cli_fail(c, &e);
	json_array_foreach(all, i, o)
		if (name && !strcmp(jstr(o, "name"), name))
			found = o;
	if (!found) {
		json_decref(all);
		err_set(&e, ERR_NOT_FOUND, "there is no agent '%.64s'", name ? name : "");
		err_hint(&e, "`tmux-claude agents list` lists them");
		return cli_fail(c, &e);
	}
	path = json_string_value(json_object_get(found, "path"));
	char *argv[] = {(char *)path, "--version", NULL};
	if (path && cli_first_line(argv, version, sizeof(version)))
		json_object_set_new(found, "version", json_string(version));
	if (c->g.json) {
		writer_json(&c->w, found);
	} else {
		writer_printf(&c->w, "%s: %s\nfrom: %s\nprogram: %s\n", jstr(found, "name"), jstr(found, "summary"),
			jstr(found, "from"), where(found));
		if (*version) {
			cleanup_free char *safe = text_escape(version, false);
			writer_printf(&c->w, "version: %s\n", safe);
		}
	}
	json_decref(all);
	return EXIT_DONE;
}
