/* SPDX-License-Identifier: ISC */
/* The table is sound, and the check of arguments refuses what is wrong, by name. */
#include "ipc/schema.h"

#include <ctype.h>
#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static int check(const char *method, const char *params, json_t **ret, struct err *e)
{
	json_t *p = params ? json_loads(params, JSON_DECODE_ANY, NULL) : NULL;
	ck_assert(!params || p);
	int r = schema_check(method_find(method), p, ret, e);
	json_decref(p);
	return r;
}

static void refused(const char *method, const char *params, const char *says)
{
	struct err e = {0};
	json_t *out = NULL;

	ck_assert_msg(check(method, params, &out, &e) == -1, "%s %s was accepted", method, params);
	ck_assert_ptr_null(out);
	ck_assert_int_eq(e.code, ERR_PARAMS);
	ck_assert_msg(strstr(e.message, says), "\"%s\" does not say \"%s\"", e.message, says);
}

static json_t *accepted(const char *method, const char *params)
{
	struct err e = {0};
	json_t *out = NULL;

	ck_assert_msg(check(method, params, &out, &e) == 0, "%s %s: %s", method, params, e.message);
	ck_assert(json_is_object(out));
	return out;
}

START_TEST(every_row_is_sound)
{
	for (size_t i = 0; i < METHOD_COUNT; i++) {
		const struct method_def *m = &method_table[i];
		bool shorts[256] = {false}, rest = false;

		ck_assert_int_eq(m->id, (int)i);
		ck_assert_ptr_eq(method_find(m->name), m);
		ck_assert(m->who != 0);
		ck_assert(m->summary[0] && m->summary[strlen(m->summary) - 1] != '.');
		for (const struct arg_def *a = m->args; a->name; a++) {
			ck_assert_ptr_eq(method_arg(m, a->name), a);
			for (const char *p = a->name; *p; p++)
				ck_assert(islower((unsigned char)*p) || *p == '_');
			if (a->short_opt) {
				ck_assert(!shorts[(unsigned char)a->short_opt]);
				shorts[(unsigned char)a->short_opt] = true;
			}
			ck_assert_msg(a->help && a->help[0], "%s.%s has no help", m->name, a->name);
			/* Only a switch goes without a name for its value. */
			ck_assert_msg((a->type == ARG_BOOL) == (a->metavar == NULL), "%s.%s", m->name,
				a->name);
			/* Nothing may stand behind what takes all the rest, but what is told from it by its looks. */
			if (a->flags & A_POS)
				ck_assert_msg(!rest || a->type == ARG_ARGV || a->type == ARG_CHANGES, "%s.%s", m->name, a->name);
			rest |= (a->flags & A_REST) != 0;
		}
	}
	for (int i = 0; i < EV_COUNT; i++)
		ck_assert(event_name((enum event_id)i)[0] && event_help((enum event_id)i)[0]);
	ck_assert_ptr_null(method_find("spawnx"));
	ck_assert_ptr_null(method_find(""));
}
END_TEST

START_TEST(unknown_and_missing_arguments_are_named)
{
	refused("spawn", "{\"nmae\":\"x\"}", "'nmae'");
	refused("rename", "{\"id\":\"x\"}", "'name'");
	refused("send", NULL, "'id'");
	refused("send", "{\"id\":null,\"text\":\"x\"}", "'id'");
	refused("send", "[1]", "object");
	refused("list", "{\"tree\":true}", "command line");
	json_decref(accepted("list", NULL));
	json_decref(accepted("list", "{\"state\":null}"));
}
END_TEST

START_TEST(strings_and_paths)
{
	json_t *o = accepted("spawn", "{\"name\":\"\xc3\xa4\",\"dir\":\"/tmp\"}");
	ck_assert_str_eq(json_string_value(json_object_get(o, "name")), "\xc3\xa4");
	json_decref(o);
	refused("spawn", "{\"name\":7}", "'name' must be a string, not an integer");
	refused("spawn", "{\"dir\":\"tmp\"}", "absolute");
	refused("spawn", "{\"dir\":{}}", "an object");

	json_t *p = json_pack("{s:s#}", "name", "a\0b", 3);
	json_t *out = NULL;
	struct err e = {0};
	ck_assert_int_eq(schema_check(method_find("spawn"), p, &out, &e), -1);
	ck_assert(strstr(e.message, "NUL"));
	json_decref(p);
}
END_TEST

