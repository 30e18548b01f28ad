/* SPDX-License-Identifier: ISC */
/*
 * Durable state changes a second: an instance's row and its event, in groups of N a commit.
 * bench_store [FOLDER]: the database is made in a new folder below it (default: the current one),
 * which should stand on a real disk.
 */
#include "base/clock.h"
#include "base/util.h"
#include "daemon/store/store.h"

#define RUNS 5
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

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Changes a second with group of them in each commit, over about a second's worth. */
static double run(struct store *s, struct instance **in, json_t *data, int group, int total)
{
	struct err e = {0};
	int64_t t = clock_mono_us();
	for (int n = 0; n < total; n++) {
		struct instance *i = in[n % LIVING];
		i->state = n % 2 ? ST_IDLE : ST_WORKING;
		i->state_since_ms = n;
		must(store_instance_put(s, i, &e), &e);
		must(store_event_add(s, EV_STATE, i->id, NULL, n, data, NULL, &e), &e);
		if ((n + 1) % group == 0)
			must(store_commit(s, &e), &e);
	}
	must(store_commit(s, &e), &e);
	return total * 1e6 / (double)(clock_mono_us() - t);
}

int main(int argc, char **argv)
{
	static const int groups[] = {1, 10, 100, 1000};
	cleanup_free char *dir = xasprintf("%s/bench-store-XXXXXX", argc > 1 ? argv[1] : ".");
	struct err e = {0};
	struct store *s = NULL;
	struct instance *in[LIVING];

	if (!mkdtemp(dir)) {
		perror(dir);
		return 1;
	}
	cleanup_free char *path = xasprintf("%s/fleet.db", dir);
	must(store_open(path, &s, &e), &e);
	json_t *data = json_pack("{s:s, s:s, s:s}", "from", "idle", "to", "working", "reason", "");
	for (int n = 0; n < LIVING; n++) {
		in[n] = make(n);
		must(store_instance_put(s, in[n], &e), &e);
	}
	must(store_commit(s, &e), &e);
	for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
		double v[RUNS];
		int total = groups[g] < 10 ? 200 : groups[g] < 100 ? 2000 : 10000;
		for (int r = 0; r < RUNS; r++)
			v[r] = run(s, in, data, groups[g], total);
		qsort(v, RUNS, sizeof(v[0]), by_size);
		printf("%4d a commit: %8.0f changes/s (%.0f-%.0f)\n", groups[g], v[RUNS / 2], v[0],
			v[RUNS - 1]);
	}
	json_decref(data);
	for (int n = 0; n < LIVING; n++)
		instance_free(in[n]);
	int64_t t = clock_mono_us();
	store_close(s);
	must(store_open(path, &s, &e), &e);
	printf("open with %lld events: %.1f ms\n", (long long)store_event_last(s),
		(double)(clock_mono_us() - t) / 1000);
	store_close(s);
	must(tree_remove(dir, &e), &e);
	return 0;
}
