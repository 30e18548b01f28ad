/* SPDX-License-Identifier: ISC */
/* What is typed into one terminal: one input after the other, in pieces, Enter on its own. */
#include "place/shim/input.h"

#include "base/buf.h"
#include "base/util.h"

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
#define WRITE_MAX (INPUT_RAW_BYTES + 32)

struct job {
	struct job *next;
	enum input_mode mode;
	bool typed; /* a view's keys: more may be added behind */
	char *data;
	size_t len, done;
	char *enter;
	input_done_fn *fn;
	void *arg;
};

/* What the job at the head is doing. */
enum step {
	STEP_TEXT,  /* pieces are to be written */
	STEP_ECHO,  /* the text was taken: waiting for the echo or the timer */
	STEP_ENTER, /* Enter is to be written */
	STEP_END,   /* all was written */
};

struct input {
	struct input_ops ops;
	void *arg;
	struct job *head, **tail;
	size_t queued;
	enum step step;
	bool writing; /* a write has not been taken yet */
	bool running; /* against recursion */
	struct buf replies;
	struct loop_timer *echo;
	struct loop_defer *defer;
};

size_t input_clean(char *text, size_t len)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == 0xc2 && i + 1 < len && (unsigned char)text[i + 1] < 0xa0)
			i++; /* U+0080..U+009F: controls, too */
		else if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
			text[n++] = text[i];
	}
	return n;
}

