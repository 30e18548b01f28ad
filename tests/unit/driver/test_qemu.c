/* SPDX-License-Identifier: ISC */
/* The qemu driver: checks, the disk with the real qemu-img, place.json. No VM is started. */
#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/util.h"
#include "daemon/driver/driver.h"
#include "daemon/driver/qemu_argv.h"
#include "tests/unit/run.h"

#define TURNS_MS 30000

static char top[64];
static struct layout layout;
static struct config *config;
static struct driver_env env;
static struct place *p;
static struct instance *in;
static const struct driver *qemu;

static char *in_top(const char *name)
{
	static char path[8][256];
	static int n;
	char *at = path[n++ % 8];
	snprintf(at, sizeof(path[0]), "%s/%s", top, name);
	return at;
}

static void put(const char *name, const char *text, mode_t mode)
{
	struct err e = {0};
	ck_assert_msg(file_write_atomic(in_top(name), text, strlen(text), mode, &e) == 0, "%s", e.message);
}

static char *get(const char *name)
{
	char *text = NULL;
	struct err e = {0};
	ck_assert_msg(file_read(in_top(name), 65536, &text, NULL, &e) == 0, "%s", e.message);
	return text;
}

static int run(const char *const *argv)
{
	pid_t pid = fork();
	int st;
	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(pid, &st, 0), pid);
	return WIFEXITED(st) ? WEXITSTATUS(st) : -1;
}

static void stamp(const char *built)
{
	cleanup_free char *text = xasprintf("{\"format\":1,\"name\":\"minimal\",\"built_at\":\"%s\","
		"\"disk\":{\"file\":\"disk.qcow2\",\"format\":\"qcow2\"},\"agents\":{\"claude\":\"2.1.329\"}}",
		built);
	put("templates/minimal/template.json", text, 0644);
}

static void build_template(const char *built)
{
	const char *const argv[] = {"qemu-img", "create", "-q", "-f", "qcow2",
		in_top("templates/minimal/disk.qcow2"), "16M", NULL};
	ck_assert_int_eq(dir_make(in_top("templates/minimal"), 0755, NULL), 0);
	unlink(in_top("templates/minimal/disk.qcow2"));
	ck_assert_msg(run(argv) == 0, "qemu-img (Debian package qemu-utils) is needed");
	put("templates/minimal/kernel", built, 0644);
	put("templates/minimal/initrd", "initrd", 0644);
	stamp(built);
}

