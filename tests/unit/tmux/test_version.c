/* SPDX-License-Identifier: ISC */
/* The table of versions. */
#include "tests/unit/run.h"

#include <string.h>

#include "daemon/tmux/version.h"

static void check(const char *said, const char *text, bool dead_panes)
{
	struct tmux_version v;
	struct err e = {0};

	ck_assert_msg(tmux_version_parse(said, &v, &e) == 0, "%s: %s", said, e.message);
	ck_assert_str_eq(v.text, text);
	ck_assert_int_eq(v.dead_panes, dead_panes);
}

static void refused(const char *said)
{
	struct tmux_version v = {.text = "kept"};
	struct err e = {0};

	ck_assert_int_eq(tmux_version_parse(said, &v, &e), -1);
	ck_assert_int_eq(e.code, ERR_VERSION);
	ck_assert_str_eq(v.text, "kept");
}

START_TEST(known_versions_have_their_features)
{
	check("tmux 3.2a\n", "3.2a", false);
	check("tmux-3.2a 3.2a\n", "3.2a", false);
	check("tmux 3.3\n", "3.3", true);
	check("tmux 3.3a\n", "3.3a", true);
	check("tmux 3.4\n", "3.4", true);
	check("tmux 3.10b\n", "3.10b", true);
	check("tmux 4.0\n", "4.0", true);
	check("tmux next-3.6\n", "next-3.6", true);
	check("tmux master\n", "master", true);
	check("tmux openbsd-7.7\n", "openbsd-7.7", true);
}
END_TEST

START_TEST(older_and_other_programs_are_refused)
{
	refused("tmux 3.2\n");
	refused("tmux 3.1c\n");
	refused("tmux 2.9a\n");
	refused("tmux 1.8");
	refused("tmux \n");
	refused("screen 4.0\n");
	refused("tmux\n");
	refused("");
	refused("tmux 3.3aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
}
END_TEST

TEST_MAIN("tmux/version", known_versions_have_their_features, older_and_other_programs_are_refused)
