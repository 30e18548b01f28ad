/* SPDX-License-Identifier: ISC */
/*
 * What an agent program wrote down of its conversations: one JSON object a line. Pure: a line in, what it
 * says out. Every line is untrusted: cut, huge, or no JSON at all.
 *
 * Who wants to learn something from lines as they are applied (usage, prompts) adds a consumer to
 * core/transcript.c; who shows them takes entries.
 */
#ifndef DAEMON_AGENT_TRANSCRIPT_H
#define DAEMON_AGENT_TRANSCRIPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define TRANSCRIPT_LINE_MAX (4 * 1024 * 1024) /* longer lines are passed over */
#define TRANSCRIPT_WORD_MAX 80                /* ids, models */
#define TRANSCRIPT_PATH_MAX 512               /* of a file, below its root */
#define TRANSCRIPT_ID_MAX 64                  /* of a conversation */
#define TRANSCRIPT_HEAD_MAX 512               /* of a prompt, by which it is compared */

enum transcript_kind {
	TR_OTHER,   /* nothing for us */
	TR_PROMPT,  /* what somebody said to the agent; `own`: the program itself did */
	TR_QUEUED,  /* a prompt that the program took while it was busy; a TR_PROMPT follows when it is used */
	TR_REPLY,   /* text, thinking, tool calls of the model; several lines may be of one message */
	TR_RESULT,  /* what tools gave */
	TR_COMPACT, /* all before was summarised; a text here is the summary */
	TR_TOTAL,   /* what the program itself counted of this run so far */
};

struct transcript_usage {
	int64_t input, output, cache_read, cache_write; /* tokens; input without the cached ones */
	int64_t thinking;                                /* of output */
	int64_t cache_write_1h;                          /* of cache_write: kept for an hour, at another price */
	int64_t web_searches;
};

struct transcript_line {
	enum transcript_kind kind;
	int64_t time_ms; /* wall clock of the place; 0: not said */
	char uuid[TRANSCRIPT_WORD_MAX];
	char conversation[TRANSCRIPT_ID_MAX];
	/* In a branched conversation: the one in which this was said first. Empty: this one. */
	char origin[TRANSCRIPT_ID_MAX];
	char message[TRANSCRIPT_WORD_MAX]; /* TR_REPLY: lines with the same one repeat one usage: the last holds */
	char request[TRANSCRIPT_WORD_MAX];
	char model[TRANSCRIPT_WORD_MAX];
	char effort[16];
	bool side;  /* of a subagent, beside the conversation */
	bool own;   /* TR_PROMPT: not a person's, nor ours */
	bool used;  /* TR_QUEUED: it was queued before, and is used now */
	bool error; /* TR_REPLY: a failure of the API, shown as a reply */
	char *text; /* TR_PROMPT, TR_QUEUED, TR_COMPACT: whole; NULL where there is none */
	bool has_usage;
	struct transcript_usage usage;
	int64_t cost_nano; /* TR_TOTAL: billionths of a dollar, all of this run; usage is of all models */
	json_t *doc;       /* the whole line */
};

struct transcript_format {
	/* Where its files are: below a folder of the home, or below the one that a variable names. */
	const char *home_dir, *dir_env, *below;
	/* Beside `below`: a folder with a file for each process: {pid, sessionId}. NULL: its conversations are in a storage
	 * of its own, so that nothing is to be looked for there. */
	const char *running;
	/* A report's body: the conversation's id and the file's path below root. False: it names none there. */
	bool (*named)(const json_t *body, const char *root, char conversation[TRANSCRIPT_ID_MAX],
		char path[TRANSCRIPT_PATH_MAX]);
	/* Where the file of a conversation is that is put there for a program in that folder. False: it has no name. */
	bool (*path)(const char *dir, const char *conversation, char path[TRANSCRIPT_PATH_MAX]);
	/* Could it be a conversation's id? NULL: what has a path is one. */
	bool (*is_id)(const char *conversation);
	/* Without looking closely: may it say anything that is applied? False: it need not be parsed. */
	bool (*wanted)(const char *line, size_t len);
	/* -1: not a line of such a file. Release with finish. */
	int (*parse)(const char *line, size_t len, struct transcript_line *ret, struct err *e);
	/*
	 * What people and programs are shown of it: an array (new) of
	 *   {kind: prompt|queued|text|thinking|tool|result|compact|note, time?, side?, own?, uuid?,
	 *    text?, cut?, tool?, tool_id?, input?, error?, model?, message?, usage?{input, output, cache_read, cache_write}}
	 * Texts longer than text_max bytes are cut at a character (`cut`: the bytes left out).
	 */
	json_t *(*entries)(const struct transcript_line *l, size_t text_max);
	void (*finish)(struct transcript_line *l);
	/* How a prompt is compared: the head of it, blanks and line ends run together, without marks that the program puts
	 * around what was pasted. Terminals and programs change all of these. */
	void (*head)(char out[TRANSCRIPT_HEAD_MAX], const char *text);
};

/* For the formats: "2026-11-21T16:13:14.175Z" in ms since 1970, or 0. */
int64_t transcript_time(const char *iso);
/* claude_transcript.c */
extern const struct transcript_format claude_transcript;

#endif