START_TEST(integers)
{
	json_t *o = accepted("spawn", "{\"cpus\":0,\"memory\":9007199254740992}");
	json_decref(o);
	refused("spawn", "{\"cpus\":-1}", "'cpus'");
	refused("spawn", "{\"cpus\":9007199254740993}", "'cpus'");
	refused("spawn", "{\"cpus\":1.5}", "'cpus'");
	refused("spawn", "{\"cpus\":\"2\"}", "'cpus'");
	refused("spawn", "{\"cpus\":true}", "'cpus'");
}
END_TEST

START_TEST(counts_become_integers)
{
	json_t *o = accepted("spawn", "{\"max_children\":\"unlimited\",\"max_depth\":0}");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "max_children")), -1);
	ck_assert_int_eq(json_integer_value(json_object_get(o, "max_depth")), 0);
	json_decref(o);
	refused("spawn", "{\"max_children\":-1}", "'max_children'");
	refused("spawn", "{\"max_children\":1000001}", "'max_children'");
	refused("spawn", "{\"max_children\":\"8\"}", "'max_children'");
	refused("spawn", "{\"max_children\":\"\"}", "'max_children'");
	refused("spawn", "{\"max_children\":[]}", "'max_children'");
}
END_TEST

START_TEST(rates_become_integers)
{
	json_t *o = accepted("spawn", "{\"spawn_rate\":\"30/minute\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "spawn_rate")), 30);
	json_decref(o);
	o = accepted("spawn", "{\"spawn_rate\":\"unlimited\"}");
	ck_assert_int_eq(json_integer_value(json_object_get(o, "spawn_rate")), -1);
	json_decref(o);
	static const char *const bad[] = {"\"30\"", "\"/minute\"", "\"30/second\"", "\"30/minutes\"",
		"\"-1/minute\"", "\" 3/minute\"", "\"3 /minute\"", "\"1000001/minute\"",
		"\"99999999999999999999999/minute\"", "30", "null1"};
	for (size_t i = 0; i + 1 < ARRAY_LEN(bad); i++) {
		cleanup_free char *p = xasprintf("{\"spawn_rate\":%s}", bad[i]);
		refused("spawn", p, "'spawn_rate'");
	}
}
END_TEST

START_TEST(seconds)
{
	json_decref(accepted("wait", "{\"id\":\"a\",\"until\":\"idle\",\"timeout\":0.25}"));
	json_decref(accepted("wait", "{\"id\":\"a\",\"until\":\"idle\",\"timeout\":0}"));
	refused("wait", "{\"id\":\"a\",\"until\":\"idle\",\"timeout\":-0.5}", "'timeout'");
	refused("wait", "{\"id\":\"a\",\"until\":\"idle\",\"timeout\":1e10}", "'timeout'");
	refused("wait", "{\"id\":\"a\",\"until\":\"idle\",\"timeout\":\"5\"}", "'timeout'");
}
END_TEST

START_TEST(switches)
{
	json_decref(accepted("spawn", "{\"rm\":true,\"no_wait\":false}"));
	refused("spawn", "{\"rm\":1}", "'rm'");
	refused("spawn", "{\"rm\":\"yes\"}", "'rm'");
}
END_TEST

START_TEST(lists_of_strings)
{
	json_decref(accepted("kill", "{\"ids\":[\"a\",\"b\"]}"));
	json_decref(accepted("spawn", "{\"argv\":[],\"allow\":[]}"));
	refused("kill", "{\"ids\":[]}", "empty");
	refused("kill", "{\"ids\":\"a\"}", "'ids'");
	refused("kill", "{\"ids\":[\"a\",1]}", "'ids'");
	refused("exec", "{\"id\":\"a\",\"argv\":[]}", "'argv'");
}
END_TEST

START_TEST(maps_of_strings)
{
	json_t *o = accepted("spawn", "{\"env\":{\"A\":\"1=2\"},\"label\":{}}");
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(o, "env"), "A")), "1=2");
	json_decref(o);
	refused("spawn", "{\"env\":{\"A\":1}}", "'A'");
	refused("spawn", "{\"env\":{\"\":\"x\"}}", "empty");
	refused("spawn", "{\"env\":{\"A=B\":\"x\"}}", "'='");
	refused("spawn", "{\"env\":[\"A=1\"]}", "'env'");
}
END_TEST

START_TEST(any_json)
{
	json_t *o = accepted("report", "{\"event\":\"Stop\",\"body\":[1,{\"a\":null}]}");
	ck_assert(json_is_array(json_object_get(o, "body")));
	json_decref(o);
	json_decref(accepted("report", "{\"event\":\"Stop\",\"body\":null}"));
}
END_TEST

TEST_MAIN("ipc/schema", every_row_is_sound, unknown_and_missing_arguments_are_named,
	strings_and_paths, integers, counts_become_integers, rates_become_integers, seconds, switches,
	lists_of_strings, maps_of_strings, any_json)
