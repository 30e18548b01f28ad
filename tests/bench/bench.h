/* SPDX-License-Identifier: ISC */
/*
 * How a benchmark says what it measured: one row a figure, as a line of a table on stdout and, with
 * --rows FILE, as a line of JSON appended to FILE (tests/bench/run.py reads those of all programs).
 *
 * A row is the median of at least BENCH_RUNS_MIN runs with its spread (lowest, highest), its target, and
 * its ratio to a reference taken in the same run. A ratio says how many times better than the reference
 * we are: rates (units that end in "/s") median / reference, anything else (times, memory)
 * reference / median. Nothing here fails because a figure is bad: pass or miss is printed.
 *
 *	bench_start(&argc, argv, "tmux");
 *	double fork = bench_run(&(struct bench_row){.what = "display-message, a fork each",
 *		.unit = "us"}, forked, NULL);
 *	bench_run(&(struct bench_row){.what = "display-message, one at a time", .unit = "us",
 *		.than = "a fork each", .reference = fork, .ratio_at_least = 50}, one, NULL);
 *	return bench_end();
 */
#ifndef TC_TESTS_BENCH_BENCH_H
#define TC_TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#define BENCH_RUNS_MIN 5
#define BENCH_RUNS_MAX 1000

struct bench_row {
	const char *what, *unit;
	/* Targets; 0: none. The first two are of the median. */
	double at_least, at_most, ratio_at_least;
	/* The reference of the ratio; NULL or 0 when there is none or it was not run. */
	const char *than;
	double reference;
	/* A condition that the figure depends on ("48 panes"); NULL: none. */
	const char *note;
};

/* Takes --rows FILE, --only WORD, --runs N out of the arguments; the rest are the program's own. Ends
 * the program with 2 when they are wrong. */
void bench_start(int *argc, char **argv, const char *name);

/* How often each figure is taken. */
int bench_runs(void);

/* Whether --only lets this row through ("NAME: WHAT" contains the word, without regard to case). Ask
 * before expensive preparations. */
bool bench_wanted(const char *what);

/* Runs fn bench_runs() times, each giving one value, and reports; returns the median, 0 when the row is
 * not wanted. */
double bench_run(const struct bench_row *row, double (*fn)(void *), void *arg);

/* Reports values that were taken otherwise; sorts v. Returns the median. */
double bench_report(const struct bench_row *row, double *v, size_t n);

/* The median of v, which it sorts; and the value below which that part (0..1) of sorted v lies. */
double bench_median(double *v, size_t n);
double bench_quantile(const double *sorted, size_t n, double part);

/* Ends the program, saying that this failed, when ok is false. */
void bench_must(bool ok, const char *what);

/* For main's return: 0, or 1 when the rows could not be written. */
int bench_end(void);

#endif
