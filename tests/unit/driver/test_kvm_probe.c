/* SPDX-License-Identifier: ISC */
/* The probe's answers, with a script in QEMU's place and a file in the device's. */
#include "daemon/driver/kvm_probe.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/util.h"
#include "tests/unit/run.h"

/* The script's descriptor 5 is the console; see kvm_probe.c. */
#define SAYS_MARK "#!/bin/sh\necho tried >>tried\nprintf 'x\\r\\ntmux-claude-probe: ok\\r\\n' >&5\nexec sleep 60\n"
#define SAYS_WHY "#!/bin/sh\necho tried >>tried\necho first >&2\necho 'error: failed to set MSR 0x10a' >&2\necho last >&2\nexit 1\n"
#define HANGS "#!/bin/sh\necho tried >>tried\nexec sleep 60\n"
#define FLOODS "#!/bin/sh\nexec cat /dev/zero >&5\n"
#define DEADLINE_MS 300

struct answer {
	int count;
	bool works;
	char reason[KVM_REASON_MAX];
	struct loop *loop;
};

static char dir[64];
static struct loop *loop;

static char *at(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void put(const char *name, const char *text, mode_t mode)
{
	struct err e = { 0 };
	cleanup_free char *path = at(name);

	ck_assert_msg(file_write_atomic(path, text, strlen(text), mode, &e) == 0, "%s", e.message);
}

static void setup(void)
{
	strcpy(dir, "/tmp/tc-probe-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	put("kvm", "", 0600);
	put("kernel", "k", 0600);
	put("initrd", "i", 0600);
	loop = loop_create(NULL);
	ck_assert_ptr_nonnull(loop);
}

static void teardown(void)
{
	loop_destroy(loop);
	tree_remove(dir, NULL);
}

static void answer_fn(void *arg, bool works, const char *reason)
{
	struct answer *a = arg;

	a->count++;
	a->works = works;
	snprintf(a->reason, sizeof(a->reason), "%s", reason);
	loop_stop(a->loop);
}

static struct kvm_probe *start(struct answer *a, const char *device)
{
	cleanup_free char *qemu = at("qemu"), *dev = at(device), *kernel = at("kernel");
	cleanup_free char *initrd = at("initrd"), *cache = at("cache");
	struct kvm_probe_spec s = { .qemu = qemu, .device = dev, .kernel = kernel, .initrd = initrd,
		.cache = cache, .deadline_ms = DEADLINE_MS };

	/* The script notes each trial in its own folder, which the probe makes /. */
	*a = (struct answer){ .loop = loop };
	return kvm_probe_start(loop, &s, answer_fn, a);
}

static struct answer probe(const char *device)
{
	struct answer a;
	struct kvm_probe *p = start(&a, device);

	ck_assert_int_eq(a.count, 0);
	loop_run(loop);
	ck_assert_int_eq(a.count, 1);
	kvm_probe_destroy(p);
	/* A killed script is reaped by the loop. */
	loop_turn(loop, 1000);
	return a;
}

static void qemu_is(const char *script)
{
	cleanup_free char *with_dir = NULL;
	const char *rest = strstr(script, "tried\n");

	/* "echo tried >>tried" becomes one with the folder's path. */
	if (rest && (rest = strstr(script, ">>tried")))
		with_dir = xasprintf("%.*s>>%s/tried%s", (int)(rest - script), script, dir,
			rest + strlen(">>tried"));
	put("qemu", with_dir ? with_dir : script, 0700);
}

static size_t trials(void)
{
	cleanup_free char *path = at("tried"), *text = NULL;
	size_t len = 0;

	return file_read(path, 4096, &text, &len, NULL) < 0 ? 0 : len / strlen("tried\n");
}

START_TEST(the_mark_is_yes)
{
	qemu_is(SAYS_MARK);
	struct answer a = probe("kvm");

	ck_assert(a.works);
	ck_assert_str_eq(a.reason, "");
}
END_TEST

START_TEST(an_early_end_is_no_with_its_reason)
{
	qemu_is(SAYS_WHY);
	struct answer a = probe("kvm");

	ck_assert(!a.works);
	ck_assert_ptr_nonnull(strstr(a.reason, "failed to set MSR 0x10a"));
	ck_assert_ptr_null(strstr(a.reason, "first"));
}
END_TEST

START_TEST(a_hang_is_no_at_the_deadline)
{
	int64_t t = clock_mono_ms();

	qemu_is(HANGS);
	struct answer a = probe("kvm");
	ck_assert(!a.works);
	ck_assert_ptr_nonnull(strstr(a.reason, "hangs"));
	ck_assert_int_ge(clock_mono_ms() - t, DEADLINE_MS - 1);
}
END_TEST

START_TEST(endless_output_is_no)
{
	qemu_is(FLOODS);
	struct answer a = probe("kvm");
	ck_assert(!a.works);
	ck_assert_ptr_nonnull(strstr(a.reason, "without end"));
}
END_TEST

START_TEST(an_answer_is_kept_for_this_boot_only)
{
	cleanup_free char *cache = at("cache"), *text = NULL;
	size_t len;

	qemu_is(SAYS_MARK);
	ck_assert(probe("kvm").works);
	ck_assert(probe("kvm").works);
	ck_assert_uint_eq(trials(), 1);

	/* Another boot's answer: its id differs. */
	ck_assert_int_eq(file_read(cache, 4096, &text, &len, NULL), 0);
	text[0] = text[0] == '0' ? '1' : '0';
	put("cache", text, 0600);
	ck_assert(probe("kvm").works);
	ck_assert_uint_eq(trials(), 2);

	put("cache", "rubbish", 0600);
	ck_assert(probe("kvm").works);
	ck_assert_uint_eq(trials(), 3);
}
END_TEST

START_TEST(a_no_is_kept_with_its_reason)
{
	qemu_is(SAYS_WHY);
	struct answer a = probe("kvm"), b = probe("kvm");

	ck_assert(!b.works);
	ck_assert_str_eq(a.reason, b.reason);
	ck_assert_uint_eq(trials(), 1);
}
END_TEST

START_TEST(another_qemu_is_tried_again)
{
	qemu_is(SAYS_WHY);
	ck_assert(!probe("kvm").works);
	qemu_is(SAYS_MARK); /* a new file: a new inode */
	ck_assert(probe("kvm").works);
}
END_TEST

START_TEST(what_is_not_there_is_not_tried_and_not_kept)
{
	cleanup_free char *cache = at("cache");

	qemu_is(SAYS_MARK);
	struct answer a = probe("no-device");
	ck_assert(!a.works);
	ck_assert_ptr_nonnull(strstr(a.reason, "no-device"));
	ck_assert_int_eq(access(cache, F_OK), -1);

	cleanup_free char *qemu = at("qemu");
	unlink(qemu);
	a = probe("kvm");
	ck_assert(!a.works);
	ck_assert_ptr_nonnull(strstr(a.reason, "QEMU is not installed"));
	ck_assert_uint_eq(trials(), 0);
}
END_TEST

START_TEST(destroyed_early_it_says_nothing)
{
	struct answer a;

	qemu_is(HANGS);
	kvm_probe_destroy(start(&a, "kvm"));
	loop_turn(loop, 5000); /* the script's end */
	ck_assert_int_eq(a.count, 0);
	kvm_probe_destroy(NULL);
}
END_TEST

TEST_MAIN_FIXTURE("driver/kvm_probe", setup, teardown, the_mark_is_yes,
	an_early_end_is_no_with_its_reason, a_hang_is_no_at_the_deadline, endless_output_is_no,
	an_answer_is_kept_for_this_boot_only, a_no_is_kept_with_its_reason, another_qemu_is_tried_again,
	what_is_not_there_is_not_tried_and_not_kept, destroyed_early_it_says_nothing)
