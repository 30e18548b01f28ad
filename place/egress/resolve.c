/* SPDX-License-Identifier: ISC */
/*
 * The resolver's threads. Shared with them, under one lock: the queue, and the list of what is done.
 * A thread takes a job, resolves without the lock, hands it back and rings an eventfd. A job whose
 * caller no longer waits (cancelled, late) is freed by whoever holds it last: `waiting` says so.
 */
#include "place/egress/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "base/util.h"
#include "place/egress/addr.h"

/* getaddrinfo with a large /etc/hosts or nss module; glibc's default would be 8 MiB each. */
#define THREAD_STACK (512 * 1024)

struct job {
	struct job *next;
	struct hostport want;
	struct resolve *waiting; /* NULL: nobody; only the loop's thread reads and writes it */
	int rc;
	int errnum;
	size_t n;
	struct hostport addrs[RESOLVE_ADDRS_MAX];
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *todo, **todo_end;
	struct job *done;
	size_t queued;
	size_t refs; /* the threads and the resolver */
	bool stopping;
	int ring;
};

struct resolver {
	struct loop *loop;
	struct loop_io *io;
	struct pool *pool;
	struct resolve *pending;
};

struct resolve {
	struct resolver *resolver;
	struct resolve *next, **prev;
	struct job *job;
	struct loop_timer *timer;
	resolve_fn *fn;
	void *arg;
};

static int (*get_source)(const char *, const char *, const struct addrinfo *,
	struct addrinfo **) = getaddrinfo;
static void (*release_source)(struct addrinfo *) = freeaddrinfo;

void resolve_set_source(int (*get)(const char *, const char *, const struct addrinfo *,
				struct addrinfo **),
	void (*release)(struct addrinfo *))
{
	get_source = get;
	release_source = release;
}

/* ---- in the threads ---- */

static void pool_unref(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	size_t left = --p->refs;
	pthread_mutex_unlock(&p->lock);
	if (left > 0)
		return;
	for (struct job *j = p->todo, *next; j; j = next) {
		next = j->next;
		free(j);
	}
	for (struct job *j = p->done, *next; j; j = next) {
		next = j->next;
		free(j);
	}
	close(p->ring);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->work);
	free(p);
}

static void run_job(struct job *j)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list = NULL;
	j->rc = get_source(j->want.host, NULL, &hints, &list);
	j->errnum = errno;
	if (j->rc != 0)
		return;
	for (struct addrinfo *a = list; a && j->n < RESOLVE_ADDRS_MAX; a = a->ai_next) {
		/* A hostport has a port; the resolver was not asked for one. */
		struct sockaddr_storage ss = {0};
		if (a->ai_addrlen > sizeof(ss))
			continue;
		memcpy(&ss, a->ai_addr, a->ai_addrlen);
		((struct sockaddr_in *)&ss)->sin_port = htons(j->want.port);
		if (addr_to_hostport((struct sockaddr *)&ss, &j->addrs[j->n]) == 0)
			j->n++;
	}
	release_source(list);
}

static void *thread_main(void *arg)
{
	struct pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->todo && !p->stopping)
			pthread_cond_wait(&p->work, &p->lock);
		if (p->stopping)
			break;
		struct job *j = p->todo;
		p->todo = j->next;
		if (!p->todo)
			p->todo_end = &p->todo;
		p->queued--;
		pthread_mutex_unlock(&p->lock);
		run_job(j);
		pthread_mutex_lock(&p->lock);
		j->next = p->done;
		p->done = j;
		uint64_t one = 1;
		if (write(p->ring, &one, sizeof(one)) < 0 && errno != EAGAIN)
			abort();
	}
	pthread_mutex_unlock(&p->lock);
	pool_unref(p);
	return NULL;
}

/* ---- in the loop ---- */

static void resolve_free(struct resolve *q)
{
	if (q->job)
		q->job->waiting = NULL;
	*q->prev = q->next;
	if (q->next)
		q->next->prev = q->prev;
	loop_timer_free(q->timer);
	free(q);
}

void resolve_cancel(struct resolve *q)
{
	if (q)
		resolve_free(q);
}

static void finish(struct resolve *q, const struct hostport *addrs, size_t n, const struct err *e)
{
	resolve_fn *fn = q->fn;
	void *arg = q->arg;
	resolve_free(q);
	fn(arg, addrs, n, e);
}

