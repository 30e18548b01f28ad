/* SPDX-License-Identifier: ISC */
/* What the parts of the shim share: stages, members of JSON objects. */
#include "base/clock.h"
#include "place/shim/shim.h"

void shim_stage(struct shim *s, const char *stage, const char *text)
{
	events_mention(s->events, "stage",
		json_pack("{s:s, s:I, s:s}", "stage", stage, "ms",
			(json_int_t)(clock_mono_ms() - (int64_t)s->started_ms), "text", text));
}

const char *json_get_text(const json_t *o, const char *key, const char *def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_string(v) ? json_string_value(v) : def;
}

int64_t json_get_int(const json_t *o, const char *key, int64_t def)
{
	const json_t *v = json_object_get(o, key);

	return json_is_integer(v) ? json_integer_value(v) : def;
}

bool json_get_bool(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

const char *json_need_text(const json_t *o, const char *key, struct err *e)
{
	const char *text = json_get_text(o, key, NULL);

	if (!text)
		err_set(e, ERR_PARAMS, "\"%s\" is missing or not a text", key);
	return text;
}
