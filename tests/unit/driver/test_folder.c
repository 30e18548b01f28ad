/* SPDX-License-Identifier: ISC */
/* Which folders an agent may be given. */
#include <sys/stat.h>

#include "base/util.h"
#include "daemon/driver/folder.h"
#include "tests/unit/run.h"

static char top[64];
static struct layout layout;

static char *in_top(const char *name)
{
	static char path[4][256];
	static int n;
	char *p = path[n++ % 4];
	snprintf(p, sizeof(path[0]), "%s/%s", top, name);
	return p;
}

static void setup(void)
{
	strcpy(top, "/tmp/tc-folder-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(top));
	layout = (struct layout){
		.state_dir = xstrdup(in_top("own/state")),
		.config_file = xstrdup(in_top("conf/config")),
		.template_dir = xstrdup(in_top("tmpl")),
		.runtime_dir = xstrdup(in_top("run")),
	};
	ck_assert_int_eq(dir_make(in_top("own/state/p"), 0700, NULL), 0);
	ck_assert_int_eq(dir_make(in_top("project/sub"), 0700, NULL), 0);
}

static void teardown(void)
{
	free(layout.state_dir);
	free(layout.config_file);
	free(layout.template_dir);
	free(layout.runtime_dir);
	free(layout.home);
	tree_remove(top, NULL);
}

static void must_refuse(const char *dir, enum err_code code, const char *part)
{
	char *real = (char *)"untouched";
	struct err e = {0};
	ck_assert_msg(folder_check(&layout, dir, &real, &e) == -1, "%s was taken", dir);
	ck_assert_msg(e.code == code, "%s: %d %s", dir, e.code, e.message);
	ck_assert_msg(strstr(e.message, part) != NULL, "%s: %s", dir, e.message);
	ck_assert_str_eq(real, "untouched");
}

static void must_take(const char *dir, const char *want)
{
	char *real = NULL;
	struct err e = {0};
	ck_assert_msg(folder_check(&layout, dir, &real, &e) == 0, "%s: %s", dir, e.message);
	ck_assert_str_eq(real, want);
	free(real);
}

START_TEST(test_a_project_is_taken_by_its_real_path)
{
	must_take(in_top("project"), in_top("project"));
	must_take(in_top("project/./sub/../sub/"), in_top("project/sub"));
	ck_assert_int_eq(symlink(in_top("project"), in_top("link")), 0);
	must_take(in_top("link/sub"), in_top("project/sub"));
}
END_TEST

START_TEST(test_what_is_no_folder_is_refused)
{
	must_refuse("project", ERR_PARAMS, "absolute");
	must_refuse("", ERR_PARAMS, "absolute");
	must_refuse(in_top("nowhere"), ERR_NOT_FOUND, "nowhere");
	ck_assert_int_eq(file_write_atomic(in_top("file"), "x", 1, 0600, NULL), 0);
	must_refuse(in_top("file"), ERR_PARAMS, "not a folder");
	must_refuse(in_top("file/x"), ERR_NOT_FOUND, "file/x");
	ck_assert_int_eq(symlink(in_top("loop"), in_top("loop")), 0);
	must_refuse(in_top("loop"), ERR_DENIED, "loop");
}
END_TEST

START_TEST(test_the_systems_folders_are_refused)
{
	static const char *const dirs[] = {"/", "/etc", "/usr", "/usr/share", "/bin", "/boot", "/dev",
		"/proc", "/proc/self", "/sys", "/var", "/var/lib", "/lib", "/run", "/home", "/tmp", "/opt",
		"//etc//", "/etc/../usr", "/var/run", "/var/lib/dpkg"};
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++)
		must_refuse(dirs[i], ERR_DENIED, "system");
	/* A link does not help. */
	ck_assert_int_eq(symlink("/etc", in_top("innocent")), 0);
	must_refuse(in_top("innocent"), ERR_DENIED, "/etc");
}
END_TEST

START_TEST(test_a_name_that_only_begins_like_the_systems_is_taken)
{
	/* /usrlocal is not /usr: seen with our own folders, which can be made anywhere. */
	ck_assert_int_eq(mkdir(in_top("own/state-of-mine"), 0700), 0);
	must_take(in_top("own/state-of-mine"), in_top("own/state-of-mine"));

}
END_TEST

START_TEST(test_our_own_folders_are_refused_from_both_sides)
{
	must_refuse(in_top("own/state"), ERR_DENIED, "lies in");
	must_refuse(in_top("own/state/p"), ERR_DENIED, "lies in");
	must_refuse(in_top("own"), ERR_DENIED, "holds");
	must_refuse(top, ERR_DENIED, "holds");
	/* Also when they do not exist yet, and through a link. */
	ck_assert_int_eq(mkdir(in_top("conf"), 0700), 0);
	must_refuse(in_top("conf"), ERR_DENIED, "lies in");
	layout.home = xasprintf("%s/later/home", in_top("project"));
	must_refuse(in_top("project"), ERR_DENIED, "holds");
	must_take(in_top("project/sub"), in_top("project/sub"));
	free(layout.state_dir);
	ck_assert_int_eq(symlink(in_top("project/sub"), in_top("elsewhere")), 0);
	layout.state_dir = xstrdup(in_top("elsewhere/state"));
	must_refuse(in_top("project/sub"), ERR_DENIED, "holds");
}
END_TEST

START_TEST(test_a_whole_home_is_warned_of)
{
	setenv("HOME", in_top("project"), 1);
	ck_assert_ptr_nonnull(folder_warning(in_top("project")));
	ck_assert_ptr_null(folder_warning(in_top("project/sub")));
	ck_assert_int_eq(symlink(in_top("project"), in_top("home")), 0);
	setenv("HOME", in_top("home"), 1);
	ck_assert_ptr_nonnull(folder_warning(in_top("project")));
	unsetenv("HOME");
	ck_assert_ptr_null(folder_warning(in_top("project")));
}
END_TEST

TEST_MAIN_FIXTURE("driver/folder", setup, teardown, test_a_project_is_taken_by_its_real_path,
	test_what_is_no_folder_is_refused, test_the_systems_folders_are_refused,
	test_a_name_that_only_begins_like_the_systems_is_taken,
	test_our_own_folders_are_refused_from_both_sides, test_a_whole_home_is_warned_of)
