/* SPDX-License-Identifier: ISC */
/* Prints a benchmark's rows; see bench.h. */
#include "tests/bench/bench.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static const char *name = "bench", *only;
static int runs = BENCH_RUNS_MIN;
static FILE *rows;
static bool failed;

static void usage(const char *why)
{
	fprintf(stderr, "bench_%s: %s\nusage: bench_%s [--rows FILE] [--only WORD] [--runs N] ...\n", name,
		why, name);
	exit(2);
}

/* One option and its value; true when it was ours. */
static bool take(const char *opt, const char *value)
{
	int64_t n;

	if (strcmp(opt, "--rows") != 0 && strcmp(opt, "--only") != 0 && strcmp(opt, "--runs") != 0)
		return false;
	if (value == NULL)
		usage("an option lacks its value");
	if (opt[2] == 'o') {
		only = value;
	} else if (opt[3] == 'o') {
		rows = fopen(value, "ae");
		if (rows == NULL)
			usage("cannot open the file of --rows");
	} else {
		if (str_to_i64(value, BENCH_RUNS_MIN, BENCH_RUNS_MAX, &n) != 0)
			usage("--runs takes a number from 5 to 1000");
		runs = (int)n;
	}
	return true;
}

void bench_start(int *argc, char **argv, const char *program)
{
	int kept = 1;

	name = program;
	for (int i = 1; i < *argc; i++)
		if (take(argv[i], argv[i + 1]))
			i++;
		else
			argv[kept++] = argv[i];
	argv[kept] = NULL;
	*argc = kept;
}

int bench_runs(void)
{
	return runs;
}

bool bench_wanted(const char *what)
{
	cleanup_free char *full = xasprintf("%s: %s", name, what);

	return only == NULL || strcasestr(full, only) != NULL;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_quantile(const double *sorted, size_t n, double part)
{
	size_t at = (size_t)(part * (double)n);

	return sorted[at < n ? at : n - 1];
}

double bench_median(double *v, size_t n)
{
	qsort(v, n, sizeof(v[0]), by_size);
	return bench_quantile(v, n, 0.5);
}

void bench_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_%s: %s failed\n", name, what);
	exit(1);
}

static bool is_rate(const char *unit)
{
	size_t n = strlen(unit);

	return n >= 2 && strcmp(unit + n - 2, "/s") == 0;
}

/* Whether the targets are met: 1, 0, or -1 when there is none, or none that can be judged. */
static int judge(const struct bench_row *r, double median, double ratio)
{
	int pass = -1;

	if (r->at_least > 0)
		pass = median >= r->at_least;
	if (r->at_most > 0)
		pass = pass != 0 && median <= r->at_most;
	if (r->ratio_at_least > 0 && ratio > 0)
		pass = pass != 0 && ratio >= r->ratio_at_least;
	return pass;
}

static void print_table(const struct bench_row *r, const double *v, size_t n, double ratio, int pass)
{
	static const char *const verdicts[] = {"", "MISS", "pass"};

	printf("%-58s %10.4g %-6s (%.4g-%.4g)", r->what, bench_quantile(v, n, 0.5), r->unit, v[0], v[n - 1]);
	if (ratio > 0)
		printf("  %.3gx %s", ratio, r->than);
	if (r->at_least > 0)
		printf("  [>= %.4g]", r->at_least);
	if (r->at_most > 0)
		printf("  [<= %.4g]", r->at_most);
	if (r->ratio_at_least > 0)
		printf("  [>= %.3gx]", r->ratio_at_least);
	printf("  %s%s%s\n", verdicts[pass + 1], r->note ? "; " : "", r->note ? r->note : "");
	fflush(stdout);
}

static void put_target(json_t *row, const char *key, double value)
{
	if (value > 0)
		json_object_set_new(row, key, json_real(value));
}

static void print_json(const struct bench_row *r, const double *v, size_t n, double ratio, int pass)
{
	json_t *values = json_array(), *row;

	for (size_t i = 0; i < n && i < BENCH_RUNS_MAX; i++)
		json_array_append_new(values, json_real(v[i]));
	row = json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:o, s:s*, s:s*}", "bench", name, "what", r->what,
		"unit", r->unit, "median", bench_quantile(v, n, 0.5), "low", v[0], "high", v[n - 1],
		"values", values, "than", ratio > 0 ? r->than : NULL, "note", r->note);
	put_target(row, "at_least", r->at_least);
	put_target(row, "at_most", r->at_most);
	put_target(row, "ratio_at_least", r->ratio_at_least);
	put_target(row, "reference", ratio > 0 ? r->reference : 0);
	put_target(row, "ratio", ratio);
	if (pass >= 0)
		json_object_set_new(row, "pass", json_boolean(pass));
	if (json_dumpf(row, rows, JSON_COMPACT) != 0 || fputc('\n', rows) == EOF || fflush(rows) != 0)
		failed = true;
	json_decref(row);
}

double bench_report(const struct bench_row *r, double *v, size_t n)
{
	double ratio = 0, median = bench_median(v, n);
	int pass;

	if (r->than != NULL && r->reference > 0 && median > 0)
		ratio = is_rate(r->unit) ? median / r->reference : r->reference / median;
	pass = judge(r, median, ratio);
	print_table(r, v, n, ratio, pass);
	if (rows != NULL)
		print_json(r, v, n, ratio, pass);
	return median;
}

double bench_run(const struct bench_row *r, double (*fn)(void *), void *arg)
{
	double v[BENCH_RUNS_MAX];

	if (!bench_wanted(r->what))
		return 0;
	for (int i = 0; i < runs; i++)
		v[i] = fn(arg);
	return bench_report(r, v, (size_t)runs);
}

int bench_end(void)
{
	if (rows != NULL && fclose(rows) != 0)
		failed = true;
	if (failed)
		fprintf(stderr, "bench_%s: the rows could not be written\n", name);
	return failed;
}
