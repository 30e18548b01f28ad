/* SPDX-License-Identifier: ISC */
/*
 * Durable state changes a second: an instance's row and its event, in groups of N a commit.
 * bench_store [--rows FILE] [--only WORD] [--runs N] [FOLDER]: the database is made in a new folder below it (default: the current one),
 * which should stand on a real disk.
 */
#include "base/clock.h"
#include "base/util.h"
#include "daemon/store/store.h"
#include "tests/bench/bench.h"

#define LIVING 1000

static struct instance *make(int n)
{
	struct instance *i = instance_new();
	str_fmt(i->id, sizeof(i->id), "i%05d", n);
	i->name = xasprintf("name-%d", n);
	i->driver = xstrdup("qemu");
	i->agent = xstrdup("claude");
	i->dir = xstrdup("/home/me/src/project");
	i->template_name = xstrdup("minimal");
	i->conversation = xstrdup("0b0e7f5e-6b7b-4c7d-8d4e-0d1a2b3c4d5e");
	i->detail = xstrdup("Bash: make check");
	i->cap = (struct cap){8, 32, 3, 10};
	return i;
}

static void must(int r, const struct err *e)
{
	if (r == 0)
		return;
	fprintf(stderr, "%s\n", e->message);
	exit(1);
}

struct job {
	struct store *s;
	struct instance *in[LIVING];
	json_t *data;
	int group, total;
	const char *path;
};

/* Changes a second with group of them in each commit, over about a second's worth. */
static double changes(void *arg)
{
	struct job *j = arg;
	struct err e = {0};
	int64_t t = clock_mono_us();

	for (int n = 0; n < j->total; n++) {
		struct instance *i = j->in[n % LIVING];
		i->state = n % 2 ? ST_IDLE : ST_WORKING;
		i->state_since_ms = n;
		must(store_instance_put(j->s, i, &e), &e);
		must(store_event_add(j->s, EV_STATE, i->id, NULL, n, j->data, NULL, &e), &e);
		if ((n + 1) % j->group == 0)
			must(store_commit(j->s, &e), &e);
	}
	must(store_commit(j->s, &e), &e);
	return j->total * 1e6 / (double)(clock_mono_us() - t);
}

static double reopen(void *arg)
{
	struct job *j = arg;
	struct err e = {0};

	store_close(j->s);
	int64_t t = clock_mono_us();
	must(store_open(j->path, &j->s, &e), &e);
	return (double)(clock_mono_us() - t) / 1000;
}

int main(int argc, char **argv)
{
	static const int groups[] = {1, 10, 100, 1000};

	bench_start(&argc, argv, "store");
	cleanup_free char *dir = xasprintf("%s/bench-store-XXXXXX", argc > 1 ? argv[1] : ".");
	struct err e = {0};
	struct job j = {0};
	double alone = 0;

	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	cleanup_free char *path = xasprintf("%s/fleet.db", dir);
	j.path = path;
	must(store_open(path, &j.s, &e), &e);
	j.data = json_pack("{s:s, s:s, s:s}", "from", "idle", "to", "working", "reason", "");
	for (int n = 0; n < LIVING; n++) {
		j.in[n] = make(n);
		must(store_instance_put(j.s, j.in[n], &e), &e);
	}
	must(store_commit(j.s, &e), &e);
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		cleanup_free char *what = xasprintf("durable changes, %d a commit", groups[g]);
		struct bench_row row = {.what = what, .unit = "/s", .than = "one a commit",
			.reference = alone, .at_least = groups[g] >= 100 ? 5000 : 0};
		j.group = groups[g];
		j.total = groups[g] < 10 ? 200 : groups[g] < 100 ? 2000 : 10000;
		double median = bench_run(&row, changes, &j);
		if (g == 0)
			alone = median;
	}
	json_decref(j.data);
	for (int n = 0; n < LIVING; n++)
		instance_free(j.in[n]);
	cleanup_free char *note = xasprintf("%lld events", (long long)store_event_last(j.s));
	bench_run(&(struct bench_row){.what = "opening the database", .unit = "ms", .note = note}, reopen, &j);
	store_close(j.s);
	must(tree_remove(dir, &e), &e);
	return bench_end();
}
