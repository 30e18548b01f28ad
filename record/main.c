/* SPDX-License-Identifier: ISC */
/* tmux-claude-pack: packs one closed segment of a recording, for the shim, in nobody's way. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/util.h"
#include "record/pack.h"

#define FOLDER_FD 3
#define DEADLINE_S 900 /* a disk that hangs must not collect packers */
#define IOPRIO_IDLE (3 << 13)

static int usage(void)
{
	fputs("usage: tmux-claude-pack DIR|- START\n"
	      "Compresses the segment term.START.rec of the recording in DIR (-: the folder open as descriptor 3),\n"
	      "which nothing appends to any more. Run again after a crash, it does what is left to do.\n",
		stderr);
	return 2;
}

/* Behind everything else that wants the processor or the disk. */
static void step_back(void)
{
	struct sched_param none = {0};
	int ignored = nice(19);

	(void)ignored;
	sched_setscheduler(0, SCHED_BATCH, &none);
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
	alarm(DEADLINE_S);
}

int main(int argc, char **argv)
{
	struct err e = {0};
	int64_t start;
	int dir;

	if (argc != 3 || str_to_i64(argv[2], 0, INT64_MAX, &start) < 0)
		return usage();
	log_open("pack", LOG_LEVEL_INFO);
	prctl(PR_SET_NAME, "tmux-claude-pac"); /* it was started by a descriptor */
	step_back();
	dir = strcmp(argv[1], "-") == 0 ? FOLDER_FD : open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		err_set_errno(&e, ERR_NOT_FOUND, errno, "cannot open the recording %s", argv[1]);
	else if (pack_segment(dir, (uint64_t)start, &e) == 0)
		return 0;
	log_warn("pack", NULL, "%s", e.message);
	return 1;
}
