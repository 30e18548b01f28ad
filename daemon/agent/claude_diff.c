/* SPDX-License-Identifier: ISC */
/*
 * What an edit that Claude Code asks for would change, as a unified diff. The file as it is now comes from the hook
 * (from inside the place: a claim, as the arguments are); without it the parts that the arguments name are compared.
 */
#include "daemon/agent/body.h"

#include "base/linediff.h"
#include "base/util.h"

#define TEXT_MAX (1024 * 1024) /* of a file after the edits */
#define EDITS_MAX 256

/* text with `from` replaced by `to`, once or wherever it stands; NULL: it does not stand there, or grows too large. */
static char *replaced(const char *text, const char *from, const char *to, bool all)
{
	size_t nfrom = strlen(from), nto = strlen(to), len = strlen(text), count = 0;
	const char *p = text, *hit;

	if (!nfrom)
		return *text ? NULL : xstrdup(to);
	for (hit = strstr(p, from); hit && (all || !count); hit = strstr(hit + nfrom, from))
		count++;
	if (!count || (nto > nfrom && count > (TEXT_MAX - (len < TEXT_MAX ? len : TEXT_MAX)) / (nto - nfrom)))
		return NULL;
	char *out = xcalloc(len + count * nto + 1, 1), *at = out;
	for (; count && (hit = strstr(p, from)); count--) {
		at = mempcpy(at, p, (size_t)(hit - p));
		at = mempcpy(at, to, nto);
		p = hit + nfrom;
	}
	strcpy(at, p);
	return out;
}

static char *one_edit(const char *text, const json_t *edit)
{
	return replaced(text, body_text(edit, "old_string"), body_text(edit, "new_string"),
		json_is_true(json_object_get(edit, "replace_all")));
}

/* The file as it would be; NULL: it cannot be told from what is known of it. */
static char *after_edits(const char *text, const json_t *args)
{
	const json_t *edits = json_object_get(args, "edits");
	char *now;

	if (!edits)
		return one_edit(text, args);
	now = json_array_size(edits) <= EDITS_MAX ? xstrdup(text) : NULL;
	for (size_t i = 0; now && i < json_array_size(edits); i++) {
		char *next = one_edit(now, json_array_get(edits, i));
		free(now);
		now = next;
	}
	return now;
}

/* Heads what line_diff gives; what did not fit is said. */
static char *framed(const char *path, bool absent, const char *before, const char *after)
{
	bool cut;
	cleanup_free char *hunks = line_diff(before, after, APPROVAL_DIFF_MAX, &cut);

	return xasprintf("--- %s\n+++ %s\n%s%s", absent ? "/dev/null" : path, path, hunks,
		cut ? "(the rest of the change is not shown: it is too long)\n" : "");
}

/* Only what the arguments say: where in the file it stands is not known. */
static char *parts(const char *path, const json_t *args)
{
	const json_t *edits = json_object_get(args, "edits");
	bool cut;
	char *all;

	if (!edits)
		return framed(path, false, body_text(args, "old_string"), body_text(args, "new_string"));
	all = xasprintf("--- %s\n+++ %s\n", path, path);
	for (size_t i = 0; i < json_array_size(edits) && i < EDITS_MAX && strlen(all) < APPROVAL_DIFF_MAX; i++) {
		const json_t *edit = json_array_get(edits, i);
		cleanup_free char *hunks = line_diff(body_text(edit, "old_string"), body_text(edit, "new_string"),
			APPROVAL_DIFF_MAX / 4, &cut);
		char *longer = xasprintf("%s%s%s", all, hunks, cut ? "(cut)\n" : "");
		free(all);
		all = longer;
	}
	return all;
}

char *claude_ask_diff(const struct agent_ask *ask, const json_t *file)
{
	const char *path = body_text(ask->args, "file_path");
	bool known = *path && !strcmp(body_text(file, "path"), path);
	bool absent = known && json_is_true(json_object_get(file, "absent"));
	const char *text = absent ? "" : known ? json_string_value(json_object_get(file, "text")) : NULL;

	if (!strcmp(ask->tool, "Write")) {
		if (text)
			return framed(path, absent, text, body_text(ask->args, "content"));
		cleanup_free char *d = framed(path, false, "", body_text(ask->args, "content"));
		return xasprintf("(what the file holds now is not known: all of it is shown as new)\n%s", d);
	}
	if (!strcmp(ask->tool, "NotebookEdit"))
		return framed(body_text(ask->args, "notebook_path"), false, "", body_text(ask->args, "new_source"));
	if (strcmp(ask->tool, "Edit") != 0 && strcmp(ask->tool, "MultiEdit") != 0)
		return NULL;
	cleanup_free char *after = text ? after_edits(text, ask->args) : NULL;
	return after ? framed(path, absent, text, after) : parts(path, ask->args);
}
