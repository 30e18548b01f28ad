/* SPDX-License-Identifier: ISC */
/* Landlock by system calls: libc has no wrappers, and Debian 12's headers end at version 2. */
#include "place/files/sandbox.h"

#include <errno.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/util.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#define RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

/* Bits 0 to 12 came with version 1; refer (13) with 2, truncate (14) with 3, ioctl_dev (15) with 5. */
#define FS_READ_FILE (1u << 2)
#define FS_READ_DIR (1u << 3)
#define FS_V1 0x1fffu
#define FS_REFER (1u << 13)
#define FS_TRUNCATE (1u << 14)
#define FS_IOCTL_DEV (1u << 15)
#define FS_EXECUTE (1u << 0)
#define FS_MAKE_CHAR (1u << 6)
#define FS_MAKE_BLOCK (1u << 11)
#define FS_MAKE_SOCK (1u << 9)
#define FS_MAKE_FIFO (1u << 10)
#define NET_ALL 3u /* bind and connect TCP: version 4 */

struct ruleset_attr {
	uint64_t fs, net;
};

struct __attribute__((packed)) path_attr {
	uint64_t allowed;
	int32_t fd;
};

int sandbox_enter(int fd, bool read_only, const char **what, struct err *e)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
	*what = "";
	/* Version 1 forbids renames between folders altogether: not usable for a file server. */
	if (abi < 2) {
		*what = abi < 0 ? "the kernel has no Landlock, or it is switched off"
				: "the kernel's Landlock is of version 1";
		return 0;
	}
	struct ruleset_attr attr = {.fs = FS_V1 | FS_REFER};
	attr.fs |= abi >= 3 ? FS_TRUNCATE : 0;
	attr.fs |= abi >= 5 ? FS_IOCTL_DEV : 0;
	attr.net = abi >= 4 ? NET_ALL : 0;
	uint64_t allowed = attr.fs & ~(uint64_t)(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK |
						 FS_MAKE_SOCK | FS_MAKE_FIFO | FS_IOCTL_DEV);
	if (read_only)
		allowed = FS_READ_FILE | FS_READ_DIR;
	size_t size = abi >= 4 ? sizeof(attr) : sizeof(attr.fs);
	cleanup_close int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	struct path_attr path = {.allowed = allowed, .fd = fd};
	if (rules < 0 ||
		syscall(SYS_landlock_add_rule, rules, RULE_PATH_BENEATH, &path, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return err_set_errno(e, ERR_FAILED, errno, "cannot enter the Landlock sandbox");
	return 1;
}
