/* SPDX-License-Identifier: ISC */
/* What Claude Code asks for: what it is, what is the same, what it would change, how it is answered. */
#include "base/util.h"
#include "daemon/agent/agent.h"
#include "tests/unit/run.h"

static const struct agent_program *p;

static void setup(void)
{
	p = agent_find("claude");
}

static json_t *parse(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(o);
	return o;
}

static void subject(const char *tool, const char *args, char out[SHA256_HEX])
{
	json_t *body = json_pack("{s:s, s:s, s:o}", "tool_name", tool, "cwd", "/p", "tool_input", parse(args));
	struct agent_ask q;

	ck_assert(p->ask("PermissionRequest", body, &q));
	memcpy(out, q.subject, SHA256_HEX);
	json_decref(body);
}

static bool same(const char *tool_a, const char *a, const char *tool_b, const char *b)
{
	char x[SHA256_HEX], y[SHA256_HEX];

	subject(tool_a, a, x);
	subject(tool_b, b, y);
	return !strcmp(x, y);
}

START_TEST(test_same)
{
	ck_assert(same("Bash", "{\"command\":\"make\",\"description\":\"a\"}", "Bash",
		"{\"description\":\"b\",\"timeout\":5,\"command\":\"make\"}"));
	ck_assert(!same("Bash", "{\"command\":\"make\"}", "Bash", "{\"command\":\"make \"}"));
	ck_assert(!same("Bash", "{\"command\":\"make\"}", "Bash",
		"{\"command\":\"make\",\"dangerouslyDisableSandbox\":true}"));
	ck_assert(same("Edit", "{\"file_path\":\"/a\",\"old_string\":\"x\"}", "Write", "{\"file_path\":\"/a\"}"));
	ck_assert(!same("Edit", "{\"file_path\":\"/a\"}", "Edit", "{\"file_path\":\"/b\"}"));
	ck_assert(!same("Read", "{\"file_path\":\"/a\"}", "Write", "{\"file_path\":\"/a\"}"));
	ck_assert(!same("WebFetch", "{\"url\":\"a\"}", "Other", "{\"url\":\"a\"}"));
}
END_TEST

START_TEST(test_not_an_ask)
{
	static const char *const bodies[] = {"{}", "{\"tool_name\":5}", "{\"tool_name\":\"\"}", "{\"tool_input\":{}}"};
	struct agent_ask q;
	json_t *o = parse("{\"tool_name\":\"Bash\"}");

	ck_assert(!p->ask("PreToolUse", o, &q));
	json_decref(o);
	ck_assert(!p->ask("PermissionRequest", NULL, &q));
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		o = parse(bodies[i]);
		ck_assert(!p->ask("PermissionRequest", o, &q));
		json_decref(o);
	}
	ck_assert_int_eq(p->ask_over("PostToolUse", NULL, &q), OVER_NONE);
}
END_TEST

/* The diff of an ask; owned. */
static char *diff(const char *tool, const char *args, const char *file)
{
	json_t *body = json_pack("{s:s, s:o}", "tool_name", tool, "tool_input", parse(args));
	json_t *f = file ? parse(file) : NULL;
	struct agent_ask q;
	char *d;

	ck_assert(p->ask("PermissionRequest", body, &q));
	d = p->ask_diff(&q, f);
	json_decref(body);
	json_decref(f);
	return d;
}

START_TEST(test_diff)
{
	cleanup_free char *whole = diff("Edit", "{\"file_path\":\"/a\",\"old_string\":\"2\",\"new_string\":\"zwei\"}",
		"{\"path\":\"/a\",\"text\":\"1\\n2\\n3\\n\"}");
	ck_assert_str_eq(whole, "--- /a\n+++ /a\n@@ -1,3 +1,3 @@\n 1\n-2\n+zwei\n 3\n");
	/* Another file's text, or one without what is to be replaced: the parts alone. */
	cleanup_free char *other = diff("Edit", "{\"file_path\":\"/a\",\"old_string\":\"2\\n\",\"new_string\":\"zwei\\n\"}",
		"{\"path\":\"/b\",\"text\":\"1\\n2\\n3\\n\"}");
	ck_assert_str_eq(other, "--- /a\n+++ /a\n@@ -1,1 +1,1 @@\n-2\n+zwei\n");
	cleanup_free char *all = diff("Edit",
		"{\"file_path\":\"/a\",\"old_string\":\"x\",\"new_string\":\"yy\",\"replace_all\":true}",
		"{\"path\":\"/a\",\"text\":\"x x\\nx\\n\"}");
	ck_assert_str_eq(all, "--- /a\n+++ /a\n@@ -1,2 +1,2 @@\n-x x\n-x\n+yy yy\n+yy\n");
	cleanup_free char *new = diff("Write", "{\"file_path\":\"/a\",\"content\":\"1\\n\"}", "{\"path\":\"/a\",\"absent\":true}");
	ck_assert_str_eq(new, "--- /dev/null\n+++ /a\n@@ -0,0 +1,1 @@\n+1\n");
	cleanup_free char *unknown = diff("Write", "{\"file_path\":\"/a\",\"content\":\"1\\n\"}", NULL);
	ck_assert_ptr_nonnull(strstr(unknown, "not known"));
	cleanup_free char *multi = diff("MultiEdit",
		"{\"file_path\":\"/a\",\"edits\":[{\"old_string\":\"1\",\"new_string\":\"2\"},{\"old_string\":\"2\",\"new_string\":\"3\"}]}",
		"{\"path\":\"/a\",\"text\":\"1\\n\"}");
	ck_assert_str_eq(multi, "--- /a\n+++ /a\n@@ -1,1 +1,1 @@\n-1\n+3\n");
	cleanup_free char *none = diff("Bash", "{\"command\":\"ls\"}", NULL);
	ck_assert_ptr_null(none);
	cleanup_free char *bad = diff("MultiEdit", "{\"file_path\":5,\"edits\":[1,{},\"x\"]}", "{\"path\":7}");
	ck_assert_ptr_nonnull(bad);
	/* Growing beyond all bounds is not computed. */
	cleanup_free char *grow = diff("Edit", "{\"file_path\":\"/a\",\"old_string\":\"\",\"new_string\":\"x\"}",
		"{\"path\":\"/a\",\"text\":\"1\\n\"}");
	ck_assert_ptr_nonnull(grow);
}
END_TEST

