/* SPDX-License-Identifier: ISC */
/*
 * The model-based test: random sequences of operations and faults against the real core, store, turn and
 * bus over a pretended world. See docs/testing.md for how it is run and read.
 *
 * Each run is a process of its own, so that a crash of the code under test is a finding like another, and
 * follows from its list of operations alone. A failing list is made shorter for as long as it still fails.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/core/model/model.h"
#include "tests/unit/run.h"

#define RUN_TIMEOUT_S 120
#define SHRINK_TRIES 400
#define SETTLE_EVERY 150

/* A daemon that crashes frees nothing, and neither does the one that is pretended to crash. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

struct progress {
	size_t done; /* operations of the run so far */
};

static struct progress *progress;
static char base[64];

static int64_t setting(const char *name, int64_t otherwise)
{
	const char *text = getenv(name);
	int64_t n;

	return text && str_to_i64(text, 0, INT64_MAX, &n) == 0 ? n : otherwise;
}

static void end_all(void)
{
	struct err e = {0};

	sim.fail_commit = sim.fail_make = sim.refuse_call = false;

	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++) {
		struct instance *in = fleet_at(sim.w.fleet, i);
		if (in->parent[0] && fleet_get(sim.w.fleet, in->parent))
			continue;
		model_killed(in, true);
		fleet_kill(sim.w.fleet, in, true, true, false, model_answer, model_call(C_KILL, in->id), &e);
	}
	model_settle();
	for (size_t i = 0; i < fleet_count(sim.w.fleet); i++)
		if (!state_final(fleet_at(sim.w.fleet, i)->state))
			sim_fail("%s is %s after all were killed", fleet_at(sim.w.fleet, i)->id,
				state_name(fleet_at(sim.w.fleet, i)->state));
}

static void play(uint64_t seed, const struct op *ops, size_t n)
{
	char line[128];

	alarm(RUN_TIMEOUT_S);
	sim_begin(seed, base);
	sim.crash_answers = seed % 3 == 0 ? 7 : 0;
	for (size_t i = 0; i < n; i++) {
		progress->done = i + 1;
		if (model_loud) {
			op_print(&ops[i], line, sizeof(line));
			printf("%zu: %s", i, line);
			fflush(stdout);
		}
		op_do(&ops[i]);
		if (i % SETTLE_EVERY == SETTLE_EVERY - 1)
			model_settle();
	}
	model_settle();
	end_all();
	_exit(0);
}

/* 0 when it holds. What it says comes back in text. */
static int run(uint64_t seed, const struct op *ops, size_t n, char *text, size_t size)
{
	struct err e = {0};
	int out[2], status = 0;
	size_t len = 0;
	ssize_t k;
	pid_t pid;

	progress->done = 0;
	if (dir_make(base, 0700, &e) < 0 || pipe(out) < 0)
		ck_abort_msg("no folder or pipe: %s", e.message);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(out[0]);
		if (!model_loud)
			dup2(out[1], STDERR_FILENO);
		play(seed, ops, n);
	}
	close(out[1]);
	while ((k = read(out[0], text + len, size - 1 - len)) > 0)
		len += (size_t)k;
	text[len] = '\0';
	close(out[0]);
	waitpid(pid, &status, 0);
	tree_remove(base, &e);
	return status;
}

static size_t without(const struct op *ops, size_t n, size_t at, size_t len, struct op *to)
{
	memcpy(to, ops, at * sizeof(*ops));
	memcpy(to + at, ops + at + len, (n - at - len) * sizeof(*ops));
	return n - len;
}

