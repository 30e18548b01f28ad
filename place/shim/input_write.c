/* SPDX-License-Identifier: ISC */
/* One write to the terminal: a piece in its brackets, and what is owed when it was cut. */
#include "place/shim/input_int.h"

#include "base/fault.h"
#include "base/util.h"

void input_owe_end(struct input *in)
{
	buf_append(&in->owed, PASTE_END, BRACKET_LEN);
}

bool input_put(struct input *in, int what, const void *data, size_t len)
{
	struct under_way *w = &in->w;

	FAULT_POINT("input.write");
	if (in->ops.write(in->arg, data, len) < 0)
		return false;
	FAULT_POINT("input.written");
	w->what = what;
	if (data != w->data) {
		w->len = len;
		w->pre = w->text = 0;
		w->paste = w->was_open = false;
	}
	return true;
}

void input_write_piece(struct input *in, struct job *j)
{
	struct under_way *w = &in->w;
	size_t left = j->len - j->done;
	bool last;

	*w = (struct under_way){.what = W_NONE, .was_open = j->open};
	w->paste = j->mode == INPUT_PASTE && (j->open || in->ops.bracketed(in->arg));
	if (j->mode == INPUT_RAW)
		w->text = left < INPUT_RAW_BYTES ? left : INPUT_RAW_BYTES;
	else if (w->paste && !j->whole)
		w->text = input_piece(j->data + j->done, left);
	else
		w->text = input_cut(j->data + j->done, left, INPUT_RAW_BYTES);
	last = !j->whole || w->text == left;
	if (w->paste && !w->was_open)
		w->pre = strlen(strcpy(w->data, PASTE_BEGIN));
	memcpy(w->data + w->pre, j->data + j->done, w->text);
	w->len = w->pre + w->text;
	/* Outside brackets a program that reads raw expects what the Enter key sends. */
	if (j->mode == INPUT_PASTE && !w->paste && !in->ops.canonical(in->arg))
		for (size_t i = 0; i < w->len; i++)
			if (w->data[i] == '\n')
				w->data[i] = '\r';
	if (w->paste && last)
		w->len += strlen(strcpy(w->data + w->len, PASTE_END));
	if (!input_put(in, W_TEXT, w->data, w->len))
		return;
	j->done += w->text;
	j->open = w->paste && !last;
}

size_t input_write_over(struct input *in, size_t n)
{
	struct under_way *w = &in->w;
	size_t sent = w->len - (n < w->len ? n : w->len), end = w->pre + w->text, to = sent;

	if (w->what == W_OWED) {
		buf_consume(&in->owed, sent);
		w->what = W_NONE;
		return 0;
	}
	if (w->what != W_TEXT || n == 0) {
		w->what = W_NONE;
		return w->text;
	}
	w->what = W_NONE;
	if (sent == 0 && !w->was_open)
		return 0;
	if (sent > 0 && sent < w->pre)
		to = w->pre; /* the bracket itself was cut */
	else
		while (sent > w->pre && to < end && to - sent < 3 && ((unsigned char)w->data[to] & 0xc0) == 0x80)
			to++;
	if (to > end)
		to = w->len; /* the closing bracket was cut */
	buf_append(&in->owed, w->data + sent, to - sent);
	if (w->paste && to <= end)
		input_owe_end(in);
	return to > end ? w->text : to > w->pre ? to - w->pre : 0;
}