static const char questions[] =
	"{\"questions\":[{\"question\":\"Which?\",\"multiSelect\":false,\"options\":[{\"label\":\"Red\"},{\"label\":\"Blue\"}]},"
	"{\"question\":\"Sizes?\",\"multiSelect\":true,\"options\":[{\"label\":\"S\"},{\"label\":\"M\"},{\"label\":\"L\"}]}]}";

/* The answers as the program gets them, sorted; NULL: refused. Owned. */
static char *answers(const char *choices)
{
	struct approval a = {.kind = AK_QUESTION, .args = (char *)questions};
	json_t *list = parse(choices);
	struct agent_verdict v = {.allow = true, .choices = list};
	struct err e = {0};
	json_t *o = p->verdict(&a, &v, &e);
	const json_t *d = json_object_get(json_object_get(o, "hookSpecificOutput"), "decision");
	char *text = NULL;

	ck_assert(o || e.message[0]);
	if (o) {
		ck_assert_str_eq(json_string_value(json_object_get(d, "behavior")), "allow");
		text = json_dumps(json_object_get(json_object_get(d, "updatedInput"), "answers"), JSON_SORT_KEYS | JSON_COMPACT);
	}
	json_decref(o);
	json_decref(list);
	return text;
}

START_TEST(test_answers)
{
	static const char *const refused[] = {"[]", "[\"1\"]", "[\"3\",\"1\"]", "[\"0\",\"1\"]", "[\"1\",\"1,9\"]",
		"[\"1\",\"S,what\"]", "[\"1\",\"1\",\"1\"]"};
	cleanup_free char *a = answers("[\"2\",\"1,3\"]"), *b = answers("[\"Red\",\"S, L\"]"), *c = answers("[\"green\",\"M\"]");

	ck_assert_str_eq(a, "{\"Sizes?\":\"S, L\",\"Which?\":\"Blue\"}");
	ck_assert_str_eq(b, "{\"Sizes?\":\"S, L\",\"Which?\":\"Red\"}");
	ck_assert_str_eq(c, "{\"Sizes?\":\"M\",\"Which?\":\"green\"}");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		cleanup_free char *r = answers(refused[i]);
		ck_assert_ptr_null(r);
	}
}
END_TEST

static void decides(enum approval_kind kind, bool allow, const char *reason, const char *want)
{
	struct approval a = {.kind = kind};
	struct agent_verdict v = {.allow = allow, .reason = reason};
	json_t *o = p->verdict(&a, &v, NULL);
	cleanup_free char *text = json_dumps(json_object_get(json_object_get(o, "hookSpecificOutput"), "decision"),
		JSON_SORT_KEYS | JSON_COMPACT);

	ck_assert_str_eq(text, want);
	json_decref(o);
}

START_TEST(test_decisions)
{
	struct approval cut = {.kind = AK_QUESTION, .args = (char *)questions, .cut = true};
	struct agent_verdict yes = {.allow = true};
	struct err e = {0};

	decides(AK_PERMISSION, true, NULL, "{\"behavior\":\"allow\"}");
	decides(AK_PERMISSION, false, "no", "{\"behavior\":\"deny\",\"message\":\"no\"}");
	decides(AK_PERMISSION, false, NULL, "{\"behavior\":\"deny\",\"message\":\"The operator did not allow this.\"}");
	decides(AK_PLAN, true, NULL, "{\"behavior\":\"allow\",\"updatedInput\":{}}");
	decides(AK_PLAN, false, "a test first", "{\"behavior\":\"deny\",\"message\":\"a test first\"}");
	ck_assert_ptr_null(p->verdict(&cut, &yes, &e));
	ck_assert_int_eq(e.code, ERR_STATE);
}
END_TEST

TEST_MAIN_FIXTURE("agent/ask", setup, NULL, test_same, test_not_an_ask, test_diff, test_answers, test_decisions)