static void setup(void)
{
	struct err e = {0};
	strcpy(top, "/tmp/tc-qemu-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	setenv("TMUX_CLAUDE_HOME", top, 1);
	setenv("TMUX_CLAUDE_LIBEXEC", top, 1);
	setenv("TMUX_CLAUDE_ACCEL", "tcg", 1);
	setenv("TMUX_CLAUDE_QEMU_PATH", "true", 1); /* never run here */
	put("tmux-claude-files", "#!/bin/sh\n", 0755);
	ck_assert_msg(layout_init(&layout, &e) == 0, "%s", e.message);
	ck_assert_msg(config_load(layout.config_file, &config, &e) == 0, "%s", e.message);
	env = (struct driver_env){.loop = loop_create(NULL), .layout = &layout, .config = config,
		.template_dir = layout.template_dir};
	ck_assert_int_eq(dir_make(in_top("state/p/k3x9qa"), 0700, NULL), 0);
	ck_assert_int_eq(mkdir(in_top("project"), 0755), 0);
	build_template("one");
	qemu = driver_find("qemu");
	p = place_new();
	strcpy(p->id, "k3x9qa");
	p->driver = xstrdup("qemu");
	p->number = 7;
	in = instance_new();
	strcpy(in->id, "ab12cd");
	in->dir = xstrdup(in_top("project"));
	in->agent = xstrdup("claude");
	in->template_name = xstrdup("minimal");
	in->cpus = 2;
	in->memory_mib = 1024;
}

static void teardown(void)
{
	driver_finish();
	place_free(p);
	instance_free(in);
	loop_destroy(env.loop);
	config_free(config);
	layout_finish(&layout);
	tree_remove(top, NULL);
}

static int calls;
static json_t *made_json;
static struct err made_error;

static void made(void *arg, json_t *place, const struct err *error)
{
	ck_assert_ptr_eq(arg, &calls);
	ck_assert((place == NULL) != (error == NULL));
	made_json = place;
	memset(&made_error, 0, sizeof(made_error));
	if (error)
		made_error = *error;
	calls++;
}

static void make(void)
{
	int64_t end = clock_mono_ms() + TURNS_MS;
	calls = 0;
	qemu->make(&env, p, in, made, &calls);
	while (!calls) {
		ck_assert(clock_mono_ms() < end);
		loop_turn(env.loop, 1000);
	}
	loop_turn(env.loop, 0);
	ck_assert_int_eq(calls, 1);
}

static void must_make(void)
{
	make();
	ck_assert_msg(made_json != NULL, "%s", made_error.message);
}

static const json_t *holder(const char *key)
{
	return json_object_get(json_object_get(made_json, "holder"), key);
}

static const char *path_of_fd(int fd)
{
	const json_t *fds = holder("fds"), *f;
	size_t n;
	json_array_foreach((json_t *)(uintptr_t)fds, n, f)
		if (json_integer_value(json_object_get(f, "fd")) == fd)
			return json_string_value(json_object_get(f, "path"));
	return NULL;
}

START_TEST(test_a_place_gets_a_disk_of_its_own)
{
	struct stat st;
	must_make();
	ck_assert_int_eq(stat(in_top("state/p/k3x9qa/overlay.qcow2"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
	json_int_t want = geteuid() ? -1 : config_int(config, OPT_VM_UID_BASE) + 7;
	ck_assert_int_eq(json_integer_value(holder("uid")), want);
	if (!geteuid()) {
		/* What the shim needs after it gave its rights up. */
		ck_assert_int_eq(st.st_uid, want);
		ck_assert_int_eq(stat(in_top("state/r/ab12cd"), &st), 0);
		ck_assert_int_eq(st.st_uid, want);
		ck_assert_uint_eq(st.st_mode & 0777, 0700);
		ck_assert_int_eq(stat(in_top("state/p/k3x9qa"), &st), 0);
		ck_assert_int_eq(st.st_uid, 0);
		ck_assert_uint_eq(st.st_mode & 0777, 0711);
	}
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(made_json, "shim"), "uid")),
		want);
	ck_assert_str_eq(json_string_value(json_object_get(made_json, "accel")), "tcg");
	ck_assert_str_eq(driver_accel(NULL), "tcg");
	ck_assert_str_eq(json_string_value(json_object_get(made_json, "qmp")), "qmp.sock");
	ck_assert_str_eq(json_string_value(json_object_get(made_json, "egress")), "egress.sock");
	ck_assert_int_eq(json_integer_value(json_object_get(made_json, "boot_timeout_ms")),
		config_int(config, OPT_BOOT_TIMEOUT) * 1000);
	const json_t *files = json_object_get(made_json, "files");
	const json_t *mount = json_array_get(json_object_get(files, "mounts"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(mount, "path")), in->dir);
	ck_assert_int_eq(json_integer_value(json_object_get(files, "uid")), geteuid() ? -1 : 0);
	ck_assert_int_ne(access(in_top("state/p/k3x9qa/overlay.new"), F_OK), 0);
	json_decref(made_json);
}
END_TEST

START_TEST(test_every_descriptor_in_the_command_line_is_given)
{
	must_make();
	cleanup_free char *argv = json_dumps(holder("argv"), 0);
	static const char *const words[] = {"/proc/self/fd/10", "/proc/self/fd/11", "fd=12,set=",
		"fd=13,set=", "id=link,fd=14", "id=qmp,fd=15", "id=console,fd=16"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		ck_assert_msg(strstr(argv, words[i]) != NULL, "%s not in %s", words[i], argv);
	ck_assert_str_eq(path_of_fd(12), "overlay.qcow2");
	ck_assert_str_eq(path_of_fd(10), in_top("state/p/k3x9qa/kernel"));
	ck_assert_str_eq(path_of_fd(13), in_top("state/p/k3x9qa/disk.qcow2"));
	ck_assert_str_eq(path_of_fd(14), "link.sock");
	ck_assert_uint_eq(json_array_size(holder("fds")), 7);
	json_decref(made_json);
}
END_TEST

START_TEST(test_making_it_again_keeps_the_disk)
{
	struct stat one, two;
	must_make();
	json_decref(made_json);
	ck_assert_int_eq(stat(in_top("state/p/k3x9qa/overlay.qcow2"), &one), 0);
	must_make();
	json_decref(made_json);
	ck_assert_int_eq(stat(in_top("state/p/k3x9qa/overlay.qcow2"), &two), 0);
	ck_assert_uint_eq(one.st_ino, two.st_ino);
	ck_assert(one.st_mtim.tv_sec == two.st_mtim.tv_sec && one.st_mtim.tv_nsec == two.st_mtim.tv_nsec);
}
END_TEST

START_TEST(test_a_rebuilt_template_leaves_the_place_on_its_build)
{
	must_make();
	json_decref(made_json);
	build_template("two");
	must_make();
	json_decref(made_json);
	cleanup_free char *kernel = get("state/p/k3x9qa/kernel");
	ck_assert_str_eq(kernel, "one");
	/* Another place takes the new one. */
	strcpy(p->id, "other1");
	ck_assert_int_eq(dir_make(in_top("state/p/other1"), 0700, NULL), 0);
	must_make();
	json_decref(made_json);
	cleanup_free char *newer = get("state/p/other1/kernel");
	ck_assert_str_eq(newer, "two");
}
END_TEST

START_TEST(test_without_links_a_rebuilt_template_is_refused)
{
	must_make();
	json_decref(made_json);
	/* As on another file system: only the stamp was kept. */
	ck_assert_int_eq(unlink(in_top("state/p/k3x9qa/disk.qcow2")), 0);
	must_make();
	ck_assert_str_eq(path_of_fd(13), in_top("templates/minimal/disk.qcow2"));
	json_decref(made_json);
	build_template("two");
	make();
	ck_assert_ptr_null(made_json);
	ck_assert_int_eq(made_error.code, ERR_STATE);
	ck_assert(made_error.hint[0]);
}
END_TEST

START_TEST(test_an_attempt_that_was_cut_short_is_no_obstacle)
{
	build_template("old");
	put("state/p/k3x9qa/overlay.new", "half a disk", 0600);
	put("state/p/k3x9qa/kernel", "of an older build", 0600);
	must_make();
	json_decref(made_json);
	cleanup_free char *kernel = get("state/p/k3x9qa/kernel");
	ck_assert_str_eq(kernel, "old");
}
END_TEST

static void fake_img(const char *script)
{
	cleanup_free char *path = xasprintf("%s/bin:%s", top, getenv("PATH"));
	ck_assert_int_eq(dir_make(in_top("bin"), 0755, NULL), 0);
	put("bin/qemu-img", script, 0755);
	setenv("PATH", path, 1);
}

START_TEST(test_a_failing_qemu_img_says_why)
{
	fake_img("#!/bin/sh\necho 'qemu-img: x: it is broken' >&2\nexit 1\n");
	make();
	ck_assert_ptr_null(made_json);
	ck_assert_int_eq(made_error.code, ERR_FAILED);
	ck_assert_msg(strstr(made_error.message, "it is broken") != NULL, "%s", made_error.message);
	ck_assert_int_ne(access(in_top("state/p/k3x9qa/overlay.qcow2"), F_OK), 0);
	fake_img("#!/bin/sh\necho 'qemu-img: x: No space left on device' >&2\nexit 1\n");
	make();
	ck_assert_int_eq(made_error.code, ERR_DISK);
	fake_img("#!/bin/sh\nkill -9 $$\n");
	make();
	ck_assert_msg(strstr(made_error.message, "signal 9") != NULL, "%s", made_error.message);
}
END_TEST

START_TEST(test_a_place_given_up_while_it_is_made_leaves_no_process)
{
	/* It tells its pid, then waits to be killed. */
	ck_assert_int_eq(mkfifo(in_top("pid"), 0600), 0);
	cleanup_free char *script = xasprintf("#!/bin/sh\necho $$ >'%s'\nexec tail -f /dev/null\n",
		in_top("pid"));
	char text[32] = "";
	fake_img(script);
	calls = 0;
	qemu->make(&env, p, in, made, &calls);
	FILE *f = fopen(in_top("pid"), "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), f));
	fclose(f);
	driver_finish();
	int st;
	ck_assert_int_eq(waitpid(atoi(text), &st, 0), atoi(text));
	ck_assert(WIFSIGNALED(st));
	ck_assert_int_eq(calls, 0);
}
END_TEST

static void must_refuse(enum err_code code, const char *part)
{
	struct err e = {0};
	ck_assert_int_eq(qemu->check(&env, in, &e), -1);
	ck_assert_msg(e.code == code, "%d %s", e.code, e.message);
	ck_assert_msg(strstr(e.message, part) || strstr(e.hint, part), "%s (%s)", e.message, e.hint);
}

START_TEST(test_what_is_missing_is_said_before_anything_is_made)
{
	struct err e = {0};
	ck_assert_msg(qemu->check(&env, in, &e) == 0, "%s", e.message);
	in->cpus = 65;
	must_refuse(ERR_PARAMS, "CPUs");
	in->cpus = 2;
	in->memory_mib = QEMU_MEMORY_MIN_MIB - 1;
	must_refuse(ERR_PARAMS, "memory");
	in->memory_mib = 1024;
	free(in->agent);
	in->agent = xstrdup("codex");
	must_refuse(ERR_MISSING, "codex");
	free(in->agent);
	in->agent = xstrdup("shell");
	ck_assert_int_eq(qemu->check(&env, in, &e), 0);
	ck_assert_int_eq(unlink(in_top("templates/minimal/initrd")), 0);
	must_refuse(ERR_MISSING, "tmux-claude template build minimal");
	put("templates/minimal/template.json", "{\"format\":1}", 0644);
	must_refuse(ERR_IO, "understood");
	put("templates/minimal/template.json", "{\"format\":99,\"disk\":{\"format\":\"qcow2\"}}", 0644);
	must_refuse(ERR_VERSION, "99");
	free(in->template_name);
	in->template_name = xstrdup("absent");
	must_refuse(ERR_MISSING, "tmux-claude template build absent");
	free(in->template_name);
	in->template_name = xstrdup("../minimal");
	must_refuse(ERR_PARAMS, "no template's name");
	free(in->template_name);
	in->template_name = xstrdup("minimal");
	setenv("PATH", in_top("nowhere"), 1);
	must_refuse(ERR_MISSING, "qemu-system-x86");
}
END_TEST

START_TEST(test_where_things_are_inside)
{
	char out[64];
	ck_assert_str_eq(qemu->run_dir(&env, p, out, sizeof(out)), "/run/tmux-claude");
	ck_assert_str_eq(qemu->guest_program(&env), "/usr/lib/tmux-claude/tmux-claude-guest");
	ck_assert_uint_eq(qemu->flags, DRIVER_ISOLATED | DRIVER_EGRESS | DRIVER_SYSTEM);
}
END_TEST

TEST_MAIN_FIXTURE("driver/qemu", setup, teardown, test_a_place_gets_a_disk_of_its_own,
	test_every_descriptor_in_the_command_line_is_given, test_making_it_again_keeps_the_disk,
	test_a_rebuilt_template_leaves_the_place_on_its_build,
	test_without_links_a_rebuilt_template_is_refused,
	test_an_attempt_that_was_cut_short_is_no_obstacle, test_a_failing_qemu_img_says_why,
	test_a_place_given_up_while_it_is_made_leaves_no_process,
	test_what_is_missing_is_said_before_anything_is_made, test_where_things_are_inside)
