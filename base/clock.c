/* SPDX-License-Identifier: ISC */
/* Reads the kernel's clocks, or the test's. */
#include "base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t (*mono_source)(void);
static int64_t (*wall_source)(void);

static int64_t read_us(clockid_t id)
{
	struct timespec ts = {0};
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
	return mono_source ? mono_source() : read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_boot_ms(void)
{
	return mono_source ? mono_source() : read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_mono_us(void)
{
	return mono_source ? mono_source() * 1000 : read_us(CLOCK_MONOTONIC);
}

#ifdef TC_FAULT_POINTS
/* What a test says the clock is set wrong by: a file of milliseconds, read each time. */
static int64_t set_wrong(void)
{
	static int fd = -2;
	const char *path = fd == -2 ? getenv("TMUX_CLAUDE_FAULT_CLOCK") : NULL;
	char text[24] = "";

	if (fd == -2)
		fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtoll(text, NULL, 10) : 0;
}
#else
static int64_t set_wrong(void)
{
	return 0;
}
#endif

int64_t clock_wall_ms(void)
{
	return wall_source ? wall_source() : read_us(CLOCK_REALTIME) / 1000 + set_wrong();
}

void clock_set_source(int64_t (*mono)(void), int64_t (*wall)(void))
{
	mono_source = mono;
	wall_source = wall;
}

/* Digits by hand: a list of a thousand instances has two thousand times. */
static void digits(char *at, int n, int width)
{
	while (width-- > 0) {
		at[width] = (char)('0' + n % 10);
		n /= 10;
	}
}

char *clock_iso(int64_t wall_ms, char out[CLOCK_ISO_MAX])
{
	/* Floor division, so that times before 1970 have a positive remainder. */
	int64_t sec = wall_ms / 1000, ms = wall_ms % 1000;
	if (ms < 0) {
		ms += 1000;
		sec--;
	}
	time_t t = (time_t)sec;
	struct tm tm;
	/* Years beyond four digits do not fit the format; they mean a broken clock. */
	if (!gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900 || tm.tm_year < -1900) {
		snprintf(out, CLOCK_ISO_MAX, "0000-00-00T00:00:00.000Z");
		return out;
	}
	memcpy(out, "0000-00-00T00:00:00.000Z", sizeof("0000-00-00T00:00:00.000Z"));
	digits(out, tm.tm_year + 1900, 4);
	digits(out + 5, tm.tm_mon + 1, 2);
	digits(out + 8, tm.tm_mday, 2);
	digits(out + 11, tm.tm_hour, 2);
	digits(out + 14, tm.tm_min, 2);
	digits(out + 17, tm.tm_sec, 2);
	digits(out + 20, (int)ms, 3);
	return out;
}
