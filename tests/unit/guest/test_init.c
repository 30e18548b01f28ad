/* SPDX-License-Identifier: ISC */
/* What of a machine's start can be tried outside of one: the kernel's command line and the user. */
#include "place/guest/init.h"

#include <sys/stat.h>

#include "base/util.h"
#include "tests/unit/run.h"

#define PASSWD "root:x:0:0:root:/root:/bin/bash\nagent:x:1000:1000::/home/agent:/bin/sh\nnobody:x:65534:65534::/:/x\n"
#define GROUP "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"
#define SHADOW "root:*:1:0:::::\nagent:!:1:0:::::\n"

static char root[64];
static uid_t uid;
static gid_t gid;

static void put(const char *name, const char *text)
{
	cleanup_free char *path = xasprintf("%s/%s", root, name);
	struct err e = {0};

	ck_assert_msg(file_write_atomic(path, text, strlen(text), 0644, &e) == 0, "%s", e.message);
}

static char *get(const char *name)
{
	cleanup_free char *path = xasprintf("%s/%s", root, name);
	char *text = NULL;
	size_t len;

	ck_assert_int_eq(file_read(path, 65536, &text, &len, NULL), 0);
	return text;
}

static void setup(void)
{
	uid = getuid() ? getuid() : 4321;
	gid = getuid() ? getgid() : 4322;
	strcpy(root, "/tmp/tc-init-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	cleanup_free char *etc = xasprintf("%s/etc", root), *home = xasprintf("%s/home/agent", root);
	ck_assert_int_eq(dir_make(etc, 0755, NULL), 0);
	ck_assert_int_eq(dir_make(home, 0755, NULL), 0);
	put("etc/passwd", PASSWD);
	put("etc/group", GROUP);
	put("etc/shadow", SHADOW);
	put("home/agent/.bashrc", "x\n");
}

static void teardown(void)
{
	tree_remove(root, NULL);
}

START_TEST(a_value_of_the_command_line)
{
	cleanup_free char *a = guest_cmdline_get("quiet root=/dev/vda rw\n", "root");
	cleanup_free char *b = guest_cmdline_get("xroot=1 rootflags=discard root=", "root");
	cleanup_free char *c = guest_cmdline_get("", "root");
	cleanup_free char *d = guest_cmdline_get("a b root", "root");
	cleanup_free char *f = guest_cmdline_get("x=1 last=2\n", "last");

	ck_assert_str_eq(a, "/dev/vda");
	ck_assert_ptr_nonnull(b);
	ck_assert_str_eq(b, "");
	ck_assert_ptr_null(c);
	ck_assert_ptr_null(d);
	ck_assert_str_eq(f, "2");
}
END_TEST

START_TEST(parameters_of_a_module)
{
	const char *line = "quiet virtio_mmio.device=512@0xfeb00000:5 fuse.max=3 virtio-mmio.x=1\n";
	cleanup_free char *a = guest_modules_params(line, "virtio_mmio");
	cleanup_free char *b = guest_modules_params(line, "virtio-mmio");
	cleanup_free char *c = guest_modules_params(line, "virtio");
	cleanup_free char *d = guest_modules_params("", "fuse");

	ck_assert_str_eq(a, "device=512@0xfeb00000:5 x=1");
	ck_assert_str_eq(b, a);
	ck_assert_str_eq(c, "");
	ck_assert_str_eq(d, "");
}
END_TEST

START_TEST(the_user_gets_another_uid_and_his_home)
{
	struct guest_user u = {.name = "agent", .uid = uid, .gid = gid, .home = "/home/agent"};
	cleanup_free char *want = xasprintf("agent:x:%u:%u::/home/agent:/bin/bash\n", uid, gid);
	cleanup_free char *want_group = xasprintf("agent:x:%u:\n", gid);
	cleanup_free char *rc = xasprintf("%s/home/agent/.bashrc", root);
	struct err e = {0};
	struct stat st;

	/* Twice: a machine that starts again is told again. */
	for (int i = 0; i < 2; i++)
		ck_assert_msg(guest_set_user(root, &u, &e) == 0, "%s", e.message);
	cleanup_free char *passwd = get("etc/passwd"), *group = get("etc/group"), *shadow = get("etc/shadow");
	/* Behind root's line, so that the uid's first name is the agent's. */
	ck_assert_ptr_eq(strstr(passwd, want), strchr(passwd, '\n') + 1);
	ck_assert_ptr_null(strstr(passwd, "/bin/sh\n"));
	ck_assert_ptr_nonnull(strstr(passwd, "nobody:x:65534"));
	ck_assert_ptr_eq(strstr(group, want_group), strchr(group, '\n') + 1);
	ck_assert_ptr_nonnull(strstr(shadow, "agent:*:"));
	ck_assert_ptr_null(strstr(shadow, "agent:!:"));
	ck_assert_int_eq(stat(rc, &st), 0);
	ck_assert_uint_eq(st.st_uid, uid);
	ck_assert_uint_eq(st.st_gid, gid);
}
END_TEST

START_TEST(a_user_that_is_new)
{
	struct guest_user u = {.name = "agen", .uid = uid, .gid = gid, .home = "/home/new/er", .shell = "/bin/sh"};
	struct err e = {0};

	ck_assert_msg(guest_set_user(root, &u, &e) == 0, "%s", e.message);
	cleanup_free char *passwd = get("etc/passwd"), *home = xasprintf("%s/home/new/er", root);
	ck_assert_ptr_nonnull(strstr(passwd, "\nagen:x:"));
	ck_assert_ptr_nonnull(strstr(passwd, "\nagent:x:1000:"));
	ck_assert_int_eq(access(home, F_OK), 0);
}
END_TEST

START_TEST(links_in_a_home_are_not_followed)
{
	struct guest_user u = {.name = "agent", .uid = uid, .gid = gid, .home = "/home/agent"};
	cleanup_free char *link = xasprintf("%s/home/agent/out", root);
	cleanup_free char *victim = xasprintf("%s/etc/group", root);
	struct stat before, after;

	ck_assert_int_eq(symlink(victim, link), 0);
	ck_assert_int_eq(guest_set_user(root, &u, NULL), 0);
	ck_assert_int_eq(stat(victim, &before), 0);
	ck_assert_int_eq(lstat(link, &after), 0);
	ck_assert_uint_eq(before.st_uid, getuid());
	ck_assert_uint_eq(after.st_uid, uid);
}
END_TEST

START_TEST(a_user_that_cannot_be_is_refused)
{
	static const struct guest_user bad[] = {
		{.name = "agent", .uid = 0, .gid = 1, .home = "/h"},
		{.name = "agent", .uid = 1, .gid = 0, .home = "/h"},
		{.name = "agent", .uid = (uid_t)-1, .gid = 1, .home = "/h"},
		{.name = "", .uid = 1, .gid = 1, .home = "/h"},
		{.name = "a:b", .uid = 1, .gid = 1, .home = "/h"},
		{.name = "a\nroot", .uid = 1, .gid = 1, .home = "/h"},
		{.name = "agent", .uid = 1, .gid = 1, .home = "h"},
		{.name = "agent", .uid = 1, .gid = 1, .home = "/h:0"},
		{.name = "agent", .uid = 1, .gid = 1, .home = "/h", .shell = "/bin/sh\nx"},
	};
	cleanup_free char *before = get("etc/passwd");

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct err e = {0};
		ck_assert_int_eq(guest_set_user(root, &bad[i], &e), -1);
		ck_assert_int_eq(e.code, ERR_PARAMS);
	}
	cleanup_free char *after = get("etc/passwd");
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(what_cannot_be_a_name_or_entropy_is_refused)
{
	char long_name[GUEST_HOSTNAME_MAX + 2];

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	ck_assert_int_eq(guest_set_hostname("", NULL), -1);
	ck_assert_int_eq(guest_set_hostname("A B", NULL), -1);
	ck_assert_int_eq(guest_set_hostname("a\nb", NULL), -1);
	ck_assert_int_eq(guest_set_hostname(long_name, NULL), -1);
	ck_assert_int_eq(guest_add_entropy("", 0, NULL), -1);
	ck_assert_int_eq(guest_add_entropy(long_name, 100000, NULL), -1);
	ck_assert(!guest_is_init());
}
END_TEST

START_TEST(a_port_that_is_not_there_is_a_timeout)
{
	struct err e = {0};
	int fd = -7;

	ck_assert_int_eq(guest_port_open("tmux-claude.no-such-port", 50, &fd, &e), -1);
	ck_assert_int_eq(e.code, ERR_TIMEOUT);
	ck_assert_int_eq(fd, -7);
}
END_TEST

TEST_MAIN_FIXTURE("guest/init", setup, teardown, a_value_of_the_command_line, parameters_of_a_module,
	the_user_gets_another_uid_and_his_home, a_user_that_is_new, links_in_a_home_are_not_followed,
	a_user_that_cannot_be_is_refused, what_cannot_be_a_name_or_entropy_is_refused,
	a_port_that_is_not_there_is_a_timeout)
