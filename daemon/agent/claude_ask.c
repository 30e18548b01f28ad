/* SPDX-License-Identifier: ISC */
/*
 * What Claude Code asks a person for, and how it is answered: by its PermissionRequest hook, which waits beside the
 * dialog on the terminal (docs/agents.md, "Asking"; tried by tests/e2e/test_claude_facts.py).
 *
 * The request has no id of its tool call, so a later report of the tool is known by who asks, the tool and its
 * arguments. Questions and plans come back with other arguments (the answers): there the tool's name has to do.
 */
#include "daemon/agent/body.h"

#include "base/util.h"

#define QUESTIONS_MAX 16
#define DENIED "The operator did not allow this."
#define PLAN_DENIED "The operator did not approve the plan. Keep planning."

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static enum approval_kind kind_of(const char *tool)
{
	return is(tool, CLAUDE_TOOL_QUESTION) ? AK_QUESTION : is(tool, CLAUDE_TOOL_PLAN) ? AK_PLAN : AK_PERMISSION;
}

static void digest_of(json_t *o /* stolen */, char out[SHA256_HEX])
{
	cleanup_free char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

	sha256_hex(text ? text : "", text ? strlen(text) : 0, out);
	json_decref(o);
}

/* What Codex says of a command stands in its request only. */
static void match_of(struct agent_ask *a)
{
	json_t *args = kind_of(a->tool) == AK_PERMISSION && a->args ? json_copy((json_t *)a->args) : NULL;

	if (is(a->tool, "Bash"))
		json_object_del(args, "description");
	digest_of(json_pack("[s, s, o?]", a->agent, a->tool, args), a->match);
}

/*
 * What "the same" means for a rule: of a tool that changes a file, that file, whatever the change; of Bash the same
 * command and options in the same folder (what it says of itself and how long it may take are left out); of
 * any other tool the same arguments.
 */
static void subject_of(struct agent_ask *a)
{
	const char *path = body_text(a->args, "file_path");
	json_t *args;

	if (!*path)
		path = body_text(a->args, "notebook_path");
	if (*path && (is(a->tool, "Edit") || is(a->tool, "Write") || is(a->tool, "MultiEdit") ||
			     is(a->tool, "NotebookEdit"))) {
		digest_of(json_pack("[s, s]", "file", path), a->subject);
		return;
	}
	args = a->args ? json_copy((json_t *)a->args) : json_object();
	if (is(a->tool, "Bash")) {
		json_object_del(args, "description");
		json_object_del(args, "timeout");
	}
	digest_of(json_pack("[s, s?, o]", a->tool, is(a->tool, "Bash") ? a->cwd : NULL, args), a->subject);
}

static void common(const json_t *body, struct agent_ask *ret)
{
	const json_t *args = json_object_get(body, "tool_input");

	*ret = (struct agent_ask){.tool = body_text(body, "tool_name"), .agent = body_text(body, "agent_id"),
		.cwd = json_string_value(json_object_get(body, "cwd")),
		.args = json_is_object(args) ? args : NULL,
		.cut = json_is_true(json_object_get(body, "truncated"))};
}

bool claude_ask(const char *event, const json_t *body, struct agent_ask *ret)
{
	if (!is(event, "PermissionRequest") || !json_is_object(body))
		return false;
	common(body, ret);
	if (!*ret->tool || strlen(ret->tool) >= APPROVAL_TOOL_SIZE || strlen(ret->agent) >= APPROVAL_AGENT_SIZE)
		return false;
	ret->kind = kind_of(ret->tool);
	claude_tool_detail(body, ret->about, sizeof(ret->about));
	match_of(ret);
	subject_of(ret);
	return true;
}

enum agent_over claude_ask_over(const char *event, const json_t *body, struct agent_ask *ret)
{
	const char *source = body_text(body, "source");

	if (!json_is_object(body))
		return OVER_NONE;
	common(body, ret);
	if (is(event, "PostToolUse") || is(event, "PostToolUseFailure")) {
		match_of(ret);
		return OVER_TOOL;
	}
	/* Subagents in the background go on when the turn is over. */
	if (is(event, "Stop") || is(event, "StopFailure") || is(event, "SubagentStop"))
		return OVER_AGENT;
	if (is(event, "SessionEnd") || (str_starts(event, CLAUDE_START) && !is(source, "compact")))
		return OVER_ALL;
	return OVER_NONE;
}

/* ---- answering ---- */

static const json_t *option_at(const json_t *question, size_t n)
{
	return json_array_get(json_object_get(question, "options"), n);
}

