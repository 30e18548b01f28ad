/* SPDX-License-Identifier: ISC */
/*
 * Prompts found again in the transcript, where nobody reported that they were taken.
 *
 * A prompt is compared by its head, blanks run together. Of several prompts of one text each has an occurrence of its own,
 * in their order: one that was delivered takes the first that is not older than itself, so that an earlier prompt's line is
 * never proof of a later one. A prompt typed while the program works stands there twice (in its queue, and when it is
 * used): that is one occurrence.
 */
#include "daemon/core/transcript.h"

#define CLOCK_SLACK_MS 1000
#define SAME_MS 60000 /* so long after its report the line of a prompt may be written */
#define SAME_MAX 64   /* occurrences, and prompts, of one text that are looked at */

static void digest_of(const struct transcript_format *format, const char *text, char digest[SHA256_HEX])
{
	char head[TRANSCRIPT_HEAD_MAX];

	format->head(head, text);
	sha256_hex(head, strlen(head), digest);
}

void seen_prompt_line(struct unit *u, const struct transcript_line *l, bool inherited)
{
	enum seen_prompt how = l->kind == TR_PROMPT ? SEEN_TYPED : l->used ? SEEN_USED : SEEN_QUEUED;
	char digest[SHA256_HEX];

	if ((l->kind != TR_PROMPT && l->kind != TR_QUEUED) || l->own || l->side || inherited || !l->text)
		return;
	digest_of(transcript_format_of(u), l->text, digest);
	P(u->f)->transcript_prompt_add(CTX(u->f), u->in->id, l->time_ms ? l->time_ms : clock_wall_ms(), digest, how);
}

bool seen_is_left(const int64_t *times, size_t n, const int64_t *others, size_t m, int64_t since_ms)
{
	size_t at = 0;

	/* Both ascend: the first that is not before this one, and not taken, is never before what another took. */
	for (size_t i = 0; i < n; i++) {
		if (at < m && others[at] <= times[i])
			at++;
		else if (times[i] >= since_ms)
			return true;
	}
	return false;
}

enum transcript_saw transcript_saw_prompt(struct unit *u, const struct prompt *p, int64_t since_ms)
{
	const struct transcript_format *format = transcript_format_of(u);
	int64_t times[SAME_MAX], others[SAME_MAX], from = since_ms - CLOCK_SLACK_MS;
	char digest[SHA256_HEX];
	size_t n, m;

	if (!u->tracks || !format)
		return TRANSCRIPT_SAW_UNSURE;
	digest_of(format, p->text, digest);
	m = P(u->f)->prompts_same(CTX(u->f), p, since_ms - SAME_MS, others, SAME_MAX);
	for (size_t i = 0; i < m; i++)
		others[i] -= CLOCK_SLACK_MS;
	n = P(u->f)->transcript_prompt_times(CTX(u->f), u->in->id, digest, m && others[0] < from ? others[0] : from, times, SAME_MAX);
	if (seen_is_left(times, n, others, m, from))
		return TRANSCRIPT_SAW;
	return transcript_known(u) ? TRANSCRIPT_SAW_NOT : TRANSCRIPT_SAW_UNSURE;
}