size_t input_piece(const char *text, size_t len)
{
	size_t n = 0, end;
	int newlines = 0;

	end = len < INPUT_PIECE_BYTES ? len : INPUT_PIECE_BYTES;
	/* Three lines have two newlines between them. */
	while (n < end && !(text[n] == '\n' && ++newlines == INPUT_PIECE_LINES))
		n++;
	if (n == len)
		return n;
	while (n > 1 && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n ? n : 1;
}

/* The longest line of the text; INPUT_LINE_MAX is what the kernel keeps of one. */
static size_t longest_line(const char *text, size_t len)
{
	size_t longest = 0, from = 0, i;

	for (i = 0; i <= len; i++) {
		if (i < len && text[i] != '\n')
			continue;
		if (i - from > longest)
			longest = i - from;
		from = i + 1;
	}
	return longest;
}

static void job_end(struct input *in, const struct err *why)
{
	struct job *j = in->head;

	in->head = j->next;
	if (!in->head)
		in->tail = &in->head;
	in->queued -= j->len;
	in->step = STEP_TEXT;
	loop_timer_stop(in->echo);
	if (j->fn)
		j->fn(j->arg, why);
	free(j->data);
	free(j->enter);
	free(j);
}

static bool put(struct input *in, const void *data, size_t len)
{
	in->writing = in->ops.write(in->arg, data, len) == 0;
	return in->writing;
}

/* Writes the next piece of the head's text. */
static void write_piece(struct input *in, struct job *j)
{
	bool bracketed = j->mode == INPUT_PASTE && in->ops.bracketed(in->arg);
	char out[WRITE_MAX];
	size_t n, len = 0, i;

	if (j->mode == INPUT_PASTE) {
		n = input_piece(j->data + j->done, j->len - j->done);
	} else {
		n = j->len - j->done;
		n = n < INPUT_RAW_BYTES ? n : INPUT_RAW_BYTES;
	}
	if (bracketed)
		len += strlen(strcpy(out, PASTE_BEGIN));
	memcpy(out + len, j->data + j->done, n);
	/* Outside brackets a program that reads raw expects what the Enter key sends. */
	if (j->mode == INPUT_PASTE && !bracketed && !in->ops.canonical(in->arg))
		for (i = len; i < len + n; i++)
			if (out[i] == '\n')
				out[i] = '\r';
	len += n;
	if (bracketed)
		len += strlen(strcpy(out + len, PASTE_END));
	if (put(in, out, len))
		j->done += n;
}

static void begin_enter(struct input *in, struct job *j)
{
	in->step = STEP_ENTER;
	if (j->len > 0 && !in->ops.canonical(in->arg)) {
		in->step = STEP_ECHO;
		loop_timer_start(in->echo, INPUT_ECHO_MS);
	}
}

/* Does what can be done now; called whenever something changed. */
static void step(struct input *in)
{
	if (in->running)
		return;
	in->running = true;
	while (!in->writing) {
		struct job *j = in->head;

		if (in->replies.len && in->step != STEP_ECHO) {
			if (put(in, buf_data(&in->replies), in->replies.len))
				buf_clear(&in->replies);
			break;
		}
		if (!j || in->step == STEP_ECHO)
			break;
		if (in->step == STEP_TEXT && j->done < j->len) {
			write_piece(in, j);
			break;
		}
		if (in->step == STEP_TEXT && j->enter) {
			begin_enter(in, j);
			continue;
		}
		if (in->step == STEP_ENTER) {
			if (put(in, j->enter, strlen(j->enter)))
				in->step = STEP_END;
			break;
		}
		job_end(in, NULL);
	}
	in->running = false;
}

static void on_defer(void *arg)
{
	step(arg);
}

static void on_echo_timer(void *arg)
{
	struct input *in = arg;

	if (in->step == STEP_ECHO)
		in->step = STEP_ENTER;
	step(in);
}

struct input *input_create(struct loop *l, const struct input_ops *ops, void *arg)
{
	struct input *in = xcalloc(1, sizeof(*in));

	in->ops = *ops;
	in->arg = arg;
	in->tail = &in->head;
	buf_init(&in->replies, INPUT_REPLY_MAX);
	in->echo = loop_timer_create(l, on_echo_timer, in);
	in->defer = loop_defer_create(l, on_defer, in);
	return in;
}

void input_fail(struct input *in, const struct err *why)
{
	buf_clear(&in->replies);
	in->running = true;
	while (in->head)
		job_end(in, why);
	in->running = false;
	in->writing = false;
}

void input_destroy(struct input *in)
{
	struct err gone = {0};

	if (!in)
		return;
	err_set(&gone, ERR_CANCELLED, "the terminal is gone");
	input_fail(in, &gone);
	loop_timer_free(in->echo);
	loop_defer_free(in->defer);
	buf_finish(&in->replies);
	free(in);
}

static int check_canonical(const char *data, size_t len, struct err *e)
{
	size_t longest = longest_line(data, len);

	if (longest <= INPUT_LINE_MAX)
		return 0;
	err_set(e, ERR_LIMIT, "a line of %zu bytes is longer than the %d that this terminal takes", longest,
		INPUT_LINE_MAX);
	return err_hint(e, "the program reads whole lines (its terminal is in canonical mode); "
			   "send shorter lines, or wait until it reads by itself");
}

int input_add(struct input *in, enum input_mode mode, const void *data, size_t len, const char *enter,
	input_done_fn *fn, void *fn_arg, struct err *e)
{
	struct job *j;
	char *copy;

	if (len > INPUT_MAX)
		return err_set(e, ERR_LIMIT, "the input has %zu bytes; at most %d are taken at once", len,
			INPUT_MAX);
	if (in->queued + len > INPUT_QUEUE_MAX)
		return err_set(e, ERR_BUSY, "%zu bytes of input wait for the terminal already", in->queued);
	copy = xcalloc(1, len + 1);
	memcpy(copy, data, len);
	if (mode == INPUT_PASTE)
		len = input_clean(copy, len);
	if (in->ops.canonical(in->arg) && check_canonical(copy, len, e) < 0) {
		free(copy);
		return -1;
	}
	j = xcalloc(1, sizeof(*j));
	*j = (struct job){.mode = mode, .data = copy, .len = len, .enter = xstrdup(enter), .fn = fn,
		.arg = fn_arg};
	*in->tail = j;
	in->tail = &j->next;
	in->queued += len;
	loop_defer_schedule(in->defer);
	return 0;
}

void input_type(struct input *in, const void *data, size_t len)
{
	struct job *last = in->head;

	while (last && last->next)
		last = last->next;
	if (in->queued + len > INPUT_QUEUE_MAX)
		return;
	if (last && last->typed && last->len + len <= INPUT_MAX) {
		last->data = xrealloc(last->data, last->len + len + 1);
		memcpy(last->data + last->len, data, len);
		last->len += len;
		in->queued += len;
		step(in);
		return;
	}
	/* A person at a canonical terminal may type what they like: no check of lines. */
	last = xcalloc(1, sizeof(*last));
	*last = (struct job){.mode = INPUT_RAW, .typed = true, .data = xcalloc(1, len + 1), .len = len};
	memcpy(last->data, data, len);
	*in->tail = last;
	in->tail = &last->next;
	in->queued += len;
	step(in);
}

void input_reply(struct input *in, const void *data, size_t len)
{
	buf_append(&in->replies, data, len);
	loop_defer_schedule(in->defer);
}

void input_taken(struct input *in)
{
	in->writing = false;
	step(in);
}

void input_echoed(struct input *in)
{
	if (in->step != STEP_ECHO)
		return;
	in->step = STEP_ENTER;
	loop_timer_stop(in->echo);
	loop_defer_schedule(in->defer);
}

bool input_idle(const struct input *in)
{
	return !in->head && !in->writing && !in->replies.len;
}
