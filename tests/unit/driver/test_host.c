/* SPDX-License-Identifier: ISC */
/* The registry, and the host driver's place.json. */
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/driver/driver.h"
#include "tests/unit/run.h"

static char top[64];
static struct layout layout;
static struct config *config;
static struct driver_env env;

static void setup(void)
{
	struct err e = {0};
	char guest[128];
	strcpy(top, "/tmp/tc-host-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	setenv("TMUX_CLAUDE_HOME", top, 1);
	setenv("TMUX_CLAUDE_LIBEXEC", top, 1);
	setenv("TMUX_CLAUDE_RECORD_MAX", "3", 1);
	snprintf(guest, sizeof(guest), "%s/tmux-claude-guest", top);
	ck_assert_int_eq(file_write_atomic(guest, "#!/bin/sh\n", 10, 0755, NULL), 0);
	ck_assert_msg(layout_init(&layout, &e) == 0, "%s", e.message);
	ck_assert_msg(config_load(layout.config_file, &config, &e) == 0, "%s", e.message);
	env = (struct driver_env){.layout = &layout, .config = config, .template_dir = layout.template_dir};
}

static void teardown(void)
{
	config_free(config);
	layout_finish(&layout);
	tree_remove(top, NULL);
}

START_TEST(test_drivers_are_found_by_name)
{
	cleanup_free char *names = driver_names();
	ck_assert_ptr_nonnull(strstr(names, "host"));
	ck_assert_str_eq(driver_find("host")->name, "host");
	ck_assert_ptr_null(driver_find("hos"));
	ck_assert_ptr_null(driver_find(""));
	for (const struct driver *const *d = driver_all(); *d; d++)
		ck_assert_ptr_eq(driver_find((*d)->name), *d);
	ck_assert_int_eq(driver_find("host")->flags, 0); /* it isolates nothing, and says so */
}
END_TEST

static int calls;
static json_t *made_json;

static void made(void *arg, json_t *place, const struct err *error)
{
	ck_assert_ptr_eq(arg, &calls);
	ck_assert_msg(!error, "%s", error ? error->message : "");
	calls++;
	made_json = place;
}

static const char *str(const char *path, ...) __attribute__((sentinel));
static const char *str(const char *path, ...)
{
	va_list ap;
	json_t *o = json_object_get(made_json, path);
	va_start(ap, path);
	for (const char *k; (k = va_arg(ap, const char *));)
		o = json_object_get(o, k);
	va_end(ap);
	return json_string_value(o);
}

START_TEST(test_a_place_is_held_by_the_guest_program)
{
	struct place *p = place_new();
	struct instance *in = instance_new();
	char run[128];
	strcpy(p->id, "k3x9qa");
	p->driver = xstrdup("host");
	in->dir = xstrdup(top);
	setenv("ANTHROPIC_API_KEY", "sk-ant-secret", 1);
	driver_find("host")->make(&env, p, in, made, &calls);
	ck_assert_int_eq(calls, 1);
	ck_assert_str_eq(str("place", NULL), "k3x9qa");
	ck_assert_str_eq(str("driver", NULL), "host");
	ck_assert_str_eq(str("link", NULL), "link.sock");
	ck_assert_str_eq(str("recordings", NULL), layout.recordings_dir);
	ck_assert_int_eq(json_integer_value(json_object_get(made_json, "record_max")), 3 << 20);
	ck_assert(json_is_null(json_object_get(made_json, "qmp")));
	ck_assert(json_is_null(json_object_get(made_json, "egress")));
	ck_assert(json_is_null(json_object_get(made_json, "files")));
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(made_json, "shim"), "uid")), -1);
	json_t *holder = json_object_get(made_json, "holder");
	json_t *argv = json_object_get(holder, "argv");
	cleanup_free char *guest = xasprintf("%s/tmux-claude-guest", top);
	ck_assert_str_eq(json_string_value(json_array_get(argv, 0)), guest);
	ck_assert_str_eq(json_string_value(json_array_get(argv, 1)), "--listen");
	json_t *fd = json_array_get(json_object_get(holder, "fds"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(fd, "kind")), "listen");
	ck_assert_str_eq(json_string_value(json_object_get(fd, "path")), "link.sock");
	cleanup_free char *number = xasprintf("%lld", (long long)json_integer_value(json_object_get(fd, "fd")));
	ck_assert_str_eq(json_string_value(json_array_get(argv, 2)), number);
	cleanup_free char *text = json_dumps(made_json, 0);
	ck_assert_ptr_null(strstr(text, "sk-ant-secret")); /* keys of our environment stay out of it */
	cleanup_free char *dir = place_dir(&layout, p->id);
	ck_assert_str_eq(driver_find("host")->run_dir(&env, p, run, sizeof(run)), dir);
	ck_assert_ptr_null(driver_find("host")->run_dir(&env, p, run, 8));
	ck_assert_str_eq(driver_find("host")->guest_program(&env), guest);
	json_decref(made_json);
	place_free(p);
	instance_free(in);
}
END_TEST

START_TEST(test_a_missing_guest_program_is_said_before_anything_is_made)
{
	struct instance *in = instance_new();
	struct err e = {0};
	in->dir = xstrdup(top);
	ck_assert_msg(driver_find("host")->check(&env, in, &e) == 0, "%s", e.message);
	cleanup_free char *guest = xasprintf("%s/tmux-claude-guest", top);
	ck_assert_int_eq(unlink(guest), 0);
	ck_assert_int_eq(driver_find("host")->check(&env, in, &e), -1);
	ck_assert_int_eq(e.code, ERR_MISSING);
	instance_free(in);
}
END_TEST

TEST_MAIN_FIXTURE("driver/host", setup, teardown, test_drivers_are_found_by_name,
	test_a_place_is_held_by_the_guest_program,
	test_a_missing_guest_program_is_said_before_anything_is_made)