/* Leaves out what is not needed for a failure, larger pieces first. */
static size_t shrink(uint64_t seed, struct op *ops, size_t n)
{
	struct op *less = xcalloc(n + 1, sizeof(*less));
	char text[4096];
	int tries = 0;

	for (size_t len = n / 2; len > 0 && tries < SHRINK_TRIES; len = len > 1 ? (len + 1) / 2 : 0) {
		for (size_t at = 0; at + len <= n && tries < SHRINK_TRIES;) {
			size_t k = without(ops, n, at, len, less);
			tries++;
			if (run(seed, less, k, text, sizeof(text)) == 0) {
				at += len;
				continue;
			}
			n = k;
			memcpy(ops, less, n * sizeof(*ops));
		}
	}
	free(less);
	return n;
}

static void listing(uint64_t seed, const struct op *ops, size_t n, FILE *to)
{
	char line[128];

	fprintf(to, "seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < n; i++) {
		op_print(&ops[i], line, sizeof(line));
		fputs(line, to);
	}
}

static void failed(uint64_t seed, struct op *ops, size_t n)
{
	const char *file = getenv("TC_MODEL_OUT");
	char text[16384];
	FILE *to;

	if (setting("TC_MODEL_SHRINK", 1))
		n = shrink(seed, ops, n);
	run(seed, ops, n, text, sizeof(text));
	to = file ? fopen(file, "w") : NULL;
	if (to) {
		listing(seed, ops, n, to);
		fclose(to);
	}
	fprintf(stderr, "seed %llu fails; shortest list found (%zu operations, TC_MODEL_FILE plays it again):\n",
		(unsigned long long)seed, n);
	listing(seed, ops, n, stderr);
	fprintf(stderr, "%s\n", text);
	ck_abort_msg("seed %llu: %.300s", (unsigned long long)seed, text);
}

static void play_file(const char *file)
{
	static struct op ops[OPS_MAX];
	char line[256], text[16384];
	unsigned long long seed = 1;
	size_t n = 0;
	FILE *f = fopen(file, "r");

	ck_assert_msg(f != NULL, "%s cannot be read", file);
	while (n < OPS_MAX && fgets(line, sizeof(line), f))
		if (sscanf(line, "seed %llu", &seed) != 1 && op_parse(line, &ops[n]) == 0)
			n++;
	fclose(f);
	model_loud = true;
	ck_assert_msg(run(seed, ops, n, text, sizeof(text)) == 0, "it fails");
}

/* Always the same ones in `make check`, so that it says the same of the same sources; 0: the clock's, to search. */
static uint64_t first_seed(void)
{
	int64_t given = setting("TC_MODEL_SEED", 1);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return given ? (uint64_t)given : (uint64_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000) % 1000000000;
}

START_TEST(random_sequences_hold)
{
	static struct op ops[OPS_MAX];
	size_t steps = (size_t)setting("TC_MODEL_STEPS", 500);
	int64_t runs = setting("TC_MODEL_RUNS", 100), most_s = setting("TC_MODEL_SECONDS", 60);
	time_t end = time(NULL) + most_s;
	uint64_t seed = first_seed();
	char text[16384];
	int64_t i;

	if (getenv("TC_MODEL_FILE")) {
		play_file(getenv("TC_MODEL_FILE"));
		return;
	}
	if (steps > OPS_MAX)
		steps = OPS_MAX;
	for (i = 0; i < runs && time(NULL) <= end; i++, seed++) {
		uint64_t random = seed;
		for (size_t k = 0; k < steps; k++)
			ops[k] = op_random(&random);
		if (run(seed, ops, steps, text, sizeof(text)) != 0)
			failed(seed, ops, progress->done < steps ? progress->done : steps);
	}
	printf("# model: %lld runs of %zu operations, seeds up to %llu\n", (long long)i, steps,
		(unsigned long long)seed - 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("core/model");
	TCase *tc = tcase_create("core/model");
	SRunner *sr;
	int bad;

	snprintf(base, sizeof(base), "%s/tc-model-%d", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (progress == MAP_FAILED)
		return EXIT_FAILURE;
	tcase_set_timeout(tc, 900);
	tcase_add_test(tc, random_sequences_hold);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	bad = srunner_ntests_failed(sr);
	srunner_free(sr);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
