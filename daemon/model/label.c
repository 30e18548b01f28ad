/* SPDX-License-Identifier: ISC */
/* Labels: what one may look like, and the terms that choose by them; see label.h. */
#include "daemon/model/label.h"

#include <string.h>

#include "base/util.h"

#define KEY_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static int key_check(const char *key, size_t len, struct err *e)
{
	if (len > 0 && len <= LABEL_KEY_MAX && strspn(key, KEY_CHARS "._/-") >= len && strspn(key, KEY_CHARS) > 0)
		return 0;
	err_set(e, ERR_PARAMS, "'%.*s' is no label's name", (int)(len > 80 ? 80 : len), key);
	return err_hint(e, "1 to %d letters, digits and . _ / -, a letter or digit first", LABEL_KEY_MAX);
}

static int value_check(const char *key, size_t key_len, const char *value, struct err *e)
{
	size_t len = strlen(value);

	if (len > LABEL_VALUE_MAX)
		return err_set(e, ERR_PARAMS, "the value of label '%.*s' is longer than %d bytes", (int)key_len, key,
			LABEL_VALUE_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
			return err_set(e, ERR_PARAMS, "the value of label '%.*s' holds a control character", (int)key_len, key);
	return 0;
}

int labels_check(const json_t *labels, struct err *e)
{
	const char *key;
	json_t *value;

	if (json_object_size(labels) > LABELS_MAX)
		return err_set(e, ERR_PARAMS, "%zu labels are more than the %d an instance may have",
			json_object_size(labels), LABELS_MAX);
	json_object_foreach((json_t *)labels, key, value)
		if (key_check(key, strlen(key), e) < 0 || value_check(key, strlen(key), json_string_value(value), e) < 0)
			return -1;
	return 0;
}

static int change_one(json_t *labels, const char *change, struct err *e)
{
	const char *eq = strchr(change, '=');
	size_t len = strlen(change), key_len = eq ? (size_t)(eq - change) : len - (len > 0);
	cleanup_free char *key = xstrndup(change, key_len);

	if (!eq && (!len || change[len - 1] != '-')) {
		err_set(e, ERR_PARAMS, "'%.80s' is no change of a label", change);
		return err_hint(e, "K=V sets one, K- removes it");
	}
	if (key_check(key, key_len, e) < 0)
		return -1;
	if (eq)
		json_object_set_new(labels, key, json_string(eq + 1));
	else
		json_object_del(labels, key);
	return 0;
}

json_t *labels_changed(const json_t *labels, const json_t *changes, struct err *e)
{
	json_t *out, *change;
	size_t i;

	if (json_array_size(changes) > LABEL_CHANGES_MAX) {
		err_set(e, ERR_PARAMS, "%zu changes of labels are more than %d", json_array_size(changes), LABEL_CHANGES_MAX);
		return NULL;
	}
	out = json_deep_copy(labels);
	json_array_foreach(changes, i, change) {
		if (change_one(out, json_string_value(change), e) == 0)
			continue;
		json_decref(out);
		return NULL;
	}
	if (labels_check(out, e) == 0)
		return out;
	json_decref(out);
	return NULL;
}

/* K, K=V or K!=V taken apart: the value, NULL without. */
static const char *term_value(const char *term, size_t *ret_key, bool *ret_not)
{
	const char *eq = strchr(term, '=');

	*ret_not = eq && eq > term && eq[-1] == '!';
	*ret_key = eq ? (size_t)(eq - term) - *ret_not : strlen(term);
	return eq ? eq + 1 : NULL;
}

int label_term_check(const char *term, struct err *e)
{
	size_t len;
	bool not;
	const char *value = term_value(term, &len, &not);

	if (key_check(term, len, e) < 0 || (value && value_check(term, len, value, e) < 0)) {
		err_hint(e, "a label is chosen by K=V, K!=V or K");
		return -1;
	}
	return 0;
}

bool label_term_holds(const json_t *labels, const char *term)
{
	size_t len;
	bool not;
	const char *value = term_value(term, &len, &not), *have;
	cleanup_free char *key = xstrndup(term, len);

	have = json_string_value(json_object_get(labels, key));
	if (!value)
		return have;
	return not ? !have || strcmp(have, value) != 0 : have && strcmp(have, value) == 0;
}
