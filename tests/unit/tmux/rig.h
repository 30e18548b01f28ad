/* SPDX-License-Identifier: ISC */
/* What the tests against a real tmux share: a folder, a loop, waiting for something to become true. */
#ifndef TESTS_UNIT_TMUX_RIG_H
#define TESTS_UNIT_TMUX_RIG_H

#include "tests/unit/run.h"

#include <ftw.h>
#include <signal.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/sock.h"
#include "base/util.h"

#define RIG_WAIT_MS 50000

static struct loop *rig_loop;
static char rig_base[64], rig_dir[80];

static inline void rig_setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	/* What a user's shell inside tmux has; none of it may matter. */
	setenv("TMUX", "/nowhere/default,1,0", 1);
	setenv("TMUX_PANE", "%99", 1);
	setenv("TMUX_TMPDIR", "/nowhere", 1);
	str_fmt(rig_dir, sizeof(rig_dir), "%s/XXXXXX", rig_base);
	ck_assert_ptr_nonnull(mkdtemp(rig_dir));
	rig_loop = loop_create(NULL);
	ck_assert_ptr_nonnull(rig_loop);
}

static inline void rig_teardown(void)
{
	loop_destroy(rig_loop);
	tree_remove(rig_dir, NULL);
}

/* A test that failed or was killed leaves its servers: each is found by its socket. */
static inline int rig_sweep(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	cleanup_close int fd = -1;
	struct ucred cred;

	(void)type;
	(void)ftw;
	if (S_ISSOCK(st->st_mode) && sock_connect(path, &fd, NULL) == 0 &&
		sock_peer(fd, &cred, NULL) == 0)
		kill(cred.pid, SIGKILL);
	return 0;
}

static inline int rig_main(const char *name, const TTest *const *tests, size_t n)
{
	int ret;

	str_fmt(rig_base, sizeof(rig_base), "/tmp/tc-tmux-%d-XXXXXX", (int)getpid());
	if (mkdtemp(rig_base) == NULL)
		return EXIT_FAILURE;
	ret = test_run(name, tests, n, rig_setup, rig_teardown);
	nftw(rig_base, rig_sweep, 8, FTW_PHYS);
	tree_remove(rig_base, NULL);
	return ret;
}

#define RIG_MAIN(name, ...)                                                                        \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const tests[] = {__VA_ARGS__};                                        \
		return rig_main(name, tests, ARRAY_LEN(tests));                                    \
	}

/* Turns the loop until cond holds. */
#define rig_until(cond)                                                                            \
	do {                                                                                       \
		int64_t rig_end = clock_mono_ms() + RIG_WAIT_MS;                                   \
		while (!(cond)) {                                                                  \
			ck_assert_msg(clock_mono_ms() < rig_end, "waited in vain for %s", #cond);  \
			loop_turn(rig_loop, 10);                                                  \
		}                                                                                  \
	} while (0)

#endif
