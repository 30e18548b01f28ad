/* SPDX-License-Identifier: ISC */
/* Prompts as text: a table of them, and one whole. */
#include <string.h>

#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

#define DIGEST_SHOWN 8

static enum color status_color(const char *status)
{
	if (!strcmp(status, "failed") || !strcmp(status, "unknown"))
		return C_RED;
	if (!strcmp(status, "answered"))
		return C_GREEN;
	return strcmp(status, "queued") ? C_CYAN : C_YELLOW;
}

/* "queued (now)", "delivered (goes on)"; owned. */
static char *status_text(const json_t *p)
{
	const char *status = jstr(p, "status"), *way = jstr(p, "way");

	if (!strcmp(status, "queued") && strcmp(way, "order") != 0)
		return xasprintf("%s (%s)", status, way);
	if (json_is_true(json_object_get(p, "goes_on")) && !strcmp(status, "delivered"))
		return xasprintf("%s (goes on)", status);
	return xstrdup(status);
}

void render_prompts(const struct writer *w, const json_t *list, int64_t now_ms)
{
	static const struct table_title titles[] = {
		{"KEY", 0}, {"AGENT", 0}, {"STATUS", 0}, {"AGE", T_RIGHT}, {"FOR", T_RIGHT},
		{"", T_FLEX | T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	json_t *p;
	size_t i;

	json_array_foreach(list, i, p) {
		cleanup_free char *status = status_text(p);
		const char *text = jstr(p, "text"), *why = jstr(p, "reason");
		char age[SPAN_MAX], since[SPAN_MAX];

		table_row(t);
		table_cell(t, C_BOLD, jstr(p, "key"));
		table_cell(t, C_NONE, jstr(p, "instance"));
		table_cell(t, status_color(jstr(p, "status")), status);
		table_cell(t, C_DIM, text_since(jstr(p, "created_at"), now_ms, age));
		table_cell(t, C_DIM, text_since(jstr(p, "changed_at"), now_ms, since));
		if (why[0])
			table_cell(t, C_NONE, why);
		else if (text[0])
			table_cell(t, C_NONE, text);
		else
			table_cellf(t, C_DIM, "#%.*s", DIGEST_SHOWN, jstr(p, "digest"));
	}
	table_write(t, w);
	table_destroy(t);
}

void render_prompt(const struct writer *w, const json_t *p)
{
	cleanup_free char *status = status_text(p);
	const char *said = jstr(p, "answer");

	writer_field(w, "key", C_BOLD, jstr(p, "key"));
	writer_field(w, "agent", C_NONE, jstr(p, "instance"));
	writer_field(w, "status", status_color(jstr(p, "status")), status);
	writer_field_if(w, "why", jstr(p, "reason"));
	writer_field_if(w, "what to do", jstr(p, "hint"));
	if (strcmp(jstr(p, "mode"), "paste") != 0)
		writer_field_if(w, "typed as", jstr(p, "mode"));
	writer_field_if(w, "created", jstr(p, "created_at"));
	writer_field_if(w, "delivered", jstr(p, "delivered_at"));
	writer_field_if(w, "changed", jstr(p, "changed_at"));
	writer_field_if(w, "digest", jstr(p, "digest"));
	writer_field_if(w, "text", jstr(p, "text"));
	if (!said[0])
		return;
	fputc('\n', w->out);
	writer_text(w, C_NONE, said);
	if (said[strlen(said) - 1] != '\n')
		fputc('\n', w->out);
}
