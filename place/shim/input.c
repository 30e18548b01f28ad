/* SPDX-License-Identifier: ISC */
/* What is typed into one terminal: one input after the other, in pieces, Enter on its own. */
#include "base/clock.h"
#include "base/util.h"
#include "place/shim/input_int.h"

static void step(struct input *in);

static void job_free(struct job *j)
{
	free(j->data);
	free(j->enter);
	free(j);
}

/* The soonest deadline of all. */
static void rearm(struct input *in)
{
	int64_t soonest = 0, now = clock_mono_ms();

	for (struct job *j = in->head; j; j = j->next)
		if (j->deadline && (!soonest || j->deadline < soonest))
			soonest = j->deadline;
	if (in->dropping) { /* it counts the answer's time */
		if (in->head && !loop_timer_active(in->deadline))
			loop_timer_start(in->deadline, INPUT_DROP_MS);
		return;
	}
	if (soonest)
		loop_timer_start(in->deadline, soonest > now ? soonest - now : 0);
	else
		loop_timer_stop(in->deadline);
}

/* Takes a job out of the queue and ends it. */
static void job_end(struct input *in, struct job *j, size_t taken, const struct err *why)
{
	struct job **at = &in->head;

	if (j == in->head) {
		in->step = STEP_BEGIN;
		in->looking = in->look_again = false;
		in->unread = 0;
		loop_timer_stop(in->wait);
	}
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (!*at)
		in->tail = at;
	in->queued -= j->len;
	in->jobs--;
	if (j->fn)
		j->fn(j->arg, taken, why);
	job_free(j);
}

/* --- the steps of the head --- */

static int lines_fit(struct input *in, struct job *j, struct err *e)
{
	size_t longest;

	j->canonical = in->ops.canonical(in->arg);
	if (!j->canonical || j->typed)
		return 0;
	longest = input_longest_line(j->data + j->done, j->len - j->done);
	if (longest <= INPUT_LINE_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "a line of %zu bytes is longer than the %d that this terminal takes", longest,
		INPUT_LINE_MAX);
	return err_hint(e, "the program reads whole lines (its terminal is in canonical mode); "
			   "send shorter lines, or wait until it reads by itself");
}

/* The program printed something a moment ago, and what it shows may not listen yet. */
static bool too_early(struct input *in, struct job *j)
{
	int64_t now = clock_mono_ms(), at = in->printed_ms + j->quiet_ms;

	if (!j->quiet_ms || j->held)
		return false;
	if (!j->hold_end)
		j->hold_end = now + INPUT_HOLD_MS;
	at = at < j->hold_end ? at : j->hold_end;
	if (at > now)
		loop_timer_start(in->wait, at - now);
	return at > now;
}

/* What was typed before, an Enter perhaps, was not read yet: in one read with it this one would be merged. */
static bool unread_before(struct input *in, struct job *j)
{
	int64_t now = clock_mono_ms();

	if (!j->expect_brackets || !in->unread || j->held)
		return false;
	if (!j->hold_end)
		j->hold_end = now + INPUT_HOLD_MS;
	if (now >= j->hold_end)
		return false;
	if (!loop_timer_active(in->wait)) {
		in->look_again = true;
		loop_timer_start(in->wait, INPUT_ECHO_MS);
	}
	return true;
}

/* Is the program ready for it? False: something is waited for, or the job is over. */
static bool begin(struct input *in, struct job *j)
{
	struct err e = {0};
	bool fits;

	if (!j->looked && !j->typed && in->ops.look) {
		j->looked = true;
		in->looking = in->ops.look(in->arg) == 0;
		if (in->looking)
			loop_timer_start(in->wait, INPUT_LOOK_MS);
	}
	if (in->looking || unread_before(in, j) || too_early(in, j))
		return false;
	fits = lines_fit(in, j, &e) == 0;
	if (!fits || (j->expect_brackets && !in->ops.bracketed(in->arg))) {
		if (!j->held) {
			if (!loop_timer_active(in->wait))
				loop_timer_start(in->wait, INPUT_HOLD_MS);
			return false;
		}
		if (!fits) {
			job_end(in, j, 0, &e);
			return false;
		}
	}
	loop_timer_stop(in->wait);
	in->step = STEP_TEXT;
	return true;
}

