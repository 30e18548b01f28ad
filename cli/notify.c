/* SPDX-License-Identifier: ISC */
/* How notifications stand, as text: the channels, and the newest notices. */
#include <string.h>

#include "base/clock.h"
#include "base/util.h"
#include "cli/cli.h"
#include "cli/text.h"

static void render_channels(const struct writer *w, const json_t *channels)
{
	struct table *t = table_create();
	const json_t *ch, *r;
	size_t i, k;

	table_column(t, "CHANNEL", 0);
	table_column(t, "", 0);
	table_column(t, "WAITING", T_RIGHT);
	table_column(t, "WHERE", T_HIDE_EMPTY);
	table_column(t, "FOR", T_FLEX | T_HIDE_EMPTY);
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
	struct table *t = table_create();
	char span[SPAN_MAX];
	size_t i;

	render_channels(w, json_object_get(result, "channels"));
	table_column(t, "NOTICE", 0);
	table_column(t, "CHANNEL", 0);
	table_column(t, "STATUS", 0);
	table_column(t, "AGE", T_RIGHT);
	table_column(t, "TRIES", T_RIGHT);
	table_column(t, "WHAT", T_FLEX);
	table_column(t, "ERROR", T_FLEX | T_HIDE_EMPTY);
	json_array_foreach(notices, i, n) {
		int64_t ms = clock_wall_ms() - text_parse_time(jstr(n, "created"));
		table_row(t);
		table_cell(t, C_DIM, jstr(n, "id"));
		table_cell(t, C_NONE, jstr(n, "channel"));
		table_cell(t, status_color(jstr(n, "status")), jstr(n, "status"));
		table_cell(t, C_DIM, text_span(ms > 0 ? ms : 0, span));
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
