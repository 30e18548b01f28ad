/* SPDX-License-Identifier: ISC */
/* A prompt as plain data: its names, its text, what was said to it. */
#include "daemon/model/model.h"

#include "base/util.h"

static const char *const status_names[PR_STATUS_COUNT] = {
	[PR_QUEUED] = "queued",
	[PR_DELIVERING] = "delivering",
	[PR_DELIVERED] = "delivered",
	[PR_ANSWERED] = "answered",
	[PR_FAILED] = "failed",
	[PR_UNKNOWN] = "unknown",
};

static const char *const way_names[PW_COUNT] = {
	[PW_ORDER] = "order",
	[PW_MERGE] = "merge",
	[PW_NOW] = "now",
};

const char *prompt_status_name(enum prompt_status s)
{
	return (unsigned)s < PR_STATUS_COUNT ? status_names[s] : "unknown";
}

int prompt_status_from_name(const char *s, enum prompt_status *ret)
{
	for (size_t i = 0; s && i < PR_STATUS_COUNT; i++) {
		if (strcmp(status_names[i], s))
			continue;
		*ret = (enum prompt_status)i;
		return 0;
	}
	return -1;
}

const char *prompt_way_name(enum prompt_way w)
{
	return (unsigned)w < PW_COUNT ? way_names[w] : "order";
}

int prompt_way_from_name(const char *s, enum prompt_way *ret)
{
	for (size_t i = 0; s && i < PW_COUNT; i++) {
		if (strcmp(way_names[i], s))
			continue;
		*ret = (enum prompt_way)i;
		return 0;
	}
	return -1;
}

const char *prompt_mode_name(enum prompt_mode m)
{
	switch (m) {
	case PM_PASTE:
		return "paste";
	case PM_RAW:
		return "raw";
	case PM_KEYS:
		return "keys";
	}
	return "paste";
}

void prompt_free(struct prompt *p)
{
	if (!p)
		return;
	free(p->text);
	free(p->answer);
	free(p->reason);
	free(p->hint);
	free(p);
}

void prompt_set(struct prompt *p, enum prompt_mode mode, const void *text, size_t len)
{
	cleanup_free char *all = xcalloc(1, len + 2);

	/* The mode before it: the same bytes typed in another way are another input. */
	all[0] = (char)('0' + mode);
	if (len)
		memcpy(all + 1, text, len);
	sha256_hex(all, len + 1, p->digest);
	free(p->text);
	p->text = xcalloc(1, len + 1);
	if (len)
		memcpy(p->text, text, len);
	p->len = len;
	p->mode = mode;
}

void prompt_set_answer(struct prompt *p, const char *said)
{
	size_t len = said ? strlen(said) : 0, keep = len < PROMPT_ANSWER_MAX ? len : PROMPT_ANSWER_MAX;
	char *text = said ? xcalloc(1, keep + 1) : NULL;

	while (keep < len && keep > 0 && ((unsigned char)said[keep] & 0xc0) == 0x80)
		keep--;
	if (text)
		memcpy(text, said, keep);
	free(p->answer);
	p->answer = text;
	p->answer_cut = keep < len;
}

struct prompt *prompt_copy(const struct prompt *p)
{
	struct prompt *c = xcalloc(1, sizeof(*c));

	*c = *p;
	c->text = xcalloc(1, 1);
	c->len = 0;
	c->answer = xstrdup(p->answer);
	c->reason = xstrdup(p->reason);
	c->hint = xstrdup(p->hint);
	return c;
}
