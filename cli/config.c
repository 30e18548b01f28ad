/* SPDX-License-Identifier: ISC */
/* config show, config check: the options and where their values come from. */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "ipc/tmuxconf.h"

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

/* What of the user's tmux configuration is not taken; a new reference, NULL when none is named. */
json_t *tmux_conf_left(struct cli *c, size_t *ret_taken, struct err *e)
{
	const char *file = config_string(c->config, OPT_TMUX_CONF);
	cleanup_free char *text = NULL;
	struct tmuxconf conf;
	json_t *left;
	size_t len;

	if (!file[0] || file_read(file, TMUXCONF_FILE_MAX, &text, &len, e) < 0)
		return NULL;
	tmuxconf_parse(text, len, &conf);
	*ret_taken = conf.ncommands;
	left = json_array();
	for (size_t i = 0; i < conf.nleft; i++)
		json_array_append_new(left, json_pack("{s:i, s:s, s:s}", "line", conf.left[i].line, "text",
						  conf.left[i].text, "why", conf.left[i].why));
	tmuxconf_finish(&conf);
	return left;
}

static void print_left(struct cli *c, const json_t *left, size_t taken)
{
	const char *file = config_string(c->config, OPT_TMUX_CONF);
	const json_t *l;
	size_t i;

	writer_printf(&c->w, "%s: %zu settings are taken, %zu are not\n", file, taken, json_array_size(left));
	json_array_foreach(left, i, l) {
		cleanup_free char *text = text_escape(jstr(l, "text"), false);
		writer_printf(&c->w, "%s:%lld: %s\n  %s\n", file, (long long)jint(l, "line"), jstr(l, "why"), text);
	}
}

int verb_config_check(struct cli *c)
{
	size_t taken = 0;
	struct err e = {0};

	if (cli_config(c, &e) < 0)
		return cli_fail(c, &e);
	if (agents_check(c, &e) < 0)
		return cli_fail(c, &e);
	bool absent = access(c->layout.config_file, F_OK) < 0;
	json_t *left = tmux_conf_left(c, &taken, &e);
	if (e.code) {
		err_prefix(&e, "tmux_conf");
		return cli_fail(c, &e);
	}
	if (c->g.json) {
		json_t *o = json_pack("{s:s, s:b}", "file", c->layout.config_file, "exists", !absent);
		if (left)
			json_object_set_new(o, "tmux_conf", json_pack("{s:s, s:I, s:O}", "file",
				config_string(c->config, OPT_TMUX_CONF), "taken", (json_int_t)taken, "left", left));
		writer_json(&c->w, o);
		json_decref(o);
	} else {
		writer_printf(&c->w, "%s is %s\n", c->layout.config_file,
			absent ? "not there: every option is at its default or from the environment" : "right");
		if (left)
			print_left(c, left, taken);
	}
	json_decref(left);
	return EXIT_DONE;
}