static void cut(struct input *in, struct job *j, size_t taken, const struct err *why)
{
	/* Between two pieces of an open bracket nothing is under way that would have closed it. */
	if (j->open && in->w.what == W_NONE && !in->owed.len)
		input_owe_end(in);
	job_end(in, j, taken, why);
}

/* Text is to be written, or was. False: wait. */
static bool type_text(struct input *in, struct job *j)
{
	struct err e = {0};

	if (j->done < j->len) {
		if (!j->canonical && in->ops.canonical(in->arg) && lines_fit(in, j, &e) < 0) {
			err_prefix(&e, "its terminal became canonical after %zu of %zu bytes", j->done, j->len);
			cut(in, j, j->done, &e);
			return true;
		}
		input_write_piece(in, j);
		return false;
	}
	if (j->typed && j->brackets.open) {
		if (j->src) { /* a person's paste goes on; others wait a little for it */
			if (j->next && !loop_timer_active(in->wait))
				loop_timer_start(in->wait, INPUT_OPEN_MS);
			return false;
		}
		input_owe_end(in);
	}
	if (!j->enter) {
		job_end(in, j, j->len, NULL);
		return true;
	}
	in->step = STEP_ENTER;
	if (j->len > 0 && !in->ops.canonical(in->arg)) {
		in->step = STEP_ECHO;
		in->echo_ms = INPUT_ECHO_MS;
		in->echo_end = clock_mono_ms() + INPUT_HOLD_MS;
		loop_timer_start(in->wait, in->echo_ms);
	}
	return true;
}

static bool head_goes_on(struct input *in, struct job *j)
{
	switch (in->step) {
	case STEP_BEGIN:
		return begin(in, j) || in->head != j;
	case STEP_TEXT:
		return type_text(in, j);
	case STEP_ECHO:
	case STEP_READ:
		return false;
	case STEP_ENTER:
		if (input_put(in, W_ENTER, j->enter, strlen(j->enter)))
			in->step = STEP_END;
		return false;
	case STEP_END:
		job_end(in, j, j->len, NULL);
		return true;
	}
	return false;
}

/* Does what can be done now; called whenever something changed. */
static void step(struct input *in)
{
	bool on = true;

	if (in->running)
		return;
	in->running = true;
	while (on && in->w.what == W_NONE && !in->dropping) {
		struct job *j = in->head;

		if (in->owed.len) {
			input_put(in, W_OWED, buf_data(&in->owed), in->owed.len);
			break;
		}
		if (in->replies.len && in->step != STEP_ECHO && in->step != STEP_READ && !(j && j->open)) {
			if (input_put(in, W_REPLY, buf_data(&in->replies), in->replies.len))
				buf_clear(&in->replies);
			break;
		}
		on = j && head_goes_on(in, j);
	}
	rearm(in);
	in->running = false;
}

/* --- deadlines --- */

static void too_late(struct job *j, size_t taken, bool known, struct err *e)
{
	double s = (double)j->allowed_ms / 1000;

	if (known && taken == j->len && j->enter)
		err_set(e, ERR_TIMEOUT, "the terminal took the text within %.3g s, but not the Enter behind it: its program does not read", s);
	else if (known)
		err_set(e, ERR_TIMEOUT,
			"the terminal took %zu of %zu bytes within %.3g s and no more, as its program does not read; the rest was dropped",
			taken, j->len, s);
	else
		err_set(e, ERR_TIMEOUT,
			"the terminal took at least %zu of %zu bytes within %.3g s, and its place does not answer",
			taken, j->len, s);
	err_hint(e, "what was taken stands in its input: look with `tmux-claude read` before sending again");
	e->retryable = known && !taken && j->len && !j->open; /* else something was, or nobody can tell */
}

static void not_begun(struct input *in, struct job *j)
{
	double s = (double)j->allowed_ms / 1000;
	struct err e = {0};

	err_set(&e, ERR_TIMEOUT, "the terminal was not free within %.3g s: %s; nothing was typed", s,
		in->dropping ? "its place does not answer" : j == in->head ? "its program does not read"
									   : "other input is still being taken");
	err_hint(&e, "give it longer with --timeout, or look at what the program does");
	job_end(in, j, 0, &e);
}

