/* SPDX-License-Identifier: ISC */
/* What the host has left, read from trees that were made for it, sensible and odd ones. */
#include "daemon/world/host.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/util.h"
#include "tests/unit/run.h"

static char root[64];

static void setup(void)
{
	strcpy(root, "/tmp/tc-host-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown(void)
{
	tree_remove(root, NULL);
}

static void put(const char *path, const char *text)
{
	cleanup_free char *name = xasprintf("%s%s", root, path);
	char *slash = strrchr(name, '/');

	*slash = '\0';
	ck_assert_int_eq(dir_make(name, 0700, NULL), 0);
	*slash = '/';
	ck_assert_int_eq(file_replace(name, text, strlen(text), 0600, NULL), 0);
}

static struct host_room measure(void)
{
	struct host_room h;

	host_measure(root, root, &h);
	return h;
}

START_TEST(words_are_numbers_or_unknown)
{
	ck_assert_int_eq(host_word("123\n", 0), 123);
	ck_assert_int_eq(host_word("  7 8\t9\n", 2), 9);
	ck_assert_int_eq(host_word("max\n", 0), -1);
	ck_assert_int_eq(host_word("unlimited", 0), -1);
	ck_assert_int_eq(host_word("", 0), -1);
	ck_assert_int_eq(host_word("1", 1), -1);
	ck_assert_int_eq(host_word("12x", 0), -1);
	ck_assert_int_eq(host_word("-5", 0), -1);
	ck_assert(host_word("99999999999999999999999999", 0) == INT64_MAX);
	ck_assert(host_word("9223372036854775807", 0) == INT64_MAX);
}
END_TEST

START_TEST(fields_stand_at_the_beginning_of_a_line)
{
	const char *text = "MemTotal:       100 kB\nXMemAvailable: 5 kB\nMemAvailable:\t42 kB\ninactive_file 7\n";

	ck_assert_int_eq(host_field(text, "MemAvailable:"), 42);
	ck_assert_int_eq(host_field(text, "inactive_file"), 7);
	ck_assert_int_eq(host_field(text, "inactive"), -1);
	ck_assert_int_eq(host_field(text, "Swap:"), -1);
	ck_assert_int_eq(host_field("MemAvailable: lots kB\n", "MemAvailable:"), -1);
	ck_assert_int_eq(host_field("MemAvailable:", "MemAvailable:"), -1);
	ck_assert_int_eq(host_field("", "MemAvailable:"), -1);
}
END_TEST

START_TEST(stalls_are_hundredths)
{
	ck_assert_int_eq(host_stall("some avg10=12.34 avg60=0.00 avg300=0.00 total=1\nfull avg10=99.00\n"), 1234);
	ck_assert_int_eq(host_stall("full avg10=99.00\nsome avg10=0.07 avg60=1\n"), 7);
	ck_assert_int_eq(host_stall("some avg10=100.00 "), 10000);
	ck_assert_int_eq(host_stall("some avg10=7"), 700);
	ck_assert_int_eq(host_stall("some avg10=1234.00"), -1);
	ck_assert_int_eq(host_stall("some avg10=1.x0"), -1);
	ck_assert_int_eq(host_stall("some avg10=1."), -1);
	ck_assert_int_eq(host_stall("some avg10="), -1);
	ck_assert_int_eq(host_stall("some"), -1);
	ck_assert_int_eq(host_stall(""), -1);
}
END_TEST

START_TEST(limits_and_threads)
{
	const char *limits = "Limit                     Soft Limit           Hard Limit           Units\n"
			     "Max processes             96343                96343                processes\n"
			     "Max open files            unlimited            20000                files\n";

	ck_assert_int_eq(host_limit(limits, "Max processes"), 96343);
	ck_assert_int_eq(host_limit(limits, "Max open files"), -1);
	ck_assert_int_eq(host_limit(limits, "Max open"), -1);
	ck_assert_int_eq(host_limit("", "Max processes"), -1);
	ck_assert_int_eq(host_threads("0.52 0.58 0.59 2/345 6789\n"), 345);
	ck_assert_int_eq(host_threads("0.52 0.58"), -1);
	ck_assert_int_eq(host_threads("1/x"), -1);
}
END_TEST

START_TEST(control_groups_of_both_versions)
{
	const char *hybrid = "12:cpu,cpuacct:/a\n4:memory:/box/one\n1:name=systemd:/s\n0::/unified\n";
	char *path;

	path = host_cgroup(hybrid, "memory");
	ck_assert_str_eq(path, "/box/one");
	free(path);
	path = host_cgroup(hybrid, "cpuacct");
	ck_assert_str_eq(path, "/a");
	free(path);
	path = host_cgroup(hybrid, "");
	ck_assert_str_eq(path, "/unified");
	free(path);
	ck_assert_ptr_null(host_cgroup(hybrid, "cpus"));
	ck_assert_ptr_null(host_cgroup(hybrid, "pids"));
	ck_assert_ptr_null(host_cgroup("garbage\n\n4:memory\n4:memory:nowhere\n", "memory"));
	ck_assert_ptr_null(host_cgroup("", ""));
}
END_TEST

START_TEST(nothing_there_is_nothing_known)
{
	struct host_room h = measure();

	ck_assert_int_eq(h.memory_mib, -1);
	ck_assert_int_eq(h.memory_total_mib, -1);
	ck_assert_int_eq(h.ptys, -1);
	ck_assert_int_eq(h.fds, -1);
	ck_assert_int_eq(h.files, -1);
	ck_assert_int_eq(h.tasks, -1);
	ck_assert_int_eq(h.stall, -1);
	ck_assert_int_ge(h.disk_mib, 0);
	ck_assert_int_ge(host_cores(root), 1);
	host_measure(root, "/nowhere/at/all", &h);
	ck_assert_int_eq(h.disk_mib, -1);
}
END_TEST

START_TEST(garbage_is_nothing_known)
{
	struct host_room h;
	char zeros[64];
	cleanup_free char *name = xasprintf("%s/proc/pressure/memory", root);

	put("/proc/meminfo", "\x01\xff no memory here");
	put("/proc/self/cgroup", ":::::\n0::relative\n");
	put("/proc/self/limits", "Max");
	put("/proc/loadavg", "/");
	put("/proc/sys/kernel/pty/max", "");
	put("/proc/sys/kernel/pty/nr", "-1");
	put("/proc/sys/fs/file-nr", "a b c");
	put("/proc/pressure/memory", "");
	memset(zeros, 0, sizeof(zeros));
	ck_assert_int_eq(file_replace(name, zeros, sizeof(zeros), 0600, NULL), 0);
	h = measure();
	ck_assert_int_eq(h.memory_mib, -1);
	ck_assert_int_eq(h.ptys, -1);
	ck_assert_int_eq(h.files, -1);
	ck_assert_int_eq(h.tasks, -1);
	ck_assert_int_eq(h.stall, -1);
}
END_TEST

static void machine(void)
{
	put("/proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n");
}

START_TEST(a_machine_of_its_own)
{
	struct host_room h;

	machine();
	put("/proc/sys/kernel/pty/max", "4096\n");
	put("/proc/sys/kernel/pty/nr", "4090\n");
	put("/proc/sys/fs/file-nr", "1000\t0\t9223372036854775807\n");
	put("/proc/sys/fs/file-max", "9223372036854775807\n");
	put("/proc/loadavg", "0 0 0 1/500 1\n");
	put("/proc/sys/kernel/pid_max", "4194304\n");
	put("/proc/sys/kernel/threads-max", "1500\n");
	put("/proc/self/limits", "Max open files            100                  100                  files\n");
	put("/proc/self/fd/0", "");
	put("/proc/self/fd/1", "");
	put("/proc/pressure/memory", "some avg10=3.00 avg60=0 avg300=0 total=0\n");
	h = measure();
	ck_assert_int_eq(h.memory_mib, 4096);
	ck_assert_int_eq(h.memory_total_mib, 8192);
	ck_assert(!h.memory_group);
	ck_assert_int_eq(h.ptys, 6);
	ck_assert(h.files == INT64_MAX - 1000);
	ck_assert_int_eq(h.tasks, 1000);
	ck_assert_int_eq(h.fds, 98);
	ck_assert_int_eq(h.stall, 300);
	put("/proc/sys/kernel/pty/nr", "5000\n"); /* more than there may be: none is left */
	ck_assert_int_eq(measure().ptys, 0);
}
END_TEST

START_TEST(a_group_of_version_2_and_those_above_it)
{
	struct host_room h;

	machine();
	put("/proc/self/cgroup", "0::/box/inner\n");
	put("/sys/fs/cgroup/box/inner/memory.max", "max\n");
	put("/sys/fs/cgroup/box/inner/memory.current", "1\n");
	put("/sys/fs/cgroup/box/memory.max", "1073741824\n");
	put("/sys/fs/cgroup/box/memory.current", "805306368\n");
	put("/sys/fs/cgroup/box/memory.stat", "anon 1\ninactive_file 268435456\n");
	put("/sys/fs/cgroup/box/inner/pids.max", "50\n");
	put("/sys/fs/cgroup/box/inner/pids.current", "20\n");
	put("/sys/fs/cgroup/box/inner/cpu.max", "150000 100000\n");
	h = measure();
	ck_assert_int_eq(h.memory_mib, 512); /* what it uses, without the cache that can go */
	ck_assert_int_eq(h.memory_total_mib, 1024);
	ck_assert(h.memory_group);
	ck_assert_int_eq(h.tasks, 30);
	ck_assert_int_le(host_cores(root), 2);
	put("/sys/fs/cgroup/box/memory.max", "99999999999999\n"); /* wider than the machine */
	h = measure();
	ck_assert_int_eq(h.memory_mib, 4096);
	ck_assert_int_eq(h.memory_total_mib, 8192);
	ck_assert(!h.memory_group);
	put("/sys/fs/cgroup/box/inner/cpu.max", "max 100000\n");
	ck_assert_int_ge(host_cores(root), 1);
}
END_TEST

START_TEST(a_group_of_version_1)
{
	struct host_room h;

	machine();
	put("/proc/self/cgroup", "4:memory:/box\n8:pids:/\n0::/\n");
	put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
	put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "2073741824\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* its way to say none */
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
	put("/sys/fs/cgroup/pids/pids.max", "max\n");
	h = measure();
	ck_assert_int_eq(h.memory_mib, 0);
	ck_assert(h.memory_group);
	ck_assert_int_eq(h.tasks, -1);
}
END_TEST

/* Inside a container the path may be the host's: what is mounted is the container's own group. */
START_TEST(a_group_whose_path_is_the_hosts)
{
	machine();
	put("/proc/self/cgroup", "4:memory:/docker/0123abcd\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "268435456\n");
	ck_assert_int_eq(measure().memory_mib, 256);
}
END_TEST

START_TEST(this_machine_makes_sense)
{
	struct host_room h;

	host_measure("", "/tmp", &h);
	ck_assert_int_ge(h.memory_mib, 0);
	ck_assert_int_ge(h.memory_total_mib, h.memory_mib);
	ck_assert_int_gt(h.fds, 0);
	ck_assert_int_ne(h.tasks, 0);
	ck_assert_int_ge(h.disk_mib, 0);
}
END_TEST

static void told(void *arg)
{
	(*(int *)arg)++;
}

/* The kernel's own file is watched where it allows that; one of a tree is never written to. */
START_TEST(a_watch_is_had_or_not_and_files_stay_as_they_are)
{
	struct loop *l = loop_create(NULL);
	cleanup_free char *name = xasprintf("%s/proc/pressure/memory", root), *text = NULL;
	struct host_watch *w;
	int n = 0;

	put("/proc/pressure/memory", "some avg10=0.00\n");
	ck_assert_ptr_null(host_watch_create(l, root, 20, told, &n));
	ck_assert_int_eq(file_read(name, 100, &text, NULL, NULL), 0);
	ck_assert_str_eq(text, "some avg10=0.00\n");
	ck_assert_ptr_null(host_watch_create(l, "", 0, told, &n));
	w = host_watch_create(l, "", 99, told, &n);
	if (w)
		loop_turn(l, 10);
	host_watch_free(w);
	host_watch_free(NULL);
	loop_destroy(l);
}
END_TEST

TEST_MAIN_FIXTURE("world/host", setup, teardown, words_are_numbers_or_unknown,
	fields_stand_at_the_beginning_of_a_line, stalls_are_hundredths, limits_and_threads,
	control_groups_of_both_versions, nothing_there_is_nothing_known, garbage_is_nothing_known,
	a_machine_of_its_own, a_group_of_version_2_and_those_above_it, a_group_of_version_1,
	a_group_whose_path_is_the_hosts, this_machine_makes_sense,
	a_watch_is_had_or_not_and_files_stay_as_they_are)
