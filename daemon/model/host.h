/* SPDX-License-Identifier: ISC */
/* What a start takes of the host, and what the host has left: plain data, for admission. */
#ifndef DAEMON_MODEL_HOST_H
#define DAEMON_MODEL_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* What one start takes until it stands. All zero: nothing that is counted. */
struct start_need {
	int64_t weight;     /* of its work: see START_WEIGHT_CORE */
	int64_t memory_mib; /* that it may come to use */
	int64_t disk_mib;   /* in the state folder */
	int64_t ptys;
	int64_t fds;   /* of the daemon's own */
	int64_t files; /* open files of the whole system */
	int64_t tasks; /* processes and threads */
};

#define START_WEIGHT_CORE 8 /* this much is under way at once for each processor */

/* What is left of the host; -1 where it is not known, which is taken for enough. */
struct host_room {
	int64_t memory_mib, memory_total_mib; /* of the machine or of our control group, whichever is less */
	bool memory_group;                    /* it is the control group's */
	int64_t disk_mib;
	int64_t ptys, fds, files, tasks;
	int64_t stall; /* of the last 10 s some task waited for memory: hundredths of a percent */
};

/* What an instance uses of the memory. */
struct memory_use {
	char id[8]; /* an instance's */
	int64_t mib;
};

#endif
