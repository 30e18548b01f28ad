/* SPDX-License-Identifier: ISC */
/* What formats of transcripts share: their times. */
#include "daemon/agent/transcript.h"

#include <time.h>

#include "base/util.h"

static int number(const char *s, size_t digits)
{
	int n = 0;

	for (size_t i = 0; i < digits; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		n = n * 10 + (s[i] - '0');
	}
	return n;
}

int64_t transcript_time(const char *iso)
{
	size_t len = iso ? strlen(iso) : 0;
	struct tm tm = {0};

	if (len < 20 || iso[4] != '-' || iso[7] != '-' || iso[10] != 'T' || iso[13] != ':' || iso[16] != ':' || iso[len - 1] != 'Z')
		return 0;
	int y = number(iso, 4), mo = number(iso + 5, 2), d = number(iso + 8, 2), h = number(iso + 11, 2),
	    mi = number(iso + 14, 2), s = number(iso + 17, 2);
	int ms = len >= 24 && iso[19] == '.' ? number(iso + 20, 3) : 0;
	if (y < 1970 || mo < 1 || mo > 12 || d < 1 || d > 31 || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60 || ms < 0)
		return 0;
	tm = (struct tm){.tm_year = y - 1900, .tm_mon = mo - 1, .tm_mday = d, .tm_hour = h, .tm_min = mi, .tm_sec = s};
	return (int64_t)timegm(&tm) * 1000 + ms;
}
