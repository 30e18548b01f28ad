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
const char *clock_wrong_file(void)
{
	return getenv("TMUX_CLAUDE_FAULT_CLOCK");
}

/* What a test says the clock is set wrong by: a file of milliseconds, read each time. */
int64_t clock_wrong_ms(void)
{
	static int fd = -2;
	const char *path = fd == -2 ? clock_wrong_file() : NULL;
	char text[24] = "";

	if (fd == -2)
		fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	return fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 ? strtoll(text, NULL, 10) : 0;
}
#else
const char *clock_wrong_file(void)
{
	return NULL;
}

int64_t clock_wrong_ms(void)
{
	return 0;
}
#endif

int64_t clock_wall_ms(void)
{
	return wall_source ? wall_source() : read_us(CLOCK_REALTIME) / 1000 + clock_wrong_ms();
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

/* The date of a day since 1970. A year begins in March here, so that the leap day is its last; an era is
 * the 400 years after which the calendar repeats itself (146,097 days, the first of them in March of 0000). */
static void write_date(int64_t day, char *out)
{
	int64_t since = day + 719468, era = (since >= 0 ? since : since - 146096) / 146097;
	int of_era = (int)(since - era * 146097);
	int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int of_year = of_era - (365 * year + year / 4 - year / 100);
	int month = (5 * of_year + 2) / 153;

	digits(out + 8, of_year - (153 * month + 2) / 5 + 1, 2);
	month = month < 10 ? month + 3 : month - 9;
	digits(out + 5, month, 2);
	digits(out, year + (int)era * 400 + (month <= 2), 4);
}

#define DAY_S 86400
#define DAY_FIRST (-719528) /* 0000-01-01 */
#define DAY_LAST 2932896    /* 9999-12-31: years beyond four digits mean a broken clock */

char *clock_iso(int64_t wall_ms, char out[CLOCK_ISO_MAX])
{
	/* Floor division, so that times before 1970 have a positive remainder. */
	int64_t sec = wall_ms / 1000, ms = wall_ms % 1000;
	if (ms < 0) {
		ms += 1000;
		sec--;
	}
	int64_t day = sec / DAY_S, rest = sec % DAY_S;
	if (rest < 0) {
		rest += DAY_S;
		day--;
	}
	memcpy(out, "0000-00-00T00:00:00.000Z", sizeof("0000-00-00T00:00:00.000Z"));
	if (day < DAY_FIRST || day > DAY_LAST)
		return out;
	write_date(day, out);
	digits(out + 11, (int)(rest / 3600), 2);
	digits(out + 14, (int)(rest / 60 % 60), 2);
	digits(out + 17, (int)(rest % 60), 2);
	digits(out + 20, (int)ms, 3);
	return out;
}
