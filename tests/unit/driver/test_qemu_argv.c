/* SPDX-License-Identifier: ISC */
/* QEMU's command line: what isolates a place is there, and what cannot run is refused. */
#include "daemon/driver/qemu_argv.h"

#include "base/util.h"
#include "tests/unit/run.h"

static struct qemu_spec spec(void)
{
	return (struct qemu_spec){ .name = "k3x9qa",
		.accel = QEMU_TCG,
		.cpus = 2,
		.memory_mib = 2048,
		.tsc_khz = 2445426,
		.kernel_fd = 10,
		.initrd_fd = 11,
		.overlay_fd = 12,
		.base_fd = 13,
		.base_format = "qcow2",
		.console_fd = 14,
		.link_fd = 15,
		.qmp_fd = 16 };
}

static char **argv_of(const struct qemu_spec *s)
{
	struct err e = { 0 };
	char **v = NULL;

	ck_assert_msg(qemu_argv(s, &v, &e) == 0, "%s", e.message);
	ck_assert_ptr_nonnull(v);
	return v;
}

/* The value of the n-th occurrence of an option; NULL when there is none. */
static const char *value(char **v, const char *option, int n)
{
	for (; *v; v++)
		if (strcmp(*v, option) == 0 && n-- == 0)
			return v[1];
	return NULL;
}

static bool has_value(char **v, const char *option, const char *want)
{
	const char *got;

	for (int n = 0; (got = value(v, option, n)); n++)
		if (strcmp(got, want) == 0)
			return true;
	return false;
}

static bool has(char **v, const char *word)
{
	for (; *v; v++)
		if (strcmp(*v, word) == 0)
			return true;
	return false;
}

static void refused(const struct qemu_spec *s, enum err_code code, const char *word)
{
	char **v = (char **)0x1;
	struct err e = { 0 };

	ck_assert_int_eq(qemu_argv(s, &v, &e), -1);
	ck_assert_int_eq(e.code, code);
	ck_assert_msg(strstr(e.message, word) != NULL, "%s", e.message);
	ck_assert_ptr_eq(v, (char **)0x1);
}

START_TEST(a_place_is_shut_in)
{
	struct qemu_spec s = spec();
	char **v = argv_of(&s);

	ck_assert_str_eq(v[0], "qemu-system-x86_64");
	ck_assert_str_eq(value(v, "-sandbox", 0),
		"on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
	ck_assert_str_eq(value(v, "-nic", 0), "none");
	ck_assert(has(v, "-nodefaults"));
	ck_assert(has(v, "-no-user-config"));
	ck_assert(has(v, "-no-reboot"));
	ck_assert(!has(v, "-netdev"));
	for (char **p = v; *p; p++)
		ck_assert_msg(!strstr(*p, "virtio-net"), "%s", *p);
	strv_free(v);
}
END_TEST

START_TEST(images_and_sockets_are_descriptors)
{
	struct qemu_spec s = spec();
	char **v = argv_of(&s);

	ck_assert_str_eq(value(v, "-kernel", 0), "/proc/self/fd/10");
	ck_assert_str_eq(value(v, "-initrd", 0), "/proc/self/fd/11");
	ck_assert_str_eq(value(v, "-add-fd", 0), "fd=12,set=1");
	ck_assert_str_eq(value(v, "-add-fd", 1), "fd=13,set=2");
	ck_assert_ptr_null(value(v, "-add-fd", 2));
	ck_assert(has_value(v, "-chardev", "socket,id=console,fd=14,server=on,wait=off"));
	ck_assert(has_value(v, "-chardev", "socket,id=link,fd=15,server=on,wait=off"));
	ck_assert(has_value(v, "-chardev", "socket,id=qmp,fd=16,server=on,wait=off"));
	ck_assert(has_value(v, "-device", "virtserialport,chardev=link,name=tmux-claude.link"));
	ck_assert(has_value(v, "-name", "tmux-claude-k3x9qa"));
	ck_assert_ptr_nonnull(strstr(value(v, "-blockdev", 0), "\"backing\":{\"driver\":\"qcow2\""));
	strv_free(v);

	s.base_format = "raw";
	v = argv_of(&s);
	ck_assert_ptr_nonnull(strstr(value(v, "-blockdev", 0), "\"backing\":{\"driver\":\"raw\""));
	strv_free(v);
}
END_TEST

START_TEST(tcg_gets_the_counter_and_kvm_does_not)
{
	struct qemu_spec s = spec();
	char **v = argv_of(&s);
	const char *line = value(v, "-append", 0);

	ck_assert_str_eq(value(v, "-accel", 0), "tcg,thread=multi,tb-size=512");
	ck_assert_str_eq(value(v, "-cpu", 0), "max");
	ck_assert_str_eq(value(v, "-smp", 0), "2");
	ck_assert_str_eq(value(v, "-m", 0), "2048M");
	ck_assert_ptr_nonnull(strstr(line, " tsc=reliable tsc_early_khz=2445426 lpj=9781704"));
	strv_free(v);

	s.tsc_khz = 0;
	v = argv_of(&s);
	ck_assert_ptr_null(strstr(value(v, "-append", 0), "tsc"));
	strv_free(v);

	s = spec();
	s.accel = QEMU_KVM;
	v = argv_of(&s);
	ck_assert_str_eq(value(v, "-accel", 0), "kvm");
	ck_assert_str_eq(value(v, "-cpu", 0), "host");
	ck_assert_ptr_null(strstr(value(v, "-append", 0), "tsc"));
	strv_free(v);
}
END_TEST

START_TEST(no_console_and_more_for_the_kernel)
{
	struct qemu_spec s = spec();
	char **v;

	s.console_fd = -1;
	s.append = "tmux_claude.test=1";
	s.program = "/opt/qemu";
	v = argv_of(&s);
	ck_assert_str_eq(v[0], "/opt/qemu");
	ck_assert(!has(v, "-serial"));
	ck_assert_ptr_null(strstr(value(v, "-append", 0), "console="));
	ck_assert_ptr_nonnull(strstr(value(v, "-append", 0), " tmux_claude.test=1"));
	strv_free(v);
}
END_TEST

START_TEST(what_cannot_run_is_refused)
{
	struct qemu_spec s = spec();

	s.cpus = 0;
	refused(&s, ERR_PARAMS, "CPUs");
	s.cpus = QEMU_CPUS_MAX + 1;
	refused(&s, ERR_PARAMS, "CPUs");
	s = spec();
	s.memory_mib = QEMU_MEMORY_MIN_MIB - 1;
	refused(&s, ERR_PARAMS, "memory");
	s = spec();
	s.base_format = "vmdk\",\"x";
	refused(&s, ERR_PARAMS, "qcow2 or raw");
	s = spec();
	s.name = "a,b";
	refused(&s, ERR_INTERNAL, "name");
	s = spec();
	s.overlay_fd = 2;
	refused(&s, ERR_INTERNAL, "disk");
	s = spec();
	s.console_fd = 0;
	refused(&s, ERR_INTERNAL, "console");
}
END_TEST

START_TEST(the_counter_is_measured)
{
	unsigned khz = host_tsc_khz();

#if defined(__x86_64__)
	ck_assert_uint_gt(khz, 100000);
	ck_assert_uint_lt(khz, 20000000);
#endif
	ck_assert_uint_eq(khz, host_tsc_khz());
}
END_TEST

TEST_MAIN("driver/qemu_argv", a_place_is_shut_in, images_and_sockets_are_descriptors,
	tcg_gets_the_counter_and_kvm_does_not, no_console_and_more_for_the_kernel,
	what_cannot_run_is_refused, the_counter_is_measured)
