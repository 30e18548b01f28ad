/* SPDX-License-Identifier: ISC */
/* How fast the host's time stamp counter runs: a TCG guest reads it and cannot measure it. */
#include "daemon/driver/qemu_argv.h"

#include <time.h>

#define MEASURE_NS 5000000

#if defined(__x86_64__)
#include <x86intrin.h>

struct sample {
	uint64_t ns, tsc;
};

static struct sample sample_take(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (struct sample){ (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec, __rdtsc() };
}

/* Asking processor or hypervisor is not enough: many answer nothing, or the nominal rate. An error of
 * 100 ns in 5 ms is 20 ppm, and is only the drift of a clock that the daemon sets. */
unsigned host_tsc_khz(void)
{
	static unsigned khz;

	if (!khz) {
		struct sample a = sample_take(), b;

		do
			b = sample_take();
		while (b.ns - a.ns < MEASURE_NS);
		khz = (unsigned)((b.tsc - a.tsc) * 1000000 / (b.ns - a.ns));
	}
	return khz;
}
#else
unsigned host_tsc_khz(void)
{
	return 0;
}
#endif
