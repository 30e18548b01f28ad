/* SPDX-License-Identifier: ISC */
/* Where things stand, what is refused, and how our own programs are found. */
#include "ipc/layout.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/sock.h"
#include "base/util.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/tc-layout-XXXXXX";

static void setup(void)
{
	static const char *const names[] = {"TMUX_CLAUDE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME",
		"XDG_DATA_HOME", "XDG_RUNTIME_DIR", "TMUX_CLAUDE_LIBEXEC", "TMUX_CLAUDE_DATA"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/u", 1);
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	tree_remove(dir, NULL);
}

START_TEST(one_home_holds_everything)
{
	struct layout l;

	setenv("TMUX_CLAUDE_HOME", "/h/", 1);
	ck_assert_int_eq(layout_init(&l, NULL), 0);
	ck_assert_str_eq(l.config_file, "/h/config");
	ck_assert_str_eq(l.login_file, "/h/credentials");
	ck_assert_str_eq(l.db_file, "/h/state/fleet.db");
	ck_assert_str_eq(l.places_dir, "/h/state/p");
	ck_assert_str_eq(l.recordings_dir, "/h/state/r");
	ck_assert_str_eq(l.tmux_dir, "/h/state/t");
	ck_assert_str_eq(l.template_dir, "/h/templates");
	ck_assert_str_eq(l.daemon_socket, "/h/run/daemon.sock");
	layout_finish(&l);
}
END_TEST

START_TEST(a_relative_home_is_made_absolute)
{
	struct layout l;
	char cwd[PATH_MAX];

	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
	setenv("TMUX_CLAUDE_HOME", "h", 1);
	ck_assert_int_eq(layout_init(&l, NULL), 0);
	ck_assert(str_starts(l.home, cwd));
	layout_finish(&l);
}
END_TEST

START_TEST(xdg_folders_are_used_and_relative_ones_ignored)
{
	struct layout l;

	setenv("XDG_STATE_HOME", "relative", 1);
	setenv("XDG_CONFIG_HOME", "/c", 1);
	ck_assert_int_eq(layout_init(&l, NULL), 0);
	ck_assert_str_eq(l.config_file, "/c/tmux-claude/config");
	ck_assert_str_eq(l.state_dir, "/home/u/.local/state/tmux-claude");
	ck_assert_str_eq(l.template_dir, "/home/u/.local/share/tmux-claude/templates");
	cleanup_free char *run = xasprintf("/tmp/tmux-claude-%u", (unsigned)getuid());
	ck_assert_str_eq(l.runtime_dir, run);
	layout_finish(&l);
	setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
	ck_assert_int_eq(layout_init(&l, NULL), 0);
	ck_assert_str_eq(l.daemon_socket, "/run/user/1/tmux-claude/daemon.sock");
	layout_finish(&l);
}
END_TEST

START_TEST(without_a_home_it_says_what_to_set)
{
	struct layout l;
	struct err e = {0};

	unsetenv("HOME");
	ck_assert_int_eq(layout_init(&l, &e), -1);
	ck_assert(strstr(e.message, "HOME"));
	ck_assert(strstr(e.hint, "TMUX_CLAUDE_HOME"));
}
END_TEST

START_TEST(socket_paths_are_checked_at_the_bound)
{
	struct layout l;
	struct err e = {0};
	char home[128];
	size_t rest = strlen("/state/p/aaaaaa/egress.sock"), most = SOCK_PATH_MAX - rest;

	memset(home, 'h', sizeof(home));
	home[0] = '/';
	home[most] = '\0';
	setenv("TMUX_CLAUDE_HOME", home, 1);
	ck_assert_int_eq(layout_init(&l, &e), 0);
	layout_finish(&l);
	home[most] = 'h';
	home[most + 1] = '\0';
	setenv("TMUX_CLAUDE_HOME", home, 1);
	ck_assert_int_eq(layout_init(&l, &e), -1);
	ck_assert_int_eq(e.code, ERR_LIMIT);
	ck_assert(strstr(e.message, home));
	ck_assert(strstr(e.hint, "TMUX_CLAUDE_HOME"));
}
END_TEST

START_TEST(folders_are_made_private)
{
	struct layout l;
	struct err e = {0};
	struct stat st;

	setenv("TMUX_CLAUDE_HOME", dir, 1);
	ck_assert_int_eq(layout_init(&l, &e), 0);
	ck_assert_int_eq(layout_make(&l, &e), 0);
	ck_assert_int_eq(layout_make(&l, &e), 0);
	const char *all[] = {l.state_dir, l.places_dir, l.recordings_dir, l.tmux_dir, l.runtime_dir};
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		ck_assert_int_eq(stat(all[i], &st), 0);
		ck_assert_uint_eq(st.st_mode & 07777, 0700);
	}
	ck_assert_int_eq(chmod(l.runtime_dir, 0755), 0);
	ck_assert_int_eq(layout_make(&l, &e), -1);
	ck_assert_int_eq(e.code, ERR_DENIED);
	ck_assert(strstr(e.hint, "chmod"));
	layout_finish(&l);
}
END_TEST

START_TEST(a_link_in_place_of_the_runtime_folder_is_refused)
{
	struct layout l;
	struct err e = {0};

	setenv("TMUX_CLAUDE_HOME", dir, 1);
	ck_assert_int_eq(layout_init(&l, &e), 0);
	cleanup_free char *elsewhere = xasprintf("%s/elsewhere", dir);
	ck_assert_int_eq(mkdir(elsewhere, 0700), 0);
	ck_assert_int_eq(symlink(elsewhere, l.runtime_dir), 0);
	ck_assert_int_eq(layout_make(&l, &e), -1);
	layout_finish(&l);
}
END_TEST

START_TEST(programs_and_data_are_found_where_the_environment_says)
{
	struct err e = {0};
	cleanup_free char *path = xasprintf("%s/tmux-claude-shim", dir);

	setenv("TMUX_CLAUDE_LIBEXEC", dir, 1);
	setenv("TMUX_CLAUDE_DATA", dir, 1);
	ck_assert_ptr_null(layout_program("tmux-claude-shim", &e));
	ck_assert_int_eq(e.code, ERR_MISSING);
	ck_assert_int_eq(file_write_atomic(path, "", 0, 0600, &e), 0);
	ck_assert_ptr_null(layout_program("tmux-claude-shim", &e));
	cleanup_free char *data = layout_data("tmux-claude-shim", &e);
	ck_assert_str_eq(data, path);
	ck_assert_int_eq(chmod(path, 0700), 0);
	cleanup_free char *found = layout_program("tmux-claude-shim", &e);
	ck_assert_str_eq(found, path);
	ck_assert_ptr_null(layout_data("absent", &e));
	ck_assert(strstr(e.message, "absent"));
}
END_TEST

TEST_MAIN_FIXTURE("ipc/layout", setup, teardown, one_home_holds_everything,
	a_relative_home_is_made_absolute, xdg_folders_are_used_and_relative_ones_ignored,
	without_a_home_it_says_what_to_set, socket_paths_are_checked_at_the_bound,
	folders_are_made_private, a_link_in_place_of_the_runtime_folder_is_refused,
	programs_and_data_are_found_where_the_environment_says)
