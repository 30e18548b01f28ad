/* SPDX-License-Identifier: ISC */
/*
 * What it writes down: HOME/.claude/sessions/PID.json, the transcript below HOME/.claude/projects, and for tests the
 * truth: a line for each thing that happened, in FAKE_CLAUDE_TRUTH/CONVERSATION.
 */
#include "tests/fake/agent/fake.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/util.h"

struct say {
	struct fake *fake;
	char *projects, *path, *session, *truth;
	int64_t lines;
};

static char *config_folder(void)
{
	const char *config = getenv("CLAUDE_CONFIG_DIR"), *home = getenv("HOME");

	return config && *config ? xstrdup(config) : xasprintf("%s/.claude", home ? home : "/nonexistent");
}

static char *path_of(const struct say *s, const char *conversation)
{
	return xasprintf("%s/%s.jsonl", s->projects, conversation);
}

static void append(const char *path, json_t *line)
{
	cleanup_free char *text = json_dumps(line, JSON_COMPACT), *whole = xasprintf("%s\n", text ? text : "");
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	json_decref(line);
	if (fd >= 0)
		write_all(fd, whole, strlen(whole));
}

struct say *say_create(struct fake *f)
{
	struct say *s = xcalloc(1, sizeof(*s));
	cleanup_free char *config = config_folder(), *sessions = xasprintf("%s/sessions", config), *cwd = xstrdup(f->cwd);
	const char *truth = getenv("FAKE_CLAUDE_TRUTH");

	for (char *p = cwd; p && *p; p++)
		if (!isalnum((unsigned char)*p))
			*p = '-';
	s->fake = f;
	s->projects = xasprintf("%s/projects/%s", config, cwd ? cwd : "-");
	dir_make(s->projects, 0700, NULL);
	dir_make(sessions, 0700, NULL);
	s->session = xasprintf("%s/%d.json", sessions, (int)getpid());
	s->path = path_of(s, f->conversation);
	if (truth)
		s->truth = xasprintf("%s/%s", truth, f->conversation);
	return s;
}

void say_destroy(struct say *s)
{
	unlink(s->session);
	free(s->projects);
	free(s->path);
	free(s->session);
	free(s->truth);
	free(s);
}

bool say_has_transcript(const struct say *s, const char *conversation)
{
	cleanup_free char *path = path_of(s, conversation);

	return access(path, F_OK) == 0;
}

const char *say_transcript_path(const struct say *s)
{
	return s->path;
}

/* In place, as the real one does. */
void say_status(struct say *s, const char *status, const char *waiting_for)
{
	char born[32];
	cleanup_close int fd = open(s->session, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	str_fmt(born, sizeof(born), "%llu", (unsigned long long)proc_start_time(getpid()));
	json_t *o = json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:s*}", "pid", (int)getpid(), "sessionId", s->fake->conversation,
		"cwd", s->fake->cwd, "procStart", born, "status", status, "statusUpdatedAt", (json_int_t)clock_wall_ms(),
		"waitingFor", waiting_for);
	cleanup_free char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (fd >= 0 && text)
		write_all(fd, text, strlen(text));
	say_truth(s, "state", status);
}

static json_t *line_of(struct say *s, const char *type)
{
	char now[CLOCK_ISO_MAX], uuid[UUID_SIZE];
	unsigned r[4];

	random_bytes(r, sizeof(r));
	str_fmt(uuid, sizeof(uuid), "%08x-%04x-4%03x-8%03x-%08x%04x", r[0], r[1] & 0xffff, r[1] >> 20, r[2] & 0xfff, r[3],
		r[2] >> 16);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "type", type, "sessionId", s->fake->conversation, "uuid", uuid,
		"timestamp", clock_iso(clock_wall_ms(), now), "cwd", s->fake->cwd, "isSidechain", 0);
}

void say_prompt(struct say *s, const char *text, bool queued)
{
	json_t *o = line_of(s, queued ? "queue-operation" : "user");

	if (queued) {
		json_object_set_new(o, "operation", json_string("enqueue"));
		json_object_set_new(o, "content", json_string(text));
	} else {
		json_object_set_new(o, "message", json_pack("{s:s, s:s}", "role", "user", "content", text));
	}
	append(s->path, o);
}

void say_reply(struct say *s, const char *text)
{
	json_t *o = line_of(s, "assistant");
	char id[32];

	str_fmt(id, sizeof(id), "msg_%d_%lld", (int)getpid(), (long long)++s->lines);
	json_object_set_new(o, "requestId", json_string(id));
	json_object_set_new(o, "message", json_pack("{s:s, s:s, s:s, s:s, s:[{s:s, s:s}], s:{s:i, s:i, s:i, s:i}}", "id", id,
		"type", "message", "role", "assistant", "model", s->fake->model ? s->fake->model : "claude-sonnet-4-5", "content",
		"type", "text", "text", text, "usage", "input_tokens", 10, "output_tokens", 5, "cache_read_input_tokens", 100,
		"cache_creation_input_tokens", 20));
	append(s->path, o);
}

void say_truth(struct say *s, const char *what, const char *text)
{
	if (s->truth)
		append(s->truth, json_pack("{s:I, s:i, s:s, s:s}", "us", (json_int_t)clock_mono_us(), "pid", (int)getpid(),
			"what", what, "text", text));
}
