/* SPDX-License-Identifier: ISC */
/* The config file: sources in order, and errors that name the line. */
#include "ipc/config.h"

#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/tc-config-XXXXXX";
static char file[64];

static void setup(void)
{
	for (char **v = environ; *v;) {
		if (str_starts(*v, "TMUX_CLAUDE_")) {
			cleanup_free char *name = xstrndup(*v, strcspn(*v, "="));
			unsetenv(name);
			v = environ;
		} else {
			v++;
		}
	}
	setenv("HOME", "/home/somebody", 1);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	str_fmt(file, sizeof(file), "%s/config", dir);
}

static void teardown(void)
{
	tree_remove(dir, NULL);
}

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct err e = {0};

	ck_assert_int_eq(file_write_atomic(file, text, strlen(text), 0600, &e), 0);
	ck_assert_msg(config_load(file, &c, &e) == 0, "%s", e.message);
	return c;
}

static void refused(const char *text, const char *says)
{
	struct config *c = NULL;
	struct err e = {0};

	ck_assert_int_eq(file_write_atomic(file, text, strlen(text), 0600, &e), 0);
	ck_assert_msg(config_load(file, &c, &e) == -1, "accepted: %s", text);
	ck_assert_ptr_null(c);
	ck_assert_msg(strstr(e.message, says), "\"%s\" does not say \"%s\"", e.message, says);
}

START_TEST(without_a_file_all_is_default)
{
	struct config *c = NULL;
	struct err e = {0};

	ck_assert_int_eq(config_load(file, &c, &e), 0);
	ck_assert_str_eq(config_string(c, OPT_DRIVER), "qemu");
	ck_assert_int_eq(config_int(c, OPT_MEMORY), 2048);
	ck_assert_str_eq(config_string(c, OPT_TEMPLATE_DIR), "");
	config_free(c);
}
END_TEST

START_TEST(the_file_wins_over_the_default_and_the_environment_over_both)
{
	setenv("TMUX_CLAUDE_CPUS", "4", 1);
	struct config *c = load("# a comment\n\n driver =host \r\ncpus=8\n\tmemory = 512\n"
				"template_dir = ~/templates\nallow = a.example:443 127.0.0.1:8080\n");
	ck_assert_str_eq(config_string(c, OPT_DRIVER), "host");
	ck_assert_int_eq(config_int(c, OPT_CPUS), 4);
	ck_assert_int_eq(config_int(c, OPT_MEMORY), 512);
	ck_assert_str_eq(config_string(c, OPT_TEMPLATE_DIR), "/home/somebody/templates");
	ck_assert_str_eq(config_string(c, OPT_ALLOW), "a.example:443 127.0.0.1:8080");

	json_t *all = config_to_json(c), *o;
	size_t i;
	ck_assert_uint_eq(json_array_size(all), OPT_COUNT);
	json_array_foreach(all, i, o) {
		const char *name = json_string_value(json_object_get(o, "name"));
		const char *source = json_string_value(json_object_get(o, "source"));
		if (strcmp(name, "cpus") == 0) {
			ck_assert_str_eq(source, "environment");
			ck_assert_int_eq(json_integer_value(json_object_get(o, "value")), 4);
		} else if (strcmp(name, "memory") == 0) {
			ck_assert_str_eq(source, "file");
		} else if (strcmp(name, "rows") == 0) {
			ck_assert_str_eq(source, "default");
		}
	}
	json_decref(all);
	config_free(c);
}
END_TEST

START_TEST(errors_name_the_line)
{
	refused("driver = host\n\nmemroy = 1\n", "config:3: there is no option 'memroy'");
	refused("# x\ncpus = many\n", "config:2: cpus must be a whole number from 1 to 64");
	refused("cpus = 0\n", "config:1: cpus");
	refused("cpus = 65\n", "config:1: cpus");
	refused("cpus = \n", "config:1: cpus");
	refused("cpus = 2\ncpus = 3\n", "config:2: cpus is set a second time");
	refused("\n\n\nnonsense", "config:4: 'nonsense' has no '='");
	refused("= 4\n", "config:1: there is no option ''");
	refused("accel = fast\n", "config:1: accel must be one of auto kvm tcg");
	refused("accel = auto kvm\n", "config:1: accel");
	refused("template_dir = here\n", "config:1: template_dir must be an absolute path");
	refused("allow = a.example:443 b.example\n", "config:1: allow");
	refused("allow = a.example:0\n", "config:1: allow");
	refused("driver =\n", "config:1: driver");
	refused("driver = a\x01\n", "config:1: the value contains a control character");
	refused("driver = \xff\n", "UTF-8");
}
END_TEST

START_TEST(a_bad_environment_names_the_variable)
{
	struct config *c = NULL;
	struct err e = {0};

	setenv("TMUX_CLAUDE_ROWS", "1", 1);
	ck_assert_int_eq(config_load(NULL, &c, &e), -1);
	ck_assert(strstr(e.message, "TMUX_CLAUDE_ROWS"));
}
END_TEST

START_TEST(a_file_that_others_may_write_is_refused)
{
	struct config *c = NULL;
	struct err e = {0};

	config_free(load("cpus = 1\n"));
	ck_assert_int_eq(chmod(file, 0620), 0);
	ck_assert_int_eq(config_load(file, &c, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert(strstr(e.message, "written by others"));
	ck_assert(strstr(e.hint, "chmod"));
	ck_assert_int_eq(chmod(file, 0644), 0);
	ck_assert_int_eq(config_load(file, &c, &e), 0);
	config_free(c);
}
END_TEST

START_TEST(a_folder_in_its_place_is_refused)
{
	struct config *c = NULL;
	struct err e = {0};

	ck_assert_int_eq(mkdir(file, 0700), 0);
	ck_assert_int_eq(config_load(file, &c, &e), -1);
	ck_assert_ptr_null(c);
}
END_TEST

START_TEST(the_example_is_a_valid_file_with_every_option)
{
	cleanup_free char *text = config_example();
	struct config *c = load(text);
	json_t *all = config_to_json(c), *o;
	size_t i;

	json_array_foreach(all, i, o) {
		cleanup_free char *line =
			xasprintf("\n#%s = ", json_string_value(json_object_get(o, "name")));
		ck_assert_str_eq(json_string_value(json_object_get(o, "source")), "default");
		ck_assert_ptr_nonnull(strstr(text, line));
	}
	json_decref(all);
	config_free(c);
	/* Each line is right when its comment sign is taken away. */
	for (char *p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ' && strchr(p, '='))
			p[1] = ' ';
	config_free(load(text));
}
END_TEST

TEST_MAIN_FIXTURE("ipc/config", setup, teardown, without_a_file_all_is_default,
	the_file_wins_over_the_default_and_the_environment_over_both, errors_name_the_line,
	a_bad_environment_names_the_variable, a_file_that_others_may_write_is_refused,
	a_folder_in_its_place_is_refused, the_example_is_a_valid_file_with_every_option)