/* The head was begun and its time is over. */
static void head_too_late(struct input *in, struct job *j)
{
	struct err e = {0};

	if (in->w.what == W_TEXT || in->w.what == W_ENTER) {
		if (in->ops.drop && in->ops.drop(in->arg) == 0) {
			in->dropping = true;
			loop_timer_start(in->deadline, INPUT_DROP_MS);
			return;
		}
		j->done -= in->w.text; /* of these nobody knows */
		too_late(j, j->done, false, &e);
	} else {
		too_late(j, j->done, true, &e);
	}
	cut(in, j, j->done, &e);
}

static void deadline_passed(void *arg)
{
	struct input *in = arg;
	int64_t now = clock_mono_ms();
	struct job *j, *next;
	struct err e = {0};
	bool begun;

	in->running = true;
	if (in->dropping) { /* no answer: whoever waits hears that it is not known */
		j = in->head;
		if (j && in->step != STEP_BEGIN && j->deadline && j->deadline <= now) {
			too_late(j, j->done - in->w.text, false, &e);
			job_end(in, j, j->done - in->w.text, &e);
		}
	}
	for (j = in->head; j; j = next) {
		next = j->next;
		begun = j == in->head && in->step != STEP_BEGIN;
		if (!j->deadline || j->deadline > now)
			continue;
		if (!begun)
			not_begun(in, j);
		else if (!in->dropping)
			head_too_late(in, j);
	}
	in->running = false;
	step(in);
}

void input_dropped(struct input *in, size_t n)
{
	struct job *j = in->head;
	bool text = in->w.what == W_TEXT, whole = n == 0 && in->w.what == W_ENTER;
	size_t of = in->w.text, taken;
	struct err e = {0};

	if (!in->dropping)
		return;
	in->dropping = false;
	taken = input_write_over(in, n);
	if (j && in->step != STEP_BEGIN && j->deadline && j->deadline <= clock_mono_ms()) {
		j->open = false; /* what closes it is owed */
		if (text)
			j->done -= of - taken;
		too_late(j, j->done, true, &e);
		in->running = true;
		job_end(in, j, j->done, whole ? NULL : &e);
		in->running = false;
	}
	step(in);
}

/* --- what the owner tells --- */

static void on_defer(void *arg)
{
	step(arg);
}

/* There was an echo, or time for one: has the program read it all? Else Enter would be read with it. */
static void echo_over(struct input *in)
{
	loop_timer_stop(in->wait);
	in->step = STEP_ENTER;
	if (clock_mono_ms() < in->echo_end && in->ops.look && in->ops.look(in->arg) == 0) {
		in->step = STEP_READ;
		loop_timer_start(in->wait, INPUT_LOOK_MS);
	}
}

static void on_wait(void *arg)
{
	struct input *in = arg;
	struct job *j = in->head;

	if (in->step == STEP_ECHO)
		echo_over(in);
	else if (in->step == STEP_READ)
		in->step = STEP_ENTER;
	else if (in->step == STEP_BEGIN && in->looking)
		in->looking = false;
	else if (in->step == STEP_BEGIN && in->look_again && j)
		in->look_again = j->looked = false;
	else if (in->step == STEP_BEGIN && j)
		j->held = true;
	else if (in->step == STEP_TEXT && j && j->typed)
		j->src = NULL; /* the rest of this paste will not come */
	step(in);
}

struct input *input_create(struct loop *l, const struct input_ops *ops, void *arg)
{
	struct input *in = xcalloc(1, sizeof(*in));

	in->ops = *ops;
	in->arg = arg;
	in->tail = &in->head;
	buf_init(&in->replies, INPUT_REPLY_MAX);
	buf_init(&in->owed, OWED_MAX);
	in->wait = loop_timer_create(l, on_wait, in);
	in->deadline = loop_timer_create(l, deadline_passed, in);
	in->defer = loop_defer_create(l, on_defer, in);
	return in;
}

void input_fail(struct input *in, const struct err *why)
{
	buf_clear(&in->replies);
	buf_clear(&in->owed);
	in->running = true;
	while (in->head)
		job_end(in, in->head, in->head->done - (in->w.what == W_TEXT && in->step == STEP_TEXT ? in->w.text : 0),
			why);
	in->running = in->dropping = false;
	in->w.what = W_NONE;
	loop_timer_stop(in->deadline);
}

void input_destroy(struct input *in)
{
	struct err gone = {0};

	if (!in)
		return;
	err_set(&gone, ERR_CANCELLED, "the terminal is gone");
	input_fail(in, &gone);
	loop_timer_free(in->wait);
	loop_timer_free(in->deadline);
	loop_defer_free(in->defer);
	buf_finish(&in->replies);
	buf_finish(&in->owed);
	free(in);
}

