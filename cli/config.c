/* SPDX-License-Identifier: ISC */
/* config show, config check: the options and where their values come from. */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"

int verb_config_show(struct cli *c)
{
	struct err e = {0};

	if (args_flag(&c->args, "example")) {
		cleanup_free char *text = config_example();
		if (c->g.json) {
			json_t *o = json_pack("{s:s}", "text", text);
			writer_json(&c->w, o);
			json_decref(o);
		} else {
			fputs(text, c->w.out);
		}
		return EXIT_DONE;
	}
	if (cli_config(c, &e) < 0)
		return cli_fail(c, &e);
	json_t *all = config_to_json(c->config), *o;
	size_t i;
	if (c->g.json) {
		writer_json(&c->w, all);
		json_decref(all);
		return EXIT_DONE;
	}
	struct table *t = table_create();
	table_column(t, "OPTION", 0);
	table_column(t, "VALUE", T_FLEX);
	table_column(t, "FROM", 0);
	table_column(t, "WHAT", T_FLEX);
	json_array_foreach(all, i, o) {
		const json_t *v = json_object_get(o, "value");
		cleanup_free char *dump =
			json_is_string(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		bool changed = strcmp(jstr(o, "source"), "default") != 0;
		table_row(t);
		table_cell(t, C_BOLD, jstr(o, "name"));
		table_cell(t, changed ? C_GREEN : C_NONE, dump ? dump : json_string_value(v));
		table_cell(t, changed ? C_GREEN : C_DIM, jstr(o, "source"));
		table_cell(t, C_DIM, jstr(o, "help"));
	}
	table_write(t, &c->w);
	table_destroy(t);
	json_decref(all);
	return EXIT_DONE;
}

int verb_config_check(struct cli *c)
{
	struct err e = {0};

	if (cli_config(c, &e) < 0)
		return cli_fail(c, &e);
	bool absent = access(c->layout.config_file, F_OK) < 0;
	if (c->g.json) {
		json_t *o = json_pack("{s:s, s:b}", "file", c->layout.config_file, "exists", !absent);
		writer_json(&c->w, o);
		json_decref(o);
	} else {
		writer_printf(&c->w, "%s is %s\n", c->layout.config_file,
			absent ? "not there: every option is at its default or from the environment" : "right");
	}
	return EXIT_DONE;
}
