/* SPDX-License-Identifier: ISC */
/* How notifications stand, as text: the channels, and the newest notices. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

static void render_channels(const struct writer *w, const json_t *channels)
{
	static const struct table_title titles[] = {
		{"CHANNEL", 0}, {"", 0}, {"WAITING", T_RIGHT}, {"WHERE", T_HIDE_EMPTY},
		{"FOR", T_FLEX | T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	const json_t *ch, *r;
	size_t i, k;

	json_array_foreach(channels, i, ch) {
		bool on = json_is_true(json_object_get(ch, "on"));
		char reasons[512] = "";
		size_t at = 0;
		json_array_foreach(json_object_get(ch, "reasons"), k, r)
			if (at < sizeof(reasons))
				at += (size_t)snprintf(reasons + at, sizeof(reasons) - at, "%s%s", at ? " " : "", json_string_value(r));
		table_row(t);
		table_cell(t, C_BOLD, jstr(ch, "channel"));
		table_cell(t, on ? C_GREEN : C_DIM, on ? "on" : "off");
		table_cellf(t, C_NONE, "%lld", (long long)jint(ch, "waiting"));
		table_cell(t, C_NONE, jstr(ch, "what"));
		table_cell(t, C_DIM, reasons);
	}
	table_write(t, w);
	table_destroy(t);
}

static enum color status_color(const char *status)
{
	if (!strcmp(status, "sent"))
		return C_GREEN;
	return !strcmp(status, "failed") || !strcmp(status, "unknown") ? C_RED : C_YELLOW;
}

void render_notify(const struct writer *w, const json_t *result)
{
	const json_t *notices = json_object_get(result, "notices"), *n;
	static const struct table_title titles[] = {
		{"NOTICE", 0}, {"CHANNEL", 0}, {"STATUS", 0}, {"AGE", T_RIGHT}, {"TRIES", T_RIGHT},
		{"WHAT", T_FLEX}, {"ERROR", T_FLEX | T_HIDE_EMPTY}};
	struct table *t = table_of(titles, ARRAY_LEN(titles));
	char span[SPAN_MAX];
	size_t i;

	render_channels(w, json_object_get(result, "channels"));
	json_array_foreach(notices, i, n) {
		table_row(t);
		table_cell(t, C_DIM, jstr(n, "id"));
		table_cell(t, C_NONE, jstr(n, "channel"));
		table_cell(t, status_color(jstr(n, "status")), jstr(n, "status"));
		table_cell(t, C_DIM, text_since(jstr(n, "created"), clock_wall_ms(), span));
		table_cellf(t, C_NONE, "%lld", (long long)jint(n, "attempts"));
		table_cell(t, C_NONE, jstr(n, "text"));
		table_cell(t, C_RED, jstr(n, "error"));
	}
	if (json_array_size(notices)) {
		fputc('\n', w->out);
		table_write(t, w);
	}
	table_destroy(t);
}
