/* SPDX-License-Identifier: ISC */
/* Agents of the user's own: when their files are looked at. */
#include "daemon/agent/custom.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char dir[] = "/tmp/test-custom-XXXXXX";
static char *folder, *file;

static void setup(void)
{
	cleanup_free char *config = NULL;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	folder = xasprintf("%s/agents.d", dir);
	file = xasprintf("%s/mine.conf", folder);
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	config = xasprintf("%s/config", dir);
	custom_folder(config);
}

static void teardown(void)
{
	unlink(file);
	rmdir(folder);
	rmdir(dir);
	free(folder);
	free(file);
}

static void put(const char *text)
{
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	chmod(file, 0600);
}

/* Each event of an instance asks for its program: a file that is not there is not looked for again and again. */
START_TEST(that_there_is_none_is_remembered)
{
	struct err e = {0};

	ck_assert_ptr_null(custom_find("mine"));
	put("argv = cat\n");
	ck_assert_ptr_null(custom_find("mine"));
	ck_assert_int_eq(custom_read("mine", &e), 0); /* a spawn */
	ck_assert_ptr_nonnull(custom_find("mine"));
	unlink(file);
	ck_assert_ptr_nonnull(custom_find("mine")); /* what was read is kept */
	ck_assert_int_eq(custom_read("mine", &e), -1);
	ck_assert_int_eq(e.code, ERR_NOT_FOUND);
	ck_assert_ptr_nonnull(custom_find("mine"));
}
END_TEST

START_TEST(of_many_names_the_oldest_is_forgotten)
{
	char name[16];

	ck_assert_ptr_null(custom_find("mine"));
	put("argv = cat\n");
	for (int i = 0; i < 100; i++) {
		str_fmt(name, sizeof(name), "n%d", i);
		ck_assert_ptr_null(custom_find(name));
	}
	ck_assert_ptr_nonnull(custom_find("mine"));
}
END_TEST

TEST_MAIN_FIXTURE("agent/custom", setup, teardown, that_there_is_none_is_remembered, of_many_names_the_oldest_is_forgotten)
