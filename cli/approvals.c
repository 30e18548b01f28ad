/* SPDX-License-Identifier: ISC */
/* How approvals and grants look: a table of what is asked for, and one of them whole, with its change in colours. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

static enum color status_color(const char *status)
{
	static const struct {
		const char *status;
		enum color color;
	} colors[] = {{"pending", C_YELLOW}, {"approved", C_GREEN}, {"denied", C_RED}, {"expired", C_RED},
		{"withdrawn", C_DIM}};

	for (size_t i = 0; i < ARRAY_LEN(colors); i++)
		if (!strcmp(colors[i].status, status))
			return colors[i].color;
	return C_NONE;
}

static const char *span_until(const char *time, char span[SPAN_MAX])
{
	int64_t at = text_parse_time(time), left = at - clock_wall_ms();

	return at < 0 ? "" : text_span(left > 0 ? left : 0, span);
}

void render_approvals(const struct writer *w, const json_t *rows)
{
	static const struct table_title titles[] = {
		{"APPROVAL", 0}, {"INSTANCE", 0}, {"STATUS", 0}, {"SINCE", T_RIGHT},
		{"EXPIRES", T_RIGHT | T_HIDE_EMPTY}, {"KIND", 0}, {"WHAT", T_FLEX},
		{"BY", T_HIDE_EMPTY}, {"REASON", T_FLEX | T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	char span[SPAN_MAX];
	json_t *a;
	size_t i;

	json_array_foreach(rows, i, a) {
		table_row(t);
		table_cell(t, C_BOLD, jstr(a, "id"));
		table_cell(t, C_NONE, jstr(a, "instance"));
		table_cell(t, status_color(jstr(a, "status")), jstr(a, "status"));
		table_cell(t, C_DIM, text_since(jstr(a, "created"), clock_wall_ms(), span));
		table_cell(t, C_NONE, span_until(jstr(a, "expires"), span));
		table_cell(t, C_NONE, jstr(a, "kind"));
		table_cellf(t, C_NONE, "%s%s", jstr(a, "about"), json_is_true(json_object_get(a, "cut")) ? " (cut)" : "");
		table_cell(t, C_DIM, jstr(a, "by"));
		table_cell(t, C_DIM, jstr(a, "reason"));
	}
	table_write(t, w);
	table_destroy(t);
}

/* ---- one whole ---- */

static void lines(const struct writer *w, const char *text, enum color (*color)(const char *line))
{
	while (*text) {
		const char *end = strchrnul(text, '\n');
		cleanup_free char *line = xstrndup(text, (size_t)(end - text));
		writer_text(w, color ? color(line) : C_NONE, line);
		fputc('\n', w->out);
		text = *end ? end + 1 : end;
	}
}

static enum color diff_color(const char *line)
{
	if (str_starts(line, "---") || str_starts(line, "+++"))
		return C_BOLD;
	return line[0] == '+' ? C_GREEN : line[0] == '-' ? C_RED : line[0] == '@' ? C_CYAN : C_NONE;
}

static void render_question(const struct writer *w, const json_t *q)
{
	const json_t *o;
	size_t i;

	writer_text(w, C_BOLD, jstr(q, "question"));
	fputs(json_is_true(json_object_get(q, "multiSelect")) ? "  (several, with commas between them)\n" : "\n", w->out);
	json_array_foreach(json_object_get(q, "options"), i, o)
		writer_printf(w, "  %zu. %s%s%s\n", i + 1, jstr(o, "label"), jstr(o, "description")[0] ? " - " : "",
			jstr(o, "description"));
}

/* Texts line by line, the rest as JSON. */
static void render_arguments(const struct writer *w, const json_t *args, bool with_diff)
{
	const char *key;
	json_t *v;

	if (json_is_string(args)) /* the beginning of what was too long */
		lines(w, json_string_value(args), NULL);
	json_object_foreach((json_t *)args, key, v) {
		if (with_diff && (!strcmp(key, "old_string") || !strcmp(key, "new_string") || !strcmp(key, "content") ||
				!strcmp(key, "edits") || !strcmp(key, "new_source")))
			continue; /* it stands in the change below */
		writer_text(w, C_DIM, key);
		if (json_is_string(v) && strchr(json_string_value(v), '\n')) {
			fputs(":\n", w->out);
			lines(w, json_string_value(v), NULL);
			continue;
		}
		cleanup_free char *text = json_is_string(v) ? xstrdup(json_string_value(v))
							    : json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
		writer_printf(w, ": %s\n", text ? text : "");
	}
}

void render_approval(const struct writer *w, const json_t *a)
{
	const json_t *args = json_object_get(a, "arguments"), *q;
	const char *diff = jstr(a, "diff");
	bool cut = json_is_true(json_object_get(a, "cut"));
	size_t i;

	writer_field(w, "approval", C_BOLD, jstr(a, "id"));
	writer_field(w, "status", status_color(jstr(a, "status")), jstr(a, "status"));
	writer_field_if(w, "instance", jstr(a, "instance"));
	writer_field_if(w, "subagent", jstr(a, "subagent"));
	writer_field_if(w, "kind", jstr(a, "kind"));
	writer_field_if(w, "tool", jstr(a, "tool"));
	writer_field_if(w, "folder", jstr(a, "folder"));
	writer_field_if(w, "created", jstr(a, "created"));
	writer_field_if(w, "expires", jstr(a, "expires"));
	writer_field_if(w, "by", jstr(a, "by"));
	writer_field_if(w, "reason", jstr(a, "reason"));
	writer_field_if(w, "used", jstr(a, "used"));
	if (cut)
		writer_field(w, "arguments", C_YELLOW, "cut: they were too long to be kept whole");
	if (cut)
		writer_field(w, "sha256", C_YELLOW, jstr(a, "digest")[0] ? jstr(a, "digest") : "not known");
	fputc('\n', w->out);
	if (!strcmp(jstr(a, "kind"), "question") && json_is_array(json_object_get(args, "questions"))) {
		json_array_foreach(json_object_get(args, "questions"), i, q)
			render_question(w, q);
	} else if (json_is_null(args)) {
		writer_printf(w, "Its arguments are not kept any more.\n");
	} else {
		render_arguments(w, args, diff[0] != '\0');
	}
	if (diff[0])
		fputc('\n', w->out);
	lines(w, diff, diff_color);
}

void render_grants(const struct writer *w, const json_t *rows)
{
	static const struct table_title titles[] = {
		{"GRANT", 0}, {"INSTANCE", 0}, {"TOOL", 0}, {"SCOPE", 0}, {"FOR", T_RIGHT},
		{"USES", T_RIGHT}, {"WHAT", T_FLEX}, {"BY", T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	char span[SPAN_MAX];
	json_t *g;
	size_t i;

	json_array_foreach(rows, i, g) {
		const char *left = span_until(jstr(g, "until"), span);
		table_row(t);
		table_cell(t, C_BOLD, jstr(g, "id"));
		table_cell(t, C_NONE, jstr(g, "instance"));
		table_cell(t, C_NONE, jstr(g, "tool"));
		table_cell(t, C_NONE, jstr(g, "scope"));
		table_cell(t, C_NONE, left[0] ? left : "its life");
		table_cellf(t, C_NONE, "%lld", (long long)jint(g, "uses"));
		table_cell(t, C_NONE, jstr(g, "about"));
		table_cell(t, C_DIM, jstr(g, "by"));
	}
	table_write(t, w);
	table_destroy(t);
}
