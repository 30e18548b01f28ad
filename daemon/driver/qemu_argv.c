/* SPDX-License-Identifier: ISC */
/* The command line of QEMU for a place. docs/vm.md has the measurements behind each choice. */
#include "daemon/driver/qemu_argv.h"

#include <ctype.h>

#include "base/util.h"

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
/* Translated code, MiB: a third of a gigabyte after some runs of Claude Code; QEMU would take one. */
#define TCG_CODE_MIB "512"
#define KERNEL_HZ 250 /* of Debian's and Ubuntu's kernels */

/* Descriptor sets: "file" block nodes name them /dev/fdset/N. */
enum { SET_OVERLAY = 1, SET_BASE = 2 };

static int check_fd(int fd, const char *what, struct err *e)
{
	/* QEMU refuses -add-fd for standard descriptors. */
	if (fd <= STDERR_FILENO)
		return err_set(e, ERR_INTERNAL, "QEMU cannot be given descriptor %d as its %s", fd, what);
	return 0;
}

static int check_spec(const struct qemu_spec *s, struct err *e)
{
	if (s->cpus < 1 || s->cpus > QEMU_CPUS_MAX)
		return err_set(e, ERR_PARAMS, "a VM has between 1 and %d CPUs, not %u", QEMU_CPUS_MAX,
			s->cpus);
	if (s->memory_mib < QEMU_MEMORY_MIN_MIB || s->memory_mib > 1024 * 1024)
		return err_set(e, ERR_PARAMS, "a VM has between %d and %d MiB of memory, not %llu",
			QEMU_MEMORY_MIN_MIB, 1024 * 1024, (unsigned long long)s->memory_mib);
	if (strcmp(s->base_format, "qcow2") != 0 && strcmp(s->base_format, "raw") != 0)
		return err_set(e, ERR_PARAMS, "a template's disk is qcow2 or raw, not '%s'",
			s->base_format);
	for (const char *p = s->name; *p; p++)
		if (!isalnum((unsigned char)*p))
			return err_set(e, ERR_INTERNAL, "'%s' cannot be a place's name", s->name);
	if (check_fd(s->kernel_fd, "kernel", e) < 0 || check_fd(s->initrd_fd, "ram disk", e) < 0 ||
		((s->console_fd != -1 || s->probe) && check_fd(s->console_fd, "console", e) < 0))
		return -1;
	if (s->probe)
		return 0;
	if (check_fd(s->overlay_fd, "disk", e) < 0 || check_fd(s->base_fd, "base disk", e) < 0 ||
		check_fd(s->link_fd, "link", e) < 0 || check_fd(s->qmp_fd, "QMP socket", e) < 0)
		return -1;
	return 0;
}

static void add(char ***v, const char *option, const char *value)
{
	strv_push(v, option);
	if (value)
		strv_push(v, value);
}

static void add_kernel(char ***v, const struct qemu_spec *s)
{
	cleanup_free char *tsc = xstrdup("");

	/*
	 * TCG's machine has no timer that the counter could be measured against reliably, so it is
	 * told (without: 4 boots of 28 hung at "could not calculate TSC khz"). tsc=reliable: with two
	 * CPUs the kernel distrusts the counter, and is left with jiffies as its clock and 4 ms timers.
	 */
	if (s->accel == QEMU_TCG && s->tsc_khz) {
		free(tsc);
		tsc = xasprintf(" tsc=reliable tsc_early_khz=%u lpj=%llu", s->tsc_khz,
			s->tsc_khz * 1000ULL / KERNEL_HZ);
	}
	strv_push(v, "-kernel");
	strv_pushf(v, "/proc/self/fd/%d", s->kernel_fd);
	strv_push(v, "-initrd");
	strv_pushf(v, "/proc/self/fd/%d", s->initrd_fd);
	strv_push(v, "-append");
	/* panic=-1 with -no-reboot: a panic ends QEMU. cryptomgr.notests: 0.4 s of a TCG boot. */
	strv_pushf(v,
		"%sroot=/dev/vda rootflags=discard quiet loglevel=3 panic=-1 random.trust_cpu=on "
		"cryptomgr.notests%s%s%s%s",
		s->console_fd >= 0 ? "console=ttyS0 " : "", tsc,
		s->probe ? " " QEMU_PROBE_ARG "=1" : "", s->append ? " " : "",
		s->append ? s->append : "");
}