/* One word of an answer: the number of an option, its label, or (not among several) a text of one's own. */
static const char *chosen(const json_t *question, const char *word, bool several, struct err *e)
{
	size_t n = json_array_size(json_object_get(question, "options"));
	int64_t number;

	for (size_t i = 0; i < n; i++)
		if (is(body_text(option_at(question, i), "label"), word))
			return word;
	if (str_to_i64(word, INT64_MIN, INT64_MAX, &number) == 0) {
		if (number >= 1 && number <= (int64_t)n)
			return body_text(option_at(question, (size_t)number - 1), "label");
		err_set(e, ERR_PARAMS, "the question has %zu options, there is no %s", n, word);
		err_hint(e, "tmux-claude approvals show lists them");
		return NULL;
	}
	if (several) {
		err_set(e, ERR_PARAMS, "'%.80s' is none of the options", word);
		err_hint(e, "several are given as numbers or labels with commas between them: 1,3");
		return NULL;
	}
	return word;
}

/* The answer to one question as the program takes it: labels, of several with ", " between them. */
static json_t *answer_of(const json_t *question, const char *choice, struct err *e)
{
	bool many = json_is_true(json_object_get(question, "multiSelect")) && strchr(choice, ',');
	cleanup_free char *words = xstrdup(choice);
	cleanup_free char *all = NULL;
	char *rest = words, *word;
	const char *one;

	if (!many) {
		one = chosen(question, choice, false, e);
		return one ? json_string(one) : NULL;
	}
	while ((word = strsep(&rest, ","))) {
		word += strspn(word, " ");
		one = chosen(question, word, true, e);
		if (!one)
			return NULL;
		char *longer = xasprintf("%s%s%s", all ? all : "", all ? ", " : "", one);
		free(all);
		all = longer;
	}
	return json_string(all);
}

static json_t *answers_of(const json_t *args, const json_t *choices, struct err *e)
{
	const json_t *questions = json_object_get(args, "questions");
	size_t n = json_array_size(questions);
	json_t *answers = json_object();

	if (!n || n > QUESTIONS_MAX || json_array_size(choices) != n) {
		err_set(e, ERR_PARAMS, "there are %zu questions, and %zu answers", n, json_array_size(choices));
		err_hint(e, "give one --choice for each, in their order");
		json_decref(answers);
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		const json_t *q = json_array_get(questions, i);
		json_t *a = answer_of(q, json_string_value(json_array_get(choices, i)) ?: "", e);
		if (!a || !*body_text(q, "question")) {
			if (a)
				err_set(e, ERR_PARAMS, "a question has no text: answer it at the terminal");
			json_decref(a);
			json_decref(answers);
			return NULL;
		}
		json_object_set_new(answers, body_text(q, "question"), a);
	}
	return answers;
}

/* The questions again, with the answers: without changed arguments the program asks at its terminal all the same. */
static json_t *question_allowed(const struct approval *a, const json_t *choices, struct err *e)
{
	json_t *args = a->args && !a->cut ? json_loads(a->args, 0, NULL) : NULL, *answers;

	if (!args) {
		err_set(e, ERR_STATE, "the question was too long to be kept whole");
		err_hint(e, "answer it at the terminal: tmux-claude attach %s", a->instance);
		return NULL;
	}
	answers = answers_of(args, choices, e);
	if (!answers) {
		json_decref(args);
		return NULL;
	}
	json_object_set_new(args, "answers", answers);
	return json_pack("{s:s, s:o}", "behavior", "allow", "updatedInput", args);
}

static json_t *decision(const struct approval *a, const struct agent_verdict *v, struct err *e)
{
	if (!v->allow)
		return json_pack("{s:s, s:s}", "behavior", "deny", "message",
			v->reason && *v->reason ? v->reason : a->kind == AK_PLAN ? PLAN_DENIED : DENIED);
	switch (a->kind) {
	case AK_PERMISSION:
		return json_pack("{s:s}", "behavior", "allow");
	case AK_PLAN: /* its plan is in a file: the arguments need not come back, but there have to be some */
		return json_pack("{s:s, s:{}}", "behavior", "allow", "updatedInput");
	case AK_QUESTION:
		return question_allowed(a, v->choices, e);
	case AK_COUNT:
		break;
	}
	err_set(e, ERR_INTERNAL, "an approval of no kind");
	return NULL;
}

json_t *claude_verdict(const struct approval *a, const struct agent_verdict *v, struct err *e)
{
	json_t *d = decision(a, v, e);

	return d ? json_pack("{s:{s:s, s:o}}", "hookSpecificOutput", "hookEventName", "PermissionRequest", "decision", d)
		 : NULL;
}
