/* SPDX-License-Identifier: ISC */
/*
 * Pages of a conversation. A page ends before the line that does not fit any more; one that would not fit into an empty
 * page has its texts cut until it does. Of the last entries the first ones give way.
 */
#include "daemon/api/transcript_page.h"

#include "base/util.h"

#define WINDOWS_MOST 16 /* of one page: most lines say nothing to a person */
#define TEXT_LEAST 64   /* texts are not cut shorter than this: then the line is not shown */

static size_t size_of(const json_t *o)
{
	return json_dumpb(o, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) + 1;
}

static void stamp(const struct transcript_page *p, json_t *all, int64_t at)
{
	json_t *o;
	size_t i;

	json_array_foreach(all, i, o) {
		json_object_set_new(o, "at", json_integer(at));
		json_object_set_new(o, "conversation", json_string(p->conversation));
	}
}

/* What a call's input lost says its entry; a text's says the format. */
static void say_cut(json_t *all, const json_t *whole)
{
	json_t *o;
	size_t i;

	json_array_foreach(all, i, o) {
		const json_t *was = json_array_get(whole, i);
		size_t before = was ? size_of(was) : 0, now = size_of(o);
		if (before > now && !json_object_get(o, "cut"))
			json_object_set_new(o, "cut", json_integer((json_int_t)(before - now)));
	}
}

/* The line's entries, small enough for an empty page; whole: as they are. New reference. */
static json_t *within_a_page(struct transcript_page *p, const struct transcript_line *l, const json_t *whole, size_t len,
	int64_t at)
{
	json_t *all;

	for (size_t max = p->text_max / 2; max >= TEXT_LEAST; max /= 2) {
		all = p->format->entries(l, max);
		stamp(p, all, at);
		say_cut(all, whole);
		if (size_of(all) <= TRANSCRIPT_PAGE_MAX)
			return all;
		json_decref(all);
	}
	all = json_pack("[{s:s, s:s, s:I}]", "kind", "note", "text", "(a line that is too long to be shown)", "cut",
		(json_int_t)len);
	stamp(p, all, at);
	return all;
}

static void drop_first(struct transcript_page *p)
{
	struct page_entry *e = &p->e[p->first++];

	p->n--;
	p->bytes -= e->bytes;
	json_decref(e->entry);
}

static void drop_all(struct transcript_page *p)
{
	while (p->n)
		drop_first(p);
	p->first = 0;
}

static void append(struct transcript_page *p, json_t *o)
{
	if (p->first + p->n == p->room && p->first > p->n) {
		memcpy(p->e, p->e + p->first, p->n * sizeof(*p->e));
		p->first = 0;
	}
	if (p->first + p->n == p->room) {
		p->room = p->room ? 2 * p->room : 256;
		p->e = xrealloc(p->e, p->room * sizeof(*p->e));
	}
	p->e[p->first + p->n++] = (struct page_entry){json_incref(o), size_of(o)};
	p->bytes += size_of(o);
}

/* False: the page is full, the line is not part of it. */
static bool add_line(struct transcript_page *p, const char *line, size_t len, int64_t at)
{
	struct transcript_line l = {0};
	struct err err = {0};
	json_t *all, *o;
	size_t i, size;
	bool fits;

	while (len > 0 && *line == '\0') { /* given up for the bound */
		line++;
		len--;
	}
	if (len == 0 || p->format->parse(line, len, &l, &err) < 0)
		return true;
	all = p->format->entries(&l, p->text_max);
	stamp(p, all, at);
	size = size_of(all);
	if (size > TRANSCRIPT_PAGE_MAX && (p->last || p->n == 0)) {
		json_t *less = within_a_page(p, &l, all, len, at);
		json_decref(all);
		all = less;
		size = size_of(all);
	}
	for (; p->last && p->n && p->bytes + size > TRANSCRIPT_PAGE_MAX; p->dropped = true)
		drop_first(p);
	fits = p->bytes + size <= TRANSCRIPT_PAGE_MAX;
	if (fits)
		json_array_foreach(all, i, o)
			append(p, o);
	while (p->last && p->n > p->want)
		drop_first(p);
	json_decref(all);
	p->format->finish(&l);
	return fits;
}

/* The lines from p->next on, up to `end` or one window; false when there was no whole one. */
static bool add_window(struct transcript_page *p, int64_t end, size_t size)
{
	int64_t left = end - p->next, n;
	cleanup_free char *data = NULL;
	size_t done = 0;
	const char *nl;

	if (left <= 0)
		return false;
	if ((int64_t)size > left)
		size = (size_t)left;
	data = xcalloc(1, size + 1);
	n = p->read(p->ctx, p->next, data, size);
	while (n > 0 && (nl = memchr(data + done, '\n', (size_t)n - done))) {
		size_t len = (size_t)(nl - (data + done));
		p->full = !add_line(p, data + done, len, p->next + (int64_t)done);
		if (p->full)
			break;
		done += len + 1;
	}
	if (!done && !p->full && n == TRANSCRIPT_LINE_MAX) /* longer than any line may be */
		done = (size_t)n;
	if (!done && !p->full && n == (int64_t)size && size < TRANSCRIPT_LINE_MAX && left > (int64_t)size)
		return add_window(p, end, TRANSCRIPT_LINE_MAX);
	p->next += (int64_t)done;
	return done > 0;
}

void transcript_page_from(struct transcript_page *p, int64_t end)
{
	for (int i = 0; i < WINDOWS_MOST && !p->full && add_window(p, end, TRANSCRIPT_WINDOW); i++)
		;
}

void transcript_page_last(struct transcript_page *p, int64_t end, size_t want)
{
	p->last = true;
	p->want = want;
	/* From growing distances to the end, until there are enough of them, or all that fits. */
	for (int64_t back = TRANSCRIPT_WINDOW;; back = back * 4 < TRANSCRIPT_LAST_MOST ? back * 4 : TRANSCRIPT_LAST_MOST) {
		drop_all(p);
		p->next = back < end ? end - back : 0;
		/* The first line is cut, unless it is the first of all: it is no line then. */
		while (add_window(p, end, TRANSCRIPT_WINDOW))
			;
		if (p->n >= want || p->dropped || back >= end || back >= TRANSCRIPT_LAST_MOST)
			return;
	}
}

json_t *transcript_page_take(struct transcript_page *p)
{
	json_t *all = json_array();

	for (size_t i = 0; i < p->n; i++)
		json_array_append(all, p->e[p->first + i].entry);
	drop_all(p);
	free(take_ptr(p->e));
	p->room = 0;
	return all;
}