static void add_disk(char ***v, const struct qemu_spec *s)
{
	strv_push(v, "-add-fd");
	strv_pushf(v, "fd=%d,set=%d", s->overlay_fd, SET_OVERLAY);
	strv_push(v, "-add-fd");
	strv_pushf(v, "fd=%d,set=%d", s->base_fd, SET_BASE);
	strv_push(v, "-blockdev");
	/* The backing file is given, not read from the overlay: QEMU opens no path of a guest's choice. */
	strv_pushf(v,
		"{\"driver\":\"qcow2\",\"node-name\":\"disk\",\"discard\":\"unmap\","
		"\"file\":{\"driver\":\"file\",\"filename\":\"/dev/fdset/%d\",\"discard\":\"unmap\"},"
		"\"backing\":{\"driver\":\"%s\",\"read-only\":true,"
		"\"file\":{\"driver\":\"file\",\"filename\":\"/dev/fdset/%d\",\"read-only\":true}}}",
		SET_OVERLAY, s->base_format, SET_BASE);
	add(v, "-device", "virtio-blk-device,drive=disk");
}

static void add_socket(char ***v, const char *id, int fd)
{
	strv_push(v, "-chardev");
	strv_pushf(v, "socket,id=%s,fd=%d,server=on,wait=off", id, fd);
}

/* The machine itself: what a place and a probe have in common. */
static char **argv_base(const struct qemu_spec *s)
{
	char **v = strv_new();

	strv_push(&v, s->program ? s->program : "qemu-system-x86_64");
	strv_push(&v, "-name");
	strv_pushf(&v, "tmux-claude-%s", s->name);
	add(&v, "-nodefaults", NULL);
	add(&v, "-no-user-config", NULL);
	add(&v, "-no-reboot", NULL);
	add(&v, "-display", "none");
	add(&v, "-sandbox", SANDBOX);
	add(&v, "-machine", "microvm,acpi=on,rtc=on,pit=off,pic=off,x-option-roms=off");
	add(&v, "-accel", s->accel == QEMU_KVM ? "kvm" : "tcg,thread=multi,tb-size=" TCG_CODE_MIB);
	add(&v, "-cpu", s->accel == QEMU_KVM ? "host" : "max");
	strv_push(&v, "-smp");
	strv_pushf(&v, "%u", s->cpus);
	strv_push(&v, "-m");
	strv_pushf(&v, "%lluM", (unsigned long long)s->memory_mib);
	add(&v, "-nic", "none");
	add_kernel(&v, s);
	return v;
}

int qemu_argv(const struct qemu_spec *s, char ***ret, struct err *e)
{
	char **v;

	if (check_spec(s, e) < 0)
		return -1;
	v = argv_base(s);
	if (s->probe) {
		strv_push(&v, "-chardev");
		strv_pushf(&v, "socket,id=console,fd=%d", s->console_fd);
		add(&v, "-serial", "chardev:console");
		*ret = v;
		return 0;
	}
	add_disk(&v, s);
	add(&v, "-device", "virtio-rng-device");
	if (s->console_fd >= 0) {
		add_socket(&v, "console", s->console_fd);
		add(&v, "-serial", "chardev:console");
	}
	add_socket(&v, "link", s->link_fd);
	add(&v, "-device", "virtio-serial-device,max_ports=4");
	add(&v, "-device", "virtserialport,chardev=link,name=" QEMU_LINK_PORT);
	add_socket(&v, "qmp", s->qmp_fd);
	add(&v, "-mon", "chardev=qmp,mode=control");
	*ret = v;
	return 0;
}
