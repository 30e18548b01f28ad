/* SPDX-License-Identifier: ISC */
/* File servers: started with the right arguments, as the right user, also by the helper of a shim that
 * gives its rights up. */
#include "place/shim/spawner.h"

#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/shim-spawner-XXXXXX";
static char *program;
static struct conf conf;

static void setup(void)
{
	static const char script[] = "#!/bin/sh\necho \"$(id -u) $*\" >&0\ncat <&0 >/dev/null\n";
	struct err e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chmod(dir, 0755), 0);
	program = xasprintf("%s/server", dir);
	ck_assert_int_eq(file_write_atomic(program, script, sizeof(script) - 1, 0755, &e), 0);
	conf = (struct conf){.files_program = program, .files_uid = CONF_AS_IS, .files_gid = (gid_t)CONF_AS_IS,
		.shim_uid = CONF_AS_IS, .nmounts = 2,
		.mounts = {{.path = (char *)"/one"}, {.path = (char *)"/two words", .read_only = true}}};
}

static void teardown(void)
{
	struct err e = {0};

	free(program);
	tree_remove(dir, &e);
}

static void check_server(struct spawner *sp, size_t index, const char *want)
{
	struct err e = {0};
	char line[256] = "";
	struct pollfd p = {.events = POLLIN};

	ck_assert_msg(spawner_files(sp, &conf.mounts[index], &p.fd, &e) == 0, "%s", e.message);
	ck_assert_int_eq(poll(&p, 1, 10000), 1);
	ck_assert_int_gt(read(p.fd, line, sizeof(line) - 1), 0);
	ck_assert_str_eq(line, want);
	close(p.fd);
}

START_TEST(a_server_gets_its_folder)
{
	struct spawner *sp = NULL;
	struct err e = {0};
	char *want = xasprintf("%d --root /one --fd 0\n", (int)geteuid());

	ck_assert_int_eq(spawner_create(&conf, &sp, &e), 0);
	ck_assert_int_eq(spawner_pid(sp), 0);
	check_server(sp, 0, want);
	spawner_destroy(sp);
	free(want);
}
END_TEST

START_TEST(the_helper_keeps_the_rights_for_it)
{
	struct spawner *sp = NULL;
	struct err e = {0};

	if (geteuid() != 0)
		return;
	conf.shim_uid = 1879048193;
	conf.shim_gid = 1879048193;
	conf.files_uid = 4321;
	conf.files_gid = 4321;
	ck_assert_int_eq(spawner_create(&conf, &sp, &e), 0);
	ck_assert_int_gt(spawner_pid(sp), 0);
	ck_assert_int_eq(seteuid(conf.shim_uid), 0);
	check_server(sp, 1, "4321 --root /two words --fd 0 --read-only\n");
	check_server(sp, 0, "4321 --root /one --fd 0\n");
	conf.files_program = (char *)"/no/such/server";
	check_server(sp, 0, "4321 --root /one --fd 0\n"); /* the helper has its own copy */
	spawner_destroy(sp);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(a_server_that_cannot_start_says_why)
{
	struct spawner *sp = NULL;
	struct err e = {0};
	int fd;

	conf.files_program = (char *)"/no/such/server";
	ck_assert_int_eq(spawner_create(&conf, &sp, &e), 0);
	ck_assert_int_eq(spawner_files(sp, &conf.mounts[0], &fd, &e), -1);
	ck_assert_ptr_nonnull(strstr(e.message, "/no/such/server"));
	spawner_destroy(sp);
}
END_TEST

TEST_MAIN_FIXTURE("shim/spawner", setup, teardown, a_server_gets_its_folder, the_helper_keeps_the_rights_for_it,
	a_server_that_cannot_start_says_why)
