/* SPDX-License-Identifier: ISC */
/* The resolver's threads, with another resolver behind them. */
#include "place/egress/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>

#include "base/util.h"
#include "tests/unit/run.h"

static struct loop *l;
static struct resolver *r;
static int calls, failures;
static char last[512];
static struct err last_err;

/* A gate that holds the threads until it is opened. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static int inside;
static bool open_gate = true;

static struct addrinfo *make(const char *text, struct addrinfo *next)
{
	struct addrinfo *a = xcalloc(1, sizeof(*a) + sizeof(struct sockaddr_in6));
	a->ai_addr = (struct sockaddr *)(a + 1);
	a->ai_next = next;
	struct sockaddr_in *in = (struct sockaddr_in *)(a + 1);
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		a->ai_addrlen = sizeof(*in);
	} else {
		struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(a + 1);
		inet_pton(AF_INET6, text, &in6->sin6_addr);
		in6->sin6_family = AF_INET6;
		a->ai_addrlen = sizeof(*in6);
	}
	return a;
}

static int fake_get(const char *name, const char *service, const struct addrinfo *hints,
	struct addrinfo **ret)
{
	(void)service;
	(void)hints;
	pthread_mutex_lock(&gate);
	inside++;
	pthread_cond_broadcast(&gate_moved);
	while (!open_gate)
		pthread_cond_wait(&gate_moved, &gate);
	inside--;
	pthread_mutex_unlock(&gate);
	if (strcmp(name, "none.example") == 0)
		return EAI_NONAME;
	if (strcmp(name, "later.example") == 0)
		return EAI_AGAIN;
	if (strcmp(name, "system.example") == 0) {
		errno = EIO;
		return EAI_SYSTEM;
	}
	*ret = make("2606:4700::1", make("::ffff:10.0.0.1", make("1.2.3.4", NULL)));
	for (int i = 0; strcmp(name, "many.example") == 0 && i < 50; i++)
		*ret = make("1.2.3.4", *ret);
	return 0;
}

static void fake_release(struct addrinfo *a)
{
	while (a) {
		struct addrinfo *next = a->ai_next;
		free(a);
		a = next;
	}
}

static void on_resolved(void *arg, const struct hostport *addrs, size_t n, const struct err *e)
{
	char text[HOSTPORT_TEXT_MAX];
	(void)arg;
	calls++;
	last[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (strlen(last) < sizeof(last) - 64)
			sprintf(last + strlen(last), "%s ", hostport_format(&addrs[i], text));
	if (e) {
		failures++;
		last_err = *e;
	}
}

static void setup(void)
{
	struct err e = {0};
	resolve_set_source(fake_get, fake_release);
	l = loop_create(NULL);
	r = resolver_create(l, &e);
	ck_assert_msg(r != NULL, "%s", e.message);
}

static void teardown(void)
{
	resolver_destroy(r);
	loop_destroy(l);
}

static struct resolve *ask(const char *name, struct err *e)
{
	struct hostport h;
	ck_assert_int_eq(hostport_set(&h, name, 443, NULL), 0);
	return resolve_start(r, &h, on_resolved, NULL, e);
}

static void until_calls(int n)
{
	while (calls < n)
		loop_turn(l, 1000);
}

START_TEST(answers_in_order_with_the_port)
{
	ck_assert_ptr_nonnull(ask("a.example", NULL));
	ck_assert_int_eq(calls, 0);
	until_calls(1);
	ck_assert_str_eq(last, "[2606:4700::1]:443 10.0.0.1:443 1.2.3.4:443 ");
	ask("many.example", NULL);
	until_calls(2); /* bounded */
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(failures_are_told_apart)
{
	ask("none.example", NULL);
	until_calls(1);
	ck_assert_int_eq(last_err.code, ERR_NOT_FOUND);
	ask("later.example", NULL);
	until_calls(2);
	ck_assert_int_eq(last_err.code, ERR_UNAVAILABLE);
	ck_assert(last_err.retryable);
	ask("system.example", NULL);
	until_calls(3);
	ck_assert_ptr_nonnull(strstr(last_err.message, "Input/output error"));
}
END_TEST

static void close_gate(void)
{
	pthread_mutex_lock(&gate);
	open_gate = false;
	pthread_mutex_unlock(&gate);
}
static void wait_inside(int n)
{
	pthread_mutex_lock(&gate);
	while (inside < n)
		pthread_cond_wait(&gate_moved, &gate);
	pthread_mutex_unlock(&gate);
}
static void release_gate(void)
{
	pthread_mutex_lock(&gate);
	open_gate = true;
	pthread_cond_broadcast(&gate_moved);
	pthread_mutex_unlock(&gate);
}

START_TEST(the_queue_is_bounded_and_all_are_answered)
{
	struct err e = {0};
	close_gate();
	for (int i = 0; i < RESOLVE_THREADS; i++)
		ask("busy.example", NULL);
	wait_inside(RESOLVE_THREADS);
	for (int i = 0; i < RESOLVE_QUEUE_MAX; i++)
		ck_assert_ptr_nonnull(ask("wait.example", NULL));
	ck_assert_ptr_null(ask("too.many.example", &e));
	ck_assert_int_eq(e.code, ERR_BUSY);
	release_gate();
	until_calls(RESOLVE_THREADS + RESOLVE_QUEUE_MAX);
	ck_assert_int_eq(failures, 0);
}
END_TEST

START_TEST(cancelled_ones_are_silent)
{
	close_gate();
	struct resolve *q[RESOLVE_THREADS + 2];
	for (int i = 0; i < RESOLVE_THREADS + 2; i++)
		q[i] = ask("x.example", NULL);
	wait_inside(RESOLVE_THREADS);
	for (int i = 0; i < RESOLVE_THREADS + 2; i++)
		resolve_cancel(q[i]); /* some running, some waiting */
	resolve_cancel(NULL);
	ask("last.example", NULL);
	release_gate();
	until_calls(1);
	loop_turn(l, 10);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(destroyed_while_threads_are_busy)
{
	close_gate();
	for (int i = 0; i < RESOLVE_THREADS + 3; i++)
		ask("x.example", NULL);
	wait_inside(RESOLVE_THREADS);
	resolver_destroy(r);
	r = NULL;
	resolver_destroy(NULL);
	release_gate(); /* the threads end by themselves, and free what is left */
	ck_assert_int_eq(calls, 0);
}
END_TEST

TEST_MAIN_FIXTURE("egress/resolve", setup, teardown, answers_in_order_with_the_port,
	failures_are_told_apart, the_queue_is_bounded_and_all_are_answered, cancelled_ones_are_silent,
	destroyed_while_threads_are_busy)