static void on_deadline(void *arg)
{
	struct resolve *q = arg;
	struct err e = {0};
	err_set(&e, ERR_TIMEOUT, "the name %s was not resolved within %d s", q->job->want.host,
		RESOLVE_DEADLINE_MS / 1000);
	err_hint(&e, "look at the host's name servers");
	finish(q, NULL, 0, &e);
}

static void tell(struct job *j)
{
	struct resolve *q = j->waiting;
	struct err e = {0};
	if (!q)
		return;
	q->job = NULL;
	if (j->rc == 0 && j->n > 0) {
		finish(q, j->addrs, j->n, NULL);
		return;
	}
	if (j->rc == 0 || j->rc == EAI_NONAME || j->rc == EAI_NODATA)
		err_set(&e, ERR_NOT_FOUND, "the name %s has no address", j->want.host);
	else if (j->rc == EAI_SYSTEM)
		err_set_errno(&e, ERR_UNAVAILABLE, j->errnum, "cannot resolve %s", j->want.host);
	else
		err_set(&e, ERR_UNAVAILABLE, "cannot resolve %s: %s", j->want.host,
			gai_strerror(j->rc));
	finish(q, NULL, 0, &e);
}

static void on_ring(void *arg, int fd, unsigned events)
{
	(void)events;
	struct resolver *r = arg;
	uint64_t count;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	struct pool *p = r->pool;
	pthread_mutex_lock(&p->lock);
	struct job *done = p->done;
	p->done = NULL;
	pthread_mutex_unlock(&p->lock);
	while (done) {
		struct job *j = done;
		done = j->next;
		tell(j);
		free(j);
	}
}

struct resolve *resolve_start(struct resolver *r, const struct hostport *h, resolve_fn *fn, void *arg,
	struct err *e)
{
	struct pool *p = r->pool;
	struct job *j = xcalloc(1, sizeof(*j));
	j->want = *h;
	struct resolve *q = xcalloc(1, sizeof(*q));
	*q = (struct resolve){.resolver = r, .job = j, .fn = fn, .arg = arg};
	j->waiting = q;
	pthread_mutex_lock(&p->lock);
	bool full = p->queued == RESOLVE_QUEUE_MAX;
	if (!full) {
		*p->todo_end = j;
		p->todo_end = &j->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	if (full) {
		free(j);
		free(q);
		err_set(e, ERR_BUSY, "%d names wait to be resolved already", RESOLVE_QUEUE_MAX);
		return NULL;
	}
	q->timer = loop_timer_create(r->loop, on_deadline, q);
	loop_timer_start(q->timer, RESOLVE_DEADLINE_MS);
	q->next = r->pending;
	q->prev = &r->pending;
	if (q->next)
		q->next->prev = &q->next;
	r->pending = q;
	return q;
}

static int start_thread(struct pool *p)
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	p->refs++; /* before it runs; nobody else counts yet, or counts under the lock */
	int rc = pthread_create(&thread, &attr, thread_main, p);
	pthread_attr_destroy(&attr);
	if (rc != 0)
		p->refs--;
	return rc;
}

struct resolver *resolver_create(struct loop *l, struct err *e)
{
	int ring = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (ring < 0) {
		err_set_errno(e, ERR_FAILED, errno, "cannot make an event descriptor");
		return NULL;
	}
	struct pool *p = xcalloc(1, sizeof(*p));
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->todo_end = &p->todo;
	p->ring = ring;
	p->refs = 1;
	struct resolver *r = xcalloc(1, sizeof(*r));
	r->loop = l;
	r->pool = p;
	r->io = loop_io_add(l, ring, LOOP_READ, on_ring, r);
	/* Signals are the loop's. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int rc = 0;
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < RESOLVE_THREADS && rc == 0; i++)
		rc = start_thread(p);
	pthread_mutex_unlock(&p->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0) {
		resolver_destroy(r);
		err_set_errno(e, ERR_FAILED, rc, "cannot start a thread for resolving names");
		return NULL;
	}
	return r;
}

void resolver_destroy(struct resolver *r)
{
	if (!r)
		return;
	while (r->pending)
		resolve_free(r->pending);
	loop_io_free(r->io);
	pthread_mutex_lock(&r->pool->lock);
	r->pool->stopping = true;
	pthread_cond_broadcast(&r->pool->work);
	pthread_mutex_unlock(&r->pool->lock);
	pool_unref(r->pool);
	free(r);
}