static void enqueue(struct input *in, struct job *j)
{
	*in->tail = j;
	in->tail = &j->next;
	in->queued += j->len;
	in->jobs++;
	loop_defer_schedule(in->defer);
}

int input_add(struct input *in, const struct input_job *what, struct err *e)
{
	struct job *j;
	char *copy;
	size_t len = what->len;

	if (len > INPUT_MAX)
		return err_set(e, ERR_LIMIT, "the input has %zu bytes; at most %d are taken at once", len,
			INPUT_MAX);
	if (in->queued + len > INPUT_QUEUE_MAX || in->jobs >= INPUT_JOBS_MAX)
		return err_set(e, ERR_BUSY, "%zu bytes of input wait for the terminal already", in->queued);
	copy = xcalloc(1, len + 1);
	if (len)
		memcpy(copy, what->data, len);
	if (what->mode == INPUT_PASTE)
		len = input_clean(copy, len);
	j = xcalloc(1, sizeof(*j));
	*j = (struct job){.mode = what->mode, .data = copy, .len = len, .enter = xstrdup(what->enter),
		.whole = what->whole, .expect_brackets = what->expect_brackets, .quiet_ms = what->quiet_ms,
		.looked = what->mode == INPUT_RAW && len <= INPUT_LINE_MAX, .allowed_ms = what->deadline_ms,
		.deadline = what->deadline_ms ? clock_mono_ms() + what->deadline_ms : 0, .fn = what->fn,
		.arg = what->arg};
	enqueue(in, j);
	return 0;
}

void input_type(struct input *in, const void *src, const void *data, size_t len)
{
	struct job *last = in->head, *j;

	if (in->queued + len > INPUT_QUEUE_MAX)
		return;
	/* Behind what it typed last, if that is the last of all, or a paste of its own that goes on. */
	while (last && last->next && !(last->typed && last->src == src && last->brackets.open))
		last = last->next;
	if (last && last->typed && last->src == src && last->len + len <= INPUT_MAX) {
		last->data = xrealloc(last->data, last->len + len + 1);
		memcpy(last->data + last->len, data, len);
		last->len += len;
		in->queued += len;
		input_brackets_feed(&last->brackets, data, len);
		if (last == in->head && in->step == STEP_TEXT)
			loop_timer_stop(in->wait);
		step(in);
		return;
	}
	/* A person at a canonical terminal may type what they like: no check of lines. */
	j = xcalloc(1, sizeof(*j));
	*j = (struct job){.mode = INPUT_RAW, .typed = true, .src = src, .data = xcalloc(1, len + 1), .len = len};
	memcpy(j->data, data, len);
	input_brackets_feed(&j->brackets, data, len);
	enqueue(in, j);
	step(in);
}

void input_type_end(struct input *in, const void *src)
{
	for (struct job *j = in->head; j; j = j->next)
		if (j->typed && j->src == src)
			j->src = NULL;
	loop_defer_schedule(in->defer);
}

void input_reply(struct input *in, const void *data, size_t len)
{
	buf_append(&in->replies, data, len);
	loop_defer_schedule(in->defer);
}

void input_taken(struct input *in)
{
	if (in->dropping)
		return; /* the answer to that says it exactly */
	input_write_over(in, 0);
	step(in);
}

void input_looked(struct input *in, size_t unread)
{
	in->unread = unread;
	if (in->step == STEP_READ) {
		in->step = unread ? STEP_ECHO : STEP_ENTER;
		in->echo_ms *= 2;
		loop_timer_stop(in->wait);
		if (unread)
			loop_timer_start(in->wait, in->echo_ms);
	}
	if (in->looking) {
		in->looking = false;
		loop_timer_stop(in->wait);
	}
	loop_defer_schedule(in->defer);
}

void input_changed(struct input *in)
{
	if (in->head)
		loop_defer_schedule(in->defer);
}

void input_echoed(struct input *in)
{
	in->printed_ms = clock_mono_ms();
	if (in->step == STEP_ECHO)
		echo_over(in);
	if (in->head)
		loop_defer_schedule(in->defer);
}

bool input_idle(const struct input *in)
{
	return !in->head && in->w.what == W_NONE && !in->replies.len && !in->owed.len;
}
